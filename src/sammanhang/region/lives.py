"""A resident's record from birth to today: who they are, then everything that has happened."""

from __future__ import annotations

import random
from datetime import date
from functools import lru_cache
from typing import Any

from . import diseases
from .chart import Chart
from .children import child_health, school_health, vaccinations
from .content import table
from .days import weekday, year_of
from .diseases import Illness
from .entries import allergy, appointment, flag, immunization, team
from .legal import consent
from .measures import blood_pressure
from .medicines import medicine, prescribe
from .municipal import municipal_care
from .organisations import Unit, region
from .people import Resident
from .register import patient, related_persons
from .staff import Roster
from .visits import acute_visits, body, checks, office_hour, stays

INNER_BLOCK_SHARE = 0.006
OUTER_BLOCK_SHARE = 0.005
PERMIT_SHARE_IN_MUNICIPAL_CARE = 0.8
# [code, words, category, reaction, share, share of them life-threatening]
ALLERGIES = (
    ("J01C", "Penicillin", "medication", ("Utslag", "Anafylaxi"), 0.045, 0.12),
    ("jordnot", "Jordnöt", "food", ("Klåda i munnen", "Anafylaxi"), 0.012, 0.35),
    ("bi-geting", "Bi- och getinggift", "environment", ("Kraftig svullnad", "Anafylaxi"), 0.008, 0.4),
    ("notter", "Hasselnöt", "food", ("Klåda i munnen", "Anafylaxi"), 0.02, 0.1),
    ("pals", "Pälsdjur", "environment", ("Snuva och kliande ögon", "Svår astma"), 0.05, 0.02),
    ("N02BA", "Acetylsalicylsyra", "medication", ("Andnöd", "Bronkospasm"), 0.008, 0.3),
    ("latex", "Latex", "environment", ("Kontakteksem", "Anafylaxi"), 0.005, 0.1),
)  # fmt: skip


def record(who: Resident, seed: int, today: int, roster: Roster) -> list[Any]:
    """Every resource of a resident, the Patient first."""
    chart = begin(who, seed, today, roster)
    live(chart, who)
    return chart.out


def begin(who: Resident, seed: int, today: int, roster: Roster) -> Chart:
    """A chart that holds the Patient and its guardians and nothing clinical yet."""
    chart = Chart(
        who.id,
        who.prefix,
        female=who.female,
        born=who.born,
        today=today,
        end=who.died or today,
        rng=random.Random((seed << 34) ^ (who.number * 2 + 1)),
        roster=roster,
        number=who.number,
    )
    chart.out.append(patient(who, today))
    chart.out.extend(related_persons(who, today))
    return chart


def live(chart: Chart, who: Resident) -> list[Illness]:
    """Writes everything clinical of a resident into the chart; returns their chronic illnesses."""
    age = chart.age(chart.end)
    illnesses = diseases.draw(chart, who)
    body(chart, who)
    diseases.write(chart, illnesses)
    _allergies(chart, who)
    if age < 20:
        child_health(chart, who)
        vaccinations(chart, who)
        school_health(chart, who)
    checks(chart, who, illnesses)
    acute_visits(chart, who)
    if age >= 16:
        stays(chart, who, illnesses)
        _adult_prevention(chart, who)
    municipal = municipal_care(chart, who, illnesses)
    _contact_person(chart, who, illnesses)
    if not who.died and not who.protected:
        _booked(chart, who, illnesses)
    _legal(chart, who, municipal)
    return illnesses


def _allergies(chart: Chart, who: Resident) -> None:
    rng = chart.rng
    for code, text, category, reactions, share, severe_share in ALLERGIES:
        if rng.random() < share:
            severe = rng.random() < severe_share
            on = (
                chart.end - 30 - int(rng.random() * max(1, min(chart.end - chart.born - 400, 9000)))
            )
            if on <= chart.born + 180:
                continue
            unit = who.centre
            by = chart.by(unit)
            allergy(chart, unit, code, text, category, on, by, reactions[severe], severe=severe)
            if severe:
                flag(
                    chart,
                    unit,
                    "livshotande-overkanslighet",
                    f"{text} – livshotande överkänslighet",
                    on,
                    by,
                )


@lru_cache(maxsize=256)
def _month(year: int, month: int) -> int:
    return date(year, month, 2).toordinal()


