"""Svea Andersson in the autumn of 2026: the stay at SÄS, after it, and the municipality."""

from __future__ import annotations

from sammanhang.fhir.r4 import Reference

from .chart import Chart
from .codes import EMERGENCY, ICD, INPATIENT, TELEPHONE, concept
from .entries import appointment, enrolment, team
from .legal import consent
from .measures import assessment, blood_pressure, report, result, vital
from .municipal import care_plan
from .organisations import Unit, named
from .people import Resident
from .stories import Stage, staff_member
from .visits import laboratory

LABS_NOW = {
    "kalium": 5.4,
    "kreatinin": 118,
    "egfr": 38,
    "natrium": 138,
    "hb": 118,
    "probnp": 3850,
    "hba1c": 54,
}


def autumn(
    chart: Chart, stage: Stage, who: Resident, centre: Unit, problems: dict[str, Reference]
) -> None:
    """22 October to 24 November 2026, and the times booked after that."""
    _stay(chart, stage, who, problems)
    _november(chart, stage, who, centre, problems)
    _plan(chart, stage)
    if stage.enrolled:
        _municipality(chart, stage)


def labs(
    chart: Chart, unit: Unit, who: Resident, values: dict[str, float], on: int, minute: int, name: str,
    encounter: Reference | None = None,
) -> None:  # fmt: skip
    """Laboratory results as given, in one report, with ids that tell the day."""
    lab = laboratory(who)
    stamp = f"svea-andersson-{on}"
    found = [
        result(chart, unit, lab, key, value, on, minute, encounter, id=f"{stamp}-{key}")[0]
        for key, value in values.items()
    ]
    report(chart, unit, lab, name, found, on, minute, encounter, id=f"{stamp}-svar")


