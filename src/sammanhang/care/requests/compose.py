"""What the page on which a request is written shows: the form, what the record says, who it goes to, on what ground."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs

from sammanhang import forms
from sammanhang.access.door import Record, Stored
from sammanhang.fhir.dates import bounds
from sammanhang.forms import FormView, drafts
from sammanhang.forms.drafts import Draft
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Issue
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.parties import names_of
from sammanhang.web.people import Person, person_of
from sammanhang.work.deadlines import PRIORITIES
from sammanhang.work.routing import NowhereToGo, Routed, proposed, route
from sammanhang.work.units import Unit, Units, units_of

from . import request as fhir
from . import roles
from .attachments import KINDS, TYPES, Attached, line
from .duplicates import Already, open_ones
from .grounds import choices
from .sending import Written, filled
from .support import Evidence, Remark, evidence_of, remarks

ASSESSED_DAYS = 365
MOST_READ = 500
# Of each group so many stand open; the rest are one click away.
SHOWN = 3
_SURVEY = "survey"


@dataclass(frozen=True, slots=True)
class Pick:
    """Something of the record that may go with the request, whether it is chosen, and whether it is shown at once."""

    thing: Attached
    chosen: bool
    near: bool


@dataclass(frozen=True, slots=True)
class Law:
    """What the law asks for with the receiver that is chosen.

    other      it goes to another care provider: a ground is needed
    receiver   name of the unit; `closed` of the one that was chosen, when another stands in for it
    grounds    those there are: key and words; `ground` the chosen one
    consented  the receiver may read the sender's record; `shares` that is consented to now
    """

    other: bool
    receiver: str
    closed: str
    grounds: tuple[tuple[str, str], ...]
    ground: str
    consented: bool
    shares: bool


@dataclass(frozen=True, slots=True)
class ComposePage:
    """A request being written.

    title, root  the headline; address of the patient's chart
    person       whom it is about; `deadly` what must not be missed
    id, kind     of the draft; key and name of the kind
    unit         in whose name it is written
    to           units it may go to, the likeliest first; `why` the rule that found it, `reached` whether one did
    priorities   key, name and what it means
    written      what is written so far
    form         the kind's own form
    remarks      what is missing and what contradicts itself
    picks        what may go with it, in groups
    law          on what ground it goes to the receiver
    already      open requests of the same kind for the patient
    may_send     whether the person's role sends; one who does not saves a draft for a colleague
    stored       whether the draft has been saved
    faults       what is wrong, by field; `wrong` in one sentence, `instead` the address of what was sent before
    saved        when the draft was saved, in words
    """

    title: str
    root: str
    person: Person
    deadly: tuple[str, ...]
    id: str
    kind: str
    kind_name: str
    unit: str
    to: tuple[Unit, ...]
    why: str
    reached: bool
    priorities: tuple[tuple[str, str, str], ...]
    written: Written
    form: FormView
    remarks: tuple[Remark, ...]
    picks: tuple[tuple[str, tuple[Pick, ...]], ...]
    law: Law
    already: tuple[Already, ...]
    may_send: bool
    stored: bool
    faults: dict[str, str] = field(default_factory=dict)
    wrong: str = ""
    instead: str = ""
    anyway: bool = False
    saved: str = ""


WHY = {
    "home-municipality": N_("Patientens hemkommun"), "listed": N_("Vårdcentralen där patienten är listad"),
    "hospital-area": N_("Akutsjukhuset för patientens hemkommun"),
}  # fmt: skip


async def form_draft(record: Record, kind: str, id: str) -> Draft:
    """The kind's own form, as it has been filled in so far. Raises KeyError for a kind that is not there."""
    name = content("routing/requests")["kinds"][kind]["form"]
    form = await forms.find(record.doors.database, name)
    if (
        record.facts.protected
    ):  # where someone with protected identity lives and is reached goes into no request
        record = replace(record, patient=_out_of_reach(record.patient))
    return await drafts.open(record, form, about=f"ServiceRequest/{id}")


def _out_of_reach(patient: Any) -> Any:
    """A copy of a Patient without name, address, telephone and contacts (OSL 22 kap. 1 §)."""
    return structs.replace(patient, name=None, address=None, telecom=None, contact=None)


