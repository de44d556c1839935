"""What is in no patient's record: work about a refrigerator, an order about a device.

`Doors.open_record` stays the only way to a patient's data: nothing that is opened here reaches a row with a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.store.database import Scope

from .actor import Actor
from .door import Doors, Record, RecordRefused, Stored, find_one, predicate, shared_with
from .rules import Decision, Facts, decide


@dataclass(frozen=True, slots=True)
class WithoutPatient:
    """What no patient's record holds, as this actor may see it. Made only by `open_without_patient`."""

    doors: Doors
    actor: Actor
    decision: Decision
    facts: Facts
    scope: Scope
    request: str | None = None

    @property
    def patient_id(self) -> str:
        """Empty, where a record has its patient."""
        return ""

    def wall(self, alias: str, *, tokens: bool = True) -> tuple[str, list[Any]]:
        """The wall of a query here: a row, or an old version, that has a patient is never seen."""
        where, args = predicate(self.scope, alias, tokens=tokens)
        return f"({alias}.patient IS NULL AND {where})", args

    async def find(self, type_name: str, id: str) -> Stored | None:
        """One resource by id; None when it is not there, has a patient, or is not to be seen. One query."""
        return await find_one(self.doors.database, self.scope, self.wall("r"), type_name, id)


Opened = Record | WithoutPatient
"""What may be read and written in: a patient's record, or what is in none."""


async def open_without_patient(
    doors: Doors, actor: Actor, what: str, *, request: str | None = None
) -> WithoutPatient:
    """The own care provider's, what was sent to it (R41) and what nobody owns, of what has no patient.

    `what` is the resource it is opened for (`Task/x`), which the caller knows to be the actor's unit's; the opening is
    durable in the trace. Raises `RecordRefused` for whoever may open no record (R1, role, M24).
    """
    facts = Facts(exists=True, relation=True)
    decision = decide(actor, facts)
    a = actor.assignment
    if decision.effect == "deny" or a is None:
        await doors.audit.record(doors.entry(actor, "refuse", rule=decision.rule, what=what, outcome="refused", request=request))  # fmt: skip
        raise RecordRefused(decision, None)
    number = await doors.database.party(a.provider)
    scope = Scope(
        patients="*", providers=(number,) if number else (), shared=shared_with(a.provider)
    )
    await doors.audit.record(doors.entry(actor, "read", rule=decision.rule, what=what, request=request))  # fmt: skip
    return WithoutPatient(doors, actor, decision, facts, scope, request)
