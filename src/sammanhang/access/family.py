"""The children a resident has custody of, by the register's RelatedPersons (R23, R28)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import identified, self_hash, slot
from sammanhang.kernel.content import content
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING
from sammanhang.store.types import NUMBER

from .actor import Actor
from .door import Doors
from .facts import born_of, custody
from .rules import years

_IDENTIFIER = slot("RelatedPerson.identifier", "token")


@dataclass(frozen=True, slots=True)
class Child:
    """A child under age: id of the Patient, given name, and age in whole years."""

    id: str
    name: str
    age: int


async def children(doors: Doors, actor: Actor, me: Any = None) -> list[Child]:
    """Those under age whose custody the register gives the resident, the youngest first; three queries, one less
    when `me`, the resident's own Patient, is known, and one less when there is nobody.

    Whether the record may be opened is for the door to say; that one has a child is no secret.
    """
    asker = self_hash("Patient", actor.id.removeprefix("Patient/"))
    async with doors.database.reading(EVERYTHING) as connection:
        if me is None:
            doors.database.queries += 1
            rows = await connection.fetch(
                "SELECT body FROM store.patient WHERE self = %s AND type = %s",
                (asker, NUMBER["Patient"]),
            )
            if not rows:
                return []
            me = trusted(rows[0][0], "Patient")
        tokens = [
            identified(i.system, i.value)[1] ^ _IDENTIFIER
            for i in me.identifier or ()
            if i.system is not None and i.value is not None
        ]
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT body FROM store.other WHERE type = %s AND tokens && %s::bigint[] LIMIT 100",
            (NUMBER["RelatedPerson"], numbers(tokens)),
        )
        now = datetime.now(UTC)
        related = [trusted(body, "RelatedPerson") for (body,) in rows]
        ids = {
            (r.patient.reference or "").removeprefix("Patient/")
            for r in related
            if custody(r, me, now) and r.patient is not None
        }
        if not ids:
            return []
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT body FROM store.patient WHERE self = ANY(%s::bigint[]) AND type = %s",
            (numbers(self_hash("Patient", i) for i in ids), NUMBER["Patient"]),
        )
    found = []
    for (body,) in rows:
        child = trusted(body, "Patient")
        born = born_of(child)
        if child.id not in ids or born is None:
            continue
        age = years(born, now.date())
        if age < content("rules/ages")["adult"]:
            given = " ".join((child.name[0].given or ())[:1]) if child.name else ""
            found.append(Child(child.id, given, age))
    return sorted(found, key=lambda c: c.age)
