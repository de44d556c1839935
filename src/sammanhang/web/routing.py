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

A request that changes something (POST) carries the session's CSRF token or is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.access.actor import Actor
from sammanhang.access.door import Record
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
    "sammanhang.care.chart.pages",
    "sammanhang.care.emergency.pages",
    "sammanhang.care.apps.consent",
    "sammanhang.care.apps.pages",
    "sammanhang.care.apps.admin",
    "sammanhang.portal.pages",
    "sammanhang.portal.rights",
    "sammanhang.portal.apps",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One page: its path, methods, access rule and handler."""

    path: str
    methods: tuple[str, ...]
    access: Access
    handler: Handler

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
    """

    request: Request
    services: Services
    session: Any = None
    record: Record | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    form: dict[str, str] = field(default_factory=dict)

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

    def asked(self, name: str, default: str = "") -> str:
        """A parameter of the address, stripped."""
        return self.request.query_params.get(name, default).strip()


def page(
    path: str, *, access: Access, methods: tuple[str, ...] = ("GET",)
) -> Callable[[Handler], Handler]:
    """Registers a page with its access rule. Raises ValueError for a rule that does not exist."""
    if access not in ACCESS:
        raise ValueError(f"{path}: there is no access rule {access!r}")

    def register(handler: Handler) -> Handler:
        REGISTRY.append(Rule(path, methods, access, handler))
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
    visit.session = await current_session(request)
    away = _elsewhere(rule, visit)
    if away is not None:
        return away
    if request.method not in ("GET", "HEAD"):
        await _take_form(visit)
    if rule.access in ("record", "family"):
        await _open(visit, request.path_params["patient"])
    elif rule.access == "resident":
        await _open(visit, visit.actor.id.removeprefix("Patient/"))
    return await rule.handler(visit)


async def _open(visit: Visit, patient: str) -> None:
    doors = visit.services.doors
    visit.record = await doors.open_record(visit.actor, patient, request=visit.id)


def _elsewhere(rule: Rule, visit: Visit) -> Response | None:
    """Where a person is sent who lacks a log-in or an assignment; None when they have both."""
    if rule.access == "open":
        return None
    if visit.session is None:
        return _go(visit, f"/login?next={quote(_here(visit.request), safe='/')}")
    if visit.session.state == "choose":
        return _go(visit, "/login/assignment")
    kind = visit.actor.kind
    if rule.access in ("staff", "record") and kind != "staff":
        raise NotFound("There is no such page.", "Sidan finns inte.")
    if rule.access in ("resident", "family") and kind != "resident":
        raise NotFound("There is no such page.", "Sidan finns inte.")
    return None


def _go(visit: Visit, address: str) -> Response:
    if visit.partial:
        return Response(status_code=401, headers={"hx-redirect": address})
    return RedirectResponse(address, 303)


def _here(request: Request) -> str:
    """The address asked for, to come back to after log-in; only reading is repeated."""
    if request.method not in ("GET", "HEAD") or request.headers.get("hx-request"):
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _take_form(visit: Visit) -> None:
    from sammanhang.access import sessions

    form = await visit.request.form(max_files=0, max_fields=200)
    visit.form = {name: value for name, value in form.items() if isinstance(value, str)}
    visit.form.pop("csrf", None)
    if visit.session is None:
        raise Refused("Log in first.", "Logga in först.", rule="CSRF")
    await sessions.check_csrf(visit.request, visit.session)


async def current_session(request: Request) -> Any:
    """Who is logged in, or None."""
    from sammanhang.access import sessions

    return await sessions.current(request)


def chosen_language(request: Request) -> str:
    """The language the person has chosen, else the one the settings say."""
    chosen = request.cookies.get("language", "")
    default: str = request.app.state.services.settings.language
    return chosen if chosen in i18n.LANGUAGES else default
