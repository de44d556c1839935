"""0005: a trace written by the row is one in blocks afterwards, whole and found by its keys."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from sammanhang.access import trail
from sammanhang.access.audit import seal, verify
from sammanhang.fhir.indexing import self_hash
from sammanhang.store import migrate
from sammanhang.store.database import Database
from sammanhang.store.trace import OPEN_CHAIN, Entry, encoder, link, stamp


async def test_entries_become_blocks(blank_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = migrate._files()
    monkeypatch.setattr(migrate, "_files", lambda: [f for f in files if f.name < "0005"])
    migrate.migrate(blank_database)
    now = datetime.now(UTC)
    entries = [
        Entry(at=stamp(now), actor="Practitioner/å", action="open", patient="p1"),
        Entry(at=stamp(now), actor="Practitioner/å", action="read", what="Patient/p1"),
        Entry(at=stamp(now), actor="client:x", action="refuse", patient="p2", outcome="refused"),
    ]
    with psycopg.connect(blank_database) as connection:
        chain, head = connection.execute(OPEN_CHAIN).fetchone() or (0, b"")
        for seq, e in enumerate(entries, 1):
            body = encoder.encode(e)
            head = link(head, chain, seq, body)
            patient = self_hash("Patient", e.patient) if e.patient else None
            connection.execute(
                "INSERT INTO audit.entry VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (chain, seq, e.at, e.actor, patient, e.action, body, head),
            )

    monkeypatch.setattr(migrate, "_files", lambda: files)
    assert "0005_post_trace" in migrate.migrate(blank_database)

    report = verify(blank_database)
    assert report.ok, report.faults
    assert (report.entries, report.blocks, report.chains) == (3, 3, 1)
    with psycopg.connect(blank_database) as connection:
        assert seal(connection)
    assert verify(blank_database).ok
    database = Database(blank_database, readers=1, writers=1)
    await database.open()
    try:
        assert [e.patient for e in await trail.did(database, "Practitioner/å", "open", 1)] == ["p1"]
        assert await trail.concerning(database, "p2", now) == [entries[2]]
    finally:
        await database.close()
