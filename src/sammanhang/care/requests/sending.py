"""What the sender does with a care request: writes it, sends it, answers questions, takes it back, closes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from uuid_utils import uuid7

from sammanhang.access import consents
from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import encode
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import TextTooLong
from sammanhang.kernel.i18n import _
from sammanhang.work import tasks
from sammanhang.work.commands import myself
from sammanhang.work.deadlines import PRIORITIES
from sammanhang.work.routing import NoSuchKind, Routed, kinds_from, route
from sammanhang.work.units import units_of

from . import grounds, roles
from . import request as fhir
from .doing import Doing, again_once, begin, side_of
from .errors import Incomplete, NoSuchRequest, OtherPatient
from .request import Around, around
from .states import step


@dataclass(frozen=True, slots=True)
class Written:
    """What the sender has written and chosen.

    kind         key of content/routing/requests
    to           HSA-id of the receiving unit; empty for the one that routing proposes
    priority     `stat`, `asap`, `urgent`, `routine`
    reason       why care is asked for
    question     what the receiver is asked to do
    attachments  references to what was chosen from the record
    form         reference to the filled-in QuestionnaireResponse; empty for none
    ground       on what ground it is sent to another care provider: `samtycke` or a key of rules/disclosure
    shares       the person consents to the receiver reading the record (SVOD 3:1), and was told first
    """

    kind: str
    to: str = ""
    priority: str = "routine"
    reason: str = ""
    question: str = ""
    attachments: tuple[str, ...] = ()
    form: str = ""
    ground: str = ""
    shares: bool = False


async def save(record: Record, id: str, written: Written, *, base: Any = None) -> str:
    """Keeps a draft as it is, complete or not; returns its id. `id` is that of the draft, or a new one's; `base` is
    the ServiceRequest another system made it of.

    Raises `NotNow` for one that has been sent, `OtherPatient`, `NoSuchKind`, `TextTooLong`, `ReadsOnly`.
    """
    changes = Changes.by(record)
    stored = await record.find("ServiceRequest", id) if id else None
    if stored is None:
        draft = _new(record, written, base)
        _fill(draft, written)
        made = changes.create(draft, id=id or str(uuid7()))
        await changes.commit("request-draft")
        return (made.reference or "").removeprefix("ServiceRequest/")
    draft = stored.resource
    if _not_ours(record, draft):
        raise NoSuchRequest
    step("send", fhir.state_of(draft), "sender")
    before = encode(draft)
    _fill(draft, written)
    if encode(draft) != before:
        changes.update(stored, draft, sent_to=())
        await changes.commit("request-draft")
    return id


async def discard(record: Record, id: str) -> None:
    """A draft that came to nothing: kept in the history, gone from the lists. Raises `NoSuchRequest`, `NotNow`."""
    found = await around(record, id)
    if side_of(record.actor, found.request) != "sender":
        raise NoSuchRequest
    step("send", fhir.state_of(found.request), "sender")
    found.request.status = "entered-in-error"
    changes = Changes.by(record)
    changes.update(found.stored, found.request, sent_to=())
    await changes.commit("request-discard")


def _new(record: Record, written: Written, base: Any = None) -> Any:
    if written.kind not in content("routing/requests")["kinds"]:
        raise NoSuchKind(written.kind)
    if base is not None:  # its identifiers and codes stay as they are
        fhir.set_state(base, "draft")
        base.requester = base.requester or myself(record.actor)
        return base
    return fhir.new_request(record.patient_id, written.kind, myself(record.actor), clock.now())


def _not_ours(record: Record, draft: Any) -> bool:
    """Whether it is no draft of the person's unit: another unit's request, or an order of another sort."""
    return not fhir.is_care_request(draft) or side_of(record.actor, draft) != "sender"


def filled(record: Record, written: Written) -> Any:
    """A request with what is written so far, not stored: for the rules to look at. Raises `NoSuchKind`."""
    draft = _new(record, written)
    _fill(draft, written)
    return draft


def _fill(draft: Any, written: Written) -> None:
    """Puts what was written into a draft; incomplete is allowed, too long is not."""
    if max(len(written.reason), len(written.question)) > fhir.MOST_TEXT:
        raise TextTooLong(fhir.MOST_TEXT)
    words = written.reason.strip(), written.question.strip()
    if words != (fhir.reason_of(draft), fhir.question_of(draft)):
        fhir.set_words(draft, *words)
    draft.priority = written.priority if written.priority in PRIORITIES else None
    fhir.set_receiver(draft, written.to, "")
    fhir.set_ground(draft, written.ground)
    if (written.form, list(written.attachments)) != (
        fhir.form_of(draft),
        fhir.attachments_of(draft),
    ):
        fhir.set_supporting(
            draft, written.form, [Reference(reference=a) for a in written.attachments]
        )


@again_once
async def send(
    record: Record, id: str, written: Written, *, form: tuple[Stored | None, Any] | None = None, base: Any = None,
    told: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """Sends: the request, the receiver's task with its deadline, what is told, as one. Returns the id.

    `form` is the filled-in form, completed, and its draft when there is one; `base` as in `save`; `told` goes into
    the trace. Raises `Incomplete` with what is missing
    field by field, `NotNow` when it has been sent already, and what routing raises.
    """
    stored = await record.find("ServiceRequest", id) if id else None
    draft = stored.resource if stored is not None else _new(record, written, base)
    if (draft.subject.reference or "") != f"Patient/{record.patient_id}":
        raise OtherPatient
    if stored is not None and _not_ours(record, draft):
        raise NoSuchRequest
    transition = step("send", fhir.state_of(draft), "sender")
    roles.check(record.actor, "send")
    units = await units_of(record.doors.database)
    own = units.get(record.actor.assignment.unit) if record.actor.assignment is not None else None
    if written.kind not in kinds_from(own, record.facts.age):
        raise NoSuchKind(written.kind)
    now = clock.now()
    routed = route(units, written.kind, record.patient, now, written.to)
    faults = _missing(written, own.provider if own is not None else "", routed.unit.provider)
    if faults:
        raise Incomplete(faults)
    changes, to, id = Changes.by(record), [routed.unit.provider], id or str(uuid7())
    if form is not None:
        written = replace(written, form=_with_form(changes, id, to, *form))
    _fill(draft, written)
    fhir.set_receiver(draft, routed.unit.id, routed.unit.name)
    fhir.set_state(draft, "sent")
    draft.authoredOn = tasks.instant(now)
    if base is None:
        draft.requester = myself(record.actor)
    if stored is None:
        changes.create(draft, id=id, sent_to=to)
    else:
        changes.update(stored, draft, sent_to=to)
    if written.shares:
        changes.create(consents.shared_by(record, routed.unit.provider))
    found = Around(_stored(stored, id), draft, (), (), (), (), (), ())
    d = Doing(record, found, "send", "sender", transition, changes, units, now, "")
    kind = "care-request" if routed.routed else "distribute"
    d.make(kind, routed.unit, routed.function)
    d.tell(_why_there(routed), routed.unit.name)
    await d.done(**(told or {}))
    return id


def _why_there(routed: Routed) -> str:
    """Why it went to another than was chosen; empty when it did not."""
    if not routed.routed:
        return _("Ingen regel ledde till en mottagare")
    if routed.wanted is None:
        return ""
    return _("%(unit)s tar inte emot nu") % {"unit": routed.wanted.name}


def _with_form(
    changes: Changes, id: str, to: list[str], draft: Stored | None, response: Any
) -> str:
    """The filled-in form goes with the request; returns its reference."""
    response.basedOn = [Reference(reference=f"ServiceRequest/{id}")]
    if draft is None:
        return changes.create(response, sent_to=to).reference or ""
    response.meta = draft.resource.meta
    changes.update(draft, response, sent_to=to)
    return f"QuestionnaireResponse/{draft.id}"


def _stored(stored: Stored | None, id: str) -> Stored:
    """What a new request is known by before it is stored."""
    return stored or Stored("ServiceRequest", id, 0, clock.now(), None, None, b"")


async def missing(record: Record, written: Written) -> dict[str, str]:
    """What a request lacks before it can be sent, by field. Raises what routing raises."""
    units = await units_of(record.doors.database)
    routed = route(units, written.kind, record.patient, clock.now(), written.to)
    a = record.actor.assignment
    return _missing(written, a.provider if a is not None else "", routed.unit.provider)


def _missing(written: Written, own: str, receiver: str) -> dict[str, str]:
    faults = {}
    if not written.reason.strip():
        faults["reason"] = _("Skriv varför du skickar begäran.")
    if not written.question.strip():
        faults["question"] = _("Skriv vad du vill att mottagaren gör.")
    if written.priority not in PRIORITIES:
        faults["priority"] = _("Välj hur bråttom det är.")
    if own != receiver and not grounds.known(written.ground):
        faults["ground"] = _("Välj på vilken grund uppgifterna lämnas till en annan vårdgivare.")
    return faults


@again_once
async def reply(record: Record, id: str, text: str) -> None:
    """The question is answered: the receiver's clock begins anew."""
    d = await begin(record, id, "reply", text)
    d.say(d.text)
    d.finish("question", d.sender[1])
    d.turn_main("received", renew=True)
    d.tell(d.text)
    d.move("received")
    await d.done()


