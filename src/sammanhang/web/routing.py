"""Pages and who may see them: every page says its access rule where it is written.

    @page("/patients/{id}", access="record")
    async def overview(visit: Visit) -> Response: ...

The rule is kept here, before the page's own code runs:

    open      anybody, logged in or not
    person    anybody logged in
    staff     staff with an assignment chosen
    resident  a resident; their own record is open as `visit.record`
    family    a resident; the record of the patient in the path, their own or a child's, is open as
              `visit.record`, or the law's refusal has been shown
    record    staff; the record of the patient in the path is open as `visit.record`, or the law's
              refusal has been shown

A request that changes something (POST) carries the session's CSRF token or is refused. One that comes to a
locked session, or from a page made in another assignment, is kept for its sender (`web.kept`).
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.access import kept_forms, sessions
from sammanhang.access.actor import Actor
from sammanhang.access.assurance import check_fresh
from sammanhang.access.door import Record
from sammanhang.access.forms import OtherAssignment
from sammanhang.access.identity_services import cookie_named, trace
from sammanhang.access.services import Services
from sammanhang.kernel import i18n
from sammanhang.kernel.errors import NotFound, Refused

Access = Literal["open", "person", "staff", "resident", "family", "record"]
ACCESS: tuple[Access, ...] = ("open", "person", "staff", "resident", "family", "record")
Handler = Callable[["Visit"], Awaitable[Response]]
# The packages whose pages are served; importing one fills the registry.
SLICES = (
    "sammanhang.web.pages",
    "sammanhang.web.find",
    "sammanhang.web.kept",
    "sammanhang.web.preflight",
    "sammanhang.forms.pages",
    "sammanhang.care.chart.pages",
    "sammanhang.care.assessments.pages",
    "sammanhang.care.consents.pages",
    "sammanhang.care.emergency.pages",
    "sammanhang.care.rules.pages",
    "sammanhang.care.review.pages",
    "sammanhang.care.review.figures",
    "sammanhang.care.review.public",
    "sammanhang.care.worklist.pages",
    "sammanhang.care.worklist.absence",
    "sammanhang.care.worklist.events",
    "sammanhang.care.worklist.adrift",
    "sammanhang.care.worklist.tasks",
    "sammanhang.care.apps.consent",
    "sammanhang.care.apps.pages",
    "sammanhang.care.apps.admin",
    "sammanhang.care.messages.pages",
    "sammanhang.care.requests.compose_pages",
    "sammanhang.care.requests.pages",
    "sammanhang.care.requests.followup",
    "sammanhang.portal.pages",
    "sammanhang.portal.requests",
    "sammanhang.portal.messages",
    "sammanhang.portal.log",
    "sammanhang.portal.rights",
    "sammanhang.portal.apps",
)


MOST_FIELDS = 200
"""Fields a form may have unless its page says otherwise."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One page: its path, methods, access rule and handler; how many fields and files its form may have. `quiet` for
    what a page that is open asks for by itself: it does not count as activity, and the session locks all the same."""

    path: str
    methods: tuple[str, ...]
    access: Access
    handler: Handler
    most_fields: int = MOST_FIELDS
    files: int = 0
    quiet: bool = False

    @property
    def name(self) -> str:
        return f"{self.handler.__module__}.{self.handler.__name__}"


REGISTRY: list[Rule] = []


@dataclass
class Visit:
    """One request of one person, as a page sees it.

    request   the HTTP request
    services  what the process stands on
    session   who is logged in; None on an open page without log-in
    record    the open record where the access rule opens one
    id        ties the audit entries of the request together
    form      what was posted, after the CSRF check
    fields    the same with every value of a repeated name, in order
    kept      id of the kept form that is sent by this; empty for none
    files     files that came with it, on a page that takes them: name of the field and the upload
    """

    request: Request
    services: Services
    session: Any = None
    record: Record | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    form: dict[str, str] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()
    kept: str = ""
    files: tuple[tuple[str, UploadFile], ...] = ()

    @property
    def actor(self) -> Actor:
        """Who acts; only on pages that need a log-in."""
        assert self.session is not None
        actor: Actor = self.session.actor
        return actor

    @property
    def opened(self) -> Record:
        """The open record; only on pages whose access rule opens one."""
        assert self.record is not None
        return self.record

    @property
    def partial(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def chosen(self, name: str, default: str = "") -> str:
        """What the person has chosen for their look at the pages, kept in a cookie."""
        known = cookie_named(self.services.settings, name)
        return self.request.cookies.get(known, default)

    def asked(self, name: str, default: str = "") -> str:
        """A parameter of the address, stripped."""
        return self.request.query_params.get(name, default).strip()


def page(
    path: str,
    *,
    access: Access,
    methods: tuple[str, ...] = ("GET",),
    most_fields: int = MOST_FIELDS,
    files: int = 0,
    quiet: bool = False,
) -> Callable[[Handler], Handler]:
    """Registers a page with its access rule. Raises ValueError for a rule that does not exist.

    `most_fields` is for pages with long forms, `files` how many files may come with one (`Visit.files`).
    """
    if access not in ACCESS:
        raise ValueError(f"{path}: there is no access rule {access!r}")

    def register(handler: Handler) -> Handler:
        REGISTRY.append(Rule(path, methods, access, handler, most_fields, files, quiet))
        return handler

    return register


def routes() -> list[Route]:
    """The routes of every registered page."""
    for name in SLICES:
        import_module(name)
    return [
        Route(rule.path, partial(_serve, rule), methods=list(rule.methods), name=rule.name)
        for rule in REGISTRY
    ]


async def _serve(rule: Rule, request: Request) -> Response:
    """Keeps the page's access rule, then lets the page answer."""
    visit = Visit(request, request.app.state.services)
    request.state.visit = visit
    i18n.use(chosen_language(request))
    visit.session = await sessions.current(request, touch=not rule.quiet)
    if _of_others(rule, visit):
        # To the asker it is as if it were not there; the trace knows that they tried.
        await trace(request, "refuse", visit.actor, outcome="refused", request=visit.id)
        raise NotFound("There is no such page.", "Sidan finns inte.")
    posted = request.method not in ("GET", "HEAD")
    if posted:
        away = await _take_form(rule, visit)
        if away is not None:
            return away
    away = await _elsewhere(rule, visit)
    if away is not None:
        return away
    if rule.access in ("record", "family"):
        await _open(visit, request.path_params["patient"])
    elif rule.access == "resident":
        await _open(visit, visit.actor.id.removeprefix("Patient/"))
    answer = await rule.handler(visit)
    if visit.kept:  # taken now; what was refused stays to be sent again
        await kept_forms.drop(visit.services.database, visit.session, visit.kept)
    return answer


