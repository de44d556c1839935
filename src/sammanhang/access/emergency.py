"""Emergency access in two steps, and the lifting of blocks (R5, R6, R9, R10, R11).

First step: danger and that consent cannot be had are declared, with a reason; then, and only then, is it told
who has data (SVOD 3:6), which units blocked them (PDL 4:5), which care providers blocked them (SVOD 3:5).
Second step: what is indispensable is opened, party by party, until the time runs out or it is ended. Another
care provider's block is never broken: its owner is asked, and may lift it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Refused
from sammanhang.store.database import NOTHING

from .actor import Actor
from .assurance import record_level
from .door import Doors
from .rules import decide
from .said import said_of


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency in force: when it was declared and ends, why, and what has been opened."""

    id: str
    declared: datetime
    until: datetime
    danger: str
    unable: str
    said: str
    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiftRequest:
    """A care provider asked to lift its block, by whom and why."""

    id: str
    patient: str
    party: str
    for_party: str
    unit: str
    actor: str
    said: str
    asked: datetime
    answer: str | None = None


async def _may_declare(doors: Doors, actor: Actor, patient: str) -> Any:
    """The facts, when the actor may declare an emergency in this record; raises `Refused`."""
    facts, person = await doors.facts(actor, patient)
    decision = decide(actor, facts)
    if decision.effect == "deny" or person is None:
        raise Refused(
            "Only who takes part in the patient's care may declare an emergency.",
            "Bara den som deltar i vården av patienten kan göra en nödöppning.",
            rule=decision.rule if decision.effect == "deny" else "R7",
        )
    if not {"may-declare", "emergency"} & decision.obligations and not facts.danger:
        raise Refused(
            "There is nothing hidden here that an emergency could open.",
            "Det finns inget dolt här som en nödöppning kan visa.",
            rule="R9",
        )
    return facts


async def declare(
    doors: Doors, actor: Actor, patient: str, *, danger: str, unable: str, said: str
) -> None:
    """First step: danger, why consent cannot be had, and the reason. Raises `Invalid`, `Refused`."""
    rules = content("rules/emergency")
    if danger not in rules["dangers"] or unable not in rules["unable"]:
        raise Invalid(
            "Choose a danger and a ground.", "Välj fara och varför patienten inte kan tillfrågas."
        )
    reason = said_of(said)
    await _may_declare(doors, actor, patient)
    assert actor.assignment is not None
    await doors.audit.record(
        doors.entry(
            actor, "emergency", patient=patient, rule="R9", purpose=f"{danger}, {unable}",
            details={"step": 1, "said": reason},
        )
    )  # fmt: skip
    a = actor.assignment
    async with doors.database.writing() as connection:
        await connection.fetch(
            "INSERT INTO access.emergency (actor, assignment, unit, provider, patient, patient_id, danger, unable,"
            " said, until) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                actor.id, a.id, a.unit, a.provider, self_hash("Patient", patient), patient, danger, unable, reason,
                datetime.now(UTC) + timedelta(hours=rules["hours"]),
            ),
        )  # fmt: skip


async def in_force(doors: Doors, actor: Actor, patient: str) -> Emergency | None:
    """The actor's emergency in this record, the latest; None when there is none."""
    if actor.assignment is None:
        return None
    async with doors.database.reading(NOTHING) as connection:
        rows = await connection.fetch(
            "SELECT id::text, declared, until, danger, unable, said, array_to_string(parties, ',')"
            " FROM access.emergency WHERE patient = %s AND actor = %s AND assignment = %s AND until > now()"
            " AND ended IS NULL ORDER BY declared DESC LIMIT 1",
            (self_hash("Patient", patient), actor.id, actor.assignment.id),
        )
    if not rows:
        return None
    id, declared, until, danger, unable, said, parties = rows[0]
    opened = tuple(p for p in parties.split(",") if p)
    return Emergency(id, declared, until, danger, unable, said, opened)


