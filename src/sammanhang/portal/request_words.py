"""A care request in plain words: what has happened, what happens next, by when, and who to call.

The sentences are content (`content/texts/care_requests`), one for each state and kind. What is said about time is
what the receiver's or sender's task says: that a deadline has passed, and who has been reminded of it, is never
hidden and never guessed.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sammanhang.access.door import Record
from sammanhang.care.requests import request as fhir
from sammanhang.care.requests.doing import MAIN
from sammanhang.care.requests.request import Around
from sammanhang.care.requests.states import ENDED, WAITS_ON
from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.work import tasks
from sammanhang.work.units import Unit, Units

# Who answers questions: the sender until it is received, then whose turn it is; at the end who decided last.
CALL = {**WAITS_ON, "sent": "sender", "redirected": "sender", "rejected": "receiver", "closed": "receiver", "withdrawn": "sender"}  # fmt: skip
TAGS = {"rejected": "warning", "more-information": "warning", "closed": "done", "withdrawn": ""}
SOON = ("stat", "asap")
COMING = ("booked", "pending", "arrived", "checked-in")
LONGEST = 80  # letters of what was asked, in a list
_BEGINS = re.compile(r"(^|[.!?] )([a-zåäö])")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and about whom.

    whom    `dig`, or the child's given name, as it stands in a sentence
    masked  the identity is protected and another person reads: nothing that tells where care is given
    root    address that the requests' pages lie under
    """

    whom: str
    masked: bool
    root: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A unit to call: its name, its number as people read it, and as a link; empty where there is none."""

    name: str
    phone: str
    tel: str


@dataclass(frozen=True, slots=True)
class Plain:
    """One request in plain words.

    id, address  of the request; of its page
    title   what it is about; `asked` the first words of what was asked, as written, `sent` when
    state   key of `states.STATES`; `word` and `tag` show it
    now     what has happened
    next    what happens next; `by` by when, or that it is late, empty where nothing is waited for
    late    whether that time has passed
    who     whose turn it is; empty when it has ended
    due     the same time, to order by; None
    visit   when the planned visit is, while it is to come; `visitors` who make it
    ended   nothing more happens
    changed when anything last happened; `new` whether that is since the reader was last here
    call, other  whom to call first, and the other side; None where they are not shown
    words   what the sentences are filled in with
    """

    id: str
    address: str
    title: str
    asked: str
    sent: str
    state: str
    word: str
    tag: str
    now: str
    next: str
    by: str
    late: bool
    who: str
    due: datetime | None
    visit: str
    visitors: str
    ended: bool
    changed: datetime
    new: bool
    call: Contact | None
    other: Contact | None
    words: dict[str, str]


def texts() -> Any:
    """The sentences in force today."""
    return content("texts/care_requests")


def reader_of(record: Record) -> Reader:
    """How to speak to who has the record open. Of a child with a protected identity the name is not said."""
    own = record.facts.own
    masked = record.facts.protected and not own
    names = (record.patient.name[0].given or ()) if record.patient.name and not masked else ()
    whom = said(texts()["whom"]["own" if own else "child"])
    if not own and names:
        whom = names[0]
    return Reader(whom, masked, "/me" if own else f"/me/family/{record.patient_id}")


def said(text: Any, words: dict[str, str] | None = None) -> str:
    """A text of the content in the reader's language, filled in; each sentence begins with a capital."""
    filled = either(text["sv"], text["en"])
    if words is not None:
        filled = filled % words
        filled = _BEGINS.sub(lambda m: m[1] + m[2].upper(), filled)
    return str(filled)


def kind_texts(request: Any) -> Any:
    """The texts of a request's kind; those of any care for a kind that is not ours."""
    kinds = texts()["kinds"]
    return kinds.get(fhir.kind_of(request), kinds["other"])


