"""By when, and the way up when nobody acts: counted once, when the work is made, from content/routing/deadlines.

What was promised to whoever sent it stays as it was promised: a change of the content holds for work made after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sammanhang.kernel.content import content
from sammanhang.kernel.working_time import Calendar, due, working_time

PRIORITIES = ("stat", "asap", "urgent", "routine")


@dataclass(frozen=True, slots=True)
class Step:
    """One step up: `reminder`, `colleague`, `head` or `operations`; to which function; when."""

    step: str
    function: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something is due, and what happens if it is not done."""

    at: datetime
    steps: tuple[Step, ...]


def priority_of(resource: Any) -> str:
    """The priority of an order or Task; routine when it does not say (FHIR: normal priority)."""
    return resource.priority if resource.priority in PRIORITIES else "routine"


def deadline(kind: str, priority: str, start: datetime, worked: Calendar) -> Deadline:
    """The deadline and way up of work of a kind that is made at `start` for a unit that works so."""
    rules = content("routing/deadlines")
    row = rules["kinds"].get(kind, rules["kinds"]["otherwise"])
    return with_way_up(due(start, row["within"][priority], worked), priority, start, worked)


def with_way_up(at: datetime, priority: str, start: datetime, worked: Calendar) -> Deadline:
    """A deadline that somebody has set, with the way up of its priority."""
    steps = []
    for row in content("routing/deadlines")["way_up"]:
        if "share" in row:
            when = _share(start, at, row["share"], worked, priority)
        else:
            after = row["after"].get(priority, row["after"])
            when = due(at, after, worked)
        steps.append(Step(row["step"], row.get("function", ""), when))
    return Deadline(at, tuple(sorted(steps, key=lambda s: s.at)))


def _share(
    start: datetime, end: datetime, share: float, worked: Calendar, priority: str
) -> datetime:
    """The instant when a share of the time to the deadline is gone: of working time, where that is counted."""
    if priority in ("stat", "asap"):
        return start + (end - start) * share
    time = working_time(start, end, worked)
    return worked.after_hours(start, time * share) if time > timedelta() else end
