"""Bearer tokens: issued, and turned back into who asks.

An access token is a JWT (RFC 9068) signed by our own key: `typ` at+jwt, issuer this server, audience
its FHIR base, at most an hour. What a client or a person may do is read from the database when the
token is met, not from the token: a client closed, a token revoked or an assignment ended takes effect
within half a minute, in every process.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from . import grants
from .actor import Actor
from .identity_services import base_url
from .keys import opened, sign
from .staff import assignment_of, name_of
from .tokens_scopes import on_resources

KIND = "at+jwt"
LIFE_SECONDS = 3600
LEEWAY_SECONDS = 5
RECHECK_SECONDS = 30.0
MOST_REMEMBERED = 10_000
LONGEST = 8192
STAFF_SCOPE = "user/*.cruds"


@dataclass(slots=True)
class _Known:
    """A token verified before: whose it is, until when, and when to ask the database again."""

    actor: Actor
    jti: str
    expires: float
    recheck: float


_remembered: WeakKeyDictionary[Database, dict[tuple[str, str], _Known]] = WeakKeyDictionary()


@cache
def process_settings() -> Settings:
    """The settings this process was started with."""
    return Settings.load()


def audience(settings: Settings) -> str:
    """What an access token is for: the FHIR base."""
    return f"{base_url(settings)}/fhir"


async def actor_of_bearer(
    database: Database, header: str | None, settings: Settings | None = None
) -> Actor:
    """Who a request's `Authorization` header speaks for.

    `settings` None means those of the process. A token met before costs a dictionary look-up; once in
    30 seconds it is asked for again whether it still stands. Raises `Unauthenticated` when there is no
    token, or one that is forged, expired, revoked, signed by an unknown key, or meant for somebody
    else; the sentence does not tell which. RFC 6750; the caller answers 401 with `challenge()`.
    """
    settings = settings or process_settings()
    if not header:
        raise Unauthenticated(
            "No bearer token was sent.", "Ingen åtkomstnyckel (bearer) skickades."
        )
    known_here = _remembered.get(database)
    if known_here is None:
        known_here = _remembered[database] = {}
    here = base_url(settings)
    place = (header, here)
    known = known_here.get(place)
    if known is not None:
        if time.time() >= known.expires:
            del known_here[place]
            raise _invalid()
        if time.monotonic() < known.recheck:
            return known.actor
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST:
        raise _invalid()
    claims = await opened(database, token, KIND)
    if claims is None or not stands(claims, here, audience(settings)):
        known_here.pop(place, None)
        raise _invalid()
    known_here.pop(place, None)
    actor = await _actor(database, claims, settings)
    while len(known_here) >= MOST_REMEMBERED:
        known_here.pop(next(iter(known_here)), None)
    known_here[place] = _Known(
        actor, claims["jti"], claims["exp"], time.monotonic() + RECHECK_SECONDS
    )
    return actor


def challenge(*, token_sent: bool) -> str:
    """The `WWW-Authenticate` header of a 401: RFC 6750 3, no error code when nothing was sent."""
    return 'Bearer realm="Sammanhang"' + (', error="invalid_token"' if token_sent else "")


async def issue_client_token(
    database: Database, settings: Settings, client: str, scopes: list[str]
) -> tuple[str, dict[str, Any]]:
    """An access token for an API client with these scopes, as granted; returns it and its claims."""
    claims = _claims(settings, client, client, " ".join(scopes))
    return await sign(database, claims, KIND), claims


async def issue_staff_token(
    database: Database,
    practitioner_id: str,
    assignment_id: str,
    loa: int,
    settings: Settings | None = None,
) -> str:
    """An access token that lets a program act as a person in one assignment, at a level of assurance.

    The door decides for it as for the person. Raises `Refused` (R1) when the person does not have the
    assignment now. For our own measuring and tests: apps get theirs by `issue_app_token`.
    """
    settings = settings or process_settings()
    if await assignment_of(database, practitioner_id, assignment_id) is None:
        raise Refused(
            "The person does not have that assignment now.",
            "Personen har inte det uppdraget nu.",
            rule="R1",
        )
    claims = _claims(settings, f"Practitioner/{practitioner_id}", "sammanhang", STAFF_SCOPE)
    claims |= {"assignment": assignment_id, "loa": loa}
    return await sign(database, claims, KIND)


async def issue_app_token(
    database: Database, settings: Settings, grant: grants.Grant, scopes: Iterable[str]
) -> tuple[str, dict[str, Any]]:
    """An access token that lets an app act as the person who granted it, and its claims.

    `scopes` are what was granted, or fewer. Whose record it is confined to, in which assignment it acts
    and whether it still may stand in the grant, which is asked for again with the token.
    """
    claims = _claims(settings, grant.person, grant.client, " ".join(scopes))
    claims["grant"] = grant.id
    claims["exp"] = min(claims["exp"], int(grant.until.timestamp()))
    return await sign(database, claims, KIND), claims


async def revoke(database: Database, jti: str, until: float | None = None) -> None:
    """Takes a token back by its id; here at once, in other processes within 30 seconds.

    `until` is when it would have expired (seconds since 1970); an hour from now when not known.
    """
    async with database.writing() as connection:
        await connection.execute(
            "INSERT INTO access.revoked_token (jti, until) VALUES (%s, to_timestamp(%s))"
            " ON CONFLICT DO NOTHING",
            (jti, until or time.time() + LIFE_SECONDS),
        )
    known_here = _remembered.get(database) or {}
    for place in [p for p, known in known_here.items() if known.jti == jti]:
        known_here.pop(place, None)


def forget(database: Database, ended: Iterable[str]) -> None:
    """Tokens of these grants are asked for again at once in this process; in others within 30 seconds."""
    gone, known_here = set(ended), _remembered.get(database) or {}
    for place, known in list(known_here.items()):
        if known.actor.app is not None and known.actor.app.grant in gone:
            known_here.pop(place, None)


async def claims_of(
    database: Database, settings: Settings, token: str
) -> tuple[dict[str, Any], Actor] | None:
    """The claims of an access token that is good now, and who it speaks for; None for any other."""
    try:
        actor = await actor_of_bearer(database, f"Bearer {token}", settings)
    except Unauthenticated:
        return None
    claims = await opened(database, token, KIND)
    return (claims, actor) if claims is not None else None


def _claims(settings: Settings, subject: str, client: str, scope: str) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": base_url(settings),
        "sub": subject,
        "aud": audience(settings),
        "client_id": client,
        "scope": scope,
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "jti": secrets.token_urlsafe(16),
    }


def stands(claims: dict[str, Any], issuer: str, aud: str) -> bool:
    """RFC 9068 4: issuer, audience and times hold; every claim is there and of its type."""
    now = time.time()
    iat, exp = claims.get("iat"), claims.get("exp")
    return (
        claims.get("iss") == issuer
        and claims.get("aud") == aud
        and isinstance(exp, int)
        and isinstance(iat, int)
        and now < exp
        and iat <= now + LEEWAY_SECONDS
        and all(isinstance(claims.get(c), str) for c in ("sub", "client_id", "scope", "jti"))
    )


# who_still: whether the token is revoked, and the client as it stands now
_STANDS = """
SELECT EXISTS (SELECT FROM access.revoked_token WHERE jti = %(jti)s), c.name, c.provider, c.everything, c.demo,
       c.purpose, c.decided
  FROM (SELECT 1) AS one LEFT JOIN access.client c ON c.id = %(client)s AND c.active
