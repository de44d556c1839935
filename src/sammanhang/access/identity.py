"""Logging in and out: the relying party of OpenID Connect, and the choice of assignment.

`/login` sends the browser to the provider with state, nonce and PKCE; `/login/callback` takes the
answer, checks all of it, and makes the session. A person with several assignments chooses one before
anything else is open (R1: one assignment per session). Who needs a higher level, or a log-in made just now,
is sent once more with `acr_values` and `max_age`; what comes back is held to it. Sources: OpenID Connect
Core 1.0 3.1, RFC 7636, RFC 9207, RFC 9470, RFC 9700.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.kernel.errors import Refused, Unauthenticated

from . import identity_attempt, sessions
from .actor import Actor
from .assurance import record_level
from .forms import OtherAssignment
from .identity_attempt import Attempt, Purpose, local_path
from .identity_pages import ChoosePage, LogoutPage, MessagePage, render
from .identity_provider import (
    LEEWAY_SECONDS,
    LEVELS,
    Provider,
    ProviderDown,
    TokenRefused,
    acr_values,
    provider_of,
)
from .identity_services import address, base_url, services_of, trace
from .oidc_grants import after_logout, redirect_uri
from .rates import Rate
from .staff import held_by, name_of, person_of_claims
from .verifiers import s256

_SWEEP_SECONDS = 600.0
_swept = [float("-inf")]
_begun = Rate()


async def login_start(request: Request, purpose: Purpose) -> Response:
    """Begins a log-in: to the provider, with what will show that the answer is ours."""
    services = services_of(request)
    settings = services.settings
    provider = provider_of(services)
    if provider is None:
        return render(request, MessagePage("no_provider", None), 503)
    wait = _begun.wait(address(request), settings.logins_per_minute)
    if wait > 0:
        await trace(request, "login", "system:login", outcome="too many log-ins begun")
        busy = render(request, MessagePage("busy"), 429)
        busy.headers["Retry-After"] = str(int(wait) + 1)
        return busy
    try:
        metadata = await provider.metadata(settings)
    except ProviderDown as down:
        await trace(request, "login", "system:login", outcome=str(down))
        return render(request, MessagePage("unavailable"), 503)
    begun = await identity_attempt.begin(request, purpose)
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri(settings),
        "scope": "openid profile",
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": s256(begun.verifier),
        "code_challenge_method": "S256",
    }
    if purpose.level:
        asked["acr_values"] = acr_values(purpose.level, metadata)
    if purpose.anew:
        asked |= {"prompt": "login", "max_age": "0"}
    response = RedirectResponse(
        _with(metadata["authorization_endpoint"], asked), 303, {"Cache-Control": "no-store"}
    )
    begun.put(response, settings)
    return response


async def login_callback(request: Request) -> Response:
    """`GET /login/callback`: the provider's answer; a session, or a page that says why not."""
    services = services_of(request)
    provider = provider_of(services)
    if provider is None:
        return render(request, MessagePage("no_provider", None), 503)
    state = request.query_params.get("state", "")
    attempt = await identity_attempt.finish(request, state)
    if attempt is None:
        return await _failed(request, "attempt", "unknown, used or late state")
    try:
        return await _answered(request, provider, attempt, state)
    except TokenRefused as refused:
        return await _failed(request, "token", refused.why)
    except ProviderDown as down:
        return await _failed(request, "unavailable", str(down), 503)


async def _answered(request: Request, provider: Provider, attempt: Attempt, state: str) -> Response:
    services = services_of(request)
    settings = services.settings
    answer = request.query_params
    issued_by = answer.get("iss")
    if issued_by is not None and issued_by != provider.issuer:
        raise TokenRefused("answer of another provider")
    code = answer.get("code")
    if code is None:
        said = answer.get("error", "")
        known = said if said.isascii() and said.replace("_", "").isalnum() else "no code"
        return await _failed(request, "provider_said_no", known[:64])
    id_token = await provider.exchange(services, code, attempt.verifier, redirect_uri(settings))
    claims = await provider.check(services, id_token, attempt.nonce)
    # Only our own provider names people by their ids; what another calls `sub` means nothing here.
    person = (
        claims["sub"] if provider.builtin else await person_of_claims(services.database, claims)
    )
    name = await name_of(services.database, person) if person is not None else None
    if person is None or name is None:
        return await _failed(request, "unknown_person", "person not known here", 403)
    kind, _, id = person.partition("/")
    actor = Actor(
        "staff" if kind == "Practitioner" else "resident", person, name, loa=LEVELS[claims["acr"]]
    )
    if actor.loa < attempt.purpose.level:
        # As before: asking once more of itself would go round for ever.
        return await _failed(request, "level", "level of assurance too low", 403, actor)
    proved = _proved(claims)
    if attempt.purpose.anew and not _just_now(proved, attempt):
        raise TokenRefused("not a log-in made now")
    held = await held_by(services.database, id) if actor.kind == "staff" else []
    if actor.kind == "staff" and not held:
        return await _failed(request, "no_assignment", "no current assignment", 403, actor)
    proof = sessions.Proof(id_token, proved, provider.issuer, claims["sub"], claims.get("sid"))
    earlier = await _earlier(request, actor, attempt)
    unlocked = earlier is not None and await sessions.asleep(request) is not None
    goes_on = earlier.assignment.id if earlier is not None and earlier.assignment else None
    in_force = held[0] if len(held) == 1 else None
    in_force = next((h for h in held if h.assignment.id == goes_on), in_force)
    fresh = await sessions.create(request, actor=actor, held=in_force, proof=proof)
    details = {"loa": actor.loa, "session": fresh.session.id, "issuer": provider.issuer}
    await trace(request, "unlock" if unlocked else "login", fresh.session.actor, details=details)
    # Who logs in where another's screen was locked begins from the beginning.
    stranger = bool(attempt.purpose.person) and attempt.purpose.person != actor.id
    next_ = "/" if stranger else attempt.purpose.next
    if fresh.session.state == "choose":
        next_ = "/login/assignment?next=" + quote(next_, safe="")
    response = _go(next_)
    fresh.put(response, settings)
    identity_attempt.drop(response, settings, state)
    await _sweep_sometimes(request)
    return response


