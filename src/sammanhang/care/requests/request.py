"""A care request as FHIR: a `ServiceRequest`, with what belongs to it, read and written in one place.

| In FHIR | is |
|---|---|
| `ServiceRequest` | the request; extension `care-request-state` its state, the owner's tags its sender |
| `performer` | the receiving unit; `code` the kind; `reasonCode` why; `orderDetail` what is asked for |
| `supportingInfo` | the filled-in form (`QuestionnaireResponse`) and what was chosen from the record |
| `Task`, `focus` the request | the receiver's work, and the sender's (a question, an answer to read) |
| `Communication`, `about` it | the conversation; `Provenance` what was done, by whom, why |
| `DocumentReference`, `context.related` it | the answer |

All of them carry the tag `shared-with` of the other side (R41): both see the same thing, no copy is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import owner_of
from sammanhang.fhir.indexing import coded, self_hash
from sammanhang.fhir.r4 import CodeableConcept, Coding, Extension, Reference, ServiceRequest
from sammanhang.kernel.content import content
from sammanhang.store.search.parameters import parameter
from sammanhang.work import tasks as work
from sammanhang.work.tasks import instant

from .errors import NoSuchRequest
from .states import REQUEST_STATUS, STATES

_OWN = "http://sammanhang.se/fhir/"
STATE = _OWN + "StructureDefinition/care-request-state"
GROUND = content("rules/disclosure")["ground_url"]
CATEGORY, VARDBEGARAN = _OWN + "CodeSystem/order-category", "vardbegaran"
KIND = _OWN + "CodeSystem/care-request-kind"
STATE_SYSTEM = _OWN + "CodeSystem/care-request-state"
MOST_TEXT = 20_000
# What belongs to a request, and by which search parameter it names it.
_AROUND = (
    ("Task", "focus"), ("Task", "based-on"), ("Communication", "part-of"), ("Communication", "based-on"),
    ("Provenance", "target"), ("DocumentReference", "related"), ("QuestionnaireResponse", "based-on"),
    ("Appointment", "based-on"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Around:
    """A request and everything that belongs to it, as this reader may see it, oldest first."""

    stored: Stored
    request: Any
    tasks: tuple[Stored, ...]
    messages: tuple[Stored, ...]
    acts: tuple[Stored, ...]
    answers: tuple[Stored, ...]
    forms: tuple[Stored, ...]
    visits: tuple[Stored, ...]

    @property
    def reference(self) -> str:
        return f"ServiceRequest/{self.stored.id}"

    def task_at(self, unit: str, kind: str) -> Stored | None:
        """The open task of a kind at a unit, the newest."""
        found = [
            s for s in self.tasks
            if (t := s.resource).status in work.OPEN and work.owner_of(t) == unit and work.kind_of(t) == kind
        ]  # fmt: skip
        return found[-1] if found else None


@cache
def _places() -> tuple[int, ...]:
    found = [parameter(kind, code) for kind, code in _AROUND]
    return tuple(s.number for p in found if p is not None for s in p.slots)


@cache
def _of_the_kind() -> tuple[int, ...]:
    """The search tokens of every vårdbegäran."""
    found = parameter("ServiceRequest", "category")
    assert found is not None
    return tuple(coded(CATEGORY, VARDBEGARAN)[1] ^ s.number for s in found.slots)


async def sent_in(record: Record, limit: int = 200) -> list[Around]:
    """Every request that was sent in a record, as this reader may see it, the newest first, each with its tasks
    and visits alone; two queries, one where there is none."""
    rows = await record.resources("ServiceRequest", limit=limit, tokens=[_of_the_kind()])
    rows = [
        s
        for s in rows
        if s.resource.status != "entered-in-error" and state_of(s.resource) != "draft"
    ]
    if not rows:
        return []
    named = [self_hash("ServiceRequest", s.id) ^ place for s in rows for place in _places()]
    beside: dict[str, list[Stored]] = {}
    for row in await record.resources("Task", "Appointment", tokens=[named]):
        for reference in _names(row.resource):
            beside.setdefault(reference, []).append(row)
    return [_with(s, beside.get(f"ServiceRequest/{s.id}", [])) for s in rows]


def _with(stored: Stored, rows: list[Stored]) -> Around:
    """A request with its tasks and visits, each once, the oldest first."""
    once = sorted({(r.type, r.id): r for r in rows}.values(), key=_when)
    tasks, visits = ([r for r in once if r.type == kind] for kind in ("Task", "Appointment"))
    return Around(stored, stored.resource, tuple(tasks), (), (), (), (), tuple(visits))


def _names(r: Any) -> set[str]:
    """The references of a Task or Appointment to what it is about."""
    focus = getattr(r, "focus", None)
    return {
        x.reference or "" for x in (*([focus] if focus is not None else []), *(r.basedOn or ()))
    }


async def around(record: Record, id: str) -> Around:
    """A request with all that belongs to it; two queries. Raises `NoSuchRequest`."""
    stored = await record.find("ServiceRequest", id)
    if stored is None or not is_care_request(stored.resource) or unsent(stored.resource, record):
        raise NoSuchRequest
    here = self_hash("ServiceRequest", id)
    kinds = tuple(dict.fromkeys(k for k, _ in _AROUND))
    rows = await record.resources(*kinds, tokens=[[here ^ place for place in _places()]])
    by_kind = {k: tuple(sorted((r for r in rows if r.type == k), key=_when)) for k in kinds}
    return Around(
        stored, stored.resource, by_kind["Task"], by_kind["Communication"], by_kind["Provenance"],
        by_kind["DocumentReference"], by_kind["QuestionnaireResponse"], by_kind["Appointment"],
    )  # fmt: skip


def unsent(r: Any, record: Record) -> bool:
    """Whether it is another care provider's draft: nothing has been said yet, so nobody else has it to read."""
    a = record.actor.assignment
    return state_of(r) == "draft" and (a is None or sender_of(r)[0] != a.provider)


