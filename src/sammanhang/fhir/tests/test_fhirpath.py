"""FHIRPath as the project uses it: types, environment, `resolve()`, and many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from sammanhang.fhir.fhirpath import evaluate, parsed, truth

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "VC"}],
    "managingOrganization": {"reference": "#o"},
    "name": [{"family": "A", "given": ["B", "C"]}],
    "multipleBirthInteger": 2,
    "birthDate": "2000-05",
}


def env(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "rootResource": resource}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("managingOrganization.resolve().name", ["VC"]),
        ("multipleBirth", [2]),
        ("multipleBirth.ofType(integer) + 1", [3]),
        ("name.given.count()", [2]),
        ("%resource.name.family", ["A"]),
        ("%`vs-administrative-gender`", ["http://hl7.org/fhir/ValueSet/administrative-gender"]),
        ("%`ext-patient-birthTime`", ["http://hl7.org/fhir/StructureDefinition/patient-birthTime"]),
        ("%ucum", ["http://unitsofmeasure.org"]),
        ("birthDate.lowBoundary()", ["2000-05-01"]),
        ("birthDate.highBoundary()", ["2000-05-31"]),
        ("(1.20).lowBoundary()", [Decimal("1.19500000")]),
        ("1.20.toString()", ["1.20"]),
        ("@2020-01", ["2020-01"]),
        ("true.toString()", ["true"]),
        ("birthDate.hasValue()", [True]),
        ("name.trace('x').family", ["A"]),
    ],
)
def test_expressions(
    expression: str, expected: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(expression, PATIENT, env(PATIENT)) == expected
    assert capsys.readouterr().out == ""  # trace() is for debugging and never prints here


def test_decimals_keep_their_value() -> None:
    observation = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("72.50")}}
    (found,) = evaluate("value.value", observation)
    assert str(found) == "72.50"
    assert evaluate("value.value = 72.5", observation) == [True]


def test_references_inside_a_bundle_resolve() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p", "active": True}},
            {"fullUrl": "http://x.se/fhir/Observation/2",
             "resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}},
        ],
    }  # fmt: skip
    path = "entry.resource.ofType(Observation).subject.resolve().active"
    assert evaluate(path, bundle, env(bundle)) == [True]


def test_an_element_is_evaluated_as_its_type() -> None:
    extension = {"url": "u", "valueString": "x"}
    assert evaluate("value.exists()", extension, base="Extension") == [True]
    assert (
        truth("extension.exists() != value.exists()", extension, PATIENT, base="Extension") is True
    )


def test_what_cannot_be_evaluated_is_neither_true_nor_false() -> None:
    assert truth("name.noSuchFunction()", PATIENT, PATIENT) is None
    assert truth("name.memberOf('x')", PATIENT, PATIENT) is None
    assert truth("name.where(", PATIENT, PATIENT) is None
    assert truth("photo", PATIENT, PATIENT) is False
    assert truth("name.exists()", PATIENT, PATIENT) is True


def test_an_expression_is_parsed_once() -> None:
    assert parsed("name.given")[0] is parsed("name.given")[0]


def test_threads_do_not_disturb_each_other() -> None:
    def one(n: int) -> list[Any]:
        patient = {
            "resourceType": "Patient",
            "name": [{"given": [str(n)] * (n % 7 + 1)}],
            "multipleBirthInteger": n,
        }
        return evaluate("%resource.name.given.count() + multipleBirth", patient, env(patient))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(400)))
    assert found == [[n % 7 + 1 + n] for n in range(400)]
