"""Work moves with the people and units that leave: an absence, a unit that closes or is merged.

Each task is moved once: what has been moved is no longer found. Killed half-way, the job goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
from sammanhang.kernel.errors import (
    Invalid,
    NotFound,
    PreconditionFailed,
    Refused,
    SammanhangError,
    Unavailable,
)
from sammanhang.store.database import EVERYTHING
from sammanhang.store.types import NUMBER

from . import tasks
from .commands import colleagues, head_functions, in_functions
from .errors import NoSuchColleague
from .sql import SQL
from .units import Unit, units_of

BATCH = 200
log = logging.getLogger("sammanhang.work")
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


class NotYoursToNote(Refused):
    """An absence is noted by the person themselves, or by a head of their unit."""

    def __init__(self) -> None:
        super().__init__(
            "An absence is noted by the person themselves, or by a head of their unit.",
            "Frånvaro anges av personen själv eller av enhetens ansvariga.",
            rule="R2",
        )


@dataclass(frozen=True, slots=True)
class Absence:
    """When somebody is away, and whose assignment their work goes to; empty for the function."""

    id: str
    assignment: str
    begins: datetime
    ends: datetime
    substitute: str


async def absences(doors: Doors, assignments: Iterable[str], now: datetime | None = None) -> list[Absence]:  # fmt: skip
    """Absences of these assignments that have not ended, the first first; one query."""
    async with doors.database.reading(EVERYTHING) as connection:
        doors.database.queries += 1
        rows = await connection.fetch(SQL["absences_of"], (list(assignments), now or clock.now()))
    return [Absence(str(r[0]), *r[1:]) for r in rows]


async def note_absence(
    doors: Doors, actor: Actor, assignment: str, begins: datetime, ends: datetime, substitute: str = ""
) -> str:  # fmt: skip
    """Notes that somebody is away; their work moves when it begins. Returns its id.

    Raises `BadAbsence`, `NotYoursToNote`, and `NoSuchColleague` for an assignment that is not at the actor's unit.
    """
    if ends <= begins or substitute == assignment:
        raise BadAbsence
    await _may_note(doors, actor, assignment, substitute)
    id = str(uuid7())
    entry = doors.entry(actor, "absence", what=f"PractitionerRole/{assignment}", details={"from": begins.isoformat(), "to": ends.isoformat()})  # fmt: skip
    await doors.audit.record(entry)
    async with doors.database.writing() as connection:
        await connection.execute(
            SQL["note_absence"], (id, assignment, begins, ends, substitute, actor.id)
        )
    return id


async def _may_note(doors: Doors, actor: Actor, assignment: str, substitute: str = "") -> None:
    at = actor.assignment
    there = {c.assignment: c.practitioner for c in await colleagues(doors, at.unit if at is not None else "")}  # fmt: skip
    if assignment not in there or (substitute and substitute not in there):
        raise NoSuchColleague
    own = f"Practitioner/{there[assignment]}" == actor.id
    if not own and (at is None or head_functions().isdisjoint(in_functions(at.role))):
        raise NotYoursToNote


async def end_absence(doors: Doors, actor: Actor, id: str, assignment: str) -> None:
    """The person is back, or was never away. Raises as `note_absence`; one that is of somebody else stays."""
    await _may_note(doors, actor, assignment)
    await doors.audit.record(doors.entry(actor, "absence-end", what=f"absence/{id}"))
    async with doors.database.writing() as connection:
        await connection.execute(SQL["end_absence"], (id, assignment))


async def move_for_absences(doors: Doors, now: datetime | None = None) -> int:
    """Moves the work of those whose absence has begun: to the substitute, else back to the function. Returns
    how many tasks were moved."""
    now = now or clock.now()
    async with doors.database.writing() as connection:
        cursor = await connection.execute(SQL["absences_begun"], (now,))
        begun = await cursor.fetchall()
    moved = 0
    for id, assignment, substitute in begun:
        to = await _substitute(doors, substitute, now) if substitute else None

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
    """Every task a query finds for a key, one transaction each; who changes one first keeps it, and it is found again.

    One that cannot be moved is left where it is, holds up no other, and is logged: `adrift` shows it.
    """
    moved = 0
    left: set[str] = set()
    while True:
        async with doors.database.reading(EVERYTHING) as connection:
            rows = await connection.fetch(SQL[query], (NUMBER["Task"], key, sorted(left), BATCH))
        if not rows:
            return moved
        for id, version, updated, provider, unit, body, patient in rows:
            changes = Changes.by_system(doors, MOVER, patient or "", owner or ("", ""))
            stored = Stored("Task", id, version, updated, provider, unit, body)
            try:
                task = trusted(body, "Task")
                why = change(task)
                tasks.set_act(task, "move", Reference(display="Sammanhang"), now, why)
                if owner is not None:
                    changes.move(stored, task, owner, sent_to(task))
                else:
                    changes.update(stored, task)
                await changes.commit("task-move")
                moved += 1
            except (PreconditionFailed, NotFound):  # somebody was quicker: it is looked for again
                continue
            except Unavailable:
                raise
            except (SammanhangError, ValueError) as e:
                log.error("Task/%s cannot be moved: %s", id, e)
                left.add(id)


async def _substitute(doors: Doors, id: str, now: datetime) -> Reference | None:
    """Who stands in; None when they have left, or are away themselves: work is not given to who is not there."""
    async with doors.database.writing() as connection:
        cursor = await connection.execute(SQL["away"], (id, now, now))
        if await cursor.fetchone() is not None:
            return None
    return await _assignment(doors, id)


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
