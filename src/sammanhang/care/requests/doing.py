"""What every verb of a care request does: opens it, asks the table, changes it and what belongs to it, tells it.

One verb is one transaction: the request, the tasks, the message and the `Provenance` that tells who did what are
stored together or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sammanhang.access.actor import Actor
from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import CodeableConcept, Coding, Communication, Provenance, Reference
from sammanhang.fhir.r4.communication import CommunicationPayload
from sammanhang.fhir.r4.provenance import ProvenanceAgent
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import PreconditionFailed, TextMissing, TextTooLong
from sammanhang.work import tasks
from sammanhang.work.commands import myself
from sammanhang.work.deadlines import Deadline, deadline, priority_of
from sammanhang.work.errors import ChangedMeanwhile
from sammanhang.work.units import Unit, Units, units_of

from . import request as fhir
from . import roles
from .errors import NoSuchRequest
from .request import Around, around
from .states import DUE, TASK_STATUS, Side, Transition, step

VERB = "http://sammanhang.se/fhir/CodeSystem/care-request-verb"
MAIN = ("care-request", "distribute")
P = ParamSpec("P")
T = TypeVar("T")


def side_of(actor: Actor, request: Any) -> Side | None:
    """Which side the person is on now, by the unit they work for; None for who only reads."""
    unit = actor.assignment.unit if actor.assignment is not None else ""
    if unit and unit == fhir.receiver_of(request) and fhir.state_of(request) != "draft":
        return "receiver"
    return "sender" if unit and unit == fhir.sender_of(request)[1] else None


@dataclass
class Doing:
    """One verb under way. `text` is what was written, checked."""

    record: Record
    found: Around
    verb: str
    side: Side
    transition: Transition
    changes: Changes
    units: Units
    now: datetime
    text: str

    @property
    def request(self) -> Any:
        return self.found.request

    @property
    def sender(self) -> tuple[str, str]:
        return fhir.sender_of(self.request)

    @property
    def receiver(self) -> Unit:
        unit = self.units.get(fhir.receiver_of(self.request))
        if unit is None:
            raise NoSuchRequest
        return unit

    @property
    def both(self) -> tuple[str, ...]:
        """The care providers of both sides: everything that belongs to the request is sent to them."""
        return (self.sender[0], self.receiver.provider)

    @property
    def reference(self) -> Reference:
        return Reference(reference=self.found.reference)

    def main(self) -> Stored | None:
        """The receiver's open task."""
        found = (self.found.task_at(self.receiver.id, kind) for kind in MAIN)
        return next((t for t in found if t is not None), None)

    def turn_main(
        self, state: str, *, renew: bool = False, take: bool = False, reason: str = ""
    ) -> None:
        """The receiver's task follows the state; `renew` gives it the deadline of its next step."""
        stored = self.main()
        if stored is None:
            return
        task = stored.resource
        task.status = TASK_STATUS[state]
        task.businessStatus = fhir.business(state)
        if reason:
            task.statusReason = CodeableConcept(text=reason)
        if renew and state in DUE:
            tasks.set_deadline(task, self.due(DUE[state], self.receiver))
        if take and tasks.taken_by(task) is None:
            tasks.set_taken_by(task, myself(self.record.actor))
        tasks.set_act(task, self.verb, myself(self.record.actor), self.now, reason)
        self.changes.update(stored, task)

    def make(self, kind: str, at: Unit, function: str, *, to: Reference | None = None, focus: Reference | None = None,
             due: Deadline | None = None, description: str = "", based_on: bool = False) -> Reference:  # fmt: skip
        """Work at a unit of either side, made in the same transaction."""
        task = tasks.new_task(
            kind, patient=self.record.patient_id, owner=at.id, owner_name=at.name, function=function,
            focus=focus or self.reference, deadline=due or self.due(kind, at), priority=priority_of(self.request),
            requester=myself(self.record.actor), at=self.now, description=description or self.about(),
            based_on=[self.reference] if based_on else (),
            business=fhir.business(fhir.state_of(self.request)) if kind in MAIN else None,
        )  # fmt: skip
        if kind == "read":
            task.reasonCode = fhir.business(self.transition.after)
        tasks.set_taken_by(task, to)
        tasks.set_act(task, "create", myself(self.record.actor), self.now)
        return self.changes.create(task, owner=(at.provider, at.id), sent_to=self.both)

    def make_for_sender(self, kind: str) -> None:
        """Work for who sent it: a colleague at the unit when they are away."""
        unit = self.units.living(self.sender[1])
        if unit is not None:
            self.make(kind, unit, "avsandare", to=self.request.requester)

    def finish(self, kind: str, unit: str) -> None:
        """The open task of a kind at a unit is done by what is done here."""
        stored = self.found.task_at(unit, kind)
        if stored is not None:
            task = stored.resource
            task.status = "completed"
            tasks.set_act(task, self.verb, myself(self.record.actor), self.now)
            self.changes.update(stored, task)

    def due(self, kind: str, at: Unit) -> Deadline:
        return deadline(kind, priority_of(self.request), self.now, at.calendar)

    def about(self) -> str:
        """The request in a line, for lists."""
        kind = (
            content("routing/requests")["kinds"].get(fhir.kind_of(self.request), {}).get("sv", "")
        )
        words = " ".join(
            fhir.question_of(self.request).split() or fhir.reason_of(self.request).split()
        )
        return f"Vårdbegäran, {kind.lower()}: {words[:120]}".rstrip(": ")

    def say(self, text: str) -> None:
        """A message of the conversation, to the other side."""
        to = self.receiver.id if self.side == "sender" else self.sender[1]
        self.changes.create(
            Communication(
                status="completed",
                basedOn=[self.reference],
                subject=Reference(reference=f"Patient/{self.record.patient_id}"),
                sent=tasks.instant(self.now, precise=True),
                sender=myself(self.record.actor),
                recipient=[Reference(reference=f"Organization/{to}", display=self.units.name(to))],
                payload=[CommunicationPayload(contentString=text)],
                priority=priority_of(self.request),
            ),
            sent_to=self.both,
        )

    def tell(self, reason: str = "", more: str = "") -> None:
        """The event: who did what on whose behalf, when and why."""
        a = self.record.actor.assignment
        unit = (
            Reference(reference=f"Organization/{a.unit}", display=a.unit_name)
            if a is not None
            else None
        )
        said = CodeableConcept(coding=[Coding(system=VERB, code=self.verb)], text=more or None)
        self.changes.create(
            Provenance(
                target=[self.reference, Reference(reference=f"Patient/{self.record.patient_id}")],
                recorded=tasks.instant(self.now, precise=True),
                activity=said,
                reason=[CodeableConcept(text=reason)] if reason else None,
                agent=[ProvenanceAgent(who=myself(self.record.actor), onBehalfOf=unit)],
            ),
            sent_to=self.both,
        )

    def move(self, state: str) -> None:
        """The request goes on to a state. What it is sent to stays both sides."""
        fhir.set_state(self.request, state)
        self.changes.update(self.found.stored, self.request, sent_to=self.both)

    async def done(self, **told: Any) -> None:
        """Stores it all; `told` goes into the trace. Raises `PreconditionFailed` when somebody was there before."""
        await self.changes.commit(f"request-{self.verb}", verb=self.verb, **told)


async def begin(record: Record, id: str, verb: str, text: str = "") -> Doing:
    """Opens a request for a verb: who, in which state, with what is written. Nothing is stored yet.

    Raises `NoSuchRequest`, `NotNow`, `TextMissing`, `TextTooLong`, `ReadsOnly`.
    """
    found = await around(record, id)
    side = side_of(record.actor, found.request)
    if side is None:
        raise NoSuchRequest
    transition = step(verb, fhir.state_of(found.request), side)
    roles.check(record.actor, verb)
    written = text.strip()
    if transition.text and not written:
        raise TextMissing
    if len(written) > fhir.MOST_TEXT:
        raise TextTooLong(fhir.MOST_TEXT)
    units = await units_of(record.doors.database)
    return Doing(
        record, found, verb, side, transition, Changes.by(record), units, clock.now(), written
    )


def again_once(act: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """A deadline's step may come between reading and storing: then once more. Raises `ChangedMeanwhile` when it
    was not only that."""

    @wraps(act)
    async def twice(*args: P.args, **more: P.kwargs) -> T:
        try:
            return await act(*args, **more)
        except PreconditionFailed:
            pass
        try:
            return await act(*args, **more)
        except PreconditionFailed:
            raise ChangedMeanwhile from None

    return twice
