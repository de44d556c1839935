"""FHIRPath by fhirpathpy: expressions compiled once, evaluated on plain JSON values."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from fhirpathpy import compile as _compile
from fhirpathpy.models import models

_TRACE = re.compile(r"\.trace\([^()]*\)")  # a debugging aid that prints; it never changes a result


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Any:
    """A function (resource, environment) → list; raises for a malformed expression."""
    return _compile(_TRACE.sub("", expression), models["r4"])


def evaluate(expression: str, value: Any, environment: dict[str, Any] | None = None) -> list[Any]:
    """The collection an expression gives on a JSON value; raises what fhirpathpy raises."""
    return list(compiled(expression)(value, environment or {}))


def holds(expression: str, v: Any, resource: Any) -> bool:
    """Whether an invariant is true of `v`; one that cannot be evaluated here counts as met.

    `%resource` is the resource it stands in. Empty is not met, as FHIR asks of invariants.
    """
    value = v if isinstance(v, dict) else plain(v)
    whole = resource if isinstance(resource, dict) else plain(resource)
    environment = {
        "resource": whole,
        "rootResource": whole,
        "context": value,
        "ucum": "http://unitsofmeasure.org",
    }
    try:
        result = evaluate(expression, value, environment)
    except Exception:
        return True
    return bool(result) and result[0] is not False


def plain(v: Any) -> Any:
    """A generated structure as plain JSON values."""
    return msgspec.to_builtins(v, builtin_types=(Decimal,))
