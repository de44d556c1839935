"""The door: `open_record(actor, patient, purpose)` is the only way to a patient's data.

The law is evaluated once, the decision becomes a scope that every query carries (as SQL predicates
and as row-level security), and the opening is in the trace before anything is shown. A record handed
out can only see what the decision allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import coded, self_hash, slot
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.owner import SHARED
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING, Database, Scope
from sammanhang.store.types import NAME, NUMBER, table

from .actor import Actor
from .assurance import record_level
from .audit import AuditLog, Entry, stamp
from .facts import CONSENT_KIND, facts_of, in_force, names_unit
from .rules import DISCLOSURE, NO_PATIENT, Decision, Facts, decide, r1

_CONSENT_CATEGORY = slot("Consent.category", "token")
_TAG = slot("Resource.meta.tag", "token")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored version: type, id, version, when, who owns it, and its bytes."""

    type: str
    id: str
    version: int
    updated: datetime
    provider: int | None
    unit: int | None
    body: bytes

    @property
    def resource(self) -> Any:
        """The decoded resource."""
        return trusted(self.body, self.type)


async def find_one(
    database: Database, scope: Scope, wall: tuple[str, list[Any]], type_name: str, id: str
) -> Stored | None:
    """One resource by id, within a wall for the alias `r`; None when it is not there, or not to be seen. One query."""
    where, args = wall
    sql = (
        f"SELECT r.type, r.id, r.version, r.updated, r.provider, r.unit, r.body FROM {table(type_name)} r"
        f" WHERE r.self = %s AND r.type = %s AND r.id = %s AND {where}"
    )
    async with database.reading(scope) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(
            sql, [self_hash(type_name, id), NUMBER[type_name], id, *args]
        )
        row = await cursor.fetchone()
    return Stored(NAME[row[0]], *row[1:]) if row is not None else None


@dataclass
class Record:
    """A patient's data as this actor may see it. Made only by `Doors.open_record`."""

    doors: Doors
    actor: Actor
    patient_id: str
    patient: Any
    decision: Decision
    facts: Facts
    scope: Scope
    purpose: str | None
    request: str | None = None
    names: dict[int, str] = field(default_factory=dict)
    traced: Awaitable[None] | None = None

    @property
    def patient_self(self) -> int:
        return self_hash("Patient", self.patient_id)

    def wall(self, alias: str, *, tokens: bool = True) -> tuple[str, list[Any]]:
        """The wall of a query in the record; `tokens` as in `predicate`."""
        return predicate(self.scope, alias, tokens=tokens)

    async def resources(
        self,
        *types: str,
        limit: int = 2000,
        before: datetime | None = None,
        tokens: Sequence[Sequence[int]] = (),
    ) -> list[Stored]:
        """Rows of the record of these types, newest first; one query.

        `tokens` is an AND of ORs of search tokens (see `fhir.indexing`). No trace of its own: opening
        the record left one.
        """
        where, args = predicate(self.scope, "r")
        tables = {table(t) for t in types}
        source = tables.pop() if len(tables) == 1 else "store.resource"
        sql = (
            f"SELECT r.type, r.id, r.version, r.updated, r.provider, r.unit, r.body FROM {source} r"
            f" WHERE r.patient = %s AND r.type = ANY(%s::smallint[]) AND {where}"
        )
        values: list[Any] = [self.patient_self, numbers(NUMBER[t] for t in types), *args]
        for any_of in tokens:
            sql += " AND (r.tokens || '{}'::bigint[]) && %s::bigint[]"
            values.append(numbers(any_of))
        if before is not None:
            sql += " AND r.occurred < %s"
            values.append(before)
        sql += " ORDER BY r.occurred DESC NULLS LAST, r.self LIMIT %s"
        values.append(limit)
        async with self.doors.database.reading(self.scope) as connection:
            self.doors.database.queries += 1
            cursor = await connection.quick.execute(sql, values)
            rows = await cursor.fetchall()
        return [Stored(NAME[r[0]], *r[1:]) for r in rows]

    async def find(self, type_name: str, id: str) -> Stored | None:
        """One resource of the record by id; None when it is not there, or not to be seen. One query."""
        where, args = self.wall("r")
        inside = (f"r.patient = %s AND {where}", [self.patient_self, *args])
        return await find_one(self.doors.database, self.scope, inside, type_name, id)

    async def chosen(self, references: Sequence[str]) -> list[Stored]:
        """Those of some resources (`Type/id`) that are in this record and may be seen, in no order. One query."""
        where, args = predicate(self.scope, "r")
        sql = (
            "SELECT r.type, r.id, r.version, r.updated, r.provider, r.unit, r.body FROM store.resource r"
            f" WHERE r.self = ANY(%s::bigint[]) AND r.patient = %s AND {where}"
        )
        selves = numbers(self_hash(*reference.split("/", 1)) for reference in references)
        async with self.doors.database.reading(self.scope) as connection:
            self.doors.database.queries += 1
            cursor = await connection.quick.execute(sql, [selves, self.patient_self, *args])
            rows = await cursor.fetchall()
        found = [Stored(NAME[r[0]], *r[1:]) for r in rows]
        return [s for s in found if f"{s.type}/{s.id}" in references]

    async def party_name(self, number: int | None) -> str | None:
        """The HSA-id of a row's provider or unit."""
        return await self.doors.database.party_name(number)


