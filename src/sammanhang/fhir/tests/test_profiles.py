"""Profiles: what a snapshot asks of a resource is asked, each rule on its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sammanhang.fhir.validator import Definitions, validate
from sammanhang.kernel.errors import Issue

HERE = "http://example.se/fhir/"
PATIENT = {"resourceType": "Patient"}
VITAL = "http://hl7.org/fhir/StructureDefinition/"


def profile(kind: str, *elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A StructureDefinition whose snapshot lists only what the test is about."""
    for e in elements:
        e.setdefault("path", ".".join(p.split(":")[0] for p in e["id"].split(".")))
    return {
        "resourceType": "StructureDefinition",
        "url": HERE + "StructureDefinition/p",
        "name": "P",
        "kind": "resource",
        "type": kind,
        "derivation": "constraint",
        "snapshot": {"element": [{"id": kind, "path": kind}, *elements]},
        **more,
    }


def faults(resource: dict[str, Any], *definitions: dict[str, Any]) -> list[Issue]:
    """Errors of a resource against the first of the definitions, the others known."""
    known = Definitions()
    for d in definitions:
        assert known.add(d)
    issues = validate(json.dumps(resource).encode(), [definitions[0]["url"]], definitions=known)
    return [i for i in issues if i.severity == "error"]


def places(resource: dict[str, Any], *definitions: dict[str, Any]) -> list[str]:
    return [i.expression for i in faults(resource, *definitions)]


def test_what_the_profile_requires_must_be_there_and_what_it_forbids_may_not() -> None:
    p = profile(
        "Patient",
        {"id": "Patient.birthDate", "min": 1, "max": "1", "type": [{"code": "date"}]},
        {"id": "Patient.photo", "min": 0, "max": "0", "type": [{"code": "Attachment"}]},
        {"id": "Patient.name", "min": 1, "max": "2", "type": [{"code": "HumanName"}]},
        {"id": "Patient.name.family", "min": 1, "max": "1", "type": [{"code": "string"}]},
    )
    good = {**PATIENT, "birthDate": "2000", "name": [{"family": "A"}]}
    assert faults(good, p) == []
    bad = {
        **PATIENT,
        "photo": [{"title": "x"}],
        "name": [{"family": "A"}, {"text": "B"}, {"family": "C"}],
    }
    assert sorted(places(bad, p)) == [
        "Patient.birthDate", "Patient.name", "Patient.name[1].family", "Patient.photo",
    ]  # fmt: skip


def test_fixed_is_all_and_pattern_is_at_least() -> None:
    coding = {"system": "urn:x:s", "code": "a"}
    fixed = profile(
        "Patient", {"id": "Patient.maritalStatus", "fixedCodeableConcept": {"coding": [coding]}}
    )
    pattern = profile(
        "Patient", {"id": "Patient.maritalStatus", "patternCodeableConcept": {"coding": [coding]}}
    )
    exact = {**PATIENT, "maritalStatus": {"coding": [coding]}}
    more = {
        **PATIENT,
        "maritalStatus": {"coding": [{"code": "b"}, {**coding, "display": "A"}], "text": "x"},
    }
    other = {**PATIENT, "maritalStatus": {"coding": [{**coding, "code": "b"}]}}
    assert faults(exact, fixed) == [] and faults(exact, pattern) == []
    assert places(more, fixed) == ["Patient.maritalStatus"] and faults(more, pattern) == []
    assert places(other, fixed) == places(other, pattern) == ["Patient.maritalStatus"]


def test_length_and_bounds() -> None:
    p = profile(
        "Patient",
        {"id": "Patient.birthDate", "minValueDate": "1900-01-01", "maxValueDate": "2100-01-01"},
        {"id": "Patient.language", "maxLength": 2},
        {"id": "Patient.multipleBirth[x]", "maxValueInteger": 8},
    )
    assert (
        faults({**PATIENT, "birthDate": "1950", "language": "sv", "multipleBirthInteger": 8}, p)
        == []
    )
    bad = {**PATIENT, "birthDate": "1850-05-05", "language": "sv-SE", "multipleBirthInteger": 9}
    assert sorted(places(bad, p)) == [
        "Patient.birthDate", "Patient.language", "Patient.multipleBirth.ofType(integer)",
    ]  # fmt: skip


