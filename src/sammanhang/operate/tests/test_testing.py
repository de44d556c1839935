"""The fixtures that other tests stand on."""

from __future__ import annotations

import psycopg


def tables(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        query = "SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def test_databases_are_migrated_and_apart(database: str, empty_database: str) -> None:
    assert database != empty_database
    assert tables(database) == tables(empty_database) > 0
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE only_here (x int)")
    assert tables(empty_database) == tables(database) + 1


def test_a_blank_database_has_no_tables(blank_database: str) -> None:
    assert tables(blank_database) == 0
