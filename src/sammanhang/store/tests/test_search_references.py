"""References, chains, _has, composites, includes and lists, with known answers."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from sammanhang.rest.tests.api import BASE, Api, observation, patient

UCUM = "http://unitsofmeasure.org"


def ref(text: str) -> dict[str, str]:
    return {"reference": text}


def pressure(id: str, systolic: float, diastolic: float, subject: str) -> dict[str, Any]:
    parts = [("8480-6", systolic), ("8462-4", diastolic)]
    return observation(
        id, subject, "85354-9",
        component=[
            {"code": {"coding": [{"system": "http://loinc.org", "code": c}]},
             "valueQuantity": {"value": v, "system": UCUM, "code": "mm[Hg]"}}
            for c, v in parts
        ],
    )  # fmt: skip


THINGS: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "region", "name": "Regionen", "identifier": [{"system": "http://hsa", "value": "R"}]},
    {"resourceType": "Organization", "id": "clinic", "name": "Kliniken", "partOf": ref("Organization/region")},
    {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Doktor"}]},
    patient("kalle", "Karlsson", managingOrganization=ref("Organization/clinic"), generalPractitioner=[ref("Practitioner/doc")],
            identifier=[{"system": "http://pnr", "value": "1"}]),
    patient("lisa", "Larsson", managingOrganization=ref("Organization/region")),
    {"resourceType": "Group", "id": "lisa", "type": "person", "actual": True},
    observation("o-kalle", "Patient/kalle", "w", performer=[ref("Practitioner/doc")],
                valueQuantity={"value": 80, "system": UCUM, "code": "kg"}),
    observation("o-lisa", "Patient/lisa", "w", hasMember=[ref("Observation/o-kalle")],
                valueQuantity={"value": 60, "system": UCUM, "code": "kg"}),
    observation("o-group", "Group/lisa", "w"),
    observation("o-absolute", f"{BASE}/Patient/kalle", "abs"),
    observation("o-elsewhere", "http://elsewhere.org/fhir/Patient/kalle", "else"),
    observation("o-versioned", "Patient/kalle/_history/1", "ver"),
    observation("o-logical", None, "log") | {"subject": {"type": "Patient", "identifier": {"system": "http://pnr", "value": "9"}}},
    observation("o-contained", None, "con") | {"contained": [patient("p1")], "subject": ref("#p1")},
    {"resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"}, "subject": ref("Patient/kalle")},
    {"resourceType": "Condition", "id": "sick", "subject": ref("Patient/kalle"), "encounter": ref("Encounter/visit"),
     "code": {"coding": [{"code": "J18"}]}},
    {"resourceType": "Provenance", "id": "prov", "target": [ref("Observation/o-kalle")], "recorded": "2020-01-01T00:00:00Z",
     "agent": [{"who": ref("Practitioner/doc")}]},
    pressure("bp-high", 180, 90, "Patient/kalle"),
    pressure("bp-odd", 90, 180, "Patient/lisa"),
    {"resourceType": "List", "id": "list1", "status": "current", "mode": "changes",
     "entry": [{"item": ref("Patient/kalle")}, {"item": ref(f"{BASE}/Patient/lisa")}, {"item": ref("Observation/o-lisa")},
               {"item": ref("Patient/nobody"), "deleted": True}]},
    {"resourceType": "List", "id": "list2", "status": "current", "mode": "working", "entry": [{"item": ref("Patient/kalle")}]},
    {"resourceType": "Questionnaire", "id": "form", "status": "active", "url": "http://ex.org/Questionnaire/form", "version": "2"},
    {"resourceType": "QuestionnaireResponse", "id": "answer", "status": "completed", "questionnaire": "http://ex.org/Questionnaire/form|2",
     "subject": ref("Patient/kalle")},
    {"resourceType": "QuestionnaireResponse", "id": "answer1", "status": "completed", "questionnaire": "http://ex.org/Questionnaire/form|1"},
    {"resourceType": "MedicationRequest", "id": "rx", "status": "active", "intent": "order", "subject": ref("Patient/lisa"),
     "medicationReference": ref("Medication/pill"), "requester": ref("Practitioner/doc")},
    {"resourceType": "Medication", "id": "pill", "manufacturer": ref("Organization/clinic"),
     "code": {"coding": [{"system": "http://atc", "code": "N02"}]}},
]  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    """The API with the resources above stored once."""
    if (await fhir.get("Patient/kalle")).status == 404:
        await fhir.store(*THINGS)
    return fhir


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?code=w&patient=kalle", "o-kalle"),
        ("Observation?patient=Patient/kalle&code=w,abs,ver,else", "o-kalle o-absolute o-versioned"),
        (f"Observation?patient={BASE}/Patient/kalle&code=w,abs", "o-kalle o-absolute"),
        ("Observation?subject=kalle&code=w", "o-kalle"),
        ("Observation?subject=lisa", "o-lisa o-group bp-odd"),
        ("Observation?subject=Group/lisa", "o-group"),
        ("Observation?subject:Patient=lisa&code=w", "o-lisa"),
        ("Observation?subject:Group=lisa", "o-group"),
        ("Observation?patient=lisa&code=w", "o-lisa"),
        ("Observation?patient=kalle,lisa&code=w", "o-kalle o-lisa"),
        ("Observation?subject=http://elsewhere.org/fhir/Patient/kalle", "o-elsewhere"),
        ("Observation?subject:identifier=http://pnr|9", "o-logical"),
        ("Observation?subject:identifier=9", "o-logical"),
        ("Observation?subject:identifier=http://pnr|1", ""),
        ("Observation?performer=Practitioner/doc", "o-kalle"),
        ("Observation?performer=doc", "o-kalle"),
        ("Observation?performer=nobody", ""),
        ("Observation?patient=", "refused"),
        ("Observation?subject=Nonsense/1", "refused"),
        ("Observation?patient=kalle&patient=lisa", ""),
        ("QuestionnaireResponse?questionnaire=http://ex.org/Questionnaire/form", "answer answer1"),
        ("QuestionnaireResponse?questionnaire=http://ex.org/Questionnaire/form|2", "answer"),
        # chains
        ("Observation?patient.family=karls&code=w", "o-kalle"),
        ("Observation?subject.name=larsson&code=w", "o-lisa"),
        ("Observation?subject:Patient.identifier=http://pnr|1&code=w", "o-kalle"),
        ("Observation?patient.organization.name=klin&code=w", "o-kalle"),
        ("Observation?subject:Patient.organization.partof.name=regi&code=w", "o-kalle"),
        ("Observation?subject:Patient.organization:Organization.identifier=R&code=w", "o-lisa"),
        ("Observation?patient.general-practitioner:Practitioner.family=dokt&code=w", "o-kalle"),
        ("Observation?has-member.patient.family=karlsson", "o-lisa"),
        ("Observation?patient._id=kalle&code=w", "o-kalle"),
        ("Observation?patient.organization=Organization/region&code=w", "o-lisa"),
        ("Condition?encounter.class=AMB", "sick"),
        ("MedicationRequest?medication.code=N02", "rx"),
        ("MedicationRequest?medication.manufacturer.name=klin", "rx"),
        ("Observation?patient.family:exact=Karlsson&code=w", "o-kalle"),
        ("Observation?patient.family:exact=karlsson&code=w", ""),
        ("Observation?patient.gender:missing=true&patient.family=lars&code=w", "o-lisa"),
        ("Observation?patient:Practitioner.family=x", "refused"),
        ("Observation?code.family=x", "refused"),
        ("Observation?patient.nonsense=x", "refused"),
        ("QuestionnaireResponse?questionnaire.name=x", "refused"),
        # reverse chains
        ("Patient?_has:Observation:patient:code=w", "kalle lisa"),
        ("Patient?_has:Observation:subject:performer=Practitioner/doc", "kalle"),
        ("Patient?_has:Condition:patient:code=J18", "kalle"),
        ("Patient?_has:Condition:patient:code=J19", ""),
        ("Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/doc", "kalle"),
        ("Practitioner?_has:Observation:performer:code=w", "doc"),
        ("Practitioner?_has:Observation:performer:patient.family=karlsson", "doc"),
        ("Organization?_has:Patient:organization:_has:Observation:patient:code=w", "region clinic"),
        ("Observation?_has:Provenance:target:agent=doc", "o-kalle"),
        ("Observation?patient._has:Condition:patient:code=J18&code=w", "o-kalle"),
        ("Medication?_has:MedicationRequest:medication:patient=lisa", "pill"),
        ("Patient?_has:Observation:patient:code=w&_has:Condition:patient:code=J18", "kalle"),
        ("Patient?_has:Nonsense:patient:code=w", "refused"),
        ("Patient?_has:Observation:code:code=w", "refused"),
        ("Patient?_has:Observation=w", "refused"),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed", "refused"),
        # composites
        (f"Observation?code-value-quantity=w$gt70|{UCUM}|kg", "o-kalle"),
        (f"Observation?code-value-quantity=http://loinc.org|w$lt70000|{UCUM}|g", "o-lisa"),
        ("Observation?code-value-quantity=w$60", "o-lisa"),
        ("Observation?component-code-value-quantity=8480-6$ge170", "bp-high"),
        (f"Observation?component-code-value-quantity=http://loinc.org|8462-4$gt170|{UCUM}|mm[Hg]", "bp-odd"),
        (f"Observation?component-code-value-quantity=8480-6$gt20|{UCUM}|kPa", "bp-high"),
        ("Observation?component-code-value-quantity=8480-6$180,8480-6$90", "bp-high bp-odd"),
        ("Observation?component-code-value-quantity=8480-6$gt100&component-code-value-quantity=8462-4$gt100", ""),
        ("Observation?combo-code-value-quantity=w$80", "o-kalle"),
        ("Observation?combo-code-value-quantity=8480-6$90", "bp-odd"),
        ("Observation?component-code-value-quantity=8480-6", "refused"),
        # lists and the rest
        ("Patient?_list=list1", "kalle lisa"),
        ("Observation?_list=list1", "o-lisa"),
        ("Patient?_list=list1&_list=list2", "kalle"),
        ("Patient?_list=list2,list1", "kalle lisa"),
        ("Patient?_list=nolist", ""),
        ("Patient?_list=$current-problems", "refused"),
        ("Patient?_id=kalle,lisa&family=larsson", "lisa"),
        ("Patient?_id=../kalle", ""),
    ],
)  # fmt: skip
async def test_the_answer_is_the_known_one(known: Api, query: str, expected: str) -> None:
    if expected == "refused":
        assert (await known.get(query, prefer="handling=strict")).status == 400
    else:
        assert set(await known.search(query)) == {*expected.split()}


async def test_several_types_are_searched_each_in_its_own_way(known: Api) -> None:
    reply = await known.get("?_type=Observation,Condition&patient=kalle&code=w,J18")
    assert sorted(reply.ids) == ["o-kalle", "sick"]
    reply = await known.get("?_type=Observation,Condition&subject.family=karlsson&code=w,J18")
    assert sorted(reply.ids) == ["o-kalle", "sick"]
    reply = await known.get("?_id=kalle,sick&_sort=-_id")
    assert reply.ids == ["sick", "kalle"]
    reply = await known.get("?_type=Patient&family=larsson")
    assert reply.ids == ["lisa"]
    assert (await known.get("?_type=Patient,Nonsense")).status == 400
    assert (await known.get("?_type=Patient,Observation&_sort=date")).status == 400
    assert (await known.get("Patient?_type=Observation")).status == 400


# includes


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?_id=o-kalle&_include=Observation:subject", "Patient/kalle"),
        ("Observation?_id=o-kalle&_include=Observation:performer&_include=Observation:patient", "Patient/kalle Practitioner/doc"),
        ("Observation?_id=o-group&_include=Observation:subject", "Group/lisa"),
        ("Observation?_id=o-group&_include=Observation:patient", ""),
        ("Observation?_id=o-group,o-lisa&_include=Observation:subject:Group", "Group/lisa"),
        ("Observation?_id=o-absolute&_include=Observation:subject", "Patient/kalle"),
        ("Observation?_id=o-elsewhere,o-logical,o-contained&_include=Observation:subject", ""),
        ("Observation?_id=o-kalle&_include=Observation:subject&_include:iterate=Patient:organization", "Organization/clinic Patient/kalle"),
        ("Observation?_id=o-kalle&_include=Observation:subject&_include:iterate=Patient:organization"
         "&_include:iterate=Organization:partof", "Organization/clinic Organization/region Patient/kalle"),
        ("Observation?_id=o-kalle&_include=Observation:subject&_include=Patient:organization", "Patient/kalle"),
        ("Observation?_id=o-kalle&_include=*", "Patient/kalle Practitioner/doc"),
        ("Observation?_id=o-kalle&_include=Observation:*", "Patient/kalle Practitioner/doc"),
        ("Patient?_id=kalle&_revinclude=Condition:patient", "Condition/sick"),
        ("Patient?_id=kalle&_revinclude=Condition:*", "Condition/sick"),
        ("Patient?_id=lisa&_revinclude=MedicationRequest:subject&_include:iterate=MedicationRequest:medication"
         "&_include:iterate=Medication:manufacturer", "MedicationRequest/rx Medication/pill Organization/clinic"),
        ("Practitioner?_id=doc&_revinclude=Observation:performer&_revinclude:iterate=Provenance:target",
         "Observation/o-kalle Provenance/prov"),
        ("Patient?_id=kalle&_revinclude=Observation:performer", ""),
        ("QuestionnaireResponse?_id=answer&_include=QuestionnaireResponse:questionnaire", "Questionnaire/form"),
        ("Questionnaire?_id=form&_revinclude=QuestionnaireResponse:questionnaire",
         "QuestionnaireResponse/answer QuestionnaireResponse/answer1"),
        ("Organization?_id=clinic&_include:iterate=Organization:partof", "Organization/region"),
    ],
)  # fmt: skip
async def test_includes_bring_what_belongs(known: Api, query: str, expected: str) -> None:
    assert (await known.get(query)).included == sorted(expected.split())


@pytest.mark.parametrize(
    "query",
    ["_include=Nonsense:x", "_include=Observation", "_include=Observation:code", "_include=Observation:subject:Nonsense",
     "_revinclude=*", "_revinclude=Observation:nonsense", "_include:nonsense=Observation:subject"],
)  # fmt: skip
async def test_an_include_that_means_nothing_is_refused(known: Api, query: str) -> None:
    reply = await known.get(f"Observation?_id=o-kalle&{query}", prefer="handling=strict")
    assert reply.status == 400, reply


async def test_what_is_included_is_not_counted_and_not_repeated(known: Api) -> None:
    reply = await known.get(
        "Observation?code=w&patient=kalle,lisa&_include=Observation:has-member&_include=Observation:subject"
    )
    assert reply.json["total"] == 2
    assert sorted(reply.ids) == ["o-kalle", "o-lisa"]
    assert reply.included == ["Patient/kalle", "Patient/lisa"]
