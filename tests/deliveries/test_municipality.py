"""A municipality with a system of its own takes part: told at once, answers, and nothing is lost between."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from sammanhang.fhir.decode import decode
from sammanhang.fhir.r4 import Reference
from sammanhang.work.subscriptions import matching
from sammanhang.work.subscriptions.notifications import STATUS
from sammanhang.work.subscriptions.topics import topics

from .conftest import OTHER, REGION, TOWN, World, until

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick


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


async def test_the_least_content_says_that_something_happened_and_not_what(world: World) -> None:
    town = await world.municipality()
    await town.subscribe(content="empty")
    await until(lambda: town.kinds() == ["handshake"])
    task = await world.send()
    await until(lambda: town.received() == {1: 1})
    told = town.notified[1]
    assert task.partition("/")[2] not in str(told.bundle) and "topic" not in told.said
    assert told.said["events"] == [{"event-number": "1", "timestamp": told.said["events"][0]["timestamp"], "context": []}]  # fmt: skip


async def test_every_message_is_valid_fhir_and_holds_to_the_profile(world: World) -> None:
    town = await world.municipality()
    id = await town.subscribe(content="full-resource", beat=30)
    await until(lambda: town.kinds() == ["handshake"])
    await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE state = 'delivered'"))
    world.shift = timedelta(seconds=31)
    await until(lambda: "heartbeat" in town.kinds())
    status = await town.ask("GET", f"Subscription/{id}/$status")
    bundles = [*(n.bundle for n in town.notified), (await town.events(id, 1)).bundle, status.json()]
    for bundle in bundles:
        decode(json.dumps(bundle).encode(), "Bundle")  # raises for what breaks a rule
        assert bundle["type"] == ("searchset" if bundle is bundles[-1] else "history")
        first = bundle["entry"][0]["resource"]
        assert first["meta"]["profile"] == [STATUS]
        names = [p["name"] for p in first["parameter"]]
        assert {"subscription", "status", "type", "events-since-subscription-start"} <= set(names)


@pytest.mark.alone
async def test_a_subscription_is_active_and_told_within_two_seconds(world: World) -> None:
    """HAPI #6394: up to ten seconds until it was active and something came; #675: it stayed requested for ever."""
    town = await world.municipality()
    began = asyncio.get_running_loop().time()
    id = await town.subscribe()
    assert (await town.status(id))["status"] in ("requested", "active")  # known at once
    await until(lambda: _active(town, id))
    await world.send()
    await until(lambda: town.received() == {1: 1})
    assert asyncio.get_running_loop().time() - began < 2


async def test_what_happens_before_the_handshake_is_answered_is_told_afterwards(
    world: World,
) -> None:
    town = await world.municipality()
    town.answer = 503
    id = await town.subscribe()
    first = await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery"))
    assert town.received() == {}
    status = await town.status(id)
    assert status["status"] == "error" and status["events-since-subscription-start"] == "1"
    town.answer = 200
    await until(lambda: town.received() == {1: 1})
    assert town.kinds() == ["handshake", "event-notification"]
    assert town.notified[1].said["events"][0]["focus"].endswith(first)


async def test_a_filter_holds_for_the_version_that_happened_not_for_what_came_after(
    quiet: World,
) -> None:
    town = await quiet.municipality()
    id = await town.subscribe(filters=["Task?status=requested,accepted"])
    task = await quiet.send()
    await quiet.change(task, status="accepted")
    await quiet.change(task, status="completed")
    quiet.start_matching()  # all of it lies there when the feed is read
    quiet.start_delivering()
    await until(lambda: set(town.received()) == {1, 2})
    assert quiet.rows("SELECT number, version FROM work.delivery ORDER BY 1") == [(1, 1), (2, 2)]
    assert (await town.status(id))["events-since-subscription-start"] == "2"


async def test_the_owner_topic_tells_when_a_task_gets_another_owner_only(world: World) -> None:
    town = await world.municipality()
    await town.subscribe(
        "task-owner", filters=["owner=Organization/SE-TOWN-HSV,Organization/SE-TOWN-REHAB"]
    )
    await until(lambda: town.kinds() == ["handshake"])
    task = await world.send()
    await world.change(task, status="accepted")
    await world.change(task, owner=Reference(reference="Organization/SE-TOWN-REHAB"))
    await world.change(task, owner=Reference(reference="Organization/SE-ELSEWHERE"))
    await until(lambda: set(town.received()) == {1, 2})
    assert world.rows("SELECT number, version FROM work.delivery ORDER BY 1") == [(1, 1), (2, 3)]


