"""Writing a request: which kind, then one page with who, write and read beside one another. It saves itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import RedirectResponse, Response
from uuid_utils import uuid7

from sammanhang.access.writing import ReadsOnly
from sammanhang.forms import drafts
from sammanhang.forms.drafts import Draft, DraftChanged, DraftGone
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.routing import NoSuchKind, kinds_from
from sammanhang.work.units import units_of

from . import request as fhir
from . import sending
from .compose import compose, form_draft, remarks_on, written_of
from .request import around
from .sending import Written
from .states import step
from .support import Remark, Suggestion, evidence, suggestions


@dataclass(frozen=True, slots=True)
class KindChoice:
    """A kind of request: its address, name, what it is for, and why the record speaks for it (None: it says nothing)."""

    address: str
    name: str
    says: str
    because: Suggestion | None


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
    """What comes back when a draft has saved itself: when, and what the rules have to say now."""

    saved: str
    remarks: tuple[Remark, ...]
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
        written = Written(kind, priority=kinds[kind].get("priority", ""))
        shown = await compose(record, id, draft, written, fresh=True)
        return render(visit, "requests/compose.html", shown)
    because = {s.kind: s for s in suggestions(await evidence(record), kinds)} if kinds else {}
    choices = [
        KindChoice(f"?kind={k}", either(row["sv"], row["en"]), either(row["says_sv"], row["says_en"]), because.get(k))
        for k, row in kinds.items()
    ]  # fmt: skip
    page_ = ChoosePage(
        _("Ny vårdbegäran"), f"/patients/{record.patient_id}", person_of(record.patient, record.facts.protected),
        a.unit_name if a is not None else "", tuple(sorted(choices, key=lambda c: c.because is None)),
    )  # fmt: skip
    return render(visit, "requests/choose.html", page_)


@page("/patients/{patient}/requests/{request}/edit", access="record")
async def edit(visit: Visit) -> Response:
    """A draft taken up again. One that has been sent is shown instead."""
    record, id = visit.opened, visit.request.path_params["request"]
    found = await around(record, id)
    if fhir.state_of(found.request) != "draft":
        return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}", 303)
    step("send", "draft", "sender")
    kind = fhir.kind_of(found.request)
    draft = await form_draft(record, kind, id)
    return render(
        visit,
        "requests/compose.html",
        await compose(record, id, draft, written_of(found.request, kind)),
    )


@page("/patients/{patient}/requests/draft", access="record", methods=("POST",))
async def save(visit: Visit) -> Response:
    """Keeps what is on the page, complete or not. Comes by itself as one writes, and from the button without script."""
    record = visit.opened
    id, written = _id(visit), _written(visit)
    if visit.partial:  # the form within saves itself beside
        await sending.save(record, id, written)
        return await _saved(visit, written)
    draft = await form_draft(record, written.kind, id)
    try:
        kept = await drafts.save(record, draft, visit.fields)
    except (DraftChanged, DraftGone) as e:
        return await _again(visit, id, written, draft, wrong=either(e.sv, e.en))
    form = f"QuestionnaireResponse/{kept.stored.id}" if kept.stored is not None else ""
    await sending.save(record, id, replace(written, form=form))
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}/edit", 303)


async def _saved(visit: Visit, written: Written) -> Response:
    """When it was saved, and what the rules say of it now."""
    record = visit.opened
    said = _("Utkast sparat %(time)s") % {"time": show.time(clock.now())}
    part = SavedPart(
        said, remarks_on(await evidence(record), record, written), f"/patients/{record.patient_id}"
    )
    return render(visit, "requests/saved.html", part)


@page("/patients/{patient}/requests/send", access="record", methods=("POST",))
async def send(visit: Visit) -> Response:
    """Sends. What is missing is said at its place, with everything that was written kept."""
    record, id, form = visit.opened, _id(visit), visit.form
    if form.get("do") == "discard":
        await sending.discard(record, id)
        return RedirectResponse(f"/patients/{record.patient_id}", 303)
    if form.get("do") == "save" or any(n.endswith("~do") for n, _v in visit.fields):
        return await save(visit)
    written = _written(visit)
    draft = await form_draft(record, written.kind, id)
    try:
        ready = await drafts.ready(draft, visit.fields)
        faults, missing = drafts.faults(ready), await sending.missing(record, written)
        if faults or missing:  # all of it is said at once
            return await _again(
                visit, id, written, ready, faults=missing, form_faults=tuple(faults),
                wrong=_("Något saknas innan begäran kan skickas."),
            )  # fmt: skip
        await sending.send(record, id, written, form=(ready.stored, drafts.completed(ready)))
    except (Invalid, Conflict) as e:
        return await _again(visit, id, written, draft, wrong=either(e.sv, e.en))
    return RedirectResponse(f"/patients/{record.patient_id}/requests/{id}?done=send", 303)


async def _again(visit: Visit, id: str, written: Written, draft: Draft, **more: Any) -> Response:
    shown = await compose(visit.opened, id, draft, written, **more)
    return render(visit, "requests/compose.html", shown, 400)


def _id(visit: Visit) -> str:
    """The id the page was given when the draft was begun. Raises `NotFound` for one that is none of ours."""
    id = visit.form.get("id", "")
    if not id or len(id) > 64 or not id.replace("-", "").isalnum():
        raise NotFound("There is no such draft.", "Utkastet finns inte.")
    return id


def _written(visit: Visit) -> Written:
    """What stands on the page. Raises `NoSuchKind`."""
    f = visit.form
    if f.get("kind", "") not in content("routing/requests")["kinds"]:
        raise NoSuchKind(f.get("kind", ""))
    chosen = dict.fromkeys(
        v for n, v in visit.fields if n == "attach" and v.count("/") == 1 and len(v) < 130
    )
    return Written(
        kind=f["kind"], to=f.get("to", ""), priority=f.get("priority", ""), reason=f.get("reason", ""),
        question=f.get("question", ""), attachments=tuple(chosen)[:60], ground=f.get("ground", ""),
        shares=f.get("shares") == "yes",
    )  # fmt: skip
