"""Versions: whoever builds on a version that is no longer the last is told, and no number is given twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import psycopg
import pytest

from sammanhang.fhir.r4 import Basic, CodeableConcept
from sammanhang.store import write
from sammanhang.store.rows import Row, row_of, tombstone

TABLES = ("resource", "history")


def version(expected: int) -> Row:
    row = row_of(Basic(code=CodeableConcept(text="x")), "one", expected, datetime.now(UTC))
    row.named = True
    return row


def deletion(expected: int) -> Row:
    return tombstone("Basic", "one", expected, datetime.now(UTC))


def put(connection: psycopg.Connection, row: Row) -> None:
    connection.execute(write.PUT, (*write.arguments(row, None, None), *write.NO_BLOCK))


def versions(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return sorted(
            v for t in TABLES for (v,) in connection.execute(f"SELECT version FROM store.{t}")
        )


@pytest.mark.parametrize(
    ("deeds", "state"),
    [
        ([version(0), version(0)], "23505"),
        ([version(0), version(1), version(1)], "SH001"),
        ([version(0), deletion(1), deletion(1)], "SH002"),
        ([version(0), deletion(1), version(0)], "SH003"),
        ([version(0), deletion(1), version(1)], "SH001"),
        ([version(0), deletion(1), version(2), deletion(3), version(2)], "SH001"),
        ([version(0), deletion(1), version(2), version(2)], "SH001"),
        ([version(3)], "SH002"),
    ],
)
def test_what_builds_on_another_version_is_refused(
    empty_database: str, deeds: list[Row], state: str
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for row in deeds[:-1]:
            put(connection, row)
        before = versions(empty_database)
        with pytest.raises(psycopg.Error) as refused:
            put(connection, deeds[-1])
    assert refused.value.sqlstate == state
    assert versions(empty_database) == before == sorted(set(before))


def test_one_brings_back_while_another_brings_back_and_deletes(empty_database: str) -> None:
    """The one who waited must not take the number that came and went meanwhile."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        put(connection, version(0))
        put(connection, deletion(1))
    outcome: list[str | None] = []

    def late() -> None:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            try:
                put(connection, version(2))
                outcome.append(None)
            except psycopg.Error as e:
                outcome.append(e.sqlstate)

    with psycopg.connect(empty_database, autocommit=True) as connection:
        with connection.transaction():
            put(connection, version(2))
            waiting = threading.Thread(target=late)
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
            put(connection, deletion(3))
        waiting.join(10)
    assert outcome == ["SH001"]
    assert versions(empty_database) == [1, 2, 3, 4]