async def _open(visit: Visit, patient: str) -> None:
    doors = visit.services.doors
    visit.record = await doors.open_record(visit.actor, patient, request=visit.id)


def need_fresh(visit: Visit, act: str) -> None:
    """For acts that need a log-in made just now (`fresh_acts` in `content/rules/assurance.json`).

    Raises `NotFresh`; the page it becomes leads to the log-in and back, and what was posted is kept.
    """
    check_fresh(visit.session, act)


async def _elsewhere(rule: Rule, visit: Visit) -> Response | None:
    """Where a person is sent who lacks a log-in or an assignment; None when they have both."""
    if rule.access == "open":
        return None
    here = quote(_here(visit.request), safe="/")
    if visit.session is None and await sessions.asleep(visit.request) is not None:
        return _locked(visit, here)
    if visit.session is None:
        return _go(visit, f"/login?next={here}")
    if visit.session.state == "choose":
        return _go(visit, f"/login/assignment?next={here}")
    return None


def _of_others(rule: Rule, visit: Visit) -> bool:
    """Whether a page is for another kind of person than the one logged in."""
    wanted = {"staff": "staff", "record": "staff", "resident": "resident", "family": "resident"}
    if rule.access not in wanted or visit.session is None or visit.session.state == "choose":
        return False
    return wanted[rule.access] != visit.actor.kind


def _go(visit: Visit, address: str) -> Response:
    if visit.partial:
        return Response(status_code=401, headers={"hx-redirect": address})
    return RedirectResponse(address, 303)


def _here(request: Request) -> str:
    """The address asked for, to come back to after log-in; only reading is repeated."""
    if request.method not in ("GET", "HEAD") or request.headers.get("hx-request"):
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _locked(visit: Visit, next: str) -> Response:
    """To the lock screen; a page that asks for a part of itself locks where it stands."""
    if visit.partial:
        return Response(status_code=401, headers={"x-session": "locked"})
    return RedirectResponse(f"/locked?next={next}", 303)


async def _take_form(rule: Rule, visit: Visit) -> Response | None:
    """Reads the form and checks its token. A response when the form had to be kept instead of taken."""
    form = await visit.request.form(max_files=rule.files, max_fields=rule.most_fields)
    visit.files = tuple((n, v) for n, v in form.multi_items() if isinstance(v, UploadFile))
    sent = tuple((name, v) for name, v in form.multi_items() if isinstance(v, str))
    kept = form.get("kept")
    visit.fields = tuple((name, v) for name, v in sent if name not in ("csrf", "kept"))
    visit.form = dict(visit.fields)
    session = visit.session
    sleeping = await sessions.asleep(visit.request) if session is None else None
    if sleeping is not None:
        return await _keep_asleep(visit, sleeping)
    if session is None:
        if rule.access != "open":
            return None  # whoever it is logs in first
        raise Refused("Log in first.", "Logga in först.", rule="CSRF")
    try:
        await sessions.check_csrf(visit.request, session)
    except OtherAssignment as other:
        id = await keep_form(visit, session, other.assignment)
        await _trace_kept(visit, session, "other assignment", page=other.assignment)
        return _go(visit, f"/kept/{id}")
    visit.kept = kept if isinstance(kept, str) else ""
    return None


async def _keep_asleep(visit: Visit, sleeping: sessions.Asleep) -> Response:
    """A form that came to a locked session: it waits until its sender has logged in anew."""
    made_in = None
    try:
        await sessions.check_csrf(visit.request, sleeping.session)
    except OtherAssignment as other:
        made_in = other.assignment
    if visit.partial:
        return _locked(visit, "/")
    id = await keep_form(visit, sleeping.session, made_in)
    await _trace_kept(visit, sleeping.session, "locked")
    return _locked(visit, f"/kept/{id}")


async def _trace_kept(visit: Visit, session: sessions.Session, why: str, **details: str) -> None:
    """That a form was kept instead of taken; never what stood in it."""
    entry = visit.services.doors.entry(
        session.actor, "refuse", what=visit.request.url.path, outcome=why, request=visit.id, details=details
    )  # fmt: skip
    await visit.services.audit.record(entry)


async def keep_form(visit: Visit, session: sessions.Session, made_in: str | None = None) -> str:
    """Keeps what was posted on this visit (`access.kept_forms.keep`); returns the id it is kept under."""
    url = visit.request.url
    path = url.path + (f"?{url.query}" if url.query else "")
    database = visit.services.database
    return await kept_forms.keep(database, session, path, visit.fields, made_in)


def chosen_language(request: Request) -> str:
    """The language the person has chosen, else the one the settings say."""
    settings = request.app.state.services.settings
    chosen = request.cookies.get(cookie_named(settings, "language"), "")
    default: str = settings.language
    return chosen if chosen in i18n.LANGUAGES else default
