"""Who may see what over the API: the door, blocks, and two walls that agree."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from sammanhang.access import door, facts
from sammanhang.rest import gate

from .api import (
    CLINIC,
    HOME_CARE,
    HOSPITAL,
    REGION,
    TOWN,
    TOWN_OTHER,
    Api,
    audit_entries,
    bundle,
    entry,
    observation,
    owned,
    patient,
)  # fmt: skip

ANN, BO, CARL = ({"reference": f"Patient/{i}"} for i in ("ann", "bo", "carl"))


def visit(id: str, subject: Any, provider: str, unit: str) -> dict[str, Any]:
    made = {
        "resourceType": "Encounter",
        "id": id,
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": subject,
    }
    return owned(made, provider, unit)


def consent(id: str, subject: Any, kind: str, party: str) -> dict[str, Any]:
    """A permit for a care provider (`sammanhallen-dokumentation`) or a block (`inre-sparr`, `yttre-sparr`)."""
    return {
        "resourceType": "Consent", "id": id, "status": "active", "patient": subject,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": facts.CONSENT_KIND, "code": kind}]}],
        "policyRule": {"text": "PDL"},
        "provision": {
            "type": "permit" if kind == "sammanhallen-dokumentation" else "deny",
            "actor": [{"role": {"text": "x"}, "reference": {"reference": f"Organization/{party}"}}],
        },
    }  # fmt: skip


def seen(id: str, subject: str, provider: str, unit: str, **more: Any) -> dict[str, Any]:
    return owned(observation(id, subject, "acc", **more), provider, unit)


# Ann: in care at the hospital and the home care; Bo: only the region's; Carl: a block on the clinic
THINGS: list[dict[str, Any]] = [
    *({"resourceType": "Organization", "id": i, "name": i} for i in (REGION, TOWN, HOSPITAL, CLINIC, HOME_CARE)),
    patient("ann", "Acc"), patient("bo", "Acc"), patient("carl", "Acc"),
    visit("v-ann-h", ANN, REGION, HOSPITAL), visit("v-ann-t", ANN, TOWN, HOME_CARE),
    visit("v-bo-h", BO, REGION, HOSPITAL), visit("v-carl-h", CARL, REGION, HOSPITAL),
    seen("ann-h", "Patient/ann", REGION, HOSPITAL), seen("ann-c", "Patient/ann", REGION, CLINIC),
    seen("ann-t", "Patient/ann", TOWN, HOME_CARE), seen("ann-r", "Patient/ann", TOWN, TOWN_OTHER),
    seen("bo-h", "Patient/bo", REGION, HOSPITAL),
    seen("carl-h", "Patient/carl", REGION, HOSPITAL,
         hasMember=[{"reference": "Observation/carl-c"}], derivedFrom=[{"reference": "Observation/carl-t"}]),
    seen("carl-c", "Patient/carl", REGION, CLINIC, hasMember=[{"reference": "Observation/carl-h"}]),
    seen("carl-t", "Patient/carl", TOWN, HOME_CARE),
    consent("no-clinic", CARL, "inre-sparr", CLINIC),
]  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    """The API with the people above stored once."""
    if (await fhir.get("Patient/ann")).status == 404:
        await fhir.store(*THINGS)
    return fhir


@pytest.mark.asvs("v5.0.0-8.4.1", "v5.0.0-8.2.2")
async def test_a_nurse_of_the_town_is_refused_a_patient_of_the_region(known: Api) -> None:
    nurse = known.as_("nurse")
    for path in (
        "Observation?patient=bo",
        "Patient/bo/$everything",
        "Patient/bo/Observation",
        "Observation?subject=Patient/bo",
    ):
        reply = await nurse.get(path)
        assert reply.status == 403, reply
        assert "R7" in reply.words
    hidden = await nurse.get("Observation/bo-h")
    absent = await nurse.get("Observation/bo-x")
    assert hidden.status == absent.status == 404
    assert hidden.words.replace("bo-h", "bo-x") == absent.words
    for path in (
        "Observation/bo-h/_history",
        "Observation/bo-h/_history/1",
        "Observation/bo-h/$meta",
    ):
        assert (await nurse.get(path)).status == 404
    assert (await nurse.get("Observation?code=acc")).ids == []
    assert (await nurse.get("Observation?code=acc&_summary=count")).json["total"] == 0
    assert (await nurse.get("Observation/_history")).json.get("entry", []) == []
    refusals = [e for e in audit_entries(known.services.database.dsn) if e["action"] == "refuse"]
    assert any(e.get("rule") == "R7" and e.get("patient") == "bo" for e in refusals)


async def test_a_doctor_without_care_relation_is_asked_for_a_reason(known: Api) -> None:
    reply = await known.as_("clinic").get("Observation?patient=bo")
    assert reply.status == 403 and "R3" in reply.words


async def test_own_data_are_seen_and_others_only_with_consent_and_relation(known: Api) -> None:
    nurse = known.as_("nurse")
    assert sorted((await nurse.get("Observation?patient=ann")).ids) == ["ann-r", "ann-t"]
    assert (await nurse.get("Observation/ann-h")).status == 404
    await known.store(consent("svod", ANN, "sammanhallen-dokumentation", TOWN))
    try:
        assert sorted((await nurse.get("Observation?patient=ann")).ids) == [
            "ann-c",
            "ann-h",
            "ann-r",
            "ann-t",
        ]
        assert (await nurse.get("Observation/ann-h")).status == 200
        await known.store(consent("outer", ANN, "yttre-sparr", REGION))
        assert sorted((await nurse.get("Observation?patient=ann")).ids) == ["ann-r", "ann-t"]
        await known.delete("Consent/outer")
        await known.store(consent("bo-svod", BO, "sammanhallen-dokumentation", TOWN))
        assert (await nurse.get("Observation?patient=bo")).status == 403
    finally:
        await known.delete("Consent/svod")
        await known.delete("Consent/bo-svod")
        await known.delete("Consent/outer")


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_an_inner_block_hides_rows_on_every_way_to_them(known: Api) -> None:
    doctor = known.as_("doctor")
    assert (await doctor.get("Observation?patient=carl")).ids == ["carl-h"]
    assert (await doctor.get("Observation?patient=carl&_summary=count")).json["total"] == 1
    assert (await doctor.get("Observation?patient=carl&_total=accurate")).json["total"] == 1
    assert (await doctor.get("Observation/carl-c")).status == 404
    assert (await doctor.get("Observation/carl-c/_history")).status == 404
    assert (await doctor.get("Observation/carl-c/_history/1")).status == 404
    everything = (await doctor.get("Patient/carl/$everything")).ids
    assert "carl-h" in everything and not {"carl-c", "carl-t"} & {*everything}
    query = "Observation?patient=carl"
    assert (await doctor.get(f"{query}&_include=Observation:has-member")).included == []
    assert (await doctor.get(f"{query}&_include=Observation:derived-from")).included == []
    assert (await doctor.get(f"{query}&_revinclude=Observation:has-member")).included == []
    assert (await doctor.get(f"{query}&has-member.code=acc")).ids == []
    assert (await doctor.get(f"{query}&_has:Observation:has-member:code=acc")).ids == []
    assert (await doctor.get("Patient?_id=carl&_revinclude=Observation:patient")).included == []
    assert (await known.get(f"{query}&has-member.code=acc")).ids != []


@pytest.mark.asvs("v5.0.0-10.3.4", "v5.0.0-6.3.3")
async def test_a_low_level_of_assurance_opens_nothing(known: Api) -> None:
    low = known.as_("loa2")
    for path in (
        "Observation?patient=ann",
        "Patient?family=acc",
        "Patient/ann/$everything",
        "Patient/ann",
        "_history",
    ):
        reply = await low.get(path)
        assert reply.status == 403 and "R1" in reply.words, (path, reply)
    assert (await low.get("Observation/ann-h")).status == 404
    assert (await low.post("Observation", observation(subject="Patient/ann"))).status == 403


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_a_role_outside_health_care_opens_nothing(known: Api) -> None:
    reply = await known.as_("officer").get("Observation?patient=ann")
    assert reply.status == 403 and "R16" in reply.words


@pytest.mark.asvs("v5.0.0-8.4.1")
async def test_a_client_of_one_provider_sees_that_providers_data(known: Api) -> None:
    town, region = known.as_("town-client"), known.as_("region-client")
    assert sorted(await town.search("Observation?code=acc")) == ["ann-r", "ann-t", "carl-t"]
    assert sorted(await region.search("Observation?code=acc")) == [
        "ann-c",
        "ann-h",
        "bo-h",
        "carl-c",
        "carl-h",
    ]
    assert sorted((await town.get("Observation?patient=ann")).ids) == ["ann-r", "ann-t"]
    assert (await town.get("Observation/ann-h")).status == 404
    history = {
        e["fullUrl"].rsplit("/", 1)[1]
        for e in (await town.get("Observation/_history?_count=500")).json["entry"]
    }
    assert not {i for i in history if i.endswith(("-h", "-c"))}
    reply = await town.get("Observation?_id=carl-t,carl-h&_revinclude=Observation:derived-from")
    assert reply.ids == ["carl-t"] and reply.included == []


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_a_resident_reads_their_own_record_and_nobody_elses(known: Api) -> None:
    me = known.as_("resident")
    assert sorted((await me.get("Observation?patient=ann")).ids) == [
        "ann-c",
        "ann-h",
        "ann-r",
        "ann-t",
    ]
    assert (await me.get("Observation/ann-h")).status == 200
    assert (await me.get("Patient/ann")).status == 200
    assert (await me.get("Observation/bo-h")).status == 404
    assert (await me.get("Patient/bo")).status == 404
    assert (await me.get("Observation?patient=bo")).status == 403
    assert sorted((await me.get("Observation?code=acc")).ids) == [
        "ann-c",
        "ann-h",
        "ann-r",
        "ann-t",
    ]
    assert (await me.get("Patient?family=acc")).ids == ["ann"]
    assert (await me.get("Patient?family=acc&_summary=count")).json["total"] == 1
    assert {e["resource"]["id"] for e in (await me.get("Patient/_history")).json["entry"]} == {
        "ann"
    }
    assert (await me.get("?_type=Patient&_count=100")).ids == ["ann"]
    assert (await me.post("Observation", observation(subject="Patient/ann"))).status == 403


@pytest.mark.asvs("v5.0.0-15.3.3", "v5.0.0-8.4.1")
async def test_staff_write_in_their_own_name_and_never_over_another_provider(known: Api) -> None:
    nurse, doctor = known.as_("nurse"), known.as_("doctor")
    made = await nurse.post(
        "Observation", owned(observation(subject="Patient/ann"), REGION, CLINIC)
    )
    assert made.status == 201, made
    tags = {t["system"].rsplit("/", 1)[1]: t["code"] for t in made.json["meta"]["tag"]}
    assert tags == {"care-provider": TOWN, "care-unit": HOME_CARE}
    assert (await nurse.post("Observation", observation(subject="Patient/bo"))).status == 403
    assert (await nurse.post("Observation", observation())).status == 403
    assert (await nurse.put("Patient/ann", patient("ann"))).status == 403
    assert (await nurse.put("Observation/bo-h", observation("bo-h", "Patient/bo"))).status == 404
    assert (await nurse.delete("Observation/bo-h")).status == 404
    await known.store(consent("w-svod", ANN, "sammanhallen-dokumentation", TOWN))
    try:
        for reply in (
            await nurse.put("Observation/ann-h", observation("ann-h", "Patient/ann")),
            await nurse.delete("Observation/ann-h"),
            await nurse.patch("Observation/ann-h", [{"op": "replace", "path": "/status", "value": "amended"}]),
            await nurse.post("", bundle("transaction", entry("DELETE", "Observation/ann-h"))),
            await nurse.post("Observation/ann-h/$meta-add", {
                "resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}),
        ):  # fmt: skip
            assert reply.status == 403, reply
        assert (await known.get("Observation/ann-h")).headers["etag"] == 'W/"1"'
    finally:
        await known.delete("Consent/w-svod")
    mine = made.json["id"]
    assert (await nurse.put(f"Observation/{mine}", observation(mine, "Patient/ann"))).status == 200
    assert (await nurse.put(f"Observation/{mine}", observation(mine, "Patient/bo"))).status == 403
    assert (await nurse.delete(f"Observation/{mine}")).status == 204
    assert (await doctor.delete(f"Observation/{mine}")).status in (204, 404)


@pytest.mark.asvs("v5.0.0-15.3.3")
async def test_a_client_may_not_take_over_or_change_the_register(known: Api) -> None:
    town = known.as_("town-client")
    assert (await town.put("Patient/ann", patient("ann"))).status == 403
    assert (
        await town.post("Observation", owned(observation(subject="Patient/ann"), REGION, CLINIC))
    ).status == 403
    assert (await town.put("Observation/ann-h", observation("ann-h", "Patient/ann"))).status == 404
    assert (
        await town.put("Organization/x", {"resourceType": "Organization", "id": "x", "name": "x"})
    ).status == 403


@pytest.mark.asvs("v5.0.0-10.3.2", "v5.0.0-8.2.1")
async def test_scopes_limit_every_way_to_a_type(known: Api) -> None:
    only = known.as_("observations")
    assert (await only.get("Observation/ann-h")).status == 200
    assert (await only.get("Observation?patient=ann&_include=Observation:subject")).included == []
    for path in (
        "Patient/ann", "Patient?family=acc", "Patient?_has:Observation:patient:code=acc", "Patient/ann/$everything",
        "Observation?subject:Patient.family=acc", "Encounter", "_history", "Patient/_history", "?_type=Patient",
    ):  # fmt: skip
        assert (await only.get(path)).status == 403, path
    assert (await only.get("?_id=ann,ann-h")).ids == ["ann-h"]
    assert (await only.get("Observation?patient.family=acc&_id=ann-h")).status in (200, 403)
    assert (await only.put("Observation/ann-h", observation("ann-h", "Patient/ann"))).status == 403
    assert (await only.post("Observation/$validate", observation())).status == 200


ASKED = [
    "Observation?code=acc", "Observation?patient=ann", "Observation?patient=bo", "Observation?patient=carl", "Patient?family=acc",
    "Encounter?class=AMB", "Patient?_has:Observation:patient:code=acc", "Observation?patient.family=acc", "Organization?name=SE",
    "Observation?has-member.code=acc", "Observation?code=acc&_revinclude=Observation:has-member", "Patient/ann/$everything",
    "Observation?code=acc&_include=*", "Patient/carl/$everything", "Patient/carl/Observation", "Observation/_history?_count=500",
    "_history?_count=500", "Observation?code=acc&_summary=count", "Observation?patient=carl&_total=accurate", "Observation/carl-c",
    "Observation/carl-h", "Observation/ann-t/_history", "?_id=ann,bo,ann-h,ann-t,carl-c", "Consent?patient=carl", "Patient/bo",
    "Observation?patient=carl&_sort=date", "Observation?patient=ann,carl", "Patient?_id=carl&_revinclude=Observation:patient",
]  # fmt: skip


async def answers(api: Api) -> dict[str, Any]:
    """What an actor is shown: statuses, ids and totals."""
    found: dict[str, Any] = {}
    for path in ASKED:
        reply = await api.get(path)
        made = reply.json
        ids = sorted(
            e.get("fullUrl", "") + str(e["response"]["etag"] if "response" in e else "")
            for e in made.get("entry", [])
        )
        found[path] = (reply.status, made.get("total"), made.get("id"), ids)
    return found


@pytest.mark.asvs("v5.0.0-8.3.1", "v5.0.0-13.2.2")
@pytest.mark.parametrize(
    "who",
    ["nurse", "doctor", "clinic", "town-client", "region-client", "resident", "loa2", "officer"],
)
async def test_both_walls_give_the_same_answers(
    known: Api, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_both = await answers(known.as_(who))
    monkeypatch.setattr(gate, "predicate", lambda scope, alias, tokens=True: ("true", []))
    monkeypatch.setattr(door, "predicate", lambda scope, alias, tokens=True: ("true", []))
    with_rows_only = await answers(known.as_(who))
    assert with_both == with_rows_only
    shown = [i for _, _, _, ids in with_both.values() for i in ids]
    assert bool(shown) is (who not in ("loa2", "officer"))
