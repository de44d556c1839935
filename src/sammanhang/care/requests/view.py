"""One care request as both sides see it: state, whose turn, by when, what was written, said and done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.door import Record, Stored
from sammanhang.kernel import clock
from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _, either
from sammanhang.web.people import Person, person_of
from sammanhang.web.routing import Visit
from sammanhang.work import tasks
from sammanhang.work.commands import Colleague, colleagues
from sammanhang.work.routing import proposed
from sammanhang.work.units import Unit, Units, units_of

from . import grounds, roles
from . import request as fhir
from .attachments import Attached, attached
from .contacts import Contact, contacts_of
from .delivery import undelivered_of
from .doing import MAIN, side_of
from .reading import Asked, asked_of
from .receiving import to_come
from .request import Around, around
from .states import NEXT_STEP, STATES, TEXTS, TRANSITIONS, WAITS_ON, possible
from .story import Happened, story_of

LEVELS = ("reminder", "colleague", "head", "operations")


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done now.

    verb    key of TRANSITIONS
    says    the button
    asks    the label of what must be written; empty when one click does it
    main    whether it is the likeliest next act
    """

    verb: str
    says: str
    asks: str
    main: bool


@dataclass(frozen=True, slots=True)
class RequestView:
    """All that is shown of a request.

    id, root     of the request; address of the patient's chart
    person       whom it is about
    kind, state  in words; `code` the state's key
    priority     in words, `urgent` when it is an emergency
    sender, receiver   names of the units, with phone; `asker` the person who sent it
    contacts     whom to call about the patient
    next         the next step, `whose` turn it is, `ours` whether it is ours
    deadline     by when; `late` when it has passed, `up` the step it has gone up to
    owner        who has the next step; empty when nobody has taken it. `taker` who at the receiver has taken it
    reason, question  what was written
    form         the filled-in form, question by question
    attached     what was chosen from the record; what may not be seen is counted in `unseen`
    ground       on what ground it was sent; `consent` whether the receiver may read the sender's record
    story        what was done and said, oldest first
    actions      what can be done now
    draft        it has not been sent
    visit        the planned first visit; None
    colleagues   who can make it; `day`, `time` what is proposed
    near, far    units it can be sent on to: of the patient's municipality, and the others of the kind
    grounds      on what grounds it can be given to another care provider: key and words
    question_now what the sender is asked, while that waits for an answer; empty else
    why_not      why it was a no, or was taken back; empty else
    again        the address where the same is written anew, after a no; empty else
    undelivered  since when the other side's system has not answered; empty
    """

    id: str
    root: str
    person: Person
    kind: str
    state: str
    code: str
    priority: str
    urgent: bool
    sender: Unit | None
    receiver: Unit | None
    asker: str
    contacts: tuple[Contact, ...]
    next: str
    whose: str
    ours: bool
    deadline: datetime | None
    late: bool
    up: str
    owner: str
    taker: str
    reason: str
    question: str
    form: tuple[Asked, ...]
    attached: tuple[Attached, ...]
    unseen: int
    ground: str
    consent: bool
    story: tuple[Happened, ...]
    actions: tuple[Action, ...]
    draft: bool
    visit: tuple[str, str] | None
    colleagues: tuple[Colleague, ...]
    me: str
    day: str
    time: str
    near: tuple[Unit, ...]
    far: tuple[Unit, ...]
    grounds: tuple[tuple[str, str], ...]
    question_now: str
    why_not: str
    again: str
    enrols: str
    undelivered: str
    side: str


