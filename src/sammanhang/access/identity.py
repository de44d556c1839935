"""Logging in and out: the relying party of OpenID Connect, and the choice of assignment.

`/login` sends the browser to the provider with state, nonce and PKCE; `/login/callback` takes the
answer, checks all of it, and makes the session. A person with several assignments chooses one before
anything else is open (R1: one assignment per session). Sources: OpenID Connect Core 1.0 3.1, RFC 7636,
RFC 9207, RFC 9700.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.settings import Settings

from . import sessions
from .actor import Actor
from .identity_pages import ChoosePage, LogoutPage, MessagePage, render
from .identity_provider import LEVELS, Provider, ProviderDown, TokenRefused, provider_of
from .identity_services import base_url, secure, services_of, trace
from .oidc_grants import after_logout, redirect_uri
from .staff import held_by, name_of, person_of_claims
from .verifiers import s256

ATTEMPT_SECONDS = 600
LONGEST_NEXT = 8000  # an app's request for access comes back here whole, with all its scopes
_SWEEP_SECONDS = 600.0
_swept = [float("-inf")]


@dataclass(frozen=True, slots=True)
class _Attempt:
    nonce: str
    verifier: str
    next: str


# start: a log-in under way
_START = """
INSERT INTO access.login_attempt (state, browser, nonce, verifier, next, expires)
VALUES (%s, %s, %s, %s, %s, now() + make_interval(secs => %s))
"""
# finish: the log-in an answer belongs to, once, in time
_FINISH = """
DELETE FROM access.login_attempt WHERE state = %s
RETURNING browser, nonce, verifier, next, expires > now()
"""


def local_path(text: str | None) -> str:
    """Where to go after log-in: a path of this server, `/` for anything else (no open redirect).

    Browsers read `//host`, `/\\host` and a path with a tab or line break in it as another host
    (WHATWG URL 4.4); such are refused, and so are the log-in's own pages, which would go round.
    """
    if not text or len(text) > LONGEST_NEXT or not text.startswith("/") or text.startswith("//"):
        return "/"
    if "\\" in text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.split("/")[1] in ("login", "logout", "oidc"):
        return "/"
    return text


async def login_start(request: Request, next: str) -> Response:
    """Begins a log-in: to the provider, with what will show that the answer is ours.

    `next` is where the person was going; it passes `local_path`.
    """
    services = services_of(request)
    settings = services.settings
    provider = provider_of(services)
    if provider is None:
        return render(request, MessagePage("no_provider", None), 503)
    try:
        metadata = await provider.metadata(settings)
    except ProviderDown as down:
        await trace(request, "login", "system:login", outcome=str(down))
        return render(request, MessagePage("unavailable"), 503)
    state, nonce, browser = (secrets.token_urlsafe(32) for _ in range(3))
    verifier = secrets.token_urlsafe(48)
    async with services.database.writing() as connection:
        await connection.execute(
            _START,
            (_hash(state), _hash(browser), nonce, verifier, local_path(next), ATTEMPT_SECONDS),
        )
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri(settings),
        "scope": "openid profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": s256(verifier),
        "code_challenge_method": "S256",
    }
    response = RedirectResponse(
        _with(metadata["authorization_endpoint"], asked), 303, {"Cache-Control": "no-store"}
    )
    # A cookie of its own for each attempt: two windows may log in at the same time, and an answer
    # smuggled into somebody else's browser (log-in CSRF) finds no cookie there.
    response.set_cookie(
        _attempt_cookie(settings, state), browser, max_age=ATTEMPT_SECONDS, path="/",
        secure=secure(settings), httponly=True, samesite="lax",
    )  # fmt: skip
    return response


async def login_callback(request: Request) -> Response:
    """`GET /login/callback`: the provider's answer; a session, or a page that says why not."""
    services = services_of(request)
    provider = provider_of(services)
    if provider is None:
        return render(request, MessagePage("no_provider", None), 503)
    state = request.query_params.get("state", "")
    attempt = await _finish(request, state)
    if attempt is None:
        return await _failed(request, "attempt", "unknown, used or late state")
    try:
        return await _answered(request, provider, attempt, state)
    except TokenRefused as refused:
        return await _failed(request, "token", refused.why)
    except ProviderDown as down:
        return await _failed(request, "unavailable", str(down), 503)


