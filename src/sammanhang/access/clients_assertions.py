"""`private_key_jwt`: a client proves itself by an assertion signed with its own key.

What must hold: an algorithm of our list and a key the client registered, chosen by `kid`, never one the
assertion brings itself; issuer and subject are the client, the audience is our token endpoint, it lives
five minutes at most, and it has not been met before, by any process. Sources: RFC 7523, SMART Backend
Services 2.2 (asymmetric authentication), RFC 8725.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

import httpx
import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from sammanhang.store.database import Database

from .clients import Client, client_of
from .clients_registration import CLIENT_ID, public_key
from .identity_services import Services, base_url
from .oidc_errors import OAuthError

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384", "ES256", "PS384")
_CURVE = {"ES384": "P-384", "ES256": "P-256"}
LONGEST_SECONDS = 300
LEEWAY_SECONDS = 30
LONGEST = 8192
LONGEST_JTI = 256
KEPT_SECONDS = 600.0
AGAIN_SECONDS = 30.0
"""How often an unknown kid, or a failure, may make us fetch a client's keys again."""
LARGEST_ANSWER = 64 * 1024
MOST_KEPT = 500
LONGEST_FETCH_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(5.0)
_ASKED = {"Accept": "application/json", "Accept-Encoding": "identity"}
transport: httpx.AsyncBaseTransport | None = (
    None  # another way to the keys than the network, for tests
)


@dataclass(slots=True)
class _Fetched:
    """Keys fetched from a `jwks_uri`, and when; none when they could not be."""

    keys: dict[str, ECKey | RSAKey]
    at: float


_fetched: OrderedDict[str, _Fetched] = OrderedDict()


async def proved(services: Services, form: dict[str, str]) -> Client:
    """The client whose assertion the form holds; raises `OAuthError` (invalid_client)."""
    assertion = form.get("client_assertion", "")
    if form.get("client_assertion_type") != TYPE or not 0 < len(assertion) <= LONGEST:
        raise _refused("client_assertion_type or client_assertion is not right")
    id = claimed(assertion)
    if id is None or form.get("client_id", id) != id:
        raise _refused("the assertion names another client than client_id")
    client = await client_of(services.database, id, demo=services.settings.demo)
    if client is None or client.method != "private_key_jwt":
        raise _refused("the client does not prove itself by assertions")
    claims = await _verified(client, assertion)
    until = _checked(claims, id, f"{base_url(services.settings)}/oauth/token")
    if not await _first_time(services.database, id, claims["jti"], until):
        raise _refused("the assertion has been used before")
    return client


