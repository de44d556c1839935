"""The outbox: what is queued is stored with what it belongs to, sent in order, and seen when it does not arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from sammanhang.access.actor import SYSTEM
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import Patient
from sammanhang.kernel.settings import Settings
from sammanhang.work import outbox, sending
from sammanhang.work.outbox import Delivery, Receiver, add, queue, register, shut
from sammanhang.work.posting import fault_of
from sammanhang.work.sending import deliver_due, pause

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

LAB = Receiver(
    "lab",
    "ready",
    "Laboratoriet",
    "SE-LAB",
    "http://127.0.0.1:9/in",
    ["X-Key: 1"],
    5,
    1,
    False,
    None,
)
NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)


@pytest_asyncio.fixture
async def services(empty_database: str) -> AsyncIterator[Services]:
    made = Services.make(Settings(base_url="http://127.0.0.1:8000"), empty_database)
    await made.open()
    async with made.database.writing() as connection:
        await register(connection, LAB, NOW)
    yield made
    await made.close()


class Lab:
    """The receiver, on the other side of the HTTP client."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.got = status, list[httpx.Request]()
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.005)
        self.got.append(request)
        return httpx.Response(self.status, stream=httpx.ByteStream(b"says the lab"))

    @property
    def bodies(self) -> list[bytes]:
        return [r.content for r in self.got]


def document(n: int) -> Delivery:
    return Delivery("lab", NOW, f"ServiceRequest/{n}", "SE-WARD", body=b"%d" % n)


async def put(services: Services, *deliveries: Delivery) -> None:
    changes = Changes.by_system(services.doors, SYSTEM, "p", ("SE-REGION", "SE-WARD"))
    changes.create(Patient())
    await changes.commit("create", queue(deliveries))


async def test_what_is_queued_goes_out_in_order_with_its_number_and_leaves_a_receipt(
    services: Services,
) -> None:
    await put(services, document(1), document(2))
    lab = Lab()
    counted = await deliver_due(services, lab.http, NOW)
    assert counted["delivered"] == 2 and lab.bodies == [b"1", b"2"]
    assert [r.headers["idempotency-key"] for r in lab.got] == ['"lab/1-1"', '"lab/2-2"']
    assert lab.got[0].headers["x-key"] == "1"
    (one,) = (await outbox.for_about(services.database, ["ServiceRequest/1"]))["ServiceRequest/1"]
    assert (one.state, one.receipt, one.delivered_at, one.tries) == (
        "delivered",
        "HTTP 200",
        NOW,
        1,
    )
    assert await deliver_due(services, lab.http, NOW) == {}


async def test_what_is_not_stored_is_not_sent(services: Services) -> None:
    with pytest.raises(psycopg.Error):
        await put(services, document(1), Delivery("nobody registered", NOW, "ServiceRequest/2"))
    lab = Lab()
    await deliver_due(services, lab.http, NOW)
    assert lab.bodies == []
    with psycopg.connect(services.database.dsn) as connection:
        assert connection.execute("SELECT numbered FROM work.receiver").fetchone() == (
            0,
        )  # no number is lost
        assert connection.execute("SELECT count(*) FROM store.resource").fetchone() == (0,)


async def test_several_workers_side_by_side_send_everything_once(services: Services) -> None:
    await put(services, *(document(n) for n in range(40)))
    lab = Lab()
    await asyncio.gather(*(deliver_due(services, lab.http, NOW) for _ in range(5)))
    assert lab.bodies == [b"%d" % n for n in range(40)]


async def test_what_fails_is_tried_at_growing_intervals_and_shown_with_its_reason(
    services: Services,
) -> None:
    await put(services, document(1))
    lab = Lab(503)
    await deliver_due(services, lab.http, NOW)
    assert len(lab.got) == 1
    await deliver_due(services, lab.http, NOW)
    assert len(lab.got) == 1  # not before its time
    (one,) = await outbox.undelivered(services.database, now=NOW + timedelta(seconds=61))
    assert (one.error, one.failing_since, one.tries) == ("HTTP 503: says the lab", NOW, 1)
    assert one.next_try == NOW + timedelta(seconds=1)
    assert not one.late(NOW) and one.late(NOW + timedelta(seconds=60))
    lab.status = 200
    await deliver_due(services, lab.http, NOW + timedelta(seconds=2))
    assert (
        lab.bodies == [b"1", b"1"]
        and await outbox.undelivered(services.database, now=NOW + timedelta(days=1)) == []
    )


