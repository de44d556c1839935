"""Signing keys: kept in the database, shared by all processes, changed without a stop.

ES256 signs what we read ourselves; RS256 the ID tokens that apps read, for every OpenID client knows it.

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
from joserfc.jwk import ECKey, RSAKey

from sammanhang.kernel.errors import Unavailable
from sammanhang.store.database import Database

ALGORITHM = "ES256"
FOR_APPS = "RS256"
RSA_BITS = 3072
"""128 bits of strength (NIST SP 800-57 part 1, table 2), as P-256 has."""
RELOAD_SECONDS = 60.0
"""How old a process's view of the keys may be: within this a withdrawn key is refused everywhere."""
UNKNOWN_SECONDS = 2.0
"""How often an unknown kid may make us look again: forged tokens must not become database load."""
ROTATION_SECONDS = 3600.0
"""How often a process looks whether the key has become old."""
KEPT_HOURS = 25
"""How long a replaced key verifies: longer than any token we sign."""

log = logging.getLogger("sammanhang.keys")
_TABLE = {ALGORITHM: "access.signing_key", FOR_APPS: "access.id_signing_key"}
_KIND: dict[str, type[ECKey] | type[RSAKey]] = {ALGORITHM: ECKey, FOR_APPS: RSAKey}


class Keys:
    """The signing keys of one algorithm as one process knows them."""

    def __init__(self, algorithm: str = ALGORITHM) -> None:
        self.algorithm = algorithm
        self._keys: dict[str, ECKey | RSAKey] = {}
        self._loaded = float("-inf")

    async def signing(self, database: Database) -> ECKey | RSAKey:
        """The key that signs now; the first is made when there is none."""
        await self._fresh(database, RELOAD_SECONDS)
        if not self._keys:
            await _first(database, self.algorithm)
            await self._fresh(database, 0)
        return next(iter(self._keys.values()))

    async def by_kid(self, database: Database, kid: object) -> ECKey | RSAKey | None:
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
                {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": self.algorithm}
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
            cursor = await connection.execute(
                f"SELECT kid, private FROM {_TABLE[self.algorithm]}"
                " WHERE until IS NULL OR until > now() ORDER BY created DESC"
            )
            rows = await cursor.fetchall()
        kind = _KIND[self.algorithm]
        self._keys = {kid: self._keys.get(kid) or kind.import_key(jwk) for kid, jwk in rows}
        self._loaded = time.monotonic()


_known: WeakKeyDictionary[Database, dict[str, Keys]] = WeakKeyDictionary()


def keys_of(database: Database, algorithm: str = ALGORITHM) -> Keys:
    """The keys of a database, as this process knows them."""
    known = _known.setdefault(database, {})
    if algorithm not in known:
        known[algorithm] = Keys(algorithm)
    return known[algorithm]


async def sign(
    database: Database, claims: dict[str, Any], kind: str, algorithm: str = ALGORITHM
) -> str:
    """A signed JWT in compact form; `kind` is its `typ` header: `at+jwt` (RFC 9068) or `JWT`."""
    key = await keys_of(database, algorithm).signing(database)
    header = {"alg": algorithm, "kid": key.kid, "typ": kind}
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[algorithm])


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


async def rotate(database: Database, algorithm: str = ALGORITHM) -> str:
    """A new key signs from now on; the old ones verify for a day more. Returns the new kid."""
    async with database.writing() as connection, connection.transaction():
        kid = await _replace(connection, algorithm)
    keys_of(database, algorithm).forget()
    return kid


async def rotate_all(database: Database) -> list[str]:
    """As `rotate` for the keys of every algorithm; the new kids."""
    return [await rotate(database, algorithm) for algorithm in _TABLE]


