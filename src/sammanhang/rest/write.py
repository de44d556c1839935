"""Create, update, delete, patch, and their conditional forms."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from sammanhang.access.audit import Entry, WriteTrace
from sammanhang.fhir.decode import decode, encode, index, raw, trusted
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING
from sammanhang.store.rows import Row, row_of, tombstone
from sammanhang.store.types import COMMON
from sammanhang.store.write import commit
from sammanhang.work.orders import OnItsOwn, taker_of

from . import gate, subscriptions
from .outcome import outcome
from .patch import apply
from .request import PATCH_TYPES, Answer, FhirRequest, version_wanted, versioned

TRIES = 30  # how often a writer without If-Match comes second before it gives up


def moment() -> datetime:
    """Now, to the millisecond: as exact as `meta.lastUpdated` is written."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Overtaken(Conflict):
    """Another writer got between reading and writing; to be tried again."""


async def pause(tries: int) -> None:
    """Lets other writers of the same resource finish; longer for who has come second often."""
    await asyncio.sleep(random.random() * 0.02 * (1 + tries / 3))


def new_id() -> str:
    """A fresh id; its beginning is the time, so neighbours in time lie together on disk."""
    return str(uuid7())


@dataclass
class Change:
    """One prepared write: its row, the audit words for it, and whose records it touches."""

    row: Row
    action: str
    patients: list[str]
    resource: Any = None

    @property
    def what(self) -> str:
        return f"{self.row.type}/{self.row.id}"


async def prepare(
    fr: FhirRequest, resource: Any, id: str, expected: int, action: str, *, named: bool = False
) -> Change:
    """A row for a checked resource, once the door has said it may be written."""
    name = type(resource).__name__
    if name == "Subscription":
        await subscriptions.ask(fr, resource, id, expected)
    days_after = content("rules/care_relation")["days_after_visit"]

    def made() -> Row:
        return row_of(
            resource, id, expected, moment(), base=fr.base + "/", days_after=days_after
        )  # fmt: skip

    row = made()
    assert row.index is not None
    patients = [id] if name == "Patient" else list(row.index.patients)
    tagged = resource.meta.tag
    provider, unit = await gate.may_write(fr, resource, patients)
    if resource.meta.tag is not tagged:
        row = (
            made()
        )  # the owner's tags were put on: they are part of the bytes and the search values
    if name not in COMMON and name != "Patient":
        row.provider, row.unit = provider, unit
    row.named = named
    gate.may_store(fr, row, patients, "c" if action == "create" else "u")
    return Change(row, action, patients, resource)


def _patients(resource: Any, base: str) -> list[str]:
    """Ids of the patients whose record the resource will be part of."""
    return list(index(resource, base + "/").patients)


def entry(fr: FhirRequest, c: Change) -> Entry:
    """The audit entry of a single change."""
    return gate.entry(fr, c.action, c.what, patient=c.patients[0] if c.patients else None)


def trace(fr: FhirRequest, changes: list[Change]) -> WriteTrace:
    """The audit entries of a write: one for a single change, one per patient for several."""
    if len(changes) == 1:
        return WriteTrace(entry(fr, changes[0]))
    by_patient: dict[str | None, list[Change]] = {}
    for c in changes:
        by_patient.setdefault(c.patients[0] if c.patients else None, []).append(c)
    return WriteTrace(
        *(
            gate.entry(
                fr,
                "transaction",
                f"{len(group)} resources",
                patient=patient,
                count=len(group),
                details={"changes": [f"{c.action} {c.what}" for c in group]},
            )
            for patient, group in by_patient.items()
        )
    )


def given(fr: FhirRequest, body: bytes, type_name: str) -> Any:
    """The resource in a body, valid and of the type the URL names."""
    return decode(body, type_name, max_depth=fr.services.settings.max_depth)


def answer(fr: FhirRequest, change: Change, status: int, *, location: bool = False) -> Answer:
    """The answer to a write, as `Prefer: return` asks."""
    row = change.row
    want = fr.preference("return")
    body: bytes | None = row.body
    unread = change.action == "patch" and not gate.lets(fr, row.type, row.body, "r")
    if want == "minimal" or unread:  # who may change but not read is not shown the rest
        body = None
    elif want == "OperationOutcome":
        body = encode(outcome([], fr.swedish))
    made = versioned(body, row.version, row.updated, status)
    if location:
        made.headers.append(
            (b"location", f"{fr.base}/{row.type}/{row.id}/_history/{row.version}".encode())
        )
    return made


async def create(fr: FhirRequest, type_name: str) -> Answer:
    """POST Type. 201 with the resource; 200 when If-None-Exist finds one; 412 when it finds several."""
    fr.check_json()
    body = await fr.body()
    resource = given(fr, body, type_name)
    condition = fr.header(b"if-none-exist")
    taker = taker_of(fr.actor, resource)
    if taker is not None and not condition:
        gate.may_take(fr, type_name, "c")
        id = await taker.create(fr.services.doors, fr.actor, resource, "", fr.id)
        return await as_taken(fr, type_name, id, 201)
    if condition:
        from .conditional import create_unless

        return await create_unless(fr, type_name, resource, condition)
    change = await prepare(fr, resource, new_id(), 0, "create")
    await fr.services.audit.store(entry(fr, change), change.row)
    return answer(fr, change, 201, location=True)


