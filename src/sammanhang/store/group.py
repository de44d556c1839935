"""Group commit: what the requests of one process have to make durable at the same moment shares a commit.

A commit costs about the same for one entry as for ten, and waits for the disk once. So reads, searches
and refusals wait for the next commit with their entries, and new resources ride along with theirs: a
resource whose id this server made up cannot be anybody else's, so strangers may share its transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from sammanhang.kernel.errors import Unavailable

from .connection import numbers
from .database import Connection, Database
from .rows import Row
from .trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry
from .types import NUMBER

# How long an entry waits at most for the other requests in work to share its commit, in seconds.
LINGER = 0.001
MOST = 256  # entries in one commit


async def chain_of(connection: Connection) -> Chain:
    """The chain of a connection, opened the first time."""
    if connection.chain is None:
        cursor = await connection.execute(OPEN_CHAIN)
        row = await cursor.fetchone()
        assert row is not None
        connection.chain = Chain(row[0], 0, row[1])
    return connection.chain  # type: ignore[no-any-return]


@dataclass(slots=True)
class _Waiting:
    """An entry, with the new resource it tells of when it does, and who waits for it."""

    entry: Entry
    future: asyncio.Future[None]
    row: Row | None = None
    provider: int | None = None
    unit: int | None = None


@dataclass
class GroupCommit:
    """One committer for each process.

    `submit` returns a future that is done when entry and resource are durable. When the database does
    not take them, every waiting caller gets `Unavailable`; when it is one resource that cannot be
    stored, its caller alone gets the database's error.
    """

    database: Database
    _waiting: list[_Waiting] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _working: int = 0
    _most: int = 0  # requests in work at once since the last commit
    _lately: deque[int] = field(default_factory=lambda: deque([0], maxlen=4))
    commits: int = 0

    def enter(self) -> None:
        """A request has begun that will leave an entry; `leave` when it has answered."""
        self._working += 1
        self._most = max(self._most, self._working)

    def leave(self) -> None:
        """A request has answered: nobody waits for it any longer."""
        self._working -= 1

    def start(self) -> None:
        """Starts the committer in the running loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Commits what waits, then ends."""
        await asyncio.gather(*(w.future for w in self._waiting), return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def submit(
        self,
        entry: Entry,
        row: Row | None = None,
        provider: int | None = None,
        unit: int | None = None,
    ) -> asyncio.Future[None]:
        """A future that is done when all of it is durable; raises `Unavailable` or psycopg.Error.

        `row` is a new resource with an id made by this server; `provider` and `unit` are the numbers
        of its owners.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Waiting(entry, future, row, provider, unit))
        self._look()
        return future

    def _look(self) -> None:
        """Goes when as many wait as have lately been in work at once; soon in any case."""
        if len(self._waiting) >= max(self._most, *self._lately):
            self._go()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._go)

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._waiting:
                continue
            try:
                async with self.database.writing() as connection:
                    batch = self._waiting[:MOST]
                    del self._waiting[:MOST]
                    self._lately.append(self._most)
                    self._most = self._working
                    await self._commit(connection, batch)
                if self._waiting:
                    self._look()
            except Exception as e:
                batch, self._waiting = self._waiting, []
                _fail(batch, e)
                await asyncio.sleep(0.05)

    async def _commit(self, connection: Connection, batch: list[_Waiting]) -> None:
        """Makes a batch durable. Raises what the database said, with every caller told."""
        rows = [w for w in batch if w.row is not None]
        try:
            chain = await chain_of(connection)
            block = chain.block([w.entry for w in batch])
            if rows:
                statement, values = new_rows(rows)
                await connection.fetch(statement, (*block, *values))
            else:
                await connection.fetch(INSERT_BLOCK, block)
        except psycopg.Error as e:
            # its head is no longer certain: the next block opens a new one
            connection.chain = None
            if rows and e.sqlstate is not None and not connection.closed:
                await self._apart(connection, batch, e)
                return
            _fail(batch, e)
            raise
        except BaseException as e:
            connection.chain = None
            _fail(batch, e)
            raise
        chain.moved(block)
        self.commits += 1
        for w in batch:
            if not w.future.done():
                w.future.set_result(None)

    async def _apart(self, connection: Connection, batch: list[_Waiting], e: psycopg.Error) -> None:
        """The database refused the batch and kept nothing of it: each on its own, to find out whose it was."""
        if len(batch) == 1:
            if not batch[0].future.done():
                batch[0].future.set_exception(e)
            return
        for w in batch:
            await self._commit(connection, [w])


