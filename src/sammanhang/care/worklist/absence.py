"""Who is away when, and who stands in: noted by the person, or by a head of the unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from starlette.responses import RedirectResponse, Response

from sammanhang.access.staff import resources, shown_name
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Invalid, NotFound, Refused
from sammanhang.kernel.i18n import _
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work import commands, moving
from sammanhang.work.queries import who_of

from .doing import sentence


class NoSuchDay(Invalid):
    """A day is written as 2026-12-24."""

    def __init__(self) -> None:
        super().__init__("Write the days as 2026-12-24.", "Skriv dagarna som 2026-12-24.")


@dataclass(frozen=True, slots=True)
class Away:
    """One absence in words; `now` when it has begun, `mine` when the reader may end it."""

    id: str
    assignment: str
    who: str
    first: str
    last: str
    substitute: str
    now: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class AbsencePage:
    """The unit's absences, and the form that notes one.

    unit    name of the unit
    away    who is away, now and later
    whose   for whom the reader may note one: assignment and name; `substitutes` who may stand in
    me      the reader's own assignment
    saved   whether one was just noted
    typed   what was typed, when something was wrong with it; `wrong` says what
    """

    title: str
    unit: str
    away: tuple[Away, ...]
    whose: tuple[tuple[str, str], ...]
    substitutes: tuple[tuple[str, str], ...]
    me: str
    saved: bool
    typed: dict[str, str]
    wrong: str


@page("/work/absence", access="staff")
async def absence_page(visit: Visit) -> Response:
    """Who is away at the unit, and the form."""
    return await _show(visit)


@page("/work/absence", access="staff", methods=("POST",))
async def note_or_end(visit: Visit) -> Response:
    """Notes an absence, or ends one. What is wrong is said on the page, with what was typed."""
    doors, actor, form = visit.services.doors, visit.actor, visit.form
    who_of(actor)
    try:
        if form.get("do") == "end":
            await moving.end_absence(doors, actor, form.get("absence", ""), form.get("assignment", ""))  # fmt: skip
            return RedirectResponse("/work/absence", 303)
        if form.get("do") != "note":
            raise NotFound("There is no such choice.", "Det valet finns inte.")
        begins, ends = _instant(form.get("first", "")), _instant(form.get("last", ""), after=True)
        whose = form.get("whose", "")
        await moving.note_absence(doors, actor, whose, begins, ends, form.get("substitute", ""))
    except (Invalid, Refused) as e:
        return await _show(visit, sentence(e), 403 if isinstance(e, Refused) else 400)
    return RedirectResponse("/work/absence?saved=1", 303)


def _instant(text: str, *, after: bool = False) -> datetime:
    """The first instant of a day, or of the day after. Raises `NoSuchDay`."""
    try:
        day = date.fromisoformat(text.strip()) + timedelta(days=1 if after else 0)
        return datetime.combine(day, datetime.min.time(), clock.STOCKHOLM)
    except (ValueError, OverflowError):
        raise NoSuchDay from None


async def _show(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    doors, at = visit.services.doors, visit.actor.assignment
    who = who_of(visit.actor)
    there = await commands.colleagues(doors, who.unit)
    people = await resources(doors.database, "Practitioner", {c.practitioner for c in there})
    doors.database.queries += 2
    names = {
        c.assignment: f"{shown_name(people[c.practitioner])}, {c.role_text.lower()}"
        for c in there
        if c.practitioner in people
    }
    own = {c.assignment for c in there if f"Practitioner/{c.practitioner}" == visit.actor.id}
    may = set(names) if who.head else own
    now = clock.now()
    found = await moving.absences(doors, names, now)
    by_name = sorted(names.items(), key=lambda n: n[1])
    shown = AbsencePage(
        title=_("Frånvaro"),
        unit=at.unit_name if at is not None else "",
        away=tuple(
            Away(
                a.id, a.assignment, names[a.assignment], show.day(a.begins), show.day(a.ends - timedelta(seconds=1)),
                names.get(a.substitute, ""), a.begins <= now, a.assignment in may,
            )
            for a in found
        ),
        whose=tuple(n for n in by_name if n[0] in may),
        substitutes=tuple(by_name),
        me=who.assignment,
        saved=visit.asked("saved") == "1" and not wrong,
        typed=dict(visit.form) if wrong else {},
        wrong=wrong,
    )  # fmt: skip
    return render(visit, "worklist/absence.html", shown, status)
