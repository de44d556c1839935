"""Measured values that belong together: vital signs, assessments and laboratory results of a person.

A person has a level of each analysis of their own, moved by their diseases, with a little noise each
time; values that depend on one another are computed from one another (eGFR from creatinine and age,
cholesterol from its parts). Units, decimals and reference ranges: `content/region/laboratory.toml`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sammanhang.fhir.r4 import CodeableConcept, DiagnosticReport, Observation, Quantity, Reference
from sammanhang.fhir.r4.observation import ObservationComponent, ObservationReferenceRange

from .chart import Chart
from .codes import (
    ASSESSMENT,
    HL7,
    INTERPRETATION,
    LAB_OWN,
    LABORATORY,
    LOINC,
    NPU,
    SURVEY,
    UCUM,
    VITAL_SIGNS,
    concept,
    quantity,
    swedish,
    words,
)
from .content import table
from .days import moment
from .organisations import Unit

VITALS: dict[str, tuple[str, str, str, str, int]] = {
    "weight": ("29463-7", "Kroppsvikt", "kg", "kg", 1),
    "height": ("8302-2", "Kroppslängd", "cm", "cm", 1),
    "bmi": ("39156-5", "BMI", "kg/m²", "kg/m2", 1),
    "head": ("9843-4", "Huvudomfång", "cm", "cm", 1),
    "pulse": ("8867-4", "Puls", "slag/min", "/min", 0),
    "temperature": ("8310-5", "Kroppstemperatur", "°C", "Cel", 1),
    "respiration": ("9279-1", "Andningsfrekvens", "andetag/min", "/min", 0),
    "saturation": ("2708-6", "Saturation", "%", "%", 0),
}
"""key: LOINC code (the FHIR vital-signs profiles demand LOINC), Swedish name, unit, UCUM, decimals."""

_BP = concept(LOINC, "85354-9", "Blodtryck")
_SYSTOLIC = concept(LOINC, "8480-6", "Systoliskt")
_DIASTOLIC = concept(LOINC, "8462-4", "Diastoliskt")
_LAB_REPORT = [concept(HL7 + "v2-0074", "LAB", "Laboratoriemedicin")]
_CATEGORY_VITAL = [VITAL_SIGNS]
_CATEGORY_LAB = [LABORATORY]
_CATEGORY_SURVEY = [SURVEY]
_VITAL_CODE = {key: concept(LOINC, row[0], row[1]) for key, row in VITALS.items()}
_ABOVE_90 = Quantity(
    value=Decimal(90), comparator=">", unit="mL/min/1,73 m²", system=UCUM, code="mL/min/{1.73_m2}"
)


@dataclass(slots=True)
class Analysis:
    """A laboratory analysis ready for use; `ranges` by sex: start ages, low, high, shared FHIR part."""

    code: CodeableConcept
    unit: str
    ucum: str
    decimals: int
    normal: tuple[float, float, float, float]
    ranges: dict[bool, tuple[list[int], list[tuple[float, float, list[Any]]]]]


@lru_cache(maxsize=1)
def analyses() -> dict[str, Analysis]:
    """All analyses by key."""
    data = table("laboratory")
    made = {}
    for key, (npu, name, unit, ucum, decimals) in data["analysis"].items():
        ranges: dict[bool, tuple[list[int], list[tuple[float, float, list[Any]]]]] = {}
        for female in (True, False):
            starts, limits = [], []
            for row in data["range"][key]:
                low, high = (row[1], row[2]) if female else (row[3], row[4])
                part = ObservationReferenceRange(
                    low=_limit(low, decimals, unit, ucum), high=_limit(high, decimals, unit, ucum)
                )
                starts.append(row[0])
                limits.append((low, high, [part]))
            ranges[female] = starts, limits
        code = concept(NPU, npu, name) if npu else concept(LAB_OWN, key, name)
        made[key] = Analysis(code, unit, ucum, decimals, tuple(data["normal"][key]), ranges)
    return made


def _limit(value: float, decimals: int, unit: str, ucum: str) -> Quantity | None:
    if value < 0:
        return None
    # Some limits have a decimal more than the results (0.45 for a result of 0.5).
    while round(value * 10**decimals, 6) % 1:
        decimals += 1
    return quantity(round(value * 10**decimals), decimals, unit, ucum)


def vital(
    chart: Chart, unit: Unit, key: str, value: float, on: int, minute: int, by: Reference,
    encounter: Reference | None = None, id: str | None = None,
) -> Reference:  # fmt: skip
    """One vital sign, rounded to the decimals it is written with."""
    _, text, shown, ucum, decimals = VITALS[key]
    o = Observation(
        id=id or chart.id(),
        meta=unit.meta(),
        status="final",
        category=_CATEGORY_VITAL,
        code=_VITAL_CODE[key],
        subject=chart.subject,
        encounter=encounter,
        effectiveDateTime=moment(on, minute),
        performer=[by],
        valueQuantity=quantity(round(value * 10**decimals), decimals, shown, ucum),
    )
    chart.out.append(o)
    return Reference(reference=f"Observation/{o.id}", display=text)


def blood_pressure(
    chart: Chart, unit: Unit, systolic: float, diastolic: float, on: int, minute: int, by: Reference,
    encounter: Reference | None = None, id: str | None = None,
) -> str:  # fmt: skip
    """A blood pressure with its two parts; returns it as written in notes."""
    above, below = round(systolic), round(diastolic)
    chart.out.append(
        Observation(
            id=id or chart.id(),
            meta=unit.meta(),
            status="final",
            category=_CATEGORY_VITAL,
            code=_BP,
            subject=chart.subject,
            encounter=encounter,
            effectiveDateTime=moment(on, minute),
            performer=[by],
            component=[
                ObservationComponent(
                    code=_SYSTOLIC, valueQuantity=quantity(above, 0, "mm[Hg]", "mm[Hg]")
                ),
                ObservationComponent(
                    code=_DIASTOLIC, valueQuantity=quantity(below, 0, "mm[Hg]", "mm[Hg]")
                ),
            ],
        )
    )
    return f"{above}/{below}"


def assessment(
    chart: Chart, unit: Unit, code: str, name: str, on: int, minute: int, by: Reference,
    *, score: int | None = None, text: str | None = None, encounter: Reference | None = None,
    id: str | None = None,
) -> None:  # fmt: skip
    """The result of an instrument: a score (Downton, Norton) or a step (Katz); `text` says what it means."""
    chart.out.append(
        Observation(
            id=id or chart.id(),
            meta=unit.meta(),
            status="final",
            category=_CATEGORY_SURVEY,
            code=concept(ASSESSMENT, code, name),
            subject=chart.subject,
            encounter=encounter,
            effectiveDateTime=moment(on, minute),
            performer=[by],
            valueInteger=score,
            valueCodeableConcept=words(text) if score is None and text else None,
            interpretation=[words(text)] if score is not None and text else None,
        )
    )


def level(chart: Chart, key: str, on: int) -> float:
    """The value an analysis would show on a day; those of one draw fit together (`chart.draws`)."""
    draws = chart.draws
    if key in draws:
        return draws[key]
    rng = chart.rng
    if key == "egfr":
        value = egfr(level(chart, "kreatinin", on), chart.age(on), chart.female)
    elif key == "kolesterol":
        value = level(chart, "ldl", on) + level(chart, "hdl", on) + 0.45 * level(chart, "tg", on)
    else:
        row = analyses()[key].normal
        offset = chart.offsets.get(key)
        if offset is None:
            offset = chart.offsets[key] = rng.gauss(0, row[2])
        mean = row[0] if chart.female else row[1]
        value = mean + offset + chart.effects.get(key, 0.0) + rng.gauss(0, row[3])
        value = max(value, mean * 0.25)
    draws[key] = value
    return value


def egfr(creatinine: float, age: int, female: bool) -> float:
    """Estimated glomerular filtration, mL/min/1.73 m² (CKD-EPI 2009), from creatinine in µmol/L."""
    mg = creatinine / 88.4
    kappa, alpha = (0.7, -0.329) if female else (0.9, -0.411)
    ratio = mg / kappa
    part = ratio**alpha if ratio < 1 else ratio**-1.209
    return 141 * part * 0.993**age * (1.018 if female else 1)


def result(
    chart: Chart, unit: Unit, laboratory: Reference, key: str, value: float, on: int, minute: int,
    encounter: Reference | None = None, id: str | None = None,
) -> tuple[Reference, str, str]:  # fmt: skip
    """One laboratory result; returns its reference, the value as written and its flag ("", H, L …)."""
    a = analyses()[key]
    starts, limits = a.ranges[chart.female]
    low, high, shared = limits[bisect_right(starts, max(0, chart.age(on))) - 1]
    scaled = round(value * 10**a.decimals)
    shown = scaled / 10**a.decimals
    flag = ""
    if high >= 0 and shown > high:
        flag = "H"
    elif low >= 0 and shown < low:
        flag = "L"
    number = quantity(scaled, a.decimals, a.unit, a.ucum)
    text = swedish(scaled, a.decimals)
    if key == "egfr" and shown > 90:
        number, text = _ABOVE_90, ">90"
    o = Observation(
        id=id or chart.id(),
        meta=unit.meta(),
        status="final",
        category=_CATEGORY_LAB,
        code=a.code,
        subject=chart.subject,
        encounter=encounter,
        effectiveDateTime=moment(on, minute),
        issued=moment(on, minute + 165),
        performer=[laboratory],
        valueQuantity=number,
        interpretation=INTERPRETATION[flag] if flag else None,
        referenceRange=shared,
    )
    chart.out.append(o)
    return Reference(reference=f"Observation/{o.id}", display=a.code.text), text, flag


def panel(
    chart: Chart, unit: Unit, laboratory: Reference, names: list[str], on: int, minute: int,
    encounter: Reference | None = None,
) -> str:  # fmt: skip
    """Laboratory results of one or more panels in one report; returns a line for the note."""
    data = table("laboratory")["panel"]
    keys = list(dict.fromkeys(key for name in names for key in data[name][1:]))
    chart.draws.clear()
    results, lines = [], []
    for key in keys:
        if key == "psa" and chart.female:
            continue
        reference, text, flag = result(
            chart, unit, laboratory, key, level(chart, key, on), on, minute, encounter
        )
        results.append(reference)
        mark = " (högt)" if flag == "H" else " (lågt)" if flag == "L" else ""
        lines.append(f"{analyses()[key].code.text.split('-', 1)[-1]} {text}{mark}")
    report(chart, unit, laboratory, data[names[0]][0], results, on, minute, encounter)
    return ", ".join(lines)


def report(
    chart: Chart, unit: Unit, laboratory: Reference, name: str, results: list[Reference], on: int,
    minute: int, encounter: Reference | None = None, id: str | None = None,
) -> None:  # fmt: skip
    """The answer that holds the results together."""
    chart.out.append(
        DiagnosticReport(
            id=id or chart.id(),
            meta=unit.meta(),
            status="final",
            category=_LAB_REPORT,
            code=words(name),
            subject=chart.subject,
            encounter=encounter,
            effectiveDateTime=moment(on, minute),
            issued=moment(on, minute + 170),
            performer=[laboratory],
            result=results,
        )
    )
