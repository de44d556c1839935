"""Follow-up of what was typed twice (M67): the counts by unit and form, as those see them whose figures they are (R38).

A count under the smallest that is told is left out, zero too, and a share stands only where all it is made of does: no
number on the page can be had from the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from starlette.responses import Response

from sammanhang.access.review.figures import months_back
from sammanhang.forms import library
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from .retyped import Retyped, retyped, whose

PERIODS = {"month": N_("Den här månaden"), "last": N_("Förra månaden"), "year": N_("12 månader")}
COLUMNS = (
    (N_("Skickade"), N_("begäranden som skickades under perioden.")),
    (N_("Behållet"), N_("svar som journalen fyllde i och som stod kvar.")),
    (N_("Ändrat"), N_("svar som journalen fyllde i och som skrevs över.")),
    (N_("Borttaget"), N_("svar som journalen fyllde i och som tömdes.")),
    (N_("Skrivet igen"), N_("svar som skrevs för hand fast journalen hade ett. Ska inte förekomma.")),
    (N_("Nytt"), N_("svar som skrevs för hand när journalen inte hade något.")),
    (N_("Dubbletter"), N_("pågående begäranden av samma slag för patienten när en skickades.")),
    (N_("Andel behållet"), N_("av det som journalen fyllde i.")),
    (N_("Andel skrivet igen"), N_("av det som journalen visste.")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One unit's figures for one form, in the order of `COLUMNS`; None for one that is not told."""

    unit: str
    form: str
    figures: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class FollowUpPage:
    """What was typed though the record had it.

    whose     the care provider, or the unit, whose figures these are
    periods   what can be chosen: key, words, and whether it is
    span      the first and the last day that are counted
    columns   the headings, and what each means
    lines     by unit and form
    smallest  the smallest count that is told
    """

    title: str
    whose: str
    periods: tuple[tuple[str, str, bool], ...]
    span: tuple[str, str]
    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    smallest: int


@page("/followup/retyped", access="staff")
async def follow_up(visit: Visit) -> Response:
    """The figures of a period. Three queries, and the look is in the trace. Raises `NotYourFigures`."""
    services, actor = visit.services, visit.actor
    unit = whose(actor)
    asked = visit.asked("period")
    period = asked if asked in PERIODS else "month"
    first, after = span(period, clock.today())
    found = await retyped(services, actor, _start(first), _start(after))
    names = await services.doors.names(sorted({r.unit for r in found}))
    lines = [await _line(visit, r, names[r.unit]) for r in found]
    await services.audit.record(
        services.doors.entry(actor, "figures", rule="R38", what=f"/followup/retyped?period={period}", count=len(found), request=visit.id)
    )  # fmt: skip
    at = actor.assignment
    assert at is not None  # `whose` has seen to it
    shown = FollowUpPage(
        title=_("Skrivet två gånger"),
        whose=at.unit_name if unit else at.provider_name,
        periods=tuple((key, _(said), key == period) for key, said in PERIODS.items()),
        span=(show.plain_day(first), show.plain_day(min(after - timedelta(days=1), clock.today()))),
        columns=tuple((_(name), _(means)) for name, means in COLUMNS),
        lines=tuple(sorted(lines, key=lambda line: (line.unit, line.form))),
        smallest=_smallest(),
    )
    return render(visit, "requests/followup.html", shown)


def span(period: str, today: date) -> tuple[date, date]:
    """The first day of a period, and the day after its last."""
    months = months_back(12, today)
    if period == "last":
        return months[1], months[0]
    first = months[-1] if period == "year" else months[0]
    return first, (months[0] + timedelta(days=32)).replace(day=1)


def _start(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), clock.STOCKHOLM)


async def _line(visit: Visit, one: Retyped, unit: str) -> Line:
    return Line(unit or _("ingen enhet"), await _form(visit, one.form), told(one))


async def _form(visit: Visit, address: str) -> str:
    """The name of a form; its address when it is no longer there."""
    try:
        return str((await library.find(visit.services.database, address)).title) or address
    except library.NoSuchForm:
        return address


def told(one: Retyped) -> tuple[str | None, ...]:
    """The figures in words, without those that are not told (R38). Of few requests nothing is."""
    smallest, c = _smallest(), one.counts
    counts = (one.sent, c.kept, c.changed, c.removed, c.retyped, c.typed, c.duplicates)
    few = one.sent < smallest
    return (
        *(None if few or n < smallest else show.number(n) for n in counts),
        None if few else _share(c.kept, c.changed, c.removed),
        None if few else _share(c.retyped, c.kept, c.changed, c.removed),
    )


def _share(part: int, *rest: int) -> str | None:
    """Per cent that a part is of itself and the rest; None when one of them is not told."""
    if min(part, *rest) < _smallest():
        return None
    return f"{round(100 * part / (part + sum(rest)))} %"


def _smallest() -> int:
    return int(content("rules/secondary_use")["smallest_count"])
