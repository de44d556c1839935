"""FHIRPath functions that fhirpathpy lacks or answers wrongly, on plain values.

Boundaries and precision follow http://hl7.org/fhirpath/#boundary-functions: a value stands for
everything that rounds to it, a date for every moment in it, a time without zone for any zone on earth.
"""

from __future__ import annotations

import calendar
import html
import json
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from fhirpathpy.engine.nodes import FP_DateTime, FP_Quantity, FP_Time

from .. import units
from ..checking import narrative_fault

_MOMENT = re.compile(
    r"^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?)?(Z|[+-]\d\d:\d\d)?$"
)
_TIME = re.compile(r"^T?(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?$")
MOST_DIGITS = 31


def _boundary(items: list[Any], digits: Any, low: bool) -> Any:
    if len(items) != 1:
        return []
    value = items[0]
    if isinstance(value, bool) or isinstance(digits, list):
        return []
    if isinstance(value, int | Decimal):
        return _number(Decimal(value), digits, low)
    if isinstance(value, FP_Quantity):
        number = _number(Decimal(value.value), digits, low)
        return [] if isinstance(number, list) else FP_Quantity(number, value.unit)
    text = str(getattr(value, "asStr", value))
    if isinstance(value, FP_Time) or _TIME.match(text):
        return _time(text, digits, low)
    return _moment(text, digits, low)


def _number(value: Decimal, digits: int | None, low: bool) -> Any:
    wanted = 8 if digits is None else int(digits)
    if not 0 <= wanted <= MOST_DIGITS:
        return []
    exponent = min(int(value.as_tuple().exponent), 0)
    half = Decimal(5).scaleb(exponent - 1)
    edge = value - half if low else value + half
    return edge.quantize(Decimal(1).scaleb(-wanted), rounding=ROUND_FLOOR if low else ROUND_CEILING)


def _moment(text: str, digits: int | None, low: bool) -> Any:
    found = _MOMENT.match(text)
    if found is None:
        return []
    year, month, day, timed, hour, minute, second, fraction, zone = found.groups()
    wanted = (17 if timed else 8) if digits is None else int(digits)
    month = month or ("01" if low else "12")
    last = calendar.monthrange(int(year), int(month))[1] if int(year) else 31
    day = day or ("01" if low else f"{last:02}")
    out = {4: year, 6: f"{year}-{month}", 8: f"{year}-{month}-{day}"}.get(wanted)
    if out is None:
        if wanted != 17:
            return []
        clock = _clock(hour, minute, second, fraction, low)
        out = f"{year}-{month}-{day}T{clock}{zone or ('+14:00' if low else '-12:00')}"
    return FP_DateTime(out)


def _time(text: str, digits: int | None, low: bool) -> Any:
    found = _TIME.match(text)
    wanted = 9 if digits is None else int(digits)
    if found is None or wanted not in (2, 4, 6, 9):
        return []
    hour, minute, second, fraction = found.groups()
    full = _clock(hour, minute, second, fraction, low)
    return FP_Time(full[: {2: 2, 4: 5, 6: 8, 9: 12}[wanted]])


def _clock(h: str | None, m: str | None, s: str | None, f: str | None, low: bool) -> str:
    hour, minute, second = (
        h or ("00" if low else "23"),
        m or ("00" if low else "59"),
        s or ("00" if low else "59"),
    )
    return f"{hour}:{minute}:{second}.{(f or '').ljust(3, '0' if low else '9')[:3]}"


def low_boundary(items: list[Any], digits: Any = None) -> Any:
    """The least value that would be written as this one."""
    return _boundary(items, digits, True)


def high_boundary(items: list[Any], digits: Any = None) -> Any:
    """The greatest value that would be written as this one."""
    return _boundary(items, digits, False)


