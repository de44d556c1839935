"""Reading by id: the current version, an old one, a history; stored bytes, never parsed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sammanhang.fhir.indexing import hash64, self_hash, slot
from sammanhang.kernel.errors import Gone, NotFound

from .connection import numbers
from .database import EVERYTHING, Connection, Database
from .search.compile import Predicate
from .types import NAME, NUMBER, table


@dataclass(slots=True)
class Version:
    """One version of a resource. `body` is None for a deletion; `method` 1 create 2 update 3 delete."""

    type: str
    id: str
    version: int
    updated: datetime
    patient: int | None
    body: bytes | None
    method: int = 2


_READ = {
    name: f"SELECT id, version, updated, patient, body FROM {table(name)} WHERE self = %s AND type = {n}"
    for name, n in NUMBER.items()
}


async def read(connection: Connection, type_name: str, id: str) -> Version | None:
    """The current version, as the connection's scope lets it be seen; None when it does not."""
    rows = await connection.fetch(_READ[type_name], (self_hash(type_name, id),))
    if not rows or rows[0][0] != id:  # another resource with the same hash is not this one
        return None
    return Version(type_name, *rows[0])


_READ_SOME = {
    name: f"SELECT self, id, version, updated, patient, body FROM {table(name)}"
    f" WHERE self = ANY(%s::bigint[]) AND type = {n}"
    for name, n in NUMBER.items()
}


class Together:
    """Reads by id that come in the same moment share one question, for who may see the whole record.

    A question to the database costs some three times what one more row in its answer does.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: dict[str, dict[str, list[asyncio.Future[Version | None]]]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def read(self, type_name: str, id: str) -> asyncio.Future[Version | None]:
        """As `read`, without a wall."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Version | None] = loop.create_future()
        waiting = self._waiting.get(type_name)
        if waiting is None:
            waiting = self._waiting[type_name] = {}
            loop.call_soon(self._ask, type_name)
        waiting.setdefault(id, []).append(future)
        return future

    def _ask(self, type_name: str) -> None:
        task = asyncio.get_running_loop().create_task(
            self._answer(type_name, self._waiting.pop(type_name))
        )
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer(
        self, type_name: str, asked: dict[str, list[asyncio.Future[Version | None]]]
    ) -> None:
        try:
            found: dict[str, Version] = {}
            async with self.database.reading(EVERYTHING) as connection:
                wanted = {self_hash(type_name, id): id for id in asked}
                if len(wanted) == 1 or len(wanted) < len(asked):
                    for id in asked:
                        one = await read(connection, type_name, id)
                        if one is not None:
                            found[id] = one
                else:
                    for self_, *row in await connection.fetch(
                        _READ_SOME[type_name], (numbers(wanted),)
                    ):
                        if row[0] == wanted[self_]:
                            found[row[0]] = Version(type_name, *row)
        except BaseException as e:
            for future in (f for futures in asked.values() for f in futures):
                if not future.done():
                    future.set_exception(e)
            if not isinstance(e, Exception):
                raise
            return
        for id, futures in asked.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(id))


async def last_deletion(connection: Connection, type_name: str, id: str) -> Version | None:
    """The tombstone, when the last thing that happened to the resource is its deletion."""
    cursor = await connection.quick.execute(
        "SELECT id, version, updated, patient, body, method FROM store.history"
        " WHERE self = %s AND type = %s ORDER BY version DESC LIMIT 1",
        (self_hash(type_name, id), NUMBER[type_name]),
    )
    row = await cursor.fetchone()
    if row is None or row[0] != id or row[5] != 3:
        return None
    return Version(type_name, *row)


async def missing(connection: Connection, type_name: str, id: str) -> NotFound | Gone:
    """The error for a resource that is not there: gone, or never seen."""
    if await last_deletion(connection, type_name, id) is not None:
        return Gone(f"{type_name}/{id} was deleted.", f"{type_name}/{id} är borttagen.")
    return NotFound(f"{type_name}/{id} is not here.", f"{type_name}/{id} finns inte.")