async def login(request: Request) -> Response:
    """`GET /login?next=…`: to the provider, or onward when one is logged in already.

    `level=3` asks for a level of assurance: who is logged in at a lower one logs in again.
    """
    settings = services_of(request).settings
    next = local_path(request.query_params.get("next"))
    home = httpx.URL(base_url(settings))
    if request.url.netloc != home.netloc.decode() and "here" not in request.query_params:
        # The provider answers to the one address it knows; a cookie set under another name of this
        # server (localhost for 127.0.0.1) would be missing there. Once only: a proxy may rename us.
        onward = {**request.query_params, "next": next, "here": "1"}
        return _go(_with(f"{base_url(settings)}/login", onward))
    session = await sessions.current(request)
    anew = "fresh" in request.query_params
    level = _level(request)
    if session is not None and session.actor.loa >= level and not anew:
        choosing = session.state == "choose"
        return _go("/login/assignment?next=" + quote(next, safe="") if choosing else next)
    whose = await _whose(request)
    return await login_start(request, Purpose(next, level, anew or whose.locked, whose.person))


async def unlock(request: Request) -> Response:
    """`GET /unlock?next=…`: a log-in made now, which opens a locked screen for whoever locked it."""
    next = local_path(request.query_params.get("next"))
    whose = await _whose(request)
    if not whose.locked and whose.person:
        return _go(next)
    return await login_start(request, Purpose(next, whose.level, True, whose.person))


async def assignment(request: Request) -> Response:
    """`/login/assignment`: the page to choose one on, and the choice; also to switch later."""
    services = services_of(request)
    session = await sessions.current(request)
    if session is None and await sessions.asleep(request) is not None:
        return _go("/locked")
    if session is None or session.actor.kind != "staff":
        return _go("/login")
    if request.method == "GET":
        return await _choose_page(request, session, local_path(request.query_params.get("next")))
    form = await request.form(max_files=0)
    chosen, sent_next = form.get("assignment"), form.get("next")
    next = local_path(sent_next if isinstance(sent_next, str) else None)
    try:
        await sessions.check_csrf(request, session)
        fresh = await sessions.choose_assignment(
            request, session, chosen if isinstance(chosen, str) else ""
        )
    except Refused as refused:
        await trace(request, "refuse", session.actor, rule=refused.rule, outcome="refused")
        text = "forged" if refused.rule == "CSRF" else "not_yours"
        return render(request, MessagePage(text, "/login/assignment"), 403)
    except (Unauthenticated, OtherAssignment):
        # Ended, or switched already, in another window: the page to choose on shows how it is now.
        return _go("/login/assignment?next=" + quote(next, safe=""))
    await trace(
        request, "assignment", fresh.session.actor,
        details={"session": fresh.session.id, "was": session.id},
    )  # fmt: skip
    response = _go(next)
    fresh.put(response, services.settings)
    return response


async def logout(request: Request) -> Response:
    """`POST /logout`: ends the session here and at the provider, locked or not; `GET` asks first."""
    services = services_of(request)
    sleeping = await sessions.asleep(request)
    session = sleeping.session if sleeping is not None else await sessions.current(request)
    if session is None:
        response: Response = _go("/")
        sessions.forget_cookie(response, services.settings)
        return response
    if request.method == "GET":
        return render(request, LogoutPage(session.actor.name, sessions.csrf_token(session)))
    try:
        await sessions.check_csrf(request, session)
    except sessions.ForgedForm:
        await trace(request, "refuse", session.actor, rule="CSRF", outcome="refused")
        return render(request, MessagePage("forged", "/logout"), 403)
    except OtherAssignment:
        pass  # one logs out of all of them
    await sessions.logout(request)
    await trace(request, "logout", session.actor, details={"session": session.id})
    response = _go(await _provider_logout(request, session.id_token))
    # What the browser kept of the pages goes with the session (ASVS 14.3.1).
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    sessions.forget_cookie(response, services.settings)
    return response


