"""The pages of care requests: the lists, and one request as a living thing. Composing is `compose_pages`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access.door import Record
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.directory import Directory
from sammanhang.web.find import typed
from sammanhang.web.people import mark_similar
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.deadlines import PRIORITIES
from sammanhang.work.units import units_of

from . import queries, receiving, sending
from .errors import BadTime, NoSuchList, NoSuchRequest
from .queries import Box, Listed
from .receiving import FirstVisit
from .states import STATES
from .view import RequestView, view_of

BOXES: tuple[tuple[Box, str], ...] = (("incoming", N_("Inkommande")), ("outgoing", N_("Utgående")))
NAMES = {
    "us": N_("Väntar på oss"), "them": N_("Väntar på dem"), "open": N_("Alla pågående"), "drafts": N_("Utkast"),
    "ended": N_("Avslutade"),
}  # fmt: skip


EMPTY = {
    ("incoming", "us"): N_("Ingen begäran väntar på er."),
    ("incoming", "them"): N_("Ni väntar inte på svar om någon begäran ni har fått."),
    ("incoming", "open"): N_("Ingen begäran har kommit som inte är avslutad."),
    ("outgoing", "us"): N_("Ingen begäran ni har skickat väntar på er."),
    ("outgoing", "them"): N_("Ni väntar inte på någon mottagare."),
    ("outgoing", "open"): N_(
        "Ni har ingen pågående begäran. Öppna en patient och välj Ny vårdbegäran."
    ),
    ("", "drafts"): N_("Inga utkast är sparade på enheten."),
    ("", "ended"): N_("Ingen begäran är avslutad än."),
}


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
class Level:
    """Rows of one priority: its key and name; both empty when the list is not by priority."""

    key: str
    name: str
    rows: list[Row]


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
    groups  the requests by priority, the most urgent first; in one group where nothing is waited for
    waits   whether the list is of what is waited for
    q       what was searched for; `elsewhere` how many of what has ended fit it, where that is not the list
    done    what was done just now, in a sentence; empty for nothing
    empty   what is said when there is nothing
    box, view  the ones chosen
    """

    title: str
    unit: str
    boxes: tuple[Choice, ...]
    views: tuple[Choice, ...]
    groups: tuple[Level, ...]
    waits: bool
    q: str
    elsewhere: int
    done: str
    empty: str
    box: str
    view: str


@page("/requests", access="staff", methods=("GET", "POST"))
async def requests(visit: Visit) -> Response:
    """Incoming and outgoing; filters are addresses, so that one can come back to them. What is searched for comes in
    the body: no address holds an identity number.

    Raises `NoSuchList` for roles without record rights: their menu has no such page.
    """
    actor = visit.actor
    assert actor.assignment is not None
    if not content("rules/roles")["roles"].get(actor.assignment.role, {}).get("read"):
        raise NoSuchList
    asked = visit.form if visit.request.method == "POST" else dict(visit.request.query_params)
    wanted, view = asked.get("box", ""), asked.get("view", "")
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
    q = typed(visit)[:100]
    people = mark_similar({r.person.id: r.person for r in found}.values())
    marked = {p.id: p for p in people}
    rows = [_row(replace(r, person=marked[r.person.id]), units.name(r.other)) for r in found]
    ended = (
        await queries.listed(visit.services, directory, actor, box, "ended")
        if q and view != "ended"
        else []
    )
    elsewhere = sum(_fits(_row(r, units.name(r.other)), q) for r in ended)
    waits = view not in ("drafts", "ended")
    shown = ListPage(
        _("Vårdbegäran"),
        actor.assignment.unit_name,
        tuple(Choice(_(name), f"/requests?box={b}&view={view}", counts.get((b, "open"), 0), b == box) for b, name in BOXES),
        tuple(
            Choice(_(name), f"/requests?box={box}&view={v}", counts.get((box, v), 0), v == view)
            for v, name in NAMES.items()
            if not (box == "incoming" and v == "drafts")
        ),
        _levels([r for r in rows if _fits(r, q)], waits), waits, q, elsewhere,
        _("Begäran är skickad vidare.") if asked.get("done") == "redirect" else "", _(EMPTY.get((box, view)) or EMPTY[("", view)]), box, view,
    )  # fmt: skip
    template = "requests/rows.html" if visit.partial else "requests/list.html"
    return render(visit, template, shown)


def _levels(rows: list[Row], waits: bool) -> tuple[Level, ...]:
    """The rows by priority, each in the order it came; all together where nothing is waited for."""
    if not waits:
        return (Level("", "", rows),) if rows else ()
    found = {p: [r for r in rows if r.request.priority == p] for p in PRIORITIES}
    return tuple(Level(p, some[0].priority, some) for p, some in found.items() if some)


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
    haystack = f"{p.name} {p.number} {p.number.replace('-', '')} {row.kind} {row.other} {row.request.words} {row.request.reason}".casefold()
    return all(word in haystack for word in q.casefold().split())


