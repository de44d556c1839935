"""Tasks as pages show them: whom it is about, what, from whom, how long is left, who has it, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _, either, ngettext
from sammanhang.work import tasks
from sammanhang.work.places import by_hand, place_of
from sammanhang.work.queries import Counts, Filter, Line, Listed, counts, worklist

from . import show
from .directory import Directory
from .people import Person, mark_similar
from .routing import Visit

START = 5  # rows on the start page
THINGS = frozenset({"Device", "HealthcareService", "Location", "Organization"})
SIGNS = {"stat": "▲", "asap": "●"}


@dataclass(frozen=True, slots=True)
class Left:
    """How long is left: in words, whether it is overdue, the exact time, and the same as a program reads it."""

    said: str
    late: bool
    exact: str
    at: str


@dataclass(frozen=True, slots=True)
class Row:
    """One task in a list.

    id        of the Task
    person    whom it is about; None when the Task does not say
    concerns  in place of the person what it is about, in words
    patient   id of the patient; empty
    kind      what kind of work, as a key; `what` in words, `more` what is said besides
    whom      who asked for it
    priority  the word, empty when the deadline says more; `sign` before it, `danger` for what is about life
    left      the deadline
    owner     who has it; empty when nobody has. `mine` when that is the reader
    step      the last step up that has been taken, in a word; empty. `high` when heads have it
    next      `take`, `done`, `open` or empty: what the reader does next with it
    place     where it is done; `opens` when that is a page of its own, not the chart
    closed    what became of it when it is no longer open; empty
    """

    id: str
    person: Person | None
    concerns: str
    patient: str
    kind: str
    what: str
    more: str
    whom: str
    priority: str
    sign: str
    danger: bool
    left: Left
    owner: str
    mine: bool
    step: str
    high: bool
    next: str
    place: str
    opens: bool
    closed: str


@dataclass(frozen=True, slots=True)
class Todo:
    """What waits for somebody, on the start page: counts, the most urgent rows, the snapshot live news go on from,
    and what the scripts say."""

    counts: Counts
    rows: tuple[Row, ...]
    since: str
    words: str


async def todo(visit: Visit, also: Sequence[int] = ()) -> tuple[Todo, dict[int, Person]]:
    """What waits, and the people in it by number, those of `also` among them; five queries. Raises `RecordRefused`."""
    doors, actor = visit.services.doors, visit.actor
    seen, since = await counts(doors, actor)
    listed = await worklist(doors, actor, Filter("todo"), limit=START)
    people = await people_in(visit, listed, also)
    return Todo(seen, await rows_of(visit, listed, people), since, words()), people


async def people_in(visit: Visit, listed: Listed, also: Sequence[int] = ()) -> dict[int, Person]:
    """Those a list is about, and others, by the number of their Patient; one query, none for nobody."""
    directory: Directory = visit.request.app.state.directory
    found = [line.patient for line in listed.lines if line.patient is not None]
    return await directory.people(listed.scope, list(dict.fromkeys([*found, *also])))


async def rows_of(visit: Visit, listed: Listed, people: dict[int, Person] | None = None) -> tuple[Row, ...]:  # fmt: skip
    """A list in words, those in it with similar names marked; that it was shown is in the trace."""
    people = people if people is not None else await people_in(visit, listed)
    here = {
        n: people[n] for line in listed.lines if (n := line.patient) is not None and n in people
    }
    marked = dict(zip(here, mark_similar(here.values()), strict=True))
    me = visit.actor.assignment.id if visit.actor.assignment is not None else ""
    if listed.lines:
        count, path = len(listed.lines), visit.request.url.path
        entry = visit.services.doors.entry(visit.actor, "worklist", what=path, count=count, request=visit.id)  # fmt: skip
        await visit.services.audit.record(entry)
    now = clock.now()
    return tuple(row_of(line, marked.get(line.patient or 0), me, now) for line in listed.lines)


def row_of(line: Line, person: Person | None, me: str, now: datetime) -> Row:
    """One line in words, as the holder of an assignment reads it."""
    task, words = line.task, content("routing/deadlines")
    patient = person.id if person is not None else ""
    holder = tasks.taken_by(task)
    mine = bool(me) and line.taken_by == me
    place = place_of(line.kind, line.focus, patient) if patient else ""
    step = last_step(task)
    plain = line.priority == "routine" and line.deadline is not None  # the deadline says more
    return Row(
        id=line.id,
        person=person,
        concerns="" if person is not None else concerns(task),
        patient=patient,
        kind=line.kind,
        what=what_of(task),
        more="" if person is not None and person.protected else task.description or "",
        whom=whom_of(task, person),
        priority="" if plain else worded(words["priorities"], line.priority),
        sign=SIGNS.get(line.priority, ""),
        danger=line.priority == "stat",
        left=left_of(line.deadline, now),
        owner=(name_in(holder) or _("Någon")) if holder is not None or line.taken_by else "",
        mine=mine,
        step=worded(words["steps"], step) if step else "",
        high=step in ("head", "operations"),
        next=_next(line, mine, place, by_hand(line.kind, patient)),
        place=place,
        opens=place not in ("", f"/patients/{patient}"),
        closed="" if line.open else closed_word(line.state),
    )


def _next(line: Line, mine: bool, place: str, ticked: bool) -> str:
    if not line.open:
        return ""
    if not line.taken_by:
        return "take"
    if mine and ticked:
        return "done"
    return "open" if place and not ticked else ""


def worded(table: Any, key: str) -> str:
    """A key of the content in the reader's language; the key itself when it is not there."""
    found = table.get(key)
    return either(found["sv"], found["en"]) if found is not None else key