async def view_of(visit: Visit, id: str) -> RequestView:
    """Everything one page shows of a request. Raises `NoSuchRequest`."""
    record = visit.opened
    database = visit.services.database
    found = await around(record, id)
    units = await units_of(database)
    r, code = found.request, fhir.state_of(found.request)
    kinds, deadlines = content("routing/requests")["kinds"], content("routing/deadlines")
    kind = kinds.get(fhir.kind_of(r))
    side = side_of(record.actor, r)
    receiver, sender = units.get(fhir.receiver_of(r)), units.get(fhir.sender_of(r)[1])
    main = _main(found, receiver)
    priority = deadlines["priorities"].get(
        r.priority or "routine", deadlines["priorities"]["routine"]
    )
    waits = WAITS_ON[code]
    deadline, level, owner = _waits(found, waits, sender, receiver, main)
    chosen = await attached(record, fhir.attachments_of(r))
    plans = side == "receiver" and "plan" in possible(code, "receiver")
    staff = (
        tuple(await colleagues(record.doors, receiver.id)) if plans and receiver is not None else ()
    )
    day, time = _proposed_time(receiver)
    near, far = _others(units, kind, record, receiver) if side == "receiver" else ((), ())
    story = story_of(found, record, units)
    return RequestView(
        id=id,
        root=f"/patients/{record.patient_id}",
        person=person_of(record.patient, record.facts.protected),
        kind=either(kind["sv"], kind["en"]) if kind else _("Vårdbegäran"),
        state=_(STATES[code]),
        code=code,
        priority=either(priority["sv"], priority["en"]),
        urgent=r.priority == "stat",
        sender=sender,
        receiver=receiver,
        asker=(r.requester.display or "") if r.requester is not None else "",
        contacts=await contacts_of(record),
        next=_(NEXT_STEP[code]),
        whose=(receiver.name if receiver else "") if waits == "receiver" else (sender.name if sender else "") if waits else "",
        ours=waits is not None and waits == side,
        deadline=deadline,
        late=deadline is not None and deadline < clock.now(),
        up=_up(level, deadlines),
        owner=owner,
        taker=_holder(main or _last(found, receiver)),
        reason=fhir.reason_of(r),
        question=fhir.question_of(r),
        form=await asked_of(record, found),
        attached=tuple(a for a in chosen if a is not None),
        unseen=sum(a is None for a in chosen),
        ground=grounds.said(fhir.ground_of(r)),
        consent=receiver is not None and (receiver.provider in record.facts.consented or receiver.provider == fhir.sender_of(r)[0]),
        story=story,
        actions=_actions(code, side, record.actor, found),
        draft=code == "draft",
        visit=_visit(found),
        colleagues=staff,
        me=record.actor.assignment.id if record.actor.assignment is not None else "",
        day=day,
        time=time,
        near=near,
        far=far,
        grounds=grounds.choices(),
        question_now=next((h.words for h in reversed(story) if h.message), "") if code == "more-information" and side == "sender" else "",
        why_not=_why_not(found, code),
        again=f"/patients/{record.patient_id}/requests/new?kind={fhir.kind_of(r)}&as={id}" if code == "rejected" and side == "sender" else "",
        enrols=either(kind["enrols"]["sv"], kind["enrols"]["en"]).lower() if kind and kind.get("enrols") else "",
        undelivered=await undelivered_of(database, found, clock.now()) if side else "",
        side=side or "",
    )  # fmt: skip


def _holder(stored: Stored | None) -> str:
    held = tasks.taken_by(stored.resource) if stored is not None else None
    return (held.display or "") if held is not None else ""


def _last(found: Around, receiver: Unit | None) -> Stored | None:
    """The receiver's task when it is done: the newest at the unit."""
    there = [
        t for t in found.tasks if receiver is not None and tasks.owner_of(t.resource) == receiver.id
    ]
    return next((t for t in reversed(there) if tasks.kind_of(t.resource) in MAIN), None)


def _main(found: Around, receiver: Unit | None) -> Stored | None:
    if receiver is None:
        return None
    return next((t for k in MAIN if (t := found.task_at(receiver.id, k)) is not None), None)