"""


async def _actor(database: Database, claims: dict[str, Any], settings: Settings) -> Actor:
    """The actor of a verified token, as things stand now; raises `Unauthenticated`."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            _STANDS, {"jti": claims["jti"], "client": claims["client_id"]}
        )
        row = await cursor.fetchone()
    assert row is not None
    revoked, name, provider, everything, demo, purpose, decided = row
    if revoked:
        raise _invalid()
    scopes = on_resources(claims["scope"].split())
    if "grant" in claims:
        if name is None or (demo and not settings.demo):
            raise _invalid()
        return await _through_app(database, claims, settings, scopes)
    if "assignment" in claims:
        return await _staff(database, claims, scopes)
    if name is None or (demo and not settings.demo):
        raise _invalid()
    return Actor(
        "client", f"client:{claims['sub']}", name, everything=everything, scopes=scopes,
        provider=provider, purpose=purpose or "care", decided=decided,
    )  # fmt: skip


async def _staff(database: Database, claims: dict[str, Any], scopes: frozenset[str]) -> Actor:
    practitioner = claims["sub"].removeprefix("Practitioner/")
    held = await assignment_of(database, practitioner, claims["assignment"])
    name = await name_of(database, claims["sub"])
    if held is None or name is None:
        raise _invalid()
    return Actor(
        "staff", claims["sub"], name, loa=claims["loa"], assignment=held.assignment, scopes=scopes
    )


async def _through_app(
    database: Database, claims: dict[str, Any], settings: Settings, scopes: frozenset[str]
) -> Actor:
    """The person who granted it, as they are now, through the app; raises `Unauthenticated`."""
    grant = await grants.in_force(database, settings, claims["grant"])
    if grant is None or (grant.client, grant.person) != (claims["client_id"], claims["sub"]):
        raise _invalid()
    person = await grants.person_now(database, grant)
    if person is None:
        raise _invalid()
    return replace(person, scopes=scopes)


def _invalid() -> Unauthenticated:
    return Unauthenticated(
        "The token is not valid; ask for a new one.", "Åtkomstnyckeln gäller inte; begär en ny."
    )
