"""The trace leaves for another system, each block once and in order."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sammanhang.access.audit import AuditLog
from sammanhang.kernel.errors import Invalid
from sammanhang.operate.shipping import ship
from sammanhang.store.database import Database
from sammanhang.store.trace import Entry, link


async def leave(dsn: str, *actions: str) -> None:
    """Leaves entries in the trace."""
    database = Database(dsn, readers=1, writers=2)
    await database.open()
    audit = AuditLog(database)
    audit.start()
    for n, action in enumerate(actions):
        await audit.record(
            Entry(at=f"2026-11-22T09:00:0{n}.000000Z", actor="Practitioner/x", action=action)
        )
    await audit.stop()
    await database.close()


@pytest.mark.asvs("v5.0.0-16.4.3", "v5.0.0-16.2.4")
async def test_each_block_leaves_once_and_can_be_checked_where_it_comes(
    empty_database: str, tmp_path: Path
) -> None:
    kept = tmp_path / "sent.json"
    await leave(empty_database, "login", "open", "read")
    out = io.BytesIO()
    assert ship(empty_database, kept, out, once=True) == 3
    await leave(empty_database, "logout")
    assert ship(empty_database, kept, out, once=True) == 1
    assert ship(empty_database, kept, out, once=True) == 0
    blocks = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [e["action"] for b in blocks for e in b["entries"]] == [
        "login",
        "open",
        "read",
        "logout",
    ]
    assert kept.stat().st_mode & 0o077 == 0
    # A block that follows another in its chain bears it out.
    raw = {(b["chain"], b["seq"]): b for b in blocks}
    lines = out.getvalue().splitlines()
    followed = 0
    for line, b in zip(lines, blocks, strict=True):
        before = raw.get((b["chain"], b["seq"] - 1))
        if before is not None:
            inside = line[line.index(b'"entries":[') + 11 : -2]
            entries = inside.replace(b"},{", b"}\n{")
            assert (
                link(bytes.fromhex(before["hash"]), b["chain"], b["seq"], entries).hex()
                == b["hash"]
            )
            followed += 1
    assert followed >= 1


def test_a_file_that_holds_no_places_is_told(empty_database: str, tmp_path: Path) -> None:
    kept = tmp_path / "sent.json"
    kept.write_text("[1, 2]", "utf-8")
    with pytest.raises(Invalid, match=r"sent\.json"):
        ship(empty_database, kept, io.BytesIO(), once=True)
