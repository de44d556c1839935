"""What lists of care requests show: a unit's incoming and outgoing, whose turn it is, by when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sammanhang.access.actor import Actor
from sammanhang.access.door import predicate, shared_with
from sammanhang.access.services import Services
from sammanhang.fhir.decode import trusted
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING, Scope
from sammanhang.store.named import queries
from sammanhang.store.types import NUMBER
from sammanhang.web.directory import Directory
from sammanhang.web.people import Person
from sammanhang.work.deadlines import PRIORITIES

from . import request as fhir
from .states import ENDED, OPEN, WAITS_ON

SQL = queries(Path(__file__).parent / "queries.sql")
MOST = 500
Box = Literal["incoming", "outgoing"]
# What can be looked at in each box: the states.
VIEWS: dict[str, tuple[str, ...]] = {
    "open": OPEN,
    "us": (),
    "them": (),
    "drafts": ("draft",),
    "ended": ENDED,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One request in a list.

    id        of the ServiceRequest
    person    whom it is about
    kind      key of content/routing/requests
    words     what is asked for, in a line; `reason` why
    state     key of states.STATES
    priority  key of content/routing/deadlines priorities
    other     HSA-id of the unit on the other side
    ours      whether the next step is ours
    deadline  by when it is due; None when nothing is waited for
    level     how many steps up it has gone
    authored, modified  when it was sent, when anything last happened
    """

    id: str
    person: Person
    kind: str
    words: str
    reason: str
    state: str
    priority: str
    other: str
    ours: bool
    deadline: datetime | None
    level: int
    authored: datetime | None
    modified: datetime


async def listed(
    services: Services, directory: Directory, actor: Actor, box: Box, view: str
) -> list[Listed]:
    """A unit's requests; three queries. `view` is a key of `VIEWS`."""
    assert actor.assignment is not None
    database = services.database
    side = "sender" if box == "outgoing" else "receiver"
    states = _states(view, side)
    order = (
        "q.modified DESC"
        if view in ("ended", "drafts")
        else "q.priority, t.deadline NULLS LAST, q.modified"
    )
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        sql = SQL["listed"].format(side=side, order=order)
        rows = await connection.fetch(sql, (actor.assignment.unit, list(states), MOST))
    if not rows:
        return []
    own = await database.party(actor.assignment.provider)
    # They name the unit as sender or receiver, which is a care relation (R2); the wall says the rest (R41).
    scope = Scope(
        register=True, patients="*", providers=(own,) if own else (), shared=shared_with(actor.assignment.provider)
    )  # fmt: skip
    wall, args = predicate(scope, "r")
    async with database.reading(scope) as connection:
        database.queries += 1
        sql = SQL["bodies"].format(wall=wall)
        bodies = dict(
            await connection.fetch(
                sql, (NUMBER["ServiceRequest"], numbers(r[0] for r in rows), *args)
            )
        )
    people = await directory.people(
        scope, list(dict.fromkeys(r[2] for r in rows if r[2] is not None))
    )
    return [
        _listed(r, trusted(bodies[r[0]], "ServiceRequest"), people[r[2]], side)
        for r in rows
        if r[0] in bodies and r[2] in people
    ]


def _states(view: str, side: str) -> tuple[str, ...]:
    if view == "us":
        return tuple(s for s in OPEN if WAITS_ON[s] == side)
    if view == "them":
        return tuple(s for s in OPEN if WAITS_ON[s] not in (side, None))
    return VIEWS.get(view, OPEN)


def _listed(r: tuple[Any, ...], request: Any, person: Person, side: str) -> Listed:
    words = fhir.question_of(request) or fhir.reason_of(request)
    return Listed(
        r[1], person, r[3], " ".join(words.split())[:160], fhir.reason_of(request), r[4], PRIORITIES[r[5]], r[7] if side == "sender" else r[6],
        WAITS_ON[r[4]] == side, r[10], r[11], r[8], r[9],
    )  # fmt: skip


async def counts(services: Services, unit: str) -> dict[tuple[str, str], int]:
    """How many there are, by box and view; one query."""
    database = services.database
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        rows = await connection.fetch(SQL["counts"], (unit, unit))
    found: dict[tuple[str, str], int] = {}
    for box, state, n in rows:
        side = "sender" if box == "outgoing" else "receiver"
        for view in VIEWS:
            if state in _states(view, side):
                found[(box, view)] = found.get((box, view), 0) + n
    return found