async def _answered(
    request: Request, provider: Provider, attempt: _Attempt, state: str
) -> Response:
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
    held = await held_by(services.database, id) if actor.kind == "staff" else []
    if actor.kind == "staff" and not held:
        return await _failed(request, "no_assignment", "no current assignment", 403, actor)
    fresh = await sessions.create(
        request, actor=actor, held=held[0] if len(held) == 1 else None, id_token=id_token
    )
    await trace(
        request, "login", fresh.session.actor,
        details={"loa": actor.loa, "session": fresh.session.id, "issuer": provider.issuer},
    )  # fmt: skip
    next = attempt.next
    if fresh.session.state == "choose":
        next = "/login/assignment?next=" + quote(next, safe="")
    response = _go(next)
    fresh.put(response, settings)
    _drop_attempt(response, settings, state)
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
    wanted = 3 if request.query_params.get("level") == "3" else 0
    if session is not None and session.actor.loa >= wanted:
        choosing = session.state == "choose"
        return _go("/login/assignment?next=" + quote(next, safe="") if choosing else next)
    return await login_start(request, next)


async def assignment(request: Request) -> Response:
    """`/login/assignment`: the page to choose one on, and the choice; also to switch later."""
    services = services_of(request)
    session = await sessions.current(request)
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
    except Unauthenticated:
        return _go("/login")
    await trace(
        request, "assignment", fresh.session.actor,
        details={"session": fresh.session.id, "was": session.id},
    )  # fmt: skip
    response = _go(next)
    fresh.put(response, services.settings)
    return response


async def logout(request: Request) -> Response:
    """`POST /logout`: ends the session here and at the provider; `GET` asks first."""
    services = services_of(request)
    session = await sessions.current(request)
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
    await sessions.logout(request)
    await trace(request, "logout", session.actor, details={"session": session.id})
    response = _go(await _provider_logout(request, session.id_token))
    sessions.forget_cookie(response, services.settings)
    return response


routes = [
    Route("/login", login, methods=["GET"]),
    Route("/login/callback", login_callback, methods=["GET"]),
    Route("/login/assignment", assignment, methods=["GET", "POST"]),
    Route("/logout", logout, methods=["GET", "POST"]),
]


async def _finish(request: Request, state: str) -> _Attempt | None:
    """The attempt an answer belongs to, spent by this; None when it is not of this browser."""
    services = services_of(request)
    if not state or len(state) > 200:
        return None
    browser = request.cookies.get(_attempt_cookie(services.settings, state), "")
    async with services.database.writing() as connection:
        cursor = await connection.execute(_FINISH, (_hash(state),))
        row = await cursor.fetchone()
    if row is None or not row[4] or not hmac.compare_digest(_hash(browser), row[0]):
        return None
    return _Attempt(row[1], row[2], row[3])


async def _failed(
    request: Request, text: str, why: str, status: int = 400, actor: Actor | None = None
) -> Response:
    """A log-in that came to nothing: its trace, and a page with the way on."""
    await trace(request, "login", actor or "system:login", outcome=why)
    services = services_of(request)
    response = render(request, MessagePage(text), status)
    _drop_attempt(response, services.settings, request.query_params.get("state", ""))
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
    return _with(endpoint, asked | ({"id_token_hint": id_token} if id_token else {}))


async def _sweep_sometimes(request: Request) -> None:
    if time.monotonic() - _swept[0] > _SWEEP_SECONDS:
        _swept[0] = time.monotonic()
        services = services_of(request)
        await sessions.sweep(services.database, services.settings)


def _attempt_cookie(settings: Settings, state: str) -> str:
    # Named by a hash: the state in a link must not become a name of somebody else's choosing.
    prefix = "__Host-" if secure(settings) else ""
    return f"{prefix}sammanhang-login-{_hash(state).hex()[:12]}"


def _drop_attempt(response: Response, settings: Settings, state: str) -> None:
    response.delete_cookie(
        _attempt_cookie(settings, state), path="/", secure=secure(settings), httponly=True,
        samesite="lax",
    )  # fmt: skip


def _go(to: str) -> RedirectResponse:
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})


def _with(url: str, more: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(more)}"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
