"""Svea Andersson, 89: heart failure, atrial fibrillation, diabetes, home alone in Brämhult, Borås.

The record the demo opens: discharged from SÄS medicin 3 on 3 November 2026, weight rising since,
potassium and creatinine high on the 12th, two falls, a visit to Karin Ek on the 18th, enrolled in
home care on the 20th, first home visit on the 24th.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sammanhang.fhir.r4 import Annotation, ContactPoint, HumanName, Reference, RelatedPerson

from .chart import Chart
from .codes import EMERGENCY, ICD, INPATIENT, concept
from .entries import allergy, flag, immunization
from .legal import consent
from .measures import blood_pressure, vital
from .medicines import Medicine, dosage, medicine, prescribe
from .organisations import Unit, named
from .people import Resident
from .register import contact, human_name, kin
from .stories import Stage, staff_member, start
from .svea_autumn import autumn, labs

# (year, month, day, kg): a year of weights; +2.1 kg in the last fortnight.
WEIGHTS = (
    (2025, 11, 24, 64.2), (2026, 1, 19, 64.5), (2026, 3, 16, 64.1), (2026, 5, 11, 64.8),
    (2026, 7, 6, 65.2), (2026, 9, 7, 66.4), (2026, 11, 4, 66.8), (2026, 11, 9, 67.4),
    (2026, 11, 12, 67.9), (2026, 11, 18, 68.9),
)  # fmt: skip
# Laboratory: (year, month, day, minute, {analysis: value}); creatinine and potassium creep up.
LABS: tuple[tuple[int, int, int, int, dict[str, float]], ...] = (
    (2022, 5, 9, 480, {"hba1c": 51, "kreatinin": 82, "egfr": 57, "kalium": 4.2, "natrium": 140, "ldl": 2.4}),
    (2023, 5, 15, 485, {"hba1c": 52, "kreatinin": 86, "egfr": 53, "kalium": 4.2, "natrium": 141, "ldl": 2.3}),
    (2024, 5, 13, 480, {"hba1c": 55, "kreatinin": 90, "egfr": 50, "kalium": 4.3, "natrium": 139, "ldl": 2.2}),
    (2025, 5, 12, 490, {"hba1c": 53, "kreatinin": 94, "egfr": 47, "kalium": 4.4, "natrium": 140, "probnp": 1650}),
    (2026, 5, 11, 480, {"hba1c": 54, "kreatinin": 98, "egfr": 45, "kalium": 4.4, "natrium": 139, "probnp": 2100, "hb": 121}),
)  # fmt: skip


def svea(stage: Stage, people: dict[str, Resident]) -> Iterator[Any]:
    """Every resource of Svea Andersson, the Patient first."""
    who, lars = people["svea-andersson"], people["lars-andersson"]
    chart = start(stage, who)
    patient = chart.out[0]
    patient.contact = [contact("son", human_name(lars), lars.phone)]
    patient.maritalStatus = concept(
        "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "W", "Änka"
    )
    centre = named("Vårdcentralen Södra torget")
    chart.out.append(
        RelatedPerson(
            id="svea-andersson-lars",
            meta=centre.meta(),
            active=True,
            patient=chart.subject,
            relationship=[kin("son")],
            name=[HumanName(text=lars.name, family=lars.family, given=[lars.given])],
            telecom=[ContactPoint(system="phone", value=lars.phone, use="mobile")],
            gender="male",
        )
    )
    problems = _problems(chart, stage, centre)
    _medicines(chart, stage, centre, problems)
    _earlier(chart, stage, who, centre)
    _yearly(chart, stage, who, centre, problems)
    autumn(chart, stage, who, centre, problems)
    yield from chart.out


def _problems(chart: Chart, stage: Stage, centre: Unit) -> dict[str, Reference]:
    ek, dahl = staff_member("karin-ek"), staff_member("henrik-dahl")
    clinic, orthopaedics = named("Hjärtmottagning SÄS"), named("Ortopedmottagning SÄS")
    rows = (
        ("hypertoni", centre, "I10.9", "Essentiell hypertoni", (2001, 9, 17), ek),
        ("diabetes", centre, "E11.9", "Typ 2-diabetes", (2009, 4, 20), ek),
        (
            "horsel",
            centre,
            "H90.3",
            "Hörselnedsättning, sensorineural, dubbelsidig",
            (2015, 2, 9),
            ek,
        ),
        (
            "artros",
            orthopaedics,
            "M16.1",
            "Artros, höger höft",
            (2016, 10, 4),
            chart.by(orthopaedics),
        ),
        ("flimmer", centre, "I48.9", "Förmaksflimmer", (2018, 6, 11), ek),
        ("osteoporos", centre, "M81.9", "Osteoporos", (2019, 11, 25), ek),
        ("svikt", clinic, "I50.9", "Hjärtsvikt, NYHA III", (2021, 2, 15), dahl),
        ("njure", centre, "N18.3", "Kronisk njursvikt, stadium 3", (2022, 5, 16), ek),
        ("fall", centre, "R29.6", "Upprepade fall", (2026, 11, 18), ek),
    )
    note = {"svikt": [Annotation(text="EF 40 % vid ultraljud 2021. Målvikt 65 kg.")]}
    return {
        key: chart.condition(
            unit, code, text, stage.day(*on), by, note=note.get(key), id=f"svea-andersson-{key}"
        )
        for key, unit, code, text, on, by in rows
    }


def _own(base: str, strength: str, sentence: str, times: float) -> Medicine:
    """A medicine of the table in Svea's strength."""
    known = medicine(base).concept
    name, form = known.text.split(",", 1)[0].split(" ")[0], known.text.rsplit(",", 1)[1]
    code = concept(known.coding[0].system, known.coding[0].code, f"{name} {strength},{form}")
    return Medicine(code, dosage(sentence, 1, "tablett", times), f"{name} {strength}")


