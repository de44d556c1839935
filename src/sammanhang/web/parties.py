"""Names of care providers and units: rows carry numbers, readers want names."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sammanhang.access.door import Record, Stored
from sammanhang.store.connection import numbers
from sammanhang.store.database import Database

from .directory import SQL

NAMES_SECONDS = 600


@dataclass
class Names:
    """Names of care providers and units, kept by the process for ten minutes."""

    of: dict[int, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    read: float = 0.0


_known: dict[int, Names] = {}


async def names_of(record: Record, rows: Iterable[Stored]) -> dict[int, str]:
    """Names of the care providers and units of these rows; two queries for those not known, else none."""
    database = record.doors.database
    known = _names(database)
    wanted = {n for row in rows for n in (row.provider, row.unit) if n is not None}
    new = wanted - known.of.keys()
    if new:
        async with database.reading(record.scope) as connection:
            database.queries += 1
            cursor = await connection.quick.execute(SQL["parties"], (numbers(new),))
            ids = dict(await cursor.fetchall())
        found = await organisations(record, ids.values())
        known.of.update({n: found.get(id, id) for n, id in ids.items()})
    return known.of


async def organisations(record: Record, ids: Iterable[str]) -> dict[str, str]:
    """Names of organisations by HSA-id; one query for those not known."""
    database = record.doors.database
    known = _names(database)
    new = [id for id in ids if id not in known.ids]
    if new:
        known.ids.update(await record.doors.names(new))
    return known.ids


def _names(database: Database) -> Names:
    """The names this process knows of a database; forgotten after ten minutes, for a unit is renamed."""
    known = _known.setdefault(id(database), Names())
    if time.monotonic() - known.read > NAMES_SECONDS:
        known = _known[id(database)] = Names(read=time.monotonic())
    return known
