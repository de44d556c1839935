"""The feed read forward: nothing is skipped by a transaction still open, nothing is taken twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest_asyncio

from sammanhang.store.database import Database
from sammanhang.store.feed import after, moved
from sammanhang.store.types import NUMBER

PUT = "INSERT INTO store.event (at, method, type, self, id, version) VALUES (now(), 1, %s, %s, %s, 1) RETURNING seq"


@pytest_asyncio.fixture
async def database(empty_database: str) -> AsyncIterator[Database]:
    made = Database(empty_database, readers=2, writers=2)
    await made.open()
    yield made
    await made.close()


def put(connection: psycopg.Connection[Any], id: str, kind: str = "Task") -> None:
    connection.execute(PUT, (NUMBER[kind], hash(id) % 1000, id))


async def read(database: Database, place: tuple[str, int]) -> tuple[list[str], tuple[str, int]]:
    async with database.writing() as connection:
        found = await after(connection, *place, 100)
    return [e.id for e in found], (found[-1].tx, found[-1].seq) if found else place


async def told(
    database: Database, place: tuple[str, int], count: int = 1
) -> tuple[list[str], tuple[str, int]]:
    """As `read`, until so many are seen: transactions of other tests of the same server hold them back."""
    seen: list[str] = []
    for _ in range(200):
        more, place = await read(database, place)
        seen += more
        if len(seen) >= count:
            break
        await asyncio.sleep(0.1)
    return seen, place


async def test_an_event_of_a_transaction_that_ends_late_is_not_skipped(database: Database) -> None:
    place = ("0", 0)
    with psycopg.connect(database.dsn) as early, psycopg.connect(database.dsn) as late:
        put(late, "late")  # has the lower seq and the lower number of a transaction
        put(early, "early")
        early.commit()
        seen, place = await read(database, place)
        assert seen == []  # what comes after one that is open waits for it
        late.commit()
        seen, place = await told(database, place, 2)
        assert seen == ["late", "early"]
        put(late, "one")
        put(early, "two")
        put(late, "three")
        late.commit()
        early.rollback()
        seen, place = await told(database, place, 2)
        assert seen == ["one", "three"]
        assert (await read(database, place))[0] == []


async def test_only_what_can_be_told_of_is_read(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        put(connection, "o", "Observation")
        put(connection, "t")
    assert (await told(database, ("0", 0)))[0] == ["t"]


async def test_a_database_loaded_into_another_server_is_read_on_from_where_it_was(
    database: Database,
) -> None:
    with psycopg.connect(database.dsn) as connection:
        for id in ("seen", "not seen"):
            put(connection, id)
            connection.commit()
        # as a dump of a server whose transactions had come much further
        connection.execute("UPDATE store.event SET tx = (tx::text::bigint + 5000000)::text::xid8")
        place = connection.execute(
            "SELECT tx::text, seq FROM store.event WHERE id = 'seen'"
        ).fetchone()
        assert place is not None
        put(connection, "new here")
    async with database.writing() as writer, writer.transaction():
        here = await moved(writer, place[0], place[1], place[1])
    seen, here = await told(database, here, 2)
    assert sorted(seen) == ["new here", "not seen"]
    assert (await read(database, here))[0] == []
