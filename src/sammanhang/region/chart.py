"""One patient's record while it is being written: visits, stays, problems and notes.

Other kinds of resource have a function each in `entries`, `measures`, `medicines`, `municipal`, `legal`.

A `Chart` collects resources in memory, a few hundred at most, and gives them ids, owner tags and
references. Days are ordinals, minutes count from midnight; nothing is dated after `end` except
appointments.
"""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Any

from sammanhang.fhir.r4 import (
    Attachment,
    CodeableConcept,
    Coding,
    Condition,
    DocumentReference,
    Encounter,
    Period,
    Reference,
)
from sammanhang.fhir.r4.documentreference import DocumentReferenceContent, DocumentReferenceContext
from sammanhang.fhir.r4.encounter import (
    EncounterDiagnosis,
    EncounterHospitalization,
    EncounterLocation,
    EncounterParticipant,
)

from .codes import (
    ACTIVE,
    AMBULATORY,
    CONFIRMED,
    HL7,
    ICD,
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

    @property
    def closed(self) -> bool:
        """Whether the patient has died: nothing is in force any more."""
        return self.end < self.today

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
                EncounterLocation(
                    location=unit.location, status=None if end else "active", period=period
                )
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
            context=DocumentReferenceContext(encounter=[encounter])
            if encounter is not None
            else None,
        )
        self.out.append(d)
        return Reference(reference=f"DocumentReference/{d.id}", display=title)
