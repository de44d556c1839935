"""Messages with a resident, as staff see them: the conversations of a record, one of them, a new one."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access.door import Record, Stored
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, Refused
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work import tasks
from sammanhang.work.deadlines import deadline
from sammanhang.work.units import Units, units_of

from . import writing
from .message import (
    ANSWER,
    UNREAD,
    Conversation,
    conversation,
    conversations,
    from_resident,
    text_of,
    written_by,
)
from .writing import Written

DONE = {"write": N_("Meddelandet är skickat."), "answer": N_("Svaret är skickat.")}


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of a list: its address and topic, whose it is, how it begins, when anything was last written,
    and what is waited for (`tag` is how that looks)."""

    address: str
    topic: str
    units: str
    words: str
    at: str
    state: str
    tag: str


@dataclass(frozen=True, slots=True)
class MessagesPage:
    """The conversations with a resident, and a new message.

    root     address of the patient's chart
    may      whether the reader may write in the record
    read_by  who reads what is written, in a sentence; empty when nobody does, and `nobody` says so
    until    when an unread message comes back to who wrote it
    about    id of the care request it is about, and `other` the other side of it; empty for none
    typed    what was written, when something was wrong with it; `wrong` says what
    """

    title: str
    root: str
    person: Person
    may: bool
    read_by: str
    nobody: str
    until: str
    longest: int
    longest_topic: int
    about: str
    other: str
    rows: tuple[Row, ...]
    typed: dict[str, str]
    wrong: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message: who wrote it and where they work, when, what; whether the resident wrote it; when the resident read
    it, empty for not yet."""

    who: str
    unit: str
    at: str
    text: str
    theirs: bool
    read: str


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """One conversation; `id` is that of its first message.

    units   in whose name it is written
    about   address of the care request it is about; empty for none
    state   what is waited for, by when and by whom; empty for nothing
    may     whether the reader can write in it; `answerable` whether the resident can
    task    address of the open task to answer, which may be done without an answer; empty for none
    """

    title: str
    id: str
    root: str
    address: str
    person: Person
    units: str
    about: str
    state: str
    said: tuple[Said, ...]
    may: bool
    answerable: bool
    task: str
    longest: int
    typed: dict[str, str]
    wrong: str
    done: str


@page("/patients/{patient}/messages", access="record")
async def messages(visit: Visit) -> Response:
    """What has been written with the resident, and a new message; `?about=` ties it to a care request."""
    return await _list(visit, visit.asked("about"))


@page("/patients/{patient}/messages", access="record", methods=("POST",))
async def write(visit: Visit) -> Response:
    """A new message. What is wrong is said on the page, with what was written."""
    record, form = visit.opened, visit.form
    written = Written(
        form.get("topic", ""), form.get("text", ""), form.get("answerable") == "yes", form.get("follow") == "yes",
        form.get("about", ""), form.get("joint") == "yes",
    )  # fmt: skip
    try:
        id = await writing.write(record, written)
    except (Invalid, Conflict, Refused) as e:
        return await _list(visit, written.about, either(e.sv, e.en), e.status)
    return RedirectResponse(f"/patients/{record.patient_id}/messages/{id}?done=write", 303)


@page("/patients/{patient}/messages/{message}", access="record")
async def one(visit: Visit) -> Response:
    """One conversation, with whether the resident has read it; a part of it to renew the page."""
    return await _one(visit)


@page("/patients/{patient}/messages/{message}", access="record", methods=("POST",))
async def answer(visit: Visit) -> Response:
    """More in a conversation, or an answer to what the resident asked."""
    record, id = visit.opened, visit.request.path_params["message"]
    try:
        await writing.answer(record, id, visit.form.get("text", ""))
    except (Invalid, Conflict, Refused) as e:
        return await _one(visit, either(e.sv, e.en), e.status)
    return RedirectResponse(f"/patients/{record.patient_id}/messages/{id}?done=answer", 303)


async def _list(visit: Visit, about: str, wrong: str = "", status: int = 200) -> Response:
    record, rules = visit.opened, content("messages/rules")
    units = await units_of(visit.services.database)
    request = await record.find("ServiceRequest", about) if about else None
    other = await writing.other_unit(record, request)
    readers = writing.read_by(record)
    key = "both" if len(readers) == 2 else next(iter(readers), "")
    said = rules["read_by"].get(key)
    a = record.actor.assignment
    own = units.get(a.unit) if a is not None else None
    until = deadline(UNREAD, "routine", clock.now(), own.calendar).at if own is not None else None
    shown = MessagesPage(
        title=_("Meddelanden"),
        root=_root(record),
        person=person_of(record.patient, record.facts.protected),
        may=record.decision.write and own is not None,
        read_by=either(said["sv"], said["en"]) if said else "",
        nobody="" if said else either(rules["nobody_reads"]["sv"], rules["nobody_reads"]["en"]),
        until=show.long_day(until) if until is not None else "",
        longest=rules["longest"],
        longest_topic=rules["longest_topic"],
        about=request.id if request is not None else "",
        other=other.name if other is not None else "",
        rows=tuple(_row(record, c, units) for c in await conversations(record)),
        typed=dict(visit.form) if wrong else {},
        wrong=wrong,
    )  # fmt: skip
    return render(visit, "messages/messages.html", shown, status)


async def _one(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    record, id = visit.opened, visit.request.path_params["message"]
    found = await conversation(record, id)
    units = await units_of(visit.services.database)
    done = visit.asked("done") if not wrong else ""
    task = found.task(ANSWER)
    shown = ConversationPage(
        title=found.topic,
        id=found.id,
        root=_root(record),
        address=f"{_root(record)}/messages/{id}",
        person=person_of(record.patient, record.facts.protected),
        units=written_by(found, units),
        about=f"{_root(record)}/requests/{found.about}" if found.about else "",
        state=_waited_for(found, units),
        said=tuple(_said(m, found, units) for m in found.messages),
        may=record.decision.write and writing.ours(record, found),
        answerable=found.answerable,
        task=f"/work/{task.id}" if task is not None and writing.ours(record, found) else "",
        longest=content("messages/rules")["longest"],
        typed=dict(visit.form) if wrong else {},
        wrong=wrong,
        done=_(DONE[done]) if done in DONE else "",
    )  # fmt: skip
    part = "conversation_part" if visit.partial else "conversation"
    return render(visit, f"messages/{part}.html", shown, status)


def _row(record: Record, c: Conversation, units: Units) -> Row:
    latest = c.latest
    if from_resident(latest):
        state, tag = _("Svar från invånaren"), "info"
    elif c.unopened:
        state, tag = _("Inte läst"), "warning"
    else:
        state, tag = _("Läst %(when)s") % {"when": show.when(latest.resource.received)}, "done"
    words = " ".join(text_of(latest).split())
    return Row(f"{_root(record)}/messages/{c.id}", c.topic, written_by(c, units), words[:160], latest.resource.sent or "", state, tag)  # fmt: skip


def _said(message: Stored, c: Conversation, units: Units) -> Said:
    r, theirs = message.resource, from_resident(message)
    who = (r.sender.display or "") if r.sender is not None else ""
    return Said(
        who or (_("Invånaren") if theirs else ""), "" if theirs else units.name(c.owner[1]), r.sent or "",
        text_of(message), theirs, r.received or "",
    )  # fmt: skip


def _waited_for(c: Conversation, units: Units) -> str:
    """What the unit has to do with it, and by when."""
    for kind, says in ((ANSWER, N_("Att svara på senast %(when)s: %(who)s")), (UNREAD, N_("Inte läst än. Kommer tillbaka till %(who)s %(when)s"))):  # fmt: skip
        stored = c.task(kind)
        if stored is not None:
            holder, due = tasks.taken_by(stored.resource), tasks.deadline_of(stored.resource)
            who = (holder.display if holder is not None else "") or units.name(tasks.owner_of(stored.resource))  # fmt: skip
            return _(says) % {"who": who, "when": show.when(due) if due is not None else ""}
    return ""


def _root(record: Record) -> str:
    return f"/patients/{record.patient_id}"
