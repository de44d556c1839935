"""The outbox: what has to reach systems outside, with its tries and its receipt.

    statements = queue([Delivery("Subscription/123", now, "Task/7", sender="SE…")])   # in another transaction
    await undelivered(database)          # what has not been received within a minute, for operations
    await for_about(database, [ref])     # what became of what was sent about a resource

What is queued is stored with the transaction it belongs to, and numbered for its receiver without gaps. Sending is
`work.sending`; it promises at least once, in order, and the same message when it is sent again, so that a receiver
can tell by the number. Only registered receivers are sent to. Lag 2017:612 2 and 3 kap. say what is to be sent and
when; that one sees what has not arrived is patientsäkerhetslagen 2010:659 3 kap. 2 § (see content rules/delivery).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.store.connection import Connection
from sammanhang.store.database import Database
from sammanhang.store.named import queries
from sammanhang.store.write import Statements

SQL = queries(Path(__file__).with_name("outbox.sql"))
QUEUE = "SELECT work.queue(%s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that is to reach a receiver.

    address  a registered receiver: `Subscription/id`, or the name it was registered by
    at       when what it tells of happened: from then on it counts as late
    about    the resource it tells of: `Task/id`
    sender   HSA-id of the unit it is sent for, that is told when it does not arrive
    patient  `self` of the patient it concerns
    version  of the resource
    body     the ready message; None where the channel makes it when it is sent
    """

    address: str
    at: datetime
    about: str
    sender: str | None = None
    patient: int | None = None
    version: int | None = None
    body: bytes | None = None


def queue(deliveries: Iterable[Delivery]) -> Statements:
    """Statements that put deliveries in the outbox, for the transaction that stores what they tell of
    (`access.writing.Changes.commit(also=…)`). They fail the transaction for a receiver nobody registered (SH010);
    for one that is shut the delivery is there, and undelivered."""
    return [
        (QUEUE, (d.address, d.at, d.sender, d.about, d.version, d.patient, d.body))
        for d in deliveries
    ]


async def add(connection: Connection, deliveries: Sequence[Delivery]) -> list[int]:
    """As `queue`, for many at once without bodies; in a transaction of the caller's. Returns their numbers."""
    counts = Counter(d.address for d in deliveries)
    cursor = await connection.execute(
        SQL["numbered"], {"addresses": list(counts), "counts": list(counts.values())}
    )
    last = dict(await cursor.fetchall())
    given = []
    for d in deliveries:
        last[d.address] += 1
        given.append(last[d.address])
    await connection.execute(
        SQL["added"],
        (
            [d.address for d in deliveries], given, [d.at for d in deliveries], [d.sender for d in deliveries],
            [d.about for d in deliveries], [d.version for d in deliveries], [d.patient for d in deliveries],
        ),
    )  # fmt: skip
    return given


class Receiver(NamedTuple):
    """Whom something is sent to.

    channel  how: a key of `work.sending.CHANNELS`
    name     as people read it, and `provider` the HSA-id of its care provider
    url      where, with `headers` (`Name: value`)
    seconds  how long an answer may take
    most     how many deliveries one message may hold
    greet    whether it must take a handshake first
    beat     seconds of silence after which it gets a heartbeat
    numbered the number of its last delivery; `upto` where the message under way ends
    """

    address: str
    channel: str
    name: str
    provider: str | None
    url: str
    headers: list[str]
    seconds: int
    most: int
    greet: bool
    beat: int | None
    numbered: int = 0
    upto: int | None = None
    tries: int = 0
    first_failed: datetime | None = None
    failing: bool = False
    said: datetime | None = None
    error: str | None = None


async def register(connection: Connection, receiver: Receiver, now: datetime | None = None) -> None:
    """Registers a receiver, or changes one and opens it again: what was stopped then waits once more."""
    await connection.execute(
        SQL["registered"],
        {
            "address": receiver.address, "channel": receiver.channel, "name": receiver.name,
            "provider": receiver.provider, "url": receiver.url, "headers": receiver.headers,
            "seconds": receiver.seconds, "most": receiver.most, "greet": receiver.greet, "beat": receiver.beat,
            "now": now or clock.now(),
        },
    )  # fmt: skip
    await connection.execute(SQL["waiting_again"], (receiver.address,))


async def shut(connection: Connection, address: str, why: str) -> None:
    """Nothing more is sent to the receiver; what waited is stopped, and undelivered."""
    await connection.execute(SQL["shut"], {"address": address, "error": why})
    await connection.execute(SQL["stopped"], {"address": address, "error": why})


class Standing(NamedTuple):
    """How one delivery stands.

    about          the resource it tells of, `patient` (self) whose record that is in
    sender         HSA-id of the unit it was sent for
    receiver       the receiver's name, `provider` the HSA-id of its care provider
    number         at this receiver (`address`)
    at             when what it tells of happened
    state          waiting, failed (and tried again at `next_try`), delivered, stopped (given up)
    failing_since  since when the receiver has not answered
    error          what went wrong last, or why it was stopped
    receipt        what the receiver said when it took it, at `delivered_at`
    """

    about: str
    patient: int | None
    sender: str | None
    receiver: str
    provider: str | None
    address: str
    number: int
    at: datetime
    state: str
    tries: int
    failing_since: datetime | None
    error: str | None
    next_try: datetime | None
    delivered_at: datetime | None
    receipt: str | None

    def late(self, now: datetime | None = None) -> bool:
        """Whether it should have been received by now."""
        return self.state != "delivered" and self.at <= _before(now)


class Silent(NamedTuple):
    """A receiver that has not taken what it should: how much waits, since when, and what is wrong with it.

    open  whether it is still tried
    """

    address: str
    receiver: str
    provider: str | None
    waiting: int
    oldest: datetime
    failing_since: datetime | None
    error: str | None
    next_try: datetime | None
    open: bool


def _before(now: datetime | None) -> datetime:
    return (now or clock.now()) - timedelta(
        seconds=content("rules/delivery")["undelivered_after_seconds"]
    )


async def undelivered(
    database: Database, *, sender: str | None = None, now: datetime | None = None, limit: int = 200
) -> list[Standing]:
    """What has not been received for too long (content rules/delivery), oldest first; one query.

    Of one unit (`sender`, HSA-id), for those who sent it; of all, for operations.
    """
    values = {"before": _before(now), "sender": sender, "limit": limit}
    return [Standing(*row) for row in await _rows(database, "undelivered", values)]


async def silent(
    database: Database, *, sender: str | None = None, now: datetime | None = None
) -> list[Silent]:
    """The receivers something waits too long for, of one unit or of all; one query."""
    values = {"before": _before(now), "sender": sender}
    rows = await _rows(database, "undelivered_by_receiver", values)
    return [Silent(*row) for row in rows]


async def for_about(database: Database, about: Iterable[str]) -> dict[str, list[Standing]]:
    """All that was sent about these resources (`Task/id`), by resource, in order; one query."""
    found: dict[str, list[Standing]] = {ref: [] for ref in about}
    for row in await _rows(database, "about", {"about": list(found)}):
        found[row[0]].append(Standing(*row))
    return found


async def tidy(database: Database, now: datetime | None = None) -> int:
    """Removes what has been kept long enough (content rules/delivery); returns how many."""
    before = (now or clock.now()) - timedelta(days=content("rules/delivery")["keep_days"])
    async with database.writing() as connection:
        cursor = await connection.execute(SQL["tidied"], {"before": before})
    return cursor.rowcount


async def _rows(database: Database, name: str, values: Any) -> list[Any]:
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(SQL[name], values)
        return await cursor.fetchall()
