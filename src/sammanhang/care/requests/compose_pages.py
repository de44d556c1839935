"""Writing a request: which kind, then one page with who, write and read beside one another. It saves itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from starlette.responses import RedirectResponse, Response
from uuid_utils import uuid7

from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import ReadsOnly
from sammanhang.forms import drafts
from sammanhang.forms.drafts import Draft
from sammanhang.forms.pages import MOST_FIELDS
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refused,
    SammanhangError,
)
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.errors import ChangedMeanwhile
from sammanhang.work.routing import NoSuchKind, kinds_from
from sammanhang.work.units import units_of

from . import request as fhir
from . import retyped, sending
from .compose import Law, compose, form_draft, law_of, remarks_on, written_of
from .doing import side_of
from .duplicates import Already, open_ones, requests_of
from .errors import AlreadySent, NoSuchRequest, NotNow, OtherPatient, SentBefore
from .request import around
from .sending import Written
from .states import OPEN
from .support import Remark, Suggestion, evidence, suggestions


@dataclass(frozen=True, slots=True)
class KindChoice:
    """A kind of request: its address, name, what it is for, why the record speaks for it (None: it says nothing), and
    the open requests of the kind there are already."""

    address: str
    name: str
    says: str
    because: Suggestion | None
    already: tuple[Already, ...]


@dataclass(frozen=True, slots=True)
class ChoosePage:
    """Which kind of request: those the record speaks for first; none when the unit sends none."""

    title: str
    root: str
    person: Person
    unit: str
    kinds: tuple[KindChoice, ...]


@dataclass(frozen=True, slots=True)
class SavedPart:
    """What comes back when a draft has saved itself: when, or why not (`wrong`); what the rules say now, and the law."""

    saved: str
    wrong: str
    remarks: tuple[Remark, ...]
    law: Law
    root: str


@page("/patients/{patient}/requests/new", access="record")
async def new(visit: Visit) -> Response:
    """Which kind; with `?kind=` the page to write on."""
    record = visit.opened
    units = await units_of(visit.services.database)
    a = record.actor.assignment
    kinds = kinds_from(units.get(a.unit) if a is not None else None, record.facts.age)
    if not record.decision.write:
        raise ReadsOnly
    kind = visit.asked("kind")
    if kind in kinds:
        id = str(uuid7())
        draft = await form_draft(record, kind, id)
        written = await _begun(record, kind, kinds[kind].get("priority", ""), visit.asked("as"))
        shown = await compose(record, id, draft, written, fresh=True)
        return render(visit, "requests/compose.html", shown)
    because = {s.kind: s for s in suggestions(await evidence(record), kinds)} if kinds else {}
    there = open_ones(record, await requests_of(record), units) if kinds else []
    choices = [
        KindChoice(f"?kind={k}", either(row["sv"], row["en"]), either(row["says_sv"], row["says_en"]), because.get(k),
                   tuple(x for x in there if x.kind == k))
        for k, row in kinds.items()
    ]  # fmt: skip
    page_ = ChoosePage(
        _("Ny vårdbegäran"), f"/patients/{record.patient_id}", person_of(record.patient, record.facts.protected),
        a.unit_name if a is not None else "", tuple(sorted(choices, key=lambda c: c.because is None)),
    )  # fmt: skip
    return render(visit, "requests/choose.html", page_)


async def _begun(record: Record, kind: str, priority: str, like: str) -> Written:
    """What a new request begins with: nothing, or the words of one of the unit's own that came back with a no."""
    before = await record.find("ServiceRequest", like) if like else None
    if (
        before is None
        or fhir.kind_of(before.resource) != kind
        or fhir.sender_of(before.resource)[1] != _unit(record)
    ):
        return Written(kind, priority=priority)
    r = before.resource
    return Written(kind, priority=r.priority or priority, reason=fhir.reason_of(r), question=fhir.question_of(r))  # fmt: skip


@page("/patients/{patient}/requests/{request}/edit", access="record")
async def edit(visit: Visit) -> Response:
    """A draft taken up again by the unit that writes it. What has been sent is shown instead, and other units' drafts."""
    record, id = visit.opened, visit.request.path_params["request"]
    found = await around(record, id)
    kind = fhir.kind_of(found.request)
    ours = side_of(record.actor, found.request) == "sender"
    if fhir.state_of(found.request) != "draft" or not ours or kind not in _kinds():
        return _shown(record, id)
    if not record.decision.write:
        raise ReadsOnly
    draft = await form_draft(record, kind, id)
    written = written_of(found.request, kind)
    return render(
        visit,
        "requests/compose.html",
        await compose(record, id, draft, written, saved=found.stored),
    )