async def compose(
    record: Record, id: str, draft: Draft, written: Written, *, faults: dict[str, str] | None = None,
    wrong: str = "", form_faults: tuple[Issue, ...] = (), fresh: bool = False, instead: str = "",
    saved: Stored | None = None, anyway: bool = False,
) -> ComposePage:  # fmt: skip
    """The page. `fresh` for one that has just been begun: what usually goes with it is chosen beforehand; `saved` is
    the draft as it is stored; `anyway` means that sending once more sends the same again."""
    rows = await record.resources(*_READ, limit=MOST_READ)
    rows += await record.resources(
        "Observation", limit=MOST_READ
    )  # they are many: each has its own share
    names = await names_of(record, rows)
    found = evidence_of(
        record.patient,
        [r for r in rows if r.type != "Observation"],
        [r for r in rows if r.type == "Observation"],
    )
    units = await units_of(record.doors.database)
    kinds, rules = content("routing/requests")["kinds"], content("routing/deadlines")
    row = kinds[written.kind]
    routed, to = _receivers(units, record, written)
    written = _with_defaults(written, rows, routed, fresh)
    own = record.actor.assignment
    person = person_of(record.patient, record.facts.protected)
    return ComposePage(
        title=f"{person.name} – {_('Ny vårdbegäran')}",
        root=f"/patients/{record.patient_id}",
        person=person,
        deadly=_deadly(found),
        id=id,
        kind=written.kind,
        kind_name=either(row["sv"], row["en"]),
        unit=own.unit_name if own is not None else "",
        to=to,
        why=_why(routed),
        reached=routed is not None and routed.routed,
        priorities=tuple(
            (p, either(x["sv"], x["en"]), either(x["means_sv"], x["means_en"]))
            for p in PRIORITIES
            if (x := rules["priorities"][p])
        ),
        written=written,
        form=drafts.show(draft, faults=form_faults, checked=bool(form_faults)),
        remarks=remarks_on(found, record, written),
        picks=_picks(rows, names, record.patient_id, set(written.attachments)),
        law=law_of(units, record, written),
        already=tuple(a for a in open_ones(record, rows, units, id) if a.kind == written.kind),
        may_send=roles.may(record.actor, "send"),
        stored=saved is not None,
        faults=faults or {},
        wrong=wrong,
        instead=instead,
        anyway=anyway,
        saved=_("Utkast sparat %(time)s") % {"time": show.time(saved.updated)}
        if saved is not None
        else "",
    )


_READ = tuple(
    dict.fromkeys(
        (
            *(t for t in TYPES if t != "Observation"),
            "MedicationStatement",
            "Flag",
            "AllergyIntolerance",
            "RelatedPerson",
            "ServiceRequest",
        )
    )
)


def remarks_on(found: Evidence, record: Record, written: Written) -> tuple[Remark, ...]:
    """What the rules have to say of what is written so far."""
    short = replace(
        written,
        reason=written.reason[: fhir.MOST_TEXT],
        question=written.question[: fhir.MOST_TEXT],
    )
    return tuple(remarks(found, filled(record, short), written.kind))


def _why(routed: Routed | None) -> str:
    """By which rule it goes where it goes, in words."""
    if routed is None:
        return ""
    if routed.wanted is not None:
        return _("Tar emot i stället för %(unit)s") % {"unit": routed.wanted.name}
    return _(WHY[routed.why]) if routed.why in WHY else ""


def law_of(units: Units, record: Record, written: Written) -> Law:
    """What the law asks for with who gets it: the receiver written down, or who stands in for it."""
    unit, own, closed = units.get(written.to), record.actor.assignment, ""
    if unit is not None:
        with suppress(NowhereToGo, Invalid):
            routed = route(units, written.kind, record.patient, clock.now(), written.to)
            if routed.wanted is not None:
                unit, closed = routed.unit, routed.wanted.name
    return Law(
        other=unit is not None and own is not None and unit.provider != own.provider,
        receiver=unit.name if unit is not None else "",
        closed=closed,
        grounds=choices(),
        ground=written.ground,
        consented=unit is not None and unit.provider in record.facts.consented,
        shares=written.shares,
    )


