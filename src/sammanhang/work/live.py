"""What changes in work, told to the pages that are open: one who asks in each process, one question at a time.

While a page is open the database is asked some times a second what has changed, by snapshot: the rows whose
transaction was not to be seen in the last one. So nothing is missed and nothing told twice, whatever clocks say, in
whichever order transactions end, and across a database that was away. The database could give notice of a change
(NOTIFY), but lets transactions with a notice commit only one at a time: eight who wrote at once then stored half as
much (benchmarks/work_faults.py). A question that finds nothing costs two looks into an index.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from sammanhang.kernel import clock
from sammanhang.kernel.errors import SammanhangError
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING, Database

from .deadlines import PRIORITIES
from .queries import Counts, Filter, Who, counted, fits, groups
from .sql import SQL

log = logging.getLogger("sammanhang.live")
APART = 0.25  # seconds between two questions
LONGEST = 15.0  # seconds an answer may take: a network may swallow everything
AGAIN = 1.0  # seconds before it asks again when there was no answer
MOST = 2000  # changes told one by one; of more a page is told to look at everything again
WAITING = 64  # notices a page may be behind with before it is told the same
_SNAPSHOT = re.compile(r"\d{1,19}:\d{1,19}:(\d{1,19}(,\d{1,19}){0,500})?")


@dataclass(frozen=True, slots=True)
class Change:
    """One task as it has become, as pages are told of it: nothing of the patient.

    fits  whether it is in the list the page shows
    """

    id: str
    kind: str
    state: str
    open: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class News:
    """What a page is told: the snapshot to go on from, what has changed, and the counts of its person.

    `all` means that so much has changed that the page had better look at everything again.
    """

    snapshot: str
    changes: tuple[Change, ...] = ()
    counts: Counts | None = None
    all: bool = False


@dataclass(eq=False)
class Subscriber:
    """One open page: whose eyes, which list, or what it is about (`ServiceRequest/…`; empty for a list)."""

    who: Who
    wanted: Filter
    about: str = ""
    news: asyncio.Queue[News] = field(default_factory=lambda: asyncio.Queue(WAITING))

    def concerns(self, row: _Row) -> bool:
        if self.about:
            return row.focus == self.about
        return self.who.unit in (row.owner, row.was_owner)

    def told(self, row: _Row, now: datetime) -> Change:
        inside = bool(self.about) or fits(
            self.who, self.wanted, owner=row.owner, open=row.open, kind=row.kind, priority=row.priority,
            deadline=row.deadline, function=row.function, up=row.up, taken_by=row.taken_by, now=now,
        )  # fmt: skip
        return Change(row.id, row.kind, row.state, row.open, inside)

    def tell(self, news: News) -> None:
        """Puts news in its queue; one that is far behind is told to look at everything."""
        if self.news.full():
            while not self.news.empty():
                self.news.get_nowait()
            news = News(news.snapshot, counts=news.counts, all=True)
        self.news.put_nowait(news)


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    owner: str
    was_owner: str
    kind: str
    state: str
    open: bool
    priority: str
    deadline: datetime | None
    function: str
    up: list[str]
    taken_by: str
    focus: str


def _row(r: tuple[Any, ...]) -> _Row:
    (
        _,
        id,
        owner,
        was_owner,
        kind,
        state,
        open,
        priority,
        deadline,
        function,
        up,
        taken_by,
        focus,
    ) = r
    return _Row(
        id, owner, was_owner, kind, state, open, PRIORITIES[priority], deadline, function, up, taken_by, focus
    )  # fmt: skip


class Hub:
    """The listener of one process. It runs while a page is open, and ends with the last."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._open: set[Subscriber] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._snapshot = ""
        self._starting = asyncio.Lock()
        self.questions = 0

    async def join(self, subscriber: Subscriber, since: str = "") -> None:
        """A page opens; one that was here before says by `since` from which snapshot it goes on.

        What it has missed is in its queue when this returns, or else where it begins. Raises `Unavailable`.
        """
        async with self._starting:
            if not self._tasks:
                self._snapshot = await self._now()
                self._tasks = [asyncio.create_task(self._answer())]
            self._open.add(subscriber)
        try:
            subscriber.tell(await self._missed(subscriber, since))
        except BaseException:
            await self.leave(subscriber)
            raise

    async def leave(self, subscriber: Subscriber) -> None:
        """A page closes."""
        self._open.discard(subscriber)
        if not self._open:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _missed(self, subscriber: Subscriber, since: str) -> News:
        who = subscriber.who
        seen = counted((await groups(self.database, who.unit, clock.now())).found, who)
        if not since:
            return News(self._snapshot, counts=seen)
        if _SNAPSHOT.fullmatch(since) is None:
            return News(self._snapshot, counts=seen, all=True)
        focus = subscriber.about or "-"
        unit = "-" if subscriber.about else who.unit
        rows, now = await self._ask("missed", since, unit, unit, focus)
        # a snapshot of a time to come is one of another database: restored, or moved
        lost = int(since.split(":")[1]) > int(now.split(":")[1])
        if lost or len(rows) >= MOST:
            return News(now, counts=seen, all=True)
        at = clock.now()
        changes = [subscriber.told(r, at) for r in rows if subscriber.concerns(r)]
        # It goes on from the hub's snapshot: what has come since is told twice rather than not at all.
        return News(self._snapshot, tuple(changes), seen)

    async def _now(self) -> str:
        async with self.database.reading(EVERYTHING) as connection:
            rows = await connection.fetch("SELECT pg_current_snapshot()::text")
        return str(rows[0][0])

    async def _ask(self, query: str, since: str, *more: str) -> tuple[list[_Row], str]:
        """What has become visible since a snapshot, and the snapshot now; one query."""
        _, last, flying = since.split(":")
        values = (last, numbers(int(x) for x in flying.split(",") if x), *more, MOST)
        async with self.database.reading(EVERYTHING) as connection:
            rows = await connection.fetch(SQL[query], values)
        self.questions += 1
        found = [_row(r) for r in rows if r[1] is not None]
        return found, str(rows[0][0])

    async def _answer(self) -> None:
        """Asks again and again what changed, and tells the pages."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(LONGEST):
                    await self._tell()
            except (psycopg.Error, SammanhangError, OSError) as e:
                log.warning("what changed could not be read: %s; trying again", type(e).__name__)
                await asyncio.sleep(AGAIN)
            except Exception:
                log.exception("what changed could not be told; trying again")
                await asyncio.sleep(AGAIN)
            await asyncio.sleep(max(0.05, APART - (time.monotonic() - began)))

    async def _tell(self) -> None:
        rows, now = await self._ask("changed", self._snapshot)
        pages = tuple(self._open)
        if len(rows) >= MOST:
            self._snapshot = now
            for page in pages:
                page.tell(News(now, all=True))
            return
        at = clock.now()
        found: dict[Subscriber, list[Change]] = {}
        for page in pages:
            changes = [page.told(r, at) for r in rows if page.concerns(r)]
            if changes:
                found[page] = changes
        of_unit = {u: (await groups(self.database, u, at)).found for u in _units(found)}
        self._snapshot = now
        for page, changes in found.items():
            counts = counted(of_unit[page.who.unit], page.who) if not page.about else None
            page.tell(News(now, tuple(changes), counts))


def _units(pages: Iterable[Subscriber]) -> set[str]:
    return {p.who.unit for p in pages if not p.about}


_hubs: dict[int, Hub] = {}


def hub_of(database: Database) -> Hub:
    """The hub of a process's database."""
    found = _hubs.get(id(database))
    if found is None or found.database is not database:
        found = _hubs[id(database)] = Hub(database)
    return found
