"""Systems that may send people here with a context link: who they are, and the keys they sign with.

Registered by whoever runs the installation (`sammanhang partners`); a partner that is closed is nobody.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from sammanhang.kernel.errors import Conflict, Invalid
from sammanhang.store.database import Database

LARGEST_KEYS = 64 * 1024
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Partner:
    """A system we know: what it is called, what its tokens say in `iss`, and its public keys."""

    issuer: str
    name: str
    keys: KeySet


@dataclass(frozen=True, slots=True)
class PartnerRow:
    """A partner as it is listed; `closed` None while it may send people here."""

    issuer: str
    name: str
    kids: tuple[str, ...]
    created: datetime
    closed: datetime | None


def checked_keys(text: bytes) -> dict[str, Any]:
    """A JWK Set of public keys that can sign a context link, with only what is needed of it.

    Raises `Invalid` with what is wrong: not a JWK Set, a private or secret key, RSA under 2 048 bits, a key
    without `kid`, two of the same, or no key at all (RFC 7517, RFC 7518 3.3).
    """
    if len(text) > LARGEST_KEYS:
        raise Invalid(f"The keys take more than {LARGEST_KEYS} bytes.")
    try:
        sent = msgspec.json.decode(text)
        keys = sent["keys"]
        if not isinstance(keys, list) or not keys:
            raise ValueError
        loaded = [_public(key, place) for place, key in enumerate(keys, 1)]
    except (JoseError, ValueError, TypeError, KeyError) as e:
        raise Invalid(
            'The keys are not a JWK Set: a JSON object with a list "keys" of public keys.'
        ) from e
    kids = [key.kid for key in loaded]
    if len(set(kids)) != len(kids):
        raise Invalid("Two of the keys have the same kid.")
    return {"keys": [{**key.as_dict(private=False), "kid": key.kid} for key in loaded]}


def add(dsn: str, issuer: str, name: str, keys: dict[str, Any]) -> None:
    """Registers a partner. Raises `Conflict` when the issuer is registered already, closed or not."""
    if not 0 < len(issuer) <= 200 or not issuer.isprintable() or " " in issuer:
        raise Invalid("The issuer must be 1 to 200 letters without spaces, as it stands in iss.")
    if not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise Invalid("The name must be 1 to 100 letters.")
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(
            "INSERT INTO access.partner (issuer, name, keys) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (issuer, name.strip(), msgspec.json.encode(keys).decode()),
        )
        if cursor.rowcount == 0:
            raise Conflict(f"A partner with the issuer {issuer} is registered already.")


def replace_keys(dsn: str, issuer: str, keys: dict[str, Any]) -> bool:
    """The partner signs with these keys from now on; whether there is such a partner that is not closed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(
            "UPDATE access.partner SET keys = %s WHERE issuer = %s AND closed IS NULL",
            (msgspec.json.encode(keys).decode(), issuer),
        )
        return cursor.rowcount == 1


def close(dsn: str, issuer: str) -> bool:
    """The partner's links are refused from now on; whether there was such a partner."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(
            "UPDATE access.partner SET closed = now() WHERE issuer = %s AND closed IS NULL",
            (issuer,),
        )
        return cursor.rowcount == 1


def listed(dsn: str) -> list[PartnerRow]:
    """Every partner, the open ones first."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT issuer, name, keys, created, closed FROM access.partner"
            " ORDER BY closed IS NOT NULL, name, issuer"
        ).fetchall()
    return [
        PartnerRow(issuer, name, tuple(str(k["kid"]) for k in keys["keys"]), created, closed)
        for issuer, name, keys, created, closed in rows
    ]


async def partner_of(database: Database, issuer: str) -> Partner | None:
    """The partner that calls itself so and is not closed."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT name, keys FROM access.partner WHERE issuer = %s AND closed IS NULL", (issuer,)
        )
        row = await cursor.fetchone()
    return Partner(issuer, row[0], KeySet.import_key_set(row[1])) if row is not None else None


def _public(sent: Any, place: int) -> Key:
    if not isinstance(sent, dict):
        raise ValueError
    if any(part in sent for part in ("d", "k", "p", "q", "dp", "dq", "qi")):
        raise Invalid(f"Key {place} holds a private part. Register public keys only.")
    kid = sent.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 200:
        raise Invalid(f"Key {place} has no kid.")
    if sent.get("kty") == "RSA":
        modulus = base64.urlsafe_b64decode(str(sent.get("n")) + "==")
        bits = int.from_bytes(modulus, "big").bit_length()
        if bits < _LEAST_RSA_BITS:
            raise Invalid(f"Key {place} is RSA of {bits} bits; at least {_LEAST_RSA_BITS}.")
        return RSAKey.import_key(sent)
    if sent.get("kty") == "EC" and sent.get("crv") in ("P-256", "P-384"):
        return ECKey.import_key(sent)
    raise Invalid(f"Key {place} is neither RSA nor EC on P-256 or P-384.")
