"""Care requests over FHIR: a municipality with its own system takes part as any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

import sammanhang.care.requests.api  # noqa: F401 (takes the writes)
from sammanhang.access.actor import Actor
from sammanhang.care.requests.request import CATEGORY, KIND, STATE_SYSTEM
from sammanhang.kernel.owner import SHARED, UNIT
from sammanhang.region.organisations import named
from sammanhang.rest.tests.api import ACTORS, ALL_SCOPES, Api, Reply, api, bundle

CENTRUM, CENTRE = named("Hemsjukvård Centrum, Borås"), named("Vårdcentralen Södra torget")
THIRD = named("Hemsjukvård Centrum, Alingsås")


@pytest_asyncio.fixture
async def fhir(own_town: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The API, with clients of the region, of Borås and of Alingsås."""
    for name, unit in (("vgr", CENTRE), ("boras", CENTRUM), ("alingsas", THIRD)):
        monkeypatch.setitem(ACTORS, name, Actor("client", f"client:{name}", name, scopes=ALL_SCOPES, provider=unit.provider))  # fmt: skip
    monkeypatch.setitem(ACTORS, "reads", Actor("client", "client:reads", "reads", scopes=frozenset({"system/*.rs"}), provider=CENTRE.provider))  # fmt: skip
    async with api(own_town) as client:
        yield client


def asked(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "urgent",
        "meta": {"tag": [{"system": UNIT, "code": CENTRE.id}]},
        "identifier": [{"system": "https://example.se/remiss", "value": "17"}],
        "category": [{"coding": [{"system": CATEGORY, "code": "vardbegaran"}]}],
        "code": {"coding": [{"system": KIND, "code": "hemsjukvard"}]},
        "subject": {"reference": "Patient/svea-andersson"},
        "reasonCode": [{"text": "Fallit två gånger"}], "orderDetail": [{"text": "Bedöm hemmet"}],
        "extension": [{"url": "http://sammanhang.se/fhir/StructureDefinition/disclosure-ground", "valueCode": "samtycke"}],
        **more,
    }  # fmt: skip


async def sent(fhir: Api, **more: Any) -> str:
    reply = await fhir.as_("vgr").post("ServiceRequest", asked(**more))
    assert reply.status == 201, reply
    return str(reply.json["id"])


async def task_of(fhir: Api, id: str, who: str = "boras", kind: str = "care-request") -> Any:
    reply = await fhir.as_(who).get(
        f"Task?focus=ServiceRequest/{id}&code={kind}&_sort=-_lastUpdated"
    )
    return reply.json["entry"][0]["resource"]


async def turn(fhir: Api, id: str, state: str, who: str = "boras", **more: Any) -> Reply:
    task = await task_of(fhir, id)
    task["businessStatus"] = {"coding": [{"system": STATE_SYSTEM, "code": state}]}
    return await fhir.as_(who).put(f"Task/{task['id']}", {**task, **more})


async def state(fhir: Api, id: str) -> str:
    request = (await fhir.as_("vgr").get(f"ServiceRequest/{id}")).json
    return next(
        e["valueCode"] for e in request["extension"] if e["url"].endswith("care-request-state")
    )


async def test_what_one_system_posts_is_the_others_task_with_a_deadline(fhir: Api) -> None:
    id = await sent(fhir)
    request = (await fhir.as_("boras").get(f"ServiceRequest/{id}")).json
    assert request["identifier"][0]["value"] == "17"
    assert request["performer"][0]["reference"] == f"Organization/{CENTRUM.id}"  # by routing
    assert {"system": SHARED, "code": CENTRUM.provider} in request["meta"]["tag"]
    task = await task_of(fhir, id)
    assert task["status"] == "requested" and task["restriction"]["period"]["end"]
    assert (await fhir.as_("alingsas").get(f"ServiceRequest/{id}")).status == 404
    assert (await fhir.as_("alingsas").get(f"Task/{task['id']}")).status == 404


