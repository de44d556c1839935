"""The care organisation: region, administrations, hospitals, 49 municipalities, private providers.

`region()` is what the rest of the generator looks things up in; `directory` writes the same as FHIR.
Legal care providers (data controllers) are the region, each board of a municipality and each private
company; every unit points at one. Boards of a municipality share its organisation number and differ
in the suffix of their HSA-id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sammanhang.fhir.r4 import Coding, Meta, Reference
from sammanhang.kernel.identifiers import hsa_id, luhn
from sammanhang.kernel.owner import PROVIDER, UNIT

from .codes import coding, organisation
from .content import table

TYPE_TEXT = {
    "provider": "Vårdgivare",
    "administration": "Förvaltning",
    "hospital": "Sjukhus",
    "municipality": "Kommun",
    "board": "Nämnd",
    "emergency": "Akutmottagning",
    "ward": "Vårdavdelning",
    "clinic": "Mottagning",
    "laboratory": "Laboratorium",
    "imaging": "Bilddiagnostik",
    "office": "Stab",
    "health-centre": "Vårdcentral",
    "home-care": "Hemsjukvård",
    "nursing-home": "Särskilt boende",
    "school-health": "Elevhälsans medicinska insats",
    "school": "Skola",
    "aid-assessment": "Biståndshandläggning",
    "family-care": "Individ- och familjeomsorg",
}
# Municipalities of at least this many residents have a board of their own for each kind of social
# service; in smaller ones assessment of aid and family care share a board.
LARGE_MUNICIPALITY = 35_000
RESIDENTS_PER_HEALTH_CENTRE = 11_000
RESIDENTS_PER_HOME_CARE_UNIT = 18_000
RESIDENTS_PER_SCHOOL_HEALTH_UNIT = 60_000


@dataclass(slots=True, eq=False)
class Unit:
    """An organisation of any level; for units `provider` is the legal care provider.

    `kind` is a key of `TYPE_TEXT`, `specialty` the medical field, `municipality` an SCB code or empty.
    """

    id: str
    name: str
    kind: str
    specialty: str = ""
    provider: str = ""
    parent: str = ""
    municipality: str = ""
    number: str = ""
    short: str = ""
    hospital: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    phone: str = ""
    tags: list[Coding] = field(default_factory=list)
    reference: Reference = None  # type: ignore[assignment]
    location: Reference = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.tags = [coding(PROVIDER, self.provider or self.id), coding(UNIT, self.id)]
        self.reference = organisation(self.id, self.name)
        self.location = Reference(reference=f"Location/L-{self.id}", display=self.name)

    def meta(self) -> Meta:
        """A meta of its own for a resource written here; the store stamps it."""
        return Meta(tag=self.tags)


@dataclass(slots=True)
class Municipality:
    """A municipality with its units by purpose."""

    code: str
    name: str
    number: str
    residents: int
    hospital: str
    places: list[tuple[str, str]]
    health_centres: list[Unit] = field(default_factory=list)
    home_care: list[Unit] = field(default_factory=list)
    nursing_homes: list[Unit] = field(default_factory=list)
    school_health: list[Unit] = field(default_factory=list)
    schools: list[Unit] = field(default_factory=list)
    aid: list[Unit] = field(default_factory=list)
    family_care: list[Unit] = field(default_factory=list)


class Region:
    """Every organisation, in an order where each parent comes before its parts."""

    def __init__(self) -> None:
        self.all: dict[str, Unit] = {}
        self.hospitals: dict[str, dict[str, list[Unit]]] = {}
        self.fallback: dict[str, str] = table("organisations")["fallback"]
        self.municipalities: dict[str, Municipality] = {}
        self.midwives: list[Unit] = []
        self._region()
        self._municipalities()
        self._private()

    def add(self, **fields: Any) -> Unit:
        unit = Unit(**fields)
        if unit.id in self.all:
            raise ValueError(f"two organisations have the id {unit.id}")
        unit.phone = f"0{10 + len(self.all) % 60}-000 {len(self.all) // 100 % 100:02d} {len(self.all) % 100:02d}"
        self.all[unit.id] = unit
        return unit

    def hospital_unit(self, hospital: str, kind: str, specialty: str) -> Unit:
        """The unit of a hospital for a kind and field, or of the one that stands in for it."""
        seen = hospital
        while True:
            for unit in self.hospitals[seen].get(kind, ()):
                if unit.specialty == specialty:
                    return unit
            if seen not in self.fallback:
                break
            seen = self.fallback[seen]
        return next(
            u
            for u in self.hospitals["sahlgrenska"][kind]
            if u.specialty == specialty or kind != "clinic"
        )

    def hospital_units(self, hospital: str, kind: str, specialty: str) -> list[Unit]:
        """All units of a hospital for a kind and field; at least one, elsewhere if need be."""
        here = [u for u in self.hospitals[hospital].get(kind, ()) if u.specialty == specialty]
        return here or [self.hospital_unit(hospital, kind, specialty)]

    def _region(self) -> None:
        data = table("organisations")
        number = data["region"]["number"]
        top = self.add(
            id=hsa_id(number, "E000000000001"),
            name=data["region"]["name"],
            kind="provider",
            number=number,
            city="Vänersborg",
        )
        self.region = top
        administrations = {}
        for row in data["administration"]:
            administrations[row["key"]] = (
                row["number"],
                self.add(
                    id=hsa_id(number, f"E{row['number']:03d}000000000"),
                    name=row["name"],
                    kind="administration",
                    provider=top.id,
                    parent=top.id,
                    short=row.get("short", ""),
                ),
            )
        for row in data["hospital"]:
            base, parent = administrations[row["administration"]]
            house = self.add(
                id=hsa_id(number, f"E{base:03d}{row['number']:03d}000000"),
                name=row["name"],
                kind="hospital",
                provider=top.id,
                parent=parent.id,
                municipality=row["code"],
                short=row["short"],
                hospital=row["key"],
                city=row["city"],
            )
            kinds: dict[str, list[Unit]] = {}
            for place, (name, medical, kind) in enumerate(data["units"][row["size"]], 1):
                unit = self.add(
                    id=hsa_id(number, f"E{base:03d}{row['number']:03d}{place:06d}"),
                    name=f"{name} {row['short']}",
                    kind=kind,
                    specialty=medical,
                    provider=top.id,
                    parent=house.id,
                    municipality=row["code"],
                    hospital=row["key"],
                    city=row["city"],
                )
                kinds.setdefault(kind, []).append(unit)
            self.hospitals[row["key"]] = kinds
        for key, place, name, medical, kind in data["other"]["units"]:
            base, parent = administrations[key]
            unit = self.add(
                id=hsa_id(number, f"E{base:03d}000{place:06d}"),
                name=name,
                kind=kind,
                specialty=medical,
                provider=top.id,
                parent=parent.id,
                city=name.rsplit(" ", 1)[-1],
            )
            if medical == "barnmorska":
                self.midwives.append(unit)
        self.primary_care = administrations["narhalsan"]

    def _municipalities(self) -> None:
        for row in table("municipalities")["municipality"]:
            code, name, number, residents, _area, hospital, places = row
            here = Municipality(
                code, name, number, residents, hospital,
                [(p.rsplit(" ", 1)[0], p.rsplit(" ", 1)[1]) for p in places],
            )  # fmt: skip
            self.municipalities[code] = here
            self._health_centres(here)
            self._boards(here)

    def _health_centres(self, here: Municipality) -> None:
        base, parent = self.primary_care
        count = max(1, min(len(here.places), round(here.residents / RESIDENTS_PER_HEALTH_CENTRE)))
        for place in range(count):
            locality, postal = here.places[place]
            here.health_centres.append(
                self.add(
                    id=hsa_id(
                        self.region.number, f"E{base:03d}{int(here.code):04d}{place + 1:05d}"
                    ),
                    name=f"Vårdcentralen {locality}",
                    kind="health-centre",
                    specialty="primarvard",
                    provider=self.region.id,
                    parent=parent.id,
                    municipality=here.code,
                    postal_code=postal,
                    city=here.name if locality == "Södra torget" else locality,
                )
            )

    def _boards(self, here: Municipality) -> None:
        """The boards of a municipality and their units; each board is a provider of its own."""
        city, postal = here.places[0][0], here.places[0][1]
        city = here.name if here.code == "1490" else city
        of = _municipality_name(here.name)
        town = self.add(
            id=hsa_id(here.number, "E000000000001"),
            name=of,
            kind="municipality",
            number=here.number,
            municipality=here.code,
            city=city,
            postal_code=postal,
        )

        def board(place: int, name: str) -> Unit:
            return self.add(
                id=hsa_id(here.number, f"E{place:012d}"),
                name=f"{name}, {of}",
                kind="board",
                parent=town.id,
                number=here.number,
                municipality=here.code,
                city=city,
            )

        def units(
            owner: Unit, place: int, kind: str, names: list[str], specialty: str
        ) -> list[Unit]:
            return [
                self.add(
                    id=hsa_id(here.number, f"E{place:06d}{i:06d}"),
                    name=name,
                    kind=kind,
                    specialty=specialty,
                    provider=owner.id,
                    parent=owner.id,
                    municipality=here.code,
                    city=city,
                    postal_code=postal,
                )
                for i, name in enumerate(names, 1)
            ]

        localities = [p[0] for p in here.places]
        areas = ["Centrum", *localities[1:]] if len(localities) > 1 else ["Centrum"]
        care = board(100, "Vård- och äldrenämnden")
        count = max(1, min(len(areas), round(here.residents / RESIDENTS_PER_HOME_CARE_UNIT)))
        here.home_care = units(
            care,
            101,
            "home-care",
            [self._named("Hemsjukvård", a, here) for a in areas[:count]],
            "hemsjukvard",
        )
        homes = ["Solgården", "Björkhöjd", "Ekliden", "Strandgården", "Almgården", "Rosenlund"]
        here.nursing_homes = units(
            care,
            102,
            "nursing-home",
            [
                f"{n} särskilt boende, {here.name}"
                for n in homes[: max(1, min(6, here.residents // 20_000 + 1))]
            ],
            "hemsjukvard",
        )
        education = board(200, "Utbildningsnämnden")
        count = max(1, min(len(areas), round(here.residents / RESIDENTS_PER_SCHOOL_HEALTH_UNIT)))
        here.school_health = units(
            education,
            201,
            "school-health",
            [f"Elevhälsans medicinska insats {a}, {here.name}" for a in areas[:count]]
            if count > 1
            else [f"Elevhälsans medicinska insats {here.name}"],
            "elevhalsa",
        )
        schools = table("municipalities")["schools"]
        here.schools = units(
            education,
            202,
            "school",
            [f"{s}, {here.name}" for s in schools[: max(2, min(8, here.residents // 12_000 + 1))]],
            "skola",
        )
        if here.residents >= LARGE_MUNICIPALITY:
            aid = board(300, "Nämnden för bistånd och stöd")
            family = board(400, "Individ- och familjenämnden")
        else:
            aid = family = board(300, "Socialnämnden")
        here.aid = units(
            aid, 301, "aid-assessment", [f"Biståndshandläggning {here.name}"], "socialtjanst"
        )
        here.family_care = units(
            family, 401, "family-care", [f"Individ- och familjeomsorg {here.name}"], "socialtjanst"
        )

    @staticmethod
    def _named(kind: str, area: str, here: Municipality) -> str:
        return f"{kind} {area}, {here.name}"

    def _private(self) -> None:
        for row in table("organisations")["private"]:
            number = row["number"] + str(luhn(row["number"]))
            company = self.add(
                id=hsa_id(number, "E000000000001"), name=row["name"], kind="provider", number=number
            )
            for place, (name, medical, kind, code) in enumerate(row["units"], 1):
                town = self.municipalities[code]
                unit = self.add(
                    id=hsa_id(number, f"E{place:012d}")
                    if place > 1
                    else hsa_id(number, "E100000000001"),
                    name=name,
                    kind=kind,
                    specialty=medical,
                    provider=company.id,
                    parent=company.id,
                    municipality=code,
                    city=town.name,
                    postal_code=town.places[0][1],
                )
                if kind == "health-centre":
                    town.health_centres.append(unit)


@lru_cache(maxsize=1)
def region() -> Region:
    """The organisation, built once per process (some milliseconds, about a thousand units)."""
    return Region()


@lru_cache(maxsize=256)
def named(name: str) -> Unit:
    """The one unit called `name`; raises KeyError. For stories and tests."""
    for unit in region().all.values():
        if unit.name == name:
            return unit
    raise KeyError(name)


def _municipality_name(name: str) -> str:
    """The municipality as an organisation: `Borås kommun`, `Tanums kommun`."""
    if name == "Göteborg":
        return "Göteborgs stad"
    bare = name == "Orust" or name[-1] in "aeiouyåäös"
    return f"{name} kommun" if bare else f"{name}s kommun"
