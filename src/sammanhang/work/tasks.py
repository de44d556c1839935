"""A Task as work means it: what it is about, for whom, whose it is, by when, and the way up when nobody acts.

The resource is the truth; `work.task` in the database is drawn from it by a trigger (migration 0014), so a Task
written over the API by another system is work like any other.

| In FHIR | is |
|---|---|
| `owner` | the accountable unit; `performerType` the function there |
| extension `task-taken-by` | the person who took it |
| `restriction.period.end` | the deadline |
| extensions `task-way-up` | the steps up, in order: which, to which function, when |
| extensions `task-went-up` | the steps up that were taken: which, to which function, when, at which unit |
| extension `task-level` | how many of them have been taken |
| extension `task-act` | the last thing done with it: verb, by whom, when, why |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sammanhang.fhir.dates import bounds
from sammanhang.fhir.r4 import (
    Annotation,
    CodeableConcept,
    Coding,
    Extension,
    Period,
    Reference,
    Task,
)
from sammanhang.fhir.r4.task import TaskRestriction
from sammanhang.kernel.content import content
from sammanhang.kernel.owner import UNIT

from .deadlines import Deadline, Step

_OWN = "http://sammanhang.se/fhir/StructureDefinition/"
TAKEN_BY, WAY_UP, LEVEL, ACT = (_OWN + n for n in ("task-taken-by", "task-way-up", "task-level", "task-act"))  # fmt: skip
WENT_UP = _OWN + "task-went-up"
KIND = "http://sammanhang.se/fhir/CodeSystem/task-kind"
FUNCTION = "http://sammanhang.se/fhir/CodeSystem/function"
OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})


@dataclass(frozen=True, slots=True)
class Act:
    """What was done with a task: verb, who (`PractitionerRole/…`, or words), when, and why."""

    verb: str
    by: str
    by_text: str
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Up:
    """A step up that was taken: which, to which function, when, and the HSA-id of the unit."""

    step: str
    function: str
    at: str
    unit: str


def instant(at: datetime, *, precise: bool = False) -> str:
    """A time as FHIR writes it, in UTC to the second; `precise` to the millisecond, for what is told in order."""
    said = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{said[:-3] if precise else said[:-7]}Z"


def new_task(
    kind: str,
    *,
    patient: str,
    owner: str,
    owner_name: str,
    function: str,
    focus: Reference,
    deadline: Deadline,
    priority: str,
    requester: Reference,
    at: datetime,
    based_on: Iterable[Reference] = (),
    description: str = "",
    status: str = "requested",
    business: CodeableConcept | None = None,
) -> Task:
    """A Task that has all it must have; `owner` is the HSA-id of the accountable unit, `patient` empty for none."""
    rules, named = content("routing/deadlines")["kinds"], content("routing/functions")
    text = rules.get(kind, rules["otherwise"])["sv"]
    return Task(
        status=status,
        intent="order",
        priority=priority,
        businessStatus=business,
        code=CodeableConcept(coding=[Coding(system=KIND, code=kind, display=text)], text=text),
        description=description or None,
        focus=focus,
        basedOn=list(based_on) or None,
        for_=Reference(reference=f"Patient/{patient}") if patient else None,
        authoredOn=instant(at),
        lastModified=instant(at),
        requester=requester,
        owner=Reference(reference=f"Organization/{owner}", display=owner_name),
        performerType=[_function(function, named)] if function else None,
        restriction=TaskRestriction(period=Period(end=instant(deadline.at))),
        extension=_extensions(deadline.steps),
    )


def _function(code: str, named: Any) -> CodeableConcept:
    known = named["functions"].get(code)
    return CodeableConcept(coding=[Coding(system=FUNCTION, code=code, display=known["sv"] if known else None)])  # fmt: skip


def _extensions(steps: Iterable[Step]) -> list[Extension] | None:
    return [
        Extension(
            url=WAY_UP,
            extension=[
                Extension(url="step", valueCode=s.step),
                *([Extension(url="function", valueCode=s.function)] if s.function else []),
                Extension(url="at", valueDateTime=instant(s.at)),
            ],
        )
        for s in steps
    ] or None


def kind_of(task: Any) -> str:
    """The kind of work; empty for a Task that is none of ours."""
    return next((c.code for c in _codings(task.code) if c.system == KIND and c.code), "")


def function_of(task: Any) -> str:
    """The function whose work it is; empty when the Task does not say."""
    return next(
        (c.code for p in task.performerType or () for c in _codings(p) if c.system == FUNCTION and c.code), ""
    )  # fmt: skip


def owner_of(task: Any) -> str:
    """HSA-id of the accountable unit: the owner, else the unit whose resource it is; empty when there is none."""
    text = _owner(task)
    if text.startswith("Organization/"):
        return text.removeprefix("Organization/")
    tags = (task.meta.tag if task.meta is not None else None) or ()
    return next((t.code for t in tags if t.system == UNIT and t.code), "")


def taken_by(task: Any) -> Reference | None:
    """Who took it; None when nobody has. Another system's Task may name the person as its owner."""
    if _owner(task).startswith("PractitionerRole/"):
        return task.owner  # type: ignore[no-any-return]
    e = _extension(task, TAKEN_BY)
    return e.valueReference if e is not None else None


def level_of(task: Any) -> int:
    """How many steps up have been taken."""
    e = _extension(task, LEVEL)
    return max(0, int(e.valueInteger or 0)) if e is not None else 0


