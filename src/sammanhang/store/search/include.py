"""`_include` and `_revinclude`: what the matches refer to, and what refers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.fhir.indexing import hash64, self_hash, slot
from sammanhang.kernel.errors import TooCostly
from sammanhang.store.connection import numbers
from sammanhang.store.database import Connection
from sammanhang.store.types import NAME, NUMBER, table

from .compile import Predicate
from .page import COLUMNS, Hit, Page
from .parameters import Parameter, offered, parameter
from .parse import Include, Request

DEEPEST_ITERATION = 6
_FILTER = re.compile(r" \? \([^()]*\)|\[[^\]]*\]")


async def include(
    connection: Connection, request: Request, wall: Predicate, page: Page, limit: int, base: str
) -> None:
    """Adds what the matches refer to, and what refers to them; `:iterate` goes on from there.

    Raises `TooCostly` when that would be more than `limit`.
    """
    seen = {h.self for h in page.hits}
    most = limit + len(seen)
    fresh = page.hits
    for step in range(DEEPEST_ITERATION):
        rules = [i for i in request.includes if step == 0 or i.iterate]
        if not rules or not fresh:
            return
        wanted: set[int] = set()
        urls: set[int] = set()
        for rule in rules:
            if not rule.reverse:
                targets, definitions = _targets(fresh, rule, base)
                wanted |= {self_hash(k, i) for k, i in targets}
                urls |= definitions
        added: list[Hit] = []
        if wanted - seen:
            added += await _rows(connection, wall, wanted - seen, most - len(seen))
        if urls:
            added += await _defined(connection, wall, urls, most - len(seen))
        for rule in rules:
            if rule.reverse:
                added += await _referring(connection, wall, fresh, rule, limit, seen)
        fresh = []
        for h in added:
            if h.self not in seen:
                seen.add(h.self)
                h.mode = "include"
                fresh.append(h)
        page.hits = page.hits + fresh
        if len(seen) > most:
            raise _too_many(limit)


def _too_many(limit: int) -> TooCostly:
    return TooCostly(
        f"The answer would include more than {limit} further resources; ask for fewer.",
        f"Svaret skulle ta med mer än {limit} ytterligare resurser; be om färre.",
    )


def _references(type_name: str, code: str) -> list[Parameter]:
    """The reference parameter `code` of a type, or all of them for `*`."""
    codes = offered(type_name) if code == "*" else (code,)
    found = [parameter(type_name, c) for c in codes]
    return [p for p in found if p is not None and p.kind == "reference"]


def _targets(
    hits: Iterable[Hit], rule: Include, base: str
) -> tuple[set[tuple[str, str]], set[int]]:
    """(type, id) of what the hits refer to by the rule's parameter, and search numbers of
    definitions they name by URL."""
    found: set[tuple[str, str]] = set()
    urls: set[int] = set()
    for h in hits:
        if rule.source not in ("*", h.type):
            continue
        document = raw(h.body)
        for p in _references(h.type, rule.code):
            kinds = NUMBER if "Resource" in p.targets else p.targets
            for s in p.slots:
                for text in references(document, s.jsonpath):
                    reference = text.removeprefix(base) if base else text
                    kind, _, id = reference.partition("/")
                    if ":" in reference:
                        urls |= {
                            hash64(reference.split("|")[0]) ^ slot(f"{t}.url", "uri")
                            for t in (p.targets if rule.target is None else (rule.target,))
                        }
                    elif id and kind in kinds and rule.target in (None, kind):
                        found.add((kind, id.split("/")[0]))
    return found, urls


def references(document: Any, jsonpath: str) -> list[str]:
    """The literal references, or canonical URLs, at a slot's path of a JSON document."""
    found: list[str] = []
    for path in jsonpath.split("|$"):
        values = [document]
        for name in _FILTER.sub("", path).removeprefix("$").strip(".").split("."):
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
                elif isinstance(item, str):
                    found.append(item)
    return found


async def _rows(connection: Connection, wall: Predicate, selves: set[int], limit: int) -> list[Hit]:
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT {COLUMNS} FROM store.resource r WHERE r.self = ANY(%s::bigint[]) AND {sql} LIMIT %s",
        [numbers(selves), *args, max(limit, 0) + 1],
    )
    return [Hit(NAME[r[0]], *r[1:]) for r in await cursor.fetchall()]


async def _defined(
    connection: Connection, wall: Predicate, urls: set[int], limit: int
) -> list[Hit]:
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT {COLUMNS} FROM store.other r WHERE r.tokens && %s::bigint[] AND {sql} LIMIT %s",
        [numbers(urls), *args, max(limit, 0) + 1],
        prepare=False,
    )
    return [Hit(NAME[r[0]], *r[1:]) for r in await cursor.fetchall()]


async def _referring(
    connection: Connection,
    wall: Predicate,
    hits: list[Hit],
    rule: Include,
    limit: int,
    seen: set[int],
) -> list[Hit]:
    if rule.target is not None:
        hits = [h for h in hits if h.type == rule.target]
    tokens: set[int] = set()
    for p in _references(rule.source, rule.code):
        mine = [h for h in hits if h.type in p.targets or "Resource" in p.targets]
        tokens |= {h.self ^ s.number for h in mine for s in p.slots}
        if any("Reference" not in s.types for s in p.slots):
            tokens |= {
                hash64(url) ^ s.number
                for h in mine
                if isinstance(url := raw(h.body).get("url"), str)
                for s in p.slots
            }
    if not tokens:
        return []
    sql, args = wall("r")
    cursor = await connection.quick.execute(
        f"SELECT {COLUMNS} FROM {table(rule.source)} r WHERE r.type = %s AND"
        f" r.tokens && %s::bigint[] AND {sql} LIMIT %s",
        [NUMBER[rule.source], numbers(tokens), *args, limit + len(seen) + 1],
        prepare=False,
    )
    return [Hit(NAME[r[0]], *r[1:]) for r in await cursor.fetchall()]
