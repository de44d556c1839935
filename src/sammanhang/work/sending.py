"""Sending what is in the outbox: at least once, each receiver in order, none in the way of another.

A receiver is worked on by one process at a time: whoever holds its lock in the database, which falls when the
process or the database dies, so that another goes on at once. What was sent and not noted is sent again, as the same
message with the same numbers. A receiver that does not answer is tried again at growing intervals (content
rules/delivery), others meanwhile as always; after a time it is told of, and in the end given up, with what waited
kept. The first answer begins it all again where it stopped: nothing is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import psycopg

from sammanhang.access.audit import Entry, WriteTrace
from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Unavailable
from sammanhang.store.connection import Connection
from sammanhang.store.database import Database

from .outbox import SQL, Receiver, shut, tidy
from .posting import Http, client, fault_of, post

POLL_SECONDS = 0.2
TIDY_SECONDS = 3600.0
AT_ONCE = 200  # receivers one process sends to at the same time
LONGEST_REST = 60.0
IN_A_ROW = 50  # messages to one receiver before others of the same moment are looked for
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('work.receiver ' || %s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('work.receiver ' || %s, 0))"
log = logging.getLogger("sammanhang.delivery")
_wakes: WeakKeyDictionary[Database, asyncio.Event] = WeakKeyDictionary()


class Part(NamedTuple):
    """A delivery as a channel gets it to make a message of."""

    number: int
    at: datetime
    sender: str | None
    about: str
    version: int | None
    patient: int | None
    body: bytes | None
    tries: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: bytes, their headers, and the entries of the trace that must be durable before it leaves."""

    body: bytes
    headers: list[tuple[str, str]]
    trace: list[Entry] = field(default_factory=list)


class Withdrawn(Exception):
    """The receiver is to get nothing any longer; the message says why."""


class Channel(Protocol):
    """How receivers of a kind are sent to."""

    async def write(
        self, services: Services, receiver: Receiver, kind: str, parts: list[Part], now: datetime
    ) -> Message:
        """The message of a kind (`handshake`, `heartbeat`, `event-notification`). Raises `Withdrawn`."""

    async def turned(
        self, services: Services, connection: Connection, receiver: Receiver, state: str, why: str
    ) -> WriteTrace | None:
        """The receiver is `active`, in `error` or `off` from now on; in the transaction that notes it. Returns the
        trace it left there."""


class Ready:
    """Deliveries whose body is ready: one message each (`Receiver.most` is 1), as it is."""

    async def write(
        self, services: Services, receiver: Receiver, kind: str, parts: list[Part], now: datetime
    ) -> Message:
        (part,) = parts
        return Message(part.body or b"", [("Content-Type", "application/fhir+json")])

    async def turned(
        self, services: Services, connection: Connection, receiver: Receiver, state: str, why: str
    ) -> WriteTrace | None:
        return None


CHANNELS: dict[str, Channel] = {"ready": Ready()}


def wake(database: Database) -> None:
    """Something new lies in the outbox: this process need not wait for its next look."""
    _wakes.setdefault(database, asyncio.Event()).set()


class Postman:
    """Sends what is due, to many receivers at once. One for each process; `close` at the end."""

    def __init__(
        self,
        services: Services,
        http: Http,
        now: Callable[[], datetime] = clock.now,
        at_once: int = AT_ONCE,
    ) -> None:
        self.services, self.http, self.now, self.at_once = services, http, now, at_once
        self.working: dict[str, asyncio.Task[None]] = {}
        self.counted: Counter[str] = Counter()
        self.stopping = False
        self._resting: dict[str, tuple[float, float]] = {}  # address: until when, for how long
        self._locks: psycopg.AsyncConnection[Any] | None = None
        self._one = asyncio.Lock()

    async def round(self) -> int:
        """Begins to send to every receiver that is due and nobody sends to; returns to how many."""
        room = self.at_once - len(self.working)
        if room <= 0:
            return 0
        moment = asyncio.get_running_loop().time()
        resting = [a for a, (until, _) in self._resting.items() if until > moment]
        values = {"now": self.now(), "busy": [*self.working, *resting], "limit": room}
        async with self.services.database.writing() as connection:
            cursor = await connection.execute(SQL["due"], values)
            due = [address for (address,) in await cursor.fetchall()]
        begun = 0
        for address in due:
            if await self._take(address):
                task = asyncio.create_task(self._work(address))
                self.working[address] = task
                task.add_done_callback(lambda _, a=address: self.working.pop(a, None))  # type: ignore[misc]
                begun += 1
        return begun

    async def settle(self) -> None:
        """Waits until all that was begun is done."""
        while self.working:
            await asyncio.gather(*self.working.values(), return_exceptions=True)

    async def close(self) -> None:
        """Lets what is under way come to its end, and gives back the locks."""
        await self.settle()
        if self._locks is not None:
            with suppress(psycopg.Error):
                await self._locks.close()

    async def _take(self, address: str) -> bool:
        async with self._one:
            if self._locks is None or self._locks.closed:
                self._locks = await psycopg.AsyncConnection.connect(
                    self.services.database.dsn, autocommit=True, connect_timeout=10
                )
            return await self._asked(_LOCK, address)

    async def _release(self, address: str) -> None:
        async with self._one:
            if self._locks is not None and not self._locks.closed:
                with suppress(psycopg.Error):  # it falls with its connection
                    await self._asked(_UNLOCK, address)

    async def _asked(self, sql: str, address: str) -> bool:
        assert self._locks is not None
        row = await (await self._locks.execute(sql, (address,))).fetchone()
        return bool(row and row[0])

    async def _work(self, address: str) -> None:
        """Sends to one receiver until it has all, or does not answer."""
        try:
            for _ in range(IN_A_ROW):
                if not await self._next(address) or self.stopping:
                    break
            self._resting.pop(address, None)
        except (psycopg.Error, Unavailable) as e:
            self._rest(address)
            log.warning("not sent to %s for now: %s", address, type(e).__name__)
        except Exception:
            self._rest(address)
            log.exception("not sent to %s", address)
        finally:
            await self._release(address)

    def _rest(self, address: str) -> None:
        """It went wrong on our side: to be tried again in a while, longer each time."""
        _, before = self._resting.get(address, (0.0, 0.5))
        seconds = min(before * 2, LONGEST_REST)
        self._resting[address] = (asyncio.get_running_loop().time() + seconds, seconds)

    async def _next(self, address: str) -> bool:
        """One message; False when there is none to send, or it was not taken."""
        now = self.now()
        receiver, parts = await self._wanted(address, now)
        if receiver is None:
            return False
        kind = _kind(receiver, parts, now)
        if kind is None:
            return False
        if kind != "event-notification":
            parts = []
        channel = CHANNELS[receiver.channel]
        try:
            fault = fault_of(receiver.url, self.services.settings)
            if fault is not None:
                raise Withdrawn(f"{fault[0]} / {fault[1]}")
            message = await channel.write(self.services, receiver, kind, parts, now)
        except Withdrawn as e:
            await self._shut(receiver, str(e))
            return False
        await asyncio.gather(*(self.services.audit.record(e) for e in message.trace))
        headers = [*message.headers, *_told(receiver, kind, parts)]
        receipt = await post(self.http, receiver.url, headers, message.body, receiver.seconds)
        if receipt.ok:
            await self._taken(receiver, kind, parts, receipt.said)
        elif receipt.gone:
            await self._shut(receiver, receipt.said)
        else:
            await self._not_taken(receiver, kind, parts, receipt.said)
        return receipt.ok

    async def _wanted(self, address: str, now: datetime) -> tuple[Receiver | None, list[Part]]:
        async with self.services.database.writing() as connection:
            cursor = await connection.execute(SQL["receiver"], (address, now))
            row = await cursor.fetchone()
            if row is None:
                return None, []
            receiver = Receiver(*row)
            values = {"address": address, "upto": receiver.upto, "most": receiver.most}
            cursor = await connection.execute(SQL["next_of"], values)
            parts = [Part(*row) for row in await cursor.fetchall()]
            if not parts and receiver.upto is not None:  # they were stopped or removed meanwhile
                await connection.execute(SQL["begun"], (None, address))
            elif parts and not receiver.greet and receiver.upto != parts[-1].number:
                await connection.execute(SQL["begun"], (parts[-1].number, address))
        return receiver, parts

    async def _taken(self, receiver: Receiver, kind: str, parts: list[Part], said: str) -> None:
        now = self.now()
        state = "active" if kind == "handshake" or receiver.failing else None
        async with self._noting(receiver, state, "") as connection:
            if parts:
                values = {"receipt": said, "now": now, "address": receiver.address}
                await connection.execute(SQL["taken"], values | _span(parts))
            values = {"now": now, "greeted": kind == "handshake", "address": receiver.address}
            await connection.execute(SQL["answered"], values)
        self.counted["delivered"] += len(parts)
        self.counted[kind] += 1

    async def _not_taken(self, receiver: Receiver, kind: str, parts: list[Part], said: str) -> None:
        now = self.now()
        rules = content("rules/delivery")
        since = receiver.first_failed or now
        lasted = (now - since).total_seconds()
        if lasted >= rules["give_up_after_hours"] * 3600:
            await self._shut(receiver, said)
            return
        failing = receiver.failing or kind == "handshake" or lasted >= rules["error_after_seconds"]
        state = "error" if failing and not receiver.failing else None
        async with self._noting(receiver, state, said) as connection:
            values: dict[str, Any] = {"error": said, "now": now, "address": receiver.address}
            if parts:
                await connection.execute(SQL["not_taken"], values | _span(parts))
            again = now + timedelta(seconds=pause(receiver.tries, lasted))
            await connection.execute(
                SQL["unanswered"], values | {"next_try": again, "failing": failing}
            )
        self.counted["failed"] += 1
        log.warning("%s did not take %s: %s", receiver.address, kind, said)

    @asynccontextmanager
    async def _noting(
        self, receiver: Receiver, state: str | None, why: str
    ) -> AsyncIterator[Connection]:
        """A transaction that notes what came of a message; the channel is told in it when the state turned."""
        trace = None
        async with self.services.database.writing() as connection:
            try:
                async with connection.transaction():
                    yield connection
                    if state is not None:
                        channel = CHANNELS[receiver.channel]
                        trace = await channel.turned(
                            self.services, connection, receiver, state, why
                        )
            except BaseException:
                connection.chain = None  # it may have begun in what was undone
                raise
            if trace is not None:
                trace.done(connection)

    async def _shut(self, receiver: Receiver, why: str) -> None:
        async with self._noting(receiver, "off", why) as connection:
            await shut(connection, receiver.address, why)
        self.counted["shut"] += 1
        log.warning("%s is sent nothing any longer: %s", receiver.address, why)


def _kind(receiver: Receiver, parts: list[Part], now: datetime) -> str | None:
    """What is to be sent now."""
    if receiver.greet:
        return "handshake"
    if parts:
        return "event-notification"
    if receiver.beat is None or receiver.said is None:
        return None
    return "heartbeat" if receiver.said + timedelta(seconds=receiver.beat) <= now else None


def _told(receiver: Receiver, kind: str, parts: list[Part]) -> list[tuple[str, str]]:
    """Headers that tell one message from another, and the same from a new one."""
    own = [(name, value) for name, _, value in (h.partition(": ") for h in receiver.headers)]
    if not parts:
        return own
    first, last = parts[0].number, parts[-1].number
    return [
        *own,
        ("Idempotency-Key", f'"{receiver.address}/{first}-{last}"'),
        ("Sammanhang-Events", f"{first}-{last}"),
    ]


def _span(parts: list[Part]) -> dict[str, int]:
    return {"first": parts[0].number, "last": parts[-1].number}


def pause(tries: int, lasted: float) -> float:
    """Seconds until a receiver that has failed so often before, for so long, is tried again."""
    rules = content("rules/delivery")
    first = rules["retry_seconds"]
    if tries < len(first):
        return float(first[tries])
    later = lasted >= rules["retry_later_after_hours"] * 3600
    return float(rules["retry_later_seconds"] if later else rules["retry_then_seconds"])


async def deliver_due(services: Services, http: Http, now: datetime | None = None) -> Counter[str]:
    """Sends all that is due at a moment, and waits until it is done; what came of it, counted."""
    postman = Postman(services, http, clock.now if now is None else lambda: now)
    try:
        while await postman.round():
            await postman.settle()
    finally:
        await postman.close()
    return postman.counted


async def keep_delivering(
    services: Services,
    stop: asyncio.Event,
    *,
    now: Callable[[], datetime] = clock.now,
    poll: float = POLL_SECONDS,
) -> None:
    """Sends what is due until told to stop; outlives a database that is gone for a while."""
    woken = _wakes.setdefault(services.database, asyncio.Event())
    tidied = 0.0
    loop = asyncio.get_running_loop()
    async with client() as http:
        postman = Postman(services, http, now)
        try:
            while not stop.is_set():
                woken.clear()
                try:
                    await postman.round()
                    if loop.time() - tidied > TIDY_SECONDS:
                        tidied = loop.time()
                        await tidy(services.database, now())
                except (psycopg.Error, Unavailable) as e:
                    log.warning("nothing is sent: %s", type(e).__name__)
                    await _either(stop, 1.0)
                except Exception:
                    log.exception("nothing is sent")
                    await _either(stop, 1.0)
                await _first(stop, woken, poll)
        finally:
            postman.stopping = True
            await postman.close()


async def _either(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _first(stop: asyncio.Event, woken: asyncio.Event, seconds: float) -> None:
    """Until told to stop, woken, or so long."""
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(woken.wait())]
    _, rest = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
