"""The event feed, read forward: everything committed is seen exactly once, in order of its transactions.

A place is (tx, seq). Events are taken in that order and only from transactions older than every one still
open: one that is still open has a higher number than any place, so it is met later and never skipped. The
price: a transaction that writes for minutes holds back what others committed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .connection import Connection, numbers
from .types import NAME, NUMBER, table

# The types the index event_told holds (migration 0020): others cannot be told of.
TOLD = (
    "Subscription", "Task", "ServiceRequest", "Communication", "CommunicationRequest", "CarePlan",
    "Appointment", "EpisodeOfCare",
)  # fmt: skip
METHODS = {1: "create", 2: "update", 3: "delete"}
_AFTER = f"""
SELECT e.tx::text, e.seq, e.at, e.method, e.type, e.id, e.self, e.version, e.unit, e.patient,
       coalesce(r.body, h.body), p.body
  FROM (SELECT * FROM store.event WHERE (tx, seq) > (%s::xid8, %s) AND tx < pg_snapshot_xmin(pg_current_snapshot())
         AND type IN ({", ".join(str(NUMBER[t]) for t in TOLD)}) ORDER BY tx, seq LIMIT %s) e
  LEFT JOIN store.resource r ON r.self = e.self AND r.type = e.type AND r.version = e.version
  LEFT JOIN store.history h ON h.self = e.self AND h.type = e.type AND h.version = e.version
  LEFT JOIN store.history p ON p.self = e.self AND p.type = e.type AND p.version = e.version - 1
 ORDER BY e.tx, e.seq
"""
_DELETED = """
SELECT h.type, h.self, h.version, p.body
  FROM unnest(%s::smallint[], %s::bigint[], %s::int[]) AS w(type, self, version)
  JOIN store.history h ON h.self = w.self AND h.type = w.type AND h.version = w.version AND h.method = 3
  LEFT JOIN store.history p ON p.self = h.self AND p.type = h.type AND p.version = h.version - 1
"""
# An old version keeps whose it was, but no search values: those it had are given with it.
_WAS = """
SELECT r.type, r.self, r.version FROM (
    SELECT h.type, h.self, h.version, h.id, h.patient, h.also, h.provider, h.unit, h.labels, w.tokens::bigint[] AS tokens
      FROM unnest(%s::smallint[], %s::bigint[], %s::int[], %s::text[]) AS w(type, self, version, tokens)
      JOIN store.history h ON h.self = w.self AND h.type = w.type AND h.version = w.version) r
"""
# After a move to another server all that was seen gets the lowest number, and what was not the lowest still open.
_MOVED = f"""
UPDATE store.event SET tx = CASE WHEN seq > %(highest)s OR (tx, seq) > (%(tx)s::xid8, %(seq)s)
    THEN pg_snapshot_xmin(pg_current_snapshot()) ELSE '1'::xid8 END
 WHERE type IN ({", ".join(str(NUMBER[t]) for t in TOLD)})
"""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event: what was done to which version of a resource, by which unit's hand.

    tx, seq  its place
    method   create, update, delete
    body     that version, None for a deletion; `before` the version before it, None when it is the first
    """

    tx: str
    seq: int
    at: datetime
    method: str
    type: str
    id: str
    self: int
    version: int
    unit: int | None
    patient: int | None
    body: bytes | None
    before: bytes | None


async def after(connection: Connection, tx: str, seq: int, limit: int) -> list[Happened]:
    """The next events after a place, oldest first; on a connection that sees everything."""
    rows = await connection.fetch(_AFTER, (tx, seq, limit))
    return [Happened(r[0], r[1], r[2], METHODS[r[3]], NAME[r[4]], *r[5:]) for r in rows]


async def moved(connection: Connection, tx: str, seq: int, highest: int) -> tuple[str, int]:
    """The database was loaded into another server, which numbers transactions anew: so are its events, none seen
    twice and none skipped. Returns the place to go on from; in a transaction of the caller's.

    `highest` is the highest seq seen so far.
    """
    await connection.execute("LOCK TABLE store.event IN SHARE ROW EXCLUSIVE MODE")
    cursor = await connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
    row = await cursor.fetchone()
    assert row is not None
    await connection.execute(_MOVED, {"tx": tx, "seq": seq, "highest": highest})
    return row[0], 0


Wall = Callable[[str], tuple[str, list[Any]]]
"""The first wall as a condition on an alias; see `access.door.predicate`."""
Key = tuple[str, int]
"""Type and `self` of a resource."""
Once = tuple[str, int, int]
"""Type, `self` and number of a version."""


async def visible(connection: Connection, wall: Wall, wanted: Iterable[Key]) -> set[Key]:
    """Of these the ones whose current version may be seen; one query for each type."""
    rows = await _rows(connection, wall, wanted, "r.self")
    return {(type_name, row[0]) for type_name, row in rows}


async def current(
    connection: Connection, wall: Wall, wanted: Iterable[Key]
) -> dict[Key, tuple[str, int, bytes]]:
    """(id, version, body) of the current versions of these, as far as they may be seen."""
    rows = await _rows(connection, wall, wanted, "r.self, r.id, r.version, r.body")
    return {(type_name, row[0]): row[1:] for type_name, row in rows}


async def units(connection: Connection, wanted: Iterable[Key]) -> dict[Key, int | None]:
    """By whose hand (number of the unit) these are, on a connection that sees everything."""
    rows = await _rows(connection, lambda _: ("true", []), wanted, "r.self, r.unit")
    return {(type_name, row[0]): row[1] for type_name, row in rows}


async def deleted(connection: Connection, wanted: Iterable[Once]) -> dict[Once, bytes | None]:
    """Of these versions the deletions, each with the body it ended; on a connection that sees everything. One query."""
    rows = await connection.fetch(_DELETED, _columns(list(wanted)))
    return {(NAME[r[0]], r[1], r[2]): r[3] for r in rows}


async def could_be_seen(
    connection: Connection, wall: Wall, wanted: Mapping[Once, Iterable[int]]
) -> set[Once]:
    """Of these old versions, given with the search values they had, those that the wall lets through; one query.

    On a connection that sees everything: row-level security knows nothing of what an old version was sent to (R41).
    """
    sql, args = wall("r")
    values = (*_columns(list(wanted)), [numbers(tokens) for tokens in wanted.values()], *args)
    rows = await connection.fetch(f"{_WAS} WHERE ({sql})", values)
    return {(NAME[r[0]], r[1], r[2]) for r in rows}


def _columns(wanted: list[Once]) -> tuple[str, str, list[int]]:
    return (
        numbers(NUMBER[t] for t, _, _ in wanted),
        numbers(s for _, s, _ in wanted),
        [v for _, _, v in wanted],
    )


async def _rows(
    connection: Connection, wall: Wall, wanted: Iterable[Key], columns: str
) -> list[tuple[str, Any]]:
    by_type: dict[str, set[int]] = {}
    for type_name, self_ in wanted:
        by_type.setdefault(type_name, set()).add(self_)
    found: list[tuple[str, Any]] = []
    sql, args = wall("r")
    for type_name, selves in by_type.items():
        rows = await connection.fetch(
            f"SELECT {columns} FROM {table(type_name)} r WHERE r.type = {NUMBER[type_name]}"
            f" AND r.self = ANY(%s::bigint[]) AND ({sql})",
            (numbers(sorted(selves)), *args),
        )
        found += [(type_name, row) for row in rows]
    return found
