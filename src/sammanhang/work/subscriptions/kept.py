"""Subscriptions as they are kept beside their resource: whose they are, what they are told of, how they stand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sammanhang.access.actor import Actor
from sammanhang.access.door import predicate
from sammanhang.access.permits import permit_of
from sammanhang.access.services import Services
from sammanhang.access.subscribers import clients_now, speaking
from sammanhang.store.connection import Connection
from sammanhang.store.database import Scope
from sammanhang.store.feed import Wall
from sammanhang.store.named import queries

from .topics import Topic, topics

SQL = queries(Path(__file__).with_name("queries.sql"))


class Subscribed(NamedTuple):
    """A subscription.

    client, scopes   in whose name it was asked for, and with which scopes
    topic, filters   what it is told of, from the topic's address; `content` how much
    status, error    as in the resource
    """

    id: str
    version: int
    client: str
    scopes: list[str]
    topic: str
    filters: list[str]
    content: str
    ends: datetime | None
    status: str
    error: str | None

    @property
    def address(self) -> str:
        return address(self.id)


def address(id: str) -> str:
    """The receiver's address of a subscription in the outbox."""
    return f"Subscription/{id}"


async def subscription(connection: Connection, id: str) -> Subscribed | None:
    """The subscription of an id; None when the server knows none."""
    row = await (await connection.execute(SQL["one"], (id,))).fetchone()
    return Subscribed(*row) if row is not None else None


async def actors(services: Services, those: Iterable[Subscribed]) -> dict[str, Actor]:
    """Who is told by each of these subscriptions (by id), with what they may read now; one query.

    A subscription whose client is closed is not among them.
    """
    known = list(those)
    found = await clients_now(services.database, services.settings, (s.client for s in known))
    return {s.id: speaking(found[s.client], s.scopes) for s in known if s.client in found}


async def wall_of(services: Services, actor: Actor) -> tuple[Scope, Wall]:
    """What a subscriber may read now without naming a patient: as a scope, and as a condition with what its client's
    scopes narrow. Raises `Refused`."""
    scope = await services.doors.search_scope(actor)
    permit = permit_of(actor)

    def wall(alias: str) -> tuple[str, list[Any]]:
        return predicate(scope, alias)

    return scope, wall if permit is None else permit.predicate(wall, "r")


def topic_of(s: Subscribed) -> Topic | None:
    """Its topic; None when that is content no longer."""
    return topics().get(s.topic)


def rows(found: list[Any]) -> list[Subscribed]:
    """Rows of the queries as subscriptions."""
    return [Subscribed(*row) for row in found]
