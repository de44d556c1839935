"""Bulk load: resources into the record by COPY, a few thousand to a transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg

from .copying import Batch
from .rows import Row, row_of
from .trace import SyncChain
from .types import table

PER_TRANSACTION = 4000


class BulkWriter:
    """Writes rows of new resources over one connection of its own; a context manager.

    Each transaction holds whole resources with their search values and events, and one audit entry
    that says how many; a crash leaves whole transactions or nothing.
    """

    def __init__(self, dsn: str, *, actor: str = "system:bulk", per: int = PER_TRANSACTION) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer")
        self.batch = Batch()
        self.per = per
        self.actor = actor
        self.loaded = 0
        self._parties: dict[str, int] = dict(
            self.connection.execute("SELECT id, number FROM store.party").fetchall()
        )
        self._chain = SyncChain(self.connection)

    def __enter__(self) -> BulkWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.connection.close()

    def party(self, id: str | None) -> int | None:
        """The number of an HSA-id, allotted when new."""
        if id is None:
            return None
        number = self._parties.get(id)
        if number is None:
            self.connection.execute(
                "INSERT INTO store.party (id) VALUES (%s) ON CONFLICT DO NOTHING", (id,)
            )
            row = self.connection.execute(
                "SELECT number FROM store.party WHERE id = %s", (id,)
            ).fetchone()
            assert row is not None
            number = self._parties[id] = row[0]
        return number

    def add(self, row: Row) -> None:
        """Takes a row; writes when enough have gathered."""
        self.batch.add(row, table(row.type), self.party(row.provider), self.party(row.unit))
        if self.batch.count >= self.per:
            self.flush()

    def flush(self) -> None:
        """Writes what has gathered in one transaction. Raises psycopg.Error and keeps nothing of it."""
        if not self.batch.count:
            return
        batch, self.batch = self.batch, Batch()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            self.copy(cursor, batch, {"resources": batch.count})
        self.done(batch.count)

    def copy(self, cursor: psycopg.Cursor[Any], batch: Batch, details: dict[str, Any]) -> None:
        """Writes a batch and its audit entry in the cursor's transaction; `done` once committed."""
        for statement, data in batch.statements():
            with cursor.copy(statement) as copy:
                copy.write(data)
        self._chain.append(cursor, actor=self.actor, action="load", details=details)

    def done(self, count: int) -> None:
        """The transaction that `copy` was part of is committed."""
        self._chain.done()
        self.loaded += count


def load(
    dsn: str,
    resources: Iterable[Any],
    *,
    base: str = "",
    actor: str = "system:region",
    progress: Callable[[int], None] | None = None,
) -> int:
    """Loads valid resources that carry their own ids and are new; returns how many.

    Checked resources only: this does not validate. Raises psycopg.Error on an id that exists.
    """
    now = datetime.now(UTC)
    last = time.monotonic()
    with BulkWriter(dsn, actor=actor) as writer:
        for resource in resources:
            writer.add(row_of(resource, resource.id, 0, now, base=base))
            if progress is not None and time.monotonic() - last > 0.2:
                last = time.monotonic()
                progress(writer.loaded + writer.batch.count)
    return writer.loaded
