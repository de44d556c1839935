"""Migrations: numbered SQL files in pre/post pairs, applied once each, in order.

A `pre` file may run while the old code still serves: it only adds. A `post` file runs when no old
code is left: it removes. Each file is one transaction with a lock timeout, so that a migration which
would block care gives up instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg

from .types import NUMBER

FOLDER = Path(__file__).parent / "migrations"
LOCK_TIMEOUT = "4s"
_ONE_AT_A_TIME = 0x5A4D4D41  # any number of our own, for pg_advisory_lock


def _files() -> list[Path]:
    return sorted(FOLDER.glob("*.sql"), key=lambda p: (p.name[:4], p.name[5:8] != "pre", p.name))


def _applied(connection: psycopg.Connection) -> set[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS public.migration"
        " (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
    )
    return {row[0] for row in connection.execute("SELECT name FROM public.migration")}


def pending(dsn: str) -> list[str]:
    """Names of the migrations this code knows and the database has not had."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        done = _applied(connection)
    return [p.stem for p in _files() if p.stem not in done]


def migrate(dsn: str, progress: Callable[[str], None] | None = None) -> list[str]:
    """Applies what is pending and returns the names. Raises psycopg.Error with the file untouched."""
    names = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_ONE_AT_A_TIME,))
        done = _applied(connection)
        for path in _files():
            if path.stem in done:
                continue
            if progress is not None:
                progress(path.stem)
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                connection.execute(_numbered(path.read_text("utf-8")))
                connection.execute("INSERT INTO public.migration (name) VALUES (%s)", (path.stem,))
            names.append(path.stem)
    return names


def _numbered(sql: str) -> bytes:
    """`{Patient}` in a migration stands for the number of that resource type."""
    return re.sub(r"\{([A-Z][A-Za-z]+)\}", lambda m: str(NUMBER[m[1]]), sql).encode()
