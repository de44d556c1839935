"""API clients as they are kept: backend services that speak for a care provider, and apps for people.

A secret is 256 random bits, stored as argon2id and shown once; the demo client's is derived from a key
of the database, so that it can be printed again. How a client proves itself: `clients_proof`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from argon2 import PasswordHasher

from sammanhang.kernel.errors import Conflict, NotFound
from sammanhang.store.database import Database

from .clients_registration import Method, Registration, check
from .tokens import process_settings

KEPT_SECONDS = 30.0
DEMO_ID = "demo"
DEMO_SCOPES = ["system/*.cruds"]
# Secrets are random, not chosen by people: the cost guards against a stolen table, and OWASP's least
# figures (19 MiB, 2 passes) are plenty.
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


_apps: WeakKeyDictionary[Database, tuple[float, list[Client]]] = WeakKeyDictionary()


class NoDemo(NotFound):
    """There is no demo client where SAMMANHANG_DEMO is false."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client as it is kept; see `Registration` for what the fields mean.

    secret   argon2id hash; None for who proves itself in another way, or not at all
    active   False once it is closed: it gets no tokens, and those it has are dead
    closed   when that was
    """

    id: str
    name: str
    publisher: str
    method: Method
    secret: str | None
    jwks: Any
    jwks_uri: str | None
    scopes: frozenset[str]
    redirect_uris: tuple[str, ...]
    launch_url: str | None
    offered: frozenset[str]
    roles: frozenset[str]
    provider: str | None
    everything: bool
    demo: bool
    active: bool
    created: datetime
    closed: datetime | None

    def offered_to(self, kind: str, role: str | None = None) -> bool:
        """Whether people of a kind (`staff`, `resident`), and staff of a role, are offered the app."""
        return kind in self.offered and (kind != "staff" or not self.roles or role in self.roles)


_COLUMNS = (
    "id, name, publisher, method, secret, jwks, jwks_uri, scopes, redirect_uris, launch_url, offered,"
    " roles, provider, everything, demo, active, created, closed"
)
_ADD = """
INSERT INTO access.client (id, secret, name, publisher, scopes, method, jwks, jwks_uri, redirect_uris,
    launch_url, offered, roles, provider, everything, made_by, purpose, decision, decided)
VALUES (%(id)s, %(secret)s, %(name)s, %(publisher)s, %(scopes)s, %(method)s, %(jwks)s, %(jwks_uri)s,
    %(redirect_uris)s, %(launch_url)s, %(offered)s, %(roles)s, %(provider)s, %(everything)s, %(by)s,
    %(purpose)s, %(decision)s, %(decided)s)
ON CONFLICT DO NOTHING
"""
_CLOSE = "UPDATE access.client SET active = false, closed = coalesce(closed, now()) WHERE id = %s"
# What was granted to it ends with it.
_END = "UPDATE access.app_grant SET ended = now(), ended_why = 'closed' WHERE client = %s AND ended IS NULL"


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
    """Makes a backend service with a secret; returns its id and its secret, which is shown this once.

    `provider` is the HSA-id of the care provider it acts for; `everything` trusts it with the whole
    record instead. Raises as `register`.
    """
    registration = Registration(
        name, tuple(scopes), provider=provider, everything=everything, id=id, purpose=purpose,
        decision=decision, decided=decided,
    )  # fmt: skip
    made, secret = register(dsn, registration)
    assert secret is not None
    return made, secret


def register(dsn: str, registration: Registration) -> tuple[str, str | None]:
    """Makes a client; returns its id, and its secret when it has one, which is shown this once.

    Raises `Invalid` with what is wrong and where, and `Conflict` for an id in use.
    """
    values, secret = _new(registration, "system:cli")
    with _writer(dsn) as connection:
        if connection.execute(_ADD, values).rowcount == 0:
            raise _in_use(values["id"])
    return values["id"], secret


async def register_here(
    database: Database, registration: Registration, by: str
) -> tuple[str, str | None]:
    """As `register`, on the database of a running process; `by` is who does it."""
    values, secret = _new(registration, by)
    async with database.writing() as connection:
        if (await connection.execute(_ADD, values)).rowcount == 0:
            raise _in_use(values["id"])
    _apps.pop(database, None)
    return values["id"], secret


def demo_client(dsn: str, *, demo: bool | None = None) -> tuple[str, str]:
    """Id and secret of the demo client, which may read and write everything; made the first time.

    `demo` None means the setting of this process. Raises `NoDemo` outside the demo, where the client
    is neither made nor, if an earlier demo made it, let in.
    """
    if not (process_settings().demo if demo is None else demo):
        raise NoDemo("There is no demo client where SAMMANHANG_DEMO is false.")
    with _writer(dsn) as connection:
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
            (DEMO_ID, hasher.hash(secret), "Demoklient", DEMO_SCOPES),
        )
    return DEMO_ID, secret


def close_client(dsn: str, id: str) -> None:
    """The client gets no more tokens, and those it has end within 30 seconds. Raises `NotFound`."""
    with _writer(dsn) as connection, connection.transaction():
        if connection.execute(_CLOSE, (id,)).rowcount == 0:
            raise _unknown(id)
        connection.execute(_END, (id,))


async def close_here(database: Database, id: str) -> None:
    """As `close_client`, on the database of a running process."""
    async with database.writing() as connection, connection.transaction():
        if (await connection.execute(_CLOSE, (id,))).rowcount == 0:
            raise _unknown(id)
        await connection.execute(_END, (id,))
    _apps.pop(database, None)


def all_clients(dsn: str) -> list[Client]:
    """Every client, closed ones too, by name."""
    with _writer(dsn) as connection:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM access.client ORDER BY name, id")
        return [_client(row) for row in rows.fetchall()]


async def clients_here(database: Database, *, active: bool = False) -> list[Client]:
    """Every client, or those in use only, by name; one query."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            f"SELECT {_COLUMNS} FROM access.client WHERE active OR NOT %s ORDER BY name, id",
            (active,),
        )
        return [_client(row) for row in await cursor.fetchall()]