def precision(items: list[Any]) -> Any:
    """Digits after the decimal sign, or digits of a date or time."""
    if len(items) != 1 or isinstance(items[0], bool):
        return []
    value = items[0]
    if isinstance(value, int | Decimal):
        return max(0, -int(Decimal(value).as_tuple().exponent))
    text = str(getattr(value, "asStr", value))
    if _TIME.match(text) or _MOMENT.match(text):
        return sum(c.isdigit() for c in re.sub(r"(?<=\d)[+-]\d\d:\d\d$", "", text) if c)
    return []


def to_string(items: list[Any]) -> Any:
    """A primitive as FHIRPath writes it: `true`, `1.0`, `2020-01`."""
    if len(items) != 1 or isinstance(items[0], dict):
        return []
    value = items[0]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, FP_DateTime | FP_Time):
        return value.asStr
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def single(items: list[Any]) -> Any:
    """The only item; raises ValueError when there are more, as the specification asks."""
    if len(items) > 1:
        raise ValueError("single() of several items")
    return items


def comparable(items: list[Any], other: Any) -> Any:
    """Whether two quantities are of the same kind, so that one can be converted to the other."""
    others = other if isinstance(other, list) else [other]
    if len(items) != 1 or len(others) != 1:
        return []
    a, b = (units.canonical(_unit(q)) for q in (items[0], others[0]))
    return a is not None and b is not None and a[2] == b[2]


def _unit(quantity: Any) -> str:
    if isinstance(quantity, FP_Quantity):
        return str(quantity.unit).strip("'")
    return str(quantity.get("code")) if isinstance(quantity, dict) else ""


def matches_full(items: list[Any], pattern: str) -> Any:
    """Whether the whole of a text matches."""
    return bool(re.fullmatch(pattern, items[0], re.DOTALL)) if len(items) == 1 else []


def escape(items: list[Any], target: str) -> Any:
    """A text made fit for HTML or for a JSON text."""
    if len(items) != 1:
        return []
    if target == "html":
        return html.escape(items[0])
    return json.dumps(items[0], ensure_ascii=False)[1:-1] if target == "json" else []


def unescape(items: list[Any], target: str) -> Any:
    """The text that `escape` came from."""
    if len(items) != 1:
        return []
    if target == "html":
        return html.unescape(items[0])
    return json.loads('"' + re.sub(r'(?<!\\)"', '\\"', items[0]) + '"') if target == "json" else []


def has_value(items: list[Any]) -> bool:
    """Whether there is one primitive with a value (http://hl7.org/fhir/R4/fhirpath.html#functions)."""
    return len(items) == 1 and not isinstance(items[0], dict)


def html_checks(items: list[Any]) -> bool:
    """Whether narratives are safe XHTML with content (txt-1, txt-2)."""
    return all(isinstance(i, str) and narrative_fault(i) is None for i in items)


def conforms_to(items: list[Any], url: Any) -> Any:
    """Conformance to a base type; raises ValueError for a profile, which is not asked from here."""
    from ..r4 import TYPE_NAMES

    name = str(url).rsplit("/", 1)[-1]
    if len(items) != 1 or not isinstance(items[0], dict):
        return []
    if name not in TYPE_NAMES:
        raise ValueError(f"conformsTo({url}) is not evaluated here")
    return items[0].get("resourceType") == name


def _function(fn: Callable[..., Any], *arities: list[str]) -> dict[str, Any]:
    return {"fn": fn, "arity": {len(a): a for a in arities or ([],)}}


FUNCTIONS: dict[str, Any] = {
    "comparable": _function(comparable, ["Any"]),
    "conformsTo": _function(conforms_to, ["String"]),
    "escape": _function(escape, ["String"]),
    "hasValue": _function(has_value),
    "highBoundary": _function(high_boundary, [], ["Number"]),
    "htmlChecks": _function(html_checks),
    "lowBoundary": _function(low_boundary, [], ["Number"]),
    "matchesFull": _function(matches_full, ["String"]),
    "precision": _function(precision),
    "single": _function(single),
    "toString": _function(to_string),
    "unescape": _function(unescape, ["String"]),
}
