"""The care organisation as FHIR: Organization, Location, HealthcareService."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sammanhang.fhir.r4 import (
    Address,
    ContactPoint,
    HealthcareService,
    Identifier,
    Location,
    Meta,
    Organization,
)
from sammanhang.kernel.identifiers import HSA_ID, ORGANISATIONSNUMMER

from .codes import HL7, ORGANISATION_TYPE, SE_ORGANIZATION, concept, organisation
from .organisations import TYPE_TEXT, Unit, region

_PRN = concept(HL7 + "v2-0203", "PRN", "HSA-id")
_XX = concept(HL7 + "v2-0203", "XX", "Organisationsnummer")
_SERVICES = {
    "home-care": "Samordning av hemsjukvård",
    "school-health": "Elevhälsans medicinska insats",
    "health-centre": "Primärvård",
    "emergency": "Akutsjukvård",
    "aid-assessment": "Biståndsbedömning",
}
_PHYSICAL = {"ward": ("wa", "Vårdavdelning"), "hospital": ("bu", "Byggnad"), "school": ("bu", "Byggnad"),
             "nursing-home": ("bu", "Byggnad")}  # fmt: skip


def organisations() -> Iterator[Any]:
    """Organization, Location and HealthcareService resources of the region; parents first."""
    for unit in region().all.values():
        yield _organization(unit)
        if unit.kind in _PHYSICAL or unit.kind in ("emergency", "clinic", "health-centre"):
            yield _location(unit)
        if unit.kind in _SERVICES:
            yield HealthcareService(
                id=f"S-{unit.id}",
                active=True,
                providedBy=unit.reference,
                type=[concept(ORGANISATION_TYPE, unit.kind, TYPE_TEXT[unit.kind])],
                name=f"{_SERVICES[unit.kind]}, {unit.name}",
                telecom=[ContactPoint(system="phone", value=unit.phone, use="work")],
            )


def _address(unit: Unit) -> Address | None:
    if not unit.city:
        return None
    return Address(
        use="work",
        line=[f"{unit.name.split(',')[0]}"] if not unit.street else [unit.street],
        city=unit.city,
        district=region().municipalities[unit.municipality].name if unit.municipality else None,
        postalCode=unit.postal_code or None,
        country="SE",
    )


def _organization(unit: Unit) -> Organization:
    identifiers = [Identifier(type=_PRN, system=HSA_ID, value=unit.id)]
    if unit.number:
        identifiers.append(Identifier(type=_XX, system=ORGANISATIONSNUMMER, value=unit.number))
    address = _address(unit)
    kinds = [concept(ORGANISATION_TYPE, unit.kind, TYPE_TEXT[unit.kind])]
    if unit.kind == "board":
        kinds.append(concept(ORGANISATION_TYPE, "provider", TYPE_TEXT["provider"]))
    return Organization(
        id=unit.id,
        meta=Meta(profile=[SE_ORGANIZATION]),
        identifier=identifiers,
        active=True,
        type=kinds,
        name=unit.name,
        alias=[unit.short] if unit.short else None,
        telecom=[ContactPoint(system="phone", value=unit.phone, use="work")],
        address=[address] if address else None,
        partOf=organisation(unit.parent) if unit.parent else None,
    )


def _location(unit: Unit) -> Location:
    code, text = _PHYSICAL.get(unit.kind, ("si", "Plats"))
    return Location(
        id=f"L-{unit.id}",
        status="active",
        name=unit.name,
        mode="instance",
        physicalType=concept(HL7 + "location-physical-type", code, text),
        address=_address(unit),
        managingOrganization=unit.reference,
    )