async def current(fr: FhirRequest, type_name: str, id: str) -> store.Version | None:
    """The current version, for a writer to build on; the door has its say on the record it is in."""
    scope = await gate.scope_for(fr, type_name, id)
    async with fr.services.database.reading(scope) as connection:
        return await store.read(connection, type_name, id)


async def update(fr: FhirRequest, type_name: str, id: str) -> Answer:
    """PUT Type/id. 200, or 201 when it makes a new one; 412 when If-Match names another version."""
    fr.check_json()
    resource = given(fr, await fr.body(), type_name)
    return await put(fr, type_name, id, resource)


async def put(fr: FhirRequest, type_name: str, id: str, resource: Any) -> Answer:
    """Makes `resource` the current version, again and again while others get between."""
    wanted = version_wanted(fr)
    taken = await take(fr, type_name, id, resource, wanted)
    if taken is not None:
        return taken
    if resource.id is None or resource.id != id:
        raise Invalid(
            f"The id in the body must be '{id}', as in the URL.",
            f"Id i innehållet ska vara ”{id}”, som i adressen.",
        )
    for tries in range(TRIES):
        try:
            change, existed = await revise(fr, type_name, id, resource, wanted)
        except Overtaken:
            await pause(tries)
            continue
        try:
            await commit(fr.services.database, [change.row], trace(fr, [change]))
        except (PreconditionFailed, Conflict, NotFound):
            if wanted is not None:
                raise
            await pause(tries)
            continue
        return answer(fr, change, 200 if existed else 201, location=not existed)
    raise Conflict(
        "Too many change it at once; try again.", "För många ändrar samtidigt; försök igen."
    )


async def take(
    fr: FhirRequest, type_name: str, id: str, resource: Any, wanted: int | None
) -> Answer | None:
    """Hands an order to the capability it belongs to (`work.orders`); None for what is stored as it is."""
    taker = taker_of(fr.actor, resource)
    if taker is None:
        return None
    doors = fr.services.doors
    found = await current(fr, type_name, id)
    if found is None:
        gate.may_take(fr, type_name, "c")
        await taker.create(doors, fr.actor, resource, id, fr.id)
        return await as_taken(fr, type_name, id, 201)
    if wanted is not None and wanted != found.version:
        raise PreconditionFailed("Another version is current.", "En annan version gäller.")
    gate.may_take(fr, type_name, "u")
    gate.may_change(fr, found.body or b"", type_name, id)
    before = trusted(found.body or b"", type_name)
    await taker.change(doors, fr.actor, before, resource, fr.id)
    return await as_taken(fr, type_name, id, 200)


async def as_taken(fr: FhirRequest, type_name: str, id: str, status: int) -> Answer:
    """The answer to an order that was taken: what it has become."""
    found = await current(fr, type_name, id)
    if found is None:
        raise gate.absent(type_name, id)
    made = versioned(found.body, found.version, found.updated, status)
    if status == 201:
        where = f"{fr.base}/{type_name}/{id}/_history/{found.version}"
        made.headers.append((b"location", where.encode()))
    return made


async def revise(
    fr: FhirRequest, type_name: str, id: str, resource: Any, wanted: int | None
) -> tuple[Change, bool]:
    """A change that puts `resource` in the place of the current version, or of none."""
    found = await current(fr, type_name, id)
    if found is None:
        async with fr.services.database.reading(EVERYTHING) as connection:
            hidden = await store.read(connection, type_name, id)
            gone = await store.last_deletion(connection, type_name, id)
        if hidden is not None:
            # not for these eyes, or made between the two looks: the same version unseen twice tells
            seen = await current(fr, type_name, id)
            async with fr.services.database.reading(EVERYTHING) as connection:
                still = await store.read(connection, type_name, id)
            if seen is None and still is not None and still.version == hidden.version:
                raise gate.absent(type_name, id)
            raise Overtaken("Somebody made it just now.", "Någon annan hann före.")
        if wanted is not None and (gone is None or gone.version != wanted):
            raise PreconditionFailed("There is no such version.", "Den versionen finns inte.")
        expected = gone.version if gone is not None else 0
        return await prepare(fr, resource, id, expected, "update", named=True), False
    if wanted is not None and wanted != found.version:
        raise PreconditionFailed(
            f"Somebody else changed the resource; the current version is {found.version}.",
            f"Någon annan har ändrat resursen; aktuell version är {found.version}.",
        )
    if fr.header(b"if-none-match") == "*":
        raise PreconditionFailed("The resource is there already.", "Resursen finns redan.")
    gate.may_change(fr, found.body or b"", type_name, id)
    gate.keep_tags(fr, found.body or b"", resource)
    return await prepare(fr, resource, id, found.version, "update"), True