def steps_of(task: Any) -> tuple[Step, ...]:
    """The way up, in order."""
    found = []
    for e in task.extension or ():
        if e.url != WAY_UP:
            continue
        parts = {x.url: x for x in reversed(e.extension or ())}  # of two, the first
        step = parts["step"].valueCode if "step" in parts else None
        at = parts["at"].valueDateTime if "at" in parts else None
        if step and at:
            function = parts["function"].valueCode if "function" in parts else ""
            found.append(Step(step, function or "", bounds(at)[0]))
    return tuple(found)


def ups_of(task: Any) -> tuple[Up, ...]:
    """The steps up that were taken, in order, those before a new deadline too."""
    found = []
    for e in task.extension or ():
        if e.url == WENT_UP:
            parts = {x.url: x for x in e.extension or ()}
            code = {k: parts[k].valueCode or "" if k in parts else "" for k in ("step", "function")}
            at = parts["at"].valueDateTime if "at" in parts else None
            unit = parts["unit"].valueString if "unit" in parts else None
            found.append(Up(code["step"], code["function"], at or "", unit or ""))
    return tuple(found)


def add_ups(task: Any, steps: Iterable[Step], at: datetime) -> None:
    """Notes steps up that are taken; they stay when the deadline is renewed."""
    made = [
        Extension(
            url=WENT_UP,
            extension=[
                Extension(url="step", valueCode=s.step),
                *([Extension(url="function", valueCode=f)] if (f := s.function or function_of(task)) else []),
                Extension(url="at", valueDateTime=instant(at)),
                Extension(url="unit", valueString=owner_of(task)),
            ],
        )
        for s in steps
    ]  # fmt: skip
    task.extension = [*(task.extension or ()), *made]


def deadline_of(task: Any) -> datetime | None:
    """When it is due; None when the Task does not say."""
    period = task.restriction.period if task.restriction is not None else None
    if period is None or not period.end:
        return None
    first, last = bounds(period.end)
    return first if "T" in period.end else last  # a day is over when it ends


def act_of(task: Any) -> Act | None:
    """The last thing done with it."""
    e = _extension(task, ACT)
    if e is None:
        return None
    parts = {x.url: x for x in e.extension or ()}
    by = parts["by"].valueReference if "by" in parts else None
    return Act(
        parts["verb"].valueCode or "" if "verb" in parts else "",
        (by.reference or "") if by is not None else "",
        (by.display or "") if by is not None else "",
        parts["at"].valueDateTime or "" if "at" in parts else "",
        parts["reason"].valueString or "" if "reason" in parts else "",
    )


def set_act(task: Any, verb: str, by: Reference, at: datetime, reason: str = "") -> None:
    """Notes the last thing done; the versions of the Task are its story."""
    parts = [
        Extension(url="verb", valueCode=verb),
        Extension(url="by", valueReference=by),
        Extension(url="at", valueDateTime=instant(at)),
    ]
    if reason:
        parts.append(Extension(url="reason", valueString=reason))
    _replace(task, ACT, Extension(url=ACT, extension=parts))
    # the clock of the system that made it may be ahead of ours, and nothing is modified before it is authored (inv-1)
    ahead = task.authoredOn is not None and bounds(task.authoredOn)[0] > at
    task.lastModified = task.authoredOn if ahead else instant(at)


def set_taken_by(task: Any, who: Reference | None) -> None:
    """Who has it; None gives it back to the function. A person who was the owner no longer is: the unit is."""
    if _owner(task).startswith("PractitionerRole/"):
        task.owner = Reference(reference=f"Organization/{owner_of(task)}")
    _replace(task, TAKEN_BY, Extension(url=TAKEN_BY, valueReference=who) if who is not None else None)  # fmt: skip


def set_level(task: Any, level: int) -> None:
    _replace(task, LEVEL, Extension(url=LEVEL, valueInteger=level) if level else None)


def set_deadline(task: Any, deadline: Deadline) -> None:
    """A new deadline with a way up of its own; the steps begin anew."""
    task.restriction = TaskRestriction(period=Period(end=instant(deadline.at)))
    kept = [e for e in task.extension or () if e.url not in (WAY_UP, LEVEL)]
    task.extension = [*kept, *(_extensions(deadline.steps) or ())] or None


def set_owner(task: Any, unit: str, name: str, function: str) -> None:
    """Another accountable unit or function; nobody there has taken it yet."""
    task.owner = Reference(reference=f"Organization/{unit}", display=name)
    task.performerType = (
        [_function(function, content("routing/functions"))] if function else task.performerType
    )
    set_taken_by(task, None)


def add_note(task: Any, text: str, by: Reference, at: datetime) -> None:
    """A note that stays with the task."""
    note = Annotation(authorString=by.display, time=instant(at), text=text)
    task.note = [*(task.note or ()), note]


def _owner(task: Any) -> str:
    return (task.owner.reference or "") if task.owner is not None else ""


def _codings(concept: Any) -> Iterable[Any]:
    return (concept.coding if concept is not None else None) or ()


def _extension(resource: Any, url: str) -> Any:
    return next((e for e in resource.extension or () if e.url == url), None)


def _replace(resource: Any, url: str, by: Any) -> None:
    kept = [e for e in resource.extension or () if e.url != url]
    resource.extension = ([*kept, by] if by is not None else kept) or None
