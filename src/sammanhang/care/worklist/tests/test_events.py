"""An open page is told what changes: at once, once, of its own unit only, and what it missed while it was away."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.care.worklist import events
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.store.types import NUMBER
from sammanhang.work import commands, live, moving
from sammanhang.work.outbox import Delivery, Receiver, add, register
from sammanhang.work.testing import make_task, somebody

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

CENTRUM = named("Hemsjukvård Centrum, Borås").id
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id


class Open:
    """A stream that a browser has open."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.last = ""

    async def next(self, seconds: float = 3.0) -> dict[str, Any]:
        """The next event that says anything; its id is kept."""
        while True:
            text = (await asyncio.wait_for(self.sent.get(), seconds)).decode()
            found = re.search(r"^data: (.*)$", text, re.M)
            if found is None:
                continue
            named_ = re.search(r"^id: (.*)$", text, re.M)
            self.last = named_[1] if named_ is not None else self.last
            event = re.search(r"^event: (.*)$", text, re.M)
            return {**json.loads(found[1]), **({"event": event[1]} if event is not None else {})}

    async def nothing(self, seconds: float = 1.0) -> bool:
        try:
            said = await self.next(seconds)
        except TimeoutError:
            return True
        return not said["tasks"]


@asynccontextmanager
async def opened(
    browser: Any, address: str = "/work/events", last: str = ""
) -> AsyncIterator[Open]:
    """A stream over the application, as the server gives it."""
    app = browser.client._transport.app
    path, _, query = address.partition("?")
    cookies = "; ".join(f"{k}={v}" for k, v in browser.client.cookies.items())
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"cookie", cookies.encode()),
        (b"accept-encoding", b"gzip"),
    ]
    headers += [(b"last-event-id", last.encode())] if last else []
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip
    page, away = Open(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await away.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            page.status = message["status"]
            page.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        elif message.get("body"):
            await page.sent.put(message["body"])

    async def run() -> None:
        await app(scope, receive, send)
        page.ended.set()

    task = asyncio.create_task(run())
    try:
        yield page
    finally:
        away.set()
        await asyncio.wait_for(task, 5)


async def test_a_page_is_told_of_a_new_task_within_a_second_without_any_name(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    async with opened(amira) as page:
        begins = await page.next()
        assert page.status == 200 and page.headers["content-type"].startswith("text/event-stream")
        assert (
            "content-encoding" not in page.headers and page.headers["cache-control"] == "no-store"
        )
        assert begins["tasks"] == []
        id = await make_task(services, CENTRUM)
        told = await page.next(1.0)
        (task,) = told["tasks"]
        assert task == {
            "id": id,
            "kind": "otherwise",
            "state": "requested",
            "open": True,
            "fits": True,
        }
        assert told["counts"]["waiting"] == begins["counts"]["waiting"] + 1
        assert "Svea" not in json.dumps(told)
    assert not live.hub_of(services.database)._tasks  # nobody listens any longer


async def test_it_says_whether_a_change_is_in_the_list_the_page_shows(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    me = await somebody(services, "amira-haddad", "Centrum")
    id = await make_task(services, CENTRUM)
    async with (
        opened(amira, "/work/events?list=mine") as mine,
        opened(amira, "/work/events?free=1") as free,
    ):
        await mine.next()
        await free.next()
        await commands.take(services.doors, me, id)
        assert [t["fits"] for t in (await mine.next())["tasks"]] == [True]
        assert [t["fits"] for t in (await free.next())["tasks"]] == [False]
        await commands.complete(services.doors, me, id)
        assert [(t["open"], t["fits"]) for t in (await mine.next())["tasks"]] == [(False, False)]


async def test_another_units_work_is_not_told_and_one_that_leaves_is(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    here = await make_task(services, CENTRUM)
    async with opened(amira) as page:
        await page.next()
        await make_task(services, BRAMHULT)
        assert await page.nothing()
        async with services.database.reading(live.EVERYTHING) as connection:
            others = await connection.fetch(
                "SELECT id FROM work.task WHERE owner = %s AND open", (CENTRUM,)
            )
        assert (here,) in others
        await moving.move_unit(services.doors, CENTRUM, BRAMHULT)
        left: list[str] = []
        while len(left) < len(others):
            left += [t["id"] for t in (await page.next())["tasks"] if not t["fits"]]
        assert here in left
        await moving.move_unit(services.doors, BRAMHULT, CENTRUM)


async def test_what_was_missed_is_told_when_the_page_comes_back(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    async with opened(amira) as page:
        await page.next()
        before = page.last
    missed = [await make_task(services, CENTRUM) for _ in range(3)]
    async with opened(amira, last=before) as page:
        told = await page.next()
        assert {t["id"] for t in told["tasks"]} == set(missed)
        again = await make_task(services, CENTRUM)
        assert again in {t["id"] for t in (await page.next())["tasks"]}
    async with opened(amira, f"/work/events?since={before}") as page:
        assert set(missed) <= {t["id"] for t in (await page.next())["tasks"]}
    for lost in ("99999999999:99999999999:", "rubbish", "1:2:" + "3," * 900):
        async with opened(amira, last=lost) as page:
            assert (await page.next())["all"] is True


async def test_a_change_whose_transaction_ends_last_is_told_though_it_began_first(
    as_, services, own_town
):
    amira = await as_("Amira Haddad", "Centrum")
    slow, quick = await make_task(services, CENTRUM), await make_task(services, CENTRUM)
    touch = "UPDATE store.other SET body = body WHERE id = %s"
    async with opened(amira) as page:
        await page.next()
        with psycopg.connect(own_town, options="-c role=sammanhang_writer") as first:
            first.execute(touch, (slow,))
            with psycopg.connect(
                own_town, autocommit=True, options="-c role=sammanhang_writer"
            ) as second:
                second.execute(touch, (quick,))
            assert [t["id"] for t in (await page.next())["tasks"]] == [quick]
        assert [t["id"] for t in (await page.next())["tasks"]] == [slow]
        assert await page.nothing()


async def test_a_task_that_is_deleted_is_told_as_gone(as_, services, own_town):
    amira = await as_("Amira Haddad", "Centrum")
    id = await make_task(services, CENTRUM)
    async with opened(amira) as page:
        await page.next()
        with psycopg.connect(own_town, autocommit=True, options="-c role=sammanhang_writer") as db:
            db.execute("DELETE FROM store.other WHERE id = %s", (id,))
        (task,) = (await page.next())["tasks"]
        assert task["id"] == id and task["state"] == "deleted" and not task["fits"]
    assert id not in (await amira.get(f"/work/rows?ids={id}")).text


async def test_a_page_about_an_order_is_told_of_its_tasks_wherever_they_are(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    about = await make_task(services, CENTRUM)  # any resource of Svea's record
    async with opened(amira, f"/work/events?about=Task/{about}") as page:
        assert (await page.next())["tasks"] == []
        await make_task(services, CENTRUM)
        id = await make_task(services, BRAMHULT, focus=f"Task/{about}")
        assert [t["id"] for t in (await page.next())["tasks"]] == [id]
    for nothing in ("Task/none", "Nothing/x", "x", "Patient/"):
        async with opened(amira, f"/work/events?about={nothing}") as page:
            await asyncio.wait_for(page.ended.wait(), 3)
            assert page.status == 404


async def test_the_stream_ends_with_the_session_and_keeps_none_from_locking(
    as_, services, own_town, monkeypatch
):
    monkeypatch.setattr(events, "BEAT", 0.1)
    monkeypatch.setattr(events, "CHECK", 0.2)
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get("/work")
    with psycopg.connect(own_town, autocommit=True) as db:
        db.execute("UPDATE access.session SET last_seen = now() - interval '9 minutes'")
        async with opened(amira) as page:
            await page.next()
            await asyncio.sleep(0.6)
            assert not page.ended.is_set()
            assert b": alive\n\n" in [page.sent.get_nowait() for _ in range(page.sent.qsize())]
            ((idle,),) = db.execute("SELECT min(now() - last_seen) FROM access.session").fetchall()
            assert idle.total_seconds() > 500
            db.execute("UPDATE access.session SET last_seen = now() - interval '11 minutes'")
            assert (await page.next())["event"] == "over"
            await asyncio.wait_for(page.ended.wait(), 2)
        async with opened(amira) as page:
            await asyncio.wait_for(page.ended.wait(), 2)
            assert page.status == 303  # to the lock screen
        db.execute("UPDATE access.session SET last_seen = now()")


async def test_pages_are_told_also_after_the_database_cut_everybody_off(as_, services, own_town):
    amira = await as_("Amira Haddad", "Centrum")
    id = await make_task(services, CENTRUM)
    async with opened(amira) as page:
        await page.next()
        with psycopg.connect(own_town, autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            db.execute("SET ROLE sammanhang_writer")
            db.execute("UPDATE store.other SET body = body WHERE id = %s", (id,))
        assert id in {t["id"] for t in (await page.next(10.0))["tasks"]}


async def test_of_very_much_the_page_is_told_to_look_again(as_, services, own_town, monkeypatch):
    monkeypatch.setattr(live, "MOST", 3)
    for _ in range(3):
        await make_task(services, CENTRUM)
    amira = await as_("Amira Haddad", "Centrum")
    async with opened(amira) as page:
        assert (await page.next())["tasks"] == []
        with psycopg.connect(own_town, options="-c role=sammanhang_writer") as db:
            db.execute("UPDATE store.other SET body = body WHERE type = %s", (NUMBER["Task"],))
        assert (await page.next())["all"] is True


def test_a_page_far_behind_is_told_to_look_at_everything() -> None:
    page = live.Subscriber(live.Who("u", "a", frozenset(), frozenset()), live.Filter())
    for n in range(live.WAITING + 5):
        page.tell(live.News(str(n)))
    assert page.news.get_nowait().all


@pytest.mark.parametrize("kind", ["resident", "administrator"])
async def test_who_has_no_work_in_records_has_no_stream(as_, kind):
    who = await (
        as_("Svea Andersson", kind="resident") if kind == "resident" else as_("David Wallin")
    )
    async with opened(who) as page:
        await asyncio.wait_for(page.ended.wait(), 3)
        assert page.status in (403, 404)


async def test_a_page_about_an_order_learns_that_it_has_not_arrived_and_that_it_has(
    as_, services, monkeypatch
):
    """The outside system is silent: the sender's open page looks again within seconds, and once more when it answers."""
    monkeypatch.setattr(events, "BEAT", 0.1)
    amira = await as_("Amira Haddad", "Centrum")
    about = f"Task/{await make_task(services, CENTRUM)}"
    silent = Receiver("borås", "ready", "Borås vård", None, "http://127.0.0.1:9/in", [], 5, 1, False, None)  # fmt: skip
    async with opened(amira, f"/work/events?about={about}") as page:
        await page.next()
        hour_ago = clock.now() - timedelta(hours=1)
        async with services.database.writing() as connection, connection.transaction():
            await register(connection, silent, hour_ago)
            await add(connection, [Delivery("borås", hour_ago, about, CENTRUM)])
        assert await page.next() == {"tasks": [], "all": True}
        async with services.database.writing() as connection:
            await connection.execute("UPDATE work.delivery SET state = 'delivered' WHERE about = %s", (about,))  # fmt: skip
        assert await page.next() == {"tasks": [], "all": True}
