"""Every search parameter of every resource type answers: searched, sorted by, missing, modified."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from sammanhang.rest.tests.api import Api
from sammanhang.store.search.parameters import Parameter, offered, parameter
from sammanhang.store.search.parse import MODIFIERS
from sammanhang.store.types import TYPES

VALUES = {
    "token": "http://example.org/s|c",
    "date": "ge2024-01",
    "string": "Ann%_'\"",
    "number": "lt5.0",
    "quantity": "5.4|http://unitsofmeasure.org|mg",
    "uri": "http://example.org/u",
}
MODIFIED = {
    "in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "not-in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "above": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB",
    "below": "http://terminology.hl7.org/CodeSystem/v3-ActCode|_ActEncounterCode",
    "of-type": "http://terminology.hl7.org/CodeSystem/v2-0203|MR|123",
    "missing": "true",
    "identifier": "http://example.org/s|c",
}
PARTS = [TYPES[i::8] for i in range(8)]


def value(p: Parameter) -> str:
    """A well-formed value of a parameter."""
    if p.kind == "reference":
        return (
            "Patient/1"
            if {"Patient", "Resource"} & set(p.targets)
            else f"{(*p.targets, 'Group')[0]}/1"
        )
    if p.kind == "composite":
        part = p.parts[0]
        kinds = [k for k, _ in part] if isinstance(part[0], tuple) else part[1]
        return "$".join(VALUES.get(k, "Patient/1") for k in kinds)
    return VALUES[p.kind]


async def answers(fhir: Api, type_name: str, query: str) -> str | None:
    """None when a search is answered, else what went wrong."""
    reply = await fhir.get(f"{type_name}?{query}", prefer="handling=strict")
    if reply.status != 200:
        return f"{type_name}?{query}: {reply.status} {reply.content[:160]!r}"
    outcome = [e for e in reply.json.get("entry", []) if e["search"]["mode"] == "outcome"]
    return f"{type_name}?{query}: reported {outcome}" if outcome else None


@pytest.mark.parametrize("part", range(8))
async def test_every_parameter_can_be_searched(fhir: Api, part: int) -> None:
    faults = []
    for type_name in PARTS[part]:
        for code in offered(type_name):
            p = parameter(type_name, code)
            assert p is not None
            faults.append(await answers(fhir, type_name, f"{code}={quote(value(p))}"))
    assert [f for f in faults if f] == []


@pytest.mark.parametrize("part", range(8))
async def test_every_parameter_can_be_sorted_by(fhir: Api, part: int) -> None:
    faults = []
    for type_name in PARTS[part]:
        codes = [
            c
            for c in offered(type_name)
            if (p := parameter(type_name, c)) and p.kind != "composite"
        ]
        for a, b in zip(codes, [*codes[1:], codes[0]], strict=True):
            faults.append(await answers(fhir, type_name, f"_sort={a},-{b}"))
    assert [f for f in faults if f] == []


@pytest.mark.parametrize("part", range(8))
async def test_every_parameter_takes_missing(fhir: Api, part: int) -> None:
    faults = []
    for type_name in PARTS[part]:
        for code in offered(type_name):
            if code not in ("_id", "_lastUpdated"):
                faults.append(
                    await answers(fhir, type_name, f"{code}:missing=true&{code}:missing=false")
                )
    assert [f for f in faults if f] == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
async def test_every_parameter_takes_its_modifiers(fhir: Api, part: int) -> None:
    faults = []
    for type_name in PARTS[part]:
        for code in offered(type_name):
            p = parameter(type_name, code)
            assert p is not None
            for modifier in sorted(MODIFIERS.get(p.kind, set()) - {"missing", "type"}):
                if code in ("_id", "_lastUpdated"):
                    continue
                v = value(p) if p.kind in ("uri", "string") else MODIFIED.get(modifier, value(p))
                faults.append(await answers(fhir, type_name, f"{code}:{modifier}={quote(v)}"))
    assert [f for f in faults if f] == []
