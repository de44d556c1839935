"""API clients: programs that speak for a care provider, and the endpoint where they get tokens.

`POST /oauth/token` knows the client credentials grant (RFC 6749 4.4) with the secret in the
`Authorization` header or in the form. A secret is 256 random bits, stored as argon2id; the demo
client's is derived from a key of the database, so that it can be printed again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote_plus

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.store.database import Database

from .clients_lockout import LockOut
from .identity_services import Services, address, services_of, trace
from .keys import keys_of
from .oidc_errors import OAuthError, form_of, json_response
from .tokens import LIFE_SECONDS, issue_client_token, process_settings
from .tokens_scopes import BadScope, normal, within

DEMO_ID = "demo"
DEMO_SCOPES = ["system/*.cruds"]
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Secrets are random, not chosen by people: the cost guards against a stolen table, and OWASP's least
# figures (19 MiB, 2 passes) are plenty. Two threads bound what a flood of guesses can take.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")
_NOBODY = _hasher.hash(secrets.token_urlsafe(32))
_lock_out = LockOut()


class NoDemo(NotFound):
    """There is no demo client where SAMMANHANG_DEMO is false."""


@dataclass(frozen=True, slots=True)
class Client:
    """An API client as the token endpoint needs it."""

    id: str
    secret: str
    scopes: frozenset[str]
    demo: bool


def create_client(
    dsn: str,
    name: str,
    scopes: Iterable[str],
    *,
    provider: str | None = None,
    everything: bool = False,
    id: str | None = None,
    purpose: str = "care",
    decision: str | None = None,
    decided: date | None = None,
) -> tuple[str, str]:
    """Makes an API client; returns its id and its secret, which is shown this once.

    `provider` is the HSA-id of the care provider it acts for; `everything` trusts it with the whole
    record instead. `purpose` is one of content/rules/secondary_use; `decision` and `decided` are the number of
    the decision that lets it have data for it, and the day that ends (R40). Raises `BadScope` for a scope we do
    not know, `Conflict` for an id in use, `Invalid` for a purpose that is not there or lacks its decision.
    """
    _fits_purpose(purpose, everything, decision, decided)
    id = id or f"client-{secrets.token_hex(6)}"
    if _ID.fullmatch(id) is None:
        raise Conflict(f"{id!r} cannot be the id of a client: letters, digits and . _ - only.")
    secret = secrets.token_urlsafe(32)
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer") as connection:
        made = connection.execute(
            "INSERT INTO access.client (id, secret, name, scopes, provider, everything, purpose, decision, decided)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                id, _hasher.hash(secret), name, sorted(normal(scopes)), provider, everything, purpose, decision,
                decided,
            ),
        )  # fmt: skip
        if made.rowcount == 0:
            raise Conflict(f"There is a client with the id {id} already.")
    return id, secret


def _fits_purpose(
    purpose: str, everything: bool, decision: str | None, decided: date | None
) -> None:
    known = content("rules/secondary_use")["purposes"].get(purpose)
    if known is None:
        raise Invalid(f"There is no purpose {purpose!r}.", f"Ändamålet {purpose} finns inte.")
    if purpose != "care" and everything:
        raise Invalid(
            "A client with a purpose of its own is not trusted with the whole record.",
            "En klient med eget ändamål får inte hela journalen.",
        )
    if known.get("needs_decision") and not (decision and decided):
        raise Invalid(
            "Research needs the number of a decision and the day it ends (R40).",
            "Forskning kräver ett beslut med diarienummer och slutdag (R40).",
        )


def demo_client(dsn: str, *, demo: bool | None = None) -> tuple[str, str]:
    """Id and secret of the demo client, which may read and write everything; made the first time.

    `demo` None means the setting of this process. Raises `NoDemo` outside the demo, where the client
    is neither made nor, if an earlier demo made it, let in.
    """
    if not (process_settings().demo if demo is None else demo):
        raise NoDemo("There is no demo client where SAMMANHANG_DEMO is false.")
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer") as connection:
        connection.execute(
            "INSERT INTO access.demo (key) VALUES (%s) ON CONFLICT DO NOTHING",
            (secrets.token_bytes(32),),
        )
        row = connection.execute("SELECT key FROM access.demo").fetchone()
        assert row is not None
        digest = hmac.digest(row[0], b"client secret of the demo client", hashlib.sha256)
        secret = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        connection.execute(
            "INSERT INTO access.client (id, secret, name, scopes, everything, demo)"
            " VALUES (%s, %s, %s, %s, true, true) ON CONFLICT DO NOTHING",
            (DEMO_ID, _hasher.hash(secret), "Demoklient", DEMO_SCOPES),
        )
    return DEMO_ID, secret


def close_client(dsn: str, id: str) -> None:
    """The client gets no more tokens, and those it has end within 30 seconds. Raises `NotFound`."""
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer") as connection:
        closed = connection.execute("UPDATE access.client SET active = false WHERE id = %s", (id,))
        if closed.rowcount == 0:
            raise NotFound(f"There is no client with the id {id}.")


def smart_configuration(base_url: str, *, demo: bool = True) -> dict[str, Any]:
    """What `{base_url}/fhir/.well-known/smart-configuration` says: what exists, nothing more.

    `base_url` is `settings.base_url`. Source: SMART App Launch 2.2, Conformance. The authorization
    endpoint is the built-in provider's, so it is there in the demo only; it logs people in to
    Sammanhang itself, and `grant_types_supported` says that programs use client credentials.
    """
    document: dict[str, Any] = {
        "token_endpoint": f"{base_url}/oauth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", "system/*.rs", "system/*.read", "system/*.write"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-symmetric", "permission-v1", "permission-v2"],
    }
    if demo:
        document["authorization_endpoint"] = f"{base_url}/oidc/authorize"
    return document


async def token_endpoint(request: Request) -> Response:
    """`POST /oauth/token`: an access token for a client that proves who it is; RFC 6749 4.4, 5."""
    services = services_of(request)
    who = "client:?"
    try:
        form = await form_of(request)
        id, secret = _credentials(request, form)
        who = f"client:{id}"
        grant = form.get("grant_type")
        if grant is None:
            raise OAuthError("invalid_request", "grant_type is missing.")
        client = await _proved(services, id, secret, address(request))
        if grant != "client_credentials":
            raise OAuthError("unsupported_grant_type", "Only client_credentials is supported.")
        scopes = _granted(form.get("scope"), client)
    except OAuthError as refused:
        await trace(request, "token", who, outcome=refused.code, details={"why": str(refused)})
        return refused.response()
    token, claims = await issue_client_token(services.database, services.settings, id, scopes)
    details = {"jti": claims["jti"], "scope": claims["scope"]}
    await trace(request, "token", who, details=details)
    return json_response(
        {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFE_SECONDS,
            "scope": claims["scope"],
        }
    )


async def jwks(request: Request) -> Response:
    """`GET /oauth/jwks`: the public keys our tokens can be checked with."""
    body = await keys_of(services_of(request).database).public(services_of(request).database)
    return json_response(body, headers={"Cache-Control": "public, max-age=300"})


routes = [
    Route("/oauth/token", token_endpoint, methods=["POST"]),
    Route("/oauth/jwks", jwks, methods=["GET"]),
]


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """The client's id and secret, from one place only (RFC 6749 2.3)."""
    header = request.headers.get("authorization")
    if header is None:
        id, secret = form.get("client_id", ""), form.get("client_secret", "")
    elif "client_secret" in form:
        raise OAuthError("invalid_request", "Send the secret in one way, not two.")
    else:
        id, secret = _basic(header)
        if form.get("client_id", id) != id:
            raise OAuthError("invalid_request", "client_id is another than in the header.")
    if _ID.fullmatch(id) is None or not secret or len(secret) > 256:
        raise _not_proved()
    return id, secret


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise _not_proved() from None
    id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise _not_proved()
    return unquote_plus(id), unquote_plus(secret)


