"""One criterion of each kind of parameter as SQL on a resource row."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from sammanhang.fhir.indexing import IDENTIFIER, cut, fold, hash64, mix, self_hash
from sammanhang.store.connection import numbers

from .parameters import Parameter, Slot
from .parse import Criterion, fault, split, unescape
from .values import (
    date_condition,
    date_value,
    number_condition,
    number_value,
    quantity_condition,
    reference_hashes,
    token_hash,
)


class Kinds:
    """A method for each kind of parameter: token, reference, string, uri, date, number, quantity and
    composite. `narrowed` tells that a patient narrows the rows, so that no index is to serve the test.
    """

    base: str = ""
    expand: Callable[[str, str], list[int] | None] | None = None

    def _id(self, c: Criterion, r: str, types: tuple[str, ...]) -> tuple[str, list[Any]]:
        ids = [unescape(v) for v in c.values]
        if not types:
            sql, args = f"{r}.id = ANY(%s)", list[Any]([ids])
        else:
            selves = numbers(self_hash(t, i) for t in types for i in ids)
            sql, args = f"({r}.self = ANY(%s::bigint[]) AND {r}.id = ANY(%s))", [selves, ids]
        return (f"NOT {sql}" if c.modifier == "not" else sql), args

    @staticmethod
    def _tokens(hashes: list[int], r: str, narrowed: bool) -> tuple[str, list[Any]]:
        """Any of these numbers among the row's."""
        if not hashes:
            return "false", []
        if narrowed:
            if len(hashes) <= 8:
                return (
                    "(" + " OR ".join(f"%s::bigint = ANY({r}.tokens)" for _ in hashes) + ")",
                    list(hashes),
                )
            return f"({r}.tokens || '{{}}'::bigint[]) && %s::bigint[]", [numbers(hashes)]
        if len(hashes) == 1:
            return f"{r}.tokens @> %s::bigint[]", [numbers(hashes)]
        return f"{r}.tokens && %s::bigint[]", [numbers(hashes)]

    def _token(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        p = c.parameter
        if c.modifier == "text":
            return self._text(c, r)
        hashes: list[int] = []
        for value in c.values:
            if c.modifier in ("in", "not-in", "above", "below"):
                found = self.expand(c.modifier, unescape(value)) if self.expand else None
                if found is None:
                    raise fault(
                        f"{p.code}:{c.modifier}",
                        f"”{value[:120]}” går inte att räkna upp här.",
                        f"'{value[:120]}' cannot be enumerated here.",
                        "not-supported",
                    )
                values = found
            elif c.modifier == "of-type":
                parts = split(value, "|")
                if len(parts) != 3 or not parts[1] or not parts[2]:
                    raise fault(
                        f"{p.code}:of-type",
                        "Skrivs system|kod|värde.",
                        "Written system|code|value.",
                    )
                values = [
                    hash64(f"t|{unescape(parts[0])}|{unescape(parts[1])}|{unescape(parts[2])}")
                ]
            else:
                values = [token_hash(value)]
            hashes += [v ^ s.number for v in values for s in p.slots]
        sql, args = self._tokens(hashes, r, narrowed or c.modifier in ("not", "not-in"))
        if c.modifier in ("not", "not-in"):
            return f"NOT ({sql})", args
        return sql, args

    def _text(self, c: Criterion, r: str) -> tuple[str, list[Any]]:
        parts, args = [], []
        for value in c.values:
            pattern = json.dumps("^" + _alike(unescape(value)), ensure_ascii=False)
            for s in c.parameter.slots:
                for path in s.jsonpath.split("|$"):
                    path = path if path.startswith("$") else "$" + path
                    for tail in (".text", ".coding.display", ".display", ".type.text"):
                        parts.append(f"jsonb_path_exists({_jsonb(r)}, %s::jsonpath)")
                        args.append(f'{path}{tail} ? (@ like_regex {pattern} flag "i")')
        return "(" + " OR ".join(parts) + ")", args

    @staticmethod
    def _paths(p: Parameter) -> list[str]:
        return [
            path if path.startswith("$") else "$" + path
            for s in p.slots
            for path in s.jsonpath.split("|$")
        ]

    def _missing(self, c: Criterion, r: str) -> tuple[str, list[Any]]:
        p = c.parameter
        if p.code in ("_id", "_lastUpdated"):
            return ("false" if c.values == ("true",) else "true"), []
        slots = [s for part in p.parts if isinstance(part[0], tuple) for _, ss in part for s in ss]
        paths = self._paths(p) or [
            path if path.startswith("$") else "$" + path
            for s in slots
            for path in s.jsonpath.split("|$")
        ]
        there = (
            " OR ".join(f"jsonb_path_exists({_jsonb(r)}, %s::jsonpath)" for _ in paths) or "false"
        )
        return (f"NOT ({there})" if c.values == ("true",) else f"({there})"), list(paths)

    def _reference(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        p = c.parameter
        hashes: list[int] = []
        if c.modifier == "identifier":
            hashes = [token_hash(v) ^ s.number ^ IDENTIFIER for v in c.values for s in p.slots]
        else:
            targets = (c.modifier,) if c.modifier else p.targets
            for value in c.values:
                text = f"{c.modifier}/{value}" if c.modifier and "/" not in value else value
                for h in reference_hashes(p.code, text, targets, self.base):
                    hashes += [h ^ s.number for s in p.slots]
        return self._tokens(hashes, r, narrowed)

    def _string(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        parts, args = [], []
        for value in c.values:
            text = cut(unescape(value))
            if c.modifier == "exact":
                parts.append("(s.folded = %s AND s.value = %s)")
                args += [cut(fold(text)), text]
            elif not fold(text):
                raise fault(c.parameter.code, "Värdet är tomt.", "The value is empty.")
            elif c.modifier == "contains":
                parts.append("s.folded LIKE %s")
                args.append("%" + _like(fold(text)) + "%")
            else:
                parts.append("s.folded LIKE %s")
                args.append(_like(fold(text)) + "%")
        return self._side("string", "s", c.parameter.slots, parts, args, r)

    def _uri(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        if c.modifier in ("below", "above") and c.parameter.code in ("_profile", "_source"):
            return self._uri_in_body(c, r)
        if c.modifier == "below":
            parts = ["(s.folded = %s OR s.folded LIKE %s)"] * len(c.values)
            args = [
                a
                for v in c.values
                for a in (unescape(v), _like(unescape(v).rstrip("/") + "/") + "%")
            ]
            return self._side("string", "s", c.parameter.slots, parts, args, r)
        if c.modifier == "above":
            above = [u for v in c.values for u in _above(unescape(v))]
            return self._side("string", "s", c.parameter.slots, ["s.folded = ANY(%s)"], [above], r)
        hashes = [hash64(unescape(v)) ^ s.number for v in c.values for s in c.parameter.slots]
        return self._tokens(hashes, r, narrowed)

    def _uri_in_body(self, c: Criterion, r: str) -> tuple[str, list[Any]]:
        """:below and :above of what only `tokens` holds; read off the resource itself."""
        parts: list[str] = []
        args: list[Any] = []
        for path in self._paths(c.parameter):
            for v in map(unescape, c.values):
                test = "u.v = %s OR u.v LIKE %s" if c.modifier == "below" else "u.v = ANY(%s)"
                parts.append(
                    f"EXISTS (SELECT FROM (SELECT split_part(x #>> '{{}}', '|', 1)"
                    f" FROM jsonb_path_query({_jsonb(r)}, %s::jsonpath) x) u(v) WHERE {test})"
                )
                args.append(path)
                args += (
                    [v, _like(v.rstrip("/") + "/") + "%"] if c.modifier == "below" else [_above(v)]
                )
        return "(" + " OR ".join(parts) + ")", args

    def _date(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        p = c.parameter
        values = [date_value(p.code, v) for v in c.values]
        side_sql, side_args = [], []
        for v in values:
            sql, args = date_condition(v, "d.low", "d.high")
            side_sql.append(sql)
            side_args += args
        side = self._side("date", "d", p.slots, side_sql, side_args, r)
        if not p.principal:
            return side
        row_sql, row_args = any_of(
            [date_condition(v, f"{r}.occurred", f"{r}.occurred_to") for v in values]
        )
        if len(p.slots) == 1 and not p.slots[0].many:
            return row_sql, row_args
        return f"({row_sql} OR {side[0]})", [*row_args, *side[1]]

    def _number(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        sql, args = [], []
        for v in c.values:
            one, more = number_condition(number_value(c.parameter.code, v), "q.low", "q.high")
            sql.append(one)
            args += more
        return self._side("quantity", "q", c.parameter.slots, sql, args, r)

    def _quantity(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        sql: list[str] = []
        args: list[Any] = []
        for v in c.values:
            one, more = quantity_condition(c.parameter.code, v, "q")
            sql.append(f"({one})")
            args += more
        return self._side("quantity", "q", c.parameter.slots, sql, args, r)

    @staticmethod
    def _side(
        name: str, alias: str, slots: tuple[Slot, ...], tests: list[str], args: list[Any], r: str
    ) -> tuple[str, list[Any]]:
        """A condition on a side table: some row of these slots meets any of the tests."""
        a = alias
        which = f"{a}.slot = %s" if len(slots) == 1 else f"{a}.slot = ANY(%s::bigint[])"
        value = slots[0].number if len(slots) == 1 else numbers(s.number for s in slots)
        return (
            f"{r}.self IN (SELECT {a}.self FROM store.{name} {a} WHERE {which} AND ({' OR '.join(tests)}))",
            [value, *args],
        )

    def _composite(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        p = c.parameter
        whole: list[str] = []
        args: list[Any] = []
        for value in c.values:
            pieces = split(value, "$")
            for part in p.parts:
                if isinstance(part[0], tuple):
                    if len(pieces) != len(part):
                        raise fault(p.code, "Delarna skiljs med $.", "Components are parted by $.")
                    tests = []
                    for piece, (kind, slots) in zip(pieces, part, strict=True):
                        inner = Criterion(Parameter(p.code, kind, slots), (piece,))
                        sql, more = getattr(self, "_" + kind)(inner, r, narrowed)
                        tests.append(sql)
                        args += more
                    whole.append("(" + " AND ".join(tests) + ")")
                else:
                    sql, more = self._together(p.code, part[0], part[1], pieces, r, narrowed)
                    whole.append(sql)
                    args += more
        return "(" + " OR ".join(whole) + ")", args

    def _together(
        self,
        code: str,
        slot: int,
        kinds: tuple[str, ...],
        pieces: list[str],
        r: str,
        narrowed: bool,
    ) -> tuple[str, list[Any]]:
        """Values that must stand in the same element: found under the first value's own slot."""
        if len(pieces) != len(kinds):
            raise fault(code, "Delarna skiljs med $.", "Components are parted by $.")
        first = token_hash(pieces[0])
        tests: list[str] = []
        args: list[Any] = []
        for place, (kind, piece) in enumerate(zip(kinds[1:], pieces[1:], strict=True)):
            here = slot ^ mix(first, place)
            at = (Slot("", "", (), True, here),)
            if kind in ("token", "reference"):
                values = (
                    [token_hash(piece)]
                    if kind == "token"
                    else reference_hashes(code, piece, ("Resource",), self.base)
                )
                sql, more = self._tokens([mix(here, v) for v in values], r, narrowed)
            else:
                inner = Criterion(Parameter(code, kind, at), (piece,))
                sql, more = getattr(self, "_" + kind)(inner, r, narrowed)
            tests.append(sql)
            args += more
        return "(" + " AND ".join(tests) + ")", args


def any_of(parts: list[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    return "(" + " OR ".join(p[0] for p in parts) + ")", [a for p in parts for a in p[1]]


def _above(uri: str) -> list[str]:
    """The URI and those it lies below."""
    pieces = uri.split("/")
    return ["/".join(pieces[:n]) for n in range(3, len(pieces) + 1)] or [uri]


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@cache
def _variants() -> dict[str, str]:
    """Each letter with those that fold to it: a → aàáâãäå…"""
    found: dict[str, str] = {}
    for number in range(0xC0, 0x250):
        folded = fold(chr(number))
        if len(folded) == 1 and folded != chr(number):
            found[folded] = found.get(folded, folded) + chr(number)
    return found


def _alike(text: str) -> str:
    """A pattern for text in any case and with any accents, as string search compares it."""
    return "".join(
        "\\s+" if c == " " else f"[{_variants().get(c, c)}]" if c.isalnum() else "\\" + c
        for c in fold(text)
    )


def _jsonb(r: str) -> str:
    return f"convert_from({r}.body, 'UTF8')::jsonb"
