"""Messages from those who give care, and answering them (M48)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access.door import Record
from sammanhang.care.messages import writing
from sammanhang.care.messages.errors import NoSuchConversation
from sammanhang.care.messages.message import (
    ANSWER,
    Conversation,
    conversation,
    conversations,
    from_resident,
    text_of,
    written_by,
)
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, Refused
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work import tasks
from sammanhang.work.units import Units, units_of

from .request_words import Contact, Reader, contact, name_and_role, reader_of


@dataclass(frozen=True, slots=True)
class Mail:
    """A conversation in a list: its page, what it is about, who wrote, when anything was last written, whether it is new."""

    address: str
    topic: str
    who: str
    at: str
    new: bool


@dataclass(frozen=True, slots=True)
class MailsPage:
    """Every conversation, the latest first; `back` is the address of the page before."""

    title: str
    mails: tuple[Mail, ...]
    back: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: who wrote it, when, what; `mine` when the reader's side wrote it."""

    who: str
    at: str
    text: str
    mine: bool


@dataclass(frozen=True, slots=True)
class MailPage:
    """One conversation.

    who      who writes, in words
    next     what happens next: who answers, and by when; empty for nothing
    about    address of the request it is about; empty for none
    can      whether it can be answered; `call` whom to call else, and what to do when it is urgent `urgent`
    typed    what was written, when something was wrong with it; `wrong` says what
    done     whether an answer was just sent
    """

    title: str
    who: str
    address: str
    letters: tuple[Letter, ...]
    next: str
    about: str
    can: bool
    call: Contact | None
    urgent: str
    longest: int
    typed: str
    wrong: str
    done: bool
    back: str


@page("/me/messages", access="resident")
async def all_mine(visit: Visit) -> Response:
    """All that has been written with the resident."""
    return await _list(visit)


@page("/me/family/{patient}/messages", access="family")
async def all_childs(visit: Visit) -> Response:
    """All that has been written about a child, for its guardian (R23-R28)."""
    return await _list(visit)


@page("/me/messages/{message}", access="resident")
async def mine(visit: Visit) -> Response:
    """One conversation; who wrote it sees that it is read."""
    return await _one(visit)


@page("/me/family/{patient}/messages/{message}", access="family")
async def childs(visit: Visit) -> Response:
    """One conversation about a child."""
    return await _one(visit)


@page("/me/messages/{message}", access="resident", methods=("POST",))
async def answer(visit: Visit) -> Response:
    """An answer to who wrote."""
    return await _answer(visit)


@page("/me/family/{patient}/messages/{message}", access="family", methods=("POST",))
async def answer_for_child(visit: Visit) -> Response:
    """A guardian's answer."""
    return await _answer(visit)


async def mail(record: Record, units: Units) -> list[Mail]:
    """The conversations as the resident reads of them, the latest first; one query. A guardian of a child with protected
    identity is shown none: each tells where care is given."""
    reader = reader_of(record)
    if reader.masked:
        return []
    return [_mail(c, units, reader) for c in await conversations(record)]


async def _list(visit: Visit) -> Response:
    record = visit.opened
    units = await units_of(visit.services.database)
    shown = MailsPage(_("Meddelanden"), tuple(await mail(record, units)), reader_of(record).root)
    return render(visit, "portal/messages.html", shown)


async def _answer(visit: Visit) -> Response:
    record, id = visit.opened, visit.request.path_params["message"]
    reader = reader_of(record)
    if reader.masked:
        raise NoSuchConversation
    try:
        await writing.reply(record, id, visit.form.get("text", ""))
    except (Invalid, Conflict, Refused) as e:
        return await _one(visit, either(e.sv, e.en), e.status)
    return RedirectResponse(f"{reader.root}/messages/{id}?done=1", 303)


async def _one(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    record, reader = visit.opened, reader_of(visit.opened)
    if reader.masked:
        raise NoSuchConversation
    found = await conversation(record, visit.request.path_params["message"])
    await writing.opened(record, found)
    units = await units_of(visit.services.database)
    unit, urgent = units.living(found.owner[1]), content("messages/rules")["urgent"]
    shown = MailPage(
        title=found.topic,
        who=written_by(found, units),
        address=f"{reader.root}/messages/{found.id}",
        letters=tuple(
            Letter(name_and_role(m.resource.sender.display) if m.resource.sender is not None else "", m.resource.sent or "", text_of(m), from_resident(m))
            for m in found.messages
        ),
        next=_next(found, units),
        about=f"{reader.root}/requests/{found.about}" if found.about else "",
        can=found.answerable and unit is not None,
        call=contact(unit, units, reader),
        urgent=either(urgent["sv"], urgent["en"]),
        longest=content("messages/rules")["longest"],
        typed=visit.form.get("text", "") if wrong else "",
        wrong=wrong,
        done=not wrong and visit.asked("done") != "",
        back=reader.root,
    )  # fmt: skip
    return render(visit, "portal/message.html", shown, status)


def _mail(c: Conversation, units: Units, reader: Reader) -> Mail:
    return Mail(f"{reader.root}/messages/{c.id}", c.topic, written_by(c, units), c.latest.resource.sent or "", bool(c.unopened))  # fmt: skip


def _next(c: Conversation, units: Units) -> str:
    """Who answers what the resident wrote, and by when (M17)."""
    stored = c.task(ANSWER)
    if stored is None:
        return ""
    due, unit = tasks.deadline_of(stored.resource), units.name(tasks.owner_of(stored.resource))
    if due is None:
        return _("%(unit)s svarar dig.") % {"unit": unit}
    return _("%(unit)s svarar senast %(day)s.") % {"unit": unit, "day": show.long_day(due)}
