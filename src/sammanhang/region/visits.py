"""Visits and stays: yearly check-ups, acute visits, hospital stays, with their notes and values."""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sammanhang.fhir.r4 import Reference

from .chart import Chart
from .codes import EMERGENCY, ICD, INPATIENT, concept, swedish, words
from .content import table
from .days import weekday
from .diseases import Illness
from .entries import procedure
from .measures import blood_pressure, panel, vital
from .medicines import medicine, prescribe
from .organisations import Unit, region
from .people import Resident

YEARS_OF_VISITS = 3
MOST_STAYS = 2


def laboratory(who: Resident) -> Reference:
    """The laboratory of the hospital the resident belongs to."""
    return region().hospital_unit(who.town.hospital, "laboratory", "laboratorium").reference


def body(chart: Chart, who: Resident) -> None:
    """Draws the person's height (cm), weight (kg, at the end), its change a year, and blood pressure."""
    rng, traits = chart.rng, chart.traits
    age = chart.age(chart.end)
    shrink = max(0, age - 50) * 0.08
    traits["height"] = (166.5 if who.female else 180.0) + rng.gauss(0, 6) - shrink
    lean = 3.0 if age < 30 else 0.0
    bmi = max(
        17.0,
        (25.4 if who.female else 26.3) - lean + rng.gauss(0, 2.8) + chart.effects.get("bmi", 0),
    )
    if age > 82:
        bmi -= 1.5
    traits["weight"] = bmi * (traits["height"] / 100) ** 2
    traits["slope"] = rng.gauss(0.3 if age < 65 else -0.4, 0.5)
    traits["systolic"] = (
        108 + 0.36 * min(age, 85) + rng.gauss(0, 7) + chart.effects.get("systolic", 0) * 0.6
    )
    traits["diastolic"] = 66 + 0.12 * min(age, 60) + rng.gauss(0, 5)
    traits["pulse"] = 70 + rng.gauss(0, 6) + chart.effects.get("pulse", 0)
    traits["saturation"] = min(99.0, 97.6 + rng.gauss(0, 0.7) + chart.effects.get("saturation", 0))


def weight_on(chart: Chart, on: int) -> float:
    """The person's weight on a day, kg."""
    traits = chart.traits
    return traits["weight"] + traits["slope"] * (on - chart.end) / 365 + chart.rng.gauss(0, 0.5)


def office_hour(chart: Chart) -> int:
    """A time between 8 and 16, on the quarter, in minutes."""
    return 480 + 15 * int(chart.rng.random() * 32)


def centre_on(who: Resident, on: int) -> Unit:
    """The health centre the person was listed at on a day."""
    if who.before is not None and on < who.moved:
        return who.before
    return who.centre


def checks(chart: Chart, who: Resident, illnesses: list[Illness]) -> None:
    """Yearly check-ups: at the health centre for what it follows, at the clinic for what that does."""
    followed: dict[str, list[Illness]] = {}
    for illness in illnesses:
        if illness.disease.panels or illness.disease.medicines:
            key = "" if illness.unit.kind == "health-centre" else illness.unit.id
            followed.setdefault(key, []).append(illness)
    for key, group in followed.items():
        if not any(i.disease.panels for i in group) and chart.rng.random() < 0.6:
            continue
        season = int(chart.rng.random() * 330) + 12
        for back in range(YEARS_OF_VISITS - 1, -1, -1):
            on = weekday(chart.end - season - back * 365 + int(chart.rng.random() * 30) - 30)
            present = [i for i in group if i.onset < on]
            if present and on < chart.end:
                unit = group[0].unit if key else centre_on(who, on)
                _check(chart, who, unit, present, on, first=back == YEARS_OF_VISITS - 1)