def season(end: int, month: int, back: int, later: int) -> int:
    """A working day `later` days into a month: the last such before `end`, or `back` years earlier."""
    year = year_of(end)
    if _month(year, month) + later + 2 >= end:
        year -= 1
    return weekday(_month(year - back, month) + later)


def _adult_prevention(chart: Chart, who: Resident) -> None:
    """Vaccinations of adults, cervical screening, contraception, a blood pressure now and then."""
    rng = chart.rng
    age = chart.age(chart.end)
    for atc, name, disease, old, young, month in table("childhood")["adult"]:
        share = old if age >= 65 else young
        repeated = 2 if atc in ("J07BB02", "J07BN01") else 1
        for back in range(repeated):
            if rng.random() < share:
                on = season(chart.end, month, back, int(rng.random() * 25))
                nurse = chart.by(who.centre, "sjukskoterska")
                immunization(chart, who.centre, atc, name, disease, repeated - back, on, nurse)
    midwives = region().midwives
    if who.female and 23 <= age <= 70 and rng.random() < 0.45:
        unit = midwives[int(who.town.code) % len(midwives)]
        on = weekday(chart.end - 40 - int(rng.random() * 1500))
        midwife = chart.by(unit, "barnmorska")
        visit = chart.visit(
            unit,
            on,
            office_hour(chart),
            15,
            midwife,
            "Gynekologisk cellprovtagning",
            where=unit.location,
        )
        chart.note(
            unit,
            "besoksanteckning",
            on,
            980,
            midwife,
            ["Cellprov taget utan besvär. Svar hem inom sex veckor."],
            visit,
        )
    if who.female and 17 <= age <= 36 and rng.random() < 0.2:
        unit = midwives[int(who.town.code) % len(midwives)]
        prescribe(
            chart,
            unit,
            medicine("ppiller"),
            weekday(chart.end - 20 - int(rng.random() * 300)),
            chart.by(unit, "barnmorska"),
        )
    if age >= 40 and rng.random() < 0.25:
        nurse = chart.by(who.centre, "sjukskoterska")
        on = weekday(chart.end - 30 - int(rng.random() * 900))
        blood_pressure(
            chart,
            who.centre,
            chart.traits["systolic"],
            chart.traits["diastolic"],
            on,
            office_hour(chart),
            nurse,
        )


def _contact_person(chart: Chart, who: Resident, illnesses: list[Illness]) -> None:
    """A named contact (fast vårdkontakt) for those with much illness."""
    if who.died or len(illnesses) < 3 or chart.rng.random() < 0.4:
        return
    unit = who.centre
    team(chart, unit, "Fast vårdkontakt", chart.end - 30 - int(chart.rng.random() * 900),
        [("Fast vårdkontakt", chart.by(unit, "sjukskoterska")), ("Läkare", chart.by(unit))],
    )  # fmt: skip


def _booked(chart: Chart, who: Resident, illnesses: list[Illness]) -> None:
    rng = chart.rng
    if rng.random() < min(0.7, 0.05 + 0.12 * len(illnesses)):
        unit = illnesses[-1].unit if illnesses else who.centre
        what = "Återbesök" if illnesses else "Besök"
        on = weekday(chart.today + 1 + int(rng.random() * 90))
        appointment(
            chart, unit, on, office_hour(chart), 30, chart.by(unit), what, place=unit.location
        )


def _legal(chart: Chart, who: Resident, municipal: Unit | None) -> None:
    """Consents to shared records and blocks; a guardian cannot block, so children have none."""
    rng = chart.rng
    now = chart.end - 1 - int(rng.random() * 400)
    if municipal is not None and rng.random() < PERMIT_SHARE_IN_MUNICIPAL_CARE:
        consent(chart, municipal, "sammanhallen-dokumentation", municipal.provider, now)
    if who.centre.provider != region().region.id and rng.random() < 0.5:
        consent(chart, who.centre, "sammanhallen-dokumentation", who.centre.provider, now)
    if chart.age(chart.end) < 18:
        return
    if rng.random() < INNER_BLOCK_SHARE:
        unit = (
            region().hospital_unit(who.town.hospital, "clinic", "psykiatri")
            if rng.random() < 0.5
            else who.centre
        )
        consent(chart, unit, "inre-sparr", unit.id, now)
    if rng.random() < OUTER_BLOCK_SHARE:
        consent(chart, who.centre, "yttre-sparr", who.centre.provider, now)