@page(
    "/patients/{patient}/requests/draft",
    access="record",
    methods=("POST",),
    most_fields=MOST_FIELDS,
)
async def save(visit: Visit) -> Response:
    """Keeps what is on the page, complete or not. Comes by itself as one writes, and from the button without script."""
    record = visit.opened
    id, written = _id(visit), _written(visit)
    if visit.partial:  # the form within saves itself beside
        return await _saved(visit, id, written)
    stored = await _stored(record, id)
    draft = await form_draft(record, written.kind, id)
    try:
        _still_a_draft(stored)
        form = fhir.form_of(stored.resource) if stored is not None else ""
        await sending.save(record, id, replace(written, form=form))
        await drafts.save(record, draft, visit.fields)
    except (Invalid, Conflict) as e:
        return await _again(visit, id, written, _typed(draft, visit), wrong=e, stored=stored)
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}/edit", 303)


async def _saved(visit: Visit, id: str, written: Written) -> Response:
    """Keeps it, and says when, what the rules say of it now, and what the law asks for with its receiver."""
    record = visit.opened
    wrong, status = "", 200
    try:
        await sending.save(record, id, written)
    except (NotNow, ChangedMeanwhile, PreconditionFailed):
        sent = AlreadySent()
        wrong, status = either(sent.sv, sent.en), 409
    except (Invalid, Conflict) as e:
        wrong, status = either(e.sv, e.en), e.status
    said = _("Utkast sparat %(time)s") % {"time": show.time(clock.now())}
    found = remarks_on(await evidence(record), record, written) if not wrong else ()
    law = law_of(await units_of(visit.services.database), record, written)
    part = SavedPart(said, wrong, found, law, f"/patients/{record.patient_id}")
    return render(visit, "requests/saved.html", part, status)


@page(
    "/patients/{patient}/requests/send", access="record", methods=("POST",), most_fields=MOST_FIELDS
)
async def send(visit: Visit) -> Response:
    """Sends. What is missing is said at its place, with everything that was written kept."""
    record, id, form = visit.opened, _id(visit), visit.form
    if form.get("do") == "discard":
        return await _discard(visit, id)
    if form.get("do") != "send":
        return await save(visit)
    written, stored = _written(visit), await _stored(record, id)
    if stored is not None and _sent_just_so(stored.resource, written):
        return _shown(record, id, "send")  # a double click, or the page sent anew
    draft = await form_draft(record, written.kind, id)
    ready = _typed(draft, visit)
    try:
        _still_a_draft(stored)
        ready = await drafts.ready(draft, visit.fields)
        faults, missing = drafts.faults(ready), await sending.missing(record, written)
        if faults or missing:  # all of it is said at once
            return await _again(
                visit, id, written, ready, faults=missing, form_faults=tuple(faults),
                wrong=Invalid("Something is missing before the request can be sent.", "Något saknas innan begäran kan skickas."),
                stored=stored,
            )  # fmt: skip
        await _send(visit, id, written, ready)
    except SentBefore as e:
        return await _again(visit, id, written, ready, wrong=e, stored=stored, instead=e.id)
    except (Invalid, Conflict, Refused) as e:
        now = await _stored(record, id)  # the other click may have been the first
        if now is not None and _sent_just_so(now.resource, written):
            return _shown(record, id, "send")
        return await _again(visit, id, written, ready, wrong=e, stored=now)
    return _shown(record, id, "send")


@page("/patients/{patient}/requests/send", access="record")
async def begin_again(visit: Visit) -> Response:
    """The address after something was missing, opened anew: choosing what to write."""
    return RedirectResponse(f"/patients/{visit.opened.patient_id}/requests/new", 303)


async def _send(visit: Visit, id: str, written: Written, ready: Draft) -> None:
    """Sends, with the counts of what was typed though it was known (M67)."""
    record = visit.opened
    units = await units_of(visit.services.database)
    rows = await requests_of(record)
    same_words = [s.id for s in rows if s.id != id and _goes_on(record, s.resource, written)]
    if same_words and visit.form.get("anyway") != "yes":
        raise SentBefore(same_words[0])
    open_now = open_ones(record, rows, units, id)
    response = drafts.completed(ready)
    same = sum(a.kind == written.kind for a in open_now)
    counts = await retyped.count(ready.record, ready.form, response, same)
    retyped.mark(response, counts)
    await sending.send(
        record, id, written, form=(ready.stored, response), told={"answers": asdict(counts)}
    )


