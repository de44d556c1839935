"""A subscriber is told that something was deleted, if it might have read it, and of nothing it might not."""

from __future__ import annotations

import asyncio
import json

import pytest

from sammanhang.fhir.decode import decode
from sammanhang.fhir.r4 import Coding, Meta
from sammanhang.kernel.owner import PROVIDER, UNIT

from .conftest import HOSPITAL, OTHER, REGION, World, until
from .test_down import subscribed

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick


@pytest.mark.parametrize("content", ["id-only", "full-resource"])
async def test_a_deleted_task_is_told_of_with_the_request_and_without_the_resource(
    world: World, content: str
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town, content=content)
    task = await world.send()
    await until(lambda: town.received() == {1: 1})
    await world.delete(task)
    await until(lambda: set(town.received()) == {1, 2})
    told = town.notified[-1]
    (event,) = told.said["events"]
    assert event["focus"] == f"{world.url}/fhir/{task}" and event["context"] == []
    assert told.deleted == [task] and len(told.bundle["entry"]) == 2
    assert (await town.ask("GET", task)).status_code == 410
    decode(json.dumps(told.bundle).encode(), "Bundle")  # raises for what breaks a rule
    last = world.trace("notify")[-1]
    assert (last["what"], last["patient"], last["details"]["event"]) == (task, "ann", 2)
    # caught up with, it says the same; what came before is a number
    missed = await town.events(id, 1)
    assert missed.numbers == [1, 2] and missed.deleted == [task]
    assert "focus" not in missed.said["events"][0]
    assert missed.said["events"][1]["focus"].endswith(task)


async def test_the_least_content_says_that_something_happened_and_not_what(world: World) -> None:
    town = await world.municipality()
    await subscribed(world, town, content="empty")
    task = await world.send()
    await until(lambda: town.received() == {1: 1})
    await world.delete(task)
    await until(lambda: set(town.received()) == {1, 2})
    assert town.notified[-1].deleted == []
    assert task.partition("/")[2] not in str(town.notified[-1].bundle)


async def test_who_might_not_read_it_is_told_nothing_not_even_a_number(world: World) -> None:
    town, other = await world.municipality(), await world.municipality(OTHER, "other")
    ids = [await subscribed(world, one) for one in (town, other)]
    called_back, stays = await world.send(), await world.send()
    await until(lambda: set(town.received()) == {1, 2})
    # sent to the wrong town and called back: what became of it then is no longer the town's to know
    owner = [Coding(system=s, code=c) for s, c in ((PROVIDER, REGION), (UNIT, HOSPITAL))]
    await world.change(called_back, meta=Meta(tag=owner))
    await world.delete(called_back)
    await world.delete(stays)
    await until(lambda: set(town.received()) == {1, 2, 3})
    assert town.notified[-1].deleted == [stays]
    await asyncio.sleep(0.2)
    assert other.kinds() == ["handshake"]
    assert (await other.status(ids[1]))["events-since-subscription-start"] == "0"


async def test_what_may_not_be_read_when_it_is_sent_keeps_its_number(world: World) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    task = await world.send()
    await until(lambda: town.received() == {1: 1})
    await world.delete(task)
    await until(lambda: set(town.received()) == {1, 2})
    # its history is put right: it was never the town's
    with_hands = "UPDATE store.history SET provider = 0, body = convert_to(replace(convert_from(body, 'utf8'), 'SE-TOWN', 'SE-X'), 'utf8') WHERE id = %s AND body IS NOT NULL RETURNING 1"  # fmt: skip
    assert world.write(with_hands, task.partition("/")[2])
    late = await town.events(id, 2)
    assert late.numbers == [2] and late.deleted == [] and "focus" not in late.said["events"][0]


async def test_filters_hold_for_what_was_deleted_and_who_was_told_before_is_told_the_end(
    world: World,
) -> None:
    asked = await world.municipality()
    done = await world.municipality(name="done")
    await subscribed(world, asked, filters=["Task?status=requested"])
    await subscribed(world, done, filters=["Task?status=completed"])
    task, fresh = await world.send(), await world.send()
    await until(lambda: set(asked.received()) == {1, 2})
    await world.change(task, status="completed")
    await until(lambda: done.received() == {1: 1})
    await world.delete(task)
    await world.delete(fresh)
    await until(lambda: set(asked.received()) == {1, 2, 3, 4})
    assert [ref for n in asked.notified for ref in n.deleted] == [task, fresh]
    await until(lambda: set(done.received()) == {1, 2})
    assert [ref for n in done.notified for ref in n.deleted] == [task]


async def test_the_owner_topic_tells_that_a_task_is_no_longer_anybodys(world: World) -> None:
    town = await world.municipality()
    await subscribed(world, town, topic="task-owner")
    task = await world.send()
    await until(lambda: town.received() == {1: 1})
    await world.delete(task)
    await until(lambda: set(town.received()) == {1, 2})
    assert town.notified[-1].deleted == [task]


async def test_what_comes_back_is_told_of_after_its_deletion_in_order(quiet: World) -> None:
    town = await quiet.municipality()
    await town.subscribe(content="full-resource")
    task = await quiet.send()
    resource = (await town.ask("GET", task)).json()
    await quiet.delete(task)
    answer = await town.ask("PUT", task, resource)
    assert answer.status_code in (200, 201), answer.text
    quiet.start_matching()  # all of it lies there when the feed is read
    quiet.start_delivering()
    await until(lambda: len(town.received()) == 3)
    told = town.notified[-1]
    methods = [e["request"]["method"] for e in told.bundle["entry"] if task in e["request"]["url"]]
    assert "DELETE" in methods and "PUT" in methods
    assert all("focus" in e for n in town.notified for e in n.said["events"])
