"""Measured values: vital signs, assessments and laboratory results, as series over time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show

from .curve import Spark, spark_of
from .words import Names, Source, code, displays, key, moment, notes, quantity, source, text, when

WRONG = ("cancelled", "entered-in-error", "unknown")
# interpretation code: sign, word, how far out
FLAGS = {
    "HH": ("↑↑", N_("mycket högt"), 2), "LL": ("↓↓", N_("mycket lågt"), 2), "H": ("↑", N_("högt"), 1),
    "HU": ("↑↑", N_("mycket högt"), 2), "LU": ("↓↓", N_("mycket lågt"), 2), "L": ("↓", N_("lågt"), 1),
    "AA": ("!!", N_("mycket avvikande"), 2), "A": ("!", N_("avvikande"), 1), "POS": ("+", N_("positivt"), 1),
}  # fmt: skip
UNSIGNED = ("registered", "preliminary")


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value.

    at       when, as FHIR wrote it
    text     the value as it is read: `5,4`, `142/78`, `negativ`
    value    the number, for curves; None for words
    second   the lower number of a pair (blood pressure)
    sign     ↑ or ↓ when out of its range, else empty
    word     the same in words
    far      0 in range, 1 out of it, 2 dangerously
    range    reference range in words: `3,5–4,6`
    status   a word when the result is not final
    note     what was written with it
    by       who measured
    source   unit and care provider
    """

    at: str
    text: str
    value: Decimal | None
    second: Decimal | None
    sign: str
    word: str
    far: int
    range: str
    status: str
    note: str
    by: str
    source: Source

    @property
    def order(self) -> float:
        return moment(self.at)


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of value over time; points newest first.

    key     what tells it from others in an address
    name    in words
    unit    of every point
    kind    vital-signs, laboratory or survey
    points  newest first
    low     lower limit of the newest reference range; None without
    high    upper limit
    spark   its curve in small; None for fewer than two numbers
    """

    key: str
    name: str
    unit: str
    kind: str
    points: tuple[Point, ...]
    low: Decimal | None
    high: Decimal | None
    spark: Spark | None

    @property
    def latest(self) -> Point:
        return self.points[0]

    @property
    def change(self) -> str:
        """How much the newest differs from the one before: `+2,1`; empty for words."""
        if len(self.points) < 2 or self.points[0].value is None or self.points[1].value is None:
            return ""
        if self.points[0].second is not None:
            return ""
        difference = self.points[0].value - self.points[1].value
        return f"+{show.number(difference)}" if difference > 0 else show.number(difference)

    @property
    def curved(self) -> bool:
        """Whether there are numbers enough for a curve."""
        return sum(p.value is not None for p in self.points) > 1


def kind_of(o: Any) -> str:
    """laboratory, vital-signs or survey; what has no category is a vital sign."""
    kinds = {c.code for category in o.category or () for c in category.coding or ()}
    if "laboratory" in kinds:
        return "laboratory"
    return "survey" if kinds & {"survey", "social-history"} else "vital-signs"


def series_of(rows: list[Stored], names: Names, *wanted: str) -> list[Series]:
    """Observations as series of these kinds; the series with the newest value first."""
    found: dict[str, list[tuple[Stored, Any]]] = {}
    for row in rows:
        o = row.resource
        if o.status not in WRONG and when(o) and (not wanted or kind_of(o) in wanted):
            unit = o.valueQuantity.unit or "" if o.valueQuantity is not None else ""
            found.setdefault(f"{key(o.code)}|{unit}" if unit else key(o.code), []).append((row, o))
    series = [_series(k, pairs, names) for k, pairs in found.items()]
    return sorted(
        series, key=lambda s: (-int(s.latest.order // 86400), -s.latest.far, s.name.lower())
    )


def _series(k: str, pairs: list[tuple[Stored, Any]], names: Names) -> Series:
    points = sorted((point_of(row, o, names) for row, o in pairs), key=lambda p: -p.order)
    newest = pairs[0][1]
    low, high = _limits(newest)
    return Series(
        key=k,
        name=text(newest.code),
        unit=_unit(newest),
        kind=kind_of(newest),
        points=tuple(points),
        low=low,
        high=high,
        spark=spark_of([(p.order, p.value) for p in points if p.value is not None], low, high),
    )


def point_of(row: Stored, o: Any, names: Names) -> Point:
    """An Observation as a point."""
    shown, value, second = _value(o)
    sign, word, far = _flag(o, value)
    return Point(
        at=when(o) or "",
        text=shown,
        value=value,
        second=second,
        sign=sign,
        word=_(word) if word else "",
        far=far,
        range=_range(o),
        status=_("preliminärt")
        if o.status in UNSIGNED
        else _("ändrat")
        if o.status in ("amended", "corrected")
        else "",
        note=notes(o.note),
        by=displays(o.performer),
        source=source(row, names),
    )


def _value(o: Any) -> tuple[str, Decimal | None, Decimal | None]:
    """How the value reads, its number, and the second number of a pair."""
    q = o.valueQuantity
    if q is not None and q.value is not None:
        sign = f"{q.comparator} " if q.comparator else ""
        return sign + show.number(q.value), Decimal(q.value), None
    if o.valueInteger is not None:
        return show.number(o.valueInteger), Decimal(o.valueInteger), None
    if o.valueCodeableConcept is not None:
        return text(o.valueCodeableConcept), None, None
    if o.valueString:
        return str(o.valueString), None, None
    if o.valueBoolean is not None:
        return _("ja") if o.valueBoolean else _("nej"), None, None
    parts = [
        c
        for c in o.component or ()
        if c.valueQuantity is not None and c.valueQuantity.value is not None
    ]
    if len(parts) == 2 and {code(p.code) for p in parts} == {"8480-6", "8462-4"}:
        upper, lower = sorted((Decimal(p.valueQuantity.value) for p in parts), reverse=True)
        return f"{show.number(upper)}/{show.number(lower)}", upper, lower
    if parts:
        return ", ".join(f"{text(p.code)} {quantity(p.valueQuantity)}" for p in parts), None, None
    worded = [
        f"{text(c.code)}: {text(c.valueCodeableConcept)}"
        for c in o.component or ()
        if c.valueCodeableConcept
    ]
    if worded:
        return ", ".join(worded), None, None
    return text(o.dataAbsentReason) or _("inget värde"), None, None


def _unit(o: Any) -> str:
    if o.valueQuantity is not None:
        return o.valueQuantity.unit or o.valueQuantity.code or ""
    units = {c.valueQuantity.unit or "" for c in o.component or () if c.valueQuantity is not None}
    return units.pop() if len(units) == 1 else ""


def _limits(o: Any) -> tuple[Decimal | None, Decimal | None]:
    for r in o.referenceRange or ():
        low = Decimal(r.low.value) if r.low is not None and r.low.value is not None else None
        high = Decimal(r.high.value) if r.high is not None and r.high.value is not None else None
        if low is not None or high is not None:
            return low, high
    return None, None


def _range(o: Any) -> str:
    low, high = _limits(o)
    if low is not None and high is not None:
        return f"{show.number(low)}–{show.number(high)}"
    if high is not None:
        return f"< {show.number(high)}"
    if low is not None:
        return f"> {show.number(low)}"
    return next((r.text for r in o.referenceRange or () if r.text), "")


def _flag(o: Any, value: Decimal | None) -> tuple[str, str, int]:
    """Sign, word and how far out: as the laboratory says, else by the range."""
    for concept in o.interpretation or ():
        for c in concept.coding or ():
            if c.code in FLAGS:
                return FLAGS[c.code]
    if (
        o.interpretation
        or value is None
        or (o.valueQuantity is not None and o.valueQuantity.comparator)
    ):
        return "", "", 0
    low, high = _limits(o)
    if high is not None and value > high:
        return FLAGS["H"]
    if low is not None and value < low:
        return FLAGS["L"]
    return "", "", 0