def _fail(batch: Iterable[_Waiting], e: BaseException) -> None:
    for w in batch:
        if not w.future.done():
            w.future.set_exception(
                Unavailable(
                    f"The access could not be logged, so nothing was shown ({type(e).__name__}).",
                    "Åtkomsten kunde inte loggas, därför visas inget.",
                )
            )


# New resources of one commit: every table in one statement.

_RESOURCES = """
WITH block AS ({block}), made AS (
    INSERT INTO store.resource (type, self, id, version, updated, patient, also, provider, unit, labels,
        care_until, occurred, occurred_to, tokens, body)
    SELECT type, self, id, 1, updated, patient, also::bigint[], provider, unit, labels::bigint[],
        care_until, low, high, tokens::bigint[], substr(%s::bytea, start, size)
      FROM unnest(%s::smallint[], %s::bigint[], %s::text[], %s::timestamptz[], %s::bigint[], %s::text[],
        %s::int[], %s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
        %s::text[], %s::int[], %s::int[])
        AS t(type, self, id, updated, patient, also, provider, unit, labels, care_until, low, high,
             tokens, start, size)
    RETURNING type, self, id, updated, patient, also, provider, unit, labels
){sides}
INSERT INTO store.event (at, method, type, self, id, version, patient, also, provider, unit, labels)
SELECT updated, 1, type, self, id, 1, patient, also, provider, unit, labels FROM made
"""
_SIDES = (
    (
        "strings",
        """, strings AS (INSERT INTO store.string (self, type, slot, folded, value)
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::text[], %s::text[]))""",
    ),
    (
        "dates",
        """, dates AS (INSERT INTO store.date (self, type, slot, low, high)
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]))""",
    ),
    (
        "quantities",
        """, quantities AS (INSERT INTO store.quantity (self, type, slot, low, high, unit, raw_low, raw_high, raw_unit)
    SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::float8[], %s::float8[],
        %s::bigint[], %s::float8[], %s::float8[], %s::bigint[]))""",
    ),
)
_statements: dict[tuple[bool, ...], str] = {}


def new_rows(waiting: Sequence[_Waiting]) -> tuple[str, list[Any]]:
    """The statement that stores new resources with a block, and its values after the block's."""
    columns: list[list[Any]] = [[] for _ in range(15)]
    sides: list[list[tuple[Any, ...]]] = [[], [], []]
    bodies: list[bytes] = []
    start = 1
    for w in waiting:
        row = w.row
        assert row is not None and row.index is not None and row.body is not None
        ix, number = row.index, NUMBER[row.type]
        low, high = ix.occurred or (None, None)
        values = (
            number, row.self, row.id, row.updated, row.patient, _inner(row.also), w.provider, w.unit,
            _inner(row.labels), row.care_until, low, high, _inner(ix.tokens), start, len(row.body),
        )  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        bodies.append(row.body)
        start += len(row.body)
        found: tuple[Sequence[tuple[Any, ...]], ...] = (ix.strings, ix.dates, ix.quantities)
        for side, values_ in zip(sides, found, strict=True):
            side += [(row.self, number, *v) for v in values_]
    kinds = tuple(bool(side) for side in sides)
    statement = _statements.get(kinds)
    if statement is None:
        wanted = "".join(sql for (_, sql), there in zip(_SIDES, kinds, strict=True) if there)
        statement = _statements[kinds] = _RESOURCES.format(block=INSERT_BLOCK, sides=wanted)
    arguments: list[Any] = [b"".join(bodies), *columns]
    for side in sides:
        if side:
            arguments += zip(*side, strict=True)
    return statement, arguments


def _inner(values: Sequence[int] | None) -> str | None:
    """An array inside an array, as text; the statement makes it an array again."""
    return None if values is None else numbers(values)
