"""Care requests over FHIR: what another system writes becomes the verb it means, with all that follows from it.

| Written | is |
|---|---|
| a new `ServiceRequest` (category `vardbegaran`, status `active`) | `send`; with status `draft` a draft |
| `ServiceRequest.status` `revoked` before it is accepted | `withdraw`, the reason in `note` |
| `ServiceRequest.status` `completed` when it is answered | `close` |
| the receiver's `Task`: `businessStatus` (or `status`) of another state | the verb that leads there: `STATE_VERB` |
| a new `Task.note` and nothing else | a message to the other side |
| the sender's `Task` of kind `question`, completed with a note | `reply` |

The reason of a rejection is in `Task.statusReason`, what is asked or answered in the newest `Task.note`, a planned visit
in `Task.executionPeriod.start`. The unit in whose name a system acts is the owner of the Task, or the tag
`care-unit` of the ServiceRequest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.door import Doors, Record
from sammanhang.access.writing import owner_of
from sammanhang.fhir.dates import bounds
from sammanhang.fhir.decode import encode
from sammanhang.kernel.errors import Issue, Unprocessable
from sammanhang.kernel.owner import UNIT
from sammanhang.work import orders, tasks
from sammanhang.work.deadlines import PRIORITIES
from sammanhang.work.units import units_of

from . import receiving, sending
from . import request as fhir
from .receiving import FirstVisit
from .sending import Written

STATE_VERB = {
    "received": "receive", "more-information": "ask", "accepted": "accept", "rejected": "reject", "planned": "plan",
    "in-progress": "start", "answered": "answer",
}  # fmt: skip
STATUS_VERB = {
    "received": "receive", "on-hold": "ask", "accepted": "accept", "rejected": "reject", "in-progress": "start",
    "completed": "answer",
}  # fmt: skip
VISIT_MINUTES = 60  # of a visit planned elsewhere that has no end


class NoUnit(Unprocessable):
    """The resource does not say in the name of which unit it is written, or the unit is another care provider's."""

    def __init__(self) -> None:
        super().__init__(
            "Tag the resource with the care unit it is written for (http://sammanhang.se/fhir/tag/care-unit), one of your own.",
            "Märk resursen med den vårdenhet den skrivs för (http://sammanhang.se/fhir/tag/care-unit), en av era egna.",
        )  # fmt: skip