async def client_of(database: Database, id: str, *, demo: bool = True) -> Client | None:
    """The client of an id; None when there is none, it is closed, or it belongs to the demo and this is
    none (`demo` False)."""
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(
            f"SELECT {_COLUMNS} FROM access.client WHERE id = %s AND active AND (%s OR NOT demo)",
            (id, demo),
        )
        row = await cursor.fetchone()
    return _client(row) if row is not None else None


async def apps_in_use(database: Database) -> list[Client]:
    """The apps people are offered, by name, as this process knew them within the last half minute."""
    known = _apps.get(database)
    if known is None or time.monotonic() - known[0] > KEPT_SECONDS:
        found = await clients_here(database, active=True)
        known = _apps[database] = (time.monotonic(), [c for c in found if c.offered])
    return known[1]


async def launchable(database: Database, role: str) -> list[Client]:
    """The apps that staff of a role can start from a chart, by name."""
    apps = await apps_in_use(database)
    return [c for c in apps if c.launch_url and c.offered_to("staff", role)]


async def names_of(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """Names of clients by id; closed ones too."""
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(
            "SELECT id, name FROM access.client WHERE id = ANY(%s)", (list(ids),)
        )
        return dict(await cursor.fetchall())


def _new(registration: Registration, by: str) -> tuple[dict[str, Any], str | None]:
    """The row of a new client, and its secret."""
    r = check(registration)
    secret = secrets.token_urlsafe(32) if r.method == "client_secret" else None
    values = {
        "id": r.id or f"{'app' if r.offered else 'client'}-{secrets.token_hex(6)}",
        "secret": hasher.hash(secret) if secret is not None else None,
        "name": r.name, "publisher": r.publisher, "scopes": sorted(r.scopes), "method": r.method,
        "jwks": msgspec.json.encode(r.jwks).decode() if r.jwks is not None else None,
        "jwks_uri": r.jwks_uri, "redirect_uris": list(r.redirect_uris), "launch_url": r.launch_url,
        "offered": sorted(r.offered), "roles": sorted(r.roles), "provider": r.provider,
        "everything": r.everything, "by": by, "purpose": r.purpose, "decision": r.decision, "decided": r.decided,
    }  # fmt: skip
    return values, secret


def _client(row: tuple[Any, ...]) -> Client:
    values = [*row]
    values[5] = msgspec.json.decode(row[5]) if row[5] is not None else None
    values[8] = tuple(row[8])
    for place in (7, 10, 11):
        values[place] = frozenset(row[place])
    return Client(*values)


def _writer(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer")


def _in_use(id: str) -> Conflict:
    return Conflict(f"There is a client with the id {id} already.", f"Id {id} används redan.")


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no client with the id {id}.", f"Det finns ingen klient med id {id}.")