def shared_with(*providers: str) -> tuple[int, ...]:
    """The search tokens of what has been sent to these care providers (R41)."""
    return tuple(coded(SHARED, p)[1] ^ _TAG for p in sorted(providers))


def predicate(scope: Scope, alias: str, *, tokens: bool = True) -> tuple[str, list[Any]]:
    """The first wall: the scope as an SQL condition on a resource row, with its arguments.

    Row-level security says the same again (store/migrations/0001, 0013); the matrix test holds them equal.
    `tokens` False is for rows without search values, events and old versions: those that were sent to
    somebody are not seen by them, for they may be of before it was sent.
    """
    if scope.everything:
        return "true", []
    a = alias
    people = f"{a}.type = {NUMBER['Patient']}"
    parts = [f"({a}.patient IS NULL AND ({a}.provider IS NULL OR {a}.provider = ANY(%s::int[])))"]
    args: list[Any] = [numbers(scope.providers)]
    if scope.excluded:
        people += f" AND ({a}.self = ANY(%s::bigint[])) IS NOT TRUE"
    if scope.register or scope.patients != "*":
        args += [numbers(scope.excluded)] if scope.excluded else []
    if scope.register:
        parts.append(f"({people})")
    elif scope.patients != "*":
        parts.append(f"({people} AND {a}.self = ANY(%s::bigint[]))")
        args.append(numbers(scope.patients))  # type: ignore[arg-type]
    own = [f"{a}.provider = ANY(%s::int[])"]
    args.append(numbers(scope.providers))
    if scope.patients != "*":
        own.append(f"({a}.patient = ANY(%s::bigint[]) OR {a}.also && %s::bigint[])")
        args += [numbers(scope.patients)] * 2  # type: ignore[arg-type]
    if scope.hidden_units:
        own.append(f"({a}.unit = ANY(%s::int[])) IS NOT TRUE")
        args.append(numbers(scope.hidden_units))
    if scope.hidden_labels:
        own.append(f"({a}.labels && %s::bigint[]) IS NOT TRUE")
        args.append(numbers(scope.hidden_labels))
    if scope.excluded:
        own += [
            f"({a}.patient = ANY(%s::bigint[])) IS NOT TRUE",
            f"({a}.also && %s::bigint[]) IS NOT TRUE",
        ]
        args += [numbers(scope.excluded)] * 2
    parts.append("(" + " AND ".join(own) + ")")
    if scope.shared and tokens:
        # as what is one's own, but for the owner, and the inner blocks of its units
        sent = [part for part in own[1:] if f"{a}.unit" not in part]
        parts.append("(" + " AND ".join([f"{a}.tokens && %s::bigint[]", *sent]) + ")")
        args.append(numbers(scope.shared))
        if scope.patients != "*":
            args += [numbers(scope.patients)] * 2  # type: ignore[arg-type]
        args += [numbers(scope.hidden_labels)] if scope.hidden_labels else []
        args += [numbers(scope.excluded)] * 2 if scope.excluded else []
    return "(" + " OR ".join(parts) + ")", args


