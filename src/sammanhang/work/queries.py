"""Worklists: what a unit has to do, as somebody there may see it, oldest deadline first.

Which tasks are somebody's to see: those of a function their role is part of, those that name no function, those that
have come up to one of their functions, and what they have taken. `everything` shows all of the unit. The rows come
through the wall, limited to tasks of the unit: that a task names the unit is a care relation (R2).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.door import (
    Doors,
    RecordRefused,
    decide_without_patient,
    predicate,
    shared_with,
)
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel import clock
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING, Database, Scope
from sammanhang.store.types import NUMBER

from .commands import head_functions, in_functions
from .deadlines import PRIORITIES
from .sql import SQL

LISTS = ("todo", "mine", "unit", "up")


@dataclass(frozen=True, slots=True)
class Filter:
    """What of a worklist is wanted.

    list        `todo`: what waits for me, mine and what nobody has taken; `mine`: what I have taken; `unit`: the
                unit's that is mine to see; `up`: what has come up to heads
    priorities  only these (keys of content/routing/deadlines); all when empty
    kind        only this kind of work; all when empty
    late        only what is overdue
    free        only what nobody has taken
    everything  all the unit's, whichever function it belongs to
    """

    list: str = "unit"
    priorities: tuple[str, ...] = ()
    kind: str = ""
    late: bool = False
    free: bool = False
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Who:
    """Whose eyes a list is seen with: unit, assignment, its functions, and those of them that are a head's."""

    unit: str
    assignment: str
    functions: frozenset[str]
    head: frozenset[str]


@dataclass(frozen=True, slots=True)
class Line:
    """One task of a list: what the database draws from it, and the Task itself."""

    self: int
    id: str
    patient: int | None
    kind: str
    state: str
    priority: str
    deadline: datetime | None
    level: int
    function: str
    taken_by: str
    focus: str
    up: tuple[str, ...]
    open: bool
    task: Any = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list, whether there is more after it, and the scope the rows were read in."""

    lines: tuple[Line, ...]
    more: bool
    scope: Scope


@dataclass(frozen=True, slots=True)
class Counts:
    """How much work there is: taken by me, nobody's yet, overdue, gone up, and all that is mine to see."""

    mine: int = 0
    free: int = 0
    late: int = 0
    up: int = 0
    all: int = 0

    @property
    def waiting(self) -> int:
        """What waits for me: mine, and what nobody has taken."""
        return self.mine + self.free


Group = tuple[str, list[str], str, int, int]
"""Function, functions it has come up to, who took it, how many, how many of them overdue."""


@dataclass(frozen=True, slots=True)
class Groups:
    """A unit's open work by whose it is, and the snapshot it was read in: what changes later is told from there."""

    found: list[Group]
    snapshot: str


def who_of(actor: Actor) -> Who:
    """Raises `RecordRefused` for whoever has no work in records (R1, role)."""
    refused = decide_without_patient(actor)
    if refused is not None or actor.assignment is None:
        assert refused is not None
        raise RecordRefused(refused, None)
    a = actor.assignment
    functions = frozenset(in_functions(a.role))
    return Who(a.unit, a.id, functions, functions & head_functions())


async def worklist(
    doors: Doors, actor: Actor, wanted: Filter, *, limit: int = 60, offset: int = 0, now: datetime | None = None
) -> Listed:  # fmt: skip
    """A page of a worklist; three queries. Raises `RecordRefused`."""
    who = who_of(actor)
    also, values = _where(who, wanted, now or clock.now())
    values |= {"limit": limit + 1, "offset": offset}
    rows = await _rows(doors.database, SQL["worklist"].format(also=also), values)
    scope, lines = await _with_bodies(doors, actor, rows[:limit])
    return Listed(lines, len(rows) > limit, scope)


async def some(doors: Doors, actor: Actor, ids: list[str]) -> Listed:
    """These tasks of the actor's unit, open or closed; those of others are left out. Raises `RecordRefused`."""
    who = who_of(actor)
    selves = numbers(self_hash("Task", id) for id in ids)
    rows = await _rows(doors.database, SQL["some"], {"unit": who.unit, "selves": selves})
    scope, lines = await _with_bodies(doors, actor, rows)
    return Listed(lines, False, scope)


async def groups(database: Database, unit: str, now: datetime) -> Groups:
    """How much open work a unit has, by function, way up and taker; one query."""
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        rows = await connection.fetch(SQL["counts"], (now, unit))
    return Groups([(r[1], r[2], r[3], r[4], r[5]) for r in rows if r[1] is not None], rows[0][0])


def counted(found: list[Group], who: Who) -> Counts:
    """The counts somebody sees, of a unit's groups."""
    mine = free = late = up = all_ = 0
    for function, came_to, taken_by, n, overdue in found:
        if not sees(who, function, came_to, taken_by):
            continue
        all_ += n
        late += overdue
        mine += n if taken_by == who.assignment else 0
        free += n if not taken_by else 0
        up += n if (who.head & set(came_to) if who.head else came_to) else 0
    return Counts(mine, free, late, up, all_)


