"""Whether the person of a session may still be logged in.

Asked only when their Practitioner or Patient has another version than last time (OWASP ASVS 7.4.2).
"""

from __future__ import annotations

from sammanhang.fhir.indexing import self_hash
from sammanhang.store.database import Database

from .staff import standing

_STANDS = "UPDATE access.session SET person_self = %s, person_version = %s WHERE id = %s"


def number_of(person: str) -> int:
    """The number of `Practitioner/…` or `Patient/…` in the tables of the record."""
    kind, _, id = person.partition("/")
    return self_hash(kind, id)


async def still_stands(database: Database, key: bytes, person: str) -> bool:
    """Whether the person is there, in use and alive; notes by which version, or ends the session.

    `key` is the session's; `person` is `Practitioner/…` or `Patient/…`.
    """
    found = await standing(database, person)
    async with database.writing() as connection:
        if found is None:
            await connection.execute("DELETE FROM access.session WHERE id = %s", (key,))
        else:
            await connection.execute(_STANDS, (number_of(person), found[1], key))
    return found is not None
