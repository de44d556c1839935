"""A search request → SQL on the resource table.

Two shapes decide the plan. With a patient, everything else is a filter on that patient's few rows, so
token tests are written so that no index serves them (`= ANY`). Without one, token tests are the index
condition (`@>`, `&&` under GIN), and the statement is planned anew each time, because only its values
tell how selective it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sammanhang.fhir.indexing import self_hash
from sammanhang.store.connection import numbers
from sammanhang.store.types import NUMBER, table

from .kinds import Kinds, any_of
from .parameters import COMMON_KINDS, parameter, record_slot
from .parse import Criterion, Request, unescape
from .values import date_value, instant_condition

__all__ = ["Compiler", "Predicate", "Query", "numbers"]
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


class Compiler(Kinds):
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
            return any_of(
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
            sql, args = self.criterion(_on(name, c), r, (name,), False)
            parts.append((f"({r}.type = {NUMBER[name]} AND {sql})", args))
        return any_of(parts)

    # chains

    def _chain(self, c: Criterion, r: str, narrowed: bool) -> tuple[str, list[Any]]:
        (p, targets), *rest = c.chain
        self._alias += 1
        t = f"t{self._alias}"
        parts, args = [], []
        for target in targets:
            inner = _on(target, replace(c, chain=tuple(rest)))
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
        inner = replace(c, has=tuple(rest)) if rest else c.inner
        assert inner is not None
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


def _on(type_name: str, c: Criterion) -> Criterion:
    """The criterion with its first parameter as this type defines it."""
    if c.has and not c.chain:
        return c
    if c.chain:
        first = parameter(type_name, c.chain[0][0].code)
        assert first is not None
        return replace(c, chain=((first, c.chain[0][1]), *c.chain[1:]))
    own = parameter(type_name, c.parameter.code)
    assert own is not None
    return replace(c, parameter=own, owner=type_name)


def _differs(c: Criterion) -> bool:
    """Whether the criterion's first parameter is defined type by type."""
    if c.has and not c.chain:
        return False
    return (c.chain[0][0] if c.chain else c.parameter).code not in COMMON_KINDS
