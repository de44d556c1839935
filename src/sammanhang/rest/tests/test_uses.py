"""What may be written and asked for beside who may: R31–R33, R37–R40, M24, and where a care relation comes from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from sammanhang.access.facts import CONSENT_KIND, INFORMED
from sammanhang.kernel import clock
from sammanhang.kernel.content import content

from .api import ACTORS, CLINIC, HOME_CARE, HOSPITAL, REGION, TOWN, Api, observation, owned, patient
from .test_access import visit

SOCIAL = "http://sammanhang.se/fhir/CodeSystem/social-aid"
_DOCTOR = ACTORS["doctor"].assignment
assert _DOCTOR is not None
KINDS = {
    "statistician": replace(ACTORS["doctor"], id="Practitioner/s", assignment=replace(_DOCTOR, role="statistiker")),
    "register": replace(ACTORS["region-client"], id="client:reg", purpose="quality-register"),
    "researcher": replace(ACTORS["region-client"], id="client:res", purpose="research", decided=clock.today()),
    "undecided": replace(ACTORS["region-client"], id="client:un", purpose="research"),
    "late": replace(ACTORS["region-client"], id="client:late", purpose="research", decided=clock.today() - timedelta(days=1)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def actors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, actor in KINDS.items():
        monkeypatch.setitem(ACTORS, name, actor)


def agreement(id: str, subject: str, kind: str, *parties: str, deny: bool = False, **more: Any) -> dict[str, Any]:  # fmt: skip
    provision: dict[str, Any] = {"type": "deny" if deny else "permit"}
    if parties:
        provision["actor"] = [
            {"role": {"text": "x"}, "reference": {"reference": f"Organization/{p}"}}
            for p in parties
        ]
    return {
        "resourceType": "Consent", "id": id, "status": "active", "patient": {"reference": subject},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": CONSENT_KIND, "code": kind}]}], "policyRule": {"text": "lag"},
        "provision": provision, **more,
    }  # fmt: skip


def plan(subject: str, code: str, **more: Any) -> dict[str, Any]:
    category = [{"coding": [{"system": "http://example.org/plans", "code": code}]}]
    return {"resourceType": "CarePlan", "status": "active", "intent": "plan", "category": category,
            "subject": {"reference": subject}, **more}  # fmt: skip


def message(subject: str, code: str, **more: Any) -> dict[str, Any]:
    category = [
        {
            "coding": [
                {"system": "http://sammanhang.se/fhir/CodeSystem/discharge-message", "code": code}
            ]
        }
    ]
    return {"resourceType": "Communication", "status": "completed", "category": category,
            "subject": {"reference": subject}, **more}  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    """Nine people of the hospital's, eight with the same finding; one says no to registers and research."""
    if (await fhir.get("Patient/use-0")).status == 404:
        await fhir.store(
            *(patient(f"use-{i}", "Use") for i in range(9)),
            *(visit(f"use-v-{i}", {"reference": f"Patient/use-{i}"}, REGION, HOSPITAL) for i in range(9)),
            *(owned(observation(f"use-o-{i}", f"Patient/use-{i}", "use"), REGION, HOSPITAL) for i in range(8)),
            owned(observation("use-rare", "Patient/use-8", "rare"), REGION, HOSPITAL),
            agreement("use-no-reg", "Patient/use-0", "nej-kvalitetsregister", deny=True),
            agreement("use-no-res", "Patient/use-1", "nej-forskning", REGION, deny=True),
            agreement("use-over", "Patient/use-2", "nej-forskning", deny=True) | {"status": "inactive"},
        )  # fmt: skip
    return fhir


async def test_r31_a_coordinated_plan_without_consent_is_not_made(known: Api) -> None:
    doctor = known.as_("doctor")
    for code in ("SIP", "sip", "SPU"):
        reply = await doctor.post("CarePlan", plan("Patient/use-3", code))
        assert reply.status == 403 and "R31" in reply.words, reply
    assert (await doctor.post("CarePlan", plan("Patient/use-3", "vardplan"))).status == 201
    await known.store(agreement("use-sip", "Patient/use-3", "sip"))
    made = await doctor.post("CarePlan", plan("Patient/use-3", "SIP"))
    assert made.status == 201
    await known.store(agreement("use-sip", "Patient/use-3", "sip") | {"status": "inactive"})
    id = made.json["id"]
    assert (await doctor.put(f"CarePlan/{id}", made.json | {"title": "Ny"})).status == 403
    ended = made.json | {"status": "revoked"}
    assert (await doctor.put(f"CarePlan/{id}", ended)).status == 200


