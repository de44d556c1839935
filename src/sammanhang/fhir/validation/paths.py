"""Places in a resource, as JSON has them and as FHIRPath has them.

JSON says `Observation.valueQuantity` and `Patient._birthDate`; the FHIRPath of the same places is
`Observation.value.ofType(Quantity)` and `Patient.birthDate`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from sammanhang.fhir.tables import shipped

from .shapes import CORE, Shape, _shapes, shape

_INDEX = re.compile(r"\[\d+\]$")


@cache
def _choices() -> dict[str, str]:
    """JSON name → FHIRPath, for names that mean a choice wherever they stand."""
    found: dict[str, set[str]] = {}
    for url, sd in shipped("structures").items():
        if sd.get("derivation") == "constraint" or not url.startswith(CORE):
            continue
        for s in (_shapes(url.removeprefix(CORE)) or {}).values():
            for e in s.elements:
                for m in e.members:
                    written = f"{e.name}.ofType({m.type})" if e.choice else m.name
                    found.setdefault(m.name, set()).add(written)
    return {name: next(iter(ways)) for name, ways in found.items() if len(ways) == 1}


@lru_cache(maxsize=4096)
def fhirpath(json_path: str) -> str:
    """The FHIRPath expression of a path in JSON names that starts with a resource type."""
    root, *rest = json_path.split(".")
    out = [root]
    current: Shape | None = shape(root)
    for part in rest:
        found = _INDEX.search(part)
        index = found[0] if found else ""
        name = part.removesuffix(index).removeprefix("_") if index else part.removeprefix("_")
        pair = current.members.get(name) if current else None
        if pair is not None:
            member, element = pair
            written = f"{element.name}.ofType({member.type})" if element.choice else name
            # Below a resource of any type the path alone does not tell what may stand there.
            below = "Element" if member.primitive else member.shape
            current = shape(below) if below and below != "Resource" else None
        else:
            written = _choices().get(name, name) if current is None else name
            current = None
        out.append(written + index)
    return ".".join(out)


def steps(expression: str) -> list[str]:
    """A FHIRPath of a place, split at its dots: `A.b[0].value.ofType(X)` → A, b[0], value.ofType(X)."""
    out: list[str] = []
    for part in expression.split("."):
        if part.startswith("ofType(") and out:
            out[-1] += "." + part
        else:
            out.append(part)
    return out
