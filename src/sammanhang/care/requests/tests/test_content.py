"""The rules and forms of care requests do what their cases say, and every one of them has cases."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from sammanhang import forms
from sammanhang.care.requests.request import new_request
from sammanhang.care.requests.support import Evidence, remarks, suggestions
from sammanhang.fhir.fhirpath import evaluate
from sammanhang.fhir.r4 import Reference
from sammanhang.forms import answers
from sammanhang.forms.library import known, of_content
from sammanhang.forms.show import FieldView
from sammanhang.kernel import clock, i18n
from sammanhang.kernel.content import FOLDER, content

SUPPORT = content("requests/support")
CASES = content("requests/support.cases")["cases"]
FORMS = [n for n in known() if n.startswith("vardbegaran-")]
RULES = {r["id"]: r for r in (*SUPPORT["suggest"], *SUPPORT["point_out"])}


def told(name: str) -> Any:
    return json.loads((FOLDER / "forms" / f"{name}.cases.json").read_text("utf-8"))


def ago(days: float) -> str:
    return (clock.today() - timedelta(days=days)).isoformat()


def observed(code: str, value: Any, days: float = 1, unit: str = "") -> dict[str, Any]:
    told_as = (
        {"valueInteger": value}
        if isinstance(value, int)
        else {"valueCodeableConcept": {"text": value}}
    )
    return {"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": code}]}, "effectiveDateTime": ago(days),
            **({"valueQuantity": {"value": value, "unit": unit}} if unit else told_as)}  # fmt: skip


def evidence_in(given: dict[str, Any]) -> Evidence:
    """The short form of a case as the resources the rules see."""
    near = [
        {"name": [{"text": n}], "telecom": [{"system": "phone", "value": "070"}]}
        for n in given.get("near", ())
    ]
    today = clock.today()
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "birthDate": today.replace(year=today.year - given["age"]).isoformat(),
    }
    if given.get("registered"):
        patient["contact"] = [{"name": {"text": n}} for n in given["registered"]]

    def conditions(codes: Any, state: str) -> list[Any]:
        return [
            {
                "resourceType": "Condition",
                "code": {"coding": [{"code": c}]},
                "clinicalStatus": {"coding": [{"code": state}]},
            }
            for c in codes
        ]

    def medicines(codes: Any, status: str) -> list[Any]:
        return [
            {
                "resourceType": "MedicationRequest",
                "status": status,
                "medicationCodeableConcept": {"coding": [{"code": c}]},
            }
            for c in codes
        ]

    return Evidence({
        "patient": patient,
        "conditions": conditions(given.get("diagnoses", ()), "active") + conditions(given.get("ended", ()), "resolved"),
        "medications": medicines(given.get("medicines", ()), "active") + medicines(given.get("stopped", ()), "stopped"),
        "flags": [], "allergies": [], "contacts": [{"resourceType": "RelatedPerson", **n} for n in near],
        "observations": [observed(c, v, d) for c, (v, d) in given.get("assessed", {}).items()]
        + [observed(c, v, unit="mL/min") for c, v in given.get("results", {}).items()],
    })  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['rule']}: {c['name']}")
def test_a_rule_says_what_its_case_says(
    case: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = evidence_in(case["given"])
    rule = RULES[case["rule"]]
    if rule in SUPPORT["suggest"]:
        said = {s.rule: s for s in suggestions(found, [rule["kind"]])}
        if case.get("because"):
            assert said[case["rule"]].because == case["because"]
        assert (case["rule"] in said) is case["says"]
    else:
        request = new_request("x", case["kind"], Reference(display="x"), clock.now())
        request.priority = case["given"].get("priority", "urgent")
        assert (case["rule"] in {r.rule for r in remarks(found, request, case["kind"])}) is case[
            "says"
        ]
    assert caplog.records == []  # a rule that cannot be evaluated is a fault here


def test_every_rule_has_a_case_where_it_says_and_one_where_it_does_not() -> None:
    tried = {(c["rule"], c["says"]) for c in CASES}
    assert tried == {(id, says) for id in RULES for says in (True, False)}


def test_the_evidence_is_something_a_reader_can_look_up() -> None:
    for rule in content("requests/support")["suggest"]:
        assert "underlag" not in rule["evidence"].lower()


def test_a_rule_that_cannot_be_evaluated_stands_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sammanhang.care.requests import support

    broken = {"suggest": [], "point_out": [{**SUPPORT["point_out"][0], "when": "%nothing.where(("}]}
    monkeypatch.setattr(support, "content", lambda name: broken)
    request = new_request("x", "hemsjukvard", Reference(display="x"), clock.now())
    assert remarks(evidence_in({"age": 80}), request, "hemsjukvard") == []


@pytest.mark.parametrize("name", FORMS)
def test_the_least_that_may_be_sent_has_no_faults_and_each_required_answer_has_its_own(
    name: str,
) -> None:
    i18n.use("sv")
    form, case = of_content(name), told(name)
    assert form is not None
    required = {link for link, item in form.index.items() if item.required}
    assert required == set(case["complete"])

    def faults(fields: dict[str, str]) -> list[str]:
        given = [(f"form.{k}", v) for k, v in fields.items()]
        return [f.expression for f in forms.check(form, answers.read(form, given))]

    assert faults(case["complete"]) == []
    for link in required:
        assert faults({k: v for k, v in case["complete"].items() if k != link}) == [link]
    for wrong in case["wrong"]:
        assert wrong["link"] in faults({**case["complete"], wrong["link"]: wrong["answer"]}), wrong


@pytest.mark.parametrize("name", FORMS)
async def test_the_record_fills_in_what_it_knows_with_source_and_date(
    name: str, services: Any
) -> None:
    from sammanhang.access.actor import Actor
    from sammanhang.forms import drafts

    i18n.use("sv")
    form, case = of_content(name), told(name)
    assert form is not None
    for patient, expected in case["prefill"].items():
        record = await services.doors.open_record(
            Actor("resident", f"Patient/{patient}", "Själv", 3), patient
        )
        shown = {f.link: f for f in _all(drafts.show(await drafts.open(record, form)).fields)}
        for link, what in expected.items():
            assert what["holds"] in shown[link].typed[0], link
            assert (
                shown[link].source.startswith("Från journalen")
                and what["source"] in shown[link].source
            ), link
        unsaid = {link for link, item in form.index.items() if "initial" in item.expressions} - set(
            expected
        )
        assert unsaid <= {"tolk", "hushall", "vikt"}, unsaid


@pytest.mark.parametrize("name", FORMS)
def test_medicines_tell_their_dose_and_allergies_what_they_do(name: str) -> None:
    form = of_content(name)
    assert form is not None
    if "lakemedel" not in form.index:
        return
    dosed = {"dosageInstruction": [{"text": "1 tablett kl 8"}, {"text": "2 kl 20"}]}
    penicillin = {"code": {"text": "Penicillin"}, "criticality": "high"}
    reaction = {"reaction": [{"manifestation": [{"text": "Anafylaxi"}]}]}
    given = {
        "medications": [
            {"resourceType": "MedicationRequest", "status": "active", "medicationCodeableConcept": {"coding": [{"display": "Furosemid"}]}, **dosed},
            {"resourceType": "MedicationStatement", "status": "on-hold", "medicationCodeableConcept": {"text": "Waran"}, "dosage": [{"text": "enligt lista"}]},
            {"resourceType": "MedicationRequest", "status": "active", "medicationReference": {"display": "Alvedon"}},
        ],
        "allergies": [
            {"resourceType": "AllergyIntolerance", **penicillin, **reaction},
            {"resourceType": "AllergyIntolerance", "code": {"coding": [{"display": "Jordnöt"}]}, "criticality": "low"},
        ],
    }  # fmt: skip
    asked = [form.index[i].expressions["initial"].text for i in ("lakemedel", "overkanslighet")]
    medicines, allergies = [evaluate(e, {"resourceType": "Patient"}, given) for e in asked]
    assert medicines == [
        "Furosemid: 1 tablett kl 8, 2 kl 20; Waran: enligt lista (tillfälligt uppehåll); Alvedon"
    ]
    assert allergies == ["Penicillin (anafylaxi, livshotande), Jordnöt"]


def _all(fields: tuple[FieldView, ...]) -> list[FieldView]:
    return [g for f in fields for g in (f, *_all(f.fields))]


def test_every_kind_has_a_form_of_its_own_with_cases() -> None:
    wanted = {k["form"] for k in content("routing/requests")["kinds"].values()}
    assert wanted == set(FORMS)
    assert all(told(n)["form"] == n for n in FORMS)


def test_every_kind_says_what_its_first_visit_is_called() -> None:
    for key, kind in content("routing/requests")["kinds"].items():
        assert kind["visit"]["sv"] and kind["visit"]["en"], key
