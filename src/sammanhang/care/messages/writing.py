"""What is done with a message: written by staff, opened and answered by the resident, answered by staff.

One act is one transaction: the message, the work it makes and the trace are stored together or not at all.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from sammanhang.access.door import Record, Stored
from sammanhang.access.rules import who_reads
from sammanhang.access.writing import Changes, owner_of, sent_to
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, TextMissing, TextTooLong
from sammanhang.work import tasks
from sammanhang.work.commands import myself
from sammanhang.work.deadlines import deadline
from sammanhang.work.errors import ChangedMeanwhile
from sammanhang.work.units import Unit, units_of

from . import message as fhir
from .errors import NoAnswer, NobodyReads, NoTopic, NotOurs
from .message import ANSWER, UNREAD, Conversation, conversation


@dataclass(frozen=True, slots=True)
class Written:
    """A message as staff wrote it.

    topic       what it is about, in a line; `text` the message
    answerable  whether the resident can answer
    follow      whether the writer is told when it has not been read in time
    about       id of the care request it is about; empty for none
    joint       also in the name of the other unit of that request (M103)
    """

    topic: str
    text: str
    answerable: bool = True
    follow: bool = True
    about: str = ""
    joint: bool = False


async def write(record: Record, written: Written) -> str:
    """Begins a conversation with the resident; returns its id.

    Raises `TextMissing`, `TextTooLong`, `NoTopic`, `NobodyReads`, `ReadsOnly` and what the rules refuse.
    """
    rules = content("messages/rules")
    topic, text = written.topic.strip(), _checked(written.text)
    if not topic:
        raise NoTopic
    if len(topic) > rules["longest_topic"]:
        raise TextTooLong(rules["longest_topic"])
    if not read_by(record):
        said = rules["nobody_reads"]
        raise NobodyReads(said["sv"], said["en"])
    changes, now, me = Changes.by(record), clock.now(), myself(record.actor)
    request = await record.find("ServiceRequest", written.about) if written.about else None
    joint = await other_unit(record, request) if written.joint else None
    made = fhir.new_message(
        record.patient_id, me, _patient(record), text, tasks.instant(now, precise=True),
        topic=topic, about=request.id if request is not None else "",
    )  # fmt: skip
    fhir.mark(made, joint=_unit(joint) if joint is not None else None, answerable=written.answerable)  # fmt: skip
    told = (joint.provider,) if joint is not None else ()
    first = changes.create(made, sent_to=told)
    if written.follow:
        await _work(changes, UNREAD, changes.owner[1], first, me, topic, now, to=me, told=told)
    await changes.commit("message-write")
    return (first.reference or "").partition("/")[2]


async def answer(record: Record, id: str, text: str) -> None:
    """Staff write in a conversation that is theirs; what the resident asked is answered by it.

    Raises `NoSuchConversation`, `NotOurs`, `TextMissing`, `TextTooLong`, `ReadsOnly`, `ChangedMeanwhile`.
    """
    checked = _checked(text)
    found = await conversation(record, id)
    if not ours(record, found):
        raise NotOurs
    changes, now, me = Changes.by(record), clock.now(), myself(record.actor)
    made = fhir.new_message(record.patient_id, me, _patient(record), checked, tasks.instant(now, precise=True), first=found.reference)  # fmt: skip
    changes.create(
        made, id=_next_id(found), owner=found.owner, sent_to=sent_to(found.first.resource)
    )
    _finish(changes, found, ANSWER, me, now)
    await _stored(changes, "message-answer")


async def reply(record: Record, id: str, text: str) -> None:
    """The resident, or a guardian, answers; the unit has it to answer, first of all who wrote.

    Raises `NoSuchConversation`, `NoAnswer`, `TextMissing`, `TextTooLong`, `ChangedMeanwhile`.
    """
    checked = _checked(text)
    found = await conversation(record, id)
    unit = (await units_of(record.doors.database)).living(found.owner[1])
    if not found.answerable or unit is None:
        raise NoAnswer
    now, me = clock.now(), _myself(record)
    changes, told = Changes.by_resident(record, found.owner), sent_to(found.first.resource)
    made = fhir.new_message(record.patient_id, me, _unit(unit), checked, tasks.instant(now, precise=True), first=found.reference)  # fmt: skip
    changes.create(made, id=_next_id(found), sent_to=told)
    if found.task(ANSWER) is None:
        writer = next(m for m in reversed(found.messages) if not fhir.from_resident(m)).resource.sender  # fmt: skip
        await _work(changes, ANSWER, unit.id, found.reference, me, found.topic, now, to=writer, told=told)  # fmt: skip
    _open(changes, found, me, now)
    await _stored(changes, "message-reply")


async def opened(record: Record, found: Conversation) -> None:
    """The resident has opened a conversation: its messages are read, and nobody need see to it any more.

    Somebody who opens it at the same moment is first, or the next to open it is: nothing is told of that.
    """
    if not found.unopened:
        return
    changes = Changes.by_resident(record, found.owner)
    _open(changes, found, _myself(record), clock.now())
    with suppress(Conflict):
        await changes.commit("message-read")


def read_by(record: Record) -> frozenset[str]:
    """Who reads what is written to the resident: `own`, `guardian`; empty when nobody does.

    A guardian of a child with protected identity is shown no unit, and so no message of one.
    """
    if record.patient.deceasedBoolean or record.patient.deceasedDateTime:
        return frozenset()
    found = who_reads(record.facts)
    return found - {"guardian"} if record.facts.protected else found


def ours(record: Record, found: Conversation) -> bool:
    """Whether the reader works at one of the units in whose name the conversation is written."""
    a = record.actor.assignment
    return a is not None and a.unit in found.units


async def other_unit(record: Record, request: Stored | None) -> Unit | None:
    """The other side of a care request that the reader's unit is one side of; None without one."""
    a = record.actor.assignment
    if request is None or a is None:
        return None
    owner = owner_of(request.resource)
    sides = [owner[1] if owner is not None else ""]
    sides += [(p.reference or "").removeprefix("Organization/") for p in request.resource.performer or ()]  # fmt: skip
    if a.unit not in sides:
        return None
    units = await units_of(record.doors.database)
    return next((u for s in sides if s != a.unit and (u := units.living(s)) is not None), None)


