"""HL7's FHIRPath suite for R4 (`fhirpath/tests-fhir-r4.xml`), run through `sammanhang.fhir.fhirpath`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from lxml import etree

from sammanhang.fhir import fhirpath

from . import xml_resources
from .sources import SHARED, Outcome

FOLDER = SHARED / "fhirpath"


@cache
def _input(name: str) -> dict[str, Any]:
    """An input resource: the JSON twin where others wrote one, else the XML."""
    twin = (FOLDER / name).with_suffix(".json")
    if twin.exists():
        return json.loads(twin.read_bytes(), parse_float=Decimal)
    return xml_resources.resource((FOLDER / name).read_bytes())


def run() -> Iterator[Outcome]:
    """Every expression of the suite."""
    tree = etree.parse(str(FOLDER / "tests-fhir-r4.xml"))
    for number, test in enumerate(tree.iter("test"), 1):
        name = f"{test.getparent().get('name')}/{test.get('name')} ({number})"
        fault = _fault(test)
        yield Outcome(name, fault is None, fault or "")


def _fault(test: Any) -> str | None:
    """Why a test does not pass; None when it does."""
    node = test.find("expression")
    expression, invalid = node.text or "", node.get("invalid")
    value = _input(test.get("inputfile")) if test.get("inputfile") else {}
    try:
        found = fhirpath.evaluate(expression, value, {"resource": value, "rootResource": value})
    except Exception as e:
        if invalid:
            return None
        return f"raises {type(e).__name__}: {str(e)[:80]}"
    if invalid:
        return f"should be refused ({invalid}), gives {_shown(found)}"
    if test.get("predicate") == "true":
        found = [bool(found)]
    outputs = test.findall("output")
    wanted = [o.text or "" for o in outputs]
    if len(found) != len(outputs):
        return f"gives {_shown(found)}, expected {wanted}"
    pairs = list(zip(found, outputs, strict=True))
    if all(_same(a, o.get("type"), o.text or "") for a, o in pairs):
        return None
    if test.get("ordered") == "false" and sorted(map(str, found)) == sorted(wanted):
        return None
    return f"gives {_shown(found)}, expected {wanted}"


def _shown(found: list[Any]) -> str:
    return "[" + ", ".join(str(f)[:40] for f in found[:4]) + (", …" if len(found) > 4 else "") + "]"


def _same(found: Any, kind: str | None, wanted: str) -> bool:
    if kind is None:  # the type is in the way the value is written
        kind = (
            "boolean" if wanted in ("true", "false") else "dateTime" if wanted[:1] == "@" else None
        )
    if kind == "boolean":
        return found is (wanted == "true")
    if kind in ("integer", "decimal"):
        try:
            return not isinstance(found, bool) and Decimal(str(found)) == Decimal(wanted)
        except InvalidOperation:
            return False
    if kind in ("date", "dateTime", "time", "instant"):
        text, wanted = str(found).lstrip("@T"), wanted.lstrip("@T")
        return text == wanted or text.replace("Z", "+00:00") == wanted.replace("Z", "+00:00")
    return str(found) == wanted
