"""The pages of care requests: the lists, and one request as a living thing. Composing is `compose_pages`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access.door import Record
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.directory import Directory
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.units import units_of

from . import queries, receiving, sending
from .errors import BadTime
from .queries import Box, Listed
from .receiving import FirstVisit
from .states import STATES
from .view import RequestView, view_of

BOXES: tuple[tuple[Box, str], ...] = (("incoming", N_("Inkommande")), ("outgoing", N_("Utgående")))
NAMES = {
    "us": N_("Väntar på oss"), "them": N_("Väntar på dem"), "open": N_("Alla pågående"), "drafts": N_("Utkast"),
    "ended": N_("Avslutade"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: the request, with its kind, state, priority, other side and time left in words."""

    request: Listed
    kind: str
    state: str
    priority: str
    urgent: bool
    other: str
    left: str
    late: bool
    up: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose: name, address, how many, and whether it is chosen."""

    name: str
    address: str
    count: int
    here: bool


@dataclass(frozen=True, slots=True)
class ListPage:
    """A unit's care requests.

    title   the headline; `unit` whose they are
    boxes   incoming and outgoing
    views   what can be looked at in the box
    rows    the requests
    q       what was searched for
    box, view  the ones chosen
    """

    title: str
    unit: str
    boxes: tuple[Choice, ...]
    views: tuple[Choice, ...]
    rows: list[Row]
    q: str
    box: str
    view: str


@page("/requests", access="staff")
async def requests(visit: Visit) -> Response:
    """Incoming and outgoing; filters are addresses, so that one can come back to them."""
    actor = visit.actor
    assert actor.assignment is not None
    wanted, view = visit.asked("box"), visit.asked("view")
    counts = await queries.counts(visit.services, actor.assignment.unit)
    box: Box = "outgoing" if wanted == "outgoing" else "incoming"
    if not wanted and not counts.get(("incoming", "open")) and counts.get(("outgoing", "open")):
        box = "outgoing"  # who only sends begins with what they sent
    view = view if view in queries.VIEWS else "open"
    if box == "incoming" and view == "drafts":
        view = "open"
    directory: Directory = visit.request.app.state.directory
    found = await queries.listed(visit.services, directory, actor, box, view)
    await visit.services.audit.record(
        visit.services.doors.entry(
            actor, "worklist", what=f"ServiceRequest?{box}", count=len(found), request=visit.id
        )
    )
    units = await units_of(visit.services.database)
    q = visit.asked("q")[:100]
    rows = [_row(r, units.name(r.other)) for r in found]
    shown = ListPage(
        _("Vårdbegäran"),
        actor.assignment.unit_name,
        tuple(Choice(_(name), f"/requests?box={b}&view={view}", counts.get((b, "open"), 0), b == box) for b, name in BOXES),
        tuple(
            Choice(_(name), f"/requests?box={box}&view={v}", counts.get((box, v), 0), v == view)
            for v, name in NAMES.items()
            if not (box == "incoming" and v == "drafts")
        ),
        [r for r in rows if _fits(r, q)],
        q, box, view,
    )  # fmt: skip
    template = "requests/rows.html" if visit.partial else "requests/list.html"
    return render(visit, template, shown)


def _row(r: Listed, other: str) -> Row:
    kinds, rules = content("routing/requests")["kinds"], content("routing/deadlines")
    kind, priority = kinds.get(r.kind), rules["priorities"][r.priority]
    steps = list(rules["way_up"])
    up = rules["steps"][steps[min(r.level, len(steps)) - 1]["step"]] if r.level > 1 else None
    return Row(
        r,
        either(kind["sv"], kind["en"]) if kind else _("Vårdbegäran"),
        _(STATES[r.state]),
        either(priority["sv"], priority["en"]),
        r.priority == "stat",
        other,
        time_left(r.deadline),
        r.deadline is not None and r.deadline < clock.now(),
        either(up["sv"], up["en"]) if up else "",
    )


def time_left(deadline: datetime | None) -> str:
    """How long is left, or how late it is, in words."""
    if deadline is None:
        return ""
    seconds = (deadline - clock.now()).total_seconds()
    said = show.length(abs(seconds))
    return (_("%(span)s kvar") if seconds >= 0 else _("försenad %(span)s")) % {"span": said}


def _fits(row: Row, q: str) -> bool:
    p = row.request.person
    haystack = f"{p.name} {p.number} {p.number.replace('-', '')} {row.kind} {row.other} {row.request.words}".casefold()
    return all(word in haystack for word in q.casefold().split())


@dataclass(frozen=True, slots=True)
class OnePage:
    """One care request.

    title    the headline
    request  all that is shown of it
    typed    what was written when something was wrong with it; `wrong` says what, `verb` where
    """

    title: str
    request: RequestView
    typed: dict[str, str]
    wrong: str
    verb: str


@page("/patients/{patient}/requests/{request}", access="record")
async def one(visit: Visit) -> Response:
    """The request with its conversation, its story and what can be done; `?print=1` on paper, `?part=1` to renew."""
    return await _show(visit)


@page("/patients/{patient}/requests/{request}", access="record", methods=("POST",))
async def do(visit: Visit) -> Response:
    """One verb. What is wrong is said on the page, with what was written."""
    record, id, form = visit.opened, visit.request.path_params["request"], visit.form
    verb = form.get("do", "")
    act = VERBS.get(verb)
    if act is None:
        raise NotFound("There is no such choice.", "Det valet finns inte.")
    try:
        await act(record, id, form)
    except (Invalid, Conflict) as e:
        return await _show(visit, either(e.sv, e.en), verb, e.status)
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}?done={verb}", 303)


async def _show(visit: Visit, wrong: str = "", verb: str = "", status: int = 200) -> Response:
    shown = await view_of(visit, visit.request.path_params["request"])
    typed = dict(visit.form) if wrong else {}
    template = "print" if visit.asked("print") else "part" if visit.partial else "one"
    made = OnePage(f"{shown.person.name} – {shown.kind}", shown, typed, wrong, verb)
    return render(visit, f"requests/{template}.html", made, status)


def _visit_of(form: dict[str, str]) -> FirstVisit:
    """The first visit as it was written; raises `BadTime`."""
    try:
        day = datetime.fromisoformat(
            f"{form.get('day', '').strip()}T{form.get('time', '').strip()}"
        )
        at = day.replace(tzinfo=clock.STOCKHOLM)
        return FirstVisit(at, int(form.get("minutes", "60")), form.get("by", ""))
    except ValueError:
        raise BadTime from None


Verb = Callable[[Record, str, dict[str, str]], Awaitable[Any]]
VERBS: dict[str, Verb] = {
    "receive": lambda r, id, f: receiving.receive(r, id),
    "ask": lambda r, id, f: receiving.ask(r, id, f.get("text", "")),
    "accept": lambda r, id, f: receiving.accept(r, id, f.get("text", "")),
    "reject": lambda r, id, f: receiving.reject(r, id, f.get("text", "")),
    "redirect": lambda r, id, f: receiving.redirect(r, id, f.get("to", ""), f.get("text", "")),
    "plan": lambda r, id, f: receiving.plan(r, id, _visit_of(f)),
    "start": lambda r, id, f: receiving.start(r, id),
    "answer": lambda r, id, f: receiving.answer(r, id, f.get("text", "")),
    "reply": lambda r, id, f: sending.reply(r, id, f.get("text", "")),
    "withdraw": lambda r, id, f: sending.withdraw(r, id, f.get("text", "")),
    "close": lambda r, id, f: sending.close(r, id),
    "write": lambda r, id, f: sending.write(r, id, f.get("text", "")),
    "write-back": lambda r, id, f: sending.write(r, id, f.get("text", "")),
}