async def test_r31_holds_in_transactions_and_for_trusted_clients(known: Api) -> None:
    from .api import bundle, entry

    for who in ("doctor", "region-client", "all"):
        reply = await known.as_(who).post(
            "", bundle("transaction", entry("POST", "CarePlan", plan("Patient/use-4", "SIP")))
        )
        assert reply.status == 403 and "R31" in reply.words, (who, reply)
    assert (await known.get("CarePlan?patient=use-4")).ids == []


@pytest.mark.parametrize(
    ("more", "extra"),
    [
        ({"payload": [{"contentString": "2026-12-01"}]}, None),
        ({}, None),
        ({"payload": [{"contentString": "Höftfraktur, opereras i dag"}]}, "payload"),
        ({"payload": [{"contentString": "2026-12-01"}, {"contentString": "2026-12-02"}]}, "payload"),
        ({"reasonCode": [{"text": "Höftfraktur"}]}, "reasonCode"),
        ({"note": [{"text": "Bor ensam"}]}, "note"),
        ({"topic": {"text": "Fall"}}, "topic"),
        ({"encounter": {"reference": "Encounter/use-v-5"}}, "encounter"),
        ({"text": {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}}, "text"),
        ({"extension": [{"url": "http://x.se/diagnos", "valueString": "S72"}]}, "extension"),
    ],
)  # fmt: skip
async def test_r32_a_notice_of_admission_holds_four_things(
    known: Api, more: dict[str, Any], extra: str | None
) -> None:
    notice = message("Patient/use-5", "inskrivningsmeddelande", **more)
    reply = await known.as_("doctor").post("Communication", notice)
    if extra is None:
        assert reply.status == 201, reply
    else:
        assert reply.status == 403 and "R32" in reply.words and extra in reply.words, reply


async def test_r33_planning_information_is_held_until_there_is_a_ground(known: Api) -> None:
    doctor = known.as_("doctor")
    info = message(
        "Patient/use-6", "planeringsunderlag", payload=[{"contentString": "Behöver lift"}]
    )
    reply = await doctor.post("Communication", info)
    assert reply.status == 403 and "R33" in reply.words and "on-hold" in reply.words
    held = await doctor.post("Communication", info | {"status": "on-hold"})
    assert held.status == 201
    sent = held.json | {"status": "completed"}
    assert (await doctor.put(f"Communication/{held.json['id']}", sent)).status == 403
    ground = {"url": content("rules/disclosure")["ground_url"], "valueCode": "menprovning"}
    assert (await doctor.post("Communication", info | {"extension": [ground]})).status == 201
    odd = ground | {"valueCode": "bra-att-ha"}
    assert (await doctor.post("Communication", info | {"extension": [odd]})).status == 403
    await known.store(agreement("use-plan", "Patient/use-6", "utskrivningsplanering"))
    assert (await doctor.put(f"Communication/{held.json['id']}", sent)).status == 200


async def test_r37_people_are_not_searched_for_by_aid_in_social_services(known: Api) -> None:
    aid = {"coding": [{"system": SOCIAL, "code": "ekonomiskt"}], "text": "Ekonomiskt bistånd"}
    await known.store(
        owned({"resourceType": "ServiceRequest", "id": "use-aid", "status": "active", "intent": "order", "code": aid,
               "subject": {"reference": "Patient/use-7"}}, REGION, HOSPITAL)
    )  # fmt: skip
    client = known.as_("region-client")
    for query in (
        f"ServiceRequest?code={SOCIAL}|ekonomiskt", f"ServiceRequest?code={SOCIAL}|",
        f"ServiceRequest?code:not={SOCIAL}|ekonomiskt", f"ServiceRequest?code=x,{SOCIAL}|ekonomiskt",
        f"Patient?_has:ServiceRequest:patient:code={SOCIAL}|ekonomiskt",
        f"ServiceRequest?code={SOCIAL}|ekonomiskt&_summary=count",
    ):  # fmt: skip
        reply = await client.get(query)
        assert reply.status == 403 and "R37" in reply.words, (query, reply)
    # a bare code or words lead to the same place: nothing is found there
    for query in ("ServiceRequest?code=ekonomiskt", "ServiceRequest?code:text=ekonomiskt"):
        assert (await client.get(query)).ids == [], query
        assert (await client.get(query + "&_summary=count")).json["total"] == 0
    named = await client.get(f"ServiceRequest?patient=use-7&code={SOCIAL}|ekonomiskt")
    assert named.ids == ["use-aid"]
    assert (await client.get("ServiceRequest?status=active")).ids == ["use-aid"]