def _waits(
    found: Around,
    waits: str | None,
    sender: Unit | None,
    receiver: Unit | None,
    main: Stored | None,
) -> tuple[datetime | None, int, str]:
    """(deadline, steps gone up, who has it) of the task of the side whose turn it is."""
    stored = main
    if waits == "sender" and sender is not None:
        stored = found.task_at(sender.id, "question") or found.task_at(sender.id, "read")
    if stored is None or waits is None:
        return None, 0, ""
    task = stored.resource
    holder = tasks.taken_by(task)
    return (
        tasks.deadline_of(task),
        tasks.level_of(task),
        (holder.display or "") if holder is not None else "",
    )


def _up(level: int, deadlines: Any) -> str:
    if level < 2:
        return ""
    step = deadlines["steps"][LEVELS[min(level, len(LEVELS)) - 1]]
    return str(either(step["sv"], step["en"]))


def _why_not(found: Around, code: str) -> str:
    """What was written when it was rejected or taken back."""
    verb = {"rejected": "reject", "withdrawn": "withdraw"}.get(code)
    acts = [a.resource for a in found.acts if a.resource.activity is not None]
    told = [a for a in acts if any(c.code == verb for c in a.activity.coding or ())]
    return next((r.text for r in (told[-1].reason or () if told else ()) if r.text), "")


def _actions(code: str, side: str | None, actor: Actor, found: Around) -> tuple[Action, ...]:
    """What can be done, the likeliest first; writing last."""
    if side is None or code == "draft":
        return ()
    receiver, sender = fhir.receiver_of(found.request), fhir.sender_of(found.request)[1]
    visit = found.task_at(receiver, "care-request-visit") is not None
    made = visit and not to_come(found, clock.now())
    open_now = {
        "acknowledge": found.task_at(sender, "read") is not None, "visited": made, "cancel-visit": visit,
    }  # fmt: skip
    likely = {"sent": "accept", "redirected": "accept", "received": "accept", "more-information": "reply", "accepted": "plan",
              "planned": "start" if made else "answer", "in-progress": "answer", "answered": "close",
              "rejected": "acknowledge"}.get(code, "")  # fmt: skip
    verbs = [
        v
        for v in possible(code, "receiver" if side == "receiver" else "sender")
        if roles.may(actor, v) and open_now.get(v, True)
    ]
    order = sorted(
        verbs, key=lambda v: (v != likely, v.startswith("write"), list(TRANSITIONS).index(v))
    )
    return tuple(
        Action(
            v,
            _("Besöket är gjort") if v == "start" and made else _(TRANSITIONS[v].says),
            _(TEXTS[TRANSITIONS[v].text]) if TRANSITIONS[v].text else "",
            v == likely,
        )
        for v in order
    )


def _visit(found: Around) -> tuple[str, str] | None:
    """When the planned visit is, and who makes it."""
    for stored in reversed(found.visits):
        v = stored.resource
        if v.status in ("booked", "arrived", "fulfilled") and v.start:
            names = [
                p.actor.display or ""
                for p in v.participant or ()
                if p.actor is not None and p.actor.display
            ]
            return v.start, ", ".join(names)
    return None


def _proposed_time(unit: Unit | None) -> tuple[str, str]:
    """The next working day of the unit at ten."""
    if unit is None:
        return "", ""
    tomorrow = datetime.combine(clock.today() + timedelta(days=1), datetime.min.time(), STOCKHOLM)
    opens, _closes = next(unit.calendar.spans(tomorrow))
    return opens.astimezone(STOCKHOLM).date().isoformat(), "10:00"


def _others(
    units: Units, kind: Any, record: Record, receiver: Unit | None
) -> tuple[tuple[Unit, ...], tuple[Unit, ...]]:
    """Units of the same kind it can be sent on to: those of the patient's municipality, and the others."""
    if kind is None:
        return (), ()
    near = proposed(units, kind["to"], record.patient, content("routing/requests"))
    every = [u for u in units.by_id.values() if u.kind == kind["to"]["unit"] and u.active]
    far = sorted((u for u in every if u not in near), key=lambda u: u.name)
    own = receiver.id if receiver is not None else ""
    return tuple(u for u in near if u.id != own), tuple(u for u in far if u.id != own)
