"""Runs a search: the page, its includes, its total, and the way to the next page."""

from __future__ import annotations

from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.fhir.indexing import self_hash
from sammanhang.store.connection import numbers
from sammanhang.store.database import Connection
from sammanhang.store.types import NAME, NUMBER, table

from .compile import Compiler, Predicate, Query
from .include import include
from .page import COLUMNS, Hit, Page
from .parse import Request
from .sort import beyond, keys, order, pack, unpack

# A first page that is not the last counts no further than this unless asked to.
COUNT_AT_MOST = 1000


async def run(
    connection: Connection,
    request: Request,
    wall: Predicate,
    *,
    beside: Predicate | None = None,
    base: str = "",
    expand: Any = None,
    max_includes: int = 1000,
    compartment: str | None = None,
) -> Page:
    """The page a request asks for, in one query, and one more each for total and includes.

    `wall` is for what matches, `beside` for what is included with it when that may be more.
    `compartment` is the id of a patient the matches must belong to. Raises `Invalid` for a value that cannot be read, `TooCostly` when includes exceed their limit.
    """
    compiler = Compiler(wall, base, expand)
    q = compiler.query(request)
    for ids in request.lists:
        found_in = {m for i in ids for m in await _members(connection, wall, i, base)}
        q.add("r.self = ANY(%s::bigint[])", numbers(found_in))
    if compartment is not None:
        me = self_hash("Patient", compartment)
        q.add("(r.patient = %s OR r.also @> %s::bigint[])", me, numbers([me]))
    source = table(request.types[0]) if len(request.types) == 1 else "store.resource"
    page = Page()
    if request.summary == "count":
        page.total = await _count(connection, source, q, None)
        return page
    found = keys(request, q)
    extra = "".join(f", {k.sql}" for k in found)
    where, args = q.where, list(q.arguments)
    if request.after:
        sql, more = beyond(found, unpack(request.after, found))
        where, args = f"{where} AND {sql}", args + more
    sql = (
        f"SELECT {COLUMNS}{extra} FROM {source} r WHERE {where}"
        f" ORDER BY {order(found)} LIMIT {request.count + 1}"
    )
    rows = await connection.fetch(sql, args, keep=q.patient)
    more_rows = len(rows) > request.count
    rows = rows[: request.count]
    page.hits = [Hit(NAME[r[0]], *r[1:7]) for r in rows]
    if more_rows:
        page.next = pack(found, [*rows[-1][7:], rows[-1][4]])
    if request.total != "none":
        if not more_rows and not request.after:
            page.total = len(rows)
        elif request.total in ("accurate", "estimate"):
            page.total = await _count(connection, source, q, None)
        elif not request.after:
            page.total = await _count(connection, source, q, COUNT_AT_MOST)
    if request.includes:
        await include(connection, request, beside or wall, page, max_includes, base)
    return page


async def _count(connection: Connection, source: str, q: Query, limit: int | None) -> int | None:
    """How many match; with a limit, None when there are more than that."""
    if limit is None:
        sql = f"SELECT count(*) FROM {source} r WHERE {q.where}"
    else:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} r WHERE {q.where} LIMIT {limit + 1}) x"
    ((n,),) = await connection.fetch(sql, q.arguments, keep=q.patient)
    return None if limit is not None and n > limit else n


async def _members(connection: Connection, wall: Predicate, list_id: str, base: str) -> list[int]:
    """The numbers of a List's members; none when the list may not be seen."""
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT r.body, r.id FROM {table('List')} r WHERE r.self = %s AND r.type = %s AND {sql}",
        [self_hash("List", list_id), NUMBER["List"], *args],
    )
    row = await cursor.fetchone()
    if row is None or row[1] != list_id:
        return []
    found = []
    for e in raw(row[0]).get("entry", []):
        reference = e.get("item", {}).get("reference", "").removeprefix(base or "\n")
        if "/" in reference and ":" not in reference and not e.get("deleted"):
            found.append(self_hash(*reference.split("/")[:2]))
    return found
