"""A subscriber is told of what its client may read now, and of nothing else; who got what stands in the trace."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sammanhang.access.actor import SYSTEM
from sammanhang.access.clients import close_client
from sammanhang.access.facts import PROTECTED_SYSTEM
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import Coding, HumanName, Meta, Patient
from sammanhang.work import outbox

from .conftest import HOSPITAL, OTHER, REGION, TOWN, World, until
from .test_down import status, subscribed

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick


async def test_a_municipality_is_not_told_of_what_was_sent_to_another(world: World) -> None:
    town = await world.municipality()
    other = await world.municipality(OTHER, "other")
    ids = [await subscribed(world, one) for one in (town, other)]
    await world.send(to=TOWN)
    await until(lambda: town.received() == {1: 1})
    await asyncio.sleep(0.2)
    assert other.received() == {} and other.kinds() == ["handshake"]
    assert (await other.status(ids[1]))[
        "events-since-subscription-start"
    ] == "0"  # nor that there was anything
    assert (await other.events(ids[1], 1)).numbers == []
    assert (await other.ask("GET", f"Subscription/{ids[0]}/$events")).status_code == 404
    assert (await other.ask("GET", f"Subscription/{ids[0]}/$status")).status_code == 404
    assert (await other.ask("GET", f"Subscription/{ids[0]}")).status_code == 404


async def test_a_client_that_is_closed_gets_nothing_more_not_even_what_waited(world: World) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    town.answer = 503
    task = await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE tries > 0"))
    close_client(world.dsn, "town")
    town.answer = 200
    await until(
        lambda: world.rows("SELECT FROM work.subscription WHERE id = %s AND status = 'off'", id), 12
    )
    await asyncio.sleep(0.3)
    assert town.received() == {}
    (one,) = (await outbox.for_about(world.services.database, [task]))[task]
    assert one.state == "stopped" and one.error == "Klienten är stängd. / The client is closed."
    assert world.rows("SELECT convert_from(body, 'utf8')::json->>'error' FROM store.other WHERE id = %s", id) == [(one.error,)]  # fmt: skip


async def test_what_may_no_longer_be_read_keeps_its_number_and_says_nothing_else(
    world: World,
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town, content="full-resource")
    town.answer = 503
    first, second = await world.send(), await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery HAVING count(*) = 2"))
    # it was sent to the wrong town and is called back before it arrived
    await world.change(first, meta=Meta(tag=[Coding(system=t, code=c) for t, c in _owner()]))
    (tries,) = world.rows("SELECT max(tries) FROM work.delivery")[0]
    world.shift = timedelta(minutes=3)
    # what was on its way before is not taken either
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE tries > %s", tries + 1))
    before = len(world.trace("notify"))
    town.answer = 200
    world.shift = timedelta(minutes=9)
    await until(lambda: set(town.received()) == {1, 2})
    told = [e for n in town.notified for e in n.said["events"]]
    assert "focus" not in told[0] and told[0]["event-number"] == "1" and told[0]["context"] == []
    assert told[1]["focus"].endswith(second)
    bodies = str([n.bundle for n in town.notified])
    assert first.partition("/")[2] not in bodies
    assert all(e["what"] == second for e in world.trace("notify")[before:])
    assert (await town.events(id, 1, 1)).said["events"][0].keys() == {
        "event-number",
        "timestamp",
        "context",
    }


def _owner() -> list[tuple[str, str]]:
    from sammanhang.kernel.owner import PROVIDER, UNIT

    return [(PROVIDER, REGION), (UNIT, HOSPITAL)]


async def test_the_name_of_somebody_with_protected_identity_is_masked(world: World) -> None:
    town = await world.municipality()
    await subscribed(world, town, content="full-resource")
    changes = Changes.by_system(world.services.doors, SYSTEM, "hidden", (REGION, HOSPITAL))
    label = Coding(system=PROTECTED_SYSTEM, code="sekretessmarkering")
    changes.create(
        Patient(meta=Meta(security=[label]), name=[HumanName(family="Ek", given=["Ann"])]),
        id="hidden",
    )
    await changes.commit("create")
    await world.send(patient="hidden")
    await until(lambda: town.received() == {1: 1})
    bundle = str(town.notified[-1].bundle)
    assert "Patient/hidden" in bundle and "Ann Ek" not in bundle and "Skyddad uppgift" in bundle


async def test_a_client_without_the_scope_to_read_tasks_may_not_subscribe_to_them(
    world: World,
) -> None:
    town = await world.municipality(scopes=("system/Subscription.cruds", "system/Patient.rs"))
    answer = await town.ask("POST", "Subscription", town.subscription())
    assert answer.status_code == 422
    (issue,) = answer.json()["issue"]
    assert (
        issue["expression"] == ["Subscription.criteria"]
        and "system/Task.r" in issue["details"]["text"]
    )


async def test_another_client_of_the_same_care_provider_may_not_turn_the_notifications_to_itself(
    world: World,
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town, header=["Authorization: Bearer one-two-three"])
    rival = await world.municipality(TOWN, "rival")
    resource = (await rival.ask("GET", f"Subscription/{id}")).json()
    assert resource["channel"]["header"] == ["Authorization: ********"]
    resource["channel"]["endpoint"] = rival.url
    assert (await rival.ask("PUT", f"Subscription/{id}", resource)).status_code == 403
    assert (await rival.ask("DELETE", f"Subscription/{id}")).status_code == 403
    assert (await rival.ask("GET", f"Subscription/{id}/$events")).status_code == 404
    assert "one-two-three" not in str(
        world.rows("SELECT convert_from(body, 'utf8') FROM store.other")
    )
    assert "one-two-three" not in str(world.trace("create"))


async def test_a_header_is_conveyed_with_every_message_and_shown_to_nobody(world: World) -> None:
    """HAPI #1084: without a payload the headers were left out."""
    town = await world.municipality()
    id = await subscribed(
        world, town, content="empty", header=["Authorization: Bearer one-two-three", "X-Unit: a b"]
    )
    await world.send()
    await until(lambda: town.received() == {1: 1})
    for one in town.notified:
        assert (
            one.headers["authorization"] == "Bearer one-two-three"
            and one.headers["x-unit"] == "a b"
        )
    read = await town.ask("GET", f"Subscription/{id}")
    history = await town.ask("GET", f"Subscription/{id}/_history")
    assert "one-two-three" not in read.text + history.text
    # what was read may be sent back: the secret stays what it was
    assert (
        await town.ask("PUT", f"Subscription/{id}", read.json() | {"reason": "Ny"})
    ).status_code == 200
    await until(lambda: len(town.notified) == 3)
    assert town.notified[-1].headers["authorization"] == "Bearer one-two-three"
    assert await until(lambda: status(town, id, "active"))
