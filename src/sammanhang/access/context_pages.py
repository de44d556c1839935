"""`/context`: where other systems send people with a context link (see `access.context`).

`POST /context` with the field `token` is the way that leaves the token in no log; `GET /context?token=…` works
too. Neither changes anything but to take the token in: both lead on to `/context/{name}`, which is visited with
the person's own cookie (it does not travel with another site's POST).

There, when the link's assignment is the one in force, the patient is opened as by any link. When it is not,
a page asks first: somebody who gets hold of a person's link, or makes a partner issue one, could otherwise
move that person's open windows into another assignment by a hidden picture or frame, and what they then write
would be written there. One click, which carries the form token, does it; nothing else does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.kernel.errors import Conflict, Refused, Unauthenticated

from . import context, sessions
from .actor import Actor, Assignment
from .assurance import record_level
from .context import Link, LinkRefused
from .forms import check_csrf, csrf_token
from .identity_pages import ContextPage, MessagePage, render
from .identity_services import services_of, trace
from .oidc_errors import OAuthError, form_of
from .staff import assignments_of

_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
Handler = Callable[[Request], Awaitable[Response]]


def _told(handler: Handler) -> Handler:
    """A link that is refused: its trace, and a page that says what is so."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except LinkRefused as refused:
            session = await sessions.current(request)
            who = session.actor if session is not None else "system:context"
            await trace(request, "context", who, rule=refused.rule, outcome=refused.why)
            response = render(request, MessagePage(refused.text, "/"), refused.status)
            response.headers.update(_NO_STORE)
            return response

    return guarded


@_told
async def arrive(request: Request) -> Response:
    """`GET` or `POST /context`: takes the token in and leads on to the link that waits."""
    services = services_of(request)
    try:
        sent = await form_of(request) if request.method == "POST" else request.query_params
    except OAuthError as e:
        raise LinkRefused(e.description) from e
    link = await context.opened(services.database, services.settings, sent.get("token", ""))
    name = await context.keep(services.database, link)
    await trace(request, "context", "system:context", outcome="waits", details=_details(link))
    return _go(f"/context/{name}")


@_told
async def onward(request: Request) -> Response:
    """`GET /context/{name}`: to the log-in, to the question, or to the patient. `POST` says yes."""
    services = services_of(request)
    name = request.path_params["name"]
    link = await context.waiting(services.database, name)
    if link is None:
        raise LinkRefused("used or late", "link_used")
    here = f"/context/{name}"
    session = await sessions.current(request)
    if session is None:
        asleep = await sessions.asleep(request) is not None
        way = "/locked?" if asleep else f"/login?level={_level()}&"
        return _go(f"{way}next={quote(here, safe='')}")
    if session.actor.id != link.person:
        raise LinkRefused("another person is logged in", "link_person")
    if session.actor.loa < record_level(session.actor):
        return _go(f"/login?level={_level()}&next={quote(here, safe='')}")
    if request.method == "POST":
        return await _open(request, session, link, name)
    if session.actor.assignment is not None and (
        link.chosen([session.actor.assignment]) is not None
    ):
        return await _arrived(request, session, link, name, None)
    return await _ask(request, session, link, here)


async def _open(request: Request, session: sessions.Session, link: Link, name: str) -> Response:
    """The person said yes: the session goes on in the link's assignment, and to the patient."""
    try:
        await check_csrf(request, session)
    except (Refused, Conflict) as e:
        # The page was old, or the assignment was switched in another window: asked anew.
        await trace(request, "refuse", session.actor, rule="CSRF", outcome=str(e))
        return _go(f"/context/{name}")
    held = await _held(request, session)
    chosen = link.chosen(held)
    if chosen is None:
        return await _ask(request, session, link, f"/context/{name}")
    try:
        fresh = await sessions.choose_assignment(request, session, chosen.id)
    except (Refused, Unauthenticated):
        return _go(f"/context/{name}")
    return await _arrived(request, fresh.session, link, name, fresh)


async def _arrived(
    request: Request,
    session: sessions.Session,
    link: Link,
    name: str,
    fresh: sessions.Fresh | None,
) -> Response:
    """To the patient's record, whose door decides as always; the link is used up."""
    services = services_of(request)
    if not await context.spend(services.database, name):
        raise LinkRefused("used or late", "link_used")
    patient = await context.patient_id(services.database, link)
    details = _details(link) | {"session": session.id, "switched": fresh is not None}
    await trace(request, "context", session.actor, patient=patient, details=details)
    response = _go(f"/patients/{quote(patient, safe='')}")
    if fresh is not None:
        fresh.put(response, services.settings)
    return response


async def _ask(request: Request, session: sessions.Session, link: Link, here: str) -> Response:
    """Whether to leave the assignment in force; or that the link's is not the person's now (R1)."""
    held = await _held(request, session)
    chosen = link.chosen(held)
    a = session.actor.assignment
    next = "/"
    if chosen is None:
        await trace(
            request, "context", session.actor, rule="R1", outcome="not the person's assignment",
            details=_details(link),
        )  # fmt: skip
        patient = await context.patient_id(services_of(request).database, link)
        next = f"/patients/{quote(patient, safe='')}"
    page = ContextPage(
        link.partner_name, link.number, chosen, a, held, here, next, csrf_token(session)
    )
    response = render(request, page, 200 if chosen is not None else 403)
    response.headers.update(_NO_STORE)
    return response


async def _held(request: Request, session: sessions.Session) -> list[Assignment]:
    practitioner = session.actor.id.removeprefix("Practitioner/")
    return await assignments_of(services_of(request).database, practitioner)


def _level() -> int:
    """The level of assurance a link needs: that of the staff's record."""
    return record_level(Actor("staff", ""))


def _details(link: Link) -> dict[str, str]:
    return {"partner": link.partner, "jti": link.jti, "person": link.person}


def _go(to: str) -> RedirectResponse:
    return RedirectResponse(to, 303, _NO_STORE)


routes = [
    Route("/context", arrive, methods=["GET", "POST"]),
    Route("/context/{name}", onward, methods=["GET", "POST"]),
]
