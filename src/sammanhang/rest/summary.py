"""`_summary` and `_elements`: less of a resource, marked as such."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from sammanhang.fhir.decode import raw
from sammanhang.fhir.tables import shipped

_SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_encoder = msgspec.json.Encoder(decimal_format="number")
_BASE = "http://hl7.org/fhir/StructureDefinition/"


@cache
def members(type_name: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """(summary, mandatory, choice members) of a type: names of its top members."""
    summary, mandatory, choices = set(), set(), set()
    for e in shipped("structures")[_BASE + type_name]["elements"]:
        parts = e["path"].split(".")
        if len(parts) != 2:
            continue
        name = parts[1].removesuffix("[x]")
        if name != parts[1]:
            choices.add(name)
        if e.get("isSummary"):
            summary.add(name)
        if e.get("min", 0) > 0:
            mandatory.add(name)
    return frozenset(summary), frozenset(mandatory), frozenset(choices)


def _keeps(name: str, wanted: frozenset[str] | set[str], choices: frozenset[str]) -> bool:
    plain = name.lstrip("_")
    if plain in wanted:
        return True
    # a choice element: value[x] is written valueQuantity
    return any(
        plain.startswith(c) and plain[len(c) : len(c) + 1].isupper() for c in wanted & choices
    )


def shorten(body: bytes, type_name: str, query: dict[str, str]) -> bytes:
    """The body with only what `_elements` or `_summary` asks for, tagged SUBSETTED."""
    summary, mandatory, choices = members(type_name)
    kind = query.get("_summary")
    if query.get("_elements"):
        wanted = {
            e.strip().removeprefix(type_name + ".").split(".")[0].removesuffix("[x]")
            for e in query["_elements"].split(",")
        } | mandatory
        wanted |= {"id", "meta", "resourceType"}
    elif kind == "true":
        wanted = set(summary | mandatory) | {"resourceType", "id", "meta"}
    elif kind == "text":
        wanted = set(mandatory) | {"resourceType", "id", "meta", "text"}
    elif kind == "data":
        document = raw(body)
        document.pop("text", None)
        return _mark(document)
    else:
        return body
    document = {k: v for k, v in raw(body).items() if _keeps(k, wanted, choices)}
    return _mark(document)


def _mark(document: dict[str, Any]) -> bytes:
    meta = document.setdefault("meta", {})
    meta["tag"] = [*meta.get("tag", []), _SUBSETTED]
    return _encoder.encode(document)