def _medicines(chart: Chart, stage: Stage, centre: Unit, problems: dict[str, Reference]) -> None:
    ek = staff_member("karin-ek")
    rows = (
        (
            "apixaban",
            _own("apixaban", "2,5 mg", "1 tablett kl 8 och 20", 2),
            (2025, 12, 3),
            "flimmer",
            "active",
        ),
        ("furosemid", medicine("furosemid"), (2026, 11, 12), "svikt", "active"),
        (
            "metformin",
            _own("metformin", "500 mg", "1 tablett kl 8 och 18", 2),
            (2026, 5, 18),
            "diabetes",
            "active",
        ),
        ("metoprolol", medicine("metoprolol"), (2026, 5, 18), "flimmer", "active"),
        (
            "enalapril",
            _own("enalapril", "5 mg", "1 tablett kl 8", 1),
            (2026, 5, 18),
            "svikt",
            "active",
        ),
        ("kalcium", medicine("kalcium_d"), (2026, 5, 18), "osteoporos", "active"),
        ("paracetamol", medicine("paracetamol_vb"), (2026, 11, 3), "artros", "active"),
        (
            "furosemid-20",
            _own("furosemid", "20 mg", "1 tablett kl 8", 1),
            (2026, 11, 3),
            "svikt",
            "stopped",
        ),
        ("warfarin", medicine("warfarin"), (2018, 6, 18), "flimmer", "stopped"),
    )
    for key, what, on, reason, status in rows:
        prescribe(
            chart, centre, what, stage.day(*on), ek, reason=problems[reason], status=status,
            id=f"svea-andersson-{key}",
        )  # fmt: skip