async def _work(
    changes: Changes, kind: str, at: str, first: Reference, asker: Reference, topic: str, now: datetime,
    *, to: Reference | None, told: tuple[str, ...],
) -> None:  # fmt: skip
    """Work at a unit about a conversation; its own people's first, then anybody's there."""
    unit = (await units_of(changes.doors.database)).by_id[at]
    task = tasks.new_task(
        kind, patient=changes.patient, owner=unit.id, owner_name=unit.name, function="avsandare", focus=first,
        deadline=deadline(kind, "routine", now, unit.calendar), priority="routine", requester=asker, at=now, description=topic,
    )  # fmt: skip
    tasks.set_taken_by(task, to)
    tasks.set_act(task, "create", asker, now)
    changes.create(task, owner=(unit.provider, unit.id), sent_to=told)


def _open(changes: Changes, found: Conversation, who: Reference, now: datetime) -> None:
    for stored in found.unopened:
        message = stored.resource
        message.received = tasks.instant(now)
        changes.update(stored, message)
    _finish(changes, found, UNREAD, who, now)


def _finish(changes: Changes, found: Conversation, kind: str, who: Reference, now: datetime) -> None:  # fmt: skip
    """The open task of a kind is done by what is done now."""
    stored = found.task(kind)
    if stored is not None:
        task = stored.resource
        task.status = "completed"
        tasks.set_act(task, "complete", who, now)
        changes.update(stored, task)


async def _stored(changes: Changes, action: str) -> None:
    try:
        await changes.commit(action)
    except Conflict:
        raise ChangedMeanwhile from None


def _next_id(found: Conversation) -> str:
    """The id of the next message: who writes it at the same moment as somebody else, or clicks twice, comes second."""
    return str(uuid5(NAMESPACE_URL, f"{found.id}/{len(found.messages)}"))


def _checked(text: str) -> str:
    most = content("messages/rules")["longest"]
    if not text.strip():
        raise TextMissing
    if len(text) > most:
        raise TextTooLong(most)
    return text.strip()


def _patient(record: Record) -> Reference:
    return Reference(reference=f"Patient/{record.patient_id}")


def _myself(record: Record) -> Reference:
    """The resident who writes: the patient, or a guardian."""
    return Reference(reference=record.actor.id, display=record.actor.name or None)


def _unit(unit: Unit) -> Reference:
    return Reference(reference=f"Organization/{unit.id}", display=unit.name)