async def test_a_fault_on_our_side_is_tried_again_later_and_not_in_a_circle(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(services, document(1))
    tries = []

    async def post(*_: Any) -> None:
        tries.append(1)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(sending, "post", post)
    stop = asyncio.Event()
    working = asyncio.create_task(
        sending.keep_delivering(services, stop, now=lambda: NOW, poll=0.01)
    )
    await asyncio.sleep(1.6)
    stop.set()
    await working
    assert len(tries) == 2


def test_the_first_tries_come_within_a_minute_and_the_later_ones_do_not_wear_anybody_out() -> None:
    first = [pause(n, 0) for n in range(6)]
    assert first == sorted(first) and sum(first) < 60
    assert pause(20, 600) == 60 and pause(200, 3 * 3600) == 600


async def test_to_a_receiver_that_is_shut_nothing_is_sent_and_that_is_seen(
    services: Services,
) -> None:
    async with services.database.writing() as connection:
        await shut(connection, "lab", "Stängt")
    await put(services, document(1))
    lab = Lab()
    await deliver_due(services, lab.http, NOW)
    assert lab.got == []
    (one,) = await outbox.undelivered(
        services.database, sender="SE-WARD", now=NOW + timedelta(seconds=61)
    )
    assert (one.state, one.error) == ("stopped", "Stängt")
    (silent,) = await outbox.silent(services.database, now=NOW + timedelta(seconds=61))
    assert (silent.open, silent.waiting) == (False, 1)
    async with services.database.writing() as connection:
        await register(connection, LAB, NOW)
    await deliver_due(services, lab.http, NOW)
    assert lab.bodies == [b"1"]


async def test_many_are_numbered_at_once_without_a_gap(services: Services) -> None:
    async with services.database.writing() as connection, connection.transaction():
        assert await add(connection, [document(n) for n in range(3)]) == [1, 2, 3]
        assert await add(connection, [document(n) for n in range(2)]) == [4, 5]


async def test_what_has_been_kept_long_enough_is_removed(services: Services) -> None:
    await put(services, document(1))
    await deliver_due(services, Lab().http, NOW)
    assert await outbox.tidy(services.database, NOW + timedelta(days=89)) == 0
    assert await outbox.tidy(services.database, NOW + timedelta(days=91)) == 1


async def test_readers_do_not_see_the_outbox(services: Services) -> None:
    from sammanhang.store.database import EVERYTHING, Scope

    for scope in (EVERYTHING, Scope()):
        async with services.database.reading(scope) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute("SELECT FROM work.delivery")


@pytest.mark.parametrize(
    ("url", "hosts", "demo", "good"),
    [
        ("https://a.example/x", "", True, True), ("https://a.example/x", "", False, False),
        ("https://a.example/x", "a.example", False, True), ("https://A.example/x", "a.example", False, True),
        ("https://b.a.example/x", "a.example", False, False), ("https://b.a.example/x", "*.a.example", False, True),
        ("https://a.example.evil.com/x", "a.example,*.a.example", False, False),
        ("http://a.example/x", "a.example", False, False), ("http://127.0.0.1/x", "", True, True),
        ("http://127.0.0.1/x", "", False, False), ("https://a.example/x", "b.example", True, False),
        ("file:///etc/passwd", "", True, False), ("https://", "", True, False),
    ],
)  # fmt: skip
def test_messages_go_to_hosts_that_the_operator_has_opened_for(
    url: str, hosts: str, demo: bool, good: bool
) -> None:
    settings: Any = Settings(subscriber_hosts=hosts, demo=demo)
    assert (fault_of(url, settings) is None) == good