@dataclass
class Doors:
    """Opens records and registers; one per process."""

    database: Database
    audit: AuditLog

    def entry(self, actor: Actor, action: str, **more: Any) -> Entry:
        """An audit entry with who, where and through which app filled in."""
        a = actor.assignment
        if actor.app is not None:
            more["details"] = {**(more.get("details") or {}), "app": actor.app.id}
        return Entry(
            at=stamp(datetime.now(UTC)),
            actor=actor.id,
            action=action,
            assignment=a.id if a else None,
            unit=a.unit if a else None,
            provider=a.provider if a else actor.provider,
            **more,
        )

    async def facts(self, actor: Actor, patient_id: str) -> tuple[Facts, Any]:
        """What the law needs to know, and the Patient (None when there is none); one query."""
        a = actor.assignment
        unit = await self.database.party(a.unit) if a else None
        self.database.queries += 1
        return await facts_of(self.database, actor, patient_id, unit)

    async def open_record(
        self,
        actor: Actor,
        patient_id: str,
        purpose: str | None = None,
        *,
        request: str | None = None,
        durable: bool = True,
    ) -> Record:
        """The record of a patient as this actor may see it; the opening is durable in the trace.

        `durable` False leaves it to the caller to await `Record.traced` before anything leaves the server.
        Raises `Refused` with the rule when the law says no. An absent patient is refused in the same
        words as one the actor has no relation with.
        """
        facts, person = await self.facts(actor, patient_id)
        decision = decide(actor, facts)
        if decision.effect == "deny" or person is None:
            if decision.effect == "permit":
                decision = decide_absent(actor)
            await self.audit.record(
                self.entry(
                    actor,
                    "refuse",
                    patient=patient_id,
                    rule=decision.rule,
                    purpose=purpose,
                    what=f"Patient/{patient_id}",
                    outcome="refused",
                    request=request,
                )
            )
            raise RecordRefused(decision, patient_id)
        scope = await self.scope_of(
            decision,
            (self_hash("Patient", patient_id),),
            register=actor.kind != "resident",  # the register is for those who work in care
        )
        traced = self.audit.record(
            self.entry(
                actor,
                "open",
                patient=patient_id,
                rule=decision.rule,
                purpose=purpose or facts.declared,
                what=f"Patient/{patient_id}",
                request=request,
            )
        )
        if durable:
            await traced
        return Record(
            self, actor, patient_id, person, decision, facts, scope, purpose, request, traced=traced
        )

    async def scope_of(
        self, decision: Decision, patients: tuple[int, ...] | str, *, register: bool = True
    ) -> Scope:
        """A decision as the scope the store understands."""
        if decision.everything:
            return EVERYTHING
        providers = [await self.database.party(p) for p in sorted(decision.owners)]
        units = [await self.database.party(u) for u in sorted(decision.hidden_units)]
        return Scope(
            register=register,
            patients=patients,
            providers=tuple(p for p in providers if p is not None),
            hidden_units=tuple(u for u in units if u is not None),
            hidden_labels=tuple(coded(DISCLOSURE, c)[1] for c in sorted(decision.hidden_labels)),
            shared=shared_with(*decision.shared),
        )

    async def search_scope(self, actor: Actor) -> Scope:
        """What an actor may search without naming a patient: the register, common data, and the
        records of the patients in their unit's care."""
        if actor.everything:
            return EVERYTHING
        if actor.kind == "resident":
            record = await self.open_record(actor, actor.id.removeprefix("Patient/"))
            return record.scope
        if actor.kind == "client":
            refused = decide_without_patient(actor)
            if refused is not None:
                raise RecordRefused(refused, None)
            assert actor.provider is not None
            number = await self.database.party(actor.provider)
            return Scope(
                register=True,
                patients="*",
                providers=(number,) if number else (),
                excluded=await self.left_out(actor),
                shared=shared_with(actor.provider) if actor.purpose == "care" else (),
            )
        refused = decide_without_patient(actor)
        if refused is not None:
            raise RecordRefused(refused, None)
        assert actor.assignment is not None
        number = await self.database.party(actor.assignment.provider)
        return Scope(register=True, patients=(), providers=(number,) if number else ())

    async def statistics_scope(self, actor: Actor) -> Scope:
        """R38: all data of the care provider whose statistics the actor works with, for counting only.

        Raises `Refused` below the level of assurance (R1).
        """
        refused = r1(actor, Facts(exists=True))
        if refused is not None:
            raise RecordRefused(refused, None)
        assert actor.assignment is not None
        number = await self.database.party(actor.assignment.provider)
        return Scope(patients="*", providers=(number,) if number else ())

    async def left_out(self, actor: Actor) -> tuple[int, ...]:
        """R39: `self` of the patients who have said no to the purpose an API client has (PDL 7:2)."""
        kind = content("rules/secondary_use")["purposes"].get(actor.purpose, {}).get("left_out_by")
        if kind is None:
            return ()
        said_no = coded(CONSENT_KIND, kind)[1] ^ _CONSENT_CATEGORY
        async with self.database.reading(EVERYTHING) as connection:
            self.database.queries += 1
            rows = await connection.fetch(
                "SELECT patient, body FROM store.other WHERE type = %s AND tokens @> %s::bigint[]",
                (NUMBER["Consent"], numbers([said_no])),
            )
        now = datetime.now(UTC)
        return tuple(sorted({p for p, body in rows if in_force(trusted(body, "Consent"), now)}))

    async def patients_of_unit(self, actor: Actor, limit: int = 500) -> list[int]:
        """`self` of the patients in the care of the actor's unit now."""
        if actor.assignment is None:
            return []
        unit = await self.database.party(actor.assignment.unit)
        async with self.database.reading(EVERYTHING) as connection:
            self.database.queries += 1
            cursor = await connection.quick.execute(
                "SELECT patient FROM store.resource WHERE unit = %s AND care_until > now() AND patient IS NOT NULL"
                " UNION SELECT patient FROM store.resource WHERE tokens && %s::bigint[] AND care_until > now()"
                " AND patient IS NOT NULL LIMIT %s",
                (unit, numbers(names_unit(actor.assignment.unit)), limit),
            )
            return [r[0] for r in await cursor.fetchall()]

    async def names(self, ids: Sequence[str]) -> dict[str, str]:
        """Names of organisations by HSA-id; the id itself of one that is not there."""
        async with self.database.reading(Scope()) as connection:
            self.database.queries += 1
            rows = await connection.fetch(
                "SELECT id, body FROM store.other WHERE type = %s AND self = ANY(%s::bigint[])",
                (NUMBER["Organization"], numbers(self_hash("Organization", id) for id in ids)),
            )
        found = {id: trusted(body, "Organization").name for id, body in rows}
        return {id: found.get(id) or id for id in ids}

    async def declare(self, actor: Actor, patient_id: str, reason: str) -> None:
        """R3: the actor says why they need the record; in force for the hours the content says.

        Raises `Refused` for a reason that is not among the content's.
        """
        rules = content("rules/reasons")
        if actor.assignment is None or actor.loa < record_level(actor):
            raise Refused("An assignment is needed.", "Ett uppdrag behövs.", rule="R1")
        if reason not in rules["reasons"]:
            raise Refused("That reason is not known.", "Det skälet finns inte.", rule="R3")
        until = datetime.now(UTC) + timedelta(hours=rules["hours"])
        await self.audit.record(
            self.entry(actor, "declare", patient=patient_id, rule="R3", purpose=reason)
        )
        async with self.database.writing() as connection:
            await connection.execute(
                "INSERT INTO access.declared (actor, assignment, patient, reason, until)"
                " VALUES (%s, %s, %s, %s, %s)",
                (actor.id, actor.assignment.id, self_hash("Patient", patient_id), reason, until),
            )