async def vread(connection: Connection, type_name: str, id: str, version: int) -> Version | None:
    """A certain version; its `body` is None when that version is a deletion."""
    current = await read(connection, type_name, id)
    if current is not None and current.version == version:
        return current
    cursor = await connection.quick.execute(
        "SELECT id, version, updated, patient, body, method FROM store.history"
        " WHERE self = %s AND type = %s AND version = %s",
        (self_hash(type_name, id), NUMBER[type_name], version),
    )
    row = await cursor.fetchone()
    if row is None or row[0] != id:
        return None
    return Version(type_name, *row)


@dataclass(slots=True)
class HistoryRequest:
    """A history: of one resource, of a type, or of everything.

    `before` is the event number to go on from; `since` a time, `at` a span in which versions were current.
    """

    type: str | None = None
    id: str | None = None
    count: int = 50
    before: int | None = None
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None


_OF_ONE = """
SELECT version, updated, patient, body, method FROM (SELECT *, lead(updated) OVER (ORDER BY version) AS until FROM (
    SELECT version, updated, patient, body, CASE WHEN version = 1 THEN 1 ELSE 2 END AS method
      FROM store.resource WHERE self = %(self)s AND type = %(type)s AND id = %(id)s
    UNION ALL
    SELECT version, updated, patient, body, method
      FROM store.history WHERE self = %(self)s AND type = %(type)s AND id = %(id)s
) every) v WHERE version < %(before)s AND updated >= %(since)s
    AND updated < %(to)s AND (until IS NULL OR until > %(from)s)
ORDER BY version DESC LIMIT %(limit)s
"""
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_ALWAYS = _EARLIEST, datetime(9999, 12, 31, tzinfo=UTC)


async def history_of(
    connection: Connection, request: HistoryRequest
) -> tuple[list[Version], int | None]:
    """(versions newest first, version to go on before or None) of one resource."""
    assert request.type is not None and request.id is not None
    cursor = await connection.quick.execute(
        _OF_ONE,
        {
            "self": self_hash(request.type, request.id), "type": NUMBER[request.type],
            "id": request.id, "before": min(request.before or 2**31 - 1, 2**31 - 1),
            "since": request.since or _EARLIEST, "from": (request.at or _ALWAYS)[0], "to": (request.at or _ALWAYS)[1],
            "limit": request.count + 1,
        },
    )  # fmt: skip
    rows = await cursor.fetchall()
    more = rows[request.count - 1][0] if len(rows) > request.count else None
    return [
        Version(request.type, request.id, r[0], r[1], r[2], r[3], r[4])
        for r in rows[: request.count]
    ], more


async def history(
    connection: Connection, request: HistoryRequest, wall: Predicate
) -> tuple[list[Version], int | None]:
    """(versions newest first, event number to go on from or None) of a type or of everything.

    Read off the event feed, whose numbers give an order that new writes do not disturb.
    """
    sql, args = wall("e")
    where = [sql]
    values: list[Any] = list(args)
    if request.type is not None:
        where.append("e.type = %s::smallint")
        values.append(NUMBER[request.type])
    if request.since is not None:
        where.append("e.at >= %s")
        values.append(request.since)
    if request.at is not None:
        where.append(
            "e.at < %s AND coalesce("
            "(SELECT n.updated FROM store.resource n WHERE n.self = e.self AND n.type = e.type AND n.version = e.version + 1),"
            " (SELECT n.updated FROM store.history n WHERE n.self = e.self AND n.type = e.type AND n.version = e.version + 1),"
            " 'infinity') > %s"
        )
        values += [request.at[1], request.at[0]]
    if request.before is not None:
        where.append("e.seq < %s")
        values.append(request.before)
    cursor = await connection.quick.execute(
        "SELECT e.type, e.id, e.version, e.at, e.patient, e.method, e.seq,"
        " coalesce(h.body, r.body) FROM (SELECT * FROM store.event e WHERE "
        + " AND ".join(where)
        + " ORDER BY e.seq DESC LIMIT %s) e"
        " LEFT JOIN store.history h ON h.self = e.self AND h.type = e.type AND h.version = e.version"
        " LEFT JOIN store.resource r ON r.self = e.self AND r.type = e.type AND r.version = e.version"
        " ORDER BY e.seq DESC",
        [*values, request.count + 1],
        prepare=False,
    )
    rows = await cursor.fetchall()
    more = rows[request.count - 1][6] if len(rows) > request.count else None
    return [
        Version(NAME[r[0]], r[1], r[2], r[3], r[4], r[7], r[5]) for r in rows[: request.count]
    ], more


