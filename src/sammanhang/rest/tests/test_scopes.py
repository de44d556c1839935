"""Scopes at the API: what a token's restrictions and its patient keep from it, on every way there is."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from sammanhang.access.actor import Actor, App, Assignment

from .api import (
    ACTORS,
    HOSPITAL,
    REGION,
    Api,
    audit_entries,
    bundle,
    entry,
    observation,
    owned,
    patient,
)

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB, VITAL = "laboratory", "vital-signs"
ANN, BO = "scope-ann", "scope-bo"


def in_category(id: str, who: str, category: str, code: str = "sc", **more: Any) -> dict[str, Any]:
    made = observation(
        id,
        f"Patient/{who}",
        code,
        category=[{"coding": [{"system": CATEGORY, "code": category}]}],
        **more,
    )
    return owned(made, REGION, HOSPITAL)


def visit(id: str, who: str) -> dict[str, Any]:
    made = {
        "resourceType": "Encounter", "id": id, "status": "in-progress", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{who}"},
    }  # fmt: skip
    return owned(made, REGION, HOSPITAL)


THINGS = [
    {"resourceType": "Organization", "id": REGION, "name": "R"}, {"resourceType": "Practitioner", "id": "scope-p"},
    patient(ANN, "Scope"), patient(BO, "Scope"), visit("scope-va", ANN), visit("scope-vb", BO),
    in_category("lab-1", ANN, LAB), in_category("lab-2", ANN, LAB, status="amended"), in_category("bo-lab", BO, LAB),
    in_category("vital-1", ANN, VITAL, hasMember=[{"reference": "Observation/lab-1"}]),
    in_category("lab-3", ANN, LAB, hasMember=[{"reference": "Observation/vital-1"}]),
    {"resourceType": "List", "id": "scope-list", "status": "current", "mode": "working", "subject": {"reference": f"Patient/{ANN}"},
     "entry": [{"item": {"reference": "Observation/vital-1"}}, {"item": {"reference": "Observation/lab-1"}}]},
]  # fmt: skip
ONLY_LAB = f"Observation.cruds?category={CATEGORY}|{LAB}"
DOCTOR = Assignment("role-d", "lakare", "lakare", HOSPITAL, HOSPITAL, REGION, REGION)


def staff(*scopes: str, of: str | None = ANN) -> Actor:
    return Actor(
        "staff",
        "Practitioner/d",
        "D",
        3,
        DOCTOR,
        scopes=frozenset(scopes),
        app=App("an-app", "g", of),
    )


ACTORS |= {
    "lab-service": Actor("client", "client:lab", everything=True, scopes=frozenset({f"system/{ONLY_LAB}"})),
    "lab-of-region": Actor("client", "client:labr", provider=REGION, scopes=frozenset({f"system/{ONLY_LAB}"})),
    "lab-app": staff(f"user/{ONLY_LAB}", "user/Patient.rs"),
    "lab-of-ann": staff(f"patient/{ONLY_LAB}"),
    "ann-app": staff("patient/*.cruds"),
    "mixed-app": staff("patient/Observation.rs", "user/Patient.rs"),
    "all-app": staff("user/*.cruds"),
    "either-app": staff(f"user/{ONLY_LAB}", f"user/Observation.rs?status=final&category={VITAL}"),
    "system-in-app": staff("system/*.cruds"), "user-in-client": Actor(
        "client", "client:u", everything=True, scopes=frozenset({"user/*.cruds", "patient/*.cruds"})),
    "no-patient": staff("patient/*.cruds", of=None),
    "ann-parent": Actor("resident", f"Patient/{ANN}", "A", 3, scopes=frozenset({"patient/*.rs"}), app=App("an-app", "g", ANN)),
}  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    if (await fhir.get(f"Patient/{ANN}")).status == 404:
        await fhir.store(*THINGS)
        await fhir.put("Observation/was-lab", in_category("was-lab", ANN, LAB, code="old"))
        await fhir.put("Observation/was-lab", in_category("was-lab", ANN, VITAL, code="old"))
        for id, category in (("gone-lab", LAB), ("gone-vital", VITAL)):
            await fhir.put(f"Observation/{id}", in_category(id, ANN, category))
            await fhir.delete(f"Observation/{id}")
    return fhir


LABS = ["lab-1", "lab-2", "lab-3"]


@pytest.mark.asvs("v5.0.0-10.3.2")
@pytest.mark.parametrize("who", ["lab-service", "lab-of-region", "lab-app", "lab-of-ann"])
async def test_a_restriction_holds_on_every_way_to_read(known: Api, who: str) -> None:
    app = known.as_(who)
    # read, vread, history
    assert (await app.get("Observation/lab-1")).status == 200
    assert (await app.get("Observation/lab-1/_history/1")).status == 200
    hidden, absent = await app.get("Observation/vital-1"), await app.get("Observation/vital-x")
    assert (hidden.status, hidden.words.replace("vital-1", "vital-x")) == (404, absent.words)
    for path in ("vital-1/_history", "vital-1/_history/1", "vital-1/$meta", "was-lab", "was-lab/_history/2", "gone-vital",
                 "gone-vital/_history/1", "gone-vital/_history/2", "gone-vital/_history"):  # fmt: skip
        assert (await app.get(f"Observation/{path}")).status == 404, path
    assert (await app.get("Observation/was-lab/_history/1")).status == 200
    assert [
        e["resource"]["meta"]["versionId"]
        for e in (await app.get("Observation/was-lab/_history")).json["entry"]
    ] == ["1"]
    assert (await app.get("Observation/gone-lab")).status == 410
    assert len((await app.get("Observation/gone-lab/_history")).json["entry"]) == 2
    # search, its totals, its pages
    mine = f"Observation?patient={ANN}&code=sc"
    assert await app.search(mine) == LABS
    assert await app.search(f"{mine}&_count=1") == LABS
    assert (await app.get(f"{mine}&_summary=count")).json["total"] == 3
    assert (await app.get(f"{mine}&_total=accurate&_count=1")).json["total"] == 3
    assert await app.search(f"{mine}&category={VITAL}") == []
    assert await app.search(f"{mine}&category:not={LAB}") == []
    assert await app.search(f"{mine}&_id=vital-1,lab-1") == ["lab-1"]
    assert sorted((await app.get(f"Patient/{ANN}/Observation?code=sc")).ids) == LABS
    assert sorted((await app.ask("POST", "Observation/_search", f"patient={ANN}&code=sc".encode(),
                                 {"content-type": "application/x-www-form-urlencoded"})).ids) == LABS  # fmt: skip
    # what is reached through other things
    assert (await app.get(f"{mine}&_id=lab-3&_include=Observation:has-member")).included == []
    assert (await app.get(f"{mine}&_id=lab-3&_include=*")).included in ([], [f"Patient/{ANN}"])
    assert (await app.get(f"{mine}&_id=lab-1&_revinclude=Observation:has-member")).included == []
    assert await app.search(f"{mine}&has-member.category={VITAL}") == []
    assert await app.search(f"{mine}&_has:Observation:has-member:category={VITAL}") == []
    assert await app.search(f"{mine}&_list=scope-list") in ([], ["lab-1"])
    # many at once
    reply = await app.post(
        "", bundle("batch", entry("GET", "Observation/vital-1"), entry("GET", mine))
    )
    first, second = reply.json["entry"]
    assert first["response"]["status"] == "404"
    assert sorted(e["resource"]["id"] for e in second["resource"]["entry"]) == LABS
    reply = await app.post("", bundle("transaction", entry("GET", "Observation/vital-1")))
    assert reply.status == 404
    history = (await app.get("Observation/_history?_count=500")).json.get("entry", [])
    if who == "lab-app":  # the law lets staff see no history that names no patient
        assert history == []
        return
    ids = {e["fullUrl"].rsplit("/", 1)[1] for e in history}
    assert {"lab-1", "gone-lab", "was-lab"} <= ids and not {"vital-1", "gone-vital"} & ids
    assert sum(e["fullUrl"].endswith("was-lab") for e in history) == 1


async def test_everything_holds_only_what_is_granted(known: Api) -> None:
    ids = (await known.as_("lab-app").get(f"Patient/{ANN}/$everything")).ids
    assert {*ids} == {ANN, *LABS}
    assert (await known.as_("lab-of-ann").get(f"Patient/{ANN}/$everything")).status == 403
    ids = (await known.as_("ann-app").get(f"Patient/{ANN}/$everything")).ids
    assert {ANN, "vital-1", "scope-va"} <= {*ids} and "bo-lab" not in ids
    assert (await known.as_("ann-app").get(f"Patient/{BO}/$everything")).status == 404


async def test_two_scopes_of_a_type_add_up(known: Api) -> None:
    app = known.as_("either-app")
    assert await app.search(f"Observation?patient={ANN}&code=sc") == [*LABS, "vital-1"]
    assert (await app.get("Observation/vital-1")).status == 200
    new = in_category("", ANN, VITAL, code="either")
    assert (await app.post("Observation", new)).status == 403
    new["category"][0]["coding"][0]["code"] = LAB
    assert (await app.post("Observation", new)).status == 201


@pytest.mark.asvs("v5.0.0-10.3.2")
@pytest.mark.parametrize("who", ["lab-service", "lab-of-region", "lab-app", "lab-of-ann"])
async def test_what_is_written_meets_the_restriction_before_and_after(known: Api, who: str) -> None:
    app = known.as_(who)
    id = f"w-{who}"
    await known.put(f"Observation/{id}", in_category(id, ANN, LAB, code="w"))
    await known.put(f"Observation/{id}-v", in_category(f"{id}-v", ANN, VITAL, code="w"))
    new = in_category("", ANN, VITAL, code="w")
    assert (await app.post("Observation", new)).status == 403
    assert (await app.put(f"Observation/{id}", in_category(id, ANN, VITAL, code="w"))).status == 403
    turn = [{"op": "replace", "path": "/category/0/coding/0/code", "value": VITAL}]
    assert (await app.patch(f"Observation/{id}", turn)).status == 403
    back = [{"op": "replace", "path": "/category/0/coding/0/code", "value": LAB}]
    meta = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}],
    }
    old = f"Observation/{id}-v"
    for reply in (
        await app.put(old, in_category(f"{id}-v", ANN, LAB, code="w")), await app.patch(old, back),
        await app.delete(old), await app.post(f"{old}/$meta-add", meta),
        await app.post("", bundle("transaction", entry("DELETE", old))),
        await app.post("", bundle("transaction", entry("PUT", old, in_category(f"{id}-v", ANN, LAB, code="w")))),
    ):  # fmt: skip
        assert reply.status == 404, reply
    for kind, wanted in (("transaction", 403), ("batch", 200)):
        reply = await app.post("", bundle(kind, entry("POST", "Observation", new)))
        assert reply.status == wanted
        if kind == "batch":
            assert reply.json["entry"][0]["response"]["status"] == "403"
    assert (await app.delete(f"Observation?code=w&patient={ANN}&category={VITAL}")).status == 204
    assert (await known.get(old)).status == 200
    assert (await app.put(f"Observation/{id}", in_category(id, ANN, LAB, code="w"))).status == 200
    assert (await app.post(f"Observation/{id}/$meta-add", meta)).status == 200
    assert (await app.delete(f"Observation/{id}")).status == 204


@pytest.mark.asvs("v5.0.0-10.3.2")
async def test_a_patients_scopes_stay_in_that_patients_record(known: Api) -> None:
    app = known.as_("ann-app")
    assert (await known.as_("all-app").get("Observation/bo-lab")).status == 200
    for path in (
        "Observation/bo-lab",
        f"Patient/{BO}",
        "Encounter/scope-vb",
        f"Patient/{BO}/_history",
    ):
        assert (await app.get(path)).status == 404, path
    assert await app.search(f"Observation?patient={BO}") == []
    assert await app.search(f"Patient/{BO}/Observation") == []
    assert await app.search("Observation?code=sc") == [*LABS, "vital-1"]
    assert await app.search("Patient?family=Scope") == [ANN]
    assert (await app.get("Patient?family=Scope&_summary=count")).json["total"] == 1
    assert await app.search(f"?_id={ANN},{BO},lab-1,bo-lab") == sorted([ANN, "lab-1"])
    assert await app.search("Encounter?_id=scope-va,scope-vb") == ["scope-va"]
    assert await app.search(f"Patient?_has:Observation:patient:code=sc&_id={ANN},{BO}") == [ANN]
    history = {
        e["fullUrl"].rsplit("/", 1)[1] for e in (await app.get("_history?_count=500")).json["entry"]
    }
    assert ANN in history and not {BO, "bo-lab", "scope-vb"} & history
    assert (await app.post("Observation", observation(subject=f"Patient/{BO}"))).status == 403
    made = await app.post("Observation", observation(subject=f"Patient/{ANN}", code="mine"))
    assert made.status == 201
    moved = observation(made.json["id"], f"Patient/{BO}", "mine")
    assert (await app.put(f"Observation/{made.json['id']}", moved)).status == 403
    assert (await app.delete("Observation/bo-lab")).status == 404
    # who works here and where is nobody's record
    assert (await app.get("Practitioner/scope-p")).status == 200
    assert (
        await app.put("Practitioner/scope-p", {"resourceType": "Practitioner", "id": "scope-p"})
    ).status == 403


async def test_nothing_is_opened_that_the_app_cannot_see(known: Api) -> None:
    before = len(audit_entries(known.services.database.dsn))
    app = known.as_("ann-app")
    await app.get("Observation/bo-lab")
    await app.get(f"Observation?patient={BO}")
    await app.get("Practitioner/scope-p")
    opened = {
        e["patient"]
        for e in audit_entries(known.services.database.dsn)[before:]
        if e["action"] == "open"
    }
    assert opened == {ANN}
    assert {e["details"]["app"] for e in audit_entries(known.services.database.dsn)[before:]} == {
        "an-app"
    }


async def test_scopes_of_one_kind_say_nothing_of_another(known: Api) -> None:
    app = known.as_("mixed-app")
    assert (await app.get(f"Patient/{BO}")).status == 200
    assert (await app.get("Observation/bo-lab")).status == 404
    assert (await app.get("Observation/lab-1")).status == 200
    assert (await app.get(f"Observation?patient={ANN}&_include=Observation:subject")).included == [
        f"Patient/{ANN}"
    ]
    assert (await app.get(f"Patient?_id={BO}&_revinclude=Observation:subject")).included == []


@pytest.mark.asvs("v5.0.0-10.3.2")
@pytest.mark.parametrize("who", ["system-in-app", "user-in-client", "no-patient"])
async def test_scopes_that_do_not_belong_to_who_asks_are_worth_nothing(
    known: Api, who: str
) -> None:
    for path in (
        "Observation/lab-1",
        f"Observation?patient={ANN}",
        "Practitioner/scope-p",
        "_history",
        f"Patient/{ANN}",
    ):
        assert (await known.as_(who).get(path)).status == 403, path


@pytest.mark.asvs("v5.0.0-10.3.2", "v5.0.0-8.3.1")
async def test_the_law_decides_first(known: Api) -> None:
    resident = known.as_("ann-parent")
    assert (await resident.get("Observation/lab-1")).status == 200
    assert (await resident.get("Observation/bo-lab")).status == 404
    assert (await resident.post("Observation", observation(subject=f"Patient/{ANN}"))).status == 403
    low = Actor(
        "staff",
        "Practitioner/d",
        "D",
        2,
        DOCTOR,
        scopes=frozenset({"user/*.cruds"}),
        app=App("an-app", "g"),
    )
    ACTORS["low-app"] = low
    assert (await known.as_("low-app").get(f"Observation?patient={ANN}")).status == 403


async def test_who_may_change_but_not_read_is_not_shown_the_rest(known: Api) -> None:
    ACTORS["blind-app"] = staff("user/Observation.u")
    await known.put("Observation/blind", in_category("blind", ANN, LAB, valueString="secret"))
    reply = await known.as_("blind-app").patch(
        "Observation/blind", [{"op": "replace", "path": "/status", "value": "amended"}]
    )
    assert reply.status == 200 and b"secret" not in reply.content
