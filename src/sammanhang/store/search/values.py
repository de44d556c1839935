"""Search values as their parameter kind reads them: tokens, dates, numbers, quantities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import inf, nextafter

from sammanhang.fhir.dates import BEGINNING, END, bounds
from sammanhang.fhir.indexing import coded, hash64, reference_hash, self_hash, unit_hash
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.clock import now

from .parse import PREFIXES, fault, split, unescape

# `ap` on dates: a tenth of the time between then and now, as the specification suggests.
NEARBY = 0.1
_DATE = re.compile(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
# Room for the last bits that converting a unit may change, relative to the number.
ROUNDING = 1e-9


def token_hash(value: str) -> int:
    """`code`, `system|code`, `|code` or `system|` as the number the index keeps (without the slot)."""
    parts = split(value, "|")
    if len(parts) == 1:
        return hash64(f"c|{unescape(parts[0])}")
    system, code = unescape(parts[0]), unescape("|".join(parts[1:]))
    if system == "":
        return hash64(f"n|{code}")
    return hash64(f"s|{system}|{code}") if code else hash64(f"s|{system}|")


def prefixed(value: str) -> tuple[str, str]:
    """(prefix, rest): `ge2024` → ("ge", "2024"); `eq` when there is none."""
    if value[:2] in PREFIXES and value[2:3] != "":
        return value[:2], value[2:]
    return "eq", value


@dataclass(frozen=True, slots=True)
class DateValue:
    """A date with its prefix, as the interval it covers."""

    prefix: str
    low: datetime
    high: datetime


def interval(name: str, value: str) -> tuple[datetime, datetime]:
    """What a date of any precision covers; raises `Invalid` when the text is none."""
    text = value.replace(" ", "+")  # a plus that was not percent-encoded
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError
        return bounds(text)
    except OverflowError:
        return END, END  # the last days of the calendar
    except (ValueError, IndexError):
        raise fault(
            name, f"”{value[:60]}” är inget datum.", f"'{value[:60]}' is not a date."
        ) from None


def date_value(name: str, value: str) -> DateValue:
    """Raises `Invalid` when the text is not a date of any precision."""
    prefix, rest = prefixed(value)
    low, high = interval(name, rest)
    if prefix == "ap":
        margin = abs(now() - low) * NEARBY
        margin = max(margin, timedelta(days=1)) if len(rest) <= 10 else margin
        low = low - min(margin, max(low - BEGINNING, timedelta()))
        high = high + min(margin, max(END - high, timedelta()))
    return DateValue(prefix, low, high)


def date_condition(v: DateValue, low: str, high: str) -> tuple[str, list[datetime]]:
    """SQL on an interval's columns: interval semantics of the specification, not of instants."""
    inside = f"({low} >= %s AND {high} <= %s)"
    match v.prefix:
        case "eq":
            return inside, [v.low, v.high]
        case "ne":
            return f"NOT {inside}", [v.low, v.high]
        case "gt":
            return f"{high} > %s", [v.high]
        case "lt":
            return f"{low} < %s", [v.low]
        case "ge":
            return f"({high} > %s OR {inside})", [v.high, v.low, v.high]
        case "le":
            return f"({low} < %s OR {inside})", [v.low, v.low, v.high]
        case "sa":
            return f"{low} >= %s", [v.high]
        case "eb":
            return f"{high} <= %s", [v.low]
        case _:
            return f"({low} < %s AND {high} > %s)", [v.high, v.low]


def instant_condition(v: DateValue, column: str) -> tuple[str, list[datetime]]:
    """SQL on an instant kept more exactly than it is shown (`_lastUpdated`)."""
    match v.prefix:
        case "eq" | "ap":
            return f"({column} >= %s AND {column} < %s)", [v.low, v.high]
        case "ne":
            return f"({column} < %s OR {column} >= %s)", [v.low, v.high]
        case "gt" | "sa":
            return f"{column} >= %s", [v.high]
        case "ge":
            return f"{column} >= %s", [v.low]
        case "le":
            return f"{column} < %s", [v.high]
        case _:
            return f"{column} < %s", [v.low]


@dataclass(frozen=True, slots=True)
class NumberValue:
    """A number with its prefix: the value, and the span its written precision covers."""

    prefix: str
    value: float
    low: float
    high: float