def _earlier(chart: Chart, stage: Stage, who: Resident, centre: Unit) -> None:
    """2013–2021: another provider (blocked), the anaphylaxis, hip, heart; vaccinations."""
    private = named("Ekbackens vårdcentral Borås")
    on = stage.day(2013, 10, 8)
    other = chart.by(private)
    visit = chart.visit(private, on, 600, 30, other, "Läkarbesök", where=private.location)
    chart.note(
        private,
        "besoksanteckning",
        on,
        628,
        other,
        ["Söker för sömnsvårigheter och nedstämdhet efter makens bortgång. Samtal."],
        visit,
    )
    consent(chart, private, "yttre-sparr", private.provider, on, id="svea-andersson-yttre-sparr")

    door = named("Akutmottagning SÄS")
    on, by = stage.day(2014, 3, 2), chart.by(door)
    visit = chart.visit(
        door, on, 1130, 240, by, "Akutbesök", kind=EMERGENCY, reasons=[concept(ICD, "T78.2", "Anafylaktisk chock")],
        where=door.location,
    )  # fmt: skip
    chart.note(
        door, "akutanteckning", on, 1300, by,
        ["Inkommer med ambulans 20 minuter efter första tabletten fenoximetylpenicillin. Generell urtikaria, andnöd, blodtryck 75/40.",
         "Adrenalin intramuskulärt, vätska, kortison. Snabb förbättring. Ska inte ha penicillin."], visit,
    )  # fmt: skip
    allergy(
        chart,
        door,
        "J01C",
        "Penicillin",
        "medication",
        on,
        by,
        "Anafylaxi",
        severe=True,
        id="svea-andersson-penicillin",
    )
    flag(
        chart,
        door,
        "livshotande-overkanslighet",
        "Penicillin – anafylaxi",
        on,
        by,
        id="svea-andersson-penicillin-flagga",
    )

    clinic = named("Ortopedmottagning SÄS")
    on, by = stage.day(2016, 10, 4), chart.by(clinic)
    visit = chart.visit(clinic, on, 570, 30, by, "Läkarbesök", where=clinic.location)
    chart.note(
        clinic,
        "besoksanteckning",
        on,
        598,
        by,
        [
            "Artros i höger höft på röntgen. Avstår operation tills vidare. Fysioterapi, paracetamol vid behov."
        ],
        visit,
    )

    ward, dahl = named("Medicinavdelning 1 SÄS"), staff_member("henrik-dahl")
    begun, left = stage.day(2021, 2, 11), stage.day(2021, 2, 19)
    reason = concept(ICD, "I50.9", "Hjärtsvikt")
    stay = chart.stay(ward, (begun, 900), (left, 700), dahl, reason, kind=INPATIENT)
    chart.note(
        ward, "slutanteckning", left, 680, dahl,
        ["Nyupptäckt hjärtsvikt. Ultraljud: EF 40 %. Furosemid, enalapril och metoprolol insatta.", "Målvikt 65 kg. Kontroll på hjärtmottagning."], stay,
    )  # fmt: skip
    nurse = chart.by(centre, "sjukskoterska")
    for year, month, day in ((2024, 11, 6), (2025, 11, 5), (2026, 10, 14)):
        immunization(
            chart,
            centre,
            "J07BB02",
            "Influensavaccin",
            "Influensa",
            1,
            stage.day(year, month, day),
            nurse,
        )
    immunization(
        chart,
        centre,
        "J07BN01",
        "Covid-19-vaccin, mRNA",
        "Covid-19",
        1,
        stage.day(2025, 11, 5),
        nurse,
    )
    immunization(
        chart,
        centre,
        "J07AL02",
        "Pneumokockvaccin, konjugat",
        "Pneumokocker",
        1,
        stage.day(2022, 10, 20),
        nurse,
    )


def _yearly(
    chart: Chart, stage: Stage, who: Resident, centre: Unit, problems: dict[str, Reference]
) -> None:
    ek, nurse = staff_member("karin-ek"), chart.by(centre, "sjukskoterska")
    for place, (year, month, day, minute, values) in enumerate(LABS):
        sampled = stage.day(year, month, day)
        on = sampled + 7
        visit = chart.visit(
            centre, on, 560, 40, ek, "Årskontroll", where=centre.location,
            diagnoses=[problems["diabetes"], problems["hypertoni"], problems["flimmer"]],
        )  # fmt: skip
        labs(chart, centre, who, values, sampled, minute, "Diabetes- och hjärtkontroll", visit)
        above, below = 138 - place * 2, 76 - place
        written = blood_pressure(chart, centre, above, below, on, 565, nurse, visit)
        if place == 0:
            vital(chart, centre, "height", 158, on, 566, nurse, visit)
        chart.note(
            centre, "besoksanteckning", on, 595, ek,
            ["Årskontroll av diabetes, förmaksflimmer och blodtryck. Klarar sig själv hemma, sonen hjälper med handling.",
             f"Blodtryck {written} mmHg. HbA1c {values['hba1c']:.0f} mmol/mol. Fotstatus utan sår.",
             "Fortsatt behandling. Ny kontroll om ett år."], visit,
        )  # fmt: skip
    for year, month, day, weight in WEIGHTS:
        on = stage.day(year, month, day)
        at = 650 if (month, day) == (11, 18) else 545
        vital(chart, centre, "weight", weight, on, at, nurse, id=f"svea-andersson-vikt-{on}")
