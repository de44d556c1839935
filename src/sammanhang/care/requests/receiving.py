"""What the receiver does with a care request: one verb each. See `states.TRANSITIONS`."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.dates import bounds
from sammanhang.fhir.r4 import (
    Appointment,
    Attachment,
    CodeableConcept,
    Coding,
    DocumentReference,
    EpisodeOfCare,
    Period,
    Reference,
)
from sammanhang.fhir.r4.appointment import AppointmentParticipant
from sammanhang.fhir.r4.documentreference import DocumentReferenceContent, DocumentReferenceContext
from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.work import tasks
from sammanhang.work.commands import colleague, myself
from sammanhang.work.deadlines import priority_of, with_way_up
from sammanhang.work.routing import route

from . import grounds
from . import request as fhir
from .doing import Doing, again_once, begin
from .errors import BadTime, NoGround, NoReceiver, VisitToCome
from .request import Around

CARE_TYPE = "http://sammanhang.se/fhir/CodeSystem/care-type"
ANSWER_CATEGORY = "http://sammanhang.se/fhir/CodeSystem/document-category"
# A first visit further ahead than this is a slip of the keys.
FARTHEST = timedelta(days=730)
NOTE_TYPE = "urn:oid:1.2.752.129.2.2.2.11"


@dataclass(frozen=True, slots=True)
class FirstVisit:
    """When the first visit is, how long in minutes, and the assignment of who makes it (empty: oneself)."""

    at: datetime
    minutes: int
    by: str = ""


@again_once
async def receive(record: Record, id: str) -> None:
    """Seen and taken: the sender sees by whom. What was received is still to be decided on by the same time."""
    d = await begin(record, id, "receive")
    d.turn_main("received", take=True)
    d.tell()
    d.move("received")
    await d.done()


@again_once
async def ask(record: Record, id: str, question: str) -> None:
    """The decision waits for an answer: the clock of the receiver stops, the sender's begins."""
    d = await begin(record, id, "ask", question)
    d.say(d.text)
    d.turn_main("more-information", take=True)
    d.make_for_sender("question")
    d.tell(d.text)
    d.move("more-information")
    await d.done()


@again_once
async def accept(record: Record, id: str, note: str = "") -> None:
    """The receiver takes it on. A question that was asked need not be answered any more."""
    d = await begin(record, id, "accept", note)
    d.turn_main("accepted", renew=True, take=True)
    d.finish("question", d.sender[1])
    d.tell(d.text)
    d.move("accepted")
    await d.done()


@again_once
async def reject(record: Record, id: str, reason: str) -> None:
    """No, and why. The sender has it to read, so that it is not lost."""
    d = await begin(record, id, "reject", reason)
    d.turn_main("rejected", take=True, reason=d.text)
    d.finish("question", d.sender[1])
    d.make_for_sender("read")
    d.tell(d.text)
    d.move("rejected")
    await d.done()


@again_once
async def redirect(record: Record, id: str, to: str, reason: str, ground: str = "") -> None:
    """On to the unit it should have gone to, with a time of its own.

    To another care provider it is a disclosure anew: the ground it was sent on held for the one it was sent to (OSL
    10:1, 25:11, 25:13 §§). Raises `Invalid` for a unit that is none, `NoGround`.
    """
    d = await begin(record, id, "redirect", reason)
    kind = fhir.kind_of(d.request)
    if not to:
        raise NoReceiver
    routed = route(d.units, kind, record.patient, d.now, to)
    if routed.unit.id == d.receiver.id:
        raise NoReceiver
    moves = routed.unit.provider not in d.both
    if moves:
        if not grounds.known(ground):
            raise NoGround(routed.unit.name)
        fhir.set_ground(d.request, ground)
    d.turn_main("withdrawn", take=True, reason=d.text)
    d.finish("question", d.sender[1])
    fhir.set_receiver(d.request, routed.unit.id, routed.unit.name)
    d.tell(d.text, routed.unit.name)
    fhir.set_state(d.request, "redirected")
    d.make("care-request", routed.unit, routed.function)
    for stored in (*d.found.forms, *d.found.messages, *d.found.acts) if moves else ():
        d.changes.update(stored, stored.resource, sent_to=d.both)
    d.move("redirected")
    await d.done()


@again_once
async def plan(record: Record, id: str, visit: FirstVisit) -> None:
    """Enrols, where the kind of request says so, and plans the first visit: it is on that day's list.

    A municipality whose package lacks planning here (M24) has the task alone; its own system has the rest.
    Raises `BadTime`, `NoSuchColleague`.
    """
    d = await begin(record, id, "plan")
    if not d.now < visit.at < d.now + FARTHEST or not 5 <= visit.minutes <= 480:
        raise BadTime
    by = await _colleague(d, visit.by)
    kind = content("routing/requests")["kinds"].get(fhir.kind_of(d.request), {})
    if kind.get("enrols"):
        _enrol(d, kind["enrols"], by)
    _cancel_planned(d, "Ny tid")
    where = _book(d, visit, kind, by)
    due = with_way_up(
        visit.at + timedelta(minutes=visit.minutes),
        priority_of(d.request),
        d.now,
        d.receiver.calendar,
    )
    d.make("care-request-visit", d.receiver, "sjukskoterska", to=by, focus=where, due=due, description=f"{_visit_words(kind)}, {visit.at.astimezone(STOCKHOLM):%Y-%m-%d %H:%M}", based_on=True)  # fmt: skip
    d.turn_main("planned", renew=True, take=True)
    d.tell("", tasks.instant(visit.at))
    d.move("planned")
    await d.done()


