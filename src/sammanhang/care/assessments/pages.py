"""Assessing a patient: choose an instrument, fill it in, see the score as one goes, sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang import forms
from sammanhang.access.door import Record, Stored
from sammanhang.forms import Form, FormView, drafts
from sammanhang.forms.answers import acted
from sammanhang.forms.drafts import Draft, DraftChanged, DraftGone
from sammanhang.forms.files import MOST_FILES
from sammanhang.forms.library import of_content
from sammanhang.forms.pages import CHECKED, MOST_FIELDS
from sammanhang.forms.reading import Line, lines_of
from sammanhang.forms.remarks import Remark, mark_of
from sammanhang.forms.results import instruments
from sammanhang.forms.scoring import bands_of
from sammanhang.kernel.errors import NotFound, TextMissing, TextTooLong
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.parties import names_of
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from .commands import VOIDED, WRONG, AgainstRecord, Unanswered, derived_from, may_void, sign, void
from .errors import AlreadyVoided, NoSuchAssessment, NoSuchInstrument
from .queries import Assessed, assessed, rows_of


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument that can be filled in: its name, what it is, and when a draft of it was saved."""

    name: str
    title: str
    what: str
    draft: str


@dataclass(frozen=True, slots=True)
class AssessmentsPage:
    """Instruments, and what was assessed before.

    root    address of the patient's chart
    person  whose record it is
    may     whether the reader may assess
    """

    title: str
    root: str
    person: Person
    may: bool
    instruments: tuple[Instrument, ...]
    earlier: tuple[Assessed, ...]


@dataclass(frozen=True, slots=True)
class AssessPage:
    """One instrument being filled in.

    form      its fields, and the score as one goes
    latest    the one before, if any
    conflict  why it was not saved, when somebody else was first
    remarks   where the answers go against the record; `seen` tells them from others
    """

    title: str
    root: str
    address: str
    person: Person
    form: FormView
    source: str
    latest: Assessed | None
    conflict: str
    remarks: tuple[Remark, ...]
    seen: str


@dataclass(frozen=True, slots=True)
class Voided:
    """That a signed assessment does not count: who said so, when (FHIR time) and why."""

    who: str
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class SignedPage:
    """A signed assessment: what was answered, by whom, by which version, and what it came to.

    voided   who voided it; None while it counts
    may      whether the reader may void it
    refused  why it was not voided; `typed` the reason as it was written
    """

    title: str
    root: str
    person: Person
    lines: tuple[Line, ...]
    who: str
    at: str
    version: str
    results: tuple[Assessed, ...]
    action: str
    address: str
    voided: Voided | None
    may: bool
    refused: str
    typed: str


@page("/patients/{patient}/assessments", access="record")
async def assessments(visit: Visit) -> Response:
    """Instruments to choose from, drafts, and earlier assessments."""
    record = visit.opened
    observations, begun = await rows_of(record)
    names = await names_of(record, observations)
    a = record.actor.assignment
    unit = await record.doors.database.party(a.unit) if a is not None else None
    saved = {
        (d.resource.questionnaire or "").partition("|")[0]: show.when(d.updated) for d in reversed(begun) if d.unit == unit
    }  # fmt: skip
    offered = tuple(
        Instrument(f.name, str(f.title), str(f.description), saved.get(f.url, ""))
        for f in instruments()
    )
    shown = AssessmentsPage(
        _("Bedömningar"), _root(record), _person(record), record.decision.write, offered,
        tuple(assessed(observations, names)),
    )  # fmt: skip
    return render(visit, "assessments/assessments.html", shown)


@page("/patients/{patient}/assessments/{form}", access="record")
async def assess(visit: Visit) -> Response:
    """The unit's draft of an instrument, or a new one with what the record says already filled in."""
    draft = await drafts.open(visit.opened, _instrument(visit))
    return await _show(visit, draft)


@page(
    "/patients/{patient}/assessments/{form}",
    access="record",
    methods=("POST",),
    most_fields=MOST_FIELDS,
    files=MOST_FILES,
)
async def save_or_sign(visit: Visit) -> Response:
    """Saves the draft, throws it away, or signs it. What is missing is said on the page, with all that was typed."""
    record, form = visit.opened, _instrument(visit)
    draft = await drafts.open(record, form)
    do, root = visit.form.get("do"), f"{_root(record)}/assessments"
    if do == "discard":
        await drafts.discard(record, draft)
        return RedirectResponse(root, 303)
    asked = acted(visit.fields)
    try:
        if do != "sign" or asked is not None:
            draft = await drafts.save(record, draft, visit.fields, files=visit.files)
            if asked is not None and asked[0] == "search":
                searched = {asked[1]: visit.form.get(f"{asked[1]}.search", "")}
                return await _show(visit, draft, searched=searched)
            return RedirectResponse(root if do == "save" else f"{root}/{form.name}", 303)
        if any(f.size for _name, f in visit.files):
            draft = await drafts.save(record, draft, visit.fields, files=visit.files)
        draft = await drafts.ready(draft, visit.fields)
        id = await sign(record, draft, visit.form.get("seen", ""))
        return RedirectResponse(f"{root}/signed/{id}", 303)
    except Unanswered:
        draft = await drafts.save(record, draft, visit.fields)
        return await _show(visit, draft, checked=True, status=422)
    except AgainstRecord as e:
        draft = await drafts.save(record, draft, visit.fields)
        return await _show(visit, draft, checked=True, status=422, remarks=tuple(e.remarks))
    except (DraftChanged, DraftGone) as e:
        draft, _tree = drafts.typed(draft, visit.fields)
        return await _show(visit, draft, conflict=either(e.sv, e.en), status=409)