@again_once
async def withdraw(record: Record, id: str, reason: str) -> None:
    """Taken back before it was accepted. Who had received it is told."""
    d = await begin(record, id, "withdraw", reason)
    seen = fhir.state_of(d.request) in ("received", "more-information")
    d.turn_main("withdrawn", reason=d.text)
    d.finish("question", d.sender[1])
    if seen:
        d.make("read", d.receiver, "vem-som-helst")
    d.tell(d.text)
    d.move("withdrawn")
    await d.done()


@again_once
async def acknowledge(record: Record, id: str) -> None:
    """Why it was a no has been read: it is no longer anybody's to read."""
    d = await begin(record, id, "acknowledge")
    d.finish("read", d.sender[1])
    d.tell()
    await d.done()


@again_once
async def close(record: Record, id: str) -> None:
    """The answer has been read: nothing more is waited for."""
    d = await begin(record, id, "close")
    d.finish("read", d.sender[1])
    d.tell()
    d.move("closed")
    await d.done()


@again_once
async def write(record: Record, id: str, text: str) -> None:
    """A message to the other side, from either; theirs to read."""
    found = await around(record, id)
    side = side_of(record.actor, found.request)
    d = await begin(record, id, "write-back" if side == "receiver" else "write", text)
    d.say(d.text)
    if d.side == "sender":
        d.make("message", d.receiver, "vem-som-helst")
    else:
        d.make_for_sender("message")
    d.tell()
    await d.done()