async def rotate_when_old(
    database: Database, days: float, algorithm: str = ALGORITHM
) -> str | None:
    """As `rotate` when the key that signs is older than `days`, or there is none; else None.

    Processes take turns: of several that find an old key one makes the new one.
    """
    table = _TABLE[algorithm]
    async with database.writing() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        cursor = await connection.execute(
            f"SELECT 1 FROM {table} WHERE until IS NULL"
            " AND created > clock_timestamp() - make_interval(secs => %s)",
            (days * 86400,),
        )
        if await cursor.fetchone() is not None:
            return None
        kid = await _replace(connection, algorithm)
    keys_of(database, algorithm).forget()
    return kid


async def keep_rotating(database: Database, days: int) -> None:
    """Rotates the keys that are older than `days`; looks at once and then every hour, for ever."""
    while True:
        for algorithm in _TABLE:
            try:
                kid = await rotate_when_old(database, days, algorithm)
            except (Unavailable, psycopg.Error) as e:
                log.warning("no look at the signing keys this hour: %s", type(e).__name__)
            else:
                if kid is not None:
                    log.info("a new key signs: %s", kid)
        await asyncio.sleep(ROTATION_SECONDS)


@dataclass(frozen=True, slots=True)
class KeyNow:
    """A signing key as it is listed: its id, when it was made, until when it verifies (None: it signs), and
    whether it signs for apps (`RS256`) or for ourselves (`ES256`)."""

    kid: str
    created: datetime
    until: datetime | None
    algorithm: str = ALGORITHM


async def listed(database: Database) -> list[KeyNow]:
    """The keys that are believed now, those that sign first."""
    found: list[KeyNow] = []
    async with database.writing() as connection:
        for algorithm, table in _TABLE.items():
            cursor = await connection.execute(
                f"SELECT kid, created, until FROM {table} WHERE until IS NULL OR until > now()"
                " ORDER BY created DESC"
            )
            rows = await cursor.fetchall()
            found += [KeyNow(kid, made, until, algorithm) for kid, made, until in rows]
    return sorted(found, key=lambda k: k.until is not None)


async def withdraw(database: Database, kid: str) -> bool:
    """A key that leaked: nothing it signed is believed, here at once, elsewhere within a minute.

    Whether there was such a key. When it was the one that signs, a new one does from now on.
    """
    there = False
    for algorithm, table in _TABLE.items():
        async with database.writing() as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            cursor = await connection.execute(
                f"DELETE FROM {table} WHERE kid = %s RETURNING until IS NULL", (kid,)
            )
            row = await cursor.fetchone()
            if row is not None and row[0]:
                await _add(connection, algorithm)
        there = there or row is not None
        keys_of(database, algorithm).forget()
    return there


async def _first(database: Database, algorithm: str) -> None:
    """The first key, made by one of the processes that found none."""
    table = _TABLE[algorithm]
    async with database.writing() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        cursor = await connection.execute(f"SELECT 1 FROM {table} WHERE until IS NULL")
        if await cursor.fetchone() is None:
            await _add(connection, algorithm)


async def _replace(connection: psycopg.AsyncConnection[Any], algorithm: str) -> str:
    """A new key in the place of those that sign."""
    await connection.execute(
        f"UPDATE {_TABLE[algorithm]} SET until = now() + make_interval(hours => %s)"
        " WHERE until IS NULL",
        (KEPT_HOURS,),
    )
    return await _add(connection, algorithm)


async def _add(connection: psycopg.AsyncConnection[Any], algorithm: str) -> str:
    key: ECKey | RSAKey
    if algorithm == FOR_APPS:
        key = RSAKey.generate_key(RSA_BITS, private=True, auto_kid=True)
    else:
        key = ECKey.generate_key("P-256", private=True, auto_kid=True)
    if key.kid is None:
        raise Unavailable(
            "A signing key could not be made.", "En signeringsnyckel kunde inte skapas."
        )
    await connection.execute(
        f"INSERT INTO {_TABLE[algorithm]} (kid, private) VALUES (%s, %s)",
        (key.kid, msgspec.json.encode(key.as_dict(private=True)).decode()),
    )
    return key.kid