async def test_the_receivers_system_asks_accepts_plans_and_answers(fhir: Api) -> None:
    id = await sent(fhir)
    reply = await turn(fhir, id, "more-information", note=[{"text": "Nyckel?"}])
    assert reply.status == 200 and reply.json["status"] == "on-hold", reply
    question = await task_of(fhir, id, "vgr", "question")
    question |= {"status": "completed", "note": [{"text": "Hos sonen"}]}
    reply = await fhir.as_("vgr").put(f"Task/{question['id']}", question)
    assert reply.status == 200 and reply.json["status"] == "completed", reply
    assert (await turn(fhir, id, "accepted")).json["status"] == "accepted"
    planned = await turn(
        fhir,
        id,
        "planned",
        executionPeriod={
            "start": (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
        },
    )
    assert planned.status == 200, planned
    done = await turn(fhir, id, "answered", note=[{"text": "Inskriven i hemsjukvården"}])
    assert done.json["status"] == "completed", done
    said = (await fhir.as_("vgr").get(f"DocumentReference?related=ServiceRequest/{id}")).json
    assert said["total"] == 1
    talk = (
        await fhir.as_("vgr").get(f"Communication?based-on=ServiceRequest/{id}&_sort=sent")
    ).json
    assert [e["resource"]["payload"][0]["contentString"] for e in talk["entry"]] == [
        "Nyckel?",
        "Hos sonen",
    ]
    request = (await fhir.as_("vgr").get(f"ServiceRequest/{id}")).json
    closed = await fhir.as_("vgr").put(f"ServiceRequest/{id}", request | {"status": "completed"})
    assert closed.status == 200 and await state(fhir, id) == "closed"


async def test_what_the_table_does_not_say_is_refused_and_nothing_has_changed(fhir: Api) -> None:
    id = await sent(fhir)
    assert (await turn(fhir, id, "closed")).status == 422
    assert (await turn(fhir, id, "rejected")).status == 400  # no reason
    assert (await turn(fhir, id, "answered", note=[{"text": "x"}])).status == 409
    assert (await turn(fhir, id, "accepted", who="vgr")).status == 403
    request = (await fhir.as_("vgr").get(f"ServiceRequest/{id}")).json
    changed = await fhir.as_("vgr").put(
        f"ServiceRequest/{id}", request | {"orderDetail": [{"text": "Annat"}]}
    )
    assert changed.status == 422
    assert (await fhir.as_("vgr").delete(f"ServiceRequest/{id}")).status == 422
    assert await state(fhir, id) == "sent"
    assert (await fhir.as_("reads").post("ServiceRequest", asked())).status == 403
    no_unit = await fhir.as_("vgr").post(
        "ServiceRequest", asked(meta={"tag": [{"system": "urn:x", "code": "x"}]})
    )
    assert no_unit.status == 422 and "care-unit" in no_unit.words
    not_ours = await fhir.as_("boras").post("ServiceRequest", asked())
    assert not_ours.status == 422


async def test_rejected_and_withdrawn_over_the_api_with_their_reasons(fhir: Api) -> None:
    id = await sent(fhir)
    reply = await turn(fhir, id, "rejected", statusReason={"text": "Klarar sig själv"})
    assert reply.json["status"] == "rejected" and await state(fhir, id) == "rejected"
    assert (await task_of(fhir, id, "vgr", "read"))["status"] == "requested"
    id = await sent(fhir)
    request = (await fhir.as_("vgr").get(f"ServiceRequest/{id}")).json
    reply = await fhir.as_("vgr").put(
        f"ServiceRequest/{id}", request | {"status": "revoked", "note": [{"text": "Inlagd"}]}
    )
    assert reply.status == 200 and await state(fhir, id) == "withdrawn"


async def test_the_same_request_sent_twice_is_one(fhir: Api) -> None:
    body = asked(identifier=[{"system": "https://example.se/remiss", "value": "twice"}])
    condition = {"if_none_exist": "identifier=https://example.se/remiss|twice"}
    first = await fhir.as_("vgr").post("ServiceRequest", body, **condition)
    second = await fhir.as_("vgr").post("ServiceRequest", body, **condition)
    assert (first.status, second.status) == (201, 200)
    assert first.json["id"] == second.json["id"]


async def test_in_a_transaction_it_is_refused_and_nothing_of_it_is_kept(fhir: Api) -> None:
    note = {
        "resource": {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": "Patient/svea-andersson"},
        },
        "request": {"method": "POST", "url": "Observation"},
    }
    order = {"resource": asked(), "request": {"method": "POST", "url": "ServiceRequest"}}
    reply = await fhir.as_("vgr").post("", bundle("transaction", note, order))
    assert reply.status == 422 and "transaction" in reply.words
    batch = await fhir.as_("vgr").post("", bundle("batch", note, order))
    assert [e["response"]["status"][:3] for e in batch.json["entry"]] == ["201", "201"]