def test_a_choice_may_be_narrowed_to_one_type() -> None:
    p = profile("Patient", {"id": "Patient.deceased[x]", "type": [{"code": "boolean"}]})
    assert faults({**PATIENT, "deceasedBoolean": True}, p) == []
    assert places({**PATIENT, "deceasedDateTime": "2020"}, p) == [
        "Patient.deceased.ofType(dateTime)"
    ]


def sliced(
    discriminator: dict[str, str], slices: list[dict[str, Any]], rules: str = "open", **more: Any
) -> dict[str, Any]:
    slicing = {"discriminator": [discriminator], "rules": rules, **more}
    return profile("Patient", {"id": "Patient.identifier", "slicing": slicing}, *slices)


BY_SYSTEM = [
    {"id": "Patient.identifier:pnr", "sliceName": "pnr", "min": 1, "max": "1"},
    {"id": "Patient.identifier:pnr.system", "min": 1, "max": "1", "patternUri": "urn:x:pnr"},
    {"id": "Patient.identifier:pnr.value", "min": 1, "max": "1"},
    {"id": "Patient.identifier:local", "sliceName": "local", "min": 0, "max": "2"},
    {"id": "Patient.identifier:local.system", "min": 1, "max": "1", "fixedUri": "urn:x:local"},
]  # fmt: skip


def identifiers(*systems: str) -> dict[str, Any]:
    return {**PATIENT, "identifier": [{"system": f"urn:x:{s}", "value": "1"} for s in systems]}


def test_slices_by_value() -> None:
    p = sliced({"type": "value", "path": "system"}, BY_SYSTEM)
    assert faults(identifiers("pnr", "local", "other"), p) == []
    assert places(identifiers("local"), p) == ["Patient.identifier"]
    assert places(identifiers("pnr", "pnr"), p) == ["Patient.identifier"]
    assert places(identifiers("pnr", "local", "local", "local"), p) == ["Patient.identifier"]
    without = {**PATIENT, "identifier": [{"system": "urn:x:pnr"}]}
    assert places(without, p) == ["Patient.identifier[0].value"]


@pytest.mark.parametrize(
    ("rules", "order", "expected"),
    [
        ("open", ("other", "pnr"), []),
        ("closed", ("other", "pnr"), ["Patient.identifier[0]"]),
        ("openAtEnd", ("pnr", "other"), []),
        ("openAtEnd", ("other", "pnr"), ["Patient.identifier[0]"]),
    ],
)
def test_slicing_rules(rules: str, order: tuple[str, ...], expected: list[str]) -> None:
    p = sliced({"type": "value", "path": "system"}, BY_SYSTEM, rules)
    assert places(identifiers(*order), p) == expected


def test_ordered_slices() -> None:
    p = sliced({"type": "value", "path": "system"}, BY_SYSTEM, ordered=True)
    assert faults(identifiers("pnr", "local"), p) == []
    assert places(identifiers("local", "pnr"), p) == ["Patient.identifier"]


def test_slices_by_existence() -> None:
    p = sliced(
        {"type": "exists", "path": "period"},
        [
            {"id": "Patient.identifier:past", "sliceName": "past", "min": 0, "max": "1"},
            {"id": "Patient.identifier:past.period", "min": 1, "max": "1"},
            {"id": "Patient.identifier:now", "sliceName": "now", "min": 1, "max": "1"},
            {"id": "Patient.identifier:now.period", "min": 0, "max": "0"},
        ],
    )
    assert (
        faults(
            {
                **PATIENT,
                "identifier": [{"value": "1"}, {"value": "2", "period": {"start": "2000"}}],
            },
            p,
        )
        == []
    )
    assert places({**PATIENT, "identifier": [{"value": "2", "period": {"start": "2000"}}]}, p) == [
        "Patient.identifier"
    ]