def _check(
    chart: Chart, who: Resident, unit: Unit, group: list[Illness], on: int, *, first: bool
) -> None:
    rng, texts = chart.rng, table("notes")["words"]
    minute = office_hour(chart)
    by = chart.by(unit)
    panels = [p for i in group for p in i.disease.panels]
    visit = chart.visit(
        unit, on, minute, 30, by, "Årskontroll" if unit.kind == "health-centre" else "Mottagningsbesök",
        diagnoses=[i.reference for i in group if i.reference is not None][:4], where=unit.location,
    )  # fmt: skip
    measured = []
    if chart.age(on) >= 16:
        above, below = (
            rng.gauss(chart.traits["systolic"], 6),
            rng.gauss(chart.traits["diastolic"], 4),
        )
        measured.append(
            "Blodtryck "
            + blood_pressure(chart, unit, above, below, on, minute + 4, by, visit)
            + " mmHg."
        )
        weight = weight_on(chart, on)
        vital(chart, unit, "weight", weight, on, minute + 6, by, visit)
        measured.append(f"Vikt {swedish(round(weight * 10), 1)} kg.")
        if first:
            vital(chart, unit, "height", chart.traits["height"], on, minute + 6, by, visit)
            vital(
                chart,
                unit,
                "bmi",
                weight / (chart.traits["height"] / 100) ** 2,
                on,
                minute + 7,
                by,
                visit,
            )
        if rng.random() < 0.6:
            vital(
                chart, unit, "pulse", rng.gauss(chart.traits["pulse"], 4), on, minute + 5, by, visit
            )
    answers = ""
    if panels:
        answers = panel(
            chart, unit, laboratory(who), panels, max(on - 7, chart.born), 480 + minute % 60, visit
        )
    names = ", ".join(i.disease.text.lower() for i in group[:4])
    about = rng.choice(texts["check"]).format(conditions=names, feels=rng.choice(texts["feels"]))
    parts = [about, " ".join(measured)] if measured else [about]
    if answers:
        parts.append(f"Prover: {answers}.")
    parts.append(rng.choice(texts["check_plan"]))
    chart.note(unit, "besoksanteckning", on, minute + 25, by, parts, visit)


@lru_cache(maxsize=256)
def _acute_for(age: int, female: bool) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    rows = [
        row for row in table("notes")["acute"].values()
        if row[2] <= age <= row[3] and row[5] in ("both", "female" if female else "male")
    ]  # fmt: skip
    return tuple(rows), tuple(accumulate(row[4] for row in rows))


def acute_visits(chart: Chart, who: Resident) -> None:
    """Short illnesses of the last three years: visit, diagnosis, now and then a test and a medicine."""
    rng = chart.rng
    age = chart.age(chart.end)
    chance = 0.62 if age < 6 or age >= 75 else 0.42 if who.female else 0.33
    last = chart.end + 1
    while rng.random() < chance:
        last -= 20 + int(rng.random() * 420)
        on = weekday(last)
        if on >= chart.end or on <= chart.born + 60:
            continue
        rows, weights = _acute_for(max(0, chart.age(on)), who.female)
        _acute(chart, who, rows[bisect(weights, rng.random() * weights[-1])], on)


