"""Those whose care shows the law at the door: a blocked psychiatric note, children of 12 and 13, an assessor's
enquiry, a protected identity.

Vera Ström is on the ward and has blocked psychiatry; Anton Berglund is the father of Elis, 12, and Saga, 13; Asta
Norén has an enquiry at the care needs assessor's and has consented; Mona Lind has protected identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .codes import ICD, INPATIENT, concept
from .entries import enrolment
from .legal import consent
from .organisations import named
from .people import Resident
from .stories import Stage, neighbour, staff_member, start


def law(stage: Stage, people: dict[str, Resident]) -> Iterator[Any]:
    """Every resource of these people; each Patient before what belongs to it."""
    yield from _vera(stage, people["vera-strom"])
    for id in ("elis-berglund", "saga-berglund"):
        yield from _child(stage, people[id])
    chart = start(stage, people["anton-berglund"])
    yield from chart.out
    yield from _asta(stage, people["asta-noren"])
    yield from neighbour(stage, people["mona-lind"], ["hypertoni"])


def _vera(stage: Stage, who: Resident) -> Iterator[Any]:
    """In hospital for pneumonia; what psychiatry wrote is blocked for other units of the region."""
    chart = start(stage, who)
    ward, psychiatry = (
        named("Medicinavdelning 3 SÄS"),
        named("Psykiatrisk öppenvårdsmottagning SÄS"),
    )
    physician, nurse = staff_member("henrik-dahl"), staff_member("johanna-lindqvist")
    doctor = chart.by(psychiatry)
    on = stage.day(2026, 9, 16)
    visit = chart.visit(psychiatry, on, 600, 45, doctor, "Läkarbesök", where=psychiatry.location)
    chart.note(
        psychiatry, "besoksanteckning", on, 650, doctor,
        ["Recidiverande depression, nu i förbättring. Litium insatt i maj, koncentration 0,7 mmol/l."], visit,
        id="vera-strom-psykiatri",
    )  # fmt: skip
    consent(chart, psychiatry, "inre-sparr", psychiatry.id, on + 2, id="vera-strom-sparr")
    begun = stage.day(2026, 11, 21)
    stay = chart.stay(
        ward, (begun, 860), None, physician, concept(ICD, "J18.9", "Pneumoni, ospecificerad"), kind=INPATIENT,
        id="vera-strom-vardtillfalle",
    )  # fmt: skip
    chart.note(
        ward, "inskrivningsanteckning", begun, 900, physician,
        ["Inkommer med feber och hosta sedan fyra dagar. Lunginfiltrat höger. Antibiotika intravenöst."], stay,
        id="vera-strom-inskrivning",
    )  # fmt: skip
    chart.note(
        ward, "daganteckning", begun + 1, 500, nurse, ["Feberfri i morse, dricker bra."], stay
    )
    yield from chart.out


def _child(stage: Stage, who: Resident) -> Iterator[Any]:
    """A visit for a sore throat at the health centre, that a guardian may read about until 13."""
    chart = start(stage, who)
    doctor = staff_member("karin-ek")
    on = stage.day(2026, 10, 14)
    problem = chart.condition(
        who.centre, "J02.9", "Akut faryngit, ospecificerad", on, doctor, id=f"{who.id}-faryngit"
    )
    visit = chart.visit(
        who.centre, on, 560, 15, doctor, "Läkarbesök", where=who.centre.location, diagnoses=[problem]
    )  # fmt: skip
    chart.note(
        who.centre, "besoksanteckning", on, 578, doctor,
        ["Halsont sedan två dagar, snabbtest för streptokocker negativt. Vila och dryck."], visit,
        id=f"{who.id}-halsont",
    )  # fmt: skip
    yield from chart.out


def _asta(stage: Stage, who: Resident) -> Iterator[Any]:
    """Home care, and an enquiry on aid at home; the assessor may read with her consent."""
    yield from neighbour(stage, who, ["hypertoni", "hjartsvikt"])
    chart = start(stage, who)
    del chart.out[:]
    unit = named("Biståndshandläggning Borås")
    on = stage.day(2026, 11, 9)
    enrolment(
        chart, unit, "bistand", "Utredning av bistånd i hemmet", on, staff_member("mikael-strand"),
        id="asta-noren-utredning",
    )  # fmt: skip
    consent(chart, unit, "sammanhallen-dokumentation", unit.provider, on, id="asta-noren-samtycke")
    yield from chart.out
