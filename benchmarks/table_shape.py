"""Why does the record's table look as it does? The variants behind docs/adr/0002."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from statistics import median
from typing import Any

import psycopg
from _bench import Bench, Figure, generated

BUNDLES = 200
CHUNK = 4000

_CLASSIC = """
CREATE SCHEMA shape;
CREATE TABLE shape.gin (LIKE store.observation INCLUDING ALL);
CREATE TABLE shape.plain (LIKE store.observation INCLUDING DEFAULTS);
CREATE UNIQUE INDEX ON shape.plain (self, type);
CREATE INDEX ON shape.plain (patient, type, occurred DESC NULLS LAST, self);
CREATE INDEX ON shape.plain (type, occurred DESC NULLS LAST, self);
CREATE INDEX ON shape.plain (type, updated, self);
CREATE TABLE shape.token (token bigint NOT NULL, self bigint NOT NULL, type smallint NOT NULL);
CREATE INDEX ON shape.token (token, self);
CREATE INDEX ON shape.token (self);
CREATE TABLE shape.columns (LIKE shape.plain INCLUDING ALL);
ALTER TABLE shape.columns ADD q_slot bigint[], ADD q_low float8[], ADD q_unit bigint[];
CREATE INDEX ON shape.columns USING gin (q_slot);
CREATE TABLE shape.beside (LIKE shape.plain INCLUDING ALL);
CREATE TABLE shape.quantity (LIKE store.quantity INCLUDING ALL);
"""


def run(bench: Bench) -> list[Figure]:
    """One row per resource with tokens under GIN, against what others do; one connection, no HTTP."""
    dsn, _ = bench.database("shape")
    rows = list(_rows(bench))
    observations = [r for r in rows if r.type == "Observation"]
    with psycopg.connect(dsn, autocommit=True, options="-c jit=off") as c:
        c.execute(_CLASSIC)
        figures = _tokens(c, observations) + _values(c, observations)
        figures += _ways_in(c, rows) + _partition(c, observations)
    return figures


def _rows(bench: Bench) -> Iterator[Any]:
    from sammanhang.fhir.decode import decode
    from sammanhang.store.loading.reading import Found, resources
    from sammanhang.store.rows import row_of

    now = datetime.now(UTC)
    with generated(1000, 42).open("rb") as file:
        for line in islice(file, BUNDLES // (4 if bench.quick else 1)):
            for found in resources(line, ""):
                assert isinstance(found, Found) and found.id
                yield row_of(decode(found.body, found.type), found.id, 0, now)


def _figure(
    what: str, value: float, unit: str, floor: float | None = None, note: str = ""
) -> Figure:
    return Figure("table_shape", what, value, unit, floor=floor, note=note)


def _copy(c: Any, statement: str, lines: list[bytes]) -> None:
    from sammanhang.store.copying import _HEAD, _TAIL

    with c.cursor().copy(statement) as copy:
        copy.write(_HEAD + b"".join(lines) + _TAIL)


def _chunks(rows: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(rows), CHUNK):
        yield rows[at : at + CHUNK]


def _many(work: Callable[[Any], Any], some: list[Any], times: int = 5) -> float:
    """Questions a second: the median of rounds over the same choices."""
    rates = []
    for _ in range(times):
        began = time.perf_counter()
        for one in some:
            work(one)
        rates.append(len(some) / (time.perf_counter() - began))
    return median(rates)


def _size(c: Any, *tables: str) -> float:
    row = c.execute(
        f"SELECT {' + '.join(f'pg_total_relation_size({t!r})' for t in tables)}"
    ).fetchone()
    return float(row[0]) / 1e6


def _tokens(c: Any, rows: list[Any]) -> list[Figure]:
    """Tokens in an array under GIN, against a row for each in a table with b-trees."""
    import struct

    from sammanhang.fhir.indexing import Index, coded, identified, slot
    from sammanhang.store.copying import resource_line

    pack = struct.Struct(">hiqiqih").pack
    gin = classic = 0.0
    for chunk in _chunks(rows):
        lines = [resource_line(r, None, None) for r in chunk]
        began = time.perf_counter()
        with c.transaction():
            _copy(c, "COPY shape.gin FROM STDIN (FORMAT binary)", lines)
        gin += time.perf_counter() - began
        kept = [r.index for r in chunk]
        tokens = [pack(3, 8, t, 8, r.self, 2, 96) for r in chunk for t in set(r.index.tokens)]
        for r in chunk:
            bare = Index()
            bare.occurred = r.index.occurred
            r.index = bare
        lines = [resource_line(r, None, None) for r in chunk]
        for r, index in zip(chunk, kept, strict=True):
            r.index = index
        began = time.perf_counter()
        with c.transaction():
            _copy(c, "COPY shape.plain FROM STDIN (FORMAT binary)", lines)
            _copy(c, "COPY shape.token FROM STDIN (FORMAT binary)", tokens)
        classic += time.perf_counter() - began
    c.execute("VACUUM ANALYZE shape.gin, shape.plain, shape.token")
    n = len(rows)
    sizes = _size(c, "shape.gin"), _size(c, "shape.plain", "shape.token")
    code = coded("http://loinc.org", "8867-4")[1] ^ slot("Observation.code", "token")
    status = coded(None, "final")[0] ^ slot("Observation.status", "token")
    patients = list({r.patient for r in rows})[:200]
    system = "http://example.org/observation"
    wanted = [
        identified(system, _identifier(r))[1] ^ slot("Observation.identifier", "token")
        for r in rows[:200]
    ]

    def ask(sql: str) -> Callable[[Any], Any]:
        return lambda args: c.execute(sql, args, prepare=True).fetchall()

    series_gin = ask(
        "SELECT body FROM shape.gin WHERE patient = %s AND type = 96 AND (tokens || '{}') @> %s::bigint[]"
        " ORDER BY occurred DESC LIMIT 50"
    )
    series_classic = ask(
        "SELECT body FROM shape.plain r WHERE patient = %s AND type = 96 AND EXISTS (SELECT FROM"
        " shape.token t WHERE t.self = r.self AND t.token = %s) ORDER BY occurred DESC LIMIT 50"
    )
    both_gin = ask("SELECT count(*) FROM shape.gin WHERE tokens @> ARRAY[%s, %s]::bigint[]")
    both_classic = ask(
        "SELECT count(*) FROM shape.plain r JOIN shape.token a ON a.self = r.self AND a.token = %s"
        " JOIN shape.token b ON b.self = r.self AND b.token = %s"
    )
    one_gin = ask("SELECT body FROM shape.gin WHERE tokens @> ARRAY[%s]::bigint[]")
    one_classic = ask(
        "SELECT body FROM shape.token t JOIN shape.plain r ON r.self = t.self WHERE token = %s"
    )
    per = f"{sum(len(set(r.index.tokens)) for r in rows) / n:.0f} tokens a resource; floor: the token table"
    arrays = [(p, [code]) for p in patients]
    return [
        _figure("tokens under GIN: COPY", n / gin, "/s", n / classic, per),
        _figure("tokens under GIN: size", sizes[0], "MB", sizes[1], "floor: the token table"),
        _figure("tokens under GIN: series of a patient", _many(series_gin, arrays), "/s",
                _many(series_classic, [(p, code) for p in patients])),
        _figure("tokens under GIN: code and status, counted", _many(both_gin, [(code, status)] * 10), "/s",
                _many(both_classic, [(code, status)] * 10)),
        _figure("tokens under GIN: by identifier", _many(one_gin, [(w,) for w in wanted]), "/s",
                _many(one_classic, [(w,) for w in wanted])),
    ]  # fmt: skip


def _identifier(row: Any) -> str:
    import json

    return str(json.loads(row.body)["identifier"][0]["value"])


def _values(c: Any, rows: list[Any]) -> list[Figure]:
    """Quantities in a narrow table beside, against arrays on the row."""
    from sammanhang.store.copying import resource_line, side_lines

    columns = beside = 0.0
    for chunk in _chunks(rows):
        lines = [resource_line(r, None, None) for r in chunk]
        quantities: list[bytes] = []
        for r in chunk:
            side_lines(r, [], [], quantities)
        began = time.perf_counter()
        with c.transaction():
            _copy(c, "COPY shape.beside FROM STDIN (FORMAT binary)", lines)
            _copy(c, "COPY shape.quantity FROM STDIN (FORMAT binary)", quantities)
        beside += time.perf_counter() - began
        wide = [_wide(r, line) for r, line in zip(chunk, lines, strict=True)]
        began = time.perf_counter()
        with c.transaction():
            _copy(c, "COPY shape.columns FROM STDIN (FORMAT binary)", wide)
        columns += time.perf_counter() - began
    c.execute("VACUUM ANALYZE shape.columns, shape.beside, shape.quantity")
    slot_, unit = rows[0].index.quantities[0][0], rows[0].index.quantities[0][3]
    highest = sorted(
        q[1] for r in rows for q in r.index.quantities if (q[0], q[3]) == (slot_, unit)
    )
    above = highest[-max(2, len(highest) // 50)]

    def narrow(_: Any) -> Any:
        return c.execute(
            "SELECT r.body FROM shape.quantity q JOIN shape.beside r ON r.self = q.self AND r.type = q.type"
            " WHERE q.slot = %s AND q.unit = %s AND q.low > %s LIMIT 50", (slot_, unit, above), prepare=True,
        ).fetchall()  # fmt: skip

    def on_row(_: Any) -> Any:
        return c.execute(
            "SELECT body FROM shape.columns r WHERE q_slot @> ARRAY[%s]::bigint[] AND EXISTS (SELECT FROM"
            " unnest(q_slot, q_low, q_unit) q(s, l, u) WHERE s = %s AND u = %s AND l > %s) LIMIT 50",
            (slot_, slot_, unit, above), prepare=True,
        ).fetchall()  # fmt: skip

    n = len(rows)
    sizes = _size(c, "shape.beside", "shape.quantity"), _size(c, "shape.columns")
    note = "floor: arrays on the row"
    return [
        _figure("quantities beside: COPY", n / beside, "/s", n / columns, note),
        _figure("quantities beside: size", sizes[0], "MB", sizes[1], note),
        _figure("quantities beside: the highest 2 %", _many(narrow, [0] * 30), "/s", _many(on_row, [0] * 30), note),
    ]  # fmt: skip


def _wide(row: Any, line: bytes) -> bytes:
    """A row's COPY bytes with three columns more."""
    from struct import pack

    from sammanhang.store.copying import _numbers

    qs = row.index.quantities
    floats = [q[1] for q in qs]
    low = pack(">iiiiii", 20 + 12 * len(qs), 1, 0, 701, len(qs), 1)
    low += b"".join(pack(">id", 8, f) for f in floats)
    return (
        pack(">h", 18)
        + line[2:]
        + _numbers([q[0] for q in qs])
        + low
        + _numbers([q[3] for q in qs])
    )


