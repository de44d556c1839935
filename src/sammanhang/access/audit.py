"""The trace of everything: append-only, hash-chained, durable before the answer leaves.

What one commit makes durable is a block of entries. One chain of blocks per database session: a chain is
serial without any lock, because a session does one transaction at a time; a block's hash covers the
block before it, so a row changed, removed or put in between shows. Reads are group-committed
(`store.group`); a write's entries lie in the write's own transaction. A *seal*, made at intervals,
records the head of every chain that moved and is itself chained: it shows a chain cut off at its end, or
removed whole, up to the last seal.

What an entry says follows HSLF-FS 2016:40 4 kap. 9 §: action, unit, time, user, patient.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sammanhang.store.database import Connection, Database
from sammanhang.store.group import GroupCommit, chain_of
from sammanhang.store.rows import Row
from sammanhang.store.trace import Block, Entry, encoder, entries_in, keys_of, link, stamp
from sammanhang.store.write import refusal


class WriteTrace:
    """The entries of one write, for `store.write.commit`."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self._block: Block | None = None

    async def block(self, connection: Connection) -> Block:
        chain = await chain_of(connection)
        self._block = chain.block(self.entries)
        return self._block

    def done(self, connection: Connection) -> None:
        if self._block is not None:
            connection.chain.moved(self._block)


SEAL_SECONDS = 60
# A chain that has not moved for so long is left out of new seals; old seals still vouch for it.
REST = timedelta(days=7)
log = logging.getLogger("sammanhang.audit")


@dataclass
class AuditLog:
    """The entries of one process: group-committed, sealed at intervals.

    `record` returns when the entry is durable. When the database does not take it, the caller gets
    `Unavailable`: an answer whose trace cannot be kept does not leave.
    """

    database: Database
    _sealing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.group = GroupCommit(self.database)
        self.enter, self.leave = self.group.enter, self.group.leave

    def start(self) -> None:
        """Starts the committer and the sealer in the running loop."""
        self.group.start()
        self._sealing = asyncio.create_task(self._seal())

    async def _seal(self) -> None:
        """A seal a minute; of several processes, whoever comes first makes it."""
        while True:
            await asyncio.sleep(SEAL_SECONDS)
            try:
                await asyncio.to_thread(seal_now, self.database.dsn)
            except psycopg.Error as e:
                log.warning("no seal this minute: %s", type(e).__name__)

    async def stop(self) -> None:
        """Commits what waits, then ends."""
        await self.group.stop()
        if self._sealing is not None:
            self._sealing.cancel()
            await asyncio.gather(self._sealing, return_exceptions=True)

    def record(self, entry: Entry) -> asyncio.Future[None]:
        """A future that is done when the entry is durable; raises `Unavailable` when it cannot be."""
        return self.group.submit(entry)

    async def store(self, entry: Entry, row: Row) -> None:
        """Stores a new resource whose id this server made, together with its entry; durable on return.

        Raises `Unavailable`, and what `store.write.commit` raises.
        """
        provider = await self.database.party(row.provider)
        unit = await self.database.party(row.unit)
        try:
            await self.group.submit(entry, row, provider, unit)
        except psycopg.Error as e:
            raise refusal(e) from e


# Seals and verification


def seal_now(dsn: str) -> bool:
    """Makes a seal on a connection of its own, and sorts new keys into the trace's index."""
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer") as connection:
        connection.execute("SELECT audit.tidy()")
        return seal(connection)


