"""The stream that keeps open pages alive (server-sent events): ids, kinds and counts, never a name.

It ends when its session ends, locks or goes on in another assignment, and it keeps no session from locking. A page
that comes back says which snapshot it had (`Last-Event-ID`, or `since`), and is told what it has missed.
Source: HTML standard 9.2, Server-sent events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import psycopg
from starlette.responses import Response, StreamingResponse

from sammanhang.access import sessions
from sammanhang.access.door import Doors
from sammanhang.access.rules import decide
from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.kernel.errors import NotFound, SammanhangError
from sammanhang.store.database import EVERYTHING
from sammanhang.store.read import read
from sammanhang.store.types import NUMBER
from sammanhang.web.routing import Visit, page
from sammanhang.work import outbox
from sammanhang.work.live import News, Subscriber, hub_of
from sammanhang.work.queries import who_of
from sammanhang.work.sql import SQL

from .asked import asked_in

BEAT = 15.0  # seconds between signs of life: proxies cut what is silent
CHECK = 30.0  # seconds between looks at the session
UNSURE = 4  # looks that may fail, while the database is away, before the stream ends
LONGEST = 2000  # letters of a snapshot
LOOK_AGAIN = b'data: {"tasks":[],"all":true}\n\n'
"""What is shown has changed though no task has: a delivery that does not arrive, or does so at last."""
STREAM = "sammanhang.stream"
"""In the ASGI scope of an answer that lasts: the server cuts it when it stops (`operate.protocol`)."""

_encode = msgspec.json.Encoder().encode


@page("/work/events", access="staff", quiet=True)
async def events(visit: Visit) -> Response:
    """What changes in a list of the unit, or with `about=ServiceRequest/…` in the tasks about that."""
    who = who_of(visit.actor)
    about = visit.asked("about")[:200]
    if about:
        await _may_follow(visit.services.doors, visit, about)
    wanted = asked_in(visit.request.query_params).filter
    since = (visit.request.headers.get("last-event-id") or visit.asked("since"))[:LONGEST]
    subscriber = Subscriber(who, wanted, about)
    hub = hub_of(visit.services.database)
    await hub.join(subscriber, since)
    visit.request.scope[STREAM] = True
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    stream = following(visit.services, visit.session, subscriber)
    return Stream(stream, media_type="text/event-stream", headers=headers)


class Stream(StreamingResponse):
    """An answer whose iterator is closed however it ends, so that its page leaves the hub."""

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        try:
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]
        finally:
            await self.body_iterator.aclose()  # type: ignore[attr-defined]


async def following(services: Services, session: sessions.Session, page: Subscriber) -> AsyncIterator[bytes]:  # fmt: skip
    """The events of one page, until it goes away or its session does."""
    hub = hub_of(services.database)
    looked, failed = time.monotonic(), 0
    asked, late = time.monotonic(), await _late(services, page)
    try:
        yield b"retry: 1000\n\n"
        while True:
            try:
                news = await asyncio.wait_for(page.news.get(), BEAT)
                yield event(news)
            except TimeoutError:
                yield b": alive\n\n"
            if page.about and time.monotonic() - asked >= BEAT:
                asked = time.monotonic()
                if late != (late := await _late(services, page)):
                    yield LOOK_AGAIN
            if time.monotonic() - looked < CHECK:
                continue
            looked = time.monotonic()
            try:
                if not await sessions.goes_on(services.database, services.settings, session):
                    yield b"event: over\ndata: {}\n\n"
                    return
                failed = 0
            except (psycopg.Error, SammanhangError):
                failed += 1
                if failed >= UNSURE:
                    return
    finally:
        await hub.leave(page)


async def _late(services: Services, page: Subscriber) -> bool:
    """Whether something about the order has not reached a system outside in time; no while the database is away."""
    if not page.about:
        return False
    try:
        async with services.database.reading(EVERYTHING) as connection:
            rows = await connection.fetch(SQL["about"], (page.about,))
        sent = await outbox.for_about(
            services.database, [page.about, *(f"Task/{r[1]}" for r in rows)]
        )
    except (psycopg.Error, SammanhangError):
        return False
    return any(s.late(clock.now()) for standings in sent.values() for s in standings)


def event(news: News) -> bytes:
    """News as an event: its id is the snapshot to go on from."""
    said: dict[str, object] = {"tasks": news.changes}
    if news.counts is not None:
        c = news.counts
        said["counts"] = {
            "waiting": c.waiting, "todo": c.waiting, "mine": c.mine, "free": c.free, "late": c.late, "up": c.up,
            "unit": c.all,
        }  # fmt: skip
    if news.all:
        said["all"] = True
    return b"id: " + news.snapshot.encode() + b"\ndata: " + _encode(said) + b"\n\n"


async def _may_follow(doors: Doors, visit: Visit, about: str) -> None:
    """Raises `NotFound` unless the person may see what it is about now.

    That something has happened with it is told, not what: following leaves no trace of its own beside that of the
    page which shows it.
    """
    kind, _, id = about.partition("/")
    database, gone = doors.database, NotFound("There is no such page.", "Sidan finns inte.")
    if kind not in NUMBER:
        raise gone
    async with database.reading(EVERYTHING) as connection:
        database.queries += 2
        found = await read(connection, kind, id)
        rows = (
            await connection.fetch(SQL["patient_id"], (found.patient,)) if found is not None else []
        )
    if found is None or found.patient is None or not rows:
        raise gone
    facts, person = await doors.facts(visit.actor, rows[0][0])
    decision = decide(visit.actor, facts)
    if decision.effect == "deny" or person is None:
        raise gone
    async with database.reading(await doors.scope_of(decision, (found.patient,))) as connection:
        database.queries += 1
        if await read(connection, kind, id) is None:
            raise gone