@again_once
async def start(record: Record, id: str) -> None:
    """The visit is made, or work has begun without one."""
    d = await begin(record, id, "start")
    _visit_made(d)
    d.turn_main("in-progress", renew=True, take=True)
    d.tell()
    d.move("in-progress")
    await d.done()


@again_once
async def visited(record: Record, id: str) -> None:
    """A visit that stood over is made. Raises `VisitToCome`."""
    d = await begin(record, id, "visited")
    if to_come(d.found, d.now):
        raise VisitToCome
    _visit_made(d)
    d.tell()
    await d.done()


@again_once
async def cancel_visit(record: Record, id: str, reason: str) -> None:
    """There will be no visit, and why."""
    d = await begin(record, id, "cancel-visit", reason)
    _cancel_planned(d, d.text)
    d.tell(d.text)
    await d.done()


@again_once
async def answer(record: Record, id: str, text: str) -> None:
    """The answer becomes a document in the record of who asked, and theirs to read."""
    d = await begin(record, id, "answer", text)
    kind = content("routing/requests")["kinds"].get(fhir.kind_of(d.request), {}).get("sv", "")
    d.changes.create(
        DocumentReference(
            status="current",
            docStatus="final",
            type=CodeableConcept(coding=[Coding(system=NOTE_TYPE, code="utr")], text=f"Svar på vårdbegäran, {kind.lower()}".rstrip(", ")),
            category=[fhir.concept(ANSWER_CATEGORY, "vardbegaran-svar", "Svar på vårdbegäran")],
            subject=Reference(reference=f"Patient/{record.patient_id}"),
            date=tasks.instant(d.now),
            author=[myself(record.actor)],
            content=[
                DocumentReferenceContent(
                    attachment=Attachment(
                        contentType="text/plain; charset=utf-8", language="sv", title="Svar på vårdbegäran",
                        data=base64.b64encode(d.text.encode()).decode(),
                    )
                )
            ],
            context=DocumentReferenceContext(related=[d.reference]),
        ),
        sent_to=d.both,
    )  # fmt: skip
    _visit_made(d)
    d.turn_main("answered", take=True)
    d.make_for_sender("read")
    d.tell()
    d.move("answered")
    await d.done()


async def _colleague(d: Doing, assignment: str) -> Reference:
    """Who makes the visit: a colleague at the unit, or oneself."""
    own = d.record.actor.assignment
    if not assignment or (own is not None and assignment == own.id):
        return myself(d.record.actor)
    return await colleague(d.record.doors, d.receiver.id, assignment)


def _enrol(d: Doing, care: dict[str, str], by: Reference) -> None:
    """Enrolment at the unit from today; one that is there already stays."""
    episode = EpisodeOfCare(
        status="active",
        type=[CodeableConcept(coding=[Coding(system=CARE_TYPE, code=care["code"], display=care["sv"])], text=care["sv"])],
        patient=Reference(reference=f"Patient/{d.record.patient_id}"),
        managingOrganization=Reference(reference=f"Organization/{d.receiver.id}", display=d.receiver.name),
        period=Period(start=tasks.instant(d.now)),
        referralRequest=[d.reference],
        careManager=by,
    )  # fmt: skip
    planned_before = fhir.state_of(d.request) == "planned"
    if not planned_before and d.changes.may(episode):
        d.changes.create(episode, sent_to=d.both)


def _cancel_planned(d: Doing, why: str) -> None:
    """A visit planned before is off, and its task with it."""
    for stored, visit in _booked(d):
        visit.status = "cancelled"
        d.changes.update(stored, visit)
    planned = d.found.task_at(d.receiver.id, "care-request-visit")
    if planned is not None:
        task = planned.resource
        task.status = "cancelled"
        task.statusReason = CodeableConcept(text=why)
        tasks.set_act(task, d.verb, myself(d.record.actor), d.now)
        d.changes.update(planned, task)


def _visit_made(d: Doing) -> None:
    """The visit whose day has come is made, and its task with it. One that is still to come stays, with its task."""
    if to_come(d.found, d.now):
        return
    for stored, visit in _booked(d):
        visit.status = "fulfilled"
        d.changes.update(stored, visit)
    d.finish("care-request-visit", d.receiver.id)


def to_come(found: Around, now: datetime) -> bool:
    """Whether a visit is booked on a later day than this."""
    today = now.astimezone(STOCKHOLM).date()
    starts = [v.start for s in found.visits if (v := s.resource).status == "booked" and v.start]
    return any(bounds(at)[0].astimezone(STOCKHOLM).date() > today for at in starts)


def _booked(d: Doing) -> list[tuple[Stored, Any]]:
    return [(s, v) for s in d.found.visits if (v := s.resource).status == "booked"]


def _book(d: Doing, visit: FirstVisit, kind: Any, by: Reference) -> Reference | None:
    """The booked time; None where the municipality plans in its own system."""
    patient = Reference(reference=f"Patient/{d.record.patient_id}")
    booked = Appointment(
        status="booked",
        description=_visit_words(kind),
        start=tasks.instant(visit.at),
        end=tasks.instant(visit.at + timedelta(minutes=visit.minutes)),
        minutesDuration=visit.minutes,
        created=tasks.instant(d.now),
        basedOn=[d.reference],
        participant=[
            AppointmentParticipant(actor=patient, status="accepted"),
            AppointmentParticipant(actor=by, status="accepted"),
        ],
    )
    return d.changes.create(booked, sent_to=d.both) if d.changes.may(booked) else None


def _visit_words(kind: Any) -> str:
    return str(kind["visit"]["sv"]) if kind else "Första besök"
