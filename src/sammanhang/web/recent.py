"""The patients a person has lately opened, from the trace of their own openings."""

from __future__ import annotations

from typing import Any

from sammanhang.store.database import Scope

from .directory import SQL, Directory
from .people import Person
from .routing import Visit


async def opened_lately(visit: Visit, limit: int) -> list[Person]:
    """The latest first; two queries. Empty for roles without record rights."""
    scope = await visit.services.doors.search_scope(visit.actor)
    numbers = await opened_numbers(visit, limit)
    directory: Directory = visit.request.app.state.directory
    people = await directory.people(scope, numbers)
    return [people[n] for n in numbers if n in people]


async def opened_numbers(visit: Visit, limit: int) -> list[int]:
    """`self` of the patients whose records this person opened lately, the latest first."""
    database = visit.services.database
    async with database.reading(Scope(register=True)) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(SQL["opened_lately"], (visit.actor.id, limit))
        rows: list[Any] = await cursor.fetchall()
    return [row[0] for row in rows]
