"""Which scope a FHIR request gets: the door applied to the API, and the trace of each interaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sammanhang.access.audit import Entry
from sammanhang.access.door import Record, predicate
from sammanhang.access.permits import permit_of
from sammanhang.access.rules import Facts, guarded
from sammanhang.access.rules import may_write as rules_may_write
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.fhir.r4 import Coding, Meta
from sammanhang.kernel.errors import NotFound, Refused, TooLarge
from sammanhang.kernel.owner import PROVIDER, SHARED, UNIT
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING, Connection, Scope
from sammanhang.store.read import Version
from sammanhang.store.rows import Row, owner
from sammanhang.store.search.compile import Predicate
from sammanhang.store.search.parse import Criterion, Request
from sammanhang.store.types import COMMON, NUMBER, table

from .request import FhirRequest

MOST_RECORDS = 20  # how many records one search may open


def within_scopes(fr: FhirRequest, request: Request, wall: Predicate) -> Predicate:
    """As `only_scopes`; raises `Refused` for a search that names other types."""
    permit = permit_of(fr.actor)
    if permit is None:
        return wall
    asked: set[str] = set()
    for c in request.criteria:
        one: Criterion | None = c
        while one is not None:
            asked |= {ts[0] for _, ts in one.chain if len(ts) == 1} | {t for t, _ in one.has}
            one = one.inner
    if len(request.types) < len(NUMBER):
        asked |= {*request.types}
    if not all(permit.may(name, "s") for name in asked):
        raise outside_scopes()
    return permit.predicate(wall, "s")


def only_scopes(
    fr: FhirRequest, wall: Predicate, letter: str = "s", *, tokens: bool = True
) -> Predicate:
    """The wall, and within it only what the token's scopes let it meet; see `Permit.predicate`."""
    permit = permit_of(fr.actor)
    return wall if permit is None else permit.predicate(wall, letter, tokens=tokens)


def lets(fr: FhirRequest, type_name: str, body: bytes | None, letter: str) -> bool:
    """Whether the token's scopes let it meet this stored version; yes without a token."""
    permit = permit_of(fr.actor)
    return permit is None or permit.lets(type_name, letter, body or b"", fr.base + "/")


async def lets_deleted(fr: FhirRequest, connection: Connection, gone: Version, letter: str) -> bool:
    """As `lets`, for a tombstone: it is met by who could meet what was deleted."""
    permit = permit_of(fr.actor)
    if permit is None or permit.whole(gone.type, letter):
        return True
    last = await store.vread(connection, gone.type, gone.id, gone.version - 1)
    return last is not None and last.body is not None and lets(fr, gone.type, last.body, letter)


def outside_scopes() -> Refused:
    return Refused(
        "The token's scopes do not allow this.",
        "Klientens behörighet räcker inte.",
        rule="SCOPE",
    )


def confined_to(fr: FhirRequest, types: Iterable[str]) -> str | None:
    """Id of the patient an app is confined to with these types; None when it is not."""
    permit = permit_of(fr.actor)
    return permit.patient if permit is not None and permit.confined(types) else None


def confine(fr: FhirRequest, patient: str) -> None:
    """Raises `NotFound` when an app is confined to another patient than this."""
    if confined_to(fr, ["Patient"]) not in (None, patient):
        raise absent("Patient", patient)


def wall(scope: Scope, *, tokens: bool = True) -> Predicate:
    """The first wall as a function of the alias, for the search compiler; `tokens` as in `access.door.predicate`."""
    return lambda alias: predicate(scope, alias, tokens=tokens)


def entry(fr: FhirRequest, action: str, what: str, **more: Any) -> Entry:
    """An audit entry of this request."""
    return fr.services.doors.entry(fr.actor, action, what=what, request=fr.id, **more)


def absent(type_name: str, id: str) -> NotFound:
    """The one answer for what is not there and what may not be seen."""
    return NotFound(f"{type_name}/{id} is not here.", f"{type_name}/{id} finns inte.")


async def opened(fr: FhirRequest, patient: str) -> Record:
    """The record of a patient, opened through the door; its trace is waited for before the answer leaves,
    together with those of what comes after. Raises `Refused`."""
    record = await fr.services.doors.open_record(fr.actor, patient, request=fr.id, durable=False)
    if record.traced is not None:
        fr.traces.append(record.traced)
    return record


