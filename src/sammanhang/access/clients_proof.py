"""Who a client is, proved at the token endpoint: by a secret, by a signed assertion, or, for a public
client, by nothing but what it holds (a code with its verifier, a refresh token).

A client proves itself in the one way it is registered with and in one place only (RFC 6749 2.3). What
does not hold looks and costs the same whichever part of it was wrong.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_plus

from argon2.exceptions import Argon2Error, InvalidHashError
from starlette.requests import Request

from . import clients_assertions as assertions
from .clients import Client, client_of, hasher
from .clients_lockout import LockOut
from .clients_registration import CLIENT_ID
from .identity_services import Services, address, services_of
from .oidc_errors import OAuthError

# Two threads bound what a flood of guesses can take.
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")
_NOBODY = hasher.hash(secrets.token_urlsafe(32))
_lock_out = LockOut()


async def proved(request: Request, form: dict[str, str]) -> Client:
    """The client that sent this form; raises `OAuthError`.

    `invalid_request` for proof in two ways at once, `invalid_client` for none that holds.
    """
    services = services_of(request)
    if "client_assertion" in form or "client_assertion_type" in form:
        if "client_secret" in form or request.headers.get("authorization") is not None:
            raise OAuthError("invalid_request", "Prove the client in one way, not two.")
        return await assertions.proved(services, form)
    id, secret = credentials(request, form)
    client = await client_of(services.database, id, demo=services.settings.demo)
    if not secret:
        if client is None or client.method != "none":
            raise not_proved()
        return client
    return await _by_secret(services, id, client, secret, address(request))


def who(request: Request, form: dict[str, str]) -> str:
    """What the trace calls a client that is not proved yet: `client:` and the id it gave itself."""
    try:
        id = credentials(request, form)[0]
    except OAuthError:
        id = form.get("client_id", "")
    if not id:
        id = assertions.claimed(form.get("client_assertion", "")) or ""
    return f"client:{id}" if CLIENT_ID.fullmatch(id) else "client:?"


def credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """The client's id and secret (empty when none was sent), from one place only; raises `OAuthError`."""
    header = request.headers.get("authorization")
    if header is None:
        id, secret = form.get("client_id", ""), form.get("client_secret", "")
    elif "client_secret" in form:
        raise OAuthError("invalid_request", "Send the secret in one way, not two.")
    else:
        id, secret = _basic(header)
        if form.get("client_id", id) != id:
            raise OAuthError("invalid_request", "client_id is another than in the header.")
        if not secret:
            raise not_proved()
    if CLIENT_ID.fullmatch(id) is None or len(secret) > 256:
        raise not_proved()
    return id, secret


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise not_proved() from None
    id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise not_proved()
    return unquote_plus(id), unquote_plus(secret)


async def _by_secret(
    services: Services, id: str, client: Client | None, secret: str, here: str
) -> Client:
    """The client, when the secret is its own; wrong id and wrong secret look and cost the same."""
    wait = _lock_out.wait(id, here)
    if wait > 0:
        raise OAuthError(
            "invalid_client",
            "Too many wrong secrets; wait and try again.",
            status=429,
            headers={"Retry-After": str(int(wait) + 1)},
        )
    stored = client.secret if client is not None and client.method == "client_secret" else None
    loop = asyncio.get_running_loop()
    right = await loop.run_in_executor(_threads, _verified, stored or _NOBODY, secret)
    if client is None or stored is None or not right:
        _lock_out.wrong(id, here)
        raise not_proved()
    _lock_out.right(id, here)
    return client


def _verified(stored: str, secret: str) -> bool:
    try:
        return hasher.verify(stored, secret)
    except (Argon2Error, InvalidHashError):
        return False


def not_proved() -> OAuthError:
    """The one answer to a client that is not who it says."""
    return OAuthError(
        "invalid_client",
        "The client or its secret is not right.",
        status=401,
        headers={"WWW-Authenticate": 'Basic realm="Sammanhang", charset="UTF-8"'},
    )