async def open_parties(doors: Doors, actor: Actor, patient: str, parties: list[str]) -> None:
    """Second step: opens what is indispensable. Raises `Refused` without the first step, and for a care
    provider with a block: that is for its owner to lift."""
    now = await in_force(doors, actor, patient)
    if now is None:
        raise Refused(
            "Declare the danger first.", "Ange först faran och varför patienten inte kan tillfrågas.", rule="R6",
        )  # fmt: skip
    facts, _ = await doors.facts(actor, patient)
    decision = decide(actor, facts)
    offered = {
        p for h in decision.hidden if h.kind in ("no-consent", "inner-block") for p in h.parties
    }
    wanted = sorted(set(parties))
    if not wanted:
        raise Invalid("Choose whose data are needed.", "Välj vems uppgifter som behövs.")
    if beyond := set(wanted) - offered - set(now.parties):
        blocked = {p for h in decision.hidden if h.kind == "outer-block" for p in h.parties}
        raise Refused(
            "A care provider's block is lifted by that provider only.",
            "En vårdgivares spärr kan bara hävas av den vårdgivaren.",
            rule="R10" if beyond & blocked else "R9",
        )
    own_units = {u for p, u in facts.sources if actor.assignment and p == actor.assignment.provider}
    await doors.audit.record(
        doors.entry(
            actor, "emergency", patient=patient, rule="R6" if set(wanted) & own_units else "R9",
            purpose=f"{now.danger}, {now.unable}", details={"step": 2, "opened": wanted, "said": now.said},
        )
    )  # fmt: skip
    async with doors.database.writing() as connection:
        await connection.fetch(
            "UPDATE access.emergency SET opened = coalesce(opened, now()),"
            " parties = ARRAY(SELECT DISTINCT unnest(parties || %s::text[])) WHERE id = %s::uuid",
            (wanted, now.id),
        )


async def end(doors: Doors, actor: Actor, patient: str) -> None:
    """Ends the actor's emergencies in this record before their time."""
    if actor.assignment is None:
        return
    await doors.audit.record(doors.entry(actor, "emergency-end", patient=patient, rule="R9"))
    async with doors.database.writing() as connection:
        await connection.fetch(
            "UPDATE access.emergency SET ended = now() WHERE patient = %s AND actor = %s AND assignment = %s"
            " AND ended IS NULL AND until > now()",
            (self_hash("Patient", patient), actor.id, actor.assignment.id),
        )


async def ask_owner(doors: Doors, actor: Actor, patient: str, party: str, said: str) -> None:
    """R10: asks the care provider that has blocked data to lift its block for the actor's provider.

    Raises `Refused` without a declared danger, and for a provider without a block.
    """
    reason = said_of(said)
    facts, _ = await doors.facts(actor, patient)
    decision = decide(actor, facts)
    blocked = {p for h in decision.hidden if h.kind == "outer-block" for p in h.parties}
    if actor.assignment is None or party not in blocked:
        raise Refused(
            "Declare the danger first; then the owner of blocked data may be asked.",
            "Ange först faran; därefter kan den som har spärrade uppgifter tillfrågas.",
            rule="R10",
        )
    await doors.audit.record(
        doors.entry(
            actor,
            "lift-request",
            patient=patient,
            rule="R10",
            details={"asked": party, "said": reason},
        )
    )
    a = actor.assignment
    async with doors.database.writing() as connection:
        await connection.fetch(
            "INSERT INTO access.lift_request (patient, patient_id, party, for_party, unit, actor, said)"
            " SELECT %s::bigint, %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (SELECT FROM access.lift_request"
            " WHERE patient = %s AND party = %s AND for_party = %s AND answered IS NULL)",
            (
                self_hash("Patient", patient), patient, party, a.provider, a.unit, actor.id, reason,
                self_hash("Patient", patient), party, a.provider,
            ),
        )  # fmt: skip


async def asked_already(doors: Doors, actor: Actor, patient: str) -> frozenset[str]:
    """Care providers that have been asked for the actor's provider and have not answered."""
    if actor.assignment is None:
        return frozenset()
    async with doors.database.reading(NOTHING) as connection:
        rows = await connection.fetch(
            "SELECT party FROM access.lift_request WHERE patient = %s AND for_party = %s AND answered IS NULL",
            (self_hash("Patient", patient), actor.assignment.provider),
        )
    return frozenset(r[0] for r in rows)


def _officer(actor: Actor) -> bool:
    """R5, R11: whether the actor's role may lift blocks for its care provider (content/rules/roles)."""
    if actor.kind != "staff" or actor.loa < record_level(actor) or actor.assignment is None:
        return False
    role = content("rules/roles")["roles"].get(actor.assignment.role)
    return bool(role and role.get("lifts_blocks"))


