"""Prescriptions (MedicationRequest) with dosage in Swedish; content/region/medicines.toml."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from sammanhang.fhir.r4 import (
    CodeableConcept,
    Dosage,
    MedicationRequest,
    Quantity,
    Reference,
    Timing,
)
from sammanhang.fhir.r4.datatypes import DosageDoseAndRate, TimingRepeat

from .chart import Chart
from .codes import ATC, concept
from .content import table
from .days import day
from .organisations import Unit


@dataclass(slots=True)
class Medicine:
    """A medicine as it is prescribed: shared FHIR parts, and the words of a note."""

    concept: CodeableConcept
    dosage: list[Dosage]
    text: str


def dosage(
    text: str, dose: float, unit: str, times: float, *, as_needed: bool = False
) -> list[Dosage]:
    """A dosage: the sentence the patient reads, and the same as numbers.

    `times` a day; below 1 it is once in so many days (0.14 is once a week).
    """
    if times >= 1:
        repeat = TimingRepeat(frequency=round(times), period=Decimal(1), periodUnit="d")
    else:
        days = round(1 / times)
        weekly = days % 7 == 0
        repeat = TimingRepeat(
            frequency=1,
            period=Decimal(days // 7 if weekly else days),
            periodUnit="wk" if weekly else "d",
        )
    return [
        Dosage(
            text=text,
            timing=Timing(repeat=repeat),
            asNeededBoolean=True if as_needed else None,
            doseAndRate=[
                DosageDoseAndRate(doseQuantity=Quantity(value=Decimal(str(dose)), unit=unit))
            ],
        )
    ]


@cache
def medicine(key: str) -> Medicine:
    """The medicine of a key of the table."""
    atc, substance, strength, form, unit, dose, times, text, as_needed = table("medicines")[key]
    return Medicine(
        concept(ATC, atc, f"{substance} {strength}, {form}"),
        dosage(text, dose, unit, times, as_needed=as_needed),
        f"{substance} {strength}, {text[0].lower()}{text[1:]}",
    )


def prescribe(
    chart: Chart,
    unit: Unit,
    what: Medicine,
    on: int,
    by: Reference,
    *,
    reason: Reference | None = None,
    encounter: Reference | None = None,
    status: str = "active",
    id: str | None = None,
) -> None:
    """A prescription in force, or one that is `completed` or `stopped`."""
    chart.out.append(
        MedicationRequest(
            id=id or chart.id(),
            meta=unit.meta(),
            status="stopped" if status == "active" and chart.closed else status,
            intent="order",
            medicationCodeableConcept=what.concept,
            subject=chart.subject,
            encounter=encounter,
            authoredOn=day(on),
            requester=by,
            reasonReference=[reason] if reason is not None else None,
            dosageInstruction=what.dosage,
        )
    )