async def counts(doors: Doors, actor: Actor, now: datetime | None = None) -> tuple[Counts, str]:
    """The counts, and the snapshot they were read in; one query. Raises `RecordRefused`."""
    who = who_of(actor)
    read = await groups(doors.database, who.unit, now or clock.now())
    return counted(read.found, who), read.snapshot


def sees(who: Who, function: str, up: list[str] | tuple[str, ...], taken_by: str) -> bool:
    """Whether a task of the unit is theirs to see without asking for everything."""
    return (
        not function
        or function in who.functions
        or taken_by == who.assignment
        or not who.functions.isdisjoint(up)
    )


def fits(
    who: Who, wanted: Filter, *, owner: str, open: bool, kind: str, priority: str, deadline: datetime | None,
    function: str, up: list[str], taken_by: str, now: datetime,
) -> bool:  # fmt: skip
    """Whether a task is in a list: what `_where` says in SQL, for one that has just changed."""
    if owner != who.unit or not open:
        return False
    if wanted.list == "mine" and taken_by != who.assignment:
        return False
    if wanted.list == "up" and who.head.isdisjoint(up):
        return False
    if wanted.list == "todo" and taken_by not in ("", who.assignment):
        return False
    if wanted.list in ("todo", "unit") and not wanted.everything and not sees(who, function, up, taken_by):  # fmt: skip
        return False
    return (
        (not wanted.priorities or priority in wanted.priorities)
        and (not wanted.kind or kind == wanted.kind)
        and (not wanted.late or (deadline is not None and deadline < now))
        and (not wanted.free or not taken_by)
    )


def _where(who: Who, wanted: Filter, now: datetime) -> tuple[str, dict[str, Any]]:
    parts: list[str] = []
    values: dict[str, Any] = {"unit": who.unit, "me": who.assignment, "now": now}
    if wanted.list == "mine":
        parts.append("t.taken_by = %(me)s")
    elif wanted.list == "up":
        parts.append("t.up && %(head)s::text[]")
        values["head"] = sorted(who.head)
    if wanted.list == "todo":
        parts.append("t.taken_by IN ('', %(me)s)")
    if wanted.list in ("todo", "unit") and not wanted.everything:
        parts.append("(t.function = ANY(%(functions)s::text[]) OR t.up && %(functions)s::text[] OR t.taken_by = %(me)s)")  # fmt: skip
        values["functions"] = ["", *sorted(who.functions)]
    if wanted.priorities:
        parts.append("t.priority = ANY(%(priorities)s::smallint[])")
        values["priorities"] = [PRIORITIES.index(p) for p in wanted.priorities]
    if wanted.kind:
        parts.append("t.kind = %(kind)s")
        values["kind"] = wanted.kind
    if wanted.late:
        parts.append("t.deadline < %(now)s")
    if wanted.free:
        parts.append("t.taken_by = ''")
    return "".join(f" AND {p}" for p in parts), values


async def _rows(database: Database, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(sql, values)
        return list(await cursor.fetchall())


async def scope_at(doors: Doors, actor: Actor) -> Scope:
    """The wall for a list: the own care provider's, and what has been sent to it (R41), of any patient."""
    assert actor.assignment is not None
    own = actor.assignment.provider
    number = await doors.database.party(own)
    return Scope(
        register=True,
        patients="*",
        providers=(number,) if number is not None else (),
        shared=shared_with(own),
    )


async def _with_bodies(
    doors: Doors, actor: Actor, rows: list[tuple[Any, ...]]
) -> tuple[Scope, tuple[Line, ...]]:
    """The rows whose Task the wall lets through, in their order."""
    scope = await scope_at(doors, actor)
    if not rows:
        return scope, ()
    where, args = predicate(scope, "r")
    values = (NUMBER["Task"], numbers(r[0] for r in rows), *args)
    async with doors.database.reading(scope) as connection:
        doors.database.queries += 1
        found = await connection.fetch(SQL["bodies"].format(wall=where), values)
    bodies = dict(found)
    lines = [_line(r, trusted(bodies[r[0]], "Task")) for r in rows if r[0] in bodies]
    return scope, tuple(lines)


def _line(r: tuple[Any, ...], task: Any) -> Line:
    (
        self,
        id,
        patient,
        kind,
        state,
        priority,
        deadline,
        level,
        function,
        taken_by,
        focus,
        up,
        open,
    ) = r
    return Line(
        self, id, patient, kind, state, PRIORITIES[priority], deadline, level, function, taken_by, focus, tuple(up), open,
        task,
    )  # fmt: skip


async def unrouted(database: Database, unit: str = "") -> int:
    """How many requests that no rule could route wait to be distributed, at a unit or everywhere; one query."""
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        rows = await connection.fetch(SQL["unrouted"], (unit, unit))
    return int(rows[0][0])
