"""A municipality with a system of its own takes part: told at once, answers, and nothing is lost between."""

from __future__ import annotations

from .conftest import World, until


async def test_a_request_sent_by_the_hospital_reaches_the_municipalitys_system_and_its_answer_comes_back(
    world: World,
) -> None:
    town = await world.municipality()
    id = await town.subscribe(content="full-resource")
    await until(lambda: town.kinds() == ["handshake"])
    await until(lambda: _active(town, id))
    task = await world.send()
    await until(lambda: len(town.notified) == 2)
    told = town.notified[1]
    assert told.said["type"] == "event-notification" and told.numbers == [1]
    (event,) = told.said["events"]
    assert event["focus"] == f"{world.url}/fhir/{task}"
    resources = [e["resource"] for e in told.bundle["entry"][1:]]
    assert [r["resourceType"] for r in resources] == ["Task", "ServiceRequest"]
    assert event["context"] == [f"{world.url}/fhir/ServiceRequest/{resources[1]['id']}"]
    request = await town.ask("GET", f"ServiceRequest/{resources[1]['id']}")
    assert request.json()["code"]["text"] == "Hemsjukvård"
    answer = await town.respond(task, "accepted", "Tar emot")
    assert answer.status_code == 200, answer.text
    await until(lambda: len(town.notified) == 3)
    assert town.notified[2].said["events"][0]["focus"].endswith(task)
    assert world.trace("notify")[0] | {"at": ""} == {
        "at": "", "actor": "client:town", "action": "notify", "patient": "ann", "what": task, "provider": "SE-TOWN",
        "details": {"content": "full-resource", "event": 1, "subscription": id},
    }  # fmt: skip


async def _active(town, id: str) -> bool:
    return (await town.status(id))["status"] == "active"
