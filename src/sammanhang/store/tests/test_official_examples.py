"""The official examples, stored through the API and found again by what they hold.

What must be found is worked out from the official SearchParameter expressions with fhirpathpy, which
shares no code with the generated extraction.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sammanhang.fhir.fhirpath import evaluate
from sammanhang.rest.tests.api import Api
from sammanhang.store.search.parameters import parameter
from sammanhang.store.types import NUMBER

EXAMPLES = Path(__file__).parents[4] / "node_modules" / "hl7.fhir.r4.examples"
DEFINITIONS = {
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "SearchParameter",
    "ConceptMap",
    "OperationDefinition",
}
PARTS = 4
LARGEST = 150_000
# Values the expression gives and the index leaves out, with the reason.
LEFT_OUT = {
    ("ConceptMap", "source-uri"),  # a canonical counts as uri in FHIRPath; `source` finds it
    ("ConceptMap", "target-uri"),
    ("CarePlan", "activity-date"),  # the examples write a date in scheduledString, which is text
}
# Examples that break the specification they illustrate.
FAULTY = {
    "DeviceMetric-example.json", "DeviceUseStatement-example.json", "MedicationRequest-medrx0301.json",
    "Observation-clinical-gender.json", "Questionnaire-qs1.json",
    # a narrative of white space only, which txt-2 forbids
    "ActivityDefinition-blood-tubes-supply.json", "ActivityDefinition-heart-valve-replacement.json",
    "EventDefinition-example.json", "Questionnaire-zika-virus-exposure-assessment.json",
    # valid, and refused because they ask for what is not offered: subscriptions by a search instead of a topic
    "Subscription-example.json", "Subscription-example-error.json",
}  # fmt: skip
_TARGET = re.compile(r"\.where\(\s*resolve\(\) is (\w+)\s*\)")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T.*)?)?)?")


def sample() -> list[Path]:
    """About 700 examples: all of clinical types, a few of each kind of definition."""
    taken: dict[str, int] = defaultdict(int)
    found = []
    for path in sorted(EXAMPLES.glob("*-*.json")):
        kind = path.name.split("-")[0]
        if kind not in NUMBER or path.stat().st_size > LARGEST:
            continue
        taken[kind] += 1
        if taken[kind] <= (5 if kind in DEFINITIONS else 45):
            found.append(path)
    return found


@cache
def expressions() -> dict[str, dict[str, str]]:
    """type → code → expression, for parameters of the base specification."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in EXAMPLES.glob("SearchParameter-*.json"):
        p = json.loads(path.read_text("utf-8"))
        if not p["url"].startswith("http://hl7.org/fhir/SearchParameter/") or "expression" not in p:
            continue
        for base in p["base"]:
            known = parameter(base, p["code"]) if base in NUMBER else None
            if known is not None and known.kind == p["type"] != "composite":
                parts = [x.strip() for x in p["expression"].split(" | ")]
                mine = [x for x in parts if re.match(rf"\(?{base}\b", x)]
                if mine:
                    found[base][p["code"]] = " | ".join(mine)
    return found


def escaped(text: Any) -> str:
    return quote(re.sub(r"([\\,$|])", r"\\\1", str(text)), safe="")


def queries(kind: str, value: Any) -> list[str]:
    """Ways a value must be found by a parameter of this kind."""
    if value is None or value == "":
        return []
    if isinstance(value, bool):
        return ["true" if value else "false"] if kind == "token" else []
    if isinstance(value, int | float | Decimal):
        return [str(value)] if kind == "number" else []
    if isinstance(value, str):
        if kind == "date":
            return [quote(value, safe=""), f"ge{value[:4]}"] if _DATE.fullmatch(value) else []
        if kind == "string":
            return [escaped(value[:900])] if value.strip() else []
        return [escaped(value)] if kind in ("token", "uri", "reference") else []
    if not isinstance(value, dict):
        return []
    if kind == "token":
        if "coding" in value:
            return [q for c in value["coding"] for q in queries(kind, c)]
        code = value.get("code", value.get("value"))
        if not isinstance(code, str):
            return []
        system = value.get("system", "")
        if "rank" in value or (
            "use" in value and system in ("phone", "email", "fax", "url", "sms")
        ):
            return [escaped(code)]
        return [escaped(code), f"{escaped(system)}|{escaped(code)}"]
    if kind == "reference":
        text = value.get("reference", "")
        return [escaped(text)] if text and not text.startswith("#") else []
    if kind == "date" and ("start" in value or "end" in value):
        return [f"ge{value['start'][:4]}"] if "start" in value else [f"le{value['end'][:4]}"]
    if kind == "string":
        texts = [value.get(k) for k in ("family", "text", "city", "country", "postalCode")]
        texts += [*value.get("given", []), *value.get("line", [])]
        return [escaped(t) for t in texts if isinstance(t, str) and t.strip()]
    if kind == "quantity" and "value" in value and "comparator" not in value:
        number = value["value"]
        if "currency" in value:
            return [str(number)]
        return [
            str(number),
            f"{number}|{escaped(value.get('system', ''))}|{escaped(value.get('code', value.get('unit', '')))}",
        ]
    return []


def expected(resource: dict[str, Any]) -> list[str]:
    """`code=value` for everything the resource must be found by."""
    kind = resource["resourceType"]
    found = []
    for code, expression in expressions()[kind].items():
        p = parameter(kind, code)
        assert p is not None
        target = _TARGET.search(expression)
        plain = _TARGET.sub("", expression)
        if "resolve()" in plain or (kind, code) in LEFT_OUT:
            continue
        try:
            values = evaluate(plain, resource)
        except Exception:
            continue  # an expression fhirpathpy cannot run proves nothing either way
        mine: list[str] = []
        for value in values[:3]:
            if target and not (
                isinstance(value, dict) and f"{target[1]}/" in value.get("reference", "")
            ):
                continue
            mine += [f"{code}={q}" for q in queries(p.kind, value)]
        found += mine[:3]
    return list(dict.fromkeys(found))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_example_is_found_by_what_it_holds(fhir: Api, part: int) -> None:
    if not EXAMPLES.exists():
        pytest.skip("node_modules is not here")
    stored = searched = 0
    refused, missed = [], []
    for path in sample()[part::PARTS]:
        body = path.read_bytes()
        resource = json.loads(body, parse_float=Decimal)
        kind, id = resource["resourceType"], resource.get("id")
        if id is None:
            continue
        reply = await fhir.put(f"{kind}/{id}", body)
        if reply.status not in (200, 201):
            if path.name not in FAULTY:
                refused.append(f"{path.name}: {reply.content[:300]!r}")
            continue
        stored += 1
        for query in expected(resource):
            searched += 1
            found = await fhir.get(f"{kind}?_id={id}&{query}", prefer="handling=strict")
            if found.status != 200 or found.ids != [id]:
                missed.append(f"{kind}/{id}?{query[:160]} → {found.status}")
    print(f"{stored} stored, {searched} searches, {len(missed)} missed, {len(refused)} refused")
    assert refused == []
    assert missed == []
    assert stored > 100 and searched > 1000
    # and with real data in place: everything can be missing, and sorted by
    for kind in sorted({p.name.split("-")[0] for p in sample()[part::PARTS]}):
        for code in expressions()[kind]:
            for query in (f"{code}:missing=false", f"_sort={code}"):
                reply = await fhir.get(f"{kind}?{query}&_count=5")
                assert reply.status == 200, (kind, query, reply)
