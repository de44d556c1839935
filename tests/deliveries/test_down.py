"""The receiver's system fails, in every way it can: the sender sees it within a minute, and nothing is lost."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest

from sammanhang.kernel.content import content
from sammanhang.work import outbox
from sammanhang.work.sending import Postman

from ..simulators.municipality import Municipality
from .conftest import HOSPITAL, World, until

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick


async def subscribed(world: World, town: Municipality, **more) -> str:
    id = await town.subscribe(**more)
    await until(lambda: status(town, id, "active"))
    return id


async def status(town: Municipality, id: str, wanted: str) -> bool:
    return (await town.status(id))["status"] == wanted


async def test_a_receiver_that_is_down_is_seen_by_the_sender_within_a_minute_and_gets_all_in_order_an_hour_later(
    world: World,
) -> None:
    town = await world.municipality(up=False)
    async with town.up():
        id = await subscribed(world, town)
    tasks = [await world.send(f"Ärende {n}") for n in range(3)]
    await until(lambda: world.rows("SELECT FROM work.delivery HAVING count(*) = 3"))
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE state = 'failed'"))
    assert await outbox.undelivered(world.services.database) == []  # it has its minute
    world.shift = timedelta(seconds=61)
    late = await outbox.undelivered(world.services.database, sender=HOSPITAL, now=world.now())
    assert [s.about for s in late] == tasks
    assert late[0].receiver == "towns system" and late[0].error == "cannot be reached"
    assert late[0].failing_since is not None and late[0].next_try is not None
    on_page = await outbox.for_about(world.services.database, [tasks[0], "Task/unknown"])
    assert on_page[tasks[0]][0].late(world.now()) and on_page["Task/unknown"] == []
    assert (
        await outbox.undelivered(world.services.database, sender="SE-NOBODY", now=world.now()) == []
    )
    (silent,) = await outbox.silent(world.services.database, now=world.now())
    assert (silent.receiver, silent.waiting, silent.open) == ("towns system", 3, True)
    # the status tells everybody, the subscriber too
    await until(lambda: status(town, id, "error"))
    told = await town.status(id)
    assert "cannot be reached" in told["error"]["text"]
    resource = (await town.ask("GET", f"Subscription/{id}")).json()
    assert resource["status"] == "error" and "cannot be reached" in resource["error"]
    world.shift = timedelta(hours=1)
    async with town.up():
        await until(lambda: status(town, id, "active"))
        await until(lambda: sorted(town.received()) == [1, 2, 3])
    numbers = [n for one in town.notified for n in one.numbers]
    assert numbers == [1, 2, 3] and set(town.received().values()) == {1}
    assert await outbox.undelivered(world.services.database, now=world.now()) == []
    on_page = await outbox.for_about(world.services.database, tasks)
    assert [on_page[t][0].receipt for t in tasks] == ["HTTP 200"] * 3
    assert "error" not in (await town.ask("GET", f"Subscription/{id}")).json()


async def test_what_was_missed_is_fetched_by_number_and_what_comes_twice_is_recognised(
    world: World,
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    town.answer = 503
    tasks = [await world.send() for _ in range(5)]
    await until(lambda: world.rows("SELECT FROM work.delivery HAVING count(*) = 5"))
    assert await town.catch_up(id) == [1, 2, 3, 4, 5]
    some = await town.events(id, 2, 3, content="full-resource")
    assert some.said["type"] == "query-event" and some.numbers == [2, 3]
    assert [e["resource"]["id"] for e in some.bundle["entry"][1:] if e["resource"]["resourceType"] == "Task"] == [
        t.partition("/")[2] for t in tasks[1:3]
    ]  # fmt: skip
    assert (await town.events(id, 6)).numbers == []
    town.answer = 200
    await until(lambda: sum(town.received().values()) == 10)
    assert town.received() == {n: 2 for n in range(1, 6)}


async def test_a_worker_that_dies_before_it_notes_what_it_sent_sends_the_same_message_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await world.municipality()
    await subscribed(world, town, most=2)
    noted, dies = Postman._taken, [True]

    async def taken(self, receiver, kind, parts, said):
        if dies.pop() if dies else False:
            await world.send()  # more is waiting when it is sent again
            raise psycopg.OperationalError("the worker is gone")
        await noted(self, receiver, kind, parts, said)

    monkeypatch.setattr(Postman, "_taken", taken)
    await world.send()
    await until(lambda: len(town.received()) == 2)
    first, again, last = (n for n in town.notified if n.numbers)
    assert (first.numbers, again.numbers, last.numbers) == ([1], [1], [2])
    keys = [n.headers["idempotency-key"] for n in (first, again, last)]
    assert keys[0] == keys[1] != keys[2] and first.headers["sammanhang-events"] == "1-1"


async def test_a_silent_subscription_has_a_heartbeat(world: World) -> None:
    town = await world.municipality()
    await subscribed(world, town, beat=30)
    await world.send()
    await until(lambda: town.received() == {1: 1})
    await asyncio.sleep(0.2)
    assert "heartbeat" not in town.kinds()
    for beats in (1, 2):
        world.shift += timedelta(seconds=31)
        await until(lambda beats=beats: town.kinds().count("heartbeat") == beats)
    await asyncio.sleep(0.2)
    assert town.kinds().count("heartbeat") == 2
    last = town.notified[-1].said
    assert last["events-since-subscription-start"] == "1" and last["status"] == "active"


@pytest.mark.parametrize(
    ("answer", "said"),
    [(500, "HTTP 500: the system is down"), (401, "HTTP 401: the system is down"), (302, "HTTP 302: redirects are not followed")],
)  # fmt: skip
async def test_an_answer_that_is_no_yes_is_tried_again_and_its_reason_is_shown(
    world: World, answer: int, said: str
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    town.answer = answer
    task = await world.send()
    world.shift = timedelta(seconds=61)
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE tries > 0"))
    (one,) = (await outbox.for_about(world.services.database, [task]))[task]
    assert one.state == "failed" and one.error == said
    world.shift = timedelta(seconds=200)
    await until(lambda: status(town, id, "error"))
    town.answer = 204
    world.shift = timedelta(seconds=400)
    await until(lambda: town.received() == {1: 1})


async def test_a_receiver_that_answers_too_late_is_cut_off(world: World) -> None:
    """Medplum #6293: a hook without a time limit held a worker for ever."""
    town = await world.municipality()
    await subscribed(world, town, timeout=1)
    town.seconds = 30
    task = await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE tries > 0"))
    (one,) = (await outbox.for_about(world.services.database, [task]))[task]
    assert one.error == "no answer within 1 s"