async def test_r38_statistics_are_counts_and_no_small_ones(known: Api) -> None:
    asker = known.as_("statistician")
    told = await asker.get("Observation?code=use&_summary=count")
    assert told.status == 200 and told.json["total"] == 8
    few = await asker.get("Observation?code=rare&_summary=count")
    none = await asker.get("Observation?code=unheard&_summary=count")
    for reply in (few, none):
        assert reply.status == 200 and "total" not in reply.json and "R38" in str(reply.json)
    assert {k: v for k, v in few.json.items() if k not in ("link",)} == {
        k: v for k, v in none.json.items() if k not in ("link",)
    }
    for query in (
        "Observation?code=use", "Observation?patient=use-1&_summary=count", "Patient?family=Use&_summary=count",
        "Observation?subject:Patient.identifier=1&_summary=count", "Patient/use-1/Observation?_summary=count",
        "Observation?patient.birthdate=1950-01-01&_summary=count",
    ):  # fmt: skip
        reply = await asker.get(query)
        assert reply.status == 403 and "R38" in reply.words, (query, reply)
    assert (await asker.get("Observation/use-o-1")).status == 404
    assert (await asker.get("Patient/use-1/$everything")).status == 403
    assert "use" not in str((await asker.get("Observation/_history")).content)


async def test_r39_who_says_no_to_quality_registers_is_not_in_what_they_get(known: Api) -> None:
    register = known.as_("register")
    everybody = sorted(f"use-o-{i}" for i in range(8))
    assert await known.as_("region-client").search("Observation?code=use") == everybody
    assert await register.search("Observation?code=use") == everybody[1:]
    assert (await register.get("Observation?code=use&_summary=count")).json["total"] == 7
    assert "use-0" not in await register.search("Patient?family=Use")
    included = await register.get("Observation?code=use&_include=Observation:patient")
    assert "Patient/use-0" not in included.included and "Patient/use-1" in included.included
    for path in ("Observation/use-o-0", "Patient/use-0", "Observation/use-o-0/_history"):
        assert (await register.get(path)).status == 404, path
    refused = await register.get("Patient/use-0/$everything")
    absent = await register.get("Patient/nobody/$everything")
    assert refused.status == absent.status
    assert refused.words == absent.words
    assert "use-o-0" not in str((await register.get("Observation/_history?_count=500")).content)
    written = await register.post("Observation", observation(subject="Patient/use-1"))
    assert written.status == 403


async def test_r39_a_no_that_is_taken_back_counts_no_more(known: Api) -> None:
    await known.store(agreement("use-no-reg", "Patient/use-0", "nej-kvalitetsregister", deny=True) | {"status": "inactive"})  # fmt: skip
    assert "use-o-0" in await known.as_("register").search("Observation?code=use")
    await known.store(agreement("use-no-reg", "Patient/use-0", "nej-kvalitetsregister", deny=True))
    assert "use-o-0" not in await known.as_("register").search("Observation?code=use")


async def test_r39_a_no_hides_nothing_from_care(known: Api) -> None:
    assert (await known.as_("doctor").get("Observation?patient=use-1")).ids == ["use-o-1"]


async def test_r40_research_needs_a_decision_in_force(known: Api) -> None:
    decided = sorted(f"use-o-{i}" for i in range(8) if i != 1)
    assert await known.as_("researcher").search("Observation?code=use") == decided
    for who in ("undecided", "late"):
        for path in (
            "Observation?code=use",
            "Patient/use-2/$everything",
            "Observation?patient=use-2",
        ):
            reply = await known.as_(who).get(path)
            assert reply.status == 403 and "R40" in reply.words, (who, path, reply)
        assert (await known.as_(who).get("Observation/use-o-2")).status == 404


async def test_a_unit_that_is_asked_has_a_care_relation_until_it_is_done(known: Api) -> None:
    """A request received, a task owned, an enrolment: the unit named in it, not only the one that wrote it."""
    nurse = known.as_("nurse")
    subject = {"reference": "Patient/use-4"}
    assert (await nurse.get("Observation?patient=use-4")).status == 403
    request = owned({"resourceType": "ServiceRequest", "id": "use-req", "status": "active", "intent": "order",
                     "subject": subject, "performer": [{"reference": f"Organization/{HOME_CARE}"}]}, REGION, HOSPITAL)  # fmt: skip
    task = owned({"resourceType": "Task", "id": "use-task", "status": "requested", "intent": "order", "for": subject,
                  "owner": {"reference": f"Organization/{HOME_CARE}"}}, REGION, HOSPITAL)  # fmt: skip
    episode = owned({"resourceType": "EpisodeOfCare", "id": "use-ep", "status": "active", "patient": subject,
                     "managingOrganization": {"reference": f"Organization/{HOME_CARE}"}}, REGION, CLINIC)  # fmt: skip
    for made, over in ((request, "completed"), (task, "completed"), (episode, "finished")):
        await known.store(made)
        reply = await nurse.get("Observation?patient=use-4")
        assert reply.status == 200 and reply.ids == [], made["resourceType"]  # relation, no consent
        await known.store(made | {"status": over})
        assert (await nurse.get("Observation?patient=use-4")).status == 403, made["resourceType"]


