"""Order and paging: sort keys as SQL, and a cursor that neither repeats nor skips.

A page ends with the values of its last row's keys and its number, packed into the `next` link. The
following page asks for rows beyond them. New rows and updates elsewhere cannot move a row that has not
changed, so nothing already seen comes again and nothing unseen is passed over.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec

from sammanhang.store.connection import numbers

from .compile import Query
from .parameters import Parameter, parameter
from .parse import Request, fault


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: SQL, its cast, whether descending, and whether it can be null."""

    sql: str
    cast: str
    descending: bool
    nullable: bool = True


def keys(request: Request, q: Query) -> list[Key]:
    """The sort keys of a request. Default: newest first within a patient, else the row's number."""
    found = []
    for code, descending in request.sort:
        type_name = request.types[0] if request.types else "Resource"
        p = parameter(type_name, code)
        assert p is not None
        found.append(_key(p, descending))
    if not request.sort and q.patient:
        found.append(Key("r.occurred", "timestamptz", True))
    return found


def _key(p: Parameter, descending: bool) -> Key:
    if p.code == "_id":
        return Key("r.id", "text", descending, False)
    if p.code == "_lastUpdated":
        return Key("r.updated", "timestamptz", descending, False)
    if p.kind == "date" and p.principal:
        return Key("r.occurred", "timestamptz", descending)
    slots = numbers(s.number for s in p.slots)
    best = "max" if descending else "min"
    side = {
        "string": ("string", "folded", "text"), "date": ("date", "low", "timestamptz"),
        "quantity": ("quantity", "low", "float8"), "number": ("quantity", "low", "float8"),
    }.get(p.kind)  # fmt: skip
    if side:
        name, column, cast = side
        return Key(
            f"(SELECT {best}(x.{column}) FROM store.{name} x WHERE x.self = r.self"
            f" AND x.slot = ANY('{slots}'::bigint[]))",
            cast,
            descending,
        )
    path = p.slots[0].jsonpath.split("|$")[0]
    tail = {
        "CodeableConcept": ".coding.code", "Coding": ".code", "Identifier": ".value",
        "Reference": ".reference", "ContactPoint": ".value",
    }.get(p.slots[0].types[0], "")  # fmt: skip
    literal = (path + tail).replace("'", "''").replace("%", "%%")
    return Key(
        f"(jsonb_path_query_first(convert_from(r.body, 'UTF8')::jsonb, '{literal}'::jsonpath) #>> '{{}}')"
        ' COLLATE "C"',
        "text",
        descending,
    )


def order(found: list[Key]) -> str:
    """The ORDER BY list, the row's number last."""
    parts = [f"{k.sql} {'DESC' if k.descending else 'ASC'} NULLS LAST" for k in found]
    return ", ".join([*parts, "r.self"])


def beyond(found: list[Key], cursor: list[Any]) -> tuple[str, list[Any]]:
    """SQL for "after this row in the order"."""
    *values, number = cursor
    ways: list[str] = []
    args: list[Any] = []
    for i in range(len(found) + 1):
        tests: list[str] = []
        for k, v in zip(found[:i], values[:i], strict=True):
            if v is None:
                tests.append(f"{k.sql} IS NULL")
            else:
                tests.append(f"{k.sql} = %s::{k.cast}")
                args.append(v)
        if i == len(found):
            tests.append("r.self > %s")
            args.append(number)
        else:
            k, v = found[i], values[i]
            if v is None:
                continue_args = len(args) - sum(x is not None for x in values[:i])
                del args[continue_args:]
                continue
            mark = "<" if k.descending else ">"
            either = f"{k.sql} {mark} %s::{k.cast}"
            args.append(v)
            tests.append(f"({either} OR {k.sql} IS NULL)" if k.nullable else either)
        ways.append("(" + " AND ".join(tests) + ")")
    return "(" + " OR ".join(ways) + ")", args


_ENDLESS = (float("inf"), float("-inf"))  # JSON has no word for them


def _mark(found: list[Key]) -> int:
    """Tells one order from another, so that a cursor is used only with its own."""
    return crc32(order(found).encode())


def pack(found: list[Key], values: list[Any]) -> str:
    """A cursor as text for a URL."""
    plain = [
        v.isoformat() if isinstance(v, datetime) else str(v) if v in _ENDLESS else v for v in values
    ]
    data = msgspec.json.encode([_mark(found), *plain])
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpack(text: str, found: list[Key]) -> list[Any]:
    """The cursor in a `next` link; raises `Invalid` when it was not made by `pack` for this order."""
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(values, list) or len(values) != len(found) + 2:
            raise ValueError
        if values.pop(0) != _mark(found):
            raise ValueError
        if not isinstance(values[-1], int) or not -(2**63) <= values[-1] < 2**63:
            raise ValueError
        for k, v in zip(found, values, strict=False):
            if v is None:
                continue
            if k.cast == "timestamptz":
                datetime.fromisoformat(v)
            elif v in ("inf", "-inf") and k.cast == "float8":
                float(v)
            elif not isinstance(v, str if k.cast == "text" else (int, float)):
                raise ValueError
    except (ValueError, TypeError, msgspec.MsgspecError):
        raise fault("_after", "Sidlänken är trasig.", "The page link is broken.") from None
    return values
