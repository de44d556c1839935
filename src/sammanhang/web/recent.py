"""The patients a person has lately opened, from the trace of their own openings."""

from __future__ import annotations

from sammanhang.access.trail import did
from sammanhang.fhir.indexing import self_hash

from .directory import Directory
from .people import Person
from .routing import Visit

DAYS = 14


async def opened_lately(visit: Visit, limit: int) -> list[Person]:
    """The latest first; two queries. Empty for roles without record rights."""
    scope = await visit.services.doors.search_scope(visit.actor)
    numbers = await opened_numbers(visit, limit)
    directory: Directory = visit.request.app.state.directory
    people = await directory.people(scope, numbers)
    return [people[n] for n in numbers if n in people]


async def opened_numbers(visit: Visit, limit: int) -> list[int]:
    """`self` of the patients whose records this person opened lately, the latest first."""
    entries = await did(visit.services.database, visit.actor.id, "open", DAYS)
    patients = dict.fromkeys(e.patient for e in entries if e.patient is not None)
    return [self_hash("Patient", p) for p in list(patients)[:limit]]