def test_slices_of_a_choice_by_type() -> None:
    p = profile(
        "Observation",
        {"id": "Observation.value[x]", "slicing": {"discriminator": [{"type": "type", "path": "$this"}], "rules": "closed"}},
        {"id": "Observation.value[x]:valueQuantity", "sliceName": "valueQuantity", "min": 0, "max": "1", "type": [{"code": "Quantity"}]},
        {"id": "Observation.value[x]:valueQuantity.code", "min": 1, "max": "1", "patternCode": "kg"},
    )  # fmt: skip
    base = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    unit = {"system": "http://unitsofmeasure.org"}
    assert faults({**base, "valueQuantity": {"value": 1, "code": "kg", **unit}}, p) == []
    assert places({**base, "valueQuantity": {"value": 1, "code": "g", **unit}}, p) == [
        "Observation.value.ofType(Quantity).code"
    ]
    assert places({**base, "valueString": "x"}, p) == ["Observation.value.ofType(string)"]


def test_slices_by_the_type_and_profile_of_what_is_referred_to() -> None:
    named = profile(
        "Organization",
        {"id": "Organization.name", "min": 1, "max": "1"},
        url=HERE + "StructureDefinition/named",
    )
    p = profile(
        "Patient",
        {"id": "Patient.generalPractitioner", "slicing": {"discriminator": [{"type": "profile", "path": "resolve()"}], "rules": "closed"}},
        {"id": "Patient.generalPractitioner:unit", "sliceName": "unit", "min": 0, "max": "1",
         "type": [{"code": "Reference", "targetProfile": [named["url"]]}]},
    )  # fmt: skip
    organization = {"resourceType": "Organization", "id": "o"}
    patient = {**PATIENT, "generalPractitioner": [{"reference": "#o"}]}
    assert faults({**patient, "contained": [{**organization, "name": "VC"}]}, p, named) == []
    assert "Patient.generalPractitioner[0]" in places(
        {**patient, "contained": [{**organization, "alias": ["VC"]}]}, p, named
    )


def test_a_slice_told_by_a_pattern_above_the_discriminated_element() -> None:
    bad = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2020-01-01",
        "valueQuantity": {"value": 60, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }  # fmt: skip
    issues = validate(json.dumps(bad).encode(), [VITAL + "heartrate"])
    assert "Observation.category" in {i.expression for i in issues if i.severity == "error"}
    good = json.loads(json.dumps(bad).replace("laboratory", "vital-signs"))
    assert not [
        i
        for i in validate(json.dumps(good).encode(), [VITAL + "heartrate"])
        if i.severity == "error"
    ]


def test_constraints_of_the_profile_are_asked() -> None:
    rule = {
        "key": "x-1",
        "severity": "error",
        "human": "en av dem",
        "expression": "name.exists() or identifier.exists()",
    }
    advice = {
        "key": "x-2",
        "severity": "warning",
        "human": "helst",
        "expression": "gender.exists()",
    }
    p = profile("Patient", {"id": "Patient.contact"})
    p["snapshot"]["element"][0]["constraint"] = [rule, advice]
    issues = validate(
        json.dumps({**PATIENT, "active": True}).encode(), [p["url"]], definitions=_with(p)
    )
    found = {(i.severity, i.en) for i in issues if "x-" in i.en}
    assert found == {
        ("error", "Rule x-1 is broken: en av dem"),
        ("warning", "Rule x-2 is broken: helst"),
    }


def _with(*definitions: dict[str, Any]) -> Definitions:
    known = Definitions()
    for d in definitions:
        known.add(d)
    return known


