"""The care provider's account of its checks: figures a unit and month (PDL 4 kap. 3 §, HSLF-FS 2016:40 4 kap. 9 §).

What was opened comes from the trace as it was gone through; what was found and decided from the cases. A
month without checks is missing, not zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.assurance import record_level
from sammanhang.access.door import Doors
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused

from .cases import may_review, need_reviewer


@dataclass(frozen=True, slots=True)
class Figures:
    """A unit's month. Counts are of accesses, people or cases.

    opened      records opened; 0 with `people` 0 when nothing was
    people      members of staff who opened any
    emergencies emergencies declared
    refusals    refusals by rule
    hits        cases by pattern; a case with two patterns is in both
    cases       cases found
    reviewed    of them decided
    outcomes    decided or looked into, by outcome
    days        median days from found to decided; None when none is decided
    """

    unit: str
    month: date
    opened: int = 0
    people: int = 0
    emergencies: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    cases: int = 0
    reviewed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    days: float | None = None

    @property
    def checked(self) -> bool:
        """Whether any check was carried through that month; without one its figures are missing."""
        return self.reviewed > 0

    @property
    def empty(self) -> bool:
        """Whether nothing at all is known of the unit that month."""
        return not (self.opened or self.refusals or self.emergencies or self.cases)


@dataclass(frozen=True, slots=True)
class Account:
    """All figures, the latest month first, and how recurring the checks are.

    months  first days of the months, the latest first
    run     on how many days of a month the trace was gone through; `last` when it last was
    """

    months: tuple[date, ...]
    figures: dict[tuple[str, date], Figures]
    run: dict[date, int]
    last: datetime | None

    def of(self, unit: str, month: date) -> Figures:
        """The figures of a unit's month; empty ones when there are none."""
        return self.figures.get((unit, month)) or Figures(unit, month)

    @property
    def units(self) -> list[str]:
        return sorted({unit for unit, _ in self.figures})


def whose(actor: Actor) -> tuple[str, str]:
    """(care provider, unit) whose figures the actor may see: a log reviewer all units (''), a head of
    operations the own one. Raises `Refused`."""
    if may_review(actor):
        return need_reviewer(actor), ""
    a = actor.assignment
    heads = content("rules/log_review")["figures_roles"]
    low = actor.loa < record_level(actor)
    if actor.kind != "staff" or low or a is None or a.role not in heads:
        raise Refused(
            "Only log reviewers and heads of operations see these figures.",
            "Bara loggranskare och verksamhetschefer ser de här siffrorna.",
            rule="R36",
        )
    return a.provider, a.unit


def months_back(n: int, today: date) -> tuple[date, ...]:
    """The first days of this month and those before it, `n` in all, the latest first."""
    first = today.year * 12 + today.month - 1
    return tuple(date((first - i) // 12, (first - i) % 12 + 1, 1) for i in range(n))


_QUERIES = {
    "tally": "SELECT unit, month, what, n FROM access.review_tally",
    "people": "SELECT unit, month, count(*) FROM access.review_person",
    "cases": "SELECT unit, date_trunc('month', day)::date, count(*), count(decided),"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided - found) / 86400)"
    " FILTER (WHERE decided IS NOT NULL) FROM access.review_case",
    "outcomes": "SELECT unit, date_trunc('month', day)::date, outcome, count(*) FROM access.review_case",
    "hits": "SELECT unit, date_trunc('month', day)::date, r.pattern, count(*) FROM access.review_case c"
    " JOIN access.review_reason r ON r.review_case = c.id",
}
_GROUPS = {"people": "1, 2", "cases": "1, 2", "outcomes": "1, 2, 3", "hits": "1, 2, 3"}


async def account(doors: Doors, actor: Actor) -> Account:
    """The figures the actor may see; six queries, and the look is in the trace. Raises `Refused`."""
    provider, unit = whose(actor)
    months = months_back(content("rules/log_review")["figures_months"], clock.today())
    found: dict[str, list[tuple[Any, ...]]] = {}
    async with doors.database.writing() as connection:
        doors.database.queries += len(_QUERIES) + 1
        for name, sql in _QUERIES.items():
            when = "month" if name in ("tally", "people") else "day"
            where = f" WHERE provider = %s AND {when} >= %s::date AND (%s = '' OR unit = %s)"
            where += " AND outcome IS NOT NULL" if name == "outcomes" else ""
            group = f" GROUP BY {_GROUPS[name]}" if name in _GROUPS else ""
            found[name] = await connection.fetch(
                sql + where + group, (provider, months[-1], unit, unit)
            )
        run = await connection.fetch(
            "SELECT date_trunc('month', day)::date, count(*), max(ended) FROM access.review_run"
            " WHERE day >= %s::date GROUP BY 1",
            (months[-1],),
        )
    await doors.audit.record(
        doors.entry(actor, "review-figures", rule="R36", what="/review/figures")
    )
    return Account(
        months,
        _gather(found),
        {month: n for month, n, _ in run},
        max((ended for _, _, ended in run), default=None),
    )


def _gather(found: dict[str, list[tuple[Any, ...]]]) -> dict[tuple[str, date], Figures]:
    rows: dict[tuple[str, date], dict[str, Any]] = {}

    def row(unit: str, month: date) -> dict[str, Any]:
        return rows.setdefault((unit, month), {"refusals": {}, "hits": {}, "outcomes": {}})

    for unit, month, what, n in found["tally"]:
        kind, _, rule = what.partition(" ")
        if kind == "refuse":
            row(unit, month)["refusals"][rule] = n
        else:
            row(unit, month)["opened" if kind == "open" else "emergencies"] = n
    for unit, month, n in found["people"]:
        row(unit, month)["people"] = n
    for unit, month, cases, reviewed, days in found["cases"]:
        row(unit, month).update(cases=cases, reviewed=reviewed, days=days)
    for name in ("hits", "outcomes"):
        for unit, month, key, n in found[name]:
            row(unit, month)[name][key] = n
    return {(unit, month): Figures(unit, month, **more) for (unit, month), more in rows.items()}


async def decisions(doors: Doors, actor: Actor) -> list[tuple[Any, ...]]:
    """What came of every case of the last months, for the yearly report: (day, unit, patterns, times, found,
    decided, decided by, outcome, measures, said); nothing that names the patient. Raises `Refused`."""
    provider = need_reviewer(actor)
    first = months_back(content("rules/log_review")["figures_months"], clock.today())[-1]
    async with doors.database.writing() as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT c.day, c.unit, (SELECT string_agg(r.pattern, ',' ORDER BY r.weight DESC, r.pattern)"
            " FROM access.review_reason r WHERE r.review_case = c.id), c.times, c.found, c.decided,"
            " s.name, coalesce(c.outcome, ''), coalesce(array_to_string(s.measures, ','), ''), coalesce(s.said, '')"
            " FROM access.review_case c LEFT JOIN LATERAL (SELECT * FROM access.review_step s"
            " WHERE s.review_case = c.id AND s.kind = 'outcome' ORDER BY s.at DESC LIMIT 1) s ON true"
            " WHERE c.provider = %s AND c.actor <> %s AND c.day >= %s::date ORDER BY c.day, c.found LIMIT 50000",
            (provider, actor.id, first),
        )
    await doors.audit.record(
        doors.entry(actor, "review-list", rule="R36", count=len(rows), what="/review/outcomes.csv")
    )
    return rows
