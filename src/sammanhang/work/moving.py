"""Work moves with the people and units that leave: an absence, a unit that closes or is merged.

Each task is moved once: what has been moved is no longer found. Killed half-way, the job goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors, Stored
from sammanhang.access.staff import name_of, resources
from sammanhang.access.writing import Changes, sent_to
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Invalid, PreconditionFailed
from sammanhang.store.database import EVERYTHING
from sammanhang.store.types import NUMBER

from . import tasks
from .sql import SQL
from .units import Unit, units_of

BATCH = 200
MOVER = Actor("system", "system:moving", "Sammanhang", everything=True)


class BadAbsence(Invalid):
    """The absence ends before it begins, or its substitute is the person who is away."""

    def __init__(self) -> None:
        super().__init__(
            "The last day must come after the first, and the substitute be somebody else.",
            "Sista dagen ska komma efter den första, och ersättaren vara någon annan.",
        )


class NoSuchUnit(Invalid):
    """There is no such unit, or it is closed."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no open unit {id}.", f"Det finns ingen öppen enhet {id}.")


async def note_absence(
    doors: Doors, actor: Actor, assignment: str, begins: datetime, ends: datetime, substitute: str = ""
) -> str:  # fmt: skip
    """Notes that somebody is away; their work moves when it begins. Returns its id. Raises `BadAbsence`."""
    if ends <= begins or substitute == assignment:
        raise BadAbsence
    id = str(uuid7())
    entry = doors.entry(actor, "absence", what=f"PractitionerRole/{assignment}", details={"from": begins.isoformat(), "to": ends.isoformat()})  # fmt: skip
    await doors.audit.record(entry)
    async with doors.database.writing() as connection:
        await connection.execute(
            SQL["note_absence"], (id, assignment, begins, ends, substitute, actor.id)
        )
    return id


async def end_absence(doors: Doors, actor: Actor, id: str) -> None:
    """The person is back, or was never away."""
    await doors.audit.record(doors.entry(actor, "absence-end", what=f"absence/{id}"))
    async with doors.database.writing() as connection:
        await connection.execute(SQL["end_absence"], (id,))


async def move_for_absences(doors: Doors, now: datetime | None = None) -> int:
    """Moves the work of those whose absence has begun: to the substitute, else back to the function. Returns
    how many tasks were moved."""
    now = now or clock.now()
    async with doors.database.writing() as connection:
        cursor = await connection.execute(SQL["absences_begun"], (now,))
        begun = await cursor.fetchall()
    moved = 0
    for id, assignment, substitute in begun:
        to = await _assignment(doors, substitute) if substitute else None

        def change(task: Any, to: Reference | None = to) -> str:
            tasks.set_taken_by(task, to)
            return f"borta, ersätts av {to.display}" if to is not None else "borta"

        moved += await _move_all(doors, "taken_tasks", assignment, change, now)
        async with doors.database.writing() as connection:
            await connection.execute(SQL["absence_moved"], (now, id))
    return moved


async def move_unit(doors: Doors, closed: str, into: str, now: datetime | None = None) -> int:
    """Moves all open work of a unit to the one that takes its place. Raises `NoSuchUnit` for one that is closed."""
    units = await units_of(doors.database, fresh=True)
    to = units.get(into)
    if to is None or not to.active:
        raise NoSuchUnit(into)
    name = units.name(closed)

    def change(task: Any) -> str:
        assert isinstance(to, Unit)
        tasks.set_owner(task, to.id, to.name, tasks.function_of(task))
        return f"{name} har gått upp i {to.name}"

    return await _move_all(
        doors, "owned_tasks", closed, change, now or clock.now(), (to.provider, to.id)
    )


async def move_for_closed_units(doors: Doors, now: datetime | None = None) -> int:
    """Moves the work of every unit that has been merged into another. Returns how many tasks were moved."""
    units = await units_of(doors.database, fresh=True)
    gone = [u.id for u in units.by_id.values() if not u.active and u.replaced_by]
    if not gone:
        return 0
    async with doors.database.reading(EVERYTHING) as connection:
        with_work = await connection.fetch(SQL["with_open_work"], (gone,))
    moved = 0
    for (id,) in with_work:
        living = units.living(id)
        if living is not None:
            moved += await move_unit(doors, id, living.id, now)
    return moved


async def _move_all(
    doors: Doors, query: str, key: str, change: Callable[[Any], str], now: datetime,
    owner: tuple[str, str] | None = None,
) -> int:  # fmt: skip
    """Every task a query finds for a key, one transaction each patient's task; who changes one first keeps it,
    and it is found again."""
    moved = 0
    while True:
        async with doors.database.reading(EVERYTHING) as connection:
            rows = await connection.fetch(SQL[query], (NUMBER["Task"], key, BATCH))
        if not rows:
            return moved
        for id, version, updated, provider, unit, body, patient in rows:
            task = trusted(body, "Task")
            why = change(task)
            tasks.set_act(task, "move", Reference(display="Sammanhang"), now, why)
            changes = Changes.by_system(doors, MOVER, patient or "", owner or ("", ""))
            stored = Stored("Task", id, version, updated, provider, unit, body)
            if owner is not None:
                changes.move(stored, task, owner, sent_to(task))
            else:
                changes.update(stored, task)
            try:
                await changes.commit("task-move")
                moved += 1
            except PreconditionFailed:
                continue


async def _assignment(doors: Doors, id: str) -> Reference | None:
    """An assignment as resources name it; None when it is not there."""
    role = (await resources(doors.database, "PractitionerRole", {id})).get(id)
    if role is None or role.practitioner is None or role.active is False:
        return None
    name = await name_of(doors.database, role.practitioner.reference or "")
    what = next(
        (c.display for concept in role.code or () for c in concept.coding or () if c.display), ""
    )
    return Reference(
        reference=f"PractitionerRole/{id}", display=", ".join(filter(None, [name, what.lower()]))
    )