async def test_a_task_for_somebody_is_of_that_persons_record(known: Api) -> None:
    """The specification's compartment leaves tasks out; the wall does not."""
    task = owned({"resourceType": "Task", "id": "use-private", "status": "completed", "intent": "order",
                  "description": "Ring om provsvar", "for": {"reference": "Patient/use-7"}}, REGION, HOSPITAL)  # fmt: skip
    await known.store(task)
    assert (await known.as_("doctor").get("Task/use-private")).status == 200
    for who in ("clinic", "nurse", "resident", "officer"):
        assert (await known.as_(who).get("Task/use-private")).status == 404, who
        assert "use-private" not in str((await known.as_(who).get("Task?status=completed")).content)


async def test_a_booking_that_was_never_closed_ends_by_itself(known: Api) -> None:
    nurse = known.as_("nurse")
    for day, status in (("2019-05-02", 403), (f"{clock.today() + timedelta(days=3)}", 200)):
        await known.store(
            owned({"resourceType": "Appointment", "id": "use-app", "status": "booked",
                   "start": f"{day}T09:00:00+02:00", "end": f"{day}T09:30:00+02:00",
                   "participant": [{"actor": {"reference": "Patient/use-5"}, "status": "accepted"}]}, TOWN, HOME_CARE)
        )  # fmt: skip
        assert (await nurse.get("Observation?patient=use-5")).status == status, day


async def test_r7_who_was_not_told_first_has_not_consented(known: Api) -> None:
    nurse = known.as_("nurse")
    await known.store(visit("use-vt", {"reference": "Patient/use-6"}, TOWN, HOME_CARE))
    told = agreement("use-svod", "Patient/use-6", "sammanhallen-dokumentation", TOWN)
    await known.store(told)
    assert (await nurse.get("Observation?patient=use-6")).ids == ["use-o-6"]
    await known.store(told | {"extension": [{"url": INFORMED, "valueBoolean": False}]})
    assert (await nurse.get("Observation?patient=use-6")).ids == []


async def test_r30_the_national_list_opens_with_its_own_consent_and_a_block_leaves_a_warning(
    known: Api,
) -> None:
    rules = content("rules/nll")
    nll, label = rules["party"], rules["narcotic_label"]
    item = owned({"resourceType": "MedicationDispense", "id": "use-nll", "status": "completed",
                  "subject": {"reference": "Patient/use-3"}, "whenHandedOver": f"{clock.today() - timedelta(days=90)}",
                  "medicationCodeableConcept": {"text": "Oxikodon 5 mg"}}, nll, nll)  # fmt: skip
    item["meta"]["security"] = [label]
    await known.store(item)
    doctor, doors = known.as_("doctor"), known.services.doors
    assert (await doctor.get("MedicationDispense?patient=use-3")).ids == []
    await known.store(agreement("use-nll-yes", "Patient/use-3", "nll-samtycke", REGION))
    assert (await doctor.get("MedicationDispense?patient=use-3")).ids == ["use-nll"]
    assert (await doctor.get("MedicationDispense/use-nll")).status == 200
    assert (
        await known.as_("clinic").get("MedicationDispense/use-nll")
    ).status == 404  # no relation
    await known.store(agreement("use-nll-no", "Patient/use-3", "nll-sparr", deny=True))
    assert (await doctor.get("MedicationDispense?patient=use-3")).ids == []
    record = await doors.open_record(ACTORS["doctor"], "use-3")
    told = [h.en for h in record.decision.hidden if h.rule == "R30"]
    assert len(told) == 2 and "Narcotics" in told[1]
    assert (await doctor.get("Observation?patient=use-3")).ids == ["use-o-3"]  # hides nothing else
    old = item | {"whenHandedOver": f"{clock.today() - timedelta(days=900)}"}
    await known.store(old)
    record = await doors.open_record(ACTORS["doctor"], "use-3")
    assert len([h for h in record.decision.hidden if h.rule == "R30"]) == 1