async def _proved(services: Services, id: str, secret: str, here: str) -> Client:
    """The client, when the secret is its own; wrong id and wrong secret look and cost the same."""
    wait = _lock_out.wait(id, here)
    if wait > 0:
        raise OAuthError(
            "invalid_client",
            "Too many wrong secrets; wait and try again.",
            status=429,
            headers={"Retry-After": str(int(wait) + 1)},
        )
    client = await _client(services.database, id)
    if client is not None and client.demo and not services.settings.demo:
        client = None
    loop = asyncio.get_running_loop()
    stored = client.secret if client is not None else _NOBODY
    right = await loop.run_in_executor(_threads, _verified, stored, secret)
    if client is None or not right:
        _lock_out.wrong(id, here)
        raise _not_proved()
    _lock_out.right(id, here)
    return client


def _verified(stored: str, secret: str) -> bool:
    try:
        return _hasher.verify(stored, secret)
    except (Argon2Error, InvalidHashError):
        return False


async def _client(database: Database, id: str) -> Client | None:
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT id, secret, scopes, demo FROM access.client WHERE id = %s AND active", (id,)
        )
        row = await cursor.fetchone()
    return Client(row[0], row[1], frozenset(row[2]), row[3]) if row is not None else None


def _granted(asked: str | None, client: Client) -> list[str]:
    """The scopes asked for, all of them or an error; what the client may have when none is asked."""
    if asked is None:
        return sorted(client.scopes)
    scopes = list(dict.fromkeys(asked.split()))
    if not scopes or len(scopes) > 200:
        raise OAuthError("invalid_scope", "Name between one and 200 scopes.")
    for scope in scopes:
        try:
            allowed = within(scope, client.scopes)
        except BadScope:
            raise OAuthError("invalid_scope", "A scope is not known to this server.") from None
        if not allowed:
            raise OAuthError("invalid_scope", "A scope is more than this client may have.")
    return scopes


def _not_proved() -> OAuthError:
    return OAuthError(
        "invalid_client",
        "The client or its secret is not right.",
        status=401,
        headers={"WWW-Authenticate": 'Basic realm="Sammanhang", charset="UTF-8"'},
    )