def _when(row: Stored) -> tuple[str, str]:
    r = row.resource
    at = (
        getattr(r, "sent", None) or getattr(r, "recorded", None) or getattr(r, "authoredOn", None)
        or getattr(r, "date", None) or getattr(r, "authored", None) or ""
    )  # fmt: skip
    return str(at), row.id


def new_request(patient: str, kind: str, requester: Reference, at: datetime) -> ServiceRequest:
    """A draft of a kind. Raises KeyError for a kind that is not in content/routing/requests."""
    row = content("routing/requests")["kinds"][kind]
    made = ServiceRequest(
        status="draft",
        intent="order",
        category=[concept(CATEGORY, VARDBEGARAN, "Vårdbegäran")],
        code=concept(KIND, kind, row["sv"], text=row["sv"]),
        priority=row.get("priority", "routine"),
        subject=Reference(reference=f"Patient/{patient}"),
        requester=requester,
        authoredOn=instant(at),
    )
    set_state(made, "draft")
    return made


def concept(system: str, code: str, display: str, *, text: str | None = None) -> CodeableConcept:
    return CodeableConcept(coding=[Coding(system=system, code=code, display=display)], text=text)


def is_care_request(r: Any) -> bool:
    """Whether a ServiceRequest is a vårdbegäran."""
    return any(
        c.system == CATEGORY and c.code == VARDBEGARAN for x in r.category or () for c in x.coding or ()
    )  # fmt: skip


def state_of(r: Any) -> str:
    """The state; of one written by another system that has none, what its status says."""
    said = next((e.valueCode for e in r.extension or () if e.url == STATE), None)
    return said or {"draft": "draft", "completed": "answered", "revoked": "withdrawn"}.get(
        r.status, "sent"
    )


def set_state(r: Any, state: str) -> None:
    """The state, and the FHIR status that goes with it."""
    _set_code(r, STATE, state)
    r.status = REQUEST_STATUS[state]


def kind_of(r: Any) -> str:
    """The kind: a key of content/routing/requests; empty for none of ours."""
    codings = (r.code.coding if r.code is not None else None) or ()
    return next((c.code for c in codings if c.system == KIND and c.code), "")


def sender_of(r: Any) -> tuple[str, str]:
    """HSA-ids of the care provider and unit that sent it."""
    return owner_of(r) or ("", "")


def receiver_of(r: Any) -> str:
    """HSA-id of the receiving unit; empty before one is chosen."""
    first = next((p.reference for p in r.performer or () if p.reference), "") or ""
    return first.removeprefix("Organization/")


def set_receiver(r: Any, unit: str, name: str) -> None:
    r.performer = (
        [Reference(reference=f"Organization/{unit}", display=name or None)] if unit else None
    )


def reason_of(r: Any) -> str:
    """Why care is asked for, in words."""
    return next((c.text for c in r.reasonCode or () if c.text), "")


def question_of(r: Any) -> str:
    """What the receiver is asked to do."""
    return next((c.text for c in r.orderDetail or () if c.text), "")


def ground_of(r: Any) -> str:
    """On what ground the request is sent to another care provider; empty before it is sent."""
    return next((e.valueCode for e in r.extension or () if e.url == GROUND and e.valueCode), "")


def set_ground(r: Any, ground: str) -> None:
    _set_code(r, GROUND, ground)


def set_words(r: Any, reason: str, question: str) -> None:
    """Why, and what is asked for."""
    r.reasonCode = [CodeableConcept(text=reason)] if reason else None
    r.orderDetail = [CodeableConcept(text=question)] if question else None


def attachments_of(r: Any) -> list[str]:
    """References to what was chosen from the record."""
    refs = [i.reference for i in r.supportingInfo or () if i.reference]
    return [x for x in refs if not x.startswith("QuestionnaireResponse/")]


def form_of(r: Any) -> str:
    """Reference to the filled-in form; empty when there is none."""
    refs = [i.reference for i in r.supportingInfo or () if i.reference]
    return next((x for x in refs if x.startswith("QuestionnaireResponse/")), "")


def set_supporting(r: Any, form: str, attachments: list[Reference]) -> None:
    form_part = [Reference(reference=form)] if form else []
    r.supportingInfo = [*form_part, *attachments] or None


def business(state: str) -> CodeableConcept:
    """The state as `Task.businessStatus`, for other systems."""
    return concept(STATE_SYSTEM, state, STATES[state])


def _set_code(r: Any, url: str, code: str) -> None:
    kept = [e for e in r.extension or () if e.url != url]
    r.extension = ([*kept, Extension(url=url, valueCode=code)] if code else kept) or None
