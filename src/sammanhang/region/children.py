"""Children: growth, child health care (BHV), vaccinations, school health (EMI)."""

from __future__ import annotations

from bisect import bisect_right

from .chart import Chart
from .content import table
from .days import weekday
from .entries import enrolment, immunization
from .measures import vital
from .organisations import Unit
from .people import Resident
from .visits import centre_on, office_hour

MONTH = 30.4369


def _between(months: float, values: list[float]) -> float:
    """The value at an age, on the straight line between the ages of the table."""
    ages = table("childhood")["months"]
    i = min(max(bisect_right(ages, months) - 1, 0), len(values) - 2)
    share = min(1.0, (months - ages[i]) / (ages[i + 1] - ages[i]))
    return float(values[i] + (values[i + 1] - values[i]) * share)


def size(chart: Chart, months: float) -> tuple[float, float, float]:
    """Length (cm), weight (kg) and head circumference (cm) of the child at an age.

    A child keeps its channel: the same share of a standard deviation above or below all its years.
    """
    data, traits = table("childhood"), chart.traits
    if "tall" not in traits:
        traits["tall"] = max(-2.2, min(2.2, chart.rng.gauss(0, 1)))
        traits["heavy"] = max(-2.0, min(2.6, 0.6 * traits["tall"] + chart.rng.gauss(0, 0.7)))
        if chart.effects.get("bmi"):
            traits["heavy"] += 1.8
    sex = "girls" if chart.female else "boys"
    height = _between(months, data[f"height_{sex}"]) * (1 + 0.041 * traits["tall"])
    weight = _between(months, data[f"weight_{sex}"]) * (1 + 0.125 * traits["heavy"])
    head = _between(min(months, 18), data["head"]) * (1 + 0.02 * traits["tall"])
    noise = chart.rng.gauss(0, 0.3)
    return height + noise * 0.5, weight * (1 + noise * 0.02), head


def child_health(chart: Chart, who: Resident) -> None:
    """Visits at the health centre's child health care up to five years: growth and notes."""
    texts = table("notes")["words"]["child"]
    # Of school children only the last visits are kept in detail: the rest was on paper.
    earliest = 0 if chart.age(chart.end) < 7 else 30
    for months in table("childhood")["child_visits"]:
        on = weekday(chart.born + int(months * MONTH) + int(chart.rng.random() * 12))
        if months < earliest or on >= chart.end:
            continue
        unit = centre_on(who, on)
        nurse = chart.by(unit, "sjukskoterska")
        minute = office_hour(chart)
        visit = chart.visit(
            unit, on, minute, 40, nurse, "Hälsobesök barnhälsovård", where=unit.location
        )
        height, weight, head = size(chart, months)
        vital(chart, unit, "height", height, on, minute + 5, nurse, visit)
        vital(chart, unit, "weight", weight, on, minute + 7, nurse, visit)
        if months <= 18:
            vital(chart, unit, "head", head, on, minute + 9, nurse, visit)
        chart.note(unit, "halsobesok", on, minute + 35, nurse, [chart.rng.choice(texts)], visit)


def school_unit(who: Resident) -> Unit:
    """The school health unit of a pupil; larger municipalities have several."""
    units = who.town.school_health
    return units[who.area % len(units)]


def vaccinations(chart: Chart, who: Resident) -> None:
    """The childhood programme up to today; about three in a hundred have declined it."""
    if chart.rng.random() < 0.03:
        return
    for atc, name, disease, dose, months, where in table("childhood")["vaccines"]:
        on = weekday(chart.born + int(months * MONTH) + int(chart.rng.random() * 25))
        if on >= chart.end:
            continue
        if where == "emi":
            unit = school_unit(who)
            by = chart.by(unit, "skolskoterska")
        else:
            unit = centre_on(who, on)
            by = chart.by(unit, "sjukskoterska")
        immunization(chart, unit, atc, name, disease, dose, on, by)


def school_health(chart: Chart, who: Resident) -> None:
    """Enrolment at school health and its visits; owned by the board that runs the schools."""
    age = (chart.end - chart.born) / 365.2425
    if not 6.2 <= age < 19.5:
        return
    unit = school_unit(who)
    nurse = chart.by(unit, "skolskoterska")
    school = who.town.schools[(who.number // 7) % len(who.town.schools)]
    begun = weekday(chart.born + int(6.4 * 365.25))
    if begun >= chart.end:
        begun = chart.end - 30
    episode = enrolment(chart, unit, "elevhalsa", "Elevhälsans medicinska insats", begun, nurse)
    texts = table("notes")["words"]["school"]
    for years, grade in table("childhood")["school_visits"]:
        on = weekday(chart.born + int(years * 365.25) + int(chart.rng.random() * 90))
        if on >= chart.end or on < begun:
            continue
        minute = office_hour(chart)
        visit = chart.visit(
            unit,
            on,
            minute,
            45,
            nurse,
            f"Hälsobesök {grade}",
            where=school.location,
            episode=episode,
        )
        height, weight, _ = size(chart, years * 12)
        vital(chart, unit, "height", height, on, minute + 5, nurse, visit)
        vital(chart, unit, "weight", weight, on, minute + 7, nurse, visit)
        text = chart.rng.choice(texts).format(grade=grade)
        chart.note(
            unit, "halsobesok", on, minute + 40, nurse, [text, f"Skola: {school.name}."], visit
        )
