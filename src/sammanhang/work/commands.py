"""What people do with tasks: one verb each, one transaction each. `states.VERBS` says what is possible.

Each opens the patient's record through the door first (that the task names the unit is a care relation, R2), so
that what is done is within the law and in the trace. Work that names no patient is opened as what is in no record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors, Stored, decide_without_patient
from sammanhang.access.staff import Held, held_with, resources, shown_name
from sammanhang.access.without_patient import Opened, open_without_patient
from sammanhang.access.writing import Changes
from sammanhang.access.writing import sent_to as sent_to_of
from sammanhang.fhir.dates import bounds
from sammanhang.fhir.indexing import self_hash, slot
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import PreconditionFailed
from sammanhang.store.database import EVERYTHING

from . import tasks
from .deadlines import Deadline, deadline, priority_of
from .errors import (
    AlreadyTaken,
    CannotReopen,
    ChangedMeanwhile,
    DoneElsewhere,
    NoSuchColleague,
    NoSuchTask,
    ReasonMissing,
    TaskIsClosed,
    TaskIsOpen,
)
from .places import by_hand
from .sql import SQL
from .states import ANY_OPEN, VERBS
from .units import units_of

_AT_UNIT = slot("PractitionerRole.organization", "reference")
MOST_COLLEAGUES = 300


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who works at the unit now: id of the assignment, of the person, their name, and what they are."""

    assignment: str
    practitioner: str
    name: str
    role: str
    role_text: str

    @property
    def reference(self) -> Reference:
        """The colleague as resources name them."""
        return Reference(
            reference=f"PractitionerRole/{self.assignment}",
            display=f"{self.name}, {self.role_text.lower()}",
        )


@dataclass(frozen=True, slots=True)
class Open:
    """A task with the record it belongs to, or with what is in none."""

    record: Opened
    stored: Stored
    task: Any


def myself(actor: Actor) -> Reference:
    """The person as resources name them: their assignment, with name and role."""
    a = actor.assignment
    if a is None or not a.id:  # another system, in the name of a unit
        who = [actor.name or actor.id, a.unit_name if a is not None else ""]
        return Reference(display=", ".join(filter(None, who)))
    return Reference(
        reference=f"PractitionerRole/{a.id}", display=f"{actor.name}, {a.role_text.lower()}"
    )


async def open_task(doors: Doors, actor: Actor, id: str, *, request: str | None = None) -> Open:
    """A task of the unit the person works for now, through the door.

    Raises `NoSuchTask` when it is not there or another unit's, and what the door raises.
    """
    async with doors.database.reading(EVERYTHING) as connection:
        doors.database.queries += 1
        rows = await connection.fetch(SQL["patient_of_task"], (self_hash("Task", id), id))
    patient, has_patient, unit = rows[0] if rows else (None, False, "")
    if not rows or actor.assignment is None or unit != actor.assignment.unit:
        raise NoSuchTask
    record: Opened
    if not has_patient:
        record = await open_without_patient(doors, actor, f"Task/{id}", request=request)
    elif patient is not None:
        record = await doors.open_record(actor, patient, request=request)
    else:
        raise NoSuchTask  # it names somebody who is not in the register
    stored = await record.find("Task", id)
    if stored is None:
        raise NoSuchTask
    return Open(record, stored, stored.resource)


async def take(doors: Doors, actor: Actor, id: str, *, request: str | None = None) -> None:
    """The task is mine. Taking what one has already taken is nothing done. Raises `AlreadyTaken`."""

    def change(t: Open, now: datetime) -> bool:
        holder = tasks.taken_by(t.task)
        me = myself(actor)
        if holder is not None and holder.reference == me.reference:
            return False
        if holder is not None:
            raise AlreadyTaken(holder.display or "Någon")
        tasks.set_taken_by(t.task, me)
        if t.task.status == "requested":
            t.task.status = "received"
        return True

    await _do(doors, actor, id, "take", change, request=request)


