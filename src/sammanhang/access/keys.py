"""Signing keys: ES256, kept in the database, shared by all processes, changed without a stop.

The newest key signs. A key that was replaced still verifies until no token signed by it can be alive,
so that a rotation is met by nobody. A key that leaked is withdrawn at once: everything it signed is
void within a minute. Sources: RFC 7517 (JWK), RFC 7518 3.4 (ES256), OpenID Connect Core 10.1.1.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from sammanhang.kernel.errors import Unavailable
from sammanhang.store.database import Database

ALGORITHM = "ES256"
RELOAD_SECONDS = 60.0
"""How old a process's view of the keys may be: within this a withdrawn key is refused everywhere."""
UNKNOWN_SECONDS = 2.0
"""How often an unknown kid may make us look again: forged tokens must not become database load."""
ROTATION_SECONDS = 3600.0
"""How often a process looks whether the key has become old."""
KEPT_HOURS = 25
"""How long a replaced key verifies: longer than any token we sign."""

log = logging.getLogger("sammanhang.keys")
_LOAD = (
    "SELECT kid, private FROM access.signing_key WHERE until IS NULL OR until > now()"
    " ORDER BY created DESC"
)


class Keys:
    """The signing keys as one process knows them."""

    def __init__(self, database: Database) -> None:
        self._dsn = database.dsn
        self._keys: dict[str, ECKey] = {}
        self._loaded = float("-inf")

    async def signing(self, database: Database) -> ECKey:
        """The key that signs now; the first is made when there is none."""
        await self._fresh(database, RELOAD_SECONDS)
        if not self._keys:
            await _first(database)
            await self._fresh(database, 0)
        return next(iter(self._keys.values()))

    async def by_kid(self, database: Database, kid: object) -> ECKey | None:
        """The key of that id, or None when it is not ours, or no longer."""
        await self._fresh(database, RELOAD_SECONDS)
        if not isinstance(kid, str):
            return None
        if kid not in self._keys:
            await self._fresh(database, UNKNOWN_SECONDS)
        return self._keys.get(kid)

    async def public(self, database: Database) -> dict[str, Any]:
        """The JSON Web Key Set others verify with: public halves only (RFC 7517 5)."""
        await self.signing(database)
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
                for kid, key in self._keys.items()
            ]
        }

    def forget(self) -> None:
        """The next question reads the database again."""
        self._loaded = float("-inf")

    async def _fresh(self, database: Database, age: float) -> None:
        if time.monotonic() - self._loaded < age:
            return
        async with database.writing() as connection:
            rows = await (await connection.execute(_LOAD)).fetchall()
        self._keys = {kid: self._keys.get(kid) or ECKey.import_key(jwk) for kid, jwk in rows}
        self._loaded = time.monotonic()


_known: WeakKeyDictionary[Database, Keys] = WeakKeyDictionary()


def keys_of(database: Database) -> Keys:
    """The keys of a database, as this process knows them."""
    keys = _known.get(database)
    if keys is None:
        keys = _known[database] = Keys(database)
    return keys


async def sign(database: Database, claims: dict[str, Any], kind: str) -> str:
    """A signed JWT in compact form; `kind` is its `typ` header: `at+jwt` (RFC 9068) or `JWT`."""
    key = await keys_of(database).signing(database)
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[ALGORITHM])


async def opened(database: Database, token: str, kind: str) -> dict[str, Any] | None:
    """The claims of a token we signed, or None when it is not ours, whole, and of that `typ`.

    The algorithm and the key are ours to choose, never the token's: `alg: none`, HS256 with our
    public key, and a key carried in the header (`jwk`, `jku`, `x5c`) get nowhere (RFC 8725 3.1).
    Times, issuer and audience are the caller's to check.
    """
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
        if header.get("alg") != ALGORITHM or header.get("typ") != kind or "crit" in header:
            return None
        key = await keys_of(database).by_kid(database, header.get("kid"))
        if key is None:
            return None
        payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
        claims = msgspec.json.decode(payload) if payload is not None else None
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


