"""Decision support for who writes a request (M92): which kind the record speaks for, what is missing in it and
what contradicts itself. The rules are content (`content/requests/support`), FHIRPath over what the door lets see.

A rule that cannot be evaluated says nothing and is logged: support never stands in the way of a request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.decode import encode, raw
from sammanhang.fhir.fhirpath import evaluate
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import either

# What the rules see of the record; a bounded number of each.
READS = (
    "Condition",
    "MedicationRequest",
    "MedicationStatement",
    "Flag",
    "AllergyIntolerance",
    "RelatedPerson",
)
MOST = 400
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A kind of request that the record speaks for: why, on what evidence, and the rule."""

    kind: str
    says: str
    because: str
    evidence: str
    rule: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something missing (`missing`) or contradictory (`contradiction`); `do` is a page of the patient that mends it."""

    says: str
    weight: str
    do: str
    rule: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules are given: resources by name, as JSON values."""

    named: dict[str, Any]


async def evidence(record: Record) -> Evidence:
    """Reads what the rules see; two queries."""
    rows = await record.resources(*READS, limit=MOST)
    observations = await record.resources("Observation", limit=MOST)
    return evidence_of(record.patient, rows, observations)


def evidence_of(patient: Any, rows: Iterable[Stored], observations: Iterable[Stored]) -> Evidence:
    """The same from rows that have been read already, the newest first."""
    by_type: dict[str, list[Any]] = {}
    for row in rows:
        by_type.setdefault(row.type, []).append(raw(row.body))
    return Evidence(
        {
            "patient": raw(encode(patient)),
            "conditions": by_type.get("Condition", []),
            "medications": [*by_type.get("MedicationRequest", []), *by_type.get("MedicationStatement", [])],
            "flags": by_type.get("Flag", []),
            "allergies": by_type.get("AllergyIntolerance", []),
            "contacts": by_type.get("RelatedPerson", []),
            "observations": _latest(observations),
        }
    )  # fmt: skip


def _latest(rows: Iterable[Stored]) -> list[Any]:
    """The latest observation of each code."""
    seen: dict[tuple[str, str], Any] = {}
    for row in rows:
        body = raw(row.body)
        codings = body.get("code", {}).get("coding") or [{}]
        key = (
            codings[0].get("system", ""),
            codings[0].get("code", "") or body.get("code", {}).get("text", ""),
        )
        if body.get("status") not in ("entered-in-error", "cancelled"):
            seen.setdefault(key, body)
    return list(seen.values())


def suggestions(found: Evidence, kinds: Iterable[str]) -> list[Suggestion]:
    """The kinds the record speaks for, of those one may send."""
    allowed = set(kinds)
    made = []
    for rule in content("requests/support")["suggest"]:
        if rule["kind"] in allowed and _true(rule, found):
            because = _ask(rule["because"], found, rule["id"])
            made.append(
                Suggestion(
                    rule["kind"], either(rule["sv"], rule["en"]), str(because[0]) if because else "", rule["evidence"], rule["id"]
                )
            )  # fmt: skip
    return made


def remarks(found: Evidence, request: Any, kind: str) -> list[Remark]:
    """What is missing and what contradicts itself in a request of a kind; contradictions first."""
    with_request = Evidence({**found.named, "request": raw(encode(request))})
    made = [
        Remark(either(rule["sv"], rule["en"]), rule["weight"], rule.get("do", ""), rule["id"])
        for rule in content("requests/support")["point_out"]
        if (not rule["kinds"] or kind in rule["kinds"]) and _true(rule, with_request)
    ]
    return sorted(made, key=lambda r: r.weight)


def _true(rule: Any, found: Evidence) -> bool:
    answer = _ask(rule["when"], found, rule["id"])
    return bool(answer) and answer[0] is True


def _ask(expression: str, found: Evidence, rule: str) -> list[Any]:
    try:
        return evaluate(expression, found.named["patient"], found.named)
    except Exception as e:
        log.warning("the rule %s cannot be evaluated: %s", rule, type(e).__name__)
        return []
