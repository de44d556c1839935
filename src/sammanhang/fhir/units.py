"""UCUM units in canonical form, by `ucumvert`: 120 mm[Hg] and 16 kPa become the same kind of number."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from .tables import shipped


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@cache
def _common() -> dict[str, list[Any]]:
    """The commonest units, worked out when the models were generated: the registry takes two seconds
    to start, which most processes never need."""
    try:
        return shipped("units")
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=4096)
def canonical(unit: str) -> tuple[float, float, str] | None:
    """(factor, offset, canonical unit): `x unit = x · factor + offset canonical`.

    None when the text is not a UCUM unit, or when its scale is not linear (pH, decibel).
    """
    known = _common().get(unit)
    if known is not None:
        return known[0], known[1], known[2]
    return work_out(unit)


def work_out(unit: str) -> tuple[float, float, str] | None:
    """As `canonical`, from the unit registry itself."""
    if len(unit) > 60:
        return None
    try:
        registry = _registry()
        parsed = registry.from_ucum(unit)
        kind = getattr(parsed, "units", parsed)
        scale = float(getattr(parsed, "magnitude", 1.0))
        at = [registry.Quantity(scale * x, kind).to_base_units() for x in (0.0, 1.0, 2.0)]
        zero, one, two = (float(q.magnitude) for q in at)
    except Exception:
        return None
    if abs((two - one) - (one - zero)) > 1e-9 * max(1.0, abs(two)):
        return None
    return one - zero, zero, str(at[1].units)