def number_value(name: str, text: str) -> NumberValue:
    """`5.40` covers 5.395–5.405, `100` 99.5–100.5, `1e2` 95–105 (search.html#number)."""
    prefix, rest = prefixed(text)
    try:
        if _NUMBER.fullmatch(rest) is None:
            raise ValueError
        number = Decimal(rest)
        if not -300 < number.adjusted() < 300:
            raise ValueError
    except (InvalidOperation, ValueError):
        raise fault(
            name, f"”{text[:60]}” är inget tal.", f"'{text[:60]}' is not a number."
        ) from None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(exponent - 1)
    if prefix == "ap":
        half = abs(number) / 10
    x = float(number)  # may swallow more digits than it keeps: the span is never empty
    return NumberValue(
        prefix, x, min(float(number - half), x), max(float(number + half), nextafter(x, inf))
    )


def number_condition(
    v: NumberValue, low: str, high: str, factor: float = 1.0, offset: float = 0.0
) -> tuple[str, list[float]]:
    """SQL on a stored span; a span wider than a point comes from ranges and `<` values."""
    x, a, b = (n * factor + offset for n in (v.value, v.low, v.high))
    a, b = min(a, b), max(a, b)
    slack = 0.0 if factor == 1.0 and offset == 0.0 else abs(x) * ROUNDING
    inside = f"({low} >= %s AND {high} < %s)"
    match v.prefix:
        case "eq":
            return inside, [a - slack, max(b - slack, x + slack)]
        case "ap":
            return f"({low} <= %s AND {high} >= %s)", [b + slack, a - slack]
        case "ne":
            return f"NOT {inside}", [a - slack, max(b - slack, x + slack)]
        case "gt":
            return f"{high} > %s", [x + slack]
        case "lt":
            return f"{low} < %s", [x - slack]
        case "ge":
            return f"{high} >= %s", [x - slack]
        case "le":
            return f"{low} <= %s", [x + slack]
        case "sa":
            return f"{low} > %s", [x + slack]
        case _:
            return f"{high} < %s", [x - slack]


def quantity_condition(name: str, value: str, alias: str) -> tuple[str, list[float | int]]:
    """`5.4|http://unitsofmeasure.org|mg`, `5.4||mg` or `5.4`; UCUM in canonical units."""
    parts = split(value, "|")
    if len(parts) not in (1, 3):
        raise fault(name, "Skrivs tal|system|enhet.", "Written number|system|code.")
    number = number_value(name, parts[0])
    q = alias
    if len(parts) == 1 or (parts[1] == "" and parts[2] == ""):
        sql, args = number_condition(number, f"{q}.raw_low", f"{q}.raw_high")
        return sql, list(args)
    system, unit = unescape(parts[1]), unescape(parts[2])
    if system == "":
        sql, args = number_condition(number, f"{q}.raw_low", f"{q}.raw_high")
        return f"{q}.raw_unit = %s AND {sql}", [hash64(unit), *args]
    factor, offset, h, _ = unit_hash(system, unit)
    sql, args = number_condition(number, f"{q}.low", f"{q}.high", factor, offset)
    return f"{q}.unit = %s AND {sql}", [h, *args]


def reference_hashes(name: str, value: str, targets: tuple[str, ...], base: str) -> list[int]:
    """The numbers a reference value may have in the index (without the slot).

    `Type/id`, an absolute URL, or an id alone, which may be any of the targets' types.
    """
    text = unescape(value)
    if base and text.startswith(base):
        text = text[len(base) :]
    if "://" in text or text.startswith("urn:"):
        return [hash64(text)]
    if "/" in text:
        kind, _, id = text.partition("/")
        if kind not in TYPE_NAMES:
            raise fault(
                name, f"”{text[:80]}” är ingen referens.", f"'{text[:80]}' is not a reference."
            )
        return [reference_hash(text)] if id else []
    kinds = TYPE_NAMES if "Resource" in targets else targets
    return [self_hash(k, text) for k in kinds] + [hash64(text)]


def coded_any(system: str, codes: list[str]) -> list[int]:
    """Numbers for codes of one system."""
    return [coded(system, c)[1] for c in codes]