def seal(connection: psycopg.Connection[Any]) -> bool:
    """Records the heads of the chains that are in use; False when none moved since the last seal.

    A head is [seq, hash, when it was first seen there].
    """
    with connection.transaction():
        got = connection.execute("SELECT pg_try_advisory_xact_lock(7223372036854775807)").fetchone()
        if not got or not got[0]:
            return False
        last = connection.execute(
            "SELECT hash, at, heads FROM audit.seal ORDER BY number DESC LIMIT 1"
        ).fetchone()
        known: dict[str, Any] = last[2] if last else {}
        found = connection.execute(
            "SELECT c.chain, e.seq, encode(e.hash, 'hex') FROM audit.chain c CROSS JOIN LATERAL"
            " (SELECT seq, hash FROM audit.block e WHERE e.chain = c.chain ORDER BY seq DESC LIMIT 1) e"
            " WHERE c.chain = ANY(%s) OR c.opened > %s",
            (
                [int(c) for c in known],
                last[1] - timedelta(hours=1) if last else datetime(1970, 1, 1, tzinfo=UTC),
            ),
        ).fetchall()
        now = datetime.now(UTC)
        heads: dict[str, Any] = {}
        for chain, seq, hashed in found:
            before = known.get(str(chain))
            if before is not None and before[:2] == [seq, hashed]:
                if now - datetime.fromisoformat(before[2]) < REST:
                    heads[str(chain)] = before
            else:
                heads[str(chain)] = [seq, hashed, now.isoformat()]
        if {c: h[:2] for c, h in heads.items()} == {c: h[:2] for c, h in known.items()}:
            return False
        connection.execute(
            "INSERT INTO audit.seal (heads, hash) VALUES (%s, %s)",
            (Jsonb(heads), _seal_hash(last[0] if last else b"", heads)),
        )
    return True


def _seal_hash(previous: bytes, heads: dict[str, Any]) -> bytes:
    return hashlib.sha256(previous + encoder.encode(heads)).digest()


@dataclass
class VerifyReport:
    """What `verify` found. Each fault is one sentence that names the row."""

    entries: int = 0
    blocks: int = 0
    chains: int = 0
    seals: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults


def verify(dsn: str, progress: Callable[[int], None] | None = None) -> VerifyReport:
    """Checks every chain and every seal; reads the whole trace once, with bounded memory."""
    report = VerifyReport()
    seen: dict[tuple[int, int], str] = {}
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        genesis: dict[int, bytes] = dict(
            connection.execute("SELECT chain, genesis FROM audit.chain").fetchall()
        )
        seals = connection.execute(
            "SELECT number, heads, hash FROM audit.seal ORDER BY number"
        ).fetchall()
        wanted = {(int(c), int(h[0])) for _, heads, _ in seals for c, h in heads.items()}
        with connection.cursor("verify") as cursor:
            cursor.itersize = 20000
            cursor.execute(
                "SELECT chain, seq, at, keys, entries, hash FROM audit.block ORDER BY chain, seq"
            )
            current, seq, head = None, 0, b""
            for c, s, at, keys, lines, hashed in cursor:
                report.blocks += 1
                if c != current:
                    current, seq = c, 0
                    report.chains += 1
                    if c not in genesis:
                        report.faults.append(f"Chain {c} is not in audit.chain.")
                    head = genesis.get(c, b"")
                if s != seq + 1:
                    report.faults.append(f"Chain {c}: blocks {seq + 1} to {s - 1} are missing.")
                    seq, head = s, hashed
                    continue
                seq = s
                if link(head, c, s, lines) != hashed:
                    report.faults.append(
                        f"Chain {c}, block {s}: an entry of it or its hash was changed."
                    )
                else:
                    _columns(report, c, s, at, keys, lines)
                head = hashed
                if (c, s) in wanted:
                    seen[(c, s)] = hashed.hex()
                if progress is not None and report.blocks % 20000 == 0:
                    progress(report.entries)
    previous = b""
    for number, heads, hashed in seals:
        report.seals += 1
        if _seal_hash(previous, heads) != hashed:
            report.faults.append(f"Seal {number} was changed, or a seal before it is missing.")
        previous = hashed
        for c, (s, h, *_) in heads.items():
            if seen.get((int(c), int(s))) != h:
                report.faults.append(
                    f"Chain {c}: block {s}, which seal {number} recorded, is missing or changed."
                )
    return report


def _columns(
    report: VerifyReport, c: int, s: int, at: datetime, keys: list[int], lines: bytes
) -> None:
    """The columns beside the entries are for searching; they must say what the entries say."""
    entries = entries_in(lines)
    report.entries += len(entries)
    if stamp(at.astimezone(UTC)) != max(e.at for e in entries):
        report.faults.append(f"Chain {c}, block {s}: its time does not say what its entries say.")
    elif sorted(keys) != keys_of(entries):
        report.faults.append(f"Chain {c}, block {s}: its keys do not say what its entries say.")
