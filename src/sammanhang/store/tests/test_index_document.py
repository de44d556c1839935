"""docs/reference/indexes.md tells of every index and column there is."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

DOCUMENT = Path(__file__).parents[4] / "docs" / "reference" / "indexes.md"


def test_every_index_of_the_database_is_explained(database: str) -> None:
    words = set(re.findall(r"\w+", DOCUMENT.read_text("utf-8")))
    with psycopg.connect(database) as connection:
        # an index of a partition is a copy of one of the whole table
        rows = connection.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('store', 'audit', 'access', 'public')"
            " AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)"
        ).fetchall()
    assert len(rows) > 20
    assert sorted(name for (name,) in rows if name not in words) == []


def test_every_column_of_the_record_is_explained(database: str) -> None:
    words = set(re.findall(r"\w+", DOCUMENT.read_text("utf-8")))
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'store' AND table_name IN"
            " ('resource', 'string', 'date', 'quantity', 'history', 'event', 'party')"
        ).fetchall()
    assert sorted(f"{t}.{c}" for t, c in rows if c not in words and c not in ("at",)) == []


def test_the_partitions_are_named(database: str) -> None:
    text = DOCUMENT.read_text("utf-8")
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'store.resource'::regclass"
        ).fetchall()
    assert [name for (name,) in rows if f"`{name}`" not in text] == []
