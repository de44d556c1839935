"""The left column of the chart: who this is, what is dangerous, whom to call, where, what is next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.dates import bounds
from sammanhang.forms.results import Standing, at_of, standing
from sammanhang.kernel.i18n import _
from sammanhang.web import show
from sammanhang.web.people import Person, person_of

from .queries import kinds
from .words import Names, code, display, phone, relation, source, text, texts

HIGH_PRIORITY = "http://hl7.org/fhir/StructureDefinition/flag-priority"
# SNOMED CT and our own code for "no known allergies": a statement, not a warning.
NONE_KNOWN = {"716186003", "inga-kanda", "no-known-allergies"}


@dataclass(frozen=True, slots=True)
class Warning_:
    """Something to know before touching the patient.

    title   what: `Penicillin – anafylaxi`
    more    when, how sure, who wrote it
    deadly  danger to life
    """

    title: str
    more: str
    deadly: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call about the patient: name, who they are to the patient, phone."""

    name: str
    relation: str
    phone: str


@dataclass(frozen=True, slots=True)
class Next:
    """The next planned step: what, when (FHIR time), where."""

    what: str
    at: str
    where: str


@dataclass(frozen=True, slots=True)
class Banner:
    """Who the patient is; the same on every page of the chart.

    person     name, age, sex, identity number
    warnings   danger to life first
    asked      whether the record says anything about hypersensitivity at all
    here       where the patient is now
    since      since when; None at home
    next       the next planned step
    care       the named health centre or care contact
    contacts   contact persons with phone
    address    where they live; empty for a protected identity
    phone      their own number; empty for a protected identity
    language   needs an interpreter in this language
    consent    what the patient has said of sharing between care providers; None when nothing
    hidden     whether something exists that is not shown
    """

    person: Person
    warnings: tuple[Warning_, ...]
    asked: bool
    here: str
    since: str | None
    next: Next | None
    care: tuple[Contact, ...]
    contacts: tuple[Contact, ...]
    address: str
    phone: str
    language: str
    consent: bool | None
    hidden: bool


def banner_of(record: Record, rows: list[Stored], names: Names) -> Banner:
    """The left column from the rows of `queries.beside`."""
    patient = record.patient
    protected = record.facts.protected
    allergies = [(r, r.resource) for r in kinds(rows, "AllergyIntolerance")]
    stay = next(((r, r.resource) for r in kinds(rows, "Encounter")), None)
    here, since = _here(patient, stay, names, protected)
    actor = record.actor.assignment
    return Banner(
        person=person_of(patient, protected),
        warnings=_warnings(allergies, rows, names),
        asked=bool(allergies),
        here=here,
        since=since,
        next=_next(rows, names),
        care=_care(patient, rows),
        contacts=() if protected else _contacts(patient, rows),
        address="" if protected else _address(patient),
        phone="" if protected else phone(patient.telecom),
        language=_language(patient),
        consent=True if actor is not None and actor.provider in record.facts.consented else None,
        hidden=bool(record.decision.hidden),
    )


def _warnings(allergies: list[Any], rows: list[Stored], names: Names) -> tuple[Warning_, ...]:
    found = []
    for row, a in allergies:
        if code(a.clinicalStatus) in ("inactive", "resolved") or code(a.code) in NONE_KNOWN:
            continue
        if code(a.verificationStatus) in ("refuted", "entered-in-error"):
            continue
        reactions = texts([m for reaction in a.reaction or () for m in reaction.manifestation])
        title = " – ".join(filter(None, [text(a.code) or _("Överkänslighet"), reactions.lower()]))
        deadly = a.criticality == "high"
        sure = _("bekräftad") if code(a.verificationStatus) == "confirmed" else _("ej bekräftad")
        said = [
            _("Livshotande") if deadly else _("Överkänslighet"),
            f"{sure} {show.day(a.recordedDate)}".strip(),
        ]
        found.append(
            Warning_(title, ", ".join([*said, source(row, names).unit]).strip(", "), deadly)
        )
    scores = standing(rows)
    found += [_risk(s, names) for s in scores if s.warns]
    for row in kinds(rows, "Flag"):
        flag = row.resource
        if flag.status != "active" or _outdated(row, scores):
            continue
        deadly = any(
            e.url == HIGH_PRIORITY and code(e.valueCodeableConcept) == "PH"
            for e in flag.extension or ()
        )
        began = show.day(flag.period.start) if flag.period is not None else ""
        more = ", ".join(filter(None, [began, source(row, names).unit]))
        found.append(Warning_(text(flag.code), more, deadly))
    # A warning is often written twice, as a hypersensitivity and as a flag: the graver one stands.
    once: dict[str, Warning_] = {}
    for warning in sorted(found, key=lambda w: not w.deadly):
        once.setdefault(warning.title.lower(), warning)
    return tuple(once.values())


