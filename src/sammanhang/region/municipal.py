"""Municipal health care: home care and nursing homes, owned by the municipality's board."""

from __future__ import annotations

from sammanhang.fhir.r4 import CarePlan, Period, Reference
from sammanhang.fhir.r4.careplan import CarePlanActivity, CarePlanActivityDetail

from .chart import Chart
from .codes import AT_HOME, CARE_TYPE, concept, swedish
from .content import table
from .days import day, weekday
from .diseases import Illness
from .entries import appointment, enrolment
from .measures import assessment, blood_pressure, vital
from .organisations import Unit
from .people import Resident
from .visits import weight_on

DOWNTON_RISK = 3
VISITS_BACK = 42  # days
GOALS = (
    ("Vägning", "Vägning en gång i veckan; kontakt med läkare vid uppgång 2 kg på tre dygn."),
    ("Läkemedel", "Dosett delas varannan vecka, överlämnande enligt signeringslista."),
    ("Blodtryck", "Blodtryck en gång i månaden, oftare vid yrsel."),
    ("Fallförebyggande", "Genomgång av bostaden, balansträning, rollator."),
    ("Hud", "Kontroll av hud och tryckavlastning."),
)


def home_care_unit(who: Resident) -> Unit:
    """The home-care unit of the part of the municipality someone lives in."""
    units = who.town.home_care
    return units[who.area % len(units)]


def municipal_care(chart: Chart, who: Resident, illnesses: list[Illness]) -> Unit | None:
    """Enrols some of the old and frail; returns the unit, None for the others."""
    age = chart.age(chart.end)
    if age < 65 or who.died:
        return None
    rng = chart.rng
    heavy = len(illnesses)
    if age >= 80 and rng.random() < 0.05 + (
        0.25 if any(i.disease.key == "demens" for i in illnesses) else 0
    ):
        homes = who.town.nursing_homes
        unit = homes[int(rng.random() * len(homes))]
        enrol(
            chart,
            unit,
            "sarskilt-boende",
            "Särskilt boende",
            chart.end - 60 - int(rng.random() * 900),
            illnesses,
        )
        return unit
    chance = (0.02 if age < 75 else 0.06 if age < 80 else 0.14) + 0.02 * heavy
    if rng.random() >= chance:
        return None
    unit = home_care_unit(who)
    enrol(
        chart,
        unit,
        "hemsjukvard",
        "Hemsjukvård",
        chart.end - 20 - int(rng.random() * 700),
        illnesses,
    )
    return unit


def enrol(
    chart: Chart, unit: Unit, kind: str, text: str, begun: int, illnesses: list[Illness]
) -> None:
    """Enrolment, care plan, assessments and the visits of the last six weeks."""
    rng = chart.rng
    nurse = chart.by(unit, "sjukskoterska")
    episode = enrolment(chart, unit, kind, text, begun, nurse)
    chosen = rng.sample(GOALS, 2 + int(rng.random() * 2))
    care_plan(chart, unit, f"Vårdplan {text.lower()}", begun + 3, nurse, list(chosen), illnesses)
    on = min(begun + 5, chart.end - 1)
    score = 1 + int(rng.random() * 6)
    assessment(
        chart, unit, "downton", "Downton fallriskindex", on, 600, nurse, score=score,
        text="Risk för fall" if score >= DOWNTON_RISK else "Låg risk för fall",
    )  # fmt: skip
    assessment(
        chart, unit, "norton", "Norton, modifierad", on, 605, nurse, score=(n := 17 + int(rng.random() * 11)),
        text="Risk för trycksår" if n <= 20 else "Ingen ökad risk",
    )  # fmt: skip
    assessment(
        chart,
        unit,
        "katz",
        "Katz ADL-index",
        on,
        610,
        nurse,
        text=f"Katz {rng.choice('ABBCCCDEF')}",
    )
    texts = table("notes")["words"]["home"]
    day_ = weekday(max(begun + 7, chart.end - VISITS_BACK + int(rng.random() * 6)))
    role = "sjukskoterska"
    while day_ < chart.end:
        by = chart.by(unit, role)
        minute = 495 + 15 * int(rng.random() * 24)
        visit = chart.visit(unit, day_, minute, 25, by, "Hembesök", kind=AT_HOME, episode=episode)
        weight = weight_on(chart, day_)
        vital(chart, unit, "weight", weight, day_, minute + 5, by, visit)
        measured = f"Vikt {swedish(round(weight * 10), 1)} kg."
        if rng.random() < 0.4:
            traits = chart.traits
            written = blood_pressure(
                chart, unit, rng.gauss(traits["systolic"], 7), rng.gauss(traits["diastolic"], 4),
                day_, minute + 8, by, visit,
            )  # fmt: skip
            measured += f" Blodtryck {written} mmHg."
        chart.note(
            unit,
            "hembesok",
            day_,
            minute + 22,
            by,
            [rng.choice(texts).format(measure=measured)],
            visit,
        )
        day_ = weekday(day_ + (7 if rng.random() < 0.7 else 4))
    next_visit = weekday(chart.today + 1 + int(rng.random() * 5))
    appointment(chart, unit, next_visit, 600, 30, nurse, "Hembesök")


def care_plan(
    chart: Chart, unit: Unit, title: str, on: int, author: Reference, activities: list[tuple[str, str]],
    illnesses: list[Illness], *, kind: str = "vardplan", text: str = "Vårdplan", id: str | None = None,
) -> None:  # fmt: skip
    """A plan with its activities, each a heading and a sentence."""
    chart.out.append(
        CarePlan(
            id=id or chart.id(),
            meta=unit.meta(),
            status="active",
            intent="plan",
            category=[concept(CARE_TYPE, kind, text)],
            title=title,
            subject=chart.subject,
            period=Period(start=day(min(on, chart.end))),
            created=day(min(on, chart.end)),
            author=author,
            addresses=[i.reference for i in illnesses if i.reference is not None][:4] or None,
            activity=[
                CarePlanActivity(
                    detail=CarePlanActivityDetail(
                        status="in-progress", description=f"{heading}: {sentence}"
                    )
                )
                for heading, sentence in activities
            ],
        )
    )