async def everything(
    connection: Connection,
    patient_id: str,
    wall: Predicate,
    *,
    types: tuple[str, ...] = (),
    since: datetime | None = None,
    span: tuple[datetime, datetime] | None = None,
    after: int | None = None,
    count: int = 2000,
) -> tuple[list[tuple[int, str, bytes]], int | None]:
    """(type number, id, body) of the whole patient compartment, and where to go on from.

    `span` limits to a stretch of clinical time; resources without a time always come.
    """
    me = self_hash("Patient", patient_id)
    wall_sql, wall_args = wall("r")
    where = [wall_sql]
    values: list[Any] = list(wall_args)
    if types:
        where.append("r.type = ANY(%s::smallint[])")
        values.append("{" + ",".join(str(NUMBER[t]) for t in types) + "}")
    if since is not None:
        where.append("r.updated >= %s")
        values.append(since)
    if span is not None:
        where.append(
            f"(r.type = {NUMBER['Patient']} OR r.occurred IS NULL OR r.occurred < %s AND r.occurred_to > %s)"
        )
        values += [span[1], span[0]]
    if after is not None:
        where.append("r.self > %s")
        values.append(after)
    # own rows, and rows of other records that concern the patient too: each has an index of its own
    rest = " AND ".join(where)

    def select(whose: str) -> str:
        return f"SELECT r.type, r.id, r.body, r.self FROM store.resource r WHERE {whose} AND {rest}"

    own = select("r.patient = %s")
    if after is None:
        # the others are rare: ask first whether there are any, for a sixth of the cost
        rows = await connection.fetch(
            f"({own} LIMIT %s) UNION ALL SELECT 0::smallint, NULL, NULL, NULL WHERE EXISTS"
            " (SELECT FROM store.resource x WHERE x.also @> %s::bigint[])",
            [me, *values, count + 1, f"{{{me}}}"],
        )
        if len(rows) <= count and (not rows or rows[-1][0] != 0):
            rows.sort(key=_patient_first)
            return [(r[0], r[1], r[2]) for r in rows], None
    also = select("r.also @> %s::bigint[] AND r.patient IS DISTINCT FROM %s")
    rows = await connection.fetch(
        f"({own} UNION ALL {also}) ORDER BY self LIMIT %s",
        [me, *values, f"{{{me}}}", me, *values, count + 1],
    )
    more = rows[count - 1][3] if len(rows) > count else None
    rows = rows[:count]
    rows.sort(key=_patient_first)
    return [(r[0], r[1], r[2]) for r in rows], more


def _patient_first(row: tuple[Any, ...]) -> bool:
    return bool(row[0] != NUMBER["Patient"])


_URLS = {
    kind: slot(f"{kind}.url", "uri")
    for kind in ("StructureDefinition", "ValueSet", "CodeSystem", "Questionnaire")
}


async def definitions(connection: Connection, urls: list[str]) -> list[bytes]:
    """Profiles, value sets, code systems and forms loaded into the record, by their canonical URLs."""
    tokens = ",".join(str(hash64(u) ^ s) for u in urls for s in _URLS.values())
    kinds = ",".join(str(NUMBER[k]) for k in _URLS)
    cursor = await connection.quick.execute(
        "SELECT body FROM store.other WHERE type = ANY(%s::smallint[]) AND tokens && %s::bigint[]",
        (f"{{{kinds}}}", f"{{{tokens}}}"),
        prepare=False,
    )
    return [r[0] for r in await cursor.fetchall()]
