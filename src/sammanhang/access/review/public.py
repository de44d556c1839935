"""The list of public people a care provider keeps, so that who opens their records is looked at (R36).

That somebody is on it is itself secret: only the care provider's log reviewers see it, and each look and
change is in the trace. Nobody is erased from it: who was taken off, and by whom, stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors
from sammanhang.access.said import said_of
from sammanhang.access.staff import resident_with
from sammanhang.kernel import clock, identifiers
from sammanhang.kernel.errors import Conflict, Invalid, NotFound

from .cases import need_reviewer, traced


@dataclass(frozen=True, slots=True)
class Listed:
    """Somebody on the list: id of the row and of the Patient, why, until when, since when, and by whom."""

    id: str
    patient: str
    reason: str
    until: date | None
    added: datetime
    added_by: str


async def listed(doors: Doors, actor: Actor) -> list[Listed]:
    """Who is on the list of the actor's care provider, also those whose time has passed; the latest first."""
    provider = need_reviewer(actor)
    async with doors.database.writing() as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT id::text, patient, reason, until, added, added_by FROM access.public_person"
            " WHERE provider = %s AND removed IS NULL ORDER BY added DESC LIMIT 500",
            (provider,),
        )
    await doors.audit.record(
        doors.entry(actor, "review-list", rule="R36", count=len(rows), what="/review/public")
    )
    return [Listed(*row) for row in rows]


async def add(doors: Doors, actor: Actor, number: str, reason: str, until: str) -> None:
    """Puts somebody on the list, by identity number; `until` is a day or empty.

    Raises `Invalid` for a number nobody has, a day that is none or has passed, and no reason; `Conflict` for
    somebody who is on the list.
    """
    provider = need_reviewer(actor)
    parsed = identifiers.try_parse(number.strip())
    patient = await resident_with(doors.database, parsed.value) if parsed is not None else None
    if patient is None:
        raise Invalid("Nobody has that identity number.", "Ingen har det personnumret.")
    said = said_of(
        reason, "Say why the person is on the list.", "Skriv varför personen står på listan."
    )
    last = _day(until)
    entry = doors.entry(
        actor, "review-public", patient=patient, rule="R36", details={"step": "added", "said": said}
    )
    async with traced(doors, entry) as connection:
        rows = await connection.fetch(
            "INSERT INTO access.public_person (provider, patient, reason, until, added_by)"
            " VALUES (%s, %s, %s, %s::date, %s) ON CONFLICT DO NOTHING RETURNING 1",
            (provider, patient, said, last, actor.id),
        )
        if not rows:
            raise Conflict("The person is on the list already.", "Personen står redan på listan.")


async def remove(doors: Doors, actor: Actor, id: str) -> None:
    """Takes somebody off the list. Raises `NotFound`."""
    found = next((p for p in await listed(doors, actor) if p.id == id), None)
    if found is None:
        raise NotFound("Nobody like that is on the list.", "Personen står inte på listan.")
    entry = doors.entry(
        actor, "review-public", patient=found.patient, rule="R36", details={"step": "removed"}
    )
    async with traced(doors, entry) as connection:
        await connection.fetch(
            "UPDATE access.public_person SET removed = now(), removed_by = %s WHERE id = %s::uuid"
            " AND removed IS NULL",
            (actor.id, id),
        )


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise Invalid("Write the day as 2026-12-31.", "Skriv dagen som 2026-12-31.") from None
    if day < clock.today():
        raise Invalid("That day has passed.", "Den dagen har passerat.")
    return day
