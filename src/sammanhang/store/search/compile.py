"""A search request → SQL on the resource table.

Two shapes decide the plan. With a patient, everything else is a filter on that patient's few rows, so
token tests are written so that no index serves them (`= ANY`). Without one, token tests are the index
condition (`@>`, `&&` under GIN), and the statement is planned anew each time, because only its values
tell how selective it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sammanhang.fhir.indexing import fold, hash64, mix, self_hash
from sammanhang.store.types import NUMBER, table

from .parameters import COMMON_KINDS, Parameter, Slot, parameter, record_slot
from .parse import Criterion, Request, fault, split, unescape
from .values import (
    date_condition,
    date_value,
    instant_condition,
    number_condition,
    number_value,
    quantity_condition,
    reference_hashes,
    token_hash,
)

Predicate = Callable[[str], tuple[str, list[Any]]]  # the wall, on an alias


@dataclass
class Query:
    """Conditions on alias `r` with their arguments, and whether a patient narrows them."""

    conditions: list[str] = field(default_factory=list)
    arguments: list[Any] = field(default_factory=list)
    patient: bool = False

    def add(self, sql: str, *args: Any) -> None:
        self.conditions.append(sql)
        self.arguments.extend(args)

    @property
    def where(self) -> str:
        return " AND ".join(self.conditions) or "true"


def numbers(values: Any) -> str:
    return "{" + ",".join(map(str, values)) + "}"


class Compiler:
    """Compiles one request. `wall` gives the access predicate for an alias; `expand` the numbers of
    the codes of a value set or hierarchy (terminology), when it can be enumerated."""

    def __init__(
        self,
        wall: Predicate,
        base: str = "",
        expand: Callable[[str, str], list[int] | None] | None = None,
    ) -> None:
        self.wall = wall
        self.base = base
        self.expand = expand
        self._alias = 0

    def query(self, request: Request) -> Query:
        """The conditions of a request, type and wall included."""
        q = Query()
        if len(request.types) == 1:
            q.add("r.type = %s::smallint", NUMBER[request.types[0]])
        elif request.types:
            q.add("r.type = ANY(%s::smallint[])", numbers(NUMBER[t] for t in request.types))
        sql, args = self.wall("r")
        if sql != "true":
            q.add(sql, *args)
        q.patient = any(self._narrows(c, request) for c in request.criteria)
        for c in request.criteria:
            sql, args = self.criterion(c, "r", request.types, q.patient)
            q.add(sql, *args)
        return q

    def _narrows(self, c: Criterion, request: Request) -> bool:
        if c.chain or c.has or c.modifier not in (None, "Patient") or len(request.types) != 1:
            return False
        return self._record(c, request.types[0]) is not None

    def _record(self, c: Criterion, type_name: str) -> list[int] | None:
        """The patients' numbers, when the criterion names whose record it is."""
        p = c.parameter
        mine = record_slot(type_name)
        if p.kind != "reference" or mine is None or [s.name for s in p.slots] != [mine]:
            return None
        found = []
        for value in c.values:
            text = unescape(value).removeprefix(self.base) if self.base else unescape(value)
            if text.startswith("Patient/"):
                text = text[8:]
            elif p.targets != ("Patient",) and c.modifier != "Patient":
                return None
            if "/" in text or ":" in text:
                return None
            found.append(self_hash("Patient", text))
        return found

    # one criterion

    def criterion(
        self, c: Criterion, r: str, types: tuple[str, ...], narrowed: bool
    ) -> tuple[str, list[Any]]:
        """SQL for one criterion on alias `r`."""
        if len(types) > 1 and _differs(c):
            return self._by_type(c, r, types)
        if c.chain:
            return self._chain(c, r, narrowed)
        if c.has:
            return self._has(c, r, types)
        type_name = types[0] if types else c.owner
        if c.modifier == "missing":
            return self._missing(c, r)
        if c.parameter.code == "_id":
            return self._id(c, r, types)
        if c.parameter.code == "_lastUpdated":
            return _any(
                [instant_condition(date_value("_lastUpdated", v), f"{r}.updated") for v in c.values]
            )
        if not narrowed or c.parameter.kind == "reference":
            patients = self._record(c, type_name) if c.modifier in (None, "Patient") else None
            if patients is not None and len(types) == 1:
                if len(patients) == 1:
                    return f"{r}.patient = %s", patients
                return f"{r}.patient = ANY(%s::bigint[])", [numbers(patients)]
        return getattr(self, "_" + c.parameter.kind)(c, r, narrowed)  # type: ignore[no-any-return]

    def _by_type(self, c: Criterion, r: str, types: tuple[str, ...]) -> tuple[str, list[Any]]:
        """A parameter that each of several types has in its own way."""
        parts: list[tuple[str, list[Any]]] = []
        for name in types:
            one = c
            if c.chain:
                first = parameter(name, c.chain[0][0].code)
                assert first is not None
                one = replace(c, chain=((first, c.chain[0][1]), *c.chain[1:]))
            else:
                own = parameter(name, c.parameter.code)
                assert own is not None
                one = replace(c, parameter=own, owner=name)
            sql, args = self.criterion(one, r, (name,), False)
            parts.append((f"({r}.type = {NUMBER[name]} AND {sql})", args))
        return _any(parts)

    def _id(self, c: Criterion, r: str, types: tuple[str, ...]) -> tuple[str, list[Any]]:
        ids = [unescape(v) for v in c.values]
        if not types:
            sql, args = f"{r}.id = ANY(%s)", [ids]
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
            pattern = json.dumps("^" + _regex(unescape(value)), ensure_ascii=False)
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
            from sammanhang.fhir.indexing import IDENTIFIER

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
            text = unescape(value)[:1000]
            if c.modifier == "exact":
                parts.append("(s.folded = %s AND s.value = %s)")
                args += [fold(text), text]
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
        parts, args = [], []
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
        row_sql, row_args = _any(
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
        name: str, alias: str, slots: tuple[Slot, ...], any_of: list[str], args: list[Any], r: str
    ) -> tuple[str, list[Any]]:
        """A condition on a side table: some row of these slots meets any of the tests."""
        a = alias
        which = f"{a}.slot = %s" if len(slots) == 1 else f"{a}.slot = ANY(%s::bigint[])"
        value = slots[0].number if len(slots) == 1 else numbers(s.number for s in slots)
        return (
            f"{r}.self IN (SELECT {a}.self FROM store.{name} {a} WHERE {which} AND ({' OR '.join(any_of)}))",
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

    # chains

    def _chain(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        (p, targets), *rest = c.chain
        self._alias += 1
        t = f"t{self._alias}"
        inner = Criterion(c.parameter, c.values, c.modifier, tuple(rest), c.has, c.owner)
        parts, args = [], []
        for target in targets:
            wall, wall_args = self.wall(t)
            sql, more = self.criterion(inner, t, (target,), False)
            where = f"{t}.type = {NUMBER[target]} AND {wall} AND {sql}"
            source = f"FROM {table(target)} {t} WHERE {where}"
            if target == "Patient" and [s.name for s in p.slots] == [
                record_slot(p.slots[0].name.split(".")[0])
            ]:
                parts.append(f"{r}.patient IN (SELECT {t}.self {source})")
                args += [*wall_args, *more]
                continue
            for s in p.slots:
                parts.append(f"{r}.tokens && ARRAY(SELECT {t}.self # %s::bigint {source})")
                args += [s.number, *wall_args, *more]
        return "(" + " OR ".join(parts) + ")", args

    def _has(self, c: Criterion, r: str, types: tuple[str, ...]) -> tuple[str, list[Any]]:
        (source_type, p), *rest = c.has
        self._alias += 1
        o = f"h{self._alias}"
        inner = Criterion(c.parameter, c.values, c.modifier, c.chain, tuple(rest), c.owner)
        sql, more = self.criterion(inner, o, (source_type,), False)
        wall, wall_args = self.wall(o)
        where = f"{o}.type = {NUMBER[source_type]} AND {wall} AND {sql}"
        if types == ("Patient",) and [s.name for s in p.slots] == [record_slot(source_type)]:
            return (
                f"{r}.self IN (SELECT {o}.patient FROM {table(source_type)} {o} WHERE {where})",
                [*wall_args, *more],
            )
        parts, args = [], []
        for s in p.slots:
            # a token is the target's number XOR the slot's: the same XOR gives the target back
            parts.append(
                f"{r}.self IN (SELECT u.t # %s::bigint FROM {table(source_type)} {o},"
                f" unnest({o}.tokens) AS u(t) WHERE {where})"
            )
            args += [s.number, *wall_args, *more]
        return "(" + " OR ".join(parts) + ")", args


def _any(parts: list[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    return "(" + " OR ".join(p[0] for p in parts) + ")", [a for p in parts for a in p[1]]


def _differs(c: Criterion) -> bool:
    """Whether the criterion's first parameter is defined type by type."""
    if c.has and not c.chain:
        return False
    return (c.chain[0][0] if c.chain else c.parameter).code not in COMMON_KINDS


def _above(uri: str) -> list[str]:
    """The URI and those it lies below."""
    pieces = uri.split("/")
    return ["/".join(pieces[:n]) for n in range(3, len(pieces) + 1)] or [uri]


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _regex(text: str) -> str:
    return "".join("\\" + c if not (c.isalnum() or c.isspace()) else c for c in text)


def _jsonb(r: str) -> str:
    return f"convert_from({r}.body, 'UTF8')::jsonb"