async def rotate(database: Database) -> str:
    """A new key signs from now on; the old ones verify for a day more. Returns the new kid."""
    async with database.writing() as connection, connection.transaction():
        kid = await _replace(connection)
    keys_of(database).forget()
    return kid


async def rotate_when_old(database: Database, days: float) -> str | None:
    """As `rotate` when the key that signs is older than `days`, or there is none; else None.

    Processes take turns: of several that find an old key one makes the new one.
    """
    async with database.writing() as connection, connection.transaction():
        await connection.execute("LOCK TABLE access.signing_key IN EXCLUSIVE MODE")
        cursor = await connection.execute(
            "SELECT 1 FROM access.signing_key WHERE until IS NULL"
            " AND created > clock_timestamp() - make_interval(secs => %s)",
            (days * 86400,),
        )
        if await cursor.fetchone() is not None:
            return None
        kid = await _replace(connection)
    keys_of(database).forget()
    return kid


async def keep_rotating(database: Database, days: int) -> None:
    """Rotates when the key that signs is older than `days`; looks at once and then every hour, for ever."""
    while True:
        try:
            kid = await rotate_when_old(database, days)
        except (Unavailable, psycopg.Error) as e:
            log.warning("no look at the signing key this hour: %s", type(e).__name__)
        else:
            if kid is not None:
                log.info("a new key signs: %s", kid)
        await asyncio.sleep(ROTATION_SECONDS)


@dataclass(frozen=True, slots=True)
class KeyNow:
    """A signing key as it is listed: its id, when it was made, until when it verifies (None: it signs)."""

    kid: str
    created: datetime
    until: datetime | None


async def listed(database: Database) -> list[KeyNow]:
    """The keys that are believed now, the one that signs first."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT kid, created, until FROM access.signing_key WHERE until IS NULL OR until > now()"
            " ORDER BY created DESC"
        )
        return [KeyNow(*row) for row in await cursor.fetchall()]


async def withdraw(database: Database, kid: str) -> bool:
    """A key that leaked: nothing it signed is believed, here at once, elsewhere within a minute.

    Whether there was such a key. When it was the one that signs, a new one does from now on.
    """
    async with database.writing() as connection, connection.transaction():
        await connection.execute("LOCK TABLE access.signing_key IN EXCLUSIVE MODE")
        cursor = await connection.execute(
            "DELETE FROM access.signing_key WHERE kid = %s RETURNING until IS NULL", (kid,)
        )
        row = await cursor.fetchone()
        if row is not None and row[0]:
            await _add(connection)
    keys_of(database).forget()
    return row is not None


async def _first(database: Database) -> None:
    """The first key, made by one of the processes that found none."""
    async with database.writing() as connection, connection.transaction():
        await connection.execute("LOCK TABLE access.signing_key IN EXCLUSIVE MODE")
        cursor = await connection.execute("SELECT 1 FROM access.signing_key WHERE until IS NULL")
        if await cursor.fetchone() is None:
            await _add(connection)


async def _replace(connection: psycopg.AsyncConnection[Any]) -> str:
    """A new key in the place of those that sign."""
    await connection.execute(
        "UPDATE access.signing_key SET until = now() + make_interval(hours => %s)"
        " WHERE until IS NULL",
        (KEPT_HOURS,),
    )
    return await _add(connection)


async def _add(connection: psycopg.AsyncConnection[Any]) -> str:
    key = ECKey.generate_key("P-256", private=True, auto_kid=True)
    if key.kid is None:
        raise Unavailable(
            "A signing key could not be made.", "En signeringsnyckel kunde inte skapas."
        )
    await connection.execute(
        "INSERT INTO access.signing_key (kid, private) VALUES (%s, %s)",
        (key.kid, msgspec.json.encode(key.as_dict(private=True)).decode()),
    )
    return key.kid
