"""One patient's record while it is being written: every kind of resource by one verb.

A `Chart` collects resources in memory, a few hundred at most, and gives them ids, owner tags and
references. Days are ordinals, minutes count from midnight; nothing is dated after `end` except
appointments.
"""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Any

from sammanhang.fhir.r4 import (
    AllergyIntolerance,
    Appointment,
    Attachment,
    CareTeam,
    Coding,
    CodeableConcept,
    Condition,
    DocumentReference,
    Encounter,
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
from sammanhang.fhir.r4.documentreference import DocumentReferenceContent, DocumentReferenceContext
from sammanhang.fhir.r4.encounter import (
    EncounterDiagnosis,
    EncounterHospitalization,
    EncounterLocation,
    EncounterParticipant,
)
from sammanhang.fhir.r4.immunization import ImmunizationPerformer, ImmunizationProtocolApplied
from sammanhang.fhir.r4.procedure import ProcedurePerformer

from .codes import (
    ACTIVE,
    ALLERGY,
    AMBULATORY,
    ATC,
    CARE_TYPE,
    CONFIRMED,
    FLAG,
    HL7,
    ICD,
    KVA,
    NOTE_TYPE,
    PROBLEM,
    RESOLVED,
    VISIT_DIAGNOSIS,
    VISIT_TYPE,
    concept,
    words,
)
from .days import day, moment
from .organisations import Unit
from .staff import Roster

NOTE_TEXT = {
    "besoksanteckning": "Besöksanteckning",
    "telefonanteckning": "Telefonanteckning",
    "inskrivningsanteckning": "Inskrivningsanteckning",
    "daganteckning": "Daganteckning",
    "slutanteckning": "Slutanteckning",
    "omvardnadsanteckning": "Omvårdnadsanteckning",
    "hembesok": "Hembesök",
    "halsobesok": "Hälsobesök",
    "akutanteckning": "Akutanteckning",
    "operationsberattelse": "Operationsberättelse",
}
_SEPARATOR = "\n\n"
_CLINICAL_CARD = [concept(HL7 + "allergyintolerance-clinical", "active", "Aktiv")]
_VERIFIED = concept(HL7 + "allergyintolerance-verification", "confirmed", "Bekräftad")
_ADMITTED_BY = {
    "emergency": words("Akutmottagning"),
    "planned": words("Planerad inskrivning"),
}
_DISCHARGED_TO = {
    "home": concept(HL7 + "discharge-disposition", "home", "Ordinärt boende"),
    "nursing-home": concept(HL7 + "discharge-disposition", "long", "Särskilt boende"),
    "dead": concept(HL7 + "discharge-disposition", "exp", "Avliden"),
}
_MAIN_DIAGNOSIS = concept(HL7 + "diagnosis-role", "DD", "Utskrivningsdiagnos")
_ATTENDING = [concept(HL7 + "v3-ParticipationType", "PPRF", "Ansvarig")]


class Chart:
    """A patient's record in the making; `out` holds what has been written."""

    __slots__ = (
        "_count", "_prefix", "born", "continuity", "draws", "effects", "end", "female", "offsets",
        "out", "rng", "roster", "subject", "today", "traits",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        prefix: str,
        *,
        female: bool,
        born: int,
        today: int,
        end: int,
        rng: random.Random,
        roster: Roster,
        number: int = 0,
    ) -> None:
        self._prefix = prefix
        self._count = 0
        self.subject = Reference(reference=f"Patient/{id}")
        self.female = female
        self.born = born
        self.today = today
        self.end = end
        self.rng = rng
        self.roster = roster
        self.continuity = number  # the same number meets the same people
        self.out: list[Any] = []
        self.effects: dict[str, float] = {}
        self.offsets: dict[str, float] = {}
        self.traits: dict[str, float] = {}
        self.draws: dict[str, float] = {}

    def id(self) -> str:
        """The next id: the patient's prefix and a counter."""
        self._count += 1
        return f"{self._prefix}-{self._count:012x}"

    def by(self, unit: Unit, role: str = "lakare") -> Reference:
        """Someone at the unit in that role, the same one most times; anyone there if none has it."""
        there = self.roster[unit.id]
        people = there.get(role)
        if not people:
            people = next(iter(there.values()))
        if self.rng.random() < 0.2:
            return self.rng.choice(people)
        return people[self.continuity % len(people)]

    def age(self, on: int) -> int:
        """Whole years at a day."""
        return int((on - self.born) / 365.2425)

    def visit(
        self,
        unit: Unit,
        on: int,
        minute: int,
        length: int,
        by: Reference,
        what: str,
        *,
        kind: Coding = AMBULATORY,
        reasons: list[CodeableConcept] | None = None,
        diagnoses: list[Reference] | None = None,
        where: Reference | None = None,
        episode: Reference | None = None,
        id: str | None = None,
    ) -> Reference:
        """A finished visit of `length` minutes; returns the reference to it."""
        e = Encounter(
            id=id or self.id(),
            meta=unit.meta(),
            status="finished",
            class_=kind,
            type=[words(what)],
            subject=self.subject,
            participant=[EncounterParticipant(type=_ATTENDING, individual=by)],
            period=Period(start=moment(on, minute), end=moment(on, minute + length)),
            reasonCode=reasons,
            diagnosis=[EncounterDiagnosis(condition=d) for d in diagnoses] if diagnoses else None,
            location=[EncounterLocation(location=where)] if where is not None else None,
            episodeOfCare=[episode] if episode is not None else None,
            serviceProvider=unit.reference,
        )
        self.out.append(e)
        return Reference(reference=f"Encounter/{e.id}", display=what)

    def stay(
        self,
        unit: Unit,
        begin: tuple[int, int],
        end: tuple[int, int] | None,
        by: Reference,
        reason: CodeableConcept,
        *,
        kind: Coding,
        what: str = "Slutenvårdstillfälle",
        planned: bool = False,
        to: str = "home",
        diagnoses: list[Reference] | None = None,
        part_of: Reference | None = None,
        id: str | None = None,
    ) -> Reference:
        """A stay on a ward from (day, minute) to (day, minute), or still going on when `end` is None."""
        period = Period(start=moment(*begin), end=moment(*end) if end else None)
        e = Encounter(
            id=id or self.id(),
            meta=unit.meta(),
            status="finished" if end else "in-progress",
            class_=kind,
            type=[concept(VISIT_TYPE, "slutenvard", what)],
            subject=self.subject,
            participant=[EncounterParticipant(type=_ATTENDING, individual=by)],
            period=period,
            reasonCode=[reason],
            diagnosis=[EncounterDiagnosis(condition=d, use=_MAIN_DIAGNOSIS) for d in diagnoses]
            if diagnoses
            else None,
            hospitalization=EncounterHospitalization(
                admitSource=_ADMITTED_BY["planned" if planned else "emergency"],
                dischargeDisposition=_DISCHARGED_TO[to] if end else None,
            ),
            location=[
                EncounterLocation(location=unit.location, status=None if end else "active", period=period)
            ],
            serviceProvider=unit.reference,
            partOf=part_of,
        )
        self.out.append(e)
        return Reference(reference=f"Encounter/{e.id}", display=what)

    def condition(
        self,
        unit: Unit,
        code: str,
        text: str,
        onset: int,
        recorder: Reference,
        *,
        chronic: bool = True,
        resolved: int = 0,
        encounter: Reference | None = None,
        note: Any = None,
        id: str | None = None,
    ) -> Reference:
        """A problem (chronic) or the diagnosis of a visit; `resolved` is the day it was over."""
        c = Condition(
            id=id or self.id(),
            meta=unit.meta(),
            clinicalStatus=RESOLVED if resolved else ACTIVE,
            verificationStatus=CONFIRMED,
            category=[PROBLEM if chronic else VISIT_DIAGNOSIS],
            code=concept(ICD, code, text),
            subject=self.subject,
            encounter=encounter,
            onsetDateTime=day(onset),
            abatementDateTime=day(resolved) if resolved else None,
            recordedDate=day(onset),
            recorder=recorder,
            note=note,
        )
        self.out.append(c)
        return Reference(reference=f"Condition/{c.id}", display=text)

    def note(
        self,
        unit: Unit,
        kind: str,
        on: int,
        minute: int,
        author: Reference,
        parts: list[str],
        encounter: Reference | None = None,
        id: str | None = None,
    ) -> Reference:
        """A signed note; `parts` are its paragraphs, in Swedish."""
        title = NOTE_TEXT[kind]
        when = moment(on, minute)
        d = DocumentReference(
            id=id or self.id(),
            meta=unit.meta(),
            status="current",
            docStatus="final",
            type=concept(NOTE_TYPE, kind, title),
            subject=self.subject,
            date=when,
            author=[author],
            authenticator=author,
            custodian=unit.reference,
            content=[
                DocumentReferenceContent(
                    attachment=Attachment(
                        contentType="text/plain; charset=utf-8",
                        language="sv",
                        data=b64encode(_SEPARATOR.join(parts).encode()).decode(),
                        title=title,
                        creation=when,
                    )
                )
            ],
            context=DocumentReferenceContext(encounter=[encounter]) if encounter is not None else None,
        )
        self.out.append(d)
        return Reference(reference=f"DocumentReference/{d.id}", display=title)

    def procedure(
        self, unit: Unit, code: str, text: str, on: int, minute: int, by: Reference,
        encounter: Reference | None = None,
    ) -> None:  # fmt: skip
        """An intervention with its KVÅ code."""
        self.out.append(
            Procedure(
                id=self.id(),
                meta=unit.meta(),
                status="completed",
                code=concept(KVA, code, text),
                subject=self.subject,
                encounter=encounter,
                performedDateTime=moment(on, minute),
                performer=[ProcedurePerformer(actor=by)],
            )
        )

    def immunization(
        self, unit: Unit, atc: str, name: str, disease: str, dose: int, on: int, by: Reference
    ) -> None:
        """A vaccination given at the unit."""
        self.out.append(
            Immunization(
                id=self.id(),
                meta=unit.meta(),
                status="completed",
                vaccineCode=concept(ATC, atc, name),
                patient=self.subject,
                occurrenceDateTime=day(on),
                primarySource=True,
                lotNumber=f"{atc[3:]}{on % 9973:04d}",
                performer=[ImmunizationPerformer(actor=by)],
                protocolApplied=[
                    ImmunizationProtocolApplied(targetDisease=[words(disease)], doseNumberPositiveInt=dose)
                ],
            )
        )

    def allergy(
        self, unit: Unit, code: str, text: str, category: str, on: int, by: Reference, reaction: str,
        *, severe: bool = False, id: str | None = None,
    ) -> None:  # fmt: skip
        """A hypersensitivity; `severe` is life-threatening."""
        self.out.append(
            AllergyIntolerance(
                id=id or self.id(),
                meta=unit.meta(),
                clinicalStatus=_CLINICAL_CARD[0],
                verificationStatus=_VERIFIED,
                type="allergy",
                category=[category],
                criticality="high" if severe else "low",
                code=concept(ATC if category == "medication" else ALLERGY, code, text),
                patient=self.subject,
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
        self, unit: Unit, code: str, text: str, on: int, by: Reference, *, id: str | None = None
    ) -> None:
        """A warning shown with the name (uppmärksamhetsinformation)."""
        self.out.append(
            Flag(
                id=id or self.id(),
                meta=unit.meta(),
                status="active",
                category=[concept(HL7 + "flag-category", "safety", "Säkerhet")],
                code=concept(FLAG, code, text),
                subject=self.subject,
                period=Period(start=day(on)),
                author=by,
            )
        )

    def episode(
        self, unit: Unit, provider: Reference, kind: str, text: str, begin: int, manager: Reference | None,
        *, end: int = 0, id: str | None = None,
    ) -> Reference:  # fmt: skip
        """Enrolment at a unit (home care, school health …); active until `end`."""
        e = EpisodeOfCare(
            id=id or self.id(),
            meta=unit.meta(),
            status="finished" if end else "active",
            type=[concept(CARE_TYPE, kind, text)],
            patient=self.subject,
            managingOrganization=unit.reference,
            period=Period(start=day(begin), end=day(end) if end else None),
            careManager=manager,
        )
        self.out.append(e)
        return Reference(reference=f"EpisodeOfCare/{e.id}", display=text)

    def team(
        self, unit: Unit, name: str, begin: int, members: list[tuple[str, Reference]],
        *, id: str | None = None,
    ) -> None:  # fmt: skip
        """A care team; the role `fast vårdkontakt` is the patient's named contact."""
        self.out.append(
            CareTeam(
                id=id or self.id(),
                meta=unit.meta(),
                status="active",
                name=name,
                subject=self.subject,
                period=Period(start=day(begin)),
                participant=[
                    CareTeamParticipant(role=[words(role)], member=member, onBehalfOf=None)
                    for role, member in members
                ],
                managingOrganization=[unit.reference],
            )
        )

    def appointment(
        self, unit: Unit, on: int, minute: int, length: int, by: Reference, what: str,
        *, place: Reference | None = None, id: str | None = None, instruction: str | None = None,
    ) -> None:  # fmt: skip
        """A booked time to come."""
        people = [
            AppointmentParticipant(actor=self.subject, status="accepted"),
            AppointmentParticipant(actor=by, status="accepted"),
        ]
        if place is not None:
            people.append(AppointmentParticipant(actor=place, status="accepted"))
        self.out.append(
            Appointment(
                id=id or self.id(),
                meta=unit.meta(),
                status="booked",
                serviceType=[words(what)],
                description=what,
                start=moment(on, minute),
                end=moment(on, minute + length),
                minutesDuration=length,
                created=day(self.today - 5),
                patientInstruction=instruction,
                participant=people,
            )
        )