class RecordRefused(Refused):
    """The law refuses this record; carries the decision, so that the page can show the way forward."""

    def __init__(self, decision: Decision, patient_id: str | None) -> None:
        super().__init__(decision.en, decision.sv, rule=decision.rule)
        self.decision = decision
        self.patient_id = patient_id


def decide_absent(actor: Actor) -> Decision:
    """The refusal for a patient who is not there: the one a stranger's record would give."""
    if actor.everything:
        return Decision("deny", "ABSENT", *NO_PATIENT)
    if actor.kind == "client":
        return Decision("deny", "R2", *NO_PATIENT)
    return decide(
        Actor(actor.kind, actor.id, actor.name, actor.loa, actor.assignment), Facts(exists=False)
    )


def decide_without_patient(actor: Actor) -> Decision | None:
    """The refusal that stands whoever the patient is (R1, role), or None."""
    decision = decide(actor, Facts(exists=True, relation=True))
    return decision if decision.effect == "deny" else None


async def together(*work: Any) -> list[Any]:
    """Awaits several queries at once, each on a connection of its own."""
    return list(await asyncio.gather(*work))


def need_actor(actor: Actor | None) -> Actor:
    """The actor, or `Unauthenticated`."""
    if actor is None:
        raise Unauthenticated("Log in first.", "Logga in först.")
    return actor
