"""One task: what, about whom, whose, by when, the way up, its story, and everything that can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access.door import Record
from sammanhang.access.without_patient import Opened
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show
from sammanhang.web.people import person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.web.worklist import Row, row_of, worded
from sammanhang.work import commands, tasks
from sammanhang.work.deadlines import priority_of
from sammanhang.work.places import by_hand
from sammanhang.work.queries import Line
from sammanhang.work.states import CLOSED, VERBS
from sammanhang.work.story import story

from .asked import asked_back
from .doing import BY_PEOPLE, LONGEST, Done, Flash, colleagues, do, flash_of, functions, sentence

CREATED, UPDATED = N_("skapade uppgiften"), N_("ändrade uppgiften")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way up: what, to whom, when, and whether it has been taken."""

    said: str
    to: str
    when: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was done: when, by whom, what, and why."""

    when: str
    by: str
    did: str
    why: str


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One task.

    title     what kind of work it is
    row       as in a list; `whole` what is said besides, in full
    unit      the accountable unit, and `function` whose work it is there
    asked     when it was asked for
    way       its way up, in order
    story     what has been done with it, the latest first
    notes     what has been noted: when, by whom, what
    can       the verbs that are possible now
    people    colleagues it may be handed to, and `functions`
    back      query of the list to come back to
    longest   letters a note may have
    flash     what was just done; None
    typed     what was typed, when something was wrong with it; `verb` with which verb, `wrong` says what
    """

    title: str
    row: Row
    whole: str
    unit: str
    function: str
    asked: str
    way: tuple[Step, ...]
    story: tuple[Told, ...]
    notes: tuple[tuple[str, str, str], ...]
    can: frozenset[str]
    people: tuple[tuple[str, str], ...]
    functions: tuple[tuple[str, str], ...]
    back: str
    longest: int
    flash: Flash | None
    typed: dict[str, str]
    verb: str
    wrong: str


@page("/work/{task}", access="staff")
async def task_page(visit: Visit) -> Response:
    """A task of the unit the person works for now; any other looks as if it were not there."""
    return await _show(visit)


@page("/work/{task}", access="staff", methods=("POST",))
async def act(visit: Visit) -> Response:
    """One verb with the task, then back to the list. What is wrong is said here, with what was typed."""
    id, form = visit.request.path_params["task"], visit.form
    verb = form.get("do", "")
    if verb not in BY_PEOPLE:
        raise NotFound("There is no such choice.", "Det valet finns inte.")
    try:
        back = await _handed_back_to(visit, id) if verb == "hand-over" else ""
        await do(visit, verb, id)
    except (Conflict, Invalid) as e:
        return await _show(visit, verb, sentence(e), 409 if isinstance(e, Conflict) else 400)
    done = Done(verb, (id,), back, form.get("undo") == "1").query()
    if form.get("stay") == "1":
        return RedirectResponse(f"/work/{id}?{done}", 303)
    query = "&".join(filter(None, [asked_back(form.get("back", "")).query(), done]))
    return RedirectResponse(f"/work?{query}", 303)


async def _handed_back_to(visit: Visit, id: str) -> str:
    """What undoes a handing over: to the reader when it was theirs, to the function when nobody had it; else nothing."""
    if visit.form.get("to", "").startswith("function:"):
        return ""
    found = await commands.open_task(visit.services.doors, visit.actor, id, request=visit.id)
    holder, mine = tasks.taken_by(found.task), commands.myself(visit.actor)
    if holder is None:
        return "function"
    return (mine.reference or "").removeprefix("PractitionerRole/") if holder.reference == mine.reference else ""  # fmt: skip


async def _show(visit: Visit, verb: str = "", wrong: str = "", status: int = 200) -> Response:
    id = visit.request.path_params["task"]
    found = await commands.open_task(visit.services.doors, visit.actor, id, request=visit.id)
    task, record, now = found.task, found.record, clock.now()
    row = _row(found.stored.id, task, record, visit, now)
    events = await story(record, found.stored)
    can = _can(task, row)
    known = content("routing/functions")["functions"]
    shown = TaskPage(
        title=row.what,
        row=row,
        whole=task.description or "",
        unit=(task.owner.display or "") if task.owner is not None else "",
        function=worded(known, tasks.function_of(task)) if tasks.function_of(task) else "",
        asked=show.when(task.authoredOn) if task.authoredOn else "",
        way=_way(task, now),
        story=tuple(_told(e.verb, e.by, e.at, e.why) for e in events),
        notes=tuple((show.when(n.time) if n.time else "", n.authorString or "", n.text or "") for n in task.note or ()),
        can=can,
        people=tuple(await colleagues(visit)) if can & {"hand-over", "delegate"} else (),
        functions=tuple(functions()),
        back=visit.form.get("back", "") if status != 200 else asked_back(visit.asked("back")).query(),
        longest=LONGEST,
        flash=flash_of(visit) if status == 200 else None,
        typed=dict(visit.form) if status != 200 else {},
        verb=verb,
        wrong=wrong,
    )  # fmt: skip
    return render(visit, "worklist/task.html", shown, status)


def _row(id: str, task: Any, record: Opened, visit: Visit, now: datetime) -> Row:
    person = (
        person_of(record.patient, record.facts.protected) if isinstance(record, Record) else None
    )
    holder = tasks.taken_by(task)
    line = Line(
        self=self_hash("Task", id), id=id, patient=record.patient_self if isinstance(record, Record) else None, kind=tasks.kind_of(task), state=task.status,
        priority=priority_of(task), deadline=tasks.deadline_of(task), level=tasks.level_of(task),
        function=tasks.function_of(task),
        taken_by=(holder.reference or "").removeprefix("PractitionerRole/") if holder is not None else "",
        focus=(task.focus.reference or "") if task.focus is not None else "", up=(),
        open=task.status in tasks.OPEN, task=task,
    )  # fmt: skip
    at = visit.actor.assignment
    return row_of(line, person, at.id if at is not None else "", now)


def _can(task: Any, row: Row) -> frozenset[str]:
    """The verbs that are possible now: what the table of states says, less what has nothing to do."""
    can = {v for v in BY_PEOPLE if task.status in VERBS[v].before}
    if not by_hand(row.kind, row.patient):
        can -= {"complete", "cancel", "reopen"}
    if row.owner:
        can -= {"take"}
    else:
        can -= {"hand-back"}
    if task.status in CLOSED:
        can &= {"reopen"}
    return frozenset(can)


def _way(task: Any, now: datetime) -> tuple[Step, ...]:
    words, known = content("routing/deadlines")["steps"], content("routing/functions")["functions"]
    level = tasks.level_of(task)
    return tuple(
        Step(worded(words, s.step), worded(known, s.function) if s.function else "", show.when(s.at), n <= level)
        for n, s in enumerate(tasks.steps_of(task), 1)
    )  # fmt: skip


def _told(verb: str, by: str, at: str, why: str) -> Told:
    done = {"create": CREATED, "update": UPDATED}.get(verb) or (VERBS[verb].done if verb in VERBS else verb)  # fmt: skip
    return Told(
        show.when(at) if at else "", by, _(done), "" if verb == "remind" else why
    )  # a reminder says so itself