async def test_many_events_come_in_few_messages_in_order(quiet: World) -> None:
    town = await quiet.municipality()
    await town.subscribe(most=4)
    tasks = [await quiet.send() for _ in range(9)]
    quiet.start_matching()
    await until(lambda: quiet.rows("SELECT FROM work.delivery HAVING count(*) = 9"))
    quiet.start_delivering()
    await until(lambda: len(town.received()) == 9)
    assert [n.numbers for n in town.notified] == [[], [1, 2, 3, 4], [5, 6, 7, 8], [9]]
    focus = [e["focus"] for n in town.notified for e in n.said["events"]]
    assert focus == [f"{quiet.url}/fhir/{t}" for t in tasks]
    assert {n.said["events-since-subscription-start"] for n in town.notified[1:]} == {"9"}


async def test_a_subscription_that_is_stopped_deleted_or_over_tells_nothing(world: World) -> None:
    town = await world.municipality()
    stopped, deleted = await town.subscribe(), await town.subscribe()
    over = await town.subscribe(end=(world.now() + timedelta(seconds=1)).isoformat())
    for id in (stopped, deleted):
        await until(lambda id=id: _active(town, id))
    resource = (await town.ask("GET", f"Subscription/{stopped}")).json()
    assert (
        await town.ask("PUT", f"Subscription/{stopped}", resource | {"status": "off"})
    ).status_code == 200
    assert (await town.ask("DELETE", f"Subscription/{deleted}")).status_code == 204
    await until(lambda: _off(town, over), 12)
    error = (await town.ask("GET", f"Subscription/{over}")).json()["error"]
    assert error.endswith("The subscription's end has passed.")
    await until(lambda: _off(town, stopped))
    await world.send()
    await asyncio.sleep(0.5)
    assert town.received() == {} and world.rows("SELECT FROM work.delivery") == []
    assert (await town.ask("GET", f"Subscription/{deleted}/$status")).status_code == 404
    listed = (await town.ask("GET", "Subscription/$status?status=off")).json()
    assert listed["total"] == 2


async def _off(town, id: str) -> bool:
    return (await town.status(id))["status"] == "off"


async def test_a_message_goes_out_once_however_many_workers_there_are(world: World) -> None:
    """HAPI #5208: the same notification came nineteen times."""
    for _ in range(3):
        world.start_delivering()
        world.start_matching()
    town = await world.municipality()
    await town.subscribe()
    for _ in range(15):
        await world.send()
    await until(lambda: len(town.received()) == 15)
    await asyncio.sleep(0.3)
    assert town.received() == {n: 1 for n in range(1, 16)} and town.kinds().count("handshake") == 1


async def test_one_subscription_that_cannot_be_followed_is_in_nobodys_way(world: World) -> None:
    """HAPI #3234: one that could not be activated kept the server from starting."""
    bad, town = await world.municipality(OTHER, "bad", up=False), await world.municipality()
    bad.port = 9
    await bad.subscribe()
    deleted = await bad.subscribe()
    await bad.ask("DELETE", f"Subscription/{deleted}")
    await town.subscribe()
    await world.send()
    await until(lambda: town.received() == {1: 1})


async def test_a_municipality_replies_with_a_message(world: World) -> None:
    town = await world.municipality()
    task = await world.send()
    message = {
        "resourceType": "Communication", "status": "completed", "about": [{"reference": task}],
        "subject": {"reference": "Patient/ann"}, "payload": [{"contentString": "Vi kommer i morgon."}],
        "meta": {"tag": [
            {"system": "http://sammanhang.se/fhir/tag/care-provider", "code": TOWN},
            {"system": "http://sammanhang.se/fhir/tag/shared-with", "code": REGION},
        ]},
    }  # fmt: skip
    answer = await town.ask("POST", "Communication", message)
    assert answer.status_code == 201, answer.text
    hospital = await world.municipality(REGION, "hospital")
    seen = (await hospital.ask("GET", f"Communication/{answer.json()['id']}")).json()
    assert seen["payload"][0]["contentString"] == "Vi kommer i morgon."


async def test_a_system_that_sends_back_only_what_it_understood_hides_nothing_from_the_sender(
    world: World,
) -> None:
    town, hospital = await world.municipality(), await world.municipality(REGION, "hospital")
    task = await world.send()
    resource = (await town.ask("GET", task)).json()
    del resource["meta"]
    answer = await town.ask("PUT", task, resource | {"status": "accepted"})
    assert answer.status_code == 200, answer.text
    assert (await hospital.ask("GET", task)).json()["status"] == "accepted"


async def test_a_topic_that_is_offered_no_longer_ends_its_subscriptions_and_nobody_elses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await world.municipality()
    gone, stays = (
        await town.subscribe("task-owner"),
        await town.subscribe(filters=["Task?status=requested"]),
    )
    await until(lambda: _active(town, gone))
    await until(lambda: _active(town, stays))
    offered = {url: t for url, t in topics().items() if url.endswith("care-request")}
    monkeypatch.setattr(matching, "topics", lambda: offered)
    await until(lambda: _off(town, gone), 12)
    error = (await town.ask("GET", f"Subscription/{gone}")).json()["error"]
    assert "offered no longer" in error
    await world.send()
    await until(lambda: town.received() == {1: 1})
