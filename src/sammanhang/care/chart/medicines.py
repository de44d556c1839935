"""Medicines: what the patient takes now, as needed, and what has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show

from .words import Names, Source, code, display, quantity, source, text, texts

ATC = "http://www.whocc.no/atc"
STATES = {
    "active": N_("pågår"), "on-hold": N_("pausat"), "completed": N_("avslutat"), "stopped": N_("utsatt"),
    "cancelled": N_("makulerat"), "draft": N_("utkast"), "intended": N_("planerat"),
    "not-taken": N_("tas inte"), "unknown": N_("oklart"),
}  # fmt: skip
NOW = ("active", "on-hold", "intended", "unknown", "draft")


def high_alert(atc: str) -> bool:
    """Whether a medicine is among those that most often do serious harm when given wrongly.

    By ATC code, as `content/rules/high_alert` says; they look different wherever they stand.
    """
    rules = content("rules/high_alert")
    return atc.startswith(tuple(rules["groups"])) and not atc.startswith(tuple(rules["exceptions"]))


@dataclass(frozen=True, slots=True)
class Medicine:
    """One line of the medication list.

    name      the substance or product
    strength  strength and form, when they stand apart from the name
    dose      how it is taken, in the words the patient is given
    needed    taken as needed
    reason    what it is for
    began     since when
    ended     until when; None while it goes on
    state     a word when it is anything but going on: pausat, utsatt …
    alert     a high-alert medicine
    atc       its ATC code
    by        who prescribed it
    why       why it was stopped or paused
    own       what the patient says they take, not a prescription
    source    unit and care provider
    """

    name: str
    strength: str
    dose: str
    needed: bool
    reason: str
    began: str | None
    ended: str | None
    state: str
    alert: bool
    atc: str
    by: str
    why: str
    own: bool
    source: Source


@dataclass(frozen=True, slots=True)
class Medicines:
    """Regular medicines, those taken as needed, and those ended (the latest first)."""

    regular: list[Medicine]
    needed: list[Medicine]
    ended: list[Medicine]

    @property
    def now(self) -> list[Medicine]:
        """Everything the patient takes now."""
        return [*self.regular, *self.needed]


def medicines_of(rows: list[Stored], names: Names) -> Medicines:
    """MedicationRequest and MedicationStatement as one list."""
    regular, needed, ended = [], [], []
    for row in rows:
        resource = row.resource
        if resource.status == "entered-in-error":
            continue
        medicine = _medicine(row, resource, names)
        if resource.status not in NOW or (
            medicine.ended and medicine.ended < clock.today().isoformat()
        ):
            ended.append(medicine)
        elif medicine.needed:
            needed.append(medicine)
        else:
            regular.append(medicine)
    for part in (regular, needed):
        part.sort(key=lambda m: (not m.alert, m.name.lower()))
    return Medicines(regular, needed, ended)


def _medicine(row: Stored, m: Any, names: Names) -> Medicine:
    request = row.type == "MedicationRequest"
    concept = m.medicationCodeableConcept
    dosage = (m.dosageInstruction if request else m.dosage) or ()
    began, ended = _span(m, request, dosage)
    atc = code(concept, ATC)
    name, strength = _name(m, concept)
    return Medicine(
        name=name,
        strength=strength,
        dose="; ".join(filter(None, map(_dose, dosage))),
        needed=any(d.asNeededBoolean or d.asNeededCodeableConcept is not None for d in dosage),
        reason=texts(m.reasonCode)
        or ", ".join(filter(None, (display(r) for r in m.reasonReference or ()))),
        began=began,
        ended=ended,
        state="" if m.status == "active" else _(STATES.get(m.status, "")),
        alert=high_alert(atc),
        atc=atc,
        by=display(m.requester) if request else display(m.informationSource),
        why=text(m.statusReason) if request else texts(m.statusReason),
        own=not request,
        source=source(row, names),
    )


def _name(m: Any, concept: Any) -> tuple[str, str]:
    """The name and what stands after it: `Apixaban`, `5 mg filmdragerad tablett`."""
    whole = text(concept) or display(m.medicationReference)
    for contained in m.contained or ():
        if type(contained).__name__ == "Medication" and not whole:
            whole = text(contained.code)
    # The name ends where the first number begins.
    for place, word in enumerate(words := whole.split()):
        if place and word[0].isdigit():
            return " ".join(words[:place]).rstrip(","), " ".join(words[place:])
    return whole or _("Utan namn"), ""


def _dose(d: Any) -> str:
    if d.text:
        return str(d.text)
    if d.patientInstruction:
        return str(d.patientInstruction)
    parts = [
        quantity(rate.doseQuantity) for rate in d.doseAndRate or () if rate.doseQuantity is not None
    ]
    repeat = d.timing.repeat if d.timing is not None else None
    if repeat is not None and repeat.frequency and repeat.period:
        unit = {"d": _("dag"), "wk": _("vecka"), "h": _("timme")}.get(repeat.periodUnit or "", "")
        often = (
            _("%(n)s gånger per %(period)s")
            if repeat.period == 1
            else _("%(n)s gånger på %(period)s")
        )
        period = unit if repeat.period == 1 else f"{show.number(repeat.period)} {unit}"
        parts.append(often % {"n": repeat.frequency, "period": period})
    return ", ".join(filter(None, parts))


def _span(m: Any, request: bool, dosage: Any) -> tuple[str | None, str | None]:
    """First and last day, as far as they are known."""
    if not request:
        period = m.effectivePeriod
        return (
            (period.start, show.day(period.end) or None)
            if period is not None
            else (m.effectiveDateTime, None)
        )
    ends = []
    began = m.authoredOn
    for d in dosage:
        repeat = d.timing.repeat if d.timing is not None else None
        period = repeat.boundsPeriod if repeat is not None else None
        if period is not None:
            began = period.start or began
            ends.append(period.end)
    if (
        m.dispenseRequest is not None
        and m.dispenseRequest.validityPeriod is not None
        and m.status not in NOW
    ):
        ends.append(m.dispenseRequest.validityPeriod.end)
    last = max((show.day(e) for e in ends if e), default=None) if ends and all(ends) else None
    return began, last
