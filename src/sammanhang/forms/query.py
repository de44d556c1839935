"""x-fhir-query in a form, answered from the rows of an open record: never a way around the door.

`Observation?code=http://loinc.org|29463-7&_sort=-date&_count=1&patient={{%patient.id}}`. Understood: code, category,
status, clinical-status, type, class, date with prefix, _sort by date, _count, patient and subject. A query that
asks for anything else is answered by nothing, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from sammanhang.fhir.fhirpath import evaluate

from .values import compare

_FILL = re.compile(r"\{\{(.*?)\}\}")
_PREFIX = re.compile(r"^(eq|ne|ge|gt|le|lt)?(\d{4}.*)$")
_CODES = {
    "code": ("code", "medicationCodeableConcept", "vaccineCode"), "category": ("category",), "type": ("type",),
    "clinical-status": ("clinicalStatus",), "verification-status": ("verificationStatus",), "class": ("class",),
}  # fmt: skip
_DATES = (
    "effectiveDateTime", "authoredOn", "onsetDateTime", "occurrenceDateTime", "performedDateTime", "recordedDate",
    "authored", "date", "issued", "start",
)  # fmt: skip
_IGNORED = ("_include", "_revinclude", "_elements", "_summary", "_format", "_lastn")


def asked_type(text: str) -> str:
    """The resource type a query asks for."""
    found = re.match(r"^/?([A-Z][A-Za-z]+)", text)
    return found[1] if found else ""


def answer(
    text: str, rows: list[dict[str, Any]], contexts: Mapping[str, Any], notes: list[str]
) -> list[dict[str, Any]]:
    """The resources among `rows` that a query asks for."""
    filled = _FILL.sub(lambda m: _filled(m[1], contexts, notes), text)
    path, _sign, query = filled.partition("?")
    kind, _slash, id = path.lstrip("/").partition("/")
    found = [r for r in rows if r.get("resourceType") == kind and (not id or r.get("id") == id)]
    most = None
    for part in query.split("&") if query else ():
        name, _sign, value = part.partition("=")
        name, value = unquote(name), unquote(value)
        if name in _IGNORED or not value:
            continue
        if name == "_count":
            most = int(value) if value.isdigit() else None
        elif name == "_sort":
            found.sort(key=lambda r: time_of(r) or "", reverse=value.startswith("-"))
        elif name in ("patient", "subject"):
            patient = contexts.get("patient")
            if isinstance(patient, dict) and value.rpartition("/")[2] != patient.get("id"):
                return []
        elif name == "status":
            found = [r for r in found if r.get("status") in value.split(",")]
        elif name in _CODES:
            found = [r for r in found if any(_coded(r.get(m), value) for m in _CODES[name])]
        elif name in ("date", "authored", "recorded-date"):
            found = [r for r in found if _dated(time_of(r), value)]
        else:
            notes.append(f"{text}: a query by {name} is not understood")
            return []
    return found[:most] if most else found


def _filled(expression: str, contexts: Mapping[str, Any], notes: list[str]) -> str:
    try:
        found = evaluate(expression, {}, {**contexts})
    except Exception as e:  # the library raises many kinds
        notes.append(f"{expression}: {e}")
        return ""
    return str(found[0]) if found else ""


def _coded(told: Any, wanted: str) -> bool:
    """Whether a concept, coding, code or list of them has one of the codes: `system|code` or the code alone."""
    if isinstance(told, list):
        return any(_coded(t, wanted) for t in told)
    if isinstance(told, dict) and "coding" in told:
        return _coded(told["coding"], wanted)
    if isinstance(told, dict):
        for one in wanted.split(","):
            system, sign, code = one.rpartition("|")
            if told.get("code") == code and (
                not sign or not system or told.get("system") == system
            ):
                return True
        return False
    return isinstance(told, str) and told in wanted.split(",")


def time_of(r: dict[str, Any]) -> str | None:
    """The clinical time of a resource as it was written."""
    for name in _DATES:
        if isinstance(r.get(name), str):
            return str(r[name])
    for name in ("effectivePeriod", "period", "performedPeriod", "onsetPeriod"):
        if isinstance(r.get(name), dict) and r[name].get("start"):
            return str(r[name]["start"])
    return None


def _dated(time: str | None, wanted: str) -> bool:
    m = _PREFIX.match(wanted)
    if time is None or m is None:
        return False
    c = compare(time, m[2])
    how = m[1] or "eq"
    if how == "eq":
        return time.startswith(m[2]) or c == 0
    if c is None:
        return how in ("ge", "le")
    return {"ne": c != 0, "ge": c >= 0, "gt": c > 0, "le": c <= 0, "lt": c < 0}[how]
