"""What a change of a rule's parameters would have done to last month's accesses, before it is made.

The trace tells who opened whose record, or was refused. Each is decided twice on the facts as they stand now: with
the parameters in force, and with the changed ones. What was so only then is taken from the trace: the time, the
declared reason, that there was a care relation. An emergency that is over is not played again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sammanhang.kernel.content import content, instead
from sammanhang.store.database import NOTHING, Database
from sammanhang.store.trace import Entry, entries_in

from .actor import Actor
from .door import Doors
from .facts import facts_of
from .rules import Decision, Facts, decide
from .staff import assignment_of

OPENINGS = ("open", "refuse")


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of change: `closed`, `opened`, `more` or `less` seen; under which rules; for which role; how often."""

    kind: str
    before: str
    after: str
    role: str
    times: int


@dataclass
class Preview:
    """What would have been different.

    accesses  openings and refusals looked at; `share` the part of the trace they were drawn from, 1 for all of it
    pairs     different people and patients among them
    gone      accesses that cannot be decided again: the person, the assignment or the patient is no longer there
    lines     what would have been different, the most frequent first
    """

    accesses: int = 0
    share: float = 1.0
    pairs: int = 0
    gone: int = 0
    lines: list[Line] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return sum(line.times for line in self.lines)


# drawn: blocks of the trace since a time, a part of them when there are many
_DRAWN = (
    "SELECT entries FROM audit.block TABLESAMPLE SYSTEM (%s) REPEATABLE (1) WHERE at >= %s LIMIT %s"
)
_SIZE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'audit.block'::regclass"


async def preview(
    doors: Doors, changed: Mapping[str, Any], *, days: int = 30, most: int = 20_000
) -> Preview:
    """Decides the accesses of the last days again with changed content (`{"rules/ages": {…}}`).

    At most about `most` blocks of the trace are read; `share` tells how large a part that was.
    """
    entries, share = await _drawn(doors.database, days, most)
    found = Preview(accesses=len(entries), share=share)
    times: Counter[tuple[str, str, str, str]] = Counter()
    cases: dict[tuple[str, str | None, str, str, str], list[Entry]] = {}
    for e in entries:
        key = (e.actor, e.assignment, e.patient or "", e.rule or "", e.purpose or "")
        cases.setdefault(key, []).append(e)
    people: dict[tuple[str, str | None], Actor | None] = {}
    for (who, assignment, patient, _, _), same in cases.items():
        place = (who, assignment)
        if place not in people:
            people[place] = await _actor(doors.database, who, assignment)
        actor = people[place]
        facts = await _facts(doors, actor, patient, same[-1]) if actor is not None else None
        if actor is None or facts is None:
            found.gone += len(same)
            continue
        was = decide(actor, facts)
        with instead(changed):
            becomes = decide(actor, facts)
        kind = difference(was, becomes)
        if kind is not None:
            role = actor.assignment.role if actor.assignment is not None else actor.kind
            times[(kind, was.rule, becomes.rule, role)] += len(same)
    found.pairs = len({(k[0], k[2]) for k in cases})
    found.lines = [Line(*key, n) for key, n in times.most_common()]
    return found


def difference(was: Decision, becomes: Decision) -> str | None:
    """`closed`, `opened`, `more`, `less`, or None when the same is seen."""
    if was.effect != becomes.effect:
        return "closed" if becomes.effect == "deny" else "opened"
    if was.effect == "deny":
        return None
    more = becomes.owners - was.owners or was.hidden_units - becomes.hidden_units
    more = more or was.hidden_labels - becomes.hidden_labels
    less = was.owners - becomes.owners or becomes.hidden_units - was.hidden_units
    less = less or becomes.hidden_labels - was.hidden_labels
    return "less" if less else "more" if more else None


async def _drawn(database: Database, days: int, most: int) -> tuple[list[Entry], float]:
    since = datetime.now(UTC) - timedelta(days=days)
    async with database.reading(NOTHING) as connection:
        ((rows,),) = await connection.fetch(_SIZE, ())
        share = min(1.0, most / rows) if rows else 1.0
        blocks = await connection.fetch(_DRAWN, (share * 100, since, most * 2))
    entries = [
        e
        for (lines,) in blocks
        for e in entries_in(lines)
        if e.action in OPENINGS
        and e.patient
        and e.actor.startswith(("Practitioner/", "Patient/"))
        and e.rule not in ("CSRF", "SCOPE", None)
        and datetime.fromisoformat(e.at.replace("Z", "+00:00")) >= since
    ]
    return entries, share


async def _actor(database: Database, who: str, assignment: str | None) -> Actor | None:
    strong = max(content("rules/assurance")[k] for k in ("staff_record", "resident_record"))
    kind, _, id = who.partition("/")
    if kind == "Patient":
        return Actor("resident", who, loa=strong)
    held = await assignment_of(database, id, assignment) if assignment else None
    return Actor("staff", who, loa=strong, assignment=held.assignment) if held else None


async def _facts(doors: Doors, actor: Actor, patient: str, entry: Entry) -> Facts | None:
    a = actor.assignment
    unit = await doors.database.party(a.unit) if a is not None else None
    facts, person = await facts_of(doors.database, actor, patient, unit)
    if person is None:
        return None
    declared = entry.purpose if entry.purpose in content("rules/reasons")["reasons"] else None
    return replace(
        facts,
        at=datetime.fromisoformat(entry.at.replace("Z", "+00:00")),
        relation=facts.relation or (entry.action == "open" and entry.rule in ("R2", "R16")),
        declared=facts.declared or declared,
    )