def _stay(chart: Chart, stage: Stage, who: Resident, problems: dict[str, Reference]) -> None:
    """22 October – 3 November 2026: worsened heart failure, SÄS medicin 3, plan on 28 October."""
    door, ward = named("Akutmottagning SÄS"), named("Medicinavdelning 3 SÄS")
    dahl, nurse, ryd = (
        staff_member("henrik-dahl"),
        staff_member("johanna-lindqvist"),
        staff_member("tomas-ryd"),
    )
    begun, left = stage.day(2026, 10, 22), stage.day(2026, 11, 3)
    reason = concept(ICD, "I50.9", "Försämrad hjärtsvikt")
    came = chart.visit(
        door,
        begun,
        815,
        230,
        ryd,
        "Akutbesök",
        kind=EMERGENCY,
        reasons=[reason],
        where=door.location,
    )
    for key, value in (
        ("pulse", 104),
        ("saturation", 91),
        ("respiration", 24),
        ("temperature", 37.1),
    ):
        vital(chart, door, key, value, begun, 820, chart.by(door, "sjukskoterska"), came)
    blood_pressure(chart, door, 148, 86, begun, 820, ryd, came)
    labs(
        chart,
        door,
        who,
        {
            "hb": 119,
            "crp": 8,
            "natrium": 135,
            "kalium": 4.5,
            "kreatinin": 112,
            "egfr": 39,
            "probnp": 6200,
        },
        begun,
        840,
        "Akutprover",
        came,
    )
    chart.note(
        door, "akutanteckning", begun, 1000, ryd,
        ["Tilltagande andfåddhet och bensvullnad sedan en vecka. Förmaksflimmer 104 per minut, rassel basalt bilateralt.", "Försämrad hjärtsvikt. Furosemid intravenöst. Läggs in på medicin 3."], came,
    )  # fmt: skip
    stay = chart.stay(
        ward, (begun, 1060), (left, 780), dahl, reason, kind=INPATIENT, diagnoses=[problems["svikt"]],
        id="svea-andersson-vardtillfalle",
    )  # fmt: skip
    chart.note(
        ward, "inskrivningsanteckning", begun, 1090, dahl,
        ["89-årig änka, bor ensam i Brämhult. Hjärtsvikt, förmaksflimmer, typ 2-diabetes. Penicillin: anafylaxi 2014.",
         "Plan: furosemid intravenöst, daglig vikt, vätskelista, elektrolyter dagligen."], stay,
    )  # fmt: skip
    for place, weight in enumerate((70.6, 69.8, 68.9, 68.1, 67.3, 66.6, 66.2, 65.8)):
        vital(chart, ward, "weight", weight, begun + 1 + place, 420, nurse, stay)
    for offset, above, below in ((1, 138, 80), (5, 128, 72), (11, 124, 70)):
        blood_pressure(chart, ward, above, below, begun + offset, 430, nurse, stay)
    labs(
        chart,
        ward,
        who,
        {"natrium": 137, "kalium": 4.2, "kreatinin": 108, "egfr": 41},
        begun + 5,
        420,
        "Elektrolyter",
        stay,
    )
    labs(
        chart,
        ward,
        who,
        {"natrium": 138, "kalium": 4.6, "kreatinin": 104, "egfr": 43, "probnp": 2900},
        left,
        420,
        "Elektrolyter",
        stay,
    )
    chart.note(
        ward, "daganteckning", begun + 6, 620, dahl,
        ["Samordnad plan (SIP) i dag med Svea, sonen Lars, Borås kommun och vårdcentralen. Svea vill hem, önskar hjälp med vikt och läkemedel."], stay,
    )  # fmt: skip
    chart.note(
        ward, "omvardnadsanteckning", begun + 8, 860, nurse,
        ["Går med rollator på avdelningen, ostadig vid vändning. Äter hela portioner. Huden hel."], stay,
    )  # fmt: skip
    chart.note(
        ward, "slutanteckning", left, 750, dahl,
        ["Vårdtid 22 oktober till 3 november. Huvuddiagnos: försämrad hjärtsvikt (I50.9).",
         "Furosemid intravenöst med god effekt, vikt vid utskrivning 65,8 kg. Furosemid 20 mg dagligen hem.",
         "Till vårdcentralen: elektrolyter och kreatinin inom tio dagar, vikt varje vecka. Vid uppgång över 2 kg kontakt. Metformin ses över om eGFR under 45.",
         "Hemgång till bostaden. Sonen Lars informerad."], stay, id="svea-andersson-slutanteckning",
    )  # fmt: skip


