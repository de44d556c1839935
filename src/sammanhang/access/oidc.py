"""The built-in OpenID Connect provider: in the demo it plays the national ones with fictional people.

Nothing here asks for a proof of who one is, so nothing here answers where `SAMMANHANG_DEMO` is false:
every address is then 404. What it says is signed and checked as if it came from outside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.kernel.settings import Settings

from . import oidc_grants as grants
from .backchannel import take
from .identity_pages import MessagePage, ProviderPage, render
from .identity_provider import provider_of
from .identity_services import services_of, trace
from .keys import keys_of
from .oidc_errors import OAuthError, form_of, json_response
from .staff import name_of
from .staff_people import people_to_log_in_as

Handler = Callable[[Request], Awaitable[Response]]
_CARRIED = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "acr_values", "max_age",
)  # fmt: skip


def demo_only(handler: Handler) -> Handler:
    """Outside the demo there is nothing at this address."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        if not services_of(request).settings.demo:
            raise HTTPException(404)
        return await handler(request)

    return guarded


@demo_only
async def discovery(request: Request) -> Response:
    """`GET /oidc/.well-known/openid-configuration`."""
    return json_response(grants.discovery(services_of(request).settings), headers={})


@demo_only
async def jwks(request: Request) -> Response:
    """`GET /oidc/jwks`: the keys that sign ID tokens."""
    database = services_of(request).database
    return json_response(await keys_of(database).public(database), headers={})


@demo_only
async def authorize(request: Request) -> Response:
    """`GET /oidc/authorize`: the page to choose a person on; `POST`: the choice, answered by a code."""
    services = services_of(request)
    source = request.query_params if request.method == "GET" else await request.form(max_files=0)
    # A field that is not text (a file) is as if it were not sent.
    sent = {name: value for name, value in source.multi_items() if isinstance(value, str)}
    try:
        asked = grants.authorization_request(services.settings, sent)
    except grants.BadRelyingParty:
        await trace(request, "refuse", "system:oidc", outcome="unknown relying party")
        return render(request, MessagePage("bad_request"), 400)
    except OAuthError as refused:
        await trace(request, "refuse", "system:oidc", outcome=refused.code)
        answer = {"error": refused.code, "error_description": refused.description}
        return _answer(services.settings, sent.get("state", ""), answer)
    lower = sent.get("level") == "2"
    person = sent.get("person", "")
    if request.method == "POST" and person:
        name = await name_of(services.database, person)
        if name is not None:
            acr = grants.LOA2 if lower else grants.LOA3
            code = await grants.grant(services.database, asked, person, name, acr)
            return _answer(services.settings, asked.state, {"code": code})
    query = sent.get("q", "")[:100].replace("\0", "")
    people = await people_to_log_in_as(services.database, query)
    carried = {name: sent[name] for name in _CARRIED if name in sent}
    other = carried | ({"q": query} if query else {}) | ({} if lower else {"level": "2"})
    page = ProviderPage(
        hidden=carried,
        query=query,
        staff=[p for p in people if p.kind == "staff"],
        residents=[p for p in people if p.kind == "resident"],
        lower=lower,
        other="/oidc/authorize?" + urlencode(other),
    )
    return render(request, page)


@demo_only
async def token(request: Request) -> Response:
    """`POST /oidc/token`: the tokens a code gives."""
    services = services_of(request)
    try:
        form = await form_of(request)
        answer = await grants.exchange(services.database, services.settings, form)
    except OAuthError as refused:
        await trace(request, "token", "system:oidc", outcome=refused.code)
        return refused.response()
    await trace(request, "token", "system:oidc")
    return json_response(answer)


@demo_only
async def userinfo(request: Request) -> Response:
    """`GET` or `POST /oidc/userinfo`: who an access token of this provider stands for."""
    services = services_of(request)
    try:
        header = request.headers.get("authorization")
        return json_response(await grants.userinfo(services.database, services.settings, header))
    except OAuthError as refused:
        return refused.response()


@demo_only
async def end_session(request: Request) -> Response:
    """`/oidc/end_session`: the log-in of `id_token_hint` is over, and the relying party is told.

    OpenID Connect RP-Initiated Logout 1.0: onward only to the exact address registered, for the client
    registered, with a hint that we gave. There is no session of the provider's own to end.
    """
    services = services_of(request)
    settings = services.settings
    source = request.query_params if request.method == "GET" else await request.form(max_files=0)
    sent = {name: value for name, value in source.multi_items() if isinstance(value, str)}
    hint = sent.get("id_token_hint", "")
    log_in = await grants.hinted(services.database, settings, hint) if hint else None
    wrong = (bool(hint) and log_in is None) or sent.get("client_id", grants.CLIENT_ID) != (
        grants.CLIENT_ID
    )
    if wrong:
        await trace(request, "refuse", "system:oidc", outcome="log-out with a bad hint or client")
        return render(request, MessagePage("bad_request"), 400)
    provider = provider_of(services)
    if log_in is not None and provider is not None and provider.builtin:
        token = await grants.logout_token(services.database, settings, log_in)
        await take(services, provider, token)
    if sent.get("post_logout_redirect_uri") == grants.after_logout(settings):
        more = "?" + urlencode({"state": sent["state"]}) if sent.get("state") else ""
        return RedirectResponse(f"{grants.after_logout(settings)}{more}", 303)
    return render(request, MessagePage("logged_out"))


routes = [
    Route("/oidc/.well-known/openid-configuration", discovery, methods=["GET"]),
    Route("/oidc/jwks", jwks, methods=["GET"]),
    Route("/oidc/authorize", authorize, methods=["GET", "POST"]),
    Route("/oidc/token", token, methods=["POST"]),
    Route("/oidc/userinfo", userinfo, methods=["GET", "POST"]),
    Route("/oidc/end_session", end_session, methods=["GET", "POST"]),
]


def _answer(settings: Settings, state: str, answer: dict[str, str]) -> Response:
    """The answer to the relying party, with `state` and `iss` (RFC 9207)."""
    answer = {**answer, "state": state, "iss": grants.issuer(settings)}
    return RedirectResponse(
        f"{grants.redirect_uri(settings)}?{urlencode(answer)}", 303, {"Cache-Control": "no-store"}
    )
