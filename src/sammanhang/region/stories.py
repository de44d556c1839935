"""People with names and fixed ids, whose stories later work plays: Svea, Greta and those around them.

Recent events move with `today`: with another day than 22 November 2026 everything but dates of birth
shifts by as many days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sammanhang.fhir.r4 import Patient, Reference
from sammanhang.kernel.identifiers import PERSONNUMMER, make_personnummer

from . import diseases
from .chart import Chart
from .codes import EMERGENCY, ICD, INPATIENT, STORY_TAG, concept
from .days import TODAY
from .diseases import Illness
from .legal import consent
from .lives import begin, live
from .measures import panel, report, result, vital
from .municipal import enrol
from .organisations import Unit, named, region
from .people import Resident
from .staff import Roster, named_people, role_name, roster
from .visits import body, checks, laboratory

FIRST_NUMBER = 9_000_001
"""Resident numbers of story people lie beyond any region; they only choose who meets whom."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where and when a story plays: `day` turns a date of the script into an ordinal.

    `enrolled` tells whether Svea has home care already; the demo begins before the request for it is written.
    """

    today: int
    seed: int
    roster: Roster
    enrolled: bool = True

    def day(self, year: int, month: int, day: int) -> int:
        """The ordinal of a scripted date, moved with today."""
        return date(year, month, day).toordinal() + self.today - TODAY.toordinal()


def staff_member(id: str, assignment: int = 1) -> Reference:
    """A named member of staff in one of their assignments."""
    person = named_people()[id]
    at = person.assignments[assignment - 1]
    return Reference(
        reference=f"PractitionerRole/{at.id}",
        display=f"{person.given} {person.family}, {role_name(at.role)}",
    )


def person(
    id: str, given: str, family: str, born: date, serial: str, *, place: int, street: str, phone: str,
    centre: str = "Vårdcentralen Södra torget", number: int = 0, town: str = "1490",
) -> Resident:  # fmt: skip
    """A story person as a resident; the serial is one of the test series."""
    municipality = region().municipalities[town]
    locality, postal = municipality.places[place]
    return Resident(
        number=FIRST_NUMBER + number,
        id=id,
        system=PERSONNUMMER,
        identity=make_personnummer(born, serial),
        female=int(serial) % 2 == 0,
        born=born.toordinal(),
        given=given,
        family=family,
        town=municipality,
        street=street,
        postal_code=postal,
        city=municipality.name if place == 0 else locality,
        centre=named(centre),
        phone=phone,
        area=place,
    )


def cast() -> dict[str, Resident]:
    """Everyone with a name, by id."""
    everyone = (
        person("svea-andersson", "Svea", "Andersson", date(1937, 11, 4), "238", place=1, number=0,
               street="Ekåsvägen 14", phone="033-000 00 21"),
        person("lars-andersson", "Lars", "Andersson", date(1964, 3, 15), "239", place=5, number=1,
               street="Sjövägen 8", phone="070-000 00 34", centre="Vårdcentralen Fristad"),
        person("greta-lindgren", "Greta", "Lindgren", date(2015, 10, 6), "980", place=0, number=2,
               street="Parkgatan 22 lgh 1203", phone="070-000 00 56"),
        person("sara-lindgren", "Sara", "Lindgren", date(1984, 2, 11), "238", place=0, number=3,
               street="Parkgatan 22 lgh 1203", phone="070-000 00 51"),
        person("jonas-lindgren", "Jonas", "Lindgren", date(1982, 9, 27), "239", place=4, number=4,
               street="Rönnvägen 3", phone="070-000 00 52", centre="Vårdcentralen Trandared"),
        person("bertil-holm", "Bertil", "Holm", date(1944, 2, 11), "239", place=0, number=5,
               street="Kyrkogatan 9 lgh 1102", phone="033-000 00 22"),
        person("ingrid-lund", "Ingrid", "Lund", date(1949, 6, 30), "238", place=0, number=6,
               street="Nygatan 31 lgh 1001", phone="033-000 00 23"),
        person("svea-karlsson", "Svea", "Karlsson", date(1942, 3, 2), "238", place=0, number=7,
               street="Källgatan 5", phone="033-000 00 24"),
        person("olle-nystrom", "Olle", "Nyström", date(1935, 1, 19), "239", place=0, number=8,
               street="Kvarngatan 2 lgh 1301", phone="033-000 00 25"),
        person("vera-strom", "Vera", "Ström", date(1972, 5, 9), "238", place=0, number=20,
               street="Ljusgatan 4", phone="033-000 00 30"),
        person("elis-berglund", "Elis", "Berglund", date(2014, 8, 19), "239", place=0, number=21,
               street="Ekgatan 12", phone="070-000 00 63"),
        person("saga-berglund", "Saga", "Berglund", date(2013, 2, 14), "238", place=0, number=22,
               street="Ekgatan 12", phone="070-000 00 64"),
        person("anton-berglund", "Anton", "Berglund", date(1983, 4, 6), "239", place=0, number=23,
               street="Ekgatan 12", phone="070-000 00 61"),
        person("asta-noren", "Asta", "Norén", date(1940, 7, 23), "238", place=0, number=24,
               street="Skolgatan 17", phone="033-000 00 31"),
        person("mona-lind", "Mona", "Lind", date(1955, 12, 1), "238", place=0, number=25,
               street="Dolda vägen 1", phone="070-000 00 62"),
        # staff who are residents: `number` in content/region/staff
        person("helena-lund", "Helena", "Lund", date(1968, 4, 1), "980", place=0, number=9,
               street="Nygatan 31 lgh 1001", phone="070-000 00 61"),
        person("oskar-nystrom", "Oskar", "Nyström", date(1971, 8, 23), "981", place=0, number=10,
               street="Skolgatan 14 lgh 1102", phone="070-000 00 62", centre="Vårdcentralen Trandared"),
    )  # fmt: skip
    by_id = {who.id: who for who in everyone}
    by_id["greta-lindgren"].guardians = [by_id["sara-lindgren"], by_id["jonas-lindgren"]]
    for child in ("elis-berglund", "saga-berglund"):
        by_id[child].guardians = [by_id["anton-berglund"]]
    by_id["mona-lind"].protected = "sekretessmarkering"
    return by_id


def stories(seed: int, size: int, *, today: date = TODAY, enrolled: bool = True) -> Iterator[Any]:
    """Every resource of the story people; each Patient before what belongs to it. `enrolled` as in `Stage`."""
    for resource in _stories(seed, size, today, enrolled):
        if isinstance(resource, Patient):
            resource.meta.tag = [STORY_TAG]
        yield resource


def _stories(seed: int, size: int, today: date, enrolled: bool) -> Iterator[Any]:
    from .greta import greta
    from .law import law
    from .svea import svea

    stage = Stage(today.toordinal(), seed, roster(seed, size), enrolled)
    people_ = cast()
    yield from svea(stage, people_)
    yield from greta(stage, people_)
    for id in ("lars-andersson", "sara-lindgren", "jonas-lindgren"):
        chart = start(stage, people_[id])
        live(chart, people_[id])
        yield from chart.out
    yield from bertil(stage, people_["bertil-holm"])
    yield from neighbour(stage, people_["ingrid-lund"], ["hypertoni", "reumatism", "osteoporos"])
    yield from svea_karlsson(stage, people_["svea-karlsson"])
    yield from neighbour(
        stage, people_["olle-nystrom"], ["diabetes2", "hypertoni", "njursvikt", "horsel"]
    )
    yield from law(stage, people_)
    for id in ("helena-lund", "oskar-nystrom"):
        chart = start(stage, people_[id])
        live(chart, people_[id])
        yield from chart.out


def start(stage: Stage, who: Resident) -> Chart:
    """The chart of a story person, with the Patient in it."""
    return begin(who, stage.seed, stage.today, stage.roster)


def neighbour(stage: Stage, who: Resident, keys: list[str]) -> Iterator[Any]:
    """Someone enrolled at Hemsjukvård Centrum with given diseases; the rest is generated."""
    chart, _ = _enrolled(stage, who, keys)
    yield from chart.out


def _enrolled(stage: Stage, who: Resident, keys: list[str]) -> tuple[Chart, list[Illness]]:
    chart = start(stage, who)
    known = diseases.diseases()
    illnesses = [
        Illness(known[key], stage.day(2006 + 3 * i, 3 + i, 11), who.centre)
        for i, key in enumerate(keys)
    ]
    diseases.apply(chart, illnesses)
    body(chart, who)
    diseases.write(chart, illnesses)
    checks(chart, who, illnesses)
    unit = named("Hemsjukvård Centrum, Borås")
    enrol(chart, unit, "hemsjukvard", "Hemsjukvård", stage.day(2025, 4, 14), illnesses)
    consent(chart, unit, "sammanhallen-dokumentation", unit.provider, stage.day(2025, 4, 14))
    return chart, illnesses


def bertil(stage: Stage, who: Resident) -> Iterator[Any]:
    """Bertil Holm, 82, is on SÄS medicin 3 now, expected home on 26 November."""
    chart, illnesses = _enrolled(stage, who, ["hypertoni", "hjartsvikt", "kol"])
    begun = stage.day(2026, 11, 20)
    ward, door = named("Medicinavdelning 3 SÄS"), named("Akutmottagning SÄS")
    physician, nurse = staff_member("henrik-dahl"), staff_member("johanna-lindqvist")
    reason = concept(ICD, "J44.1", "KOL med akut exacerbation")
    came = chart.visit(
        door, begun, 800, 200, staff_member("tomas-ryd"), "Akutbesök", kind=EMERGENCY, reasons=[reason],
        where=door.location,
    )  # fmt: skip
    panel(chart, door, laboratory(who), ["akut"], begun, 820, came)
    stay = chart.stay(
        ward, (begun, 1010), None, physician, reason, kind=INPATIENT, id="bertil-holm-vardtillfalle",
        diagnoses=[i.reference for i in illnesses if i.disease.key == "kol" and i.reference],
    )  # fmt: skip
    chart.note(
        ward, "inskrivningsanteckning", begun, 1050, physician,
        ["Inkommer med ökad andnöd och hosta sedan tre dagar. Känd KOL och hjärtsvikt, hemsjukvård i Borås.",
         "Behandling: inhalationer, kortison, antibiotika. Beräknad utskrivning 26 november."], stay,
    )  # fmt: skip
    vital(chart, ward, "saturation", 89, begun, 1060, nurse, stay)
    vital(chart, ward, "respiration", 24, begun, 1060, nurse, stay)
    vital(chart, ward, "saturation", 92, begun + 1, 480, nurse, stay)
    chart.note(
        ward, "daganteckning", begun + 1, 600, physician,
        ["Andas lättare. Saturation 92 % utan syrgas. Fortsatt behandling."], stay,
    )  # fmt: skip
    yield from chart.out


def svea_karlsson(stage: Stage, who: Resident) -> Iterator[Any]:
    """Svea Karlsson, 84, has nearly the name of Svea Andersson; her Hb of 98 is new and not yet read."""
    chart, _ = _enrolled(stage, who, ["hypertoni", "jarnbrist"])
    unit: Unit = named("Hemsjukvård Centrum, Borås")
    on = stage.day(2026, 11, 20)
    reference, _, _ = result(chart, unit, laboratory(who), "hb", 98, on, 540)
    report(chart, unit, laboratory(who), "Blodstatus", [reference], on, 540)
    yield from chart.out