def _november(
    chart: Chart, stage: Stage, who: Resident, centre: Unit, problems: dict[str, Reference]
) -> None:
    """After discharge: laboratory on the 12th, Karin Ek on the 18th."""
    ek, nurse = staff_member("karin-ek"), chart.by(centre, "sjukskoterska")
    on = stage.day(2026, 11, 12)
    visit = chart.visit(
        centre, on, 485, 15, nurse, "Provtagning och vägning", where=centre.location
    )
    labs(chart, centre, who, LABS_NOW, on, 495, "Elektrolyter och njurfunktion", visit)
    call = chart.visit(centre, on, 930, 10, ek, "Telefonkontakt", kind=TELEPHONE)
    chart.note(
        centre, "telefonanteckning", on, 945, ek,
        ["Ringer Svea. Vikt 67,9 kg, bensvullnad till kvällen. Furosemid höjs från 20 till 40 mg. Provsvar inväntas.", "Tid för läkarbesök 18 november."], call,
    )  # fmt: skip
    on = stage.day(2026, 11, 18)
    visit = chart.visit(
        centre, on, 640, 30, ek, "Läkarbesök", where=centre.location, id="svea-andersson-besok-1118",
        diagnoses=[problems["svikt"], problems["fall"]],
    )  # fmt: skip
    blood_pressure(chart, centre, 118, 66, on, 648, nurse, visit)
    vital(chart, centre, "pulse", 78, on, 648, nurse, visit)
    assessment(
        chart,
        centre,
        "downton",
        "Downton fallriskindex",
        on,
        652,
        ek,
        score=4,
        text="Risk för fall",
        encounter=visit,
        id="svea-andersson-downton",
    )
    assessment(
        chart,
        centre,
        "norton",
        "Norton, modifierad",
        on,
        654,
        ek,
        score=22,
        text="Ingen ökad risk",
        encounter=visit,
        id="svea-andersson-norton",
    )
    assessment(
        chart,
        centre,
        "katz",
        "Katz ADL-index",
        on,
        656,
        ek,
        text="Katz C",
        encounter=visit,
        id="svea-andersson-katz",
    )
    chart.note(
        centre, "besoksanteckning", on, 668, ek,
        ["Yrsel, två fall i hemmet sedan september. Inga skador. Sonen Lars med per telefon.",
         "Vikt 68,9 kg, upp 2,1 kg på 14 dagar. Blodtryck 118/66 sittande, 102/60 stående. Kalium 5,4 och kreatinin 118 den 12 november.",
         "Downton 4. Behöver vägning, läkemedelsövervakning och bedömning av hemmet: hemsjukvård begärs hos Borås kommun. Nya prover om en vecka."],
        visit, id="svea-andersson-besoksanteckning-1118",
    )  # fmt: skip
    team(chart, centre, "Fast vårdkontakt", stage.day(2026, 10, 28), [("Fast vårdkontakt", ek)],
        id="svea-andersson-vardteam",
    )  # fmt: skip
    appointment(chart, centre, stage.day(2026, 12, 9), 600, 30, ek, "Återbesök läkare", place=centre.location,
        id="svea-andersson-aterbesok",
    )  # fmt: skip


def _plan(chart: Chart, stage: Stage) -> None:
    """The plan of 28 October, and the consent given then."""
    ward = named("Medicinavdelning 3 SÄS")
    care_plan(
        chart, ward, "Samordnad individuell plan (SIP)", stage.day(2026, 10, 28), staff_member("johanna-lindqvist"),
        [("Sveas mål", "Bo kvar hemma och orka gå till brevlådan."),
         ("Vårdcentralen", "Fast vårdkontakt Karin Ek. Prover inom tio dagar."),
         ("Borås kommun", "Bedömning av behov av hemsjukvård och hjälpmedel."),
         ("Lars", "Handlar en gång i veckan, nås per telefon.")],
        [], kind="sip", text="Samordnad individuell plan", id="svea-andersson-sip",
    )  # fmt: skip
    unit = named("Hemsjukvård Centrum, Borås")
    consent(
        chart,
        unit,
        "sammanhallen-dokumentation",
        unit.provider,
        stage.day(2026, 10, 28),
        id="svea-andersson-samtycke",
    )


def _municipality(chart: Chart, stage: Stage) -> None:
    """Enrolment, and the first home visit to come: how it is after act one."""
    unit, amira = named("Hemsjukvård Centrum, Borås"), staff_member("amira-haddad")
    begun = stage.day(2026, 11, 20)
    enrolment(
        chart, unit, "hemsjukvard", "Hemsjukvård", begun, amira, id="svea-andersson-hemsjukvard"
    )
    chart.note(
        unit, "omvardnadsanteckning", begun, 850, amira,
        ["Begäran från vårdcentralen mottagen. Svea skrivs in i hemsjukvården. Första hembesök 24 november kl 10: vägning, genomgång av läkemedel, bedömning av hemmet."],
    )  # fmt: skip
    team(chart, unit, "Hemsjukvårdsteam", begun,
        [("Ansvarig sjuksköterska", amira), ("Fysioterapeut", staff_member("jonas-falk"))],
        id="svea-andersson-hemsjukvardsteam",
    )  # fmt: skip
    appointment(chart, unit, stage.day(2026, 11, 24), 600, 60, amira, "Hembesök", id="svea-andersson-hembesok",
        instruction="Amira Haddad kommer hem till dig. Ha dina läkemedel framme.",
    )  # fmt: skip