def claimed(assertion: str) -> str | None:
    """The client an assertion says it is from, not yet believed."""
    try:
        payload = jws.extract_compact(assertion.encode("ascii")).payload
        claims = msgspec.json.decode(payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    id = claims.get("sub") if isinstance(claims, dict) else None
    return id if isinstance(id, str) and CLIENT_ID.fullmatch(id) else None


async def _verified(client: Client, assertion: str) -> dict[str, Any]:
    """The claims, when the signature is by a key of the client's."""
    try:
        header = jws.extract_compact(assertion.encode("ascii")).headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or "crit" in header or not isinstance(kid, str):
            raise _refused("the assertion's alg or kid is not right")
        if (
            header.get("typ", "JWT") != "JWT"
            or header.get("jku", client.jwks_uri) != client.jwks_uri
        ):
            raise _refused("the assertion's typ or jku is not right")
        key = await _key(client, kid)
        if key is None or not _fits(key, algorithm):
            raise _refused("the assertion is not signed by a key of the client")
        payload = jws.deserialize_compact(assertion, key, algorithms=[algorithm]).payload
        claims = msgspec.json.decode(payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _refused("the assertion is not signed by a key of the client") from None
    if not isinstance(claims, dict):
        raise _refused("the assertion holds no claims")
    return claims


def _fits(key: ECKey | RSAKey, algorithm: str) -> bool:
    """Whether the key is of the algorithm's kind, and for it when it says so (RFC 8725 3.1)."""
    if key.as_dict(private=False).get("alg", algorithm) != algorithm:
        return False
    if isinstance(key, RSAKey):
        return algorithm in ("RS384", "PS384")
    return key.curve_name == _CURVE.get(algorithm)


def _checked(claims: dict[str, Any], id: str, audience: str) -> float:
    """Until when the assertion could be used; raises `OAuthError` for a claim that does not hold."""
    now = time.time()
    said = claims.get("aud")
    exp, jti = claims.get("exp"), claims.get("jti")
    if claims.get("iss") != id or claims.get("sub") != id:
        raise _refused("iss and sub must be the client_id")
    if audience not in (said if isinstance(said, list) else [said]):
        raise _refused(f"aud must be {audience}")
    if not _is_time(exp) or exp <= now - LEEWAY_SECONDS:
        raise _refused("the assertion has expired or has no exp")
    if exp > now + LONGEST_SECONDS + LEEWAY_SECONDS:
        raise _refused(f"the assertion lives longer than {LONGEST_SECONDS} seconds")
    for name in ("iat", "nbf"):
        if name in claims and (not _is_time(claims[name]) or claims[name] > now + LEEWAY_SECONDS):
            raise _refused(f"{name} lies in the future")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise _refused(f"jti is missing or longer than {LONGEST_JTI} characters")
    return float(exp) + LEEWAY_SECONDS


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11


async def _first_time(database: Database, client: str, jti: str, until: float) -> bool:
    """Whether nobody has met this assertion; from now on somebody has."""
    key = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
    async with database.writing() as connection:
        cursor = await connection.execute(
            "INSERT INTO access.assertion_seen (client, jti, until) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (client, key, datetime.fromtimestamp(until, UTC)),
        )
        return cursor.rowcount == 1


async def _key(client: Client, kid: str) -> ECKey | RSAKey | None:
    """The client's key of that id; its keys are fetched anew for one not known, now and then."""
    if client.jwks_uri is None:
        return _usable(client.jwks).get(kid)
    known = _fetched.get(client.jwks_uri)
    age = time.monotonic() - known.at if known is not None else float("inf")
    if known is None or age > KEPT_SECONDS or (kid not in known.keys and age > AGAIN_SECONDS):
        known = _Fetched(await _fetch(client.jwks_uri), time.monotonic())
        _fetched[client.jwks_uri] = known
        while len(_fetched) > MOST_KEPT:
            _fetched.popitem(last=False)
    return known.keys.get(kid)


def _usable(jwks: Any) -> dict[str, ECKey | RSAKey]:
    """The keys of a set that can be used; a set may hold others, for other uses (RFC 7517 5)."""
    found: dict[str, ECKey | RSAKey] = {}
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    for jwk in keys if isinstance(keys, list) else []:
        try:
            found[jwk["kid"]] = public_key(jwk)
        except (ValueError, KeyError, TypeError):
            continue
    return found


async def _fetch(uri: str) -> dict[str, ECKey | RSAKey]:
    """The keys at an address; none when it does not answer as it should. Never goes on elsewhere."""
    try:
        async with (
            asyncio.timeout(LONGEST_FETCH_SECONDS),
            httpx.AsyncClient(
                timeout=_TIMEOUT, follow_redirects=False, transport=transport
            ) as http,
            http.stream("GET", uri, headers=_ASKED) as answer,
        ):
            packed = answer.headers.get("content-encoding", "identity") != "identity"
            if answer.status_code != 200 or packed:
                return {}
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    return {}
        return _usable(msgspec.json.decode(bytes(body)))
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        msgspec.DecodeError,
        RecursionError,
        TimeoutError,
    ):
        return {}


def _refused(why: str) -> OAuthError:
    return OAuthError("invalid_client", f"The client is not proved: {why}.", status=401)
