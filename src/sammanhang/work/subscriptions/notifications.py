"""The bundles a subscriber gets: handshake, heartbeat, events, and the answers to $status and $events.

HL7 Subscriptions R5 Backport STU 1.1: a Bundle of type history whose first entry is a Parameters with the profile
backport-subscription-status-r4. What stands in it is what the subscriber may read at the moment it is sent: an event
about something it may no longer read keeps its number and says nothing else. A deletion is an entry with the request
DELETE and no resource, for who might read now what it ended. Names of people with protected identity are masked, as
everywhere (R29).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from uuid_utils import uuid7

from sammanhang.access.actor import Actor
from sammanhang.access.audit import Entry
from sammanhang.access.facts import protected_names
from sammanhang.access.masking import named, without_names
from sammanhang.access.permits import permit_of
from sammanhang.access.services import Services
from sammanhang.fhir.decode import index, trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.store.database import EVERYTHING
from sammanhang.store.feed import Key, Once, could_be_seen, current, deleted
from sammanhang.work.sending import Part

from .kept import Subscribed, topic_of, wall_of

STATUS = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"
NOTIFICATION = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4"
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource as the subscriber may see it now: `Type/id`, its version, bytes, patient, and what it refers to.

    Of one that was deleted the bytes are None, and the version is that of the deletion.
    """

    ref: str
    version: int
    body: bytes | None
    patient: str | None
    context: tuple[str, ...]


async def shown(
    services: Services, actor: Actor, refs: Iterable[str], context: Sequence[str] = ()
) -> dict[str, Shown]:
    """Of these resources (`Type/id`) those the actor may read now. Raises `Refused` for who may read nothing.

    `context` names the elements whose references are told beside them.
    """
    wanted: dict[Key, str] = {}
    permit = permit_of(actor)
    for ref in refs:
        kind, _, id = ref.partition("/")
        if kind in TYPE_NAMES and id and (permit is None or permit.may(kind, "r")):
            wanted[(kind, self_hash(kind, id))] = id
    if not wanted:
        return {}
    scope, wall = await wall_of(services, actor)
    async with services.database.reading(scope) as connection:
        rows = await current(connection, wall, wanted)
    found = {
        f"{kind}/{id}": (version, body)
        for (kind, self_), (id, version, body) in rows.items()
        if id == wanted[(kind, self_)]
    }
    people: dict[str, frozenset[str]] = {}
    if not actor.everything:
        ids = {p for ref, (_, body) in found.items() for p in named(ref.partition("/")[0], body)}
        people = await protected_names(services.database, ids) if ids else {}
    base = f"{services.base_url}/fhir/"
    return {ref: _shown(ref, *one, people, context, base) for ref, one in found.items()}


async def deletions(
    services: Services, actor: Actor, parts: Sequence[Part]
) -> dict[int, Shown | None]:
    """The events that are deletions, by number; None for one of what the actor might not read were it still there.

    Raises `Refused` for who may read nothing.
    """
    versions = {p.number: (*key, p.version) for p in parts if p.version and (key := _key(p.about))}
    async with services.database.reading(EVERYTHING) as connection:
        bodies = await deleted(connection, versions.values())
    if not bodies:
        return {}
    _, wall = await wall_of(services, actor)
    base = f"{services.base_url}/fhir/"
    ended = {_before(v): index(trusted(b, v[0]), base) for v, b in bodies.items() if b is not None}
    async with services.database.reading(EVERYTHING) as connection:
        were = await could_be_seen(connection, wall, {v: ix.tokens for v, ix in ended.items()})
    found: dict[int, Shown | None] = {}
    for p in parts:
        version = versions.get(p.number)
        if version is None or version not in bodies:
            continue
        last, found[p.number] = _before(version), None
        if last in were:
            patient = next(iter(ended[last].patients), None)
            found[p.number] = Shown(p.about, version[2], None, patient, ())
    return found


def _before(version: Once) -> Once:
    kind, self_, number = version
    return kind, self_, number - 1


def _key(ref: str) -> Key | None:
    """Type and `self` of `Type/id`."""
    kind, _, id = ref.partition("/")
    return (kind, self_hash(kind, id)) if kind in TYPE_NAMES and id else None


def _shown(
    ref: str,
    version: int,
    body: bytes,
    people: dict[str, frozenset[str]],
    context: Sequence[str],
    base: str,
) -> Shown:
    kind = ref.partition("/")[0]
    resource = trusted(body, kind)
    patients = [resource.id] if kind == "Patient" else index(resource, base).patients
    secret = {p: people[p] for p in named(kind, body) & people.keys()}
    if secret:
        body = without_names(kind, body, secret)
    told = [_local(r.reference, base) for name in context for r in _references(resource, name)]
    return Shown(
        ref,
        version,
        body,
        patients[0] if patients else None,
        tuple(dict.fromkeys(filter(None, told))),
    )


def _references(resource: Any, name: str) -> list[Any]:
    value = getattr(resource, name, None)
    return value if isinstance(value, list) else [value] if value is not None else []


def _local(reference: str | None, base: str) -> str | None:
    """`Type/id` of a reference to a resource of ours."""
    text = (reference or "").removeprefix(base).partition("/_history")[0]
    return text if text.partition("/")[0] in TYPE_NAMES and text.count("/") == 1 else None