async def hand_back(
    doors: Doors, actor: Actor, id: str, reason: str = "", *, request: str | None = None
) -> None:
    """Back to the function: anybody there may take it."""

    def change(t: Open, now: datetime) -> bool:
        if tasks.taken_by(t.task) is None:
            return False
        tasks.set_taken_by(t.task, None)
        return True

    await _do(doors, actor, id, "hand-back", change, reason, request=request)


async def hand_over(
    doors: Doors, actor: Actor, id: str, to: str, note: str = "", *, request: str | None = None
) -> None:
    """To a colleague's assignment at the unit, or to a function there (`function:rehab`). Raises `NoSuchColleague`."""
    target = await colleague(doors, _unit(actor), to) if not to.startswith("function:") else None
    function = to.removeprefix("function:") if target is None else ""
    if target is None and function not in content("routing/functions")["functions"]:
        raise NoSuchColleague
    units = await units_of(doors.database)

    def change(t: Open, now: datetime) -> bool:
        if target is None:
            unit = tasks.owner_of(t.task)
            tasks.set_owner(t.task, unit, units.name(unit), function)
        else:
            tasks.set_taken_by(t.task, target)
        if note:
            tasks.add_note(t.task, note, myself(actor), now)
        return True

    await _do(doors, actor, id, "hand-over", change, note, request=request)


async def delegate(
    doors: Doors, actor: Actor, id: str, to: str, what: str, *, request: str | None = None
) -> None:
    """Asks a colleague to do a part: a task of its own, part of this one, whose owner goes on answering for it.

    Raises `NoSuchColleague`, `ReasonMissing` when it is not said what is asked for.
    """
    if not what.strip():
        raise ReasonMissing
    target = await colleague(doors, _unit(actor), to)
    units = await units_of(doors.database)

    def change(t: Open, now: datetime) -> bool:
        part_of = Reference(reference=f"Task/{t.stored.id}")
        unit = units.get(tasks.owner_of(t.task))
        assert unit is not None  # the door has seen to it: the task is the actor's unit's
        focus = t.task.focus or part_of
        priority = priority_of(t.task)
        until = deadline("otherwise", priority, now, unit.calendar)
        whole = tasks.deadline_of(t.task)
        if whole is not None and now < whole < until.at:
            until = Deadline(whole, until.steps)
        child = tasks.new_task(
            "otherwise", patient=t.record.patient_id, owner=unit.id, owner_name=unit.name,
            function=tasks.function_of(t.task), focus=focus, deadline=until, priority=priority,
            requester=myself(actor), at=now, description=what.strip(),
        )  # fmt: skip
        child.partOf = [part_of]
        child.for_ = child.for_ or t.task.for_  # a device, a place: what is no patient
        tasks.set_taken_by(child, target)
        more.append(child)
        tasks.add_note(t.task, what.strip(), myself(actor), now)
        return True

    more: list[Any] = []
    await _do(doors, actor, id, "delegate", change, what, more=more, request=request)


async def complete(
    doors: Doors, actor: Actor, id: str, note: str = "", *, request: str | None = None
) -> None:
    """Done. Raises `DoneElsewhere` for work that is done by doing what it is about."""

    def change(t: Open, now: datetime) -> bool:
        _need_by_hand(t)
        t.task.status = "completed"
        if note:
            tasks.add_note(t.task, note, myself(actor), now)
        return True

    await _do(doors, actor, id, "complete", change, note, request=request)


async def cancel(
    doors: Doors, actor: Actor, id: str, reason: str, *, request: str | None = None
) -> None:
    """Ended without being done, with a reason. Raises `ReasonMissing`, and `DoneElsewhere` as `complete`."""

    def change(t: Open, now: datetime) -> bool:
        _need_by_hand(t)
        t.task.status = "cancelled"
        return True

    await _do(doors, actor, id, "cancel", change, reason, request=request)