def _risk(s: Standing, names: Names) -> Warning_:
    """`Risk för fall, 4 av 11`, by which instrument, when and where."""
    said = {"what": s.band.text, "score": show.number(s.score), "highest": s.highest}
    title = _("%(what)s, %(score)s av %(highest)s") if s.highest else _("%(what)s, %(score)s")
    unit = source(s.row, names).unit
    more = filter(None, [str(s.form.title), show.day(s.at), unit])
    return Warning_(title % said, ", ".join(more), s.band.level == "critical")  # fmt: skip


def _outdated(row: Stored, scores: list[Standing]) -> bool:
    """Whether a Flag of a risk has been assessed anew since: then the assessment says what is so."""
    codes = {(c.system, c.code) for c in row.resource.code.coding or ()}
    return any(s.flag in codes and at_of(row) <= s.at for s in scores)


def _here(patient: Any, stay: Any, names: Names, protected: bool) -> tuple[str, str | None]:
    if patient.deceasedBoolean or patient.deceasedDateTime:
        return _("Avliden"), None
    if stay is not None:
        row, encounter = stay
        where = display(encounter.location[0].location) if encounter.location else ""
        unit = display(encounter.serviceProvider) or source(row, names).unit
        since = encounter.period.start if encounter.period is not None else None
        return ", ".join(dict.fromkeys(filter(None, [where, unit]))) or _("På vårdenhet"), since
    city = next((a.city for a in patient.address or () if a.city), "")
    return (_("Hemma, %(place)s") % {"place": city} if city and not protected else _("Hemma")), None


def _next(rows: list[Stored], names: Names) -> Next | None:
    now = datetime.now(UTC)
    coming = []
    for row in kinds(rows, "Appointment"):
        a = row.resource
        if (
            a.start
            and a.status in ("booked", "pending", "arrived", "checked-in")
            and bounds(a.start)[1] > now
        ):
            coming.append((a.start, row, a))
    if not coming:
        return None
    start, row, a = min(coming, key=lambda c: bounds(c[0])[0])
    what = a.description or texts(a.serviceType) or texts(a.reasonCode) or _("Besök")
    return Next(what, start, source(row, names).unit)


def _care(patient: Any, rows: list[Stored]) -> tuple[Contact, ...]:
    found = [Contact(display(g), "", "") for g in patient.generalPractitioner or () if display(g)]
    for row in kinds(rows, "CareTeam"):
        team = row.resource
        if team.status != "active":
            continue
        for member in team.participant or ():
            if display(member.member) and not (member.member.reference or "").startswith(
                "Patient/"
            ):
                found.append(
                    Contact(display(member.member), texts(member.role).lower(), phone(team.telecom))
                )
    return tuple(dict.fromkeys(found))[:4]


def _contacts(patient: Any, rows: list[Stored]) -> tuple[Contact, ...]:
    found = []
    for c in patient.contact or ():
        if c.period is None or c.period.end is None:
            found.append(Contact(_human(c.name), relation(c.relationship), phone(c.telecom)))
    for row in kinds(rows, "RelatedPerson"):
        r = row.resource
        if r.active is not False:
            found.append(
                Contact(_human((r.name or (None,))[0]), relation(r.relationship), phone(r.telecom))
            )
    once = {c.name: c for c in reversed(found) if c.name}
    return tuple(reversed(once.values()))


def _human(name: Any) -> str:
    if name is None:
        return ""
    return name.text or " ".join([*(name.given or ()), name.family or ""]).strip()


def _address(patient: Any) -> str:
    homes = [a for a in patient.address or () if a.use != "old"]
    if not homes:
        return ""
    a = homes[0]
    return ", ".join(
        filter(None, [*(a.line or ()), f"{a.postalCode or ''} {a.city or ''}".strip()])
    )


def _language(patient: Any) -> str:
    for c in patient.communication or ():
        if c.preferred and code(c.language) not in ("sv", "sv-SE"):
            return text(c.language)
    return ""