def extension(**more: Any) -> dict[str, Any]:
    return profile(
        "Extension",
        {"id": "Extension.extension", "min": 0, "max": "0"},
        {"id": "Extension.url", "min": 1, "max": "1", "fixedUri": HERE + "StructureDefinition/e"},
        {"id": "Extension.value[x]", "min": 1, "max": "1", "type": [{"code": "boolean"}]},
        url=HERE + "StructureDefinition/e",
        context=[{"type": "element", "expression": "Patient"}, {"type": "element", "expression": "HumanName.family"}],
        **more,
    )  # fmt: skip


def test_extensions_are_held_to_their_definition() -> None:
    e = extension()
    url, known = e["url"], _with(e)

    def errors(resource: dict[str, Any]) -> list[str]:
        found = validate(json.dumps(resource).encode(), definitions=known)
        return [i.expression for i in found if i.severity == "error"]

    assert errors({**PATIENT, "extension": [{"url": url, "valueBoolean": True}]}) == []
    assert (
        errors(
            {**PATIENT, "name": [{"_family": {"extension": [{"url": url, "valueBoolean": True}]}}]}
        )
        == []
    )
    assert errors({**PATIENT, "extension": [{"url": url, "valueString": "x"}]}) == [
        "Patient.extension[0].value.ofType(string)"
    ]
    assert errors({**PATIENT, "name": [{"extension": [{"url": url, "valueBoolean": True}]}]}) == [
        "Patient.name[0].extension[0]"
    ]
    assert errors({**PATIENT, "modifierExtension": [{"url": url, "valueBoolean": True}]}) == []


def test_a_modifier_stands_among_modifiers() -> None:
    e = extension()
    e["snapshot"]["element"][0]["isModifier"] = True
    found = validate(
        json.dumps({**PATIENT, "extension": [{"url": e["url"], "valueBoolean": True}]}).encode(),
        definitions=_with(e),
    )
    assert [i.expression for i in found if i.severity == "error"] == ["Patient.extension[0]"]


def test_an_unknown_profile_and_an_unknown_extension_are_told() -> None:
    body = json.dumps(
        {
            **PATIENT,
            "meta": {"profile": ["http://x.se/p"]},
            "extension": [{"url": "http://x.se/e", "valueCode": "c"}],
        }
    ).encode()
    told = {(i.severity, i.code) for i in validate(body) if "x.se" in i.en}
    assert told == {("warning", "not-found")}
    (asked,) = [
        i for i in validate(b'{"resourceType":"Patient"}', ["http://x.se/p"]) if "x.se" in i.en
    ]
    assert (asked.severity, asked.code) == ("error", "not-found")


def test_a_profile_for_another_type_is_refused() -> None:
    p = profile("Observation")
    assert places(PATIENT, p) == ["Patient"]


def test_profiles_claimed_inside_a_bundle_are_asked_too() -> None:
    p = profile("Patient", {"id": "Patient.birthDate", "min": 1, "max": "1"})
    inner = {**PATIENT, "meta": {"profile": [p["url"]]}, "active": True}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    found = validate(json.dumps(bundle).encode(), definitions=_with(p))
    assert [i.expression for i in found if i.severity == "error"] == [
        "Bundle.entry[0].resource.birthDate"
    ]


def test_two_profiles_that_lead_to_each_other_do_not_go_round_for_ever() -> None:
    p = profile("Patient", {"id": "Patient.link", "path": "Patient.link"},
                {"id": "Patient.link.other", "type": [{"code": "Reference", "targetProfile": [HERE + "StructureDefinition/p"]}]})  # fmt: skip
    patient = {
        **PATIENT,
        "contained": [
            {
                "resourceType": "Patient",
                "id": "a",
                "link": [{"other": {"reference": "#"}, "type": "seealso"}],
            }
        ],
        "link": [{"other": {"reference": "#a"}, "type": "seealso"}],
    }
    assert faults(patient, p) == []
