"""Messages between staff and a resident, as FHIR has them.

| In FHIR | is |
|---|---|
| `Communication`, category `invanare` | one message |
| `topic.text` | what the conversation is about, on the first message |
| `inResponseTo` | the first message, on all after it |
| `sender`, `recipient` | who wrote it; the resident, or the unit, it is for |
| `received` | when the resident opened it |
| `about` | the care request it is about |
| extension `joint-sender` | the other unit in whose name it is written too (M103) |
| extension `no-answer` | the resident cannot answer |
| `Task`, `focus` the first message | the unit's work: to see that it is read, to answer |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import Owner, owner_of
from sammanhang.fhir.indexing import coded, self_hash
from sammanhang.fhir.r4 import CodeableConcept, Coding, Communication, Extension, Reference
from sammanhang.fhir.r4.communication import CommunicationPayload
from sammanhang.kernel.i18n import _
from sammanhang.store.search.parameters import parameter
from sammanhang.work import tasks
from sammanhang.work.units import Units

from .errors import NoSuchConversation

_OWN = "http://sammanhang.se/fhir/"
CATEGORY, RESIDENT = _OWN + "CodeSystem/message-category", "invanare"
JOINT = _OWN + "StructureDefinition/joint-sender"
NO_ANSWER = _OWN + "StructureDefinition/no-answer"
UNREAD, ANSWER = "message-unread", "message-answer"
"""The kinds of work a message makes: to see that it is read, and to answer what the resident wrote."""
MOST = 1000


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that belong together, oldest first, and the tasks about them."""

    messages: tuple[Stored, ...]
    tasks: tuple[Stored, ...] = ()

    @property
    def first(self) -> Stored:
        return self.messages[0]

    @property
    def id(self) -> str:
        return self.first.id

    @property
    def reference(self) -> Reference:
        return Reference(reference=f"Communication/{self.id}")

    @property
    def topic(self) -> str:
        topic = self.first.resource.topic
        return (topic.text or "") if topic is not None else ""

    @property
    def owner(self) -> Owner:
        """The care provider and unit that began it; it has its tags from `access.writing`."""
        owner = owner_of(self.first.resource)
        if owner is None:
            raise NoSuchConversation
        return owner

    @property
    def units(self) -> tuple[str, ...]:
        """HSA-ids of the units in whose name it is written."""
        joint = _extension(self.first.resource, JOINT)
        other = joint.valueReference.reference if joint is not None and joint.valueReference is not None else None  # fmt: skip
        return (self.owner[1], *([other.removeprefix("Organization/")] if other else []))

    @property
    def answerable(self) -> bool:
        found = _extension(self.first.resource, NO_ANSWER)
        return found is None or found.valueBoolean is not True

    @property
    def about(self) -> str:
        """The id of the care request it is about; empty for none."""
        named = [r.reference or "" for r in self.first.resource.about or ()]
        return next((n.partition("/")[2] for n in named if n.startswith("ServiceRequest/")), "")

    @property
    def unopened(self) -> tuple[Stored, ...]:
        """Messages to the resident that the resident has not opened."""
        return tuple(
            m for m in self.messages if not from_resident(m) and m.resource.received is None
        )

    @property
    def latest(self) -> Stored:
        return self.messages[-1]

    def task(self, kind: str) -> Stored | None:
        """The open task of a kind, the newest."""
        found = [t for t in self.tasks if t.resource.status in tasks.OPEN and tasks.kind_of(t.resource) == kind]  # fmt: skip
        return found[-1] if found else None


def from_resident(message: Stored) -> bool:
    """Whether the resident, or a guardian, wrote it."""
    sender = message.resource.sender
    return sender is not None and (sender.reference or "").startswith("Patient/")


def text_of(message: Stored) -> str:
    """What is written in it."""
    return "\n".join(p.contentString for p in message.resource.payload or () if p.contentString)


def written_by(found: Conversation, units: Units) -> str:
    """The names of the units in whose name a conversation is written."""
    return _(" och ").join(units.name(u) for u in found.units)


def new_message(
    patient: str, sender: Reference, recipient: Reference, text: str, at: str,
    *, first: Reference | None = None, topic: str = "", about: str = "",
) -> Communication:  # fmt: skip
    """A message; `first` is the one that began the conversation it belongs to, `at` a FHIR instant."""
    return Communication(
        status="completed",
        category=[CodeableConcept(coding=[Coding(system=CATEGORY, code=RESIDENT, display="Meddelande med invånare")])],
        subject=Reference(reference=f"Patient/{patient}"),
        topic=CodeableConcept(text=topic) if topic else None,
        about=[Reference(reference=f"ServiceRequest/{about}")] if about else None,
        inResponseTo=[first] if first is not None else None,
        sent=at,
        sender=sender,
        recipient=[recipient],
        payload=[CommunicationPayload(contentString=text)],
    )  # fmt: skip


def mark(message: Communication, *, joint: Reference | None, answerable: bool) -> None:
    """Says in whose name it is written too, and whether it can be answered."""
    found = [] if joint is None else [Extension(url=JOINT, valueReference=joint)]
    if not answerable:
        found.append(Extension(url=NO_ANSWER, valueBoolean=True))
    message.extension = found or None


async def conversations(record: Record) -> list[Conversation]:
    """Every conversation of the record, as this reader may see it, the latest first; one query."""
    rows = await record.resources("Communication", limit=MOST, tokens=[_of_the_kind()])
    by_first: dict[str, list[Stored]] = {}
    for row in reversed(rows):
        if row.resource.status != "entered-in-error":
            by_first.setdefault(_first_of(row), []).append(row)
    found = [_conversation(first, rows) for first, rows in by_first.items()]
    return sorted((c for c in found if c is not None), key=lambda c: _when(c.latest), reverse=True)


async def conversation(record: Record, id: str) -> Conversation:
    """One conversation with its tasks; one query. Raises `NoSuchConversation`."""
    here = self_hash("Communication", id)
    wanted = [*_of_the_kind(), *(here ^ place for place in _focus())]
    rows = await record.resources("Communication", "Task", limit=MOST, tokens=[wanted])
    about = [r for r in rows if r.type == "Task"]
    said = [r for r in rows if r.type == "Communication" and _first_of(r) == id and r.resource.status != "entered-in-error"]  # fmt: skip
    found = _conversation(id, said, about)
    if found is None:
        raise NoSuchConversation
    return found


def _conversation(first: str, said: list[Stored], about: list[Stored] | None = None) -> Conversation | None:  # fmt: skip
    """None where the first message is not for this reader."""
    if all(m.id != first for m in said):
        return None
    ordered = sorted(said, key=lambda m: (m.id != first, _when(m)))
    return Conversation(tuple(ordered), tuple(sorted(about or (), key=lambda t: t.resource.authoredOn or "")))  # fmt: skip


def _first_of(row: Stored) -> str:
    named = [r.reference or "" for r in row.resource.inResponseTo or ()]
    return next((n.partition("/")[2] for n in named), row.id)


def _when(row: Stored) -> tuple[str, str]:
    return row.resource.sent or "", row.id


def _extension(resource: Any, url: str) -> Extension | None:
    return next((e for e in resource.extension or () if e.url == url), None)


@cache
def _of_the_kind() -> tuple[int, ...]:
    """The search tokens of every message with a resident."""
    found = parameter("Communication", "category")
    assert found is not None
    return tuple(coded(CATEGORY, RESIDENT)[1] ^ s.number for s in found.slots)


@cache
def _focus() -> tuple[int, ...]:
    found = parameter("Task", "focus")
    assert found is not None
    return tuple(s.number for s in found.slots)