class NotAVerb(Unprocessable):
    """The change is none that can be made to a care request."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"That cannot be changed in a care request that has been sent: {what}. docs/reference/care-requests.md lists what can.",
            f"Det går inte att ändra i en skickad vårdbegäran: {what}. docs/reference/care-requests.md visar vad som går.",
            issues=(Issue("business-rule", what, "Går inte att ändra när begäran är skickad.", "Cannot be changed once the request is sent."),),
        )  # fmt: skip


class RequestTaker:
    """The writes of ServiceRequests that are care requests."""

    def concerns(self, actor: Actor, resource: Any) -> bool:
        # who is trusted with the whole record and names no owner is moving data, not asking for care
        return fhir.is_care_request(resource) and not (
            actor.everything and owner_of(resource) is None
        )

    async def create(self, doors: Doors, actor: Actor, resource: Any, id: str, request: str) -> str:
        record = await _record(doors, actor, _patient(resource), _unit(resource), request)
        written = _written(resource)
        if resource.status == "draft":
            return await sending.save(record, id, written, base=resource)
        if resource.status != "active":
            raise NotAVerb("ServiceRequest.status")
        return await sending.send(record, id, written, base=resource)

    async def change(
        self, doors: Doors, actor: Actor, before: Any, after: Any, request: str
    ) -> None:
        record = await _record(doors, actor, _patient(before), fhir.sender_of(before)[1], request)
        state, id = fhir.state_of(before), before.id
        if state == "draft":
            if after.status == "draft":
                await sending.save(record, id, _written(after))
            elif after.status == "active":
                await sending.send(record, id, _written(after))
            elif after.status in ("entered-in-error", "revoked"):
                await sending.discard(record, id)
            else:
                raise NotAVerb("ServiceRequest.status")
            return
        if _said(before) != _said(after):
            raise NotAVerb("ServiceRequest.reasonCode, orderDetail, priority, performer")
        if after.status == "revoked" and before.status == "active":
            await sending.withdraw(record, id, _note(after))
        elif after.status == "completed" and state == "answered":
            await sending.close(record, id)
        elif after.status != before.status:
            raise NotAVerb("ServiceRequest.status")


class TaskTaker:
    """The writes of the Tasks that care requests have made."""

    def concerns(self, actor: Actor, resource: Any) -> bool:
        focus = (resource.focus.reference or "") if resource.focus is not None else ""
        kinds = ("care-request", "distribute", "question")
        return focus.startswith("ServiceRequest/") and tasks.kind_of(resource) in kinds

    async def create(self, doors: Doors, actor: Actor, resource: Any, id: str, request: str) -> str:
        raise NotAVerb("Task")  # sending makes it

    async def change(
        self, doors: Doors, actor: Actor, before: Any, after: Any, request: str
    ) -> None:
        record = await _record(
            doors, actor, _patient(before, "for_"), tasks.owner_of(before), request
        )
        id = (before.focus.reference or "").removeprefix("ServiceRequest/")
        if tasks.kind_of(before) == "question":
            if after.status == "completed" and before.status != "completed":
                await sending.reply(record, id, _note(after, before))
            elif after.status != before.status:
                raise NotAVerb("Task.status")
            return
        verb, text = _verb(before, after), _note(after, before)
        if verb is None:
            if text:
                await sending.write(record, id, text)
            elif encode(before) != encode(after):
                raise NotAVerb("Task")
            return
        if verb == "reject":
            text = (after.statusReason.text if after.statusReason is not None else None) or text
            await receiving.reject(record, id, text)
        elif verb == "plan":
            await receiving.plan(record, id, _visit(after))
        elif verb in ("ask", "answer"):
            await getattr(receiving, verb)(record, id, text)
        elif verb == "accept":
            await receiving.accept(record, id, text)
        else:
            await getattr(receiving, verb)(record, id)


def _verb(before: Any, after: Any) -> str | None:
    """The verb a changed Task means; None for no change of state."""
    was, becomes = _business(before), _business(after)
    if becomes and becomes != was:
        if becomes not in STATE_VERB:
            raise NotAVerb("Task.businessStatus")
        return STATE_VERB[becomes]
    if after.status != before.status:
        if after.status not in STATUS_VERB:
            raise NotAVerb("Task.status")
        return STATUS_VERB[after.status]
    return None


def _business(task: Any) -> str:
    codings = (task.businessStatus.coding if task.businessStatus is not None else None) or ()
    return next((c.code for c in codings if c.system == fhir.STATE_SYSTEM and c.code), "")


def _note(after: Any, before: Any = None) -> str:
    """The newest note that was not there before."""
    known = len(before.note or ()) if before is not None else 0
    notes = list(after.note or ())
    return notes[-1].text if len(notes) > known else ""


def _visit(task: Any) -> FirstVisit:
    """A visit planned in another system. Raises `NotAVerb` when it does not say when."""
    period = task.executionPeriod
    if period is None or not period.start:
        raise NotAVerb("Task.executionPeriod.start")
    begins = bounds(period.start)[0]
    minutes = VISIT_MINUTES
    if period.end:
        minutes = int((bounds(period.end)[0] - begins).total_seconds() // 60)
    return FirstVisit(begins, minutes)


def _patient(resource: Any, name: str = "subject") -> str:
    about = getattr(resource, name)
    text = (about.reference or "") if about is not None else ""
    return text.rpartition("Patient/")[2]


def _unit(resource: Any) -> str:
    tags = (resource.meta.tag if resource.meta is not None else None) or ()
    return next((t.code for t in tags if t.system == UNIT and t.code), "")


def _written(r: Any) -> Written:
    """What a ServiceRequest of another system says."""
    receiver = fhir.receiver_of(r)
    return Written(
        kind=fhir.kind_of(r), to=receiver, priority=r.priority if r.priority in PRIORITIES else "routine",
        reason=fhir.reason_of(r), question=fhir.question_of(r) or "\n".join(n.text for n in r.note or () if n.text),
        attachments=tuple(fhir.attachments_of(r)), form=fhir.form_of(r), ground=fhir.ground_of(r),
    )  # fmt: skip


def _said(r: Any) -> tuple[Any, ...]:
    return fhir.reason_of(r), fhir.question_of(r), r.priority, fhir.receiver_of(r), fhir.kind_of(r)


async def _record(doors: Doors, actor: Actor, patient: str, unit: str, request: str) -> Record:
    """The patient's record, open for the system in the name of a unit. Raises `NoUnit`, and what the door raises."""
    if actor.kind == "staff":
        return await doors.open_record(actor, patient, request=request)
    units = await units_of(doors.database)
    known = units.get(unit)
    if known is None or (not actor.everything and known.provider != actor.provider):
        raise NoUnit
    at = Assignment(
        "", "system", actor.name or actor.id, known.id, known.name, known.provider, units.name(known.provider)
    )  # fmt: skip
    return await doors.open_record(replace(actor, assignment=at), patient, request=request)


orders.register("ServiceRequest", RequestTaker())
orders.register("Task", TaskTaker())
