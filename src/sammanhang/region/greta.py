"""Greta Lindgren, 11, year 4 at Parkskolan in Borås (she started school a year later than most).

Called to the health talk of year 4 on 26 November 2026. Stomach aches and absence this autumn;
nobody has yet put them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .chart import Chart
from .children import MONTH, size
from .content import table
from .days import weekday
from .entries import allergy, appointment, enrolment, immunization
from .measures import panel, vital
from .medicines import medicine, prescribe
from .organisations import Unit, named
from .people import Resident
from .stories import Stage, staff_member, start
from .visits import laboratory

# Growth by hand where the story needs it: (year, month, day, cm, kg) at school. Weight stands still
# the last year while she grows.
SCHOOL_GROWTH = (
    (2022, 11, 16, 121.0, 23.6),
    (2024, 11, 13, 132.5, 29.8),
    (2025, 11, 19, 138.0, 33.1),
)


def greta(stage: Stage, people: dict[str, Resident]) -> Iterator[Any]:
    """Every resource of Greta Lindgren, the Patient first."""
    who = people["greta-lindgren"]
    chart = start(stage, who)
    centre = named("Vårdcentralen Södra torget")
    chart.traits.update(tall=-0.1, heavy=-0.1)
    _early_years(chart, centre)
    _pollen(chart, stage, centre)
    _school(chart, stage)
    _autumn(chart, stage, who, centre)
    yield from chart.out


def _early_years(chart: Chart, centre: Unit) -> None:
    """Child health care: every visit from one month to five years, and the vaccinations."""
    nurse = chart.by(centre, "sjukskoterska")
    texts = table("notes")["words"]["child"]
    for place, months in enumerate((0.4, 1, 2, 3, 4, 5, 6, 8, 10, 12, 18, 30, 36, 48, 60)):
        on = weekday(chart.born + round(months * MONTH) + 3)
        visit = chart.visit(
            centre, on, 600, 40, nurse, "Hälsobesök barnhälsovård", where=centre.location
        )
        height, weight, head = size(chart, months)
        vital(chart, centre, "height", height, on, 605, nurse, visit)
        vital(chart, centre, "weight", weight, on, 607, nurse, visit)
        if months <= 18:
            vital(chart, centre, "head", head, on, 609, nurse, visit)
        chart.note(centre, "halsobesok", on, 635, nurse, [texts[place % len(texts)]], visit)
    school, school_nurse = (
        named("Elevhälsans medicinska insats Centrum, Borås"),
        staff_member("lina-berg"),
    )
    for atc, name, disease, dose, months, where in table("childhood")["vaccines"]:
        on = weekday(chart.born + round(months * MONTH) + 10)
        if atc in ("J07BM03", "J07AJ52"):
            continue  # in year 5 and year 8; she is in year 4
        at_school = where == "emi"
        immunization(
            chart,
            school if at_school else centre,
            atc,
            name,
            disease,
            dose,
            on,
            school_nurse if at_school else nurse,
        )


def _pollen(chart: Chart, stage: Stage, centre: Unit) -> None:
    ek = staff_member("karin-ek")
    on = stage.day(2021, 5, 4)
    visit = chart.visit(centre, on, 560, 20, ek, "Läkarbesök", where=centre.location)
    problem = chart.condition(
        centre, "J30.1", "Allergisk rinit orsakad av pollen", on, ek, id="greta-lindgren-pollen"
    )
    allergy(
        chart,
        centre,
        "bjorkpollen",
        "Björkpollen",
        "environment",
        on,
        ek,
        "Snuva, kliande ögon",
        id="greta-lindgren-bjork",
    )
    chart.note(
        centre, "besoksanteckning", on, 578, ek,
        ["Andra våren med snuva, nysningar och kliande ögon i april och maj. Ingen astma.", "Pollenallergi, björk. Desloratadin och nässpray under säsong."], visit,
    )  # fmt: skip
    prescribe(
        chart,
        centre,
        medicine("desloratadin"),
        stage.day(2026, 3, 24),
        ek,
        reason=problem,
        id="greta-lindgren-desloratadin",
    )
    prescribe(
        chart,
        centre,
        medicine("mometason"),
        stage.day(2026, 3, 24),
        ek,
        reason=problem,
        id="greta-lindgren-mometason",
    )


def _school(chart: Chart, stage: Stage) -> None:
    """The school health record: enrolment, visits, the health talk to come."""
    unit, nurse, school = (
        named("Elevhälsans medicinska insats Centrum, Borås"),
        staff_member("lina-berg"),
        named("Parkskolan, Borås"),
    )
    begun = stage.day(2022, 8, 17)
    episode = enrolment(
        chart,
        unit,
        "elevhalsa",
        "Elevhälsans medicinska insats",
        begun,
        nurse,
        id="greta-lindgren-elevhalsa",
    )
    chart.note(
        unit, "halsobesok", begun, 560, nurse,
        ["Börjar förskoleklass ett år senare efter uppskjuten skolplikt (många infektioner 2021). Journal från barnhälsovården mottagen. Överkänslig mot björkpollen."],
    )  # fmt: skip
    grades = ("förskoleklass", "årskurs 2", "årskurs 3")
    stories = (
        [
            "Hälsobesök i förskoleklass med mamma Sara. Glad, nyfiken. Syn och hörsel utan anmärkning."
        ],
        ["Hälsobesök i årskurs 2, längd och vikt. Trivs, bästa vän i klassen."],
        ["Kontroll av längd och vikt. Bytte klass i höstas. Säger att det är ”sådär” i skolan."],
    )
    for (year, month, day, height, weight), grade, story in zip(
        SCHOOL_GROWTH, grades, stories, strict=True
    ):
        on = stage.day(year, month, day)
        visit = chart.visit(
            unit, on, 570, 40, nurse, f"Hälsobesök {grade}", where=school.location, episode=episode
        )
        vital(chart, unit, "height", height, on, 575, nurse, visit)
        vital(chart, unit, "weight", weight, on, 577, nurse, visit)
        chart.note(unit, "halsobesok", on, 608, nurse, story, visit)
    for month, day, text in (
        (9, 23, "Kommer under lektion med ont i magen. Vilar 20 minuter, går tillbaka."),
        (10, 14, "Ont i magen, vill ringa hem. Hämtas av mamma. Tredje gången sedan skolstart."),
        (11, 11, "Huvudvärk och trött. Säger att hon sover dåligt. Kallas till hälsosamtal."),
    ):
        on = stage.day(2026, month, day)
        visit = chart.visit(
            unit, on, 640, 20, nurse, "Spontant besök", where=school.location, episode=episode
        )
        chart.note(unit, "besoksanteckning", on, 662, nurse, [text], visit)
    appointment(chart, unit, stage.day(2026, 11, 26), 600, 45, nurse, "Hälsosamtal årskurs 4", place=school.location,
        id="greta-lindgren-halsosamtal", instruction="Fyll gärna i hälsoenkäten innan, tillsammans med en förälder.",
    )  # fmt: skip


def _autumn(chart: Chart, stage: Stage, who: Resident, centre: Unit) -> None:
    ek = staff_member("karin-ek")
    on = stage.day(2026, 10, 20)
    visit = chart.visit(centre, on, 900, 25, ek, "Läkarbesök", where=centre.location)
    problem = chart.condition(
        centre,
        "R10.4",
        "Buksmärta",
        on,
        ek,
        chronic=False,
        encounter=visit,
        id="greta-lindgren-magont",
    )
    answers = panel(chart, centre, laboratory(who), ["infektion"], on, 915, visit)
    vital(chart, centre, "weight", 33.0, on, 905, ek, visit)
    vital(chart, centre, "height", 142.5, on, 905, ek, visit)
    chart.note(
        centre, "besoksanteckning", on, 922, ek,
        [f"Ont i magen flera gånger i veckan sedan augusti, mest på skolmorgnar. Buken mjuk och oöm. {problem.display}.",
         f"Prover: {answers}. Inget tecken till inflammation. Vikt 33,0 kg, oförändrad sedan ett år.",
         "Uppmanas ta kontakt med skolsköterskan. Åter vid viktnedgång."], visit,
    )  # fmt: skip
