"""Runs a search: the page, its includes, its total, and the way to the next page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.errors import TooCostly
from sammanhang.store.database import Connection
from sammanhang.store.types import NAME, NUMBER, table

from .compile import Compiler, Predicate, Query, numbers
from .parameters import offered, parameter
from .parse import Include, Request
from .sort import beyond, keys, order, pack, unpack

# A first page that is not the last counts no further than this unless asked to.
COUNT_AT_MOST = 1000
DEEPEST_ITERATION = 6


@dataclass(slots=True)
class Hit:
    """One row of an answer. `mode` is match or include."""

    type: str
    id: str
    version: int
    updated: datetime
    self: int
    patient: int | None
    body: bytes
    mode: str = "match"


@dataclass
class Page:
    """An answer: matches, included rows, total when known, cursor of the next page."""

    hits: list[Hit] = field(default_factory=list)
    total: int | None = None
    next: str | None = None


_COLUMNS = "r.type, r.id, r.version, r.updated, r.self, r.patient, r.body"


async def run(
    connection: Connection,
    request: Request,
    wall: Predicate,
    *,
    base: str = "",
    expand: Any = None,
    max_includes: int = 1000,
) -> Page:
    """The page a request asks for, in one query, and one more each for total and includes.

    Raises `Invalid` for a value that cannot be read, `TooCostly` when includes exceed their limit.
    """
    compiler = Compiler(wall, base, expand)
    q = compiler.query(request)
    for list_id in request.lists:
        q.add("r.self = ANY(%s::bigint[])", numbers(await _members(connection, wall, list_id)))
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
        f"SELECT {_COLUMNS}{extra} FROM {source} r WHERE {where}"
        f" ORDER BY {order(found)} LIMIT {request.count + 1}"
    )
    cursor = connection.quick
    await cursor.execute(sql, args, prepare=q.patient)
    rows = await cursor.fetchall()
    more_rows = len(rows) > request.count
    rows = rows[: request.count]
    page.hits = [Hit(NAME[r[0]], *r[1:7]) for r in rows]
    if more_rows:
        page.next = pack([*rows[-1][7:], rows[-1][4]])
    if request.total != "none":
        if not more_rows and not request.after:
            page.total = len(rows)
        elif request.total in ("accurate", "estimate"):
            page.total = await _count(connection, source, q, None)
        elif not request.after:
            page.total = await _count(connection, source, q, COUNT_AT_MOST)
    if request.includes:
        await _include(connection, request, wall, page, max_includes)
    return page


async def _count(connection: Connection, source: str, q: Query, limit: int | None) -> int | None:
    """How many match; with a limit, None when there are more than that."""
    if limit is None:
        sql = f"SELECT count(*) FROM {source} r WHERE {q.where}"
    else:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} r WHERE {q.where} LIMIT {limit + 1}) x"
    cursor = await connection.quick.execute(sql, q.arguments, prepare=q.patient)
    row = await cursor.fetchone()
    n = int(row[0]) if row else 0
    return None if limit is not None and n > limit else n


async def _members(connection: Connection, wall: Predicate, list_id: str) -> list[int]:
    """The numbers of a List's members; none when the list may not be seen."""
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT r.body, r.id FROM {table('List')} r WHERE r.self = %s AND r.type = %s AND {sql}",
        [self_hash("List", list_id), NUMBER["List"], *args],
    )
    row = await cursor.fetchone()
    if row is None or row[1] != list_id:
        return []
    references = [e.get("item", {}).get("reference", "") for e in raw(row[0]).get("entry", [])]
    return [self_hash(*r.split("/")[:2]) for r in references if r.count("/") >= 1 and ":" not in r]


# includes


