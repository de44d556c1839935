"""Rows as COPY text: the fastest way into PostgreSQL for more than a few rows.

One function per table, each giving a line of bytes. Text format: tab between columns, `\\N` for
null, backslash escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .rows import Row
from .types import NUMBER

RESOURCE = "COPY store.{table} FROM STDIN"
STRING = "COPY store.string FROM STDIN"
DATE = "COPY store.date FROM STDIN"
QUANTITY = "COPY store.quantity FROM STDIN"
EVENT = (
    "COPY store.event (at, method, type, self, id, version, patient, also, provider, unit, labels)"
    " FROM STDIN"
)


def _text(value: str) -> str:
    if "\\" in value or "\t" in value or "\n" in value or "\r" in value:
        value = (
            value.replace("\\", "\\\\")
            .replace("\t", "\\t")
            .replace("\n", "\\n")
            .replace("\r", "\\r")
        )
    return value


def _maybe(value: object) -> object:
    return "\\N" if value is None else value


def _numbers(values: Iterable[int] | None) -> str:
    return "\\N" if values is None else "{" + ",".join(map(str, values)) + "}"


def _time(value: datetime | None) -> str:
    return "\\N" if value is None else value.isoformat()


def resource_line(row: Row, provider: int | None, unit: int | None) -> bytes:
    """A line for a partition of store.resource."""
    ix = row.index
    assert ix is not None and row.body is not None
    low, high = ix.occurred or (None, None)
    head = (
        f"{NUMBER[row.type]}\t{row.self}\t{row.id}\t{row.version}\t{_time(row.updated)}\t"
        f"{_maybe(row.patient)}\t{_numbers(row.also)}\t{_maybe(provider)}\t{_maybe(unit)}\t"
        f"{_numbers(row.labels)}\t{_time(row.care_until)}\t{_time(low)}\t{_time(high)}\t"
        f"{{{','.join(map(str, ix.tokens))}}}\t\\\\x{row.body.hex()}\n"
    )
    return head.encode()


def event_line(row: Row, provider: int | None, unit: int | None) -> bytes:
    """A line for store.event: a creation."""
    return (
        f"{_time(row.updated)}\t1\t{NUMBER[row.type]}\t{row.self}\t{row.id}\t{row.version}\t"
        f"{_maybe(row.patient)}\t{_numbers(row.also)}\t{_maybe(provider)}\t{_maybe(unit)}\t"
        f"{_numbers(row.labels)}\n"
    ).encode()


def side_lines(row: Row, strings: list[bytes], dates: list[bytes], quantities: list[bytes]) -> None:
    """Appends the row's lines for the three side tables."""
    ix = row.index
    assert ix is not None
    if not (ix.strings or ix.dates or ix.quantities):
        return
    n, s = NUMBER[row.type], row.self
    for slot, folded, value in ix.strings:
        strings.append(f"{slot}\t{s}\t{n}\t{_text(folded)}\t{_text(value)}\n".encode())
    for slot, low, high in ix.dates:
        dates.append(f"{slot}\t{s}\t{n}\t{_time(low)}\t{_time(high)}\n".encode())
    for q in ix.quantities:
        quantities.append(
            f"{q[0]}\t{s}\t{n}\t{_float(q[1])}\t{_float(q[2])}\t{q[3]}\t{_float(q[4])}\t{_float(q[5])}\t{q[6]}\n".encode()
        )


def _float(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


class Batch:
    """Lines gathered for one transaction, by table."""

    def __init__(self) -> None:
        self.resources: dict[str, list[bytes]] = {}
        self.strings: list[bytes] = []
        self.dates: list[bytes] = []
        self.quantities: list[bytes] = []
        self.events: list[bytes] = []
        self.count = 0

    def add(self, row: Row, table: str, provider: int | None, unit: int | None) -> None:
        """Adds a new resource; `table` is the partition (`store.types.table`)."""
        self.resources.setdefault(table, []).append(resource_line(row, provider, unit))
        self.events.append(event_line(row, provider, unit))
        side_lines(row, self.strings, self.dates, self.quantities)
        self.count += 1

    def statements(self) -> list[tuple[str, bytes]]:
        """(COPY statement, data) for every table that has lines."""
        out = [
            (RESOURCE.format(table=t.removeprefix("store.")), b"".join(lines))
            for t, lines in sorted(self.resources.items())
        ]
        for statement, lines in (
            (STRING, self.strings),
            (DATE, self.dates),
            (QUANTITY, self.quantities),
            (EVENT, self.events),
        ):
            if lines:
                out.append((statement, b"".join(lines)))
        return out