def bundle(
    services: Services,
    s: Subscribed,
    kind: str,
    numbered: int,
    now: datetime,
    *,
    parts: Sequence[Part] = (),
    level: str | None = None,
    told: dict[int, Shown] | None = None,
    beside: dict[str, Shown] | None = None,
) -> bytes:
    """A notification. `kind` is handshake, heartbeat, event-notification or query-event; `numbered` how many events
    there have been; `level` the content when another than the subscription's; `told` what is shown of an event, by its
    number, and `beside` what those refer to."""
    level = level or s.content
    told = told or {}
    base = f"{services.base_url}/fhir"
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": f"urn:uuid:{uuid7()}",
            "resource": status(services, s, kind, numbered, parts, level, told),
            "request": {"method": "GET", "url": f"{base}/Subscription/{s.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    entries += [_entry(base, one) for one in _held(parts, level, told, beside or {})]
    return _encoder.encode(
        {
            "resourceType": "Bundle",
            "id": str(uuid7()),
            "meta": {"profile": [NOTIFICATION]},
            "type": "history",
            "timestamp": _instant(now),
            "entry": entries,
        }
    )


def _held(
    parts: Sequence[Part], level: str, told: dict[int, Shown], beside: dict[str, Shown]
) -> list[Shown]:
    """What stands in a bundle after its status, each once: deletions, and with the most content the resources too."""
    if level == "empty":
        return []
    shown_ = [told[p.number] for p in parts if p.number in told]
    if level == "id-only":
        return [one for one in shown_ if one.body is None]
    refs = (c for one in shown_ for c in one.context)
    every = [*shown_, *(beside[ref] for ref in refs if ref in beside)]
    return list({(one.ref, one.version): one for one in every}.values())


def _entry(base: str, one: Shown) -> dict[str, Any]:
    made: dict[str, Any] = {"fullUrl": f"{base}/{one.ref}"}
    if one.body is not None:
        made["resource"] = msgspec.Raw(one.body)
    return made | {
        "request": {"method": "DELETE" if one.body is None else "PUT", "url": one.ref},
        "response": {
            "status": "204" if one.body is None else "200",
            "etag": f'W/"{one.version}"',
        },
    }


def status(
    services: Services,
    s: Subscribed,
    kind: str,
    numbered: int,
    parts: Sequence[Part] = (),
    level: str = "empty",
    told: dict[int, Shown] | None = None,
) -> dict[str, Any]:
    """The Parameters that say how a subscription stands, and which events a bundle tells of."""
    base = f"{services.base_url}/fhir"
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{s.id}"}}
    ]
    if level != "empty" or kind == "query-status":
        parameters.append({"name": "topic", "valueCanonical": s.topic})
    parameters += [
        {"name": "status", "valueCode": s.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(numbered)},
        *(_event(base, p, level, (told or {}).get(p.number)) for p in parts),
    ]
    if s.error:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": s.error}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid7()),
        "meta": {"profile": [STATUS]},
        "parameter": parameters,
    }


def _event(base: str, part: Part, level: str, one: Shown | None) -> dict[str, Any]:
    told: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(part.number)},
        {"name": "timestamp", "valueInstant": _instant(part.at)},
    ]
    if level != "empty" and one is not None:
        told.append({"name": "focus", "valueReference": {"reference": f"{base}/{one.ref}"}})
        told += [
            {"name": "additional-context", "valueReference": {"reference": f"{base}/{c}"}}
            for c in one.context
        ]
    return {"name": "notification-event", "part": told}


async def event_bundle(
    services: Services,
    actor: Actor,
    s: Subscribed,
    kind: str,
    numbered: int,
    parts: Sequence[Part],
    now: datetime,
    level: str | None = None,
) -> tuple[bytes, dict[int, Shown]]:
    """A bundle that tells of events, and what it shows of each, by number. Raises `Refused` for who may read nothing
    any longer."""
    topic = topic_of(s)
    context = topic.context if topic is not None else ()
    gone = await deletions(services, actor, parts)
    there = {p.number: p.about for p in parts if p.number not in gone}
    visible = await shown(services, actor, there.values(), context)
    found = gone | {number: visible.get(ref) for number, ref in there.items()}
    told = {number: one for number, one in found.items() if one is not None}
    if (level or s.content) == "full-resource":
        beside = {c for one in visible.values() for c in one.context} - visible.keys()
        visible |= await shown(services, actor, beside) if beside else {}
    made = bundle(services, s, kind, numbered, now, parts=parts, level=level, told=told, beside=visible)  # fmt: skip
    return made, told


def entries(
    services: Services,
    actor: Actor,
    s: Subscribed,
    parts: Iterable[Part],
    told: dict[int, Shown],
    level: str,
) -> list[Entry]:
    """What the trace says of events that are told: who got what about whom."""
    return [
        services.doors.entry(
            actor, "notify", what=p.about, patient=told[p.number].patient,
            details={"subscription": s.id, "event": p.number, "content": level},
        )
        for p in parts
        if p.number in told
    ]  # fmt: skip


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def encoded(resource: dict[str, Any]) -> bytes:
    """A resource made here, as bytes."""
    return _encoder.encode(resource)
