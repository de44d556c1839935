"""`POST /login/backchannel`: the provider ends sessions here (OpenID Connect Back-Channel Logout 1.0).

A logout token is held to the same checks as an ID token, and to its own (2.6): the event, `sub` or `sid` or
both, no nonce, and a `jti` that no process has seen before.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sammanhang.store.database import Database

from .identity_provider import (
    LEEWAY_SECONDS,
    Provider,
    ProviderDown,
    TokenRefused,
    is_name,
    provider_of,
)
from .identity_services import Services, services_of, trace
from .oidc_errors import OAuthError, form_of, json_response
from .used_tokens import use_once

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LONGEST_SECONDS = 600
"""How long a logout token may live: the specification recommends two minutes at most."""
_TYPES = ("logout+jwt", "jwt")

# end_sessions: those of a person, of one log-in, or of one log-in of that person
_END = """
DELETE FROM access.session
 WHERE issuer = %(issuer)s AND (%(sid)s::text IS NULL OR sid = %(sid)s)
   AND (%(subject)s::text IS NULL OR subject = %(subject)s)
RETURNING person, id
"""


async def backchannel(request: Request) -> Response:
    """200 when the sessions the token names are over, also when there were none; else 400 and why."""
    services = services_of(request)
    provider = provider_of(services)
    try:
        form = await form_of(request)
        if provider is None:
            raise TokenRefused("there is no provider")
        ended = await take(services, provider, form.get("logout_token", ""))
    except OAuthError as refused:
        return await _refused(request, refused.description, refused.status)
    except TokenRefused as refused:
        return await _refused(request, refused.why)
    except ProviderDown:
        return await _refused(request, "the provider's keys cannot be read")
    for person, session in ended:
        await trace(request, "logout", person, details={"session": session})
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def take(services: Services, provider: Provider, token: str) -> list[tuple[str, str]]:
    """Ends the sessions a logout token names; returns person and session id of each.

    Raises `TokenRefused` with what does not hold, and `ProviderDown`.
    """
    header, claims = await provider.verified(services, token)
    _check(header, claims, provider)
    until = float(claims["exp"]) + LEEWAY_SECONDS
    if not await use_once(services.database, provider.issuer, claims["jti"], until):
        raise TokenRefused("used before")
    return await _end(services.database, provider.issuer, claims.get("sub"), claims.get("sid"))


def _check(header: dict[str, Any], claims: dict[str, Any], provider: Provider) -> None:
    """Back-Channel Logout 1.0, 2.4 and 2.6."""
    kind = header.get("typ")
    if kind is not None and str(kind).lower().removeprefix("application/") not in _TYPES:
        raise TokenRefused("type")
    provider.check_origin(claims)
    if claims["exp"] - claims["iat"] > LONGEST_SECONDS or claims["iat"] < time.time() - (
        LONGEST_SECONDS + LEEWAY_SECONDS
    ):
        raise TokenRefused("too long a life")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise TokenRefused("event")
    if "nonce" in claims:
        raise TokenRefused("nonce")
    for name in ("sub", "sid", "jti"):
        if claims.get(name) is not None and not is_name(claims[name]):
            raise TokenRefused(name)
    if claims.get("jti") is None:
        raise TokenRefused("jti")
    if claims.get("sub") is None and claims.get("sid") is None:
        raise TokenRefused("neither sub nor sid")


async def _end(
    database: Database, issuer: str, subject: str | None, sid: str | None
) -> list[tuple[str, str]]:
    values = {"issuer": issuer, "subject": subject, "sid": sid}
    async with database.writing() as connection:
        cursor = await connection.execute(_END, values)
        return [(person, id.hex()[:16]) for person, id in await cursor.fetchall()]


async def _refused(request: Request, why: str, status: int = 400) -> Response:
    await trace(request, "refuse", "system:backchannel", outcome=why)
    body = {"error": "invalid_request", "error_description": why}
    return json_response(body, 400 if status != 413 else status)


routes = [Route("/login/backchannel", backchannel, methods=["POST"])]