async def _discard(visit: Visit, id: str) -> Response:
    """The draft and its form are thrown away; they stay in the history."""
    record, written = visit.opened, _written(visit)
    stored = await _stored(record, id)
    if stored is not None:
        await sending.discard(record, id)
    await drafts.discard(record, await form_draft(record, written.kind, id))
    return RedirectResponse(f"/patients/{record.patient_id}", 303)


async def _stored(record: Record, id: str) -> Stored | None:
    """The request as it is stored; None before it is. Raises `NoSuchRequest` for what is none of the unit's."""
    stored = await record.find("ServiceRequest", id)
    if stored is None:
        return None
    r = stored.resource
    if not fhir.is_care_request(r) or fhir.sender_of(r)[1] != _unit(record):
        raise NoSuchRequest
    return stored


def _unit(record: Record) -> str:
    a = record.actor.assignment
    return a.unit if a is not None else ""


def _still_a_draft(stored: Stored | None) -> None:
    """Raises `AlreadySent`."""
    if stored is not None and fhir.state_of(stored.resource) != "draft":
        raise AlreadySent


def _sent_just_so(r: Any, written: Written) -> bool:
    """Whether the request has been sent with the very words that come now."""
    words = (" ".join(written.reason.split()), " ".join(written.question.split()))
    sent = (" ".join(fhir.reason_of(r).split()), " ".join(fhir.question_of(r).split()))
    return fhir.state_of(r) != "draft" and words == sent


def _goes_on(record: Record, r: Any, written: Written) -> bool:
    """Whether it is an open request of the unit's own with the very words that come now."""
    ours = fhir.is_care_request(r) and fhir.sender_of(r)[1] == _unit(record)
    return ours and fhir.state_of(r) in OPEN and fhir.kind_of(r) == written.kind and _sent_just_so(r, written)  # fmt: skip


def _typed(draft: Draft, visit: Visit) -> Draft:
    """The form with what stands on the page, whatever has become of the stored one."""
    return drafts.typed(draft, visit.fields)[0]


def _shown(record: Record, id: str, done: str = "") -> Response:
    return RedirectResponse(
        f"/patients/{record.patient_id}/requests/{id}" + (f"?done={done}" if done else ""), 303
    )


async def _again(
    visit: Visit, id: str, written: Written, draft: Draft, *, wrong: SammanhangError, stored: Stored | None,
    instead: str = "", **more: Any,
) -> Response:  # fmt: skip
    """The page once more, with all that was written and what was wrong; `instead` the id of one that was sent before."""
    if type(wrong) is Conflict:  # the id is taken, and not in this record
        wrong = OtherPatient()
    if isinstance(wrong, AlreadySent):  # what is written can still be sent, as another request
        instead, id, stored = id, str(uuid7()), None
        draft = replace(draft, stored=None, about=f"ServiceRequest/{id}")
    shown = await compose(
        visit.opened,
        id,
        draft,
        written,
        wrong=either(wrong.sv, wrong.en),
        instead=f"/patients/{visit.opened.patient_id}/requests/{instead}" if instead else "",
        anyway=isinstance(wrong, SentBefore),
        saved=stored,
        **more,
    )
    return render(visit, "requests/compose.html", shown, wrong.status)


def _kinds() -> Any:
    return content("routing/requests")["kinds"]


def _id(visit: Visit) -> str:
    """The id the page was given when the draft was begun. Raises `NotFound` for one that is none of ours."""
    id = visit.form.get("id", "")
    if not id or len(id) > 64 or not id.replace("-", "").isalnum():
        raise NotFound("There is no such draft.", "Utkastet finns inte.")
    return id


def _written(visit: Visit) -> Written:
    """What stands on the page. Raises `NoSuchKind`."""
    f = visit.form
    if f.get("kind", "") not in _kinds():
        raise NoSuchKind(f.get("kind", ""))
    chosen = dict.fromkeys(
        v for n, v in visit.fields if n == "attach" and v.count("/") == 1 and len(v) < 130
    )
    return Written(
        kind=f["kind"], to=f.get("to", ""), priority=f.get("priority", ""), reason=f.get("reason", ""),
        question=f.get("question", ""), attachments=tuple(chosen)[:60], ground=f.get("ground", ""),
        shares=f.get("shares") == "yes",
    )  # fmt: skip