async def reopen(doors: Doors, actor: Actor, id: str, *, request: str | None = None) -> None:
    """What was closed by mistake is open again, with the deadline and the way up it had.

    Raises `CannotReopen` for anybody but who closed it, and when it was too long ago; `DoneElsewhere` as `complete`.
    """

    def change(t: Open, now: datetime) -> bool:
        _need_by_hand(t)
        minutes = content("routing/deadlines")["undo_within"]["minutes"]
        last = tasks.act_of(t.task)
        mine = last is not None and last.by == myself(actor).reference
        if last is None or not mine or last.verb not in ("complete", "cancel"):
            raise CannotReopen(minutes)
        if now - bounds(last.at)[0] > timedelta(minutes=minutes):
            raise CannotReopen(minutes)
        t.task.status = "received" if tasks.taken_by(t.task) is not None else "requested"
        return True

    await _do(doors, actor, id, "reopen", change, request=request)


async def colleagues(doors: Doors, unit: str) -> list[Colleague]:
    """Who works with records at a unit now, by name."""
    token = self_hash("Organization", unit) ^ _AT_UNIT
    held = await held_with(doors.database, [token], MOST_COLLEAGUES)
    held = [h for h in held if h.assignment.unit == unit and _works_in_records(h)]
    people = await resources(doors.database, "Practitioner", {h.practitioner for h in held})
    found = [
        Colleague(
            h.assignment.id, h.practitioner, shown_name(people[h.practitioner]), h.assignment.role,
            h.assignment.role_text,
        )
        for h in held
        if h.practitioner in people and people[h.practitioner].active is not False
    ]  # fmt: skip
    return sorted(found, key=lambda c: (c.name, c.role))


def _works_in_records(h: Held) -> bool:
    """Whether the rules let the role work with any patient; a log reviewer's do not (R2)."""
    who = Actor("staff", f"Practitioner/{h.practitioner}", "", 3, h.assignment)
    return decide_without_patient(who) is None


async def colleague(doors: Doors, unit: str, assignment: str) -> Reference:
    """Somebody who works at a unit now, as resources name them. Raises `NoSuchColleague`."""
    found = next((c for c in await colleagues(doors, unit) if c.assignment == assignment), None)
    if found is None:
        raise NoSuchColleague
    return found.reference


def in_functions(role: str) -> list[str]:
    """The functions a role is part of."""
    return [k for k, f in content("routing/functions")["functions"].items() if role in f["roles"]]


def head_functions() -> frozenset[str]:
    """The functions work comes up to when a unit's own people have not done it."""
    return frozenset(r["function"] for r in content("routing/deadlines")["way_up"] if r["step"] == "head")  # fmt: skip


Change = Callable[[Open, datetime], bool]


async def _do(
    doors: Doors, actor: Actor, id: str, verb: str, change: Change, reason: str = "",
    *, more: list[Any] | None = None, request: str | None = None,
) -> None:  # fmt: skip
    """Opens, checks against the table, changes, notes who did it, stores. Tries once more when a deadline's
    step came between."""
    rule = VERBS[verb]
    if rule.reason and not reason.strip():
        raise ReasonMissing
    for again in (True, False):
        found = await open_task(doors, actor, id, request=request)
        task = found.task
        if task.status not in rule.before:
            raise TaskIsClosed if rule.before == ANY_OPEN else TaskIsOpen
        now = clock.now()
        if more is not None:
            more.clear()
        if not change(found, now):
            return
        tasks.set_act(task, verb, myself(actor), now, reason.strip())
        changes = Changes.by(found.record)
        changes.update(found.stored, task)
        for child in more or ():
            changes.create(child, sent_to=sent_to_of(task))
        try:
            await changes.commit(f"task-{verb}")
            return
        except PreconditionFailed:
            if not again:
                raise ChangedMeanwhile from None


def _need_by_hand(t: Open) -> None:
    """Raises `DoneElsewhere` for work that is not ticked off."""
    if not by_hand(tasks.kind_of(t.task), t.record.patient_id):
        raise DoneElsewhere


def _unit(actor: Actor) -> str:
    return actor.assignment.unit if actor.assignment is not None else ""
