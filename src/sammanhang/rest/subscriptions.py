"""Subscription over the API: what a client may ask for, $status and $events.

A Subscription is stored as any resource. What it asks for takes effect when the event feed tells of it
(`work.subscriptions.matching`), a moment after the answer; what the resource must not hold, the values of its
headers and in whose name it was written, is kept beside it first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sammanhang.access.permits import permit_of
from sammanhang.fhir.decode import decode, trusted
from sammanhang.fhir.r4 import Parameters
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Issue, Refused
from sammanhang.store import read as store
from sammanhang.store.connection import Connection
from sammanhang.work.sending import Part
from sammanhang.work.subscriptions import kept, notifications
from sammanhang.work.subscriptions.kept import Subscribed, address
from sammanhang.work.subscriptions.wanted import (
    LEVELS,
    BadSubscription,
    Wanted,
    hidden,
    real,
    wanted,
)

from . import gate
from .bundle import Writer
from .request import Answer, FhirRequest, whole


async def ask(fr: FhirRequest, resource: Any, id: str, expected: int) -> None:
    """Checks a Subscription that is to be stored as the version after `expected`, and keeps what the resource is not
    to hold; the resource itself is changed to what is stored.

    Raises `BadSubscription` for what cannot be followed, `Refused` for who may not be told.
    """
    client = _client(fr)
    if expected:
        await may_change(fr, id)
    w = wanted(resource, fr.services.settings, fr.base + "/")
    permit = permit_of(fr.actor)
    for kind in w.topic.types:
        if permit is not None and not permit.may(kind, "r"):
            sv = f"Ämnet handlar om {kind}, som klientens scope inte ger rätt att läsa (system/{kind}.r)."
            en = f"The topic is about {kind}, which the client's scopes do not let it read (system/{kind}.r)."
            raise BadSubscription([Issue("forbidden", "Subscription.criteria", sv, en)])
    # nobody's record, but not everybody's to read either: it says whom a system follows
    owner = fr.actor.provider or fr.actor.id
    gate.set_tags(resource, owner, owner)
    await _keep(fr, w, client, id, expected)
    resource.status = "off" if w.off else "requested"
    resource.error = None
    resource.channel.header = hidden(w.headers) or None


async def _keep(fr: FhirRequest, w: Wanted, client: str, id: str, expected: int) -> None:
    async with fr.services.database.writing() as connection:
        cursor = await connection.execute(kept.SQL["count_of_client"], (client, id))
        row = await cursor.fetchone()
        most = content("rules/delivery")["most_subscriptions_of_a_client"]
        if row is not None and row[0] >= most and not w.off:
            sv, en = f"En klient får ha högst {most} prenumerationer.", f"A client may have at most {most} subscriptions."  # fmt: skip
            raise BadSubscription([Issue("too-costly", "Subscription", sv, en)])
        cursor = await connection.execute(kept.SQL["headers_of"], (address(id),))
        before = await cursor.fetchone()
        headers = real(w.headers, before[0] if before is not None else [])
        scopes = sorted(fr.actor.scopes)
        await connection.execute(kept.SQL["asked"], (id, expected + 1, client, scopes, headers))


def _client(fr: FhirRequest) -> str:
    """The id of the client that asks. Raises `Refused` for people and their apps: they are not there to be told."""
    if fr.actor.kind != "client":
        raise Refused(
            "Only a service with a client of its own may subscribe.",
            "Bara en tjänst med egen klient kan prenumerera.",
            rule="SUBSCRIBE",
        )
    return fr.actor.id.removeprefix("client:")


async def may_change(fr: FhirRequest, id: str) -> None:
    """Whether the client may change or end a subscription: its own. Raises `Refused`."""
    client = _client(fr)
    async with fr.services.database.writing() as connection:
        s = await kept.subscription(connection, id)
    if s is not None and s.client != client and not fr.actor.everything:
        raise Refused(
            "The subscription belongs to another client.",
            "Prenumerationen tillhör en annan klient.",
            rule="SUBSCRIBE",
        )


async def status(fr: FhirRequest, id: str | None = None) -> Answer:
    """GET or POST Subscription/$status and Subscription/id/$status: how subscriptions stand, in a searchset."""
    asked = await _asked(fr, {"id", "status"})
    if id is not None:
        found = [await _own(fr, id)]
    else:
        client = None if fr.actor.everything else _client(fr)
        async with fr.services.database.writing() as connection:
            cursor = await connection.execute(kept.SQL["of_client"], {"client": client})
            found = kept.rows(await cursor.fetchall())
        ids, states = asked.get("id"), asked.get("status")
        found = [
            s for s in found if (not ids or s.id in ids) and (not states or s.status in states)
        ]
    async with fr.services.database.writing() as connection:
        cursor = await connection.execute(kept.SQL["numbered_of"], ([s.address for s in found],))
        numbered = dict(await cursor.fetchall())
    path = f"Subscription/{id}/$status" if id else "Subscription/$status"
    bundle = Writer("searchset")
    bundle.link("self", fr.link(path, fr.pairs))
    for s in found:
        made = notifications.status(fr.services, s, "query-status", numbered.get(s.address, 0))
        bundle.match(f"urn:uuid:{made['id']}", notifications.encoded(made), "match")
    await fr.services.audit.record(gate.entry(fr, "search", path, count=len(found)))
    return Answer(200, bundle.done(len(found)))


async def events(fr: FhirRequest, id: str) -> Answer:
    """GET or POST Subscription/id/$events: events that have been, by their numbers, as they would be told now.

    What is asked for is not thereby delivered: notifications still come, with the same numbers.
    """
    s = await _own(fr, id)
    asked = await _asked(fr, {"eventsSinceNumber", "eventsUntilNumber", "content"})
    since = whole("eventsSinceNumber", _single(asked, "eventsSinceNumber", "1"))
    until = whole("eventsUntilNumber", _single(asked, "eventsUntilNumber", str(2**62)))
    level = _single(asked, "content", s.content)
    if level not in LEVELS:
        raise Invalid(
            f"content is one of {', '.join(LEVELS)}.", f"content är något av {', '.join(LEVELS)}."
        )
    most = content("rules/delivery")["events_in_one"]["most"]
    async with fr.services.database.writing() as connection:
        cursor = await connection.execute(kept.SQL["events"], (s.address, since, until, most))
        parts = [Part(*row) for row in await cursor.fetchall()]
        row = await (await connection.execute(kept.SQL["numbered"], (s.address,))).fetchone()
    numbered = row[0] if row is not None else 0
    body, told = await notifications.event_bundle(
        fr.services, fr.actor, s, "query-event", numbered, parts, clock.now(), level
    )
    for entry in notifications.entries(fr.services, fr.actor, s, parts, told, level):
        fr.traces.append(fr.services.audit.record(entry))
    await fr.services.audit.record(
        gate.entry(fr, "read", f"Subscription/{id}/$events", count=len(parts))
    )
    return Answer(200, body)


ON_INSTANCE: dict[str, Callable[[FhirRequest, str], Awaitable[Answer]]] = {
    "$status": status,
    "$events": events,
}


async def _own(fr: FhirRequest, id: str) -> Subscribed:
    """The client's own subscription. Raises `NotFound`, also for another's."""
    async with fr.services.database.writing() as connection:
        s = await kept.subscription(connection, id) or await _fresh(fr, connection, id)
        if s is None:  # the feed may have told of it between the two looks
            s = await kept.subscription(connection, id)
    if s is None or not (
        fr.actor.everything or (fr.actor.kind == "client" and s.client == _client(fr))
    ):
        raise gate.absent("Subscription", id)
    return s


async def _fresh(fr: FhirRequest, connection: Connection, id: str) -> Subscribed | None:
    """A subscription that was stored a moment ago, and that the feed has not told of yet."""
    asked = await (await connection.execute(kept.SQL["asked_first"], (id,))).fetchone()
    found = await store.read(connection, "Subscription", id)
    if asked is None or found is None or found.body is None:
        return None
    w = wanted(trusted(found.body, "Subscription"), fr.services.settings, fr.base + "/")
    return Subscribed(id, found.version, asked[0], asked[1], w.topic.url, list(w.filters), w.content, w.ends, "requested", None)  # fmt: skip


async def _asked(fr: FhirRequest, known: set[str]) -> dict[str, list[str]]:
    """The operation's parameters, of the query or a Parameters body. Raises `Invalid` for one that does not exist."""
    pairs = [(k, v) for k, v in fr.pairs if k not in ("_format", "_pretty")]
    if fr.method == "POST" and await fr.body():
        fr.check_json()
        given: Parameters = decode(await fr.body(), "Parameters")
        for p in given.parameter or ():
            values = [
                v for f in p.__struct_fields__ if f.startswith("value") and (v := getattr(p, f))
            ]
            pairs += [(p.name, str(v)) for v in values]
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            offered = ", ".join(sorted(known))
            raise Invalid(f"There is no parameter '{name[:60]}'; there is {offered}.",
                          f"Parametern ”{name[:60]}” finns inte; det finns {offered}.")  # fmt: skip
        found.setdefault(name, []).extend(v for v in value.split(",") if v)
    return found


def _single(asked: dict[str, list[str]], name: str, otherwise: str) -> str:
    values = asked.get(name) or [otherwise]
    if len(values) > 1:
        raise Invalid(f"{name} may stand once.", f"{name} får stå en gång.")
    return values[0]
