"""Forms over the API: filled in from the record, checked, and turned into resources."""

from __future__ import annotations

from typing import Any

from .api import Api, patient

CODES = "http://sammanhang.se/fhir/CodeSystem/downton"
URL = "http://sammanhang.se/fhir/Questionnaire/downton|1.0.0"
CHOSEN = {"tidigare-fall": "fall-ja", "lakemedel": "diuretika", "sinnen": "syn", "orientering": "orienterad", "gang": "gang-osaker"}  # fmt: skip


def response(**more: Any) -> dict[str, Any]:
    items = [
        {"linkId": k, "answer": [{"valueCoding": {"system": CODES, "code": v}}]}
        for k, v in CHOSEN.items()
    ]
    return {"resourceType": "QuestionnaireResponse", "questionnaire": URL, "status": "completed", "subject": {"reference": "Patient/fo1"}, "authored": "2026-11-22T14:05:00+01:00", "item": items, **more}  # fmt: skip


async def test_a_form_is_filled_in_from_the_record(fhir: Api) -> None:
    medicine = {
        "coding": [{"system": "http://www.whocc.no/atc", "code": "C03CA01"}],
        "text": "Furosemid",
    }
    await fhir.store(
        patient("fo1", birthDate="1937-11-04"),
        {"resourceType": "MedicationRequest", "id": "fo1-m", "status": "active", "intent": "order", "subject": {"reference": "Patient/fo1"}, "medicationCodeableConcept": medicine},
    )  # fmt: skip
    asked = {"resourceType": "Parameters", "parameter": [{"name": "canonical", "valueUri": URL}, {"name": "subject", "valueReference": {"reference": "Patient/fo1"}}]}  # fmt: skip
    reply = await fhir.post("Questionnaire/$populate", asked)
    assert reply.status == 200, reply.content
    made = reply.json["parameter"][0]["resource"]
    assert made["questionnaire"] == URL and made["subject"]["reference"] == "Patient/fo1"
    (item,) = [i for i in made["item"] if i["linkId"] == "lakemedel"]
    assert item["answer"][0]["valueCoding"]["code"] == "diuretika"


async def test_a_diuretic_within_another_medicine_counts_too(fhir: Api) -> None:
    """C09BA02 is enalapril with a diuretic: both of Downton's groups (the ATC index of WHO)."""
    medicine = {"coding": [{"system": "http://www.whocc.no/atc", "code": "C09BA02"}]}
    await fhir.store(
        patient("fo3", birthDate="1937-11-04"),
        {"resourceType": "MedicationRequest", "id": "fo3-m", "status": "active", "intent": "order", "subject": {"reference": "Patient/fo3"}, "medicationCodeableConcept": medicine},
    )  # fmt: skip
    asked = {"resourceType": "Parameters", "parameter": [{"name": "canonical", "valueUri": URL}, {"name": "subject", "valueReference": {"reference": "Patient/fo3"}}]}  # fmt: skip
    made = (await fhir.post("Questionnaire/$populate", asked)).json["parameter"][0]["resource"]
    (item,) = [i for i in made["item"] if i["linkId"] == "lakemedel"]
    found = {a["valueCoding"]["code"] for a in item["answer"]}
    assert found == {"diuretika", "antihypertensiva"}


async def test_a_token_without_medicines_does_not_get_them_through_a_form(fhir: Api) -> None:
    await fhir.store(patient("fo2"))
    asked = {"resourceType": "Parameters", "parameter": [{"name": "canonical", "valueUri": URL}, {"name": "subject", "valueReference": {"reference": "Patient/fo2"}}]}  # fmt: skip
    reply = await fhir.as_("observations").post("Questionnaire/$populate", asked)
    assert reply.status == 403


async def test_answers_become_a_bundle_of_resources(fhir: Api) -> None:
    reply = await fhir.post("QuestionnaireResponse/$extract", {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": response()}]})  # fmt: skip
    assert reply.status == 200, reply.content
    (entry,) = reply.json["entry"]
    assert entry["request"] == {"method": "POST", "url": "Observation"}
    o = entry["resource"]
    assert (
        o["resourceType"] == "Observation"
        and o["valueInteger"] == 4
        and o["subject"]["reference"] == "Patient/fo1"
    )
    assert (await fhir.post("Observation/$validate", o)).json["issue"][0]["severity"] != "error"


async def test_a_completed_response_is_held_to_its_form(fhir: Api) -> None:
    whole = await fhir.post("QuestionnaireResponse/$validate", response())
    assert [i for i in whole.json["issue"] if i["severity"] == "error"] == []
    part = response(
        item=[*response()["item"][:2], {"linkId": "hittepå", "answer": [{"valueString": "x"}]}]
    )
    said = await fhir.post("QuestionnaireResponse/$validate", part)
    places = [i["expression"][0] for i in said.json["issue"] if i["severity"] == "error"]
    assert any("'sinnen'" in p for p in places) and any("'hittepå'" in p for p in places)
    draft = await fhir.post("QuestionnaireResponse/$validate", response(status="in-progress", item=response()["item"][:2]))  # fmt: skip
    assert [i for i in draft.json["issue"] if i["severity"] == "error"] == []


async def test_what_is_missing_in_the_question_is_said(fhir: Api) -> None:
    assert (
        await fhir.post("Questionnaire/$populate", {"resourceType": "Parameters"})
    ).status == 400
    assert (
        await fhir.post("QuestionnaireResponse/$extract", {"resourceType": "Parameters"})
    ).status == 400
    unknown = {
        "resourceType": "Parameters",
        "parameter": [{"name": "canonical", "valueUri": "http://nobody.example/q"}],
    }
    assert (await fhir.post("Questionnaire/$populate", unknown)).status == 404


async def test_a_form_and_its_value_set_may_lie_in_the_record(fhir: Api) -> None:
    await fhir.store(
        patient("fo3"),
        {"resourceType": "ValueSet", "id": "fo-vs", "url": "http://e.se/vs", "status": "active", "compose": {"include": [{"system": "http://e.se/cs", "concept": [{"code": "a", "display": "Äpple"}]}]}},
        {"resourceType": "Questionnaire", "id": "fo-q", "url": "http://e.se/q", "version": "2", "status": "active", "item": [{"linkId": "f", "type": "choice", "answerValueSet": "http://e.se/vs"}]},
    )  # fmt: skip
    answered = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "http://e.se/q|2",
    }
    for code, wrong in (("a", False), ("b", True)):
        item = {
            "linkId": "f",
            "answer": [{"valueCoding": {"system": "http://e.se/cs", "code": code}}],
        }
        said = await fhir.post("QuestionnaireResponse/$validate", {**answered, "item": [item]})
        assert any(i["severity"] == "error" for i in said.json["issue"]) == wrong
    said = await fhir.post(
        "QuestionnaireResponse/$validate", {**answered, "questionnaire": "http://e.se/q|1"}
    )
    assert said.json["issue"][0]["severity"] == "warning"