DONE = {
    "send": N_("Skickat till %(unit)s."), "receive": N_("Du har tagit emot begäran."),
    "ask": N_("Frågan är skickad."), "accept": N_("Begäran är accepterad."), "reject": N_("Begäran är avslagen."),
    "redirect": N_("Skickat vidare till %(unit)s."), "plan": N_("Besöket är bokat."), "start": N_("Påbörjat."),
    "answer": N_("Svaret är skickat och ligger i avsändarens journal."), "reply": N_("Svaret är skickat."),
    "visited": N_("Besöket är gjort."), "cancel-visit": N_("Besöket är inställt."),
    "acknowledge": N_("Noterat att du har läst skälet."), "withdraw": N_("Begäran är återkallad."), "close": N_("Begäran är avslutad."),
    "write": N_("Meddelandet är skickat."), "write-back": N_("Meddelandet är skickat."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OnePage:
    """One care request.

    title    the headline
    request  all that is shown of it
    typed    what was written when something was wrong with it; `wrong` says what, `verb` where
    done     what was done just now, in a sentence; `undo` the address that takes it back, empty for none
    """

    title: str
    request: RequestView
    typed: dict[str, str]
    wrong: str
    verb: str
    done: str
    undo: str


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
    except (Invalid, Conflict, Refused) as e:
        return await _show(visit, either(e.sv, e.en), verb, e.status)
    if verb == "redirect":  # it is another unit's now, and may not be the reader's to see
        return RedirectResponse("/requests?box=incoming&done=redirect", 303)
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}?done={verb}", 303)


@page("/patients/{patient}/visits/{visit}", access="record")
async def visit_of(visit: Visit) -> Response:
    """A booked visit is done on the page of its request. Raises `NoSuchRequest`."""
    record = visit.opened
    found = await record.find("Appointment", visit.request.path_params["visit"])
    named = [r.reference or "" for r in (found.resource.basedOn or () if found is not None else ())]
    ids = [n.removeprefix("ServiceRequest/") for n in named if n.startswith("ServiceRequest/")]
    if not ids:
        raise NoSuchRequest
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{ids[0]}", 303)


async def _show(visit: Visit, wrong: str = "", verb: str = "", status: int = 200) -> Response:
    shown = await view_of(visit, visit.request.path_params["request"])
    kept = dict(visit.form) if wrong else {}
    template = "print" if visit.asked("print") else "part" if visit.partial else "one"
    done = visit.asked("done") if not wrong else ""
    undo = f"{shown.root}/requests/{shown.id}?open=withdraw#act-withdraw"
    can = done == "send" and any(a.verb == "withdraw" for a in shown.actions)
    made = OnePage(
        f"{shown.person.name} – {shown.kind}", shown, kept, wrong, verb or visit.asked("open"),
        _(DONE[done]) % {"unit": shown.receiver.name if shown.receiver else ""} if done in DONE else "",
        undo if can else "",
    )  # fmt: skip
    return render(visit, f"requests/{template}.html", made, status)


def _visit_of(form: dict[str, str]) -> FirstVisit:
    """The first visit as it was written; raises `BadTime`."""
    try:
        day = datetime.fromisoformat(
            f"{form.get('day', '').strip()}T{form.get('time', '').strip()}"
        )
        at = day.replace(tzinfo=clock.STOCKHOLM)
        return FirstVisit(at, int(form.get("minutes", "60")[:4]), form.get("by", ""))
    except (ValueError, OverflowError):
        raise BadTime from None


Verb = Callable[[Record, str, dict[str, str]], Awaitable[Any]]
VERBS: dict[str, Verb] = {
    "receive": lambda r, id, f: receiving.receive(r, id),
    "ask": lambda r, id, f: receiving.ask(r, id, f.get("text", "")),
    "accept": lambda r, id, f: receiving.accept(r, id, f.get("text", "")),
    "reject": lambda r, id, f: receiving.reject(r, id, f.get("text", "")),
    "redirect": lambda r, id, f: receiving.redirect(
        r, id, f.get("to", ""), f.get("text", ""), f.get("ground", "")
    ),
    "plan": lambda r, id, f: receiving.plan(r, id, _visit_of(f)),
    "start": lambda r, id, f: receiving.start(r, id),
    "answer": lambda r, id, f: receiving.answer(r, id, f.get("text", "")),
    "reply": lambda r, id, f: sending.reply(r, id, f.get("text", "")),
    "withdraw": lambda r, id, f: sending.withdraw(r, id, f.get("text", "")),
    "visited": lambda r, id, f: receiving.visited(r, id),
    "cancel-visit": lambda r, id, f: receiving.cancel_visit(r, id, f.get("text", "")),
    "acknowledge": lambda r, id, f: sending.acknowledge(r, id),
    "close": lambda r, id, f: sending.close(r, id),
    "write": lambda r, id, f: sending.write(r, id, f.get("text", "")),
    "write-back": lambda r, id, f: sending.write(r, id, f.get("text", "")),
}