async def scope_for(fr: FhirRequest, type_name: str, id: str) -> Scope:
    """The scope to read one resource in.

    For whoever is not trusted with everything, the record it belongs to is opened through the door;
    refused, the resource is as absent (`NotFound`), and the refusal is in the trace.
    """
    if fr.actor.everything:
        return EVERYTHING
    only = confined_to(fr, [type_name])
    if type_name in COMMON or (type_name == "Patient" and fr.actor.kind == "staff" and not only):
        return await _scope_without_patient(fr, only)
    patient = id if type_name == "Patient" else await patient_of(fr, type_name, id)
    if patient is None:
        return await _scope_without_patient(fr, only)
    if only is not None and patient != only and not await _concerns(fr, type_name, id, only):
        raise absent(type_name, id)
    patient = only or patient
    try:
        record = await opened(fr, patient)
    except Refused:
        raise absent(type_name, id) from None
    return record.scope


async def _scope_without_patient(fr: FhirRequest, only: str | None) -> Scope:
    """What may be seen without naming a patient; for an app confined to one, that patient's record."""
    if only is None:
        return await fr.services.doors.search_scope(fr.actor)
    record = await fr.services.doors.open_record(fr.actor, only, request=fr.id)
    return record.scope


async def _concerns(fr: FhirRequest, type_name: str, id: str, patient: str) -> bool:
    """Whether a resource in another's record concerns the patient too (an appointment of two)."""
    async with fr.services.database.reading(EVERYTHING) as connection:
        rows = await connection.fetch(
            f"SELECT also FROM {table(type_name)} WHERE self = %s AND type = %s",
            (self_hash(type_name, id), NUMBER[type_name]),
        )
    return any(self_hash("Patient", patient) in (also or ()) for (also,) in rows)


async def patient_of(fr: FhirRequest, type_name: str, id: str) -> str | None:
    """The id of the patient whose record holds a resource, deleted ones too."""
    database = fr.services.database
    async with database.reading(EVERYTHING) as connection:
        for source in (table(type_name), "store.history"):
            rows = await connection.fetch(
                f"SELECT p.id FROM {source} r JOIN store.patient p ON p.self = r.patient"
                " WHERE r.self = %s AND r.type = %s AND r.id = %s LIMIT 1",
                (self_hash(type_name, id), NUMBER[type_name], id),
            )
            if rows:
                return str(rows[0][0])
    return None


async def scope_for_search(fr: FhirRequest, patients: list[str], types: Iterable[str]) -> Scope:
    """The scope of a search: the named patients' records, each opened; else what needs no record.

    An app confined to one patient with all the `types` searches in that record and no other. Raises
    `Refused` with the rule when one of the records may not be opened.
    """
    if fr.actor.everything:
        return EVERYTHING
    only = confined_to(fr, types)
    if only is not None:
        return await _scope_without_patient(fr, only)
    if not patients:
        return await fr.services.doors.search_scope(fr.actor)
    if len(patients) > MOST_RECORDS:
        raise TooLarge(
            f"At most {MOST_RECORDS} patients in one search.",
            f"Högst {MOST_RECORDS} patienter i en sökning.",
        )
    scopes = []
    for patient in patients:
        record = await opened(fr, patient)
        scopes.append(record.scope)
    first = scopes[0]
    return Scope(
        register=fr.actor.kind != "resident",
        patients=tuple(self_hash("Patient", p) for p in patients),
        providers=tuple(set.intersection(*(set(s.providers) for s in scopes))),
        hidden_units=tuple({u for s in scopes for u in s.hidden_units}),
        hidden_labels=first.hidden_labels,
        shared=first.shared,
    )


async def may_write(
    fr: FhirRequest, resource: Any, patients: list[str]
) -> tuple[str | None, str | None]:
    """Whether the actor may write this resource, and who will own it: (provider, unit) HSA-ids.

    Staff write in the name of their assignment, in records they may open and write in; the owner's
    tags are put on the resource. A client writes for its care provider. What may be written at all is for
    the rules R31–R33 and M24 to say. Raises `Refused`.
    """
    provider, unit, facts = await _writer(fr, resource, patients)
    if facts is None and guarded(resource) and patients:
        facts, _ = await fr.services.doors.facts(fr.actor, patients[0])
    writer = None if fr.actor.everything else provider
    refused = rules_may_write(writer, facts or Facts(exists=True), resource)
    if refused is not None:
        raise Refused(refused.en, refused.sv, rule=refused.rule)
    return provider, unit


