"""A trace to review: entries put into chains as a server's processes do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from sammanhang.store.trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry, stamp

PROVIDER, UNIT = "SE-P", "SE-U1"


class Trace:
    """One database session with its chain."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer")
        row = self.connection.execute(OPEN_CHAIN).fetchone()
        assert row is not None
        self.chain = Chain(row[0], 0, row[1])

    def add(self, *entries: Entry) -> None:
        """One block."""
        block = self.chain.block(list(entries))
        self.connection.execute(INSERT_BLOCK, block)
        self.chain.moved(block)


def entry(
    actor: str, patient: str, at: datetime | None = None, action: str = "open", **more: Any
) -> Entry:
    """What a member of staff did in a patient's record."""
    values: dict[str, Any] = {"provider": PROVIDER, "unit": UNIT, "rule": "R2", **more}
    return Entry(
        at=stamp(at or datetime.now(UTC)), actor=f"Practitioner/{actor}", action=action, patient=patient, **values
    )  # fmt: skip
