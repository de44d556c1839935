"""Small predicates that translated invariants are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Three-valued logic (FHIRPath §6.5): None is the empty collection.


def and3(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def or3(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def xor3(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


def implies3(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is True:
        return True
    return None if a is None or b is None else b


def not3(a: bool | None) -> bool:
    """Empty negates to true, as HL7's own validator has it (`fullUrl.contains(…).not()`, bdl-8)."""
    return not a


def eq3(a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else a == b


def ne3(a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else a != b


def in3(a: Any, members: set[Any]) -> bool | None:
    return None if a is None else a in members


def startswith3(a: str | None, text: str) -> bool | None:
    return None if a is None else a.startswith(text)


def contains3(a: str | None, text: str) -> bool | None:
    return None if a is None else text in a


def compare3(a: Any, op: str, b: Any) -> bool | None:
    """Order of numbers, of dates (None when their precision does not tell) and of quantities."""
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        from .dates import compare

        order = compare(a, b)
        if order is None:
            return None
    elif hasattr(a, "unit") and hasattr(b, "unit"):
        if a.value is None or b.value is None:
            return None
        if (a.system, a.code or a.unit) != (b.system, b.code or b.unit):
            return True  # other units: compared where units are known, not here
        order = (a.value > b.value) - (a.value < b.value)
    else:
        order = (a > b) - (a < b)
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[op]


def present(*values: Any) -> list[Any]:
    return [v for v in values if v is not None]


def distinct(values: Iterable[Any]) -> bool:
    found = list(values)
    return len(found) == len(set(found))
