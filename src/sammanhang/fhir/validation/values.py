"""Values against `fixed[x]`, `pattern[x]`, `minValue[x]` and `maxValue[x]` of an ElementDefinition."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .. import dates


def is_fixed(value: Any, fixed: Any) -> bool:
    """Whether a value is exactly the fixed one, order and all (ElementDefinition.fixed[x])."""
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict)
            and value.keys() == fixed.keys()
            and all(is_fixed(value[k], v) for k, v in fixed.items())
        )
    if isinstance(fixed, list):
        return (
            isinstance(value, list)
            and len(value) == len(fixed)
            and all(is_fixed(a, b) for a, b in zip(value, fixed, strict=True))
        )
    return same(value, fixed)


def fits(value: Any, pattern: Any) -> bool:
    """Whether a value holds at least what the pattern holds (ElementDefinition.pattern[x])."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            k in value and fits(value[k], v) for k, v in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(fits(v, p) for v in value) for p in pattern)
    return same(value, pattern)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON primitives; numbers by value, true never equal to 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float | Decimal) and isinstance(b, int | float | Decimal):
        return Decimal(str(a)) == Decimal(str(b))
    return type(a) is type(b) and a == b


def beyond(value: Any, member: str, limit: Any) -> bool:
    """Whether a value lies outside a `minValue[x]` or `maxValue[x]`; False when that cannot be told."""
    order = _order(value, limit)
    if order is None:
        return False
    return order < 0 if member.startswith("minValue") else order > 0


def _order(a: Any, b: Any) -> int | None:
    if isinstance(a, dict) and isinstance(b, dict):
        if (a.get("system"), a.get("code")) != (b.get("system"), b.get("code")):
            return None
        return _order(a.get("value"), b.get("value"))
    if isinstance(a, bool) or isinstance(b, bool):
        return None
    if isinstance(a, int | float | Decimal) and isinstance(b, int | float | Decimal):
        x, y = Decimal(str(a)), Decimal(str(b))
        return (x > y) - (x < y)
    if isinstance(a, str) and isinstance(b, str):
        try:
            return dates.compare(a, b)
        except (ValueError, IndexError):
            return None
    return None
