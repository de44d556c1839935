"""The trace leaves for another system, each block once and in order; keys are changed by command."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sammanhang import cli
from sammanhang.access.audit import AuditLog
from sammanhang.access.keys import keys_of
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


@pytest.mark.asvs("v5.0.0-11.2.2", "v5.0.0-11.1.1")
async def test_keys_are_rotated_and_withdrawn_by_command(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", empty_database)
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)
    assert await asyncio.to_thread(cli.call, ["keys", "rotate"]) == 0
    kid = capsys.readouterr().out.split()[5]
    database = Database(empty_database, readers=1, writers=1)
    await database.open()
    assert (await keys_of(database).signing(database)).kid == kid
    assert await asyncio.to_thread(cli.call, ["keys", "withdraw", kid]) == 0
    assert await asyncio.to_thread(cli.call, ["keys", "withdraw", kid]) == 1
    assert "no key" in capsys.readouterr().err
    keys_of(database).forget()
    assert await keys_of(database).by_kid(database, kid) is None
    await database.close()
