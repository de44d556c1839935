"""The trace of everything: append-only, hash-chained, durable before the answer leaves.

One chain per database session. A chain is serial without any lock, because a session does one
transaction at a time; an entry's hash covers the entry before it, so a row changed, removed or put in
between shows. Reads are group-committed over a connection of their own; a write's entry lies in the
write's own transaction. A *seal*, made at intervals, records the head of every chain that moved and is
itself chained: it shows a chain cut off at its end, or removed whole, up to the last seal.

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

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.errors import Unavailable
from sammanhang.store.database import Connection, Database
from sammanhang.store.trace import OPEN_CHAIN, Chain, Entry, encoder, link, stamp


async def chain_of(connection: Connection) -> Chain:
    """The chain of a connection, opened the first time."""
    if connection.chain is None:
        cursor = await connection.execute(OPEN_CHAIN)
        row = await cursor.fetchone()
        assert row is not None
        connection.chain = Chain(row[0], 0, row[1])
    return connection.chain  # type: ignore[no-any-return]


class WriteTrace:
    """The entries of one write, for `store.write.commit`."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self._after: tuple[int, bytes] | None = None

    async def rows(self, connection: Connection) -> list[tuple[Any, ...]]:
        chain = await chain_of(connection)
        rows, seq, head = chain.next(self.entries)
        self._after = (seq, head)
        return rows

    def done(self, connection: Connection) -> None:
        if self._after is not None:
            connection.chain.seq, connection.chain.head = self._after


_INSERT = (
    "INSERT INTO audit.entry (chain, seq, at, actor, patient, action, entry, hash)"
    " SELECT %s::bigint, * FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::bigint[],"
    " %s::text[], %s::bytea[], %s::bytea[])"
)


def _quoted(values: list[str]) -> str:
    return (
        "{"
        + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
        + "}"
    )


def _bytes(values: list[bytes]) -> str:
    return "{" + ",".join('"\\\\x' + v.hex() + '"' for v in values) + "}"


# How long an entry waits at most for the other requests in work to share its commit, in seconds.
LINGER = 0.001
SEAL_SECONDS = 60
# A chain that has not moved for so long is left out of new seals; old seals still vouch for it.
REST = timedelta(days=7)
log = logging.getLogger("sammanhang.audit")


@dataclass
class AuditLog:
    """Group commit of the entries of reads, searches and refusals in one process.

    `record` returns when the entry is durable. All entries that arrive while one commit is under way
    share the next. When the database does not take them, every waiting caller gets `Unavailable`: an
    answer whose trace cannot be kept does not leave.
    """

    database: Database
    _waiting: list[tuple[Entry, asyncio.Future[None]]] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _sealing: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _working: int = 0
    commits: int = 0

    def enter(self) -> None:
        """A request has begun that will leave an entry; `leave` when it has answered."""
        self._working += 1

    def leave(self) -> None:
        self._working -= 1
        if self._waiting and len(self._waiting) >= self._working:
            self._go()

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    def start(self) -> None:
        """Starts the committer and the sealer in the running loop."""
        self._task = asyncio.create_task(self._run())
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
        """Commits what waits, seals, then ends."""
        await asyncio.gather(*(f for _, f in self._waiting), return_exceptions=True)
        for task in (self._task, self._sealing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def record(self, entry: Entry) -> asyncio.Future[None]:
        """A future that is done when the entry is durable; raises `Unavailable` when it cannot be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((entry, future))
        # a commit costs much the same for one entry as for ten: go when all in work are here
        if len(self._waiting) >= self._working:
            self._go()
        elif self._timer is None:
            self._timer = loop.call_later(LINGER, self._go)
        return future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self.database.writing() as connection:
                    while self._waiting:
                        batch, self._waiting = self._waiting, []
                        await self._commit(connection, batch)
            except Exception as e:
                batch, self._waiting = self._waiting, []
                for _, future in batch:
                    if not future.done():
                        future.set_exception(_untraceable(e))
                await asyncio.sleep(0.05)

    async def _commit(
        self, connection: Connection, batch: list[tuple[Entry, asyncio.Future[None]]]
    ) -> None:
        try:
            chain = await chain_of(connection)
            rows, seq, head = chain.next([e for e, _ in batch])
            patients = "{" + ",".join("NULL" if r[4] is None else str(r[4]) for r in rows) + "}"
            await connection.quick.execute(
                _INSERT,
                (
                    chain.chain,
                    "{" + ",".join(str(r[1]) for r in rows) + "}",
                    _quoted([r[2] for r in rows]),
                    _quoted([r[3] for r in rows]),
                    patients,
                    _quoted([r[5] for r in rows]),
                    _bytes([r[6] for r in rows]),
                    _bytes([r[7] for r in rows]),
                ),
            )
        except Exception as e:
            connection.chain = (
                None  # its head is no longer certain: the next entries open a new one
            )
            for _, future in batch:
                if not future.done():
                    future.set_exception(_untraceable(e))
            raise
        chain.seq, chain.head = seq, head
        self.commits += 1
        for _, future in batch:
            if not future.done():
                future.set_result(None)


def _untraceable(e: Exception) -> Unavailable:
    return Unavailable(
        f"The access could not be logged, so nothing was shown ({type(e).__name__}).",
        "Åtkomsten kunde inte loggas, därför visas inget.",
    )


# Seals and verification


def seal_now(dsn: str) -> bool:
    """Makes a seal on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer") as connection:
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
            " (SELECT seq, hash FROM audit.entry e WHERE e.chain = c.chain ORDER BY seq DESC LIMIT 1) e"
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
                "SELECT chain, seq, at, actor, patient, action, entry, hash FROM audit.entry ORDER BY chain, seq"
            )
            current, seq, head = None, 0, b""
            for c, s, at, actor, patient, action, body, hashed in cursor:
                report.entries += 1
                if c != current:
                    current, seq = c, 0
                    report.chains += 1
                    if c not in genesis:
                        report.faults.append(f"Chain {c} is not in audit.chain.")
                    head = genesis.get(c, b"")
                if s != seq + 1:
                    report.faults.append(f"Chain {c}: entries {seq + 1} to {s - 1} are missing.")
                    seq, head = s, hashed
                    continue
                seq = s
                if link(head, c, s, body) != hashed:
                    report.faults.append(
                        f"Chain {c}, entry {s}: the entry or its hash was changed."
                    )
                else:
                    _columns(report, c, s, at, actor, patient, action, body)
                head = hashed
                if (c, s) in wanted:
                    seen[(c, s)] = hashed.hex()
                if progress is not None and report.entries % 50000 == 0:
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
                    f"Chain {c}: entry {s}, which seal {number} recorded, is missing or changed."
                )
    return report


def _columns(
    report: VerifyReport,
    c: int,
    s: int,
    at: datetime,
    actor: str,
    patient: int | None,
    action: str,
    body: bytes,
) -> None:
    """The columns beside an entry are for searching; they must say what the entry says."""
    e = msgspec.json.decode(body, type=Entry)
    if (e.actor, e.action) != (actor, action) or stamp(at.astimezone(UTC)) != e.at:
        report.faults.append(f"Chain {c}, entry {s}: a column does not say what the entry says.")
    elif patient != (self_hash("Patient", e.patient) if e.patient else None):
        report.faults.append(f"Chain {c}, entry {s}: the patient column was changed.")
