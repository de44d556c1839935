"""Entries of a record that are one resource each: interventions, vaccinations, allergies, warnings,
enrolment, teams, booked times. Each function writes into a `Chart`.
"""

from __future__ import annotations

from sammanhang.fhir.r4 import (
    AllergyIntolerance,
    Appointment,
    CareTeam,
    EpisodeOfCare,
    Flag,
    Immunization,
    Period,
    Procedure,
    Reference,
)
from sammanhang.fhir.r4.allergyintolerance import AllergyIntoleranceReaction
from sammanhang.fhir.r4.appointment import AppointmentParticipant
from sammanhang.fhir.r4.careteam import CareTeamParticipant
from sammanhang.fhir.r4.immunization import ImmunizationPerformer, ImmunizationProtocolApplied
from sammanhang.fhir.r4.procedure import ProcedurePerformer

from .chart import Chart
from .codes import ALLERGY, ATC, CARE_TYPE, FLAG, HL7, KVA, concept, words
from .days import day, moment
from .organisations import Unit

_ACTIVE = concept(HL7 + "allergyintolerance-clinical", "active", "Aktiv")
_VERIFIED = concept(HL7 + "allergyintolerance-verification", "confirmed", "Bekräftad")
_SAFETY = [concept(HL7 + "flag-category", "safety", "Säkerhet")]


def procedure(
    chart: Chart, unit: Unit, code: str, text: str, on: int, minute: int, by: Reference,
    encounter: Reference | None = None,
) -> None:  # fmt: skip
    """An intervention with its KVÅ code."""
    chart.out.append(
        Procedure(
            id=chart.id(),
            meta=unit.meta(),
            status="completed",
            code=concept(KVA, code, text),
            subject=chart.subject,
            encounter=encounter,
            performedDateTime=moment(on, minute),
            performer=[ProcedurePerformer(actor=by)],
        )
    )


def immunization(
    chart: Chart, unit: Unit, atc: str, name: str, disease: str, dose: int, on: int, by: Reference
) -> None:
    """A vaccination given at the unit."""
    chart.out.append(
        Immunization(
            id=chart.id(),
            meta=unit.meta(),
            status="completed",
            vaccineCode=concept(ATC, atc, name),
            patient=chart.subject,
            occurrenceDateTime=day(on),
            primarySource=True,
            lotNumber=f"{atc[3:]}{on % 9973:04d}",
            performer=[ImmunizationPerformer(actor=by)],
            protocolApplied=[
                ImmunizationProtocolApplied(
                    targetDisease=[words(disease)], doseNumberPositiveInt=dose
                )
            ],
        )
    )


def allergy(
    chart: Chart, unit: Unit, code: str, text: str, category: str, on: int, by: Reference, reaction: str,
    *, severe: bool = False, id: str | None = None,
) -> None:  # fmt: skip
    """A hypersensitivity; `severe` is life-threatening."""
    chart.out.append(
        AllergyIntolerance(
            id=id or chart.id(),
            meta=unit.meta(),
            clinicalStatus=_ACTIVE,
            verificationStatus=_VERIFIED,
            type="allergy",
            category=[category],
            criticality="high" if severe else "low",
            code=concept(ATC if category == "medication" else ALLERGY, code, text),
            patient=chart.subject,
            onsetDateTime=day(on),
            recordedDate=day(on),
            recorder=by,
            reaction=[
                AllergyIntoleranceReaction(
                    manifestation=[words(reaction)], severity="severe" if severe else "mild"
                )
            ],
        )
    )


def flag(
    chart: Chart, unit: Unit, code: str, text: str, on: int, by: Reference, *, id: str | None = None
) -> None:
    """A warning shown with the name (uppmärksamhetsinformation)."""
    chart.out.append(
        Flag(
            id=id or chart.id(),
            meta=unit.meta(),
            status="inactive" if chart.closed else "active",
            category=_SAFETY,
            code=concept(FLAG, code, text),
            subject=chart.subject,
            period=Period(start=day(on)),
            author=by,
        )
    )


def enrolment(
    chart: Chart, unit: Unit, kind: str, text: str, begin: int, manager: Reference | None,
    *, end: int = 0, id: str | None = None,
) -> Reference:  # fmt: skip
    """Enrolment at a unit (home care, school health …); active while the patient lives."""
    e = EpisodeOfCare(
        id=id or chart.id(),
        meta=unit.meta(),
        status="finished" if chart.closed else "active",
        type=[concept(CARE_TYPE, kind, text)],
        patient=chart.subject,
        managingOrganization=unit.reference,
        period=Period(start=day(begin), end=day(chart.end) if chart.closed else None),
        careManager=manager,
    )
    chart.out.append(e)
    return Reference(reference=f"EpisodeOfCare/{e.id}", display=text)


def team(
    chart: Chart, unit: Unit, name: str, begin: int, members: list[tuple[str, Reference]],
    *, id: str | None = None,
) -> None:  # fmt: skip
    """A care team; the role `fast vårdkontakt` is the patient's named contact."""
    chart.out.append(
        CareTeam(
            id=id or chart.id(),
            meta=unit.meta(),
            status="active",
            name=name,
            subject=chart.subject,
            period=Period(start=day(begin)),
            participant=[
                CareTeamParticipant(role=[words(role)], member=member) for role, member in members
            ],
            managingOrganization=[unit.reference],
        )
    )


def appointment(
    chart: Chart, unit: Unit, on: int, minute: int, length: int, by: Reference, what: str,
    *, place: Reference | None = None, id: str | None = None, instruction: str | None = None,
) -> None:  # fmt: skip
    """A booked time to come."""
    people = [
        AppointmentParticipant(actor=chart.subject, status="accepted"),
        AppointmentParticipant(actor=by, status="accepted"),
    ]
    if place is not None:
        people.append(AppointmentParticipant(actor=place, status="accepted"))
    chart.out.append(
        Appointment(
            id=id or chart.id(),
            meta=unit.meta(),
            status="booked",
            serviceType=[words(what)],
            description=what,
            start=moment(on, minute),
            end=moment(on, minute + length),
            minutesDuration=length,
            created=day(chart.today - 5),
            patientInstruction=instruction,
            participant=people,
        )
    )