def _ways_in(c: Any, rows: list[Any]) -> list[Figure]:
    """A transaction of 101 resources by COPY, against a call of store.put for each."""
    from sammanhang.store import write
    from sammanhang.store.copying import Batch
    from sammanhang.store.types import table

    groups = [rows[i : i + 101] for i in range(0, len(rows), 101)]
    half = len(groups) // 2

    def copied(group: list[Any]) -> None:
        batch = Batch()
        for r in group:
            batch.add(r, table(r.type), None, None)
        with c.transaction():
            for statement, data in batch.statements():
                with c.cursor().copy(statement) as copy:
                    copy.write(data)

    def put(group: list[Any]) -> None:
        with c.transaction(), c.pipeline():
            for r in group:
                values = (*write.arguments(r, None, None), *write.NO_BLOCK)
                c.execute(write.PUT, values, prepare=True)

    by_copy = _many(copied, groups[:half], 1) * 101
    by_put = _many(put, groups[half:], 1) * 101
    note = "floor: store.put for each, in one pipeline"
    return [_figure("transactions of 101: COPY", by_copy, "resources/s", by_put, note)]


def _partition(c: Any, rows: list[Any]) -> list[Figure]:
    """The partition named, against the partitioned table and its routing."""
    import copy as copies

    from sammanhang.fhir.indexing import self_hash
    from sammanhang.store.copying import resource_line

    def renamed(prefix: str) -> list[bytes]:
        out = []
        for r in rows:
            other = copies.copy(r)
            other.id = f"{prefix}{r.id[1:]}"
            other.self = self_hash("Observation", other.id)
            out.append(resource_line(other, None, None))
        return out

    times = {}
    for name, prefix in (("observation", "x"), ("resource", "y")):
        lines = renamed(prefix)
        began = time.perf_counter()
        for chunk in _chunks(lines):
            with c.transaction():
                _copy(c, f"COPY store.{name} FROM STDIN (FORMAT binary)", chunk)
        times[name] = len(lines) / (time.perf_counter() - began)
    selves = [(r.self,) for r in rows[:1000]]

    def read(name: str) -> float:
        sql = f"SELECT body FROM store.{name} WHERE self = %s AND type = 96"
        return _many(lambda a: c.execute(sql, a, prepare=True).fetchall(), selves)

    note = "floor: the parent table"
    return [
        _figure("partition named: COPY", times["observation"], "/s", times["resource"], note),
        _figure("partition named: read by id", read("observation"), "/s", read("resource"), note),
    ]


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"table_shape": run}))
