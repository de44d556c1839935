"""Which chronic diseases a resident has, since when, and what they take for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sammanhang.fhir.r4 import Reference

from .chart import Chart
from .content import table
from .medicines import medicine, prescribe
from .organisations import Unit, named, region
from .people import Resident

_BANDS = (18, 40, 65, 80)
# Having one of these makes the other more likely: factor on its share.
_TOGETHER = {
    "diabetes2": {"hypertoni": 1.5, "njursvikt": 1.6, "angina": 1.4, "fetma": 2.0},
    "hypertoni": {"flimmer": 1.2, "stroke": 1.3},
    "flimmer": {"hjartsvikt": 2.0, "stroke": 1.5},
    "angina": {"hjartsvikt": 1.8},
    "hjartsvikt": {"njursvikt": 1.8, "jarnbrist": 1.3},
    "astma": {"pollen": 2.0, "eksem": 1.6},
    "adhd": {"autism": 3.0, "angest": 1.6},
    "depression": {"angest": 2.0, "somn": 1.8},
    "fetma": {"somnapne": 2.5, "knaartros": 1.4},
}
LONGEST_KNOWN = 22 * 365


@dataclass(slots=True)
class Disease:
    """A row of content/region/conditions.toml."""

    key: str
    code: str
    text: str
    female: tuple[float, ...]
    male: tuple[float, ...]
    onset: int
    field: str
    medicines: list[Any]
    panels: list[str]
    effect: dict[str, float]


@dataclass(slots=True)
class Illness:
    """A disease someone has: since `onset` (ordinal), followed at `unit`; `reference` once written."""

    disease: Disease
    onset: int
    unit: Unit
    reference: Reference | None = None


@lru_cache(maxsize=1)
def diseases() -> dict[str, Disease]:
    """All chronic diseases, in the order they are drawn: earlier ones raise the share of later ones."""
    rows = {
        key: Disease(
            key, row["code"], row["text"], tuple(row["female"]), tuple(row["male"]), row["onset"],
            row["field"], row["medicines"], row["panels"], row["effect"],
        )
        for key, row in table("conditions").items()
    }  # fmt: skip
    leading = [key for key in _TOGETHER if key in rows]
    return {key: rows[key] for key in leading + [key for key in rows if key not in _TOGETHER]}


@lru_cache(maxsize=32)
def _likely(female: bool, band: int) -> tuple[tuple[Disease, float], ...]:
    """The diseases that people of a sex and age band can have, with their shares."""
    pairs = ((d, (d.female if female else d.male)[band]) for d in diseases().values())
    return tuple((d, share) for d, share in pairs if share)


def draw(chart: Chart, who: Resident) -> list[Illness]:
    """The diseases of a resident, oldest first, and what they do to measured values.

    Illness clusters: a person's frailty scales every share, so many have none and some have several.
    """
    rng = chart.rng
    age = chart.age(chart.end)
    band = sum(age >= limit for limit in _BANDS)
    frailty = 0.35 + 1.3 * rng.random()
    factors: dict[str, float] = {}
    found = []
    for disease, share in _likely(who.female, band):
        if age < disease.onset:
            continue
        if rng.random() < share * frailty * factors.get(disease.key, 1.0):
            found.append(Illness(disease, _onset(chart, disease, age), _unit(disease, who, age)))
            for other, factor in _TOGETHER.get(disease.key, {}).items():
                factors[other] = factors.get(other, 1.0) * factor
    apply(chart, found)
    found.sort(key=lambda i: i.onset)
    return found


def apply(chart: Chart, illnesses: list[Illness]) -> None:
    """Moves the person's measured values by what their illnesses do, each a little differently."""
    for illness in illnesses:
        degree = 0.6 + 0.8 * chart.rng.random()
        for key, shift in illness.disease.effect.items():
            chart.effects[key] = chart.effects.get(key, 0.0) + shift * degree


def _onset(chart: Chart, disease: Disease, age: int) -> int:
    least = max(30, (age - disease.onset) * 365)
    return chart.end - 20 - int(chart.rng.random() * min(least, LONGEST_KNOWN))


def _unit(disease: Disease, who: Resident, age: int) -> Unit:
    field = disease.field
    if field == "primarvard":
        return who.centre
    if age < 18 and field != "bup":
        field = "barn"
    elif age >= 18 and field == "bup":
        field = "psykiatri"
    if field == "hud" and who.town.code == "1480":
        return named("Götaplatsens specialistmottagning")
    if field == "ogon" and who.town.hospital == "skovde":
        return named("Billingens ögonmottagning")
    return region().hospital_unit(who.town.hospital, "clinic", field)


def write(chart: Chart, illnesses: list[Illness]) -> None:
    """The problem list, and the prescriptions in force for each problem."""
    rng = chart.rng
    taken: set[str] = set()
    for illness in illnesses:
        unit = illness.unit
        by = chart.by(unit)
        disease = illness.disease
        illness.reference = chart.condition(unit, disease.code, disease.text, illness.onset, by)
        for chance, *choices in disease.medicines:
            if rng.random() >= chance:
                continue
            key = choices[int(rng.random() * len(choices))]
            what = medicine(key)
            # One of a group is enough: the first three letters of ATC are the therapeutic group, but
            # several diseases share the very same substance.
            substance = what.concept.coding[0].code
            if substance in taken or (substance[:4] in ("C09A", "C09C") and "RAS" in taken):
                continue
            taken.add(substance)
            if substance[:4] in ("C09A", "C09C"):
                taken.add("RAS")
            begun = min(illness.onset + int(rng.random() * 200), chart.end - 5)
            renewed = max(begun, chart.end - 5 - int(rng.random() * 340))
            if chart.end - begun > 700 and rng.random() < 0.15:
                prescribe(chart, unit, what, begun, by, reason=illness.reference, status="stopped")
            prescribe(chart, unit, what, renewed, by, reason=illness.reference)
