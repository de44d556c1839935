"""Writing: resource, search values, history, event and audit entry in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from sammanhang.kernel.errors import Conflict, NotFound, PreconditionFailed

from .connection import numbers
from .copying import Batch
from .database import Connection, Database
from .rows import Row
from .trace import INSERT_BLOCK, Block
from .types import NUMBER, table

# More new rows than this in one transaction go by COPY.
FEW = 4


class Trace(Protocol):
    """The audit entries of a write; `access.audit` makes them.

    `block(connection)` is their block at its place in the connection's chain, the last six arguments of
    store.put; `done(connection)` moves the chain's head once the commit is certain.
    """

    async def block(self, connection: Connection) -> Block: ...

    def done(self, connection: Connection) -> None: ...


_ARGUMENTS = """
    smallint bigint text int timestamptz bigint bigint[] int int bigint[] timestamptz timestamptz
    timestamptz bigint[] bytea
    bigint[] text[] text[]
    bigint[] timestamptz[] timestamptz[]
    bigint[] float8[] float8[] bigint[] float8[] float8[] bigint[]
    bigint bigint timestamptz bigint[] bytea bytea
"""  # the row; its strings, dates and quantities; the trace's block
PUT = f"SELECT store.put({', '.join(f'%s::{t}' for t in _ARGUMENTS.split())})"
NO_BLOCK = (None,) * 6


def _array(values: Any) -> str | None:
    return None if values is None else numbers(values)


def arguments(row: Row, provider: int | None, unit: int | None) -> tuple[Any, ...]:
    """The arguments of store.put up to those of the trace."""
    ix = row.index
    low = high = None
    tokens = "{}"
    strings = dates = quantities = None
    if ix is not None:
        low, high = ix.occurred or (None, None)
        tokens = numbers(ix.tokens)
        strings, dates, quantities = ix.strings or None, ix.dates or None, ix.quantities or None
    return (
        NUMBER[row.type], row.self, row.id, row.expected, row.updated, row.patient, _array(row.also),
        provider, unit, _array(row.labels), row.care_until, low, high, tokens, row.body,
        _array([s[0] for s in strings]) if strings else None,
        [s[1] for s in strings] if strings else None,
        [s[2] for s in strings] if strings else None,
        _array([d[0] for d in dates]) if dates else None,
        [d[1] for d in dates] if dates else None,
        [d[2] for d in dates] if dates else None,
        *(
            [_array([q[i] for q in quantities]) for i in range(7)]
            if quantities
            else (None,) * 7
        ),
    )  # fmt: skip


Statements = Sequence[tuple[str, Sequence[Any]]]
"""SQL with its arguments, in order."""


async def commit(database: Database, rows: list[Row], trace: Trace, also: Statements = ()) -> None:
    """Stores all rows and the trace in one transaction, and runs `also` in it; returns once that is durable.

    Raises `PreconditionFailed` when a row's version is no longer the current one, `Conflict` when a
    new resource exists already, `NotFound` when one to change is gone. Nothing is kept then.
    """
    parties = [(await database.party(r.provider), await database.party(r.unit)) for r in rows]
    try:
        async with database.writing() as connection:
            await commit_on(connection, rows, parties, trace, also)
            trace.done(connection)
    except psycopg.Error as e:
        raise refusal(e) from e


def refusal(e: psycopg.Error) -> Exception:
    """The error of our own behind a refusal of store.put; the same error when it is not one."""
    if isinstance(e, psycopg.errors.UniqueViolation):
        return Conflict("The resource exists already.", "Resursen finns redan.")
    if e.sqlstate == "SH001":
        return PreconditionFailed(
            f"Somebody else changed the resource; the current version is {e.diag.message_detail}.",
            f"Någon annan har ändrat resursen; aktuell version är {e.diag.message_detail}.",
        )
    if e.sqlstate == "SH002":
        return NotFound("The resource is not there.", "Resursen finns inte.")
    if e.sqlstate == "SH003":
        return DeletedBefore(int(e.diag.message_detail or 2) - 1)
    return e


class DeletedBefore(Conflict):
    """It existed and was deleted; a new version goes on from the tombstone's `version`."""

    def __init__(self, version: int) -> None:
        super().__init__("The resource was deleted.", "Resursen är borttagen.")
        self.version = version


def _place(pair: tuple[Row, tuple[int | None, int | None]]) -> int:
    """All writers take the rows they change in one order, so that none waits for another in a ring."""
    return pair[0].self


async def commit_on(
    connection: Connection,
    rows: list[Row],
    parties: list[tuple[int | None, int | None]],
    trace: Trace,
    also: Statements = (),
) -> None:
    """As `commit`, on a connection that may have a transaction open already."""
    if not rows:
        return
    block = await trace.block(connection)
    if len(rows) == 1 and not also:
        await connection.quick.execute(PUT, (*arguments(rows[0], *parties[0]), *block))
        return
    batch = Batch()
    few = [(r, p) for r, p in zip(rows, parties, strict=True)]
    if len(rows) > FEW:
        few = []
        for r, p in zip(rows, parties, strict=True):
            if r.expected == 0 and r.body is not None and not r.named:
                batch.add(r, table(r.type), *p)
            else:
                few.append((r, p))
    few.sort(key=_place)
    async with connection.transaction():
        cursor = connection.quick
        for statement, data in batch.statements():
            async with cursor.copy(statement) as copy:
                await copy.write(data)
        if few:  # sent in one go: an answer awaited for each costs as much as the storing
            await cursor.executemany(
                PUT, [(*arguments(row, *party), *NO_BLOCK) for row, party in few]
            )
        for statement, values in also:
            await cursor.execute(statement, values)
        await cursor.execute(INSERT_BLOCK, block)