def plain_of(found: Around, units: Units, reader: Reader, before: datetime | None = None) -> Plain:
    """A request as its person reads it; what has happened since `before` is new."""
    r, state = found.request, fhir.state_of(found.request)
    sender, receiver = units.get(fhir.sender_of(r)[1]), units.get(fhir.receiver_of(r))
    kind, visit, visitors = kind_texts(r), *visit_of(found)
    waits = WAITS_ON[state]
    due, up = _due(found, waits, sender, receiver)
    to_come = bool(visit) and state in ("accepted", "planned") and bounds(visit)[1] > clock.now()
    if to_come:
        due = None  # the visit is the next step, and it has a time of its own
    late = due is not None and due < clock.now()
    words = {
        "sender": _called(sender, "unknown", reader),
        "receiver": _called(receiver, "other", reader),
        "unit": said(texts()["units"]["other"]) if receiver is None or reader.masked else receiver.name,
        "what": said(kind["what"]),
        "whom": reader.whom,
        "visit": day_and_time(visit) if visit else "",
        "by": by_when(due, r.priority or "routine") if due is not None else "",
    }  # fmt: skip
    now, next, by = _sentences(state, kind, words, visit if state == "planned" else "", to_come)
    late_said = " ".join(
        filter(None, (said(texts()["states"][state]["late"], words), _reminded(up)))
    )
    first, second = (sender, receiver) if CALL[state] == "sender" else (receiver, sender)
    return Plain(
        id=found.stored.id,
        address=f"{reader.root}/requests/{found.stored.id}",
        title=said(kind["title"]),
        asked="" if reader.masked else _first_words(fhir.question_of(r) or fhir.reason_of(r)),
        sent=r.authoredOn or "",
        state=state,
        word=said(texts()["states"][state]["word"]),
        tag="warning" if late else TAGS.get(state, "info"),
        now=now,
        next=next,
        by=late_said if late else by if due is not None else "",
        late=late,
        who=words[waits] if waits else "",
        due=due,
        visit=visit if to_come else "",
        visitors="" if reader.masked else visitors,
        ended=state in ENDED,
        changed=found.stored.updated,
        new=before is not None and found.stored.updated > before,
        call=contact(first, units, reader),
        other=contact(second, units, reader),
        words=words,
    )  # fmt: skip


def _first_words(text: str) -> str:
    """The beginning of a text, as one line."""
    return textwrap.shorten(text, LONGEST, placeholder=" …")


def _sentences(
    state: str, kind: Any, words: dict[str, str], visit: str, to_come: bool
) -> tuple[str, str, str]:
    """(what has happened, what happens next, by when)."""
    own = texts()["states"][state]
    if visit and not to_come:
        own = texts()["after_visit"]
    next = kind["plan"] if state == "accepted" else kind["visit"] if to_come else own["next"]
    return said(own["now"], words), said(next, words), said(own["by"], words)


def _due(
    found: Around, waits: str | None, sender: Unit | None, receiver: Unit | None
) -> tuple[datetime | None, str]:
    """By when the next step is due, and the last step up that has been taken; of whose turn it is."""
    unit, kinds = (sender, ("question", "read")) if waits == "sender" else (receiver, MAIN)
    if waits is None or unit is None:
        return None, ""
    stored = next((t for k in kinds if (t := found.task_at(unit.id, k)) is not None), None)
    if stored is None:
        return None, ""
    taken = tasks.steps_of(stored.resource)[: tasks.level_of(stored.resource)]
    return tasks.deadline_of(stored.resource), taken[-1].step if taken else ""


def _reminded(step: str) -> str:
    """Who has been reminded, when somebody has."""
    known = texts()["reminded"].get(step)
    return said(known) if known else ""


def visit_of(found: Around) -> tuple[str, str]:
    """(when the planned visit is, who makes it); empty when none is."""
    for stored in reversed(found.visits):
        v = stored.resource
        if v.start and v.status in (*COMING, "fulfilled"):
            actors = [p.actor for p in v.participant or () if p.actor is not None]
            people = [name_and_role(a.display) for a in actors if a.display and not (a.reference or "").startswith("Patient/")]  # fmt: skip
            return v.start, "; ".join(people)
    return "", ""


def name_and_role(display: str | None) -> str:
    """`Amira Haddad, sjuksköterska` as resources have it, with the role in the reader's language."""
    name, comma, role = (display or "").rpartition(", ")
    known = next((r for r in content("rules/roles")["roles"].values() if r["sv"].lower() == role), None)  # fmt: skip
    return f"{name}{comma}{either(known['sv'], known['en']).lower() if known else role}"


def day_and_time(at: str | datetime) -> str:
    """`tisdag 24 november kl. 10:00`; the day alone when that is what is known."""
    time = show.time(at)
    return (
        f"{show.long_day(at)} {_('kl. %(time)s') % {'time': time}}" if time else show.long_day(at)
    )


def by_when(at: datetime, priority: str) -> str:
    """The day something is due; with the time where it is today or in a hurry."""
    if show.local(at).date() == clock.today():
        return _("i dag kl. %(time)s") % {"time": show.time(at)}
    return day_and_time(at) if priority in SOON else show.long_day(at)


def _called(unit: Unit | None, otherwise: str, reader: Reader) -> str:
    """What people call a unit: `hemsjukvården i Borås`, else its name."""
    names = texts()["units"]
    if unit is None or reader.masked:
        return said(names[otherwise])
    if unit.kind in names and unit.municipality:
        return said(names[unit.kind]) % {"place": unit.municipality}
    return unit.name


def contact(unit: Unit | None, units: Units, reader: Reader) -> Contact | None:
    """Where to call: the unit, or what has taken its place; None for a protected identity's."""
    if unit is None or reader.masked:
        return None
    there = units.living(unit.id) or unit
    return Contact(there.name, there.phone, tel(there.phone))


def tel(phone: str) -> str:
    """A number as a link dials it."""
    digits = re.sub(r"[^0-9+]", "", phone)
    return f"tel:{digits}" if digits else ""
