"""Clients that are told of events while they are not there: who they are now, and what they may know now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .actor import Actor
from .tokens_scopes import BadScope, within

# clients_now: clients in use, with what a token of theirs would let them do
_NOW = "SELECT id, name, provider, everything, demo, purpose, decided, scopes FROM access.client WHERE active AND id = ANY(%s)"


class ClientNow(NamedTuple):
    """A client as it stands now."""

    id: str
    name: str
    provider: str | None
    everything: bool
    demo: bool
    purpose: str | None
    decided: date | None
    scopes: list[str]


async def clients_now(
    database: Database, settings: Settings, ids: Iterable[str]
) -> dict[str, ClientNow]:
    """Of these clients those that are in use, by id; one query. Those of the demo are in use in the demo only."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(_NOW, (wanted,))
        rows: list[Any] = await cursor.fetchall()
    found = (ClientNow(*row) for row in rows)
    return {c.id: c for c in found if settings.demo or not c.demo}


def speaking(client: ClientNow, scopes: Iterable[str]) -> Actor:
    """The client as an actor with these scopes, as far as it still may have them."""
    return Actor(
        "client", f"client:{client.id}", client.name, everything=client.everything,
        scopes=frozenset(s for s in scopes if _still(s, client.scopes)), provider=client.provider,
        purpose=client.purpose or "care", decided=client.decided,
    )  # fmt: skip


def _still(scope: str, allowed: list[str]) -> bool:
    try:
        return within(scope, allowed)
    except BadScope:
        return False