def _acute(chart: Chart, who: Resident, row: Any, on: int) -> None:
    code, text, _, _, _, _, remedy, tests, history, findings, plan = row
    rng = chart.rng
    unit = centre_on(who, on)
    minute = office_hour(chart)
    by = chart.by(unit)
    visit = chart.visit(
        unit, on, minute, 20, by, "Akut besök", reasons=[words(text)], where=unit.location
    )
    over = min(on + 14, chart.end)
    problem = chart.condition(
        unit, code, text, on, by, chronic=False, resolved=over, encounter=visit
    )
    spo2 = 94 + int(rng.random() * 4)
    filled = {
        "n": 2 + int(rng.random() * 5),
        "spo2": spo2,
        "sport": rng.choice(table("notes")["words"]["sport"]),
    }
    parts = [history.format(**filled), findings.format(**filled)]
    if "eber" in history:
        vital(chart, unit, "temperature", 37.4 + rng.random() * 1.9, on, minute + 3, by, visit)
    if tests and chart.age(on) >= 2 and rng.random() < 0.7:
        if tests == "infektion":
            raised = _inflame(chart, 10 + rng.random() * 90)
            parts.append(
                "Prover: "
                + panel(chart, unit, laboratory(who), [tests], on, minute + 5, visit)
                + "."
            )
            _inflame(chart, -raised)
        else:
            parts.append(
                "Prover: "
                + panel(chart, unit, laboratory(who), [tests], on, minute + 5, visit)
                + "."
            )
    elif chart.age(on) >= 40:
        traits = chart.traits
        blood_pressure(
            chart, unit, traits["systolic"], traits["diastolic"], on, minute + 4, by, visit
        )
    if remedy and rng.random() < 0.85:
        prescribe(
            chart, unit, medicine(remedy), on, by, reason=problem, encounter=visit,
            status="completed" if over < chart.end else "active",
        )  # fmt: skip
    parts.append(plan)
    chart.note(unit, "besoksanteckning", on, minute + 18, by, parts, visit)


def stays(chart: Chart, who: Resident, illnesses: list[Illness]) -> None:
    """Hospital stays of the last three years; a few are there now."""
    rng = chart.rng
    age = chart.age(chart.end)
    has = {i.disease.key: i for i in illnesses}
    chance = min(0.5, 0.015 + max(0, age - 45) * 0.004 + 0.05 * len(has.keys() & _HEAVY))
    for _ in range(MOST_STAYS):
        if rng.random() >= chance:
            return
        rows = [
            r for r in table("notes")["stay"].values() if age >= r[2] and (not r[7] or r[7] in has)
        ]
        if not rows:
            return
        row = rng.choices(rows, [r[3] * (2 if r[7] else 1) for r in rows])[0]
        length = rng.randrange(row[5], row[6] + 1)
        # One stay in sixty or so is the one going on: about 0.2 % of residents are in hospital.
        now = not who.died and rng.random() < 0.035
        begin = chart.end - (
            rng.randrange(1, length + 1) if now else length + 2 + int(rng.random() * 1000)
        )
        if begin <= chart.born + 30:
            return
        _stay(chart, who, row, has.get(row[7]), begin, length, now=now)
        if now:
            return


_HEAVY = {"hjartsvikt", "kol", "flimmer", "stroke", "njursvikt", "angina", "demens", "parkinson"}


