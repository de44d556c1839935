"""The shell's own pages: start, help, choices of language and look, health."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from sammanhang.access.actor import Assignment
from sammanhang.access.administrators import is_administrator
from sammanhang.access.door import RecordRefused
from sammanhang.access.identity_attempt import local_path
from sammanhang.access.identity_services import cookie_named, secure
from sammanhang.access.sessions_own import OwnSession, end_one, end_others, of_person
from sammanhang.access.staff import assignments_of
from sammanhang.kernel import clock, i18n
from sammanhang.kernel.errors import NotFound
from sammanhang.kernel.i18n import _, either

from . import show
from .assets import address
from .people import Person
from .recent import opened_numbers
from .rendering import THEMES, render
from .routing import Visit, page
from .unit import UnitNow, unit_now
from .worklist import Todo, todo

YEAR = 365 * 86400


@dataclass(frozen=True, slots=True)
class StartPage:
    """What a member of staff begins with.

    title   the headline
    hello   a greeting by the time of day
    today   the day in words
    week    number of the week
    unit    name of the unit
    now     the unit's patients, visits and counts
    lately  patients this person opened last
    todo    what waits for this person, and `waiting` how much of it there is
    """

    title: str
    hello: str
    today: str
    week: int
    unit: str
    now: UnitNow
    lately: list[Person]
    todo: Todo
    waiting: int


@dataclass(frozen=True, slots=True)
class LimitedStartPage:
    """What a role without record rights begins with: who they are here, and the rule's sentence.
    `administers` tells that the role administers the system."""

    title: str
    hello: str
    today: str
    role: str
    unit: str
    said: str
    rule: str
    administers: bool


@page("/", access="person")
async def start(visit: Visit) -> Response:
    """The first page: a resident's own, or that of a role in a unit."""
    if visit.actor.kind == "resident":
        # The portal owns the resident's first page; it lies above the shell.
        return RedirectResponse("/me", 303)
    assignment = visit.actor.assignment
    if assignment is None:
        return RedirectResponse("/login/assignment", 303)
    hello, today = _hello(visit.actor.name), show.long_day(clock.today())
    try:
        now = await unit_now(visit)
        numbers = await opened_numbers(visit, 8)
        waits, people = await todo(visit, numbers)
        lately = [people[n] for n in numbers if n in people]
    except RecordRefused as e:
        said = either(e.decision.sv, e.decision.en)
        limited = LimitedStartPage(
            _("Start"),
            hello,
            today,
            assignment.role_text,
            assignment.unit_name,
            said,
            e.decision.rule,
            is_administrator(visit.actor),
        )
        return render(visit, "web/start_limited.html", limited)
    week = show.week(clock.today())
    return render(
        visit,
        "web/start.html",
        StartPage(
            _("Start"),
            hello,
            today,
            week,
            assignment.unit_name,
            now,
            lately,
            waits,
            waits.counts.waiting,
        ),
    )


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """Where the person is logged in."""

    title: str
    sessions: list[OwnSession]


@page("/sessions", access="person")
async def sessions(visit: Visit) -> Response:
    """One's own sessions, each ended with a click."""
    found = await of_person(visit.services.database, visit.services.settings, visit.session)
    return render(visit, "web/sessions.html", SessionsPage(_("Mina inloggningar"), found))


@page("/sessions", access="person", methods=("POST",))
async def end_session(visit: Visit) -> Response:
    """Ends one other session, or all others."""
    database, which = visit.services.database, visit.form.get("session", "")
    if which == "others":
        ended = await end_others(database, visit.session)
    else:
        ended = int(await end_one(database, visit.session, which))
    entry = visit.services.doors.entry(
        visit.actor, "logout", count=ended, what="sessions", request=visit.id
    )
    await visit.services.audit.record(entry)
    return RedirectResponse("/sessions", 303)


@dataclass(frozen=True, slots=True)
class AssignmentsPart:
    """The person's assignments for the menu: `in_force` is the id of the one in force, `next` this page."""

    assignments: list[Assignment]
    in_force: str
    next: str


@page("/assignments", access="staff")
async def assignments(visit: Visit) -> Response:
    """What one can switch to, fetched when the menu is opened: the switch is two clicks."""
    practitioner = visit.actor.id.removeprefix("Practitioner/")
    held = await assignments_of(visit.services.database, practitioner)
    a = visit.actor.assignment
    here = local_path(visit.asked("next"))
    part = AssignmentsPart(held, a.id if a is not None else "", here)
    return render(visit, "web/assignments.html", part)


@dataclass(frozen=True, slots=True)
class UnlockedPage:
    """The small window in which one has logged in anew."""

    title: str


@page("/unlocked", access="person")
async def unlocked(visit: Visit) -> Response:
    """The screen is unlocked; the window closes itself where the browser lets it."""
    return render(visit, "web/unlocked.html", UnlockedPage(_("Upplåst")))


@page("/settings/{name}/{value}", access="open")
async def choose(visit: Visit) -> Response:
    """Language, look and single keys: kept in a cookie, then back to where one was."""
    name, value = visit.request.path_params["name"], visit.request.path_params["value"]
    allowed = {"language": i18n.LANGUAGES, "theme": THEMES, "keys": ("on", "off")}
    if value not in allowed.get(name, ()):
        raise NotFound("There is no such choice.", "Valet finns inte.")
    response = RedirectResponse(_back(visit), 303)
    settings = visit.services.settings
    response.set_cookie(
        cookie_named(settings, name), value, max_age=YEAR, path="/", samesite="lax", httponly=True,
        secure=secure(settings),
    )  # fmt: skip
    return response


@page("/health", access="open")
async def health(visit: Visit) -> Response:
    """Whether the server answers."""
    return PlainTextResponse("ok")


@page("/favicon.ico", access="open")
async def icon(visit: Visit) -> Response:
    """Browsers ask for it on pages that name no icon."""
    return RedirectResponse(address("icon.svg"), 301)


def _back(visit: Visit) -> str:
    """The page the choice was made on, when it is one of ours."""
    came = urlsplit(visit.request.headers.get("referer", ""))
    if (
        came.netloc != visit.request.url.netloc
        or not came.path.startswith("/")
        or came.path.startswith("//")
    ):
        return "/"
    return came.path + (f"?{came.query}" if came.query else "")


def _hello(name: str) -> str:
    hour = clock.now().astimezone(clock.STOCKHOLM).hour
    first = name.split(" ")[0] if name else ""
    if 5 <= hour < 10:
        words = _("God morgon, %(name)s")
    elif hour >= 18 or hour < 5:
        words = _("God kväll, %(name)s") if hour >= 18 else _("God natt, %(name)s")
    else:
        words = _("Hej, %(name)s")
    return words % {"name": first}
