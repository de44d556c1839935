"""The channel rest-hook: notifications by HTTP POST to the subscriber's endpoint, and the status that follows.

requested → a handshake is sent → active; what is not taken for a while → error, still tried, and active again with the
first answer, when everything that was missed has the next numbers; given up, gone (410), over, without rights → off,
with the reason in `Subscription.error`. The client asks for it again by writing the status `requested`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from sammanhang.access.actor import SYSTEM
from sammanhang.access.audit import WriteTrace
from sammanhang.access.services import Services
from sammanhang.fhir.decode import trusted
from sammanhang.kernel.errors import Refused
from sammanhang.store import read as store
from sammanhang.store.connection import Connection
from sammanhang.store.database import party_number
from sammanhang.store.rows import row_of
from sammanhang.store.write import commit_on
from sammanhang.work.outbox import Receiver
from sammanhang.work.sending import CHANNELS, Message, Part, Withdrawn

from .kept import SQL, actors, subscription
from .notifications import bundle, entries, event_bundle

NAME = "rest-hook"
CLOSED = "Klienten är stängd. / The client is closed."
OVER = "Prenumerationens sluttid har passerat. / The subscription's end has passed."
UNANSWERED = "Mottagaren tar inte emot / The endpoint does not take it"


class RestHook:
    """See `work.sending.Channel`."""

    async def write(
        self, services: Services, receiver: Receiver, kind: str, parts: list[Part], now: datetime
    ) -> Message:
        id = receiver.address.partition("/")[2]
        async with services.database.writing() as connection:
            s = await subscription(connection, id)
        if s is None or s.status == "off":
            raise Withdrawn((s.error if s is not None else None) or CLOSED)
        if s.ends is not None and s.ends <= now:
            raise Withdrawn(OVER)
        actor = (await actors(services, [s])).get(s.id)
        if actor is None:
            raise Withdrawn(CLOSED)
        headers = [("Content-Type", "application/fhir+json")]
        # what it is, once this has been taken
        told = s if kind == "handshake" else s._replace(status="active", error=None)
        try:
            if not parts:
                await services.doors.search_scope(actor)
                return Message(bundle(services, told, kind, receiver.numbered, now), headers)
            body, told_of = await event_bundle(
                services, actor, told, kind, receiver.numbered, parts, now
            )
        except Refused as e:
            raise Withdrawn(f"{e.sv} / {e.en}") from e
        new = [p for p in parts if p.tries == 0]
        return Message(body, headers, entries(services, actor, s, new, told_of, s.content))

    async def turned(
        self, services: Services, connection: Connection, receiver: Receiver, state: str, why: str
    ) -> WriteTrace | None:
        error = {"active": None, "error": f"{UNANSWERED}: {why}", "off": why}[state]
        return await turn(services, connection, receiver.address.partition("/")[2], state, error)


async def turn(
    services: Services, connection: Connection, id: str, status: str, error: str | None
) -> WriteTrace | None:
    """Sets a subscription's status, beside the resource and in it; in a transaction of the caller's.

    Returns the trace it left, to be moved on when the transaction is durable. Where the client has written another
    version meanwhile, that one stands.
    """
    await connection.execute(SQL["turned"], (status, error, id))
    found = await store.read(connection, "Subscription", id)
    if found is None or found.body is None:
        return None
    resource = trusted(found.body, "Subscription")
    if (resource.status, resource.error) == (status, error):
        return None
    resource.status, resource.error = status, error
    now = datetime.now(UTC)
    row = row_of(
        resource, id, found.version, now.replace(microsecond=now.microsecond // 1000 * 1000)
    )
    parties = [(await party_number(connection, p) if p else None) for p in (row.provider, row.unit)]
    trace = WriteTrace(
        services.doors.entry(
            SYSTEM, "update", what=f"Subscription/{id}", details={"status": status}
        )
    )
    try:
        async with connection.transaction():
            await commit_on(connection, [row], [(parties[0], parties[1])], trace)
    except psycopg.Error as e:
        if e.sqlstate not in ("SH001", "SH002"):
            raise
        return None
    return trace


CHANNELS[NAME] = RestHook()