async def _include(
    connection: Connection, request: Request, wall: Predicate, page: Page, limit: int
) -> None:
    """Adds what the matches refer to, and what refers to them; `:iterate` goes on from there."""
    seen = {h.self for h in page.hits}
    fresh = page.hits
    for step in range(DEEPEST_ITERATION):
        rules = [i for i in request.includes if step == 0 or i.iterate]
        if not rules or not fresh:
            return
        wanted: set[int] = set()
        for rule in rules:
            if not rule.reverse:
                wanted |= {self_hash(k, i) for k, i in _targets(fresh, rule)}
        added: list[Hit] = []
        if wanted - seen:
            added += await _rows(connection, wall, wanted - seen, limit - len(seen))
        for rule in rules:
            if rule.reverse:
                added += await _referring(connection, wall, fresh, rule, limit - len(seen))
        fresh = []
        for h in added:
            if h.self not in seen:
                seen.add(h.self)
                h.mode = "include"
                fresh.append(h)
        page.hits = page.hits + fresh
        if len(seen) > limit + request.count:
            raise _too_many(limit)


def _too_many(limit: int) -> TooCostly:
    return TooCostly(
        f"The answer would include more than {limit} further resources; ask for fewer.",
        f"Svaret skulle ta med mer än {limit} ytterligare resurser; be om färre.",
    )


def _targets(hits: Iterable[Hit], rule: Include) -> set[tuple[str, str]]:
    """(type, id) of what the hits refer to by the rule's parameter."""
    found: set[tuple[str, str]] = set()
    for h in hits:
        if rule.source not in ("*", h.type):
            continue
        codes = (
            [c for c in offered(h.type) if (p := parameter(h.type, c)) and p.kind == "reference"]
            if rule.code == "*"
            else [rule.code]
        )
        document = raw(h.body)
        for code in codes:
            p = parameter(h.type, code)
            if p is None:
                continue
            for slot in p.slots:
                for reference in references(document, slot.jsonpath):
                    kind, _, id = reference.partition("/")
                    if not id or ":" in reference or kind not in NUMBER:
                        continue
                    if rule.target in (None, kind):
                        found.add((kind, id.split("/")[0]))
    return found


def references(document: Any, jsonpath: str) -> list[str]:
    """The literal references at a slot's path of a JSON document."""
    found: list[str] = []
    for path in jsonpath.split("|"):
        values = [document]
        for step in path.removeprefix("$").strip(".").split("."):
            name = step.split(" ")[0].split("[")[0]
            if not name:
                continue
            following = []
            for v in values:
                for item in v if isinstance(v, list) else [v]:
                    if isinstance(item, dict) and name in item:
                        following.append(item[name])
            values = following
        for v in values:
            for item in v if isinstance(v, list) else [v]:
                if isinstance(item, dict) and isinstance(item.get("reference"), str):
                    found.append(item["reference"])
    return found


async def _rows(connection: Connection, wall: Predicate, selves: set[int], limit: int) -> list[Hit]:
    if limit < 0 or len(selves) > limit:
        raise _too_many(limit)
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT {_COLUMNS} FROM store.resource r WHERE r.self = ANY(%s::bigint[]) AND {sql}",
        [numbers(selves), *args],
    )
    return [Hit(NAME[r[0]], *r[1:]) for r in await cursor.fetchall()]


async def _referring(
    connection: Connection, wall: Predicate, hits: list[Hit], rule: Include, limit: int
) -> list[Hit]:
    if rule.target is not None:
        hits = [h for h in hits if h.type == rule.target]
    p = parameter(rule.source, rule.code)
    if not hits or p is None:
        return []
    tokens = numbers(h.self ^ s.number for h in hits for s in p.slots)
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT {_COLUMNS} FROM {table(rule.source)} r WHERE r.type = %s AND"
        f" r.tokens && %s::bigint[] AND {sql} LIMIT %s",
        [NUMBER[rule.source], tokens, *args, max(limit, 0) + 1],
        prepare=False,
    )
    rows = await cursor.fetchall()
    if len(rows) > limit:
        raise _too_many(limit)
    return [Hit(NAME[r[0]], *r[1:]) for r in rows]
