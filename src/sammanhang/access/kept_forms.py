"""Forms that could not be taken when they came, kept for the person who sent them.

The session was locked or idle, or had moved to another assignment, or its log-in was too old for the act.
What was typed lies in the database with the session, is offered again on a page of its own, and goes when it
is sent, thrown away, or the session ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from sammanhang.kernel.errors import TooLarge
from sammanhang.store.database import Database

from .sessions import Session

LARGEST = 64 * 1024
"""Bytes of JSON a kept form may take: several times the longest note."""
MOST = 20
"""Forms kept for one session; the oldest give way."""


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form as it was sent: where to, from a page made in which assignment (id, or empty), its fields."""

    id: str
    path: str
    assignment: str
    fields: tuple[tuple[str, str], ...]


# keep: a form with its session; the oldest beyond the most are gone
_KEEP = """
WITH old AS (
    DELETE FROM access.kept_form WHERE id IN (
        SELECT id FROM access.kept_form WHERE session = %(session)s ORDER BY kept DESC OFFSET %(most)s)
)
INSERT INTO access.kept_form (session, path, assignment, fields)
VALUES (%(session)s, %(path)s, %(assignment)s, %(fields)s) RETURNING id::text
"""


async def keep(
    database: Database,
    session: Session,
    path: str,
    fields: Sequence[tuple[str, str]],
    assignment: str | None = None,
) -> str:
    """Keeps a form and returns its id. `assignment` is the page's, None for the session's.

    Raises `TooLarge` for more than `LARGEST` bytes.
    """
    own = [
        (n, v.replace("\0", "")) for n, v in fields if n not in ("csrf", "kept") and "\0" not in n
    ]
    text = msgspec.json.encode(own).decode()
    if len(text) > LARGEST:
        raise TooLarge(
            "The form is too large to be kept while the screen is locked.",
            "Formuläret är för stort för att sparas medan skärmen är låst.",
        )
    chosen = session.actor.assignment
    values = {
        "session": session.key,
        "path": path,
        "assignment": assignment if assignment is not None else (chosen.id if chosen else ""),
        "fields": text,
        "most": MOST - 1,
    }
    async with database.writing() as connection:
        cursor = await connection.execute(_KEEP, values)
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def kept(database: Database, session: Session, id: str) -> KeptForm | None:
    """A kept form of this session; None when there is none of that id."""
    if not _is_id(id):
        return None
    async with database.writing() as connection:
        database.queries += 1
        rows = await connection.fetch(
            "SELECT path, assignment, fields FROM access.kept_form WHERE id = %s AND session = %s",
            (id, session.key),
        )
    if not rows:
        return None
    path, assignment, fields = rows[0]
    return KeptForm(id, path, assignment, tuple((str(n), str(v)) for n, v in fields))


async def drop(database: Database, session: Session, id: str) -> bool:
    """Forgets a kept form of this session; whether there was one."""
    if not _is_id(id):
        return False
    async with database.writing() as connection:
        rows = await connection.fetch(
            "DELETE FROM access.kept_form WHERE id = %s AND session = %s RETURNING 1",
            (id, session.key),
        )
    return bool(rows)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
