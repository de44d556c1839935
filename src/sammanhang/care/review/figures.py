"""The pages of figures: a month of all units, or the months of one; and the same as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.responses import Response

from sammanhang.access.review import figures
from sammanhang.access.review.figures import Figures
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _, language
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from . import words


@dataclass(frozen=True, slots=True)
class FigureLine:
    """A unit's month in words and numbers.

    head      the unit, or the month; `address` where a click on it leads, may be empty
    missing   nothing is known of it; `unchecked` no check was carried through
    share     per cent of the cases that are decided
    hits, outcomes, refusals   (words, how many)
    days      median days from found to decided
    """

    head: str
    address: str
    missing: bool
    unchecked: bool
    opened: str
    people: str
    emergencies: str
    cases: str
    share: str
    days: str
    hits: tuple[tuple[str, int], ...]
    outcomes: tuple[tuple[str, int], ...]
    refusals: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """Figures.

    whose    whose they are: a unit, or the care provider with the month
    lines    one a unit, or one a month
    by_month whether the lines are months
    months, units   what can be chosen: (key, words)
    month, unit     what is chosen
    last     when the log was last gone through, in words; empty for never
    run      on how many days of each shown month it was, in words
    reviewer whether the reader is a log reviewer
    """

    title: str
    whose: str
    lines: tuple[FigureLine, ...]
    by_month: bool
    months: tuple[tuple[str, str], ...]
    units: tuple[tuple[str, str], ...]
    month: str
    unit: str
    last: str
    run: str
    reviewer: bool


@page("/review/figures", access="staff")
async def figures_page(visit: Visit) -> Response:
    """Figures per unit: all units to a log reviewer, the own one to a head of operations (R36)."""
    found = await figures.account(visit.services.doors, visit.actor)
    _provider, own = figures.whose(visit.actor)
    names = await visit.services.doors.names(sorted({*found.units, own} - {""}))
    unit = own or visit.asked("unit")
    unit = unit if unit == own or unit in found.units else ""
    month = next(
        (m for m in found.months if m.isoformat() == visit.asked("month")), found.months[0]
    )
    a = visit.actor.assignment
    if unit:
        lines = tuple(_line(_month(m), "", found.of(unit, m)) for m in found.months)
        shown_months = found.months
    else:
        lines = tuple(
            _line(names.get(u, u), f"/review/figures?unit={u}", found.of(u, month))
            for u in sorted(found.units, key=lambda u: names.get(u, u))
        )
        shown_months = (month,)
    page_ = FiguresPage(
        title=_("Loggkontroller"),
        whose=names.get(unit, unit) if unit else (a.provider_name if a is not None else ""),
        lines=lines,
        by_month=bool(unit),
        months=tuple((m.isoformat(), _month(m)) for m in found.months),
        units=() if own else tuple((u, names.get(u, u)) for u in sorted(found.units, key=lambda u: names.get(u, u))),
        month="" if unit else month.isoformat(),
        unit=unit,
        last=show.when(found.last) if found.last is not None else "",
        run="; ".join(f"{_month(m)}: {found.run[m]}" for m in shown_months if m in found.run),
        reviewer=not own,
    )  # fmt: skip
    return render(visit, "review/figures.html", page_)


def _month(month: date) -> str:
    return f"{show.MONTHS[language()][month.month - 1]} {month.year}"


def _line(head: str, address: str, f: Figures) -> FigureLine:
    rules = content("rules/log_review")
    return FigureLine(
        head=head,
        address=address,
        missing=f.empty,
        unchecked=not f.checked,
        opened=show.number(f.opened),
        people=show.number(f.people),
        emergencies=show.number(f.emergencies),
        cases=show.number(f.cases),
        share=f"{round(100 * f.reviewed / f.cases)} %" if f.cases else "",
        days=show.number(f"{f.days:.1f}") if f.days is not None else "",
        hits=tuple((words.pattern(k), f.hits[k]) for k in rules["patterns"] if k in f.hits),
        outcomes=tuple(
            (words.outcome(k), f.outcomes[k]) for k in rules["outcomes"] if k in f.outcomes
        ),
        refusals=tuple(sorted(f.refusals.items())),
    )


@page("/review/figures.csv", access="staff")
async def figures_file(visit: Visit) -> Response:
    """Every unit and month as a file; cells of months without checks are empty, not zero."""
    found = await figures.account(visit.services.doors, visit.actor)
    _provider, own = figures.whose(visit.actor)
    names = await visit.services.doors.names(sorted({*found.units, own} - {""}))
    rules = content("rules/log_review")
    patterns, outcomes = list(rules["patterns"]), list(rules["outcomes"])
    refused = sorted({rule for f in found.figures.values() for rule in f.refusals})
    head = [
        _("Månad"), _("Enhet"), _("HSA-id"), _("Öppnade journaler"), _("Medarbetare"), _("Nödöppningar"),
        *(_("Nekade %(rule)s") % {"rule": rule} for rule in refused), _("Träffar"),
        *(words.pattern(p) for p in patterns), _("Avgjorda"), *(words.outcome(o) for o in outcomes),
        _("Dagar till avgörande, median"),
    ]  # fmt: skip
    rows = []
    for unit in sorted({*found.units, own} - {""}, key=lambda u: names.get(u, u)):
        for month in found.months:
            f = found.of(unit, month)
            start: list[Any] = [f"{month:%Y-%m}", names.get(unit, unit), unit]
            if f.empty:
                rows.append(start + [""] * (len(head) - 3))
                continue
            checks = [f.reviewed, *(f.outcomes.get(o, 0) for o in outcomes), "" if f.days is None else f"{f.days:.1f}"]  # fmt: skip
            rows.append(
                [
                    *start, f.opened, f.people, f.emergencies, *(f.refusals.get(r, 0) for r in refused), f.cases,
                    *(f.hits.get(p, 0) for p in patterns), *(checks if f.checked else [""] * len(checks)),
                ]
            )  # fmt: skip
    return _file("loggkontroller.csv", head, rows)


@page("/review/outcomes.csv", access="staff")
async def outcomes_file(visit: Visit) -> Response:
    """What came of every case, for the yearly report; it names no patient and nobody who was reviewed."""
    found = await figures.decisions(visit.services.doors, visit.actor)
    names = await visit.services.doors.names(sorted({row[1] for row in found}))
    head = [
        _("Dag"), _("Enhet"), _("Anledning"), _("Antal gånger"), _("Hittat"), _("Avgjort"), _("Av"), _("Utfall"),
        _("Det här är gjort"), _("Vad visade granskningen?"),
    ]  # fmt: skip
    rows = [
        [
            day.isoformat(), names.get(unit, unit), ", ".join(map(words.pattern, (patterns or "").split(","))), times,
            show.when(at), show.when(decided) if decided else "", by or "", words.outcome(outcome),
            words.measures(filter(None, measures.split(","))), said,
        ]
        for day, unit, patterns, times, at, decided, by, outcome, measures, said in found
    ]  # fmt: skip
    return _file("loggranskning.csv", head, rows)


def _file(name: str, head: list[str], rows: Iterable[list[Any]]) -> Response:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(head)
    for row in rows:
        writer.writerow([show.cell(c) for c in row])
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )
