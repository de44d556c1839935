"""From the event feed to the outbox: every event, once, for every subscription it concerns.

One process reads at a time, whoever holds the place (FOR UPDATE SKIP LOCKED); the place moves in the transaction that
numbers the deliveries, so that nothing is told of twice and nothing is skipped, whatever dies when. A subscription
begins with the event of its own resource: what happens from then on is numbered, whether or not its endpoint has
answered yet. What a subscriber may not read now it is not told of.

A deletion is told of to those whose filters let through the version it ended, and to those that have been told of the
resource before, if they might have read that version: it is as if it were still there.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import psycopg

from sammanhang.access.actor import Actor
from sammanhang.access.permits import permit_of
from sammanhang.access.services import Services
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Invalid, Refused, Unavailable
from sammanhang.store.connection import Connection
from sammanhang.store.feed import Happened, Key, after, could_be_seen, moved, units, visible
from sammanhang.work.outbox import Delivery, Receiver, add, register, shut
from sammanhang.work.sending import wake

from .kept import SQL, Subscribed, actors, address, rows, subscription, wall_of
from .resthook import CLOSED, NAME, OVER, turn
from .topics import BadFilter, Filter, Seen, Topic, filter_of, topics
from .wanted import wanted

READER = "subscriptions"
BATCH = 1000
POLL_SECONDS = 0.2
SWEEP_SECONDS = 5.0
DELETED = "Prenumerationen är borttagen. / The subscription was deleted."
STOPPED = "Avslutad av mottagaren. / Stopped by the subscriber."
NOT_OFFERED = (
    "Ämnet eller ett filter finns inte längre. / The topic or a filter is offered no longer."
)
log = logging.getLogger("sammanhang.delivery")


@dataclass
class _One:
    """A subscription while a batch is matched: its topic and filters, and what it is to be told of."""

    s: Subscribed
    topic: Topic
    filters: list[Filter]
    matched: list[Seen] = field(default_factory=list)


def followed(s: Subscribed, known: dict[str, Topic], base: str) -> _One | None:
    """A subscription ready to be matched; None for one whose topic or filters are content no longer."""
    topic = known.get(s.topic)
    if topic is None:
        return None
    try:
        return _One(s, topic, [filter_of(f, topic, base) for f in s.filters])
    except (BadFilter, Invalid):
        return None


class _Batch:
    """What one batch of events comes to."""

    def __init__(self, services: Services, connection: Connection, known: list[Subscribed]) -> None:
        self.services, self.connection = services, connection
        self.base = f"{services.base_url}/fhir/"
        self.topics = topics()
        self.known: dict[str, _One] = {}
        self.done: list[_One] = []
        for s in known:
            self.put(s)

    def put(self, s: Subscribed) -> None:
        """A subscription from here on; what the one before it was told of stays so."""
        self.drop(s.id)
        if s.status != "off" and (one := followed(s, self.topics, self.base)) is not None:
            self.known[s.id] = one

    def drop(self, id: str) -> None:
        one = self.known.pop(id, None)
        if one is not None and one.matched:
            self.done.append(one)

    async def take(self, event: Happened) -> None:
        if event.type == "Subscription":
            await self._subscription(event)
            return
        if (event.body or event.before) is None or not self.known:
            return
        try:
            seen = Seen(event, self.base)
        except (msgspec.MsgspecError, ValueError):
            # what is in the record can be read; should it not be so once, others are still told
            log.exception("event %s, %s/%s, is told to nobody", event.seq, event.type, event.id)
            return
        told = {url: seen.triggers(topic) for url, topic in self.topics.items()}
        before = await self._told_of(seen) if seen.gone and any(told.values()) else frozenset()
        for one in self.known.values():
            if told[one.topic.url] and (seen.passes(one.filters) or one.s.address in before):
                one.matched.append(seen)

    async def _told_of(self, seen: Seen) -> frozenset[str]:
        """The addresses of the subscriptions that know of a resource, as long as the outbox remembers."""
        about = f"{seen.event.type}/{seen.event.id}"
        cursor = await self.connection.execute(SQL["told_of"], (about,))
        return frozenset(address for (address,) in await cursor.fetchall())

    async def _subscription(self, event: Happened) -> None:
        """A Subscription was written or deleted. What the server wrote itself changes nothing here."""
        if event.method == "delete":
            self.drop(event.id)
            await self.connection.execute(SQL["gone"], (event.id,))
            await shut(self.connection, address(event.id), DELETED)
            return
        cursor = await self.connection.execute(SQL["asked_for"], (event.id, event.version))
        asked = await cursor.fetchone()
        if asked is None or event.body is None:
            return
        await self._asked(event, *asked)

    async def _asked(
        self, event: Happened, client: str, scopes: list[str], headers: list[str]
    ) -> None:
        resource = trusted(event.body or b"", "Subscription")
        try:
            w = wanted(resource, self.services.settings, self.base).with_headers(headers)
        except Invalid as e:  # a topic or host was taken away since it was checked
            log.warning("Subscription/%s is not followed: %s", event.id, e)
            return
        status = "off" if w.off else "requested"
        s = Subscribed(event.id, event.version, client, scopes, w.topic.url, list(w.filters), w.content, w.ends, status, None)  # fmt: skip
        await self.connection.execute(SQL["kept"], s._asdict())
        if w.off:
            self.drop(s.id)
            await shut(self.connection, s.address, STOPPED)
            return
        actor = (await actors(self.services, [s])).get(s.id)
        await register(
            self.connection,
            Receiver(
                s.address, NAME, actor.name if actor else client, actor.provider if actor else None, w.url,
                list(w.headers), w.seconds, w.most, True, w.beat,
            ),
            clock.now(),
        )  # fmt: skip
        self.put(s)

    async def deliveries(self) -> list[Delivery]:
        """All that is to be told, as far as each subscriber may read it now, in order."""
        those = [*self.done, *(o for o in self.known.values() if o.matched)]
        if not those:
            return []
        speak = await actors(self.services, (o.s for o in those))
        told: list[tuple[_One, Seen]] = []
        for one in those:
            actor = speak.get(one.s.id)
            allowed = await self._allowed(one, actor) if actor is not None else []
            told += [(one, m) for m in allowed]
        senders = await self._senders(told)
        return [
            Delivery(
                one.s.address, m.event.at, f"{m.event.type}/{m.event.id}", senders[id(m)], m.event.patient,
                m.event.version,
            )
            for one, m in told
        ]  # fmt: skip

    async def _senders(self, told: list[tuple[_One, Seen]]) -> dict[int, str | None]:
        """HSA-ids of the units that events were sent by: the one they name, that of what they name, or whose hand
        they are by."""
        found: dict[int, str | None] = {}
        asked: dict[int, list[Key]] = {}
        for one, m in told:
            if id(m) in found or id(m) in asked:
                continue
            named = m.references(one.topic.sender)
            if named and named[0][0] == "Organization":
                found[id(m)] = named[0][1]
            else:
                asked[id(m)] = [(kind, self_hash(kind, id_)) for kind, id_ in named]
        numbers = await units(self.connection, {key for keys in asked.values() for key in keys})
        for _, m in told:
            if id(m) not in found:
                known = [u for key in asked[id(m)] if (u := numbers.get(key)) is not None]
                unit = known[0] if known else m.event.unit
                found[id(m)] = await self.services.database.party_name(unit)
        return found

    async def _allowed(self, one: _One, actor: Actor) -> list[Seen]:
        """What of all that matched the actor may be told of, in order."""
        permit = permit_of(actor)
        matched = [m for m in one.matched if permit is None or permit.may(m.event.type, "r")]
        if not matched:
            return []
        try:
            scope, wall = await wall_of(self.services, actor)
        except Refused:
            return []  # and the next message to it finds out why
        ended = {m.ended: m.tokens for m in matched if m.gone}
        were = await could_be_seen(self.connection, wall, ended) if ended else set()
        async with self.services.database.reading(scope) as connection:
            are = await visible(connection, wall, {m.key for m in matched if not m.gone})
        return [m for m in matched if (m.ended in were if m.gone else m.key in are)]


async def match(services: Services, limit: int = BATCH) -> int | None:
    """Matches the next events of the feed; how many, None when another process is at it.

    Raises psycopg.Error and `Unavailable`; the place has not moved then.
    """
    async with services.database.writing() as connection, connection.transaction():
        return await _match(services, connection, limit)


async def _match(services: Services, connection: Connection, limit: int) -> int | None:
    row = await (await connection.execute(SQL["place"], (READER,))).fetchone()
    if row is None:
        return None
    tx, seq, highest, cluster, here = row
    if cluster != here:
        tx, seq = await moved(connection, tx, seq, highest)
        await connection.execute(SQL["move"], (tx, seq, seq, here, READER))
    events = await after(connection, tx, seq, limit)
    if not events:
        return 0
    known = rows(await (await connection.execute(SQL["all"])).fetchall())
    batch = _Batch(services, connection, known)
    for event in events:
        await batch.take(event)
    deliveries = await batch.deliveries()
    if deliveries:
        await add(connection, deliveries)
    last = events[-1]
    await connection.execute(SQL["move"], (last.tx, last.seq, max(e.seq for e in events), here, READER))  # fmt: skip
    return len(events)


async def match_all(services: Services, limit: int = BATCH) -> int:
    """Matches all that lies in the feed; how many events that were."""
    total = 0
    while taken := await match(services, limit):
        total += taken
    return total


async def sweep(services: Services) -> None:
    """Ends the subscriptions whose end has come, whose client is closed or whose topic is offered no longer, and
    removes what was asked for with resources that never came to be."""
    async with services.database.writing() as connection:
        ended = {id: OVER for (id,) in await (await connection.execute(SQL["ended"], (clock.now(),))).fetchall()}  # fmt: skip
        known = rows(await (await connection.execute(SQL["all"])).fetchall())
        await connection.execute(SQL["swept"])
    speak = await actors(services, known)
    ended |= {s.id: CLOSED for s in known if s.id not in speak}
    base, offered = f"{services.base_url}/fhir/", topics()
    ended |= {s.id: NOT_OFFERED for s in known if followed(s, offered, base) is None}
    for id, why in ended.items():
        await end(services, id, why)


async def end(services: Services, id: str, why: str) -> None:
    """A subscription is off from now on."""
    async with services.database.writing() as connection:
        try:
            async with connection.transaction():
                trace = None
                if await subscription(connection, id) is not None:
                    trace = await turn(services, connection, id, "off", why)
                    await shut(connection, address(id), why)
        except BaseException:
            connection.chain = None
            raise
        if trace is not None:
            trace.done(connection)


async def keep_matching(
    services: Services, stop: asyncio.Event, *, poll: float = POLL_SECONDS
) -> None:
    """Matches what is new until told to stop; outlives a database that is gone for a while."""
    swept = 0.0
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        pause = poll
        try:
            taken = await match(services)
            if taken:
                wake(services.database)
                pause = 0.0 if taken >= BATCH else poll
            if loop.time() - swept > SWEEP_SECONDS:
                swept = loop.time()
                await sweep(services)
        except (psycopg.Error, Unavailable) as e:
            log.warning("the feed is not read: %s", type(e).__name__)
            pause = 1.0
        except Exception:
            log.exception("the feed is not read")
            pause = 1.0
        if pause:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