async def delete(fr: FhirRequest, type_name: str, id: str) -> Answer:
    """DELETE Type/id. 204 also when it was deleted before; 404 when it never was."""
    for tries in range(TRIES):
        found = await current(fr, type_name, id)
        if found is None:
            scope = await gate.scope_for(fr, type_name, id)
            async with fr.services.database.reading(scope) as connection:
                gone = await store.last_deletion(connection, type_name, id)
                if gone is not None and not await gate.lets_deleted(fr, connection, gone, "d"):
                    raise gate.absent(type_name, id)
            outcome_ = "gone" if gone else "absent"
            await fr.services.audit.record(
                gate.entry(fr, "delete", f"{type_name}/{id}", outcome=outcome_)
            )
            if gone is None:
                async with fr.services.database.reading(scope) as connection:
                    if await store.vread(connection, type_name, id, 1) is not None:
                        continue  # it has been: others delete it and bring it back meanwhile
                raise gate.absent(type_name, id)
            return Answer(204)
        wanted = version_wanted(fr)
        if wanted is not None and wanted != found.version:
            raise PreconditionFailed("Another version is current.", "En annan version gäller.")
        change = await erase(fr, found)
        try:
            await commit(fr.services.database, [change.row], trace(fr, [change]))
        except (PreconditionFailed, NotFound):
            await pause(tries)
            continue
        made = versioned(None, change.row.version, change.row.updated, 204)
        return made
    raise Conflict(
        "Too many change it at once; try again.", "För många ändrar samtidigt; försök igen."
    )


async def erase(fr: FhirRequest, found: store.Version) -> Change:
    """The change that deletes a version. The history keeps it: nothing in care is ever erased."""
    gate.may_change(fr, found.body or b"", found.type, found.id, "d")
    if found.type == "Subscription":
        await subscriptions.may_change(fr, found.id)
    resource = trusted(found.body or b"", found.type)
    if taker_of(fr.actor, resource) is not None:
        raise OnItsOwn(f"{found.type}/{found.id}")
    patients = [found.id] if found.type == "Patient" else _patients(resource, fr.base)
    await gate.may_write(fr, resource, patients)
    return Change(tombstone(found.type, found.id, found.version, moment()), "delete", patients)


async def patch(fr: FhirRequest, type_name: str, id: str) -> Answer:
    """PATCH Type/id with JSON Patch or a FHIRPath Patch (Parameters)."""
    fr.check_json(PATCH_TYPES)
    body = await fr.body()
    wanted = version_wanted(fr)
    for tries in range(TRIES):
        found = await current(fr, type_name, id)
        if found is None:
            scope = await gate.scope_for(fr, type_name, id)
            async with fr.services.database.reading(scope) as connection:
                gone = await store.last_deletion(connection, type_name, id)
                if gone is not None and not await gate.lets_deleted(fr, connection, gone, "u"):
                    raise gate.absent(type_name, id)
                raise await store.missing(connection, type_name, id)
        if wanted is not None and wanted != found.version:
            raise PreconditionFailed("Another version is current.", "En annan version gäller.")
        resource = patched_resource(fr, found, body, fr.content_type())
        taken = await take(fr, type_name, id, resource, wanted)
        if taken is not None:
            return taken
        change = await prepare(fr, resource, found.id, found.version, "patch")
        try:
            await commit(fr.services.database, [change.row], trace(fr, [change]))
        except (PreconditionFailed, NotFound):
            if wanted is not None:
                raise
            await pause(tries)
            continue
        return answer(fr, change, 200)
    raise Conflict(
        "Too many change it at once; try again.", "För många ändrar samtidigt; försök igen."
    )


async def patched(fr: FhirRequest, found: store.Version, body: bytes, kind: str) -> Change:
    """The change a patch makes of a version. Raises `OnItsOwn` for an order with consequences of its own."""
    resource = patched_resource(fr, found, body, kind)
    alone(fr, resource)
    return await prepare(fr, resource, found.id, found.version, "patch")


def alone(fr: FhirRequest, resource: Any) -> None:
    """Raises `OnItsOwn` for an order that cannot be part of a transaction."""
    if taker_of(fr.actor, resource) is not None:
        raise OnItsOwn(type(resource).__name__)


def patched_resource(fr: FhirRequest, found: store.Version, body: bytes, kind: str) -> Any:
    """What a patch makes of a version; it must be a valid resource."""
    gate.may_change(fr, found.body or b"", found.type, found.id)
    document = apply(raw(found.body or b"{}"), body, kind)
    if document.get("resourceType") != found.type or document.get("id") != found.id:
        raise Unprocessable(
            "A patch may not change type or id.", "En ändring får inte byta typ eller id."
        )
    import msgspec

    after = msgspec.json.Encoder(decimal_format="number").encode(document)
    return given(fr, after, found.type)