def _need_officer(actor: Actor, rule: str) -> None:
    if not _officer(actor):
        raise Refused(
            "Only a competent officer may lift a block.",
            "Bara en behörig befattningshavare kan häva en spärr.",
            rule=rule,
        )


async def requests(doors: Doors, actor: Actor) -> list[LiftRequest]:
    """R11: what the actor's care provider has been asked and not answered, oldest first."""
    _need_officer(actor, "R11")
    assert actor.assignment is not None
    async with doors.database.reading(NOTHING) as connection:
        rows = await connection.fetch(
            "SELECT id::text, patient_id, party, for_party, unit, actor, said, asked, answer"
            " FROM access.lift_request WHERE party = %s AND answered IS NULL ORDER BY asked LIMIT 200",
            (actor.assignment.provider,),
        )
    return [LiftRequest(*row) for row in rows]


async def answer(doors: Doors, actor: Actor, id: str, *, lift: bool, said: str) -> None:
    """R11: the owner lifts its block for the provider that asked, until the time runs out, or declines.

    Raises `Refused` for others than the owner's officer, and for what is answered already.
    """
    _need_officer(actor, "R11")
    assert actor.assignment is not None
    reason = said_of(said)
    found = next((r for r in await requests(doors, actor) if r.id == id), None)
    if found is None:
        raise Refused("There is no such request.", "Begäran finns inte.", rule="R11")
    await doors.audit.record(
        doors.entry(
            actor, "lift" if lift else "lift-declined", patient=found.patient, rule="R11",
            details={"for": found.for_party, "said": reason},
        )
    )  # fmt: skip
    until = datetime.now(UTC) + timedelta(hours=content("rules/emergency")["hours"])
    async with doors.database.writing() as connection, connection.transaction():
        done = await connection.fetch(
            "UPDATE access.lift_request SET answered = now(), answer = %s, answered_by = %s"
            " WHERE id = %s::uuid AND answered IS NULL RETURNING 1",
            ("lifted" if lift else "declined", actor.id, id),
        )
        if done and lift:
            await _lift(
                connection, found.patient, found.party, found.for_party, "R11", actor, reason, until
            )


async def inner_blocks(doors: Doors, actor: Actor, patient: str) -> tuple[list[str], list[str]]:
    """R5: (units of the officer's care provider with an inner block, its units that have to do with the
    patient), in order. Raises `Refused` for others than a competent officer."""
    _need_officer(actor, "R5")
    assert actor.assignment is not None
    facts, _ = await doors.facts(actor, patient)
    units = {u for p, u in facts.sources if p == actor.assignment.provider and u}
    blocked = {b.party for b in facts.blocks if b.kind == "inner"} & units
    return sorted(blocked), sorted(units | {actor.assignment.unit})


async def lift_inner(
    doors: Doors, actor: Actor, patient: str, unit: str, for_unit: str, *, hours: int, said: str
) -> None:
    """R5: a competent officer lifts the inner block of a unit of their care provider for another of its
    units, with the patient's consent. Raises `Refused`, `Invalid`."""
    _need_officer(actor, "R5")
    assert actor.assignment is not None
    reason = said_of(said)
    facts, person = await doors.facts(actor, patient)
    mine = {u for p, u in facts.sources if p == actor.assignment.provider}
    blocked = {b.party for b in facts.blocks if b.kind == "inner"}
    if person is None or unit not in mine & blocked:
        raise Refused("There is no such block.", "Det finns ingen sådan spärr.", rule="R5")
    longest = content("rules/emergency")["longest_lift_hours"]
    if not 1 <= hours <= longest:
        raise Invalid(f"Between 1 and {longest} hours.", f"Mellan 1 och {longest} timmar.")
    await doors.audit.record(
        doors.entry(
            actor, "lift", patient=patient, rule="R5",
            details={"unit": unit, "for": for_unit, "said": reason},
        )
    )  # fmt: skip
    until = datetime.now(UTC) + timedelta(hours=hours)
    async with doors.database.writing() as connection:
        await _lift(connection, patient, unit, for_unit, "R5", actor, reason, until)


async def _lift(
    connection: Any, patient: str, party: str, for_party: str, rule: str, actor: Actor, said: str, until: datetime
) -> None:  # fmt: skip
    await connection.fetch(
        "INSERT INTO access.lift (patient, party, for_party, rule, granted_by, said, until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (self_hash("Patient", patient), party, for_party, rule, actor.id, said, until),
    )