def _stay(
    chart: Chart,
    who: Resident,
    row: Any,
    known: Illness | None,
    begin: int,
    length: int,
    *,
    now: bool,
) -> None:
    code, text, _, _, field, _, _, _, kva, intervention, course = row
    rng, hospital = chart.rng, who.town.hospital
    ward = rng.choice(region().hospital_units(hospital, "ward", field))
    emergency = region().hospital_unit(hospital, "emergency", "akut")
    planned = course.startswith("Planerad")
    arrived = 420 + int(rng.random() * 700)
    physician = chart.by(ward)
    reason = concept(ICD, code, text)
    came = None
    lab = laboratory(who)
    if not planned:
        by = chart.by(emergency)
        came = chart.visit(
            emergency, begin, arrived, 190, by, "Akutbesök", kind=EMERGENCY, reasons=[reason],
            where=emergency.location,
        )  # fmt: skip
        _arrival(
            chart, emergency, begin, arrived + 10, chart.by(emergency, "sjukskoterska"), came, code
        )
        raised = _inflame(chart, _crp(chart, code))
        answers = panel(chart, emergency, lab, ["akut"], begin, arrived + 20, came)
        _inflame(chart, -raised)
        chart.note(
            emergency, "akutanteckning", begin, arrived + 150, by,
            [f"Söker för: {text.lower()}.", f"Prover: {answers}.", f"Bedömning: läggs in på {ward.name}."], came,
        )  # fmt: skip
    left = begin + length
    admitted = arrived + (200 if not planned else 0)
    problem = known.reference if known is not None and known.reference is not None else None
    if problem is None:
        problem = chart.condition(
            ward, code, text, begin, physician, chronic=False, resolved=0 if now else left
        )
    stay = chart.stay(
        ward, (begin, admitted), None if now else (left, 720), physician, reason, kind=INPATIENT,
        planned=planned, diagnoses=[problem],
    )  # fmt: skip
    story = course.format(kg=2 + int(rng.random() * 5))
    chart.note(
        ward, "inskrivningsanteckning", begin, admitted + 30, physician,
        [f"Inskrivningsorsak: {text}.", "Allmäntillstånd: något påverkat. Orienterad. Hjärta och lungor avlyssnade, buk mjuk."], stay,
    )  # fmt: skip
    nurse = chart.by(ward, "sjukskoterska")
    for i in range(min(length, chart.end - begin)):
        if i < 2:
            _arrival(chart, ward, begin + i, admitted + 120 + 240 * i, nurse, stay, code)
            if code == "I50.9":
                vital(
                    chart,
                    ward,
                    "weight",
                    weight_on(chart, begin + i) + 4 - i,
                    begin + i,
                    admitted + 130,
                    nurse,
                    stay,
                )
        elif i == 2:
            panel(chart, ward, lab, ["allman"], begin + i, 400, stay)
            chart.note(
                ward,
                "daganteckning",
                begin + i,
                600,
                physician,
                ["Mår bättre. Äter och dricker. Fortsatt behandling, prover i morgon."],
                stay,
            )
    if kva and begin + 1 < chart.end:
        procedure(chart, ward, kva, intervention, begin + 1, 540, physician, stay)
    if not now:
        chart.note(
            ward, "slutanteckning", left, 690, physician,
            [f"Vårdtid {length} dygn. Huvuddiagnos: {text} ({code}).", story,
             "Läkemedel: se läkemedelslistan, genomgången med patienten.",
             "Uppföljning på vårdcentralen inom två veckor."], stay,
        )  # fmt: skip


def _crp(chart: Chart, code: str) -> float:
    infected = code[:3] in ("J18", "J44", "N10", "K35")
    return 60 + chart.rng.random() * 160 if infected else chart.rng.random() * 12


def _inflame(chart: Chart, crp: float) -> float:
    """Raises CRP (mg/L), and the white cells with it, until taken back with the negative; returns it."""
    chart.effects["crp"] = chart.effects.get("crp", 0.0) + crp
    chart.effects["lpk"] = chart.effects.get("lpk", 0.0) + crp * 0.035
    return crp


def _arrival(
    chart: Chart, unit: Unit, on: int, minute: int, by: Reference, visit: Reference, code: str
) -> None:
    """The vital signs nurses take at arrival and daily (those of NEWS)."""
    rng, traits = chart.rng, chart.traits
    ill = code[:3] in ("J18", "J44", "N10", "I50")
    blood_pressure(
        chart,
        unit,
        rng.gauss(traits["systolic"], 12),
        rng.gauss(traits["diastolic"], 7),
        on,
        minute,
        by,
        visit,
    )
    fast = 110 if code == "I48.9" else traits["pulse"] + (18 if ill else 6)
    vital(chart, unit, "pulse", rng.gauss(fast, 6), on, minute, by, visit)
    vital(
        chart,
        unit,
        "temperature",
        rng.gauss(38.4 if code[:3] in ("J18", "N10") else 37.0, 0.4),
        on,
        minute,
        by,
        visit,
    )
    vital(chart, unit, "respiration", rng.gauss(22 if ill else 16, 2), on, minute, by, visit)
    vital(
        chart,
        unit,
        "saturation",
        min(99.0, rng.gauss(traits["saturation"] - (4 if ill else 0), 1.2)),
        on,
        minute,
        by,
        visit,
    )