@page("/patients/{patient}/assessments/signed/{response}", access="record")
async def signed(visit: Visit) -> Response:
    """What was answered, as it was signed, by the version it was filled in by."""
    return await _signed(visit, await _response(visit))


@page("/patients/{patient}/assessments/signed/{response}", access="record", methods=("POST",))
async def void_signed(visit: Visit) -> Response:
    """Voids a signed assessment; why it cannot be is said on its page."""
    reason = visit.form.get("reason", "")
    try:
        await void(visit.opened, await _response(visit), reason)
    except (AlreadyVoided, TextMissing, TextTooLong) as e:
        again = await _response(visit)
        return await _signed(
            visit, again, refused=either(e.sv, e.en), typed=reason, status=e.status
        )
    return RedirectResponse(visit.request.url.path, 303)


async def _response(visit: Visit) -> Stored:
    """The signed response of the address. Raises `NoSuchAssessment`."""
    id = visit.request.path_params["response"]
    row = await visit.opened.find("QuestionnaireResponse", id)
    if row is None or row.resource.status not in ("completed", "amended", WRONG):
        raise NoSuchAssessment
    return row


async def _signed(
    visit: Visit, row: Stored, *, refused: str = "", typed: str = "", status: int = 200
) -> Response:
    record, response = visit.opened, row.resource
    try:
        form = await forms.find(record.doors.database, response.questionnaire or "")
    except NotFound:
        raise NoSuchAssessment from None
    own = await derived_from(record, row.id)
    results = tuple(assessed(own, await names_of(record, own)))
    action = next((str(b.action) for i in form.index.values() for b in bands_of(i) if results and str(b.text) == results[0].said), "")  # fmt: skip
    root = _root(record)
    shown = SignedPage(
        str(form.title), root, _person(record), tuple(lines_of(form, response)),
        response.author.display or "" if response.author is not None else "", response.authored or "",
        form.version, results, action, f"{root}/assessments/signed/{row.id}", _voided(response),
        may_void(record, response), refused, typed,
    )  # fmt: skip
    return render(visit, "assessments/signed.html", shown, status)


def _voided(response: Any) -> Voided | None:
    if response.status != WRONG:
        return None
    mark = next((e for e in response.extension or () if e.url == VOIDED), None)
    parts = {p.url: p for p in (mark.extension if mark is not None else None) or ()}
    if not parts:
        return Voided("", "", "")
    return Voided(
        parts["by"].valueReference.display or "",
        parts["at"].valueDateTime or "",
        parts["reason"].valueString or "",
    )


def _instrument(visit: Visit) -> Form:
    form = of_content(visit.request.path_params["form"])
    if form is None or form.name not in {f.name for f in instruments()}:
        raise NoSuchInstrument
    return form


async def _show(
    visit: Visit, draft: Draft, *, checked: bool = False, conflict: str = "", status: int = 200,
    searched: dict[str, str] | None = None, remarks: tuple[Remark, ...] = (),
) -> Response:  # fmt: skip
    record, form = visit.opened, draft.form
    checked = checked or visit.form.get(CHECKED) == "yes"
    faults = drafts.faults(draft)
    if not checked:
        faults = [f for f in faults if f.code != "required"]
    observations, _begun = await rows_of(record)
    names = await names_of(record, observations)
    latest = next(
        (a for a in assessed(observations, names) if a.form == form.name and not a.voided), None
    )
    root = _root(record)
    shown = AssessPage(
        str(form.title), root, f"{root}/assessments/{form.name}", _person(record),
        drafts.show(draft, faults=faults, searched=searched, checked=checked), form.copyright, latest, conflict,
        remarks, mark_of(remarks),
    )  # fmt: skip
    return render(visit, "assessments/assess.html", shown, status)


def _root(record: Record) -> str:
    return f"/patients/{record.patient_id}"


def _person(record: Record) -> Person:
    return person_of(record.patient, record.facts.protected)