def _receivers(
    units: Units, record: Record, written: Written
) -> tuple[Routed | None, tuple[Unit, ...]]:
    """Where it would go, and every unit one may choose instead."""
    rules = content("routing/requests")
    try:
        routed: Routed | None = route(units, written.kind, record.patient, clock.now())
    except NowhereToGo:
        routed = None
    near = proposed(units, rules["kinds"][written.kind]["to"], record.patient, rules)
    first = [routed.unit] if routed is not None and routed.routed else []
    found = list(dict.fromkeys([*first, *(u for u in near if u.active)]))
    if not found:
        kind = rules["kinds"][written.kind]["to"]["unit"]
        found = sorted(
            (u for u in units.by_id.values() if u.kind == kind and u.active), key=lambda u: u.name
        )
    return routed, tuple(found)


def _with_defaults(
    written: Written, rows: list[Stored], routed: Routed | None, fresh: bool
) -> Written:
    """The proposed receiver; and with a fresh one the assessments of the last year and the latest note."""
    if not written.to and routed is not None and routed.routed:
        written = replace(written, to=routed.unit.id)
    if not fresh:
        return written
    since = clock.today().toordinal() - ASSESSED_DAYS
    chosen, seen, note = [], set(), ""
    for row in rows:
        if row.type == "Observation" and _assessment(row.resource):
            key = row.resource.code.coding[0].code if row.resource.code.coding else row.id
            at = row.resource.effectiveDateTime or ""
            if key not in seen and at and _ordinal(at) >= since:
                seen.add(key)
                chosen.append(f"Observation/{row.id}")
        elif row.type == "DocumentReference" and not note:
            note = f"DocumentReference/{row.id}"
    return replace(written, attachments=tuple([*chosen, *([note] if note else [])]))


def _ordinal(at: str) -> int:
    return bounds(at)[0].toordinal()


def _assessment(o: Any) -> bool:
    return any(c.code == _SURVEY for x in o.category or () for c in x.coding or ())


def _picks(
    rows: list[Stored], names: dict[int, str], patient: str, chosen: set[str]
) -> tuple[tuple[str, tuple[Pick, ...]], ...]:
    """What may go with the request: the latest of each group, what has ended left out."""
    made = []
    for _key, name, types, most in KINDS:
        found = [r for r in rows if r.type in types and _in_use(r)]
        if "Observation" in types:
            seen: set[str] = set()
            latest = []
            for r in found:
                code = r.resource.code.coding[0].code if r.resource.code.coding else r.id
                if code not in seen:
                    seen.add(code)
                    latest.append(r)
            found = latest
        picks = tuple(
            Pick(line(r, names, patient), there := f"{r.type}/{r.id}" in chosen, there or n < SHOWN)
            for n, r in enumerate(found[:most])
        )
        if picks:
            made.append((_(name), picks))
    return tuple(made)


def _in_use(row: Stored) -> bool:
    r = row.resource
    if row.type == "Observation":
        return _assessment(r) and r.status != "entered-in-error"
    if row.type == "Condition":
        return any(
            c.code in ("active", "recurrence", "relapse")
            for c in (r.clinicalStatus.coding if r.clinicalStatus else None) or ()
        )
    if row.type == "MedicationRequest":
        return r.status == "active"
    return r.status not in ("entered-in-error",)


def _deadly(found: Evidence) -> tuple[str, ...]:
    """Hypersensitivities that are a danger to life: they stand at the head of whatever is written."""
    return tuple(
        (a.get("code") or {}).get("text")
        or (((a.get("code") or {}).get("coding") or [{}])[0].get("display") or "")
        for a in found.named["allergies"]
        if a.get("criticality") == "high"
    )


def written_of(request: Any, kind: str) -> Written:
    """What has been written in a stored draft."""
    return Written(
        kind=kind,
        to=fhir.receiver_of(request),
        priority=request.priority or "",
        reason=fhir.reason_of(request),
        question=fhir.question_of(request),
        attachments=tuple(fhir.attachments_of(request)),
        form=fhir.form_of(request),
        ground=fhir.ground_of(request),
    )