async def logged_out(request: Request) -> Response:
    """`GET /logout/done`: where the provider leads when it has logged out too."""
    if await sessions.current(request) is not None:
        return _go("/")
    return render(request, MessagePage("logged_out"))


routes = [
    Route("/login", login, methods=["GET"]),
    Route("/login/callback", login_callback, methods=["GET"]),
    Route("/unlock", unlock, methods=["GET"]),
    Route("/login/assignment", assignment, methods=["GET", "POST"]),
    Route("/logout", logout, methods=["GET", "POST"]),
    Route("/logout/done", logged_out, methods=["GET"]),
]


def _level(request: Request) -> int:
    """The level `level=` asks for: a whole number the provider may reach, else 0."""
    asked = request.query_params.get("level", "")
    return int(asked) if asked in ("2", "3", "4") else 0


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whose session the browser has: the person (empty for none), whether it is asleep, its level."""

    person: str = ""
    locked: bool = False
    level: int = 0


async def _whose(request: Request) -> _Whose:
    session = await sessions.current(request)
    sleeping = await sessions.asleep(request)
    if sleeping is not None:
        actor = sleeping.session.actor
        # What was open needed no more than this; a lower log-in would show less than the page beneath.
        return _Whose(actor.id, True, min(actor.loa, record_level(actor)))
    return _Whose(session.actor.id if session is not None else "")


async def _earlier(request: Request, actor: Actor, attempt: Attempt) -> Actor | None:
    """The person as they were in the session that goes on: theirs, and this log-in is for it."""
    if attempt.purpose.person != actor.id:
        return None
    sleeping = await sessions.asleep(request)
    session = sleeping.session if sleeping is not None else await sessions.current(request)
    return session.actor if session is not None and session.actor.id == actor.id else None


def _proved(claims: dict[str, Any]) -> datetime | None:
    """When the person proved who they are, by `auth_time`; None when the provider does not say."""
    at = claims.get("auth_time")
    if not isinstance(at, int) or isinstance(at, bool) or not 0 < at < 1 << 40:
        return None
    return datetime.fromtimestamp(at, UTC)


def _just_now(proved: datetime | None, attempt: Attempt) -> bool:
    """OpenID Connect Core 3.1.2.1, `max_age`: proved since the attempt began, give or take the clocks."""
    early = attempt.started - timedelta(seconds=LEEWAY_SECONDS)
    return proved is not None and proved >= early


async def _failed(
    request: Request, text: str, why: str, status: int = 400, actor: Actor | None = None
) -> Response:
    """A log-in that came to nothing: its trace, and a page with the way on."""
    await trace(request, "login", actor or "system:login", outcome=why)
    services = services_of(request)
    response = render(request, MessagePage(text), status)
    identity_attempt.drop(response, services.settings, request.query_params.get("state", ""))
    return response


async def _choose_page(request: Request, session: sessions.Session, next: str) -> Response:
    database = services_of(request).database
    person = session.actor
    held = await held_by(database, person.id.removeprefix("Practitioner/"))
    if not held:
        return render(request, MessagePage("no_assignment", "/logout"), 403)
    in_force = person.assignment.id if person.assignment is not None else None
    chosen = in_force or await sessions.last_assignment(database, person.id)
    assignments = sorted((h.assignment for h in held), key=lambda a: a.id != chosen)
    if all(a.id != chosen for a in assignments):
        chosen = None
    token = sessions.csrf_token(session)
    return render(request, ChoosePage(person.name, assignments, chosen, next, token))


async def _provider_logout(request: Request, id_token: str | None) -> str:
    """Where log-out goes on: the provider's end_session_endpoint, or our own first page."""
    services = services_of(request)
    provider = provider_of(services)
    try:
        metadata = await provider.metadata(services.settings) if provider is not None else {}
    except ProviderDown:
        metadata = {}
    endpoint = metadata.get("end_session_endpoint")
    if provider is None or not isinstance(endpoint, str):
        return "/"
    asked = {
        "client_id": provider.client_id,
        "post_logout_redirect_uri": after_logout(services.settings),
    }
    asked["state"] = secrets.token_urlsafe(16)
    return _with(endpoint, asked | ({"id_token_hint": id_token} if id_token else {}))


async def _sweep_sometimes(request: Request) -> None:
    if time.monotonic() - _swept[0] > _SWEEP_SECONDS:
        _swept[0] = time.monotonic()
        services = services_of(request)
        await sessions.sweep(services.database)


def _go(to: str) -> RedirectResponse:
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})


def _with(url: str, more: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(more)}"
