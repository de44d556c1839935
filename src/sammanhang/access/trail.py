"""Reading the trace: who did what, and who has been in a record. Each answer is one query."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sammanhang.store.connection import numbers
from sammanhang.store.database import NOTHING, Database
from sammanhang.store.trace import Entry, did_key, entries_in, patient_key

MOST = 1000  # blocks read for one answer

_FOUND = """
SELECT entries FROM audit.block WHERE keys && %s::bigint[] AND at >= %s ORDER BY at DESC LIMIT %s
"""
_BOTH = """
SELECT entries FROM audit.block WHERE keys && %s::bigint[] AND keys && %s::bigint[] ORDER BY at DESC LIMIT %s
"""


async def did(
    database: Database, actor: str, action: str, days: int, most: int = MOST
) -> list[Entry]:
    """What somebody did in the last days, the latest first."""
    today = datetime.now(UTC).date()
    keys = [did_key(actor, action, today - timedelta(days=n)) for n in range(days + 1)]
    found = await _found(database, keys, datetime.now(UTC) - timedelta(days=days), most)
    return [e for e in found if e.actor == actor and e.action == action]


async def concerning(
    database: Database, patient: str, since: datetime, most: int = MOST
) -> list[Entry]:
    """Everything that concerns a patient since a time, the latest first."""
    found = await _found(database, [patient_key(patient)], since, most)
    return [e for e in found if e.patient == patient]


async def by_person(
    database: Database,
    actor: str,
    actions: Iterable[str],
    first: date,
    last: date,
    patient: str = "",
) -> list[Entry]:
    """What somebody did in records on some days (UTC), in one patient's when it is given; the earliest first."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    keys = [did_key(actor, action, day) for action in actions for day in days]
    also = [patient_key(patient)] if patient else keys
    async with database.reading(NOTHING) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(_BOTH, (numbers(keys), numbers(also), MOST))
        rows = await cursor.fetchall()
    wanted = {d.isoformat() for d in days}
    found = [
        e
        for (lines,) in rows
        for e in entries_in(lines)
        if e.actor == actor and e.at[:10] in wanted and e.patient and patient in ("", e.patient)
    ]
    return sorted(found, key=lambda e: e.at)


async def _found(database: Database, keys: list[int], since: datetime, most: int) -> list[Entry]:
    """Entries of the blocks that bear one of the keys, other people's among them."""
    async with database.reading(NOTHING) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(_FOUND, (numbers(keys), since, most))
        rows = await cursor.fetchall()
    entries = [e for (lines,) in rows for e in entries_in(lines)]
    entries.sort(key=lambda e: e.at, reverse=True)
    return entries