async def _writer(
    fr: FhirRequest, resource: Any, patients: list[str]
) -> tuple[str | None, str | None, Facts | None]:
    """In whose name the actor writes: (provider, unit), and the first patient's facts where the record was opened.

    Raises `Refused` for who may not write here.
    """
    actor = fr.actor
    name = type(resource).__name__
    provider, unit = tags(resource)
    if actor.everything:
        return (provider or actor.provider), unit, None
    if actor.kind == "client":
        if actor.purpose != "care":
            raise Refused(
                "A client with this purpose may read and not write.",
                "En klient med detta ändamål får läsa men inte skriva.",
                rule="R40" if actor.purpose == "research" else "R39",
            )
        if name in COMMON or name == "Patient":
            raise Refused(
                "A client may not change the register or common data.",
                "En klient får inte ändra register eller gemensamma uppgifter.",
                rule="R2",
            )
        if provider not in (None, actor.provider):
            raise Refused(
                "The resource belongs to another care provider.",
                "Resursen tillhör en annan vårdgivare.",
                rule="R2",
            )
        return actor.provider, unit, None
    if actor.kind != "staff" or actor.assignment is None:
        raise Refused("You may not write here.", "Du får inte skriva här.", rule="R2")
    if name in COMMON or name == "Patient" or not patients:
        raise Refused(
            "Your assignment gives no right to change this.",
            "Ditt uppdrag ger inte rätt att ändra detta.",
            rule="R2",
        )
    facts = None
    for patient in patients:
        record = await opened(fr, patient)
        facts = facts or record.facts
        if not record.decision.write:
            raise Refused("You may read but not write.", "Du får läsa men inte skriva.", rule="R2")
    set_tags(resource, actor.assignment.provider, actor.assignment.unit)
    return actor.assignment.provider, actor.assignment.unit, facts


def may_store(fr: FhirRequest, row: Row, patients: list[str], letter: str) -> None:
    """Whether the token's scopes let it write this; raises `Refused`."""
    permit = permit_of(fr.actor)
    if permit is None or permit.whole(row.type, letter):
        return
    if row.index is None or not permit.lets_values(row.type, letter, patients, row.index.tokens):
        raise outside_scopes()


def may_take(fr: FhirRequest, type_name: str, letter: str) -> None:
    """Whether the token's scopes let it write orders of a type, with all that follows; raises `Refused`."""
    permit = permit_of(fr.actor)
    if permit is not None and not permit.whole(type_name, letter):
        raise outside_scopes()


def may_change(fr: FhirRequest, body: bytes, type_name: str, id: str, letter: str = "u") -> None:
    """What one care provider wrote, another does not change (PDL 3:14); raises `Refused`.

    What the token's scopes let it neither change nor read is as absent (`NotFound`).
    """
    if not lets(fr, type_name, body, letter):
        raise outside_scopes() if lets(fr, type_name, body, "r") else absent(type_name, id)
    if fr.actor.everything or type_name in COMMON or type_name == "Patient":
        return
    own = fr.actor.assignment.provider if fr.actor.assignment else fr.actor.provider
    provider, _ = tags(trusted(body, type_name))
    if own is None or provider != own:
        raise Refused(
            "The resource belongs to another care provider.",
            "Resursen tillhör en annan vårdgivare.",
            rule="R2",
        )


def tags(resource: Any) -> tuple[str | None, str | None]:
    """HSA-ids of provider and unit in the resource's tags."""
    return owner(resource)


def set_tags(resource: Any, provider: str, unit: str) -> None:
    """Puts the owner's tags on a resource, in place of any there were."""
    if resource.meta is None:
        resource.meta = Meta()
    kept = [t for t in resource.meta.tag or () if t.system not in (PROVIDER, UNIT)]
    resource.meta.tag = [
        *kept,
        Coding(system=PROVIDER, code=provider),
        Coding(system=UNIT, code=unit),
    ]


def keep_tags(fr: FhirRequest, body: bytes, resource: Any) -> None:
    """Whose a resource is and whom it was sent to stays when an update says nothing of it (R4, resource.html#tags):
    a system that sends back what it understood would else hide it from those it was sent to. `$meta-delete` takes
    tags away."""
    if fr.actor.everything:
        return
    before = trusted(body, type(resource).__name__).meta
    said = {t.system for t in (resource.meta.tag if resource.meta is not None else None) or ()}
    kept = [
        t
        for t in (before.tag if before is not None else None) or ()
        if t.system in (PROVIDER, UNIT, SHARED) and t.system not in said
    ]
    if kept:
        resource.meta = resource.meta or Meta()
        resource.meta.tag = [*(resource.meta.tag or ()), *kept]