def what_of(task: Any) -> str:
    """What kind of work it is, in words: that of the step it has come to, or of why it is there, where the content
    knows those."""
    kind = tasks.kind_of(task)
    kinds = content("routing/deadlines")["kinds"]
    rule = kinds.get(kind, {})
    if (why := _code(task.reasonCode)) in rule.get("why", {}):
        return worded(rule["why"], why)
    kind = rule.get("then", {}).get(_code(task.businessStatus), kind)
    if kind in kinds and kind != "otherwise":
        return worded(kinds, kind)
    said = task.code.text if task.code is not None else None
    return said if said and not kind else worded(kinds, "otherwise")


def _code(concept: Any) -> str:
    return next((c.code or "" for c in concept.coding or ()), "") if concept is not None else ""


def whom_of(task: Any, person: Person | None) -> str:
    """Who asked for it. Residents as the row may name them: the patient masked where that is due, others by what
    they are."""
    asked = task.requester
    if asked is None:
        return ""
    kind, _slash, id = (asked.reference or "").partition("/")
    if kind == "RelatedPerson":
        return _("närstående")
    if kind == "Patient":
        if person is None:
            return _("invånare")
        return person.name if person.id == id else _("vårdnadshavare")
    return asked.display or ""


def concerns(task: Any) -> str:
    """What a task without a patient is about: a device, a place, a unit, by the name it is given; else that it is
    about no patient. Of people nothing is said here, for nobody has seen to it that they may be named."""
    about = (r for r in (task.for_, task.focus) if r is not None and r.display)
    named = (r.display for r in about if (r.reference or r.type or "").partition("/")[0] in THINGS)
    return next(named, _("ingen patient"))


def name_in(reference: Any) -> str:
    """The name of `Amira Haddad, sjuksköterska`."""
    return (reference.display or "").split(",")[0] if reference is not None else ""


def last_step(task: Any) -> str:
    """The last step up that has been taken; empty when none has."""
    steps, level = tasks.steps_of(task), tasks.level_of(task)
    return steps[min(level, len(steps)) - 1].step if level and steps else ""


def closed_word(state: str) -> str:
    """What became of a task that is no longer open."""
    return _("klar") if state == "completed" else _("avslutad")


def left_of(deadline: datetime | None, now: datetime) -> Left:
    """`2 tim kvar`, `försenad 40 min`; the exact time beside it."""
    if deadline is None:
        return Left(_("ingen tidsgräns"), True, "", "")
    late = deadline < now
    minutes = int(abs((deadline - now).total_seconds()) // 60)
    span = _span(minutes)
    said = (_("försenad %(span)s") if late else _("%(span)s kvar")) % {"span": span}
    exact = f"{show.short_weekday(deadline)} {show.when(deadline)}"
    return Left(said, late, exact, tasks.instant(deadline))


def _span(minutes: int) -> str:
    if minutes < 60:
        return ngettext("%(n)s min", "%(n)s min", minutes) % {"n": minutes}
    if minutes < 48 * 60:
        return ngettext("%(n)s tim", "%(n)s tim", minutes // 60) % {"n": minutes // 60}
    return ngettext("%(n)s dag", "%(n)s dagar", minutes // 1440) % {"n": minutes // 1440}


def words() -> str:
    """What `live.js` says, in the reader's language, as JSON."""
    return msgspec.json.encode({
        "late": _("försenad %(span)s"), "left": _("%(span)s kvar"), "min": _("%(n)s min"), "hour": _("%(n)s tim"),
        "day": _("%(n)s dag"), "days": _("%(n)s dagar"), "new": _("%(n)s ny"), "news": _("%(n)s nya"),
        "all": _("Listan har ändrats"), "gone": _("inte längre enhetens"),
    }).decode()  # fmt: skip