async def test_a_receiver_that_says_gone_is_left_alone_and_the_subscription_is_off_with_the_reason(
    world: World,
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    town.answer = 410
    task = await world.send()
    await until(lambda: status(town, id, "off"))
    resource = (await town.ask("GET", f"Subscription/{id}")).json()
    assert resource["status"] == "off" and resource["error"].startswith("HTTP 410")
    (one,) = (await outbox.for_about(world.services.database, [task]))[task]
    assert one.state == "stopped"  # and is seen as such by the sender
    # what happens while it is off is not told, what was stopped is, once it asks again
    await world.send()
    town.answer = 200
    answer = await town.ask("PUT", f"Subscription/{id}", resource | {"status": "requested"})
    assert answer.status_code == 200, answer.text
    await until(lambda: status(town, id, "active"))
    await until(lambda: town.received() == {1: 1})
    third = await world.send()
    await until(lambda: town.received() == {1: 1, 2: 1})
    assert town.notified[-1].said["events"][0]["focus"].endswith(third)


async def test_a_receiver_silent_for_a_week_is_given_up_and_starts_again_where_it_stopped(
    world: World,
) -> None:
    """HAPI #6002: after a minute of trying the notification was lost for good."""
    town = await world.municipality()
    id = await subscribed(world, town)
    town.answer = 503
    await world.send()
    for hours in (1, 100, content("rules/delivery")["give_up_after_hours"] - 1):
        tries = world.rows("SELECT tries FROM work.delivery")[0][0] if hours > 1 else 0
        world.shift = timedelta(hours=hours)
        await until(
            lambda tries=tries: world.rows("SELECT FROM work.delivery WHERE tries > %s", tries)
        )
    assert await status(town, id, "error")
    world.shift = timedelta(hours=content("rules/delivery")["give_up_after_hours"] + 1)
    await until(lambda: status(town, id, "off"))
    assert world.rows("SELECT state FROM work.delivery") == [("stopped",)]
    town.answer = 200
    resource = (await town.ask("GET", f"Subscription/{id}")).json()
    await town.ask("PUT", f"Subscription/{id}", resource | {"status": "active"})
    await until(lambda: town.received() == {1: 1})


@pytest.mark.alone
async def test_a_slow_receiver_does_not_delay_others(world: World) -> None:
    """FHIR Works #676, webhookdb #237: bad endpoints stood in the way of good ones."""
    slow = [await world.municipality(name=f"slow-{n}") for n in range(12)]
    town = await world.municipality()
    for one in (*slow, town):
        await subscribed(world, one)
    for one in slow:
        one.seconds = 15
    loop = asyncio.get_running_loop()
    for count in range(1, 4):
        began = loop.time()
        await world.send()
        await until(lambda count=count: len(town.received()) == count, 5)
        assert loop.time() - began < 2.5
    for one in slow:
        one.seconds = 0


async def test_an_endpoint_whose_certificate_is_not_trusted_gets_nothing(
    world: World, tmp_path
) -> None:
    town = await world.municipality()
    id = await subscribed(world, town)
    async with untrusted(tmp_path) as port:
        resource = town.subscription(id=id, status="requested")
        resource["channel"]["endpoint"] = f"https://127.0.0.1:{port}/notify"
        await town.ask("PUT", f"Subscription/{id}", resource)
        await until(lambda: status(town, id, "error"))
        error = (await town.ask("GET", f"Subscription/{id}")).json()["error"]
        assert "its certificate is not trusted" in error


@asynccontextmanager
async def untrusted(folder):
    """A TLS server with a certificate of its own making."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
        "-days", "2", "-subj", "/CN=127.0.0.1", stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_an_answer_that_holds_no_fhir_is_an_answer(world: World) -> None:
    """HAPI starter #677: a hook that answered 200 without a resource was taken for one that failed."""
    town = await world.municipality()
    await subscribed(world, town)
    town.answer = 202
    task = await world.send()
    await until(lambda: world.rows("SELECT FROM work.delivery WHERE state = 'delivered'"))
    (one,) = (await outbox.for_about(world.services.database, [task]))[task]
    assert one.receipt == "HTTP 202" and one.tries == 1
