"""HL7 Sweden's base profiles (`se-base/`): the example people keep their profiles, broken ones do not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from sammanhang.fhir.validator import Definitions, validate

from .sources import SHARED, Outcome

FOLDER = SHARED / "se-base"
DEFINITIONS = ("StructureDefinition", "ValueSet", "CodeSystem")
BASE = "http://hl7.se/fhir/ig/base/StructureDefinition/"
PERSONNUMMER = "http://electronichealth.se/identifier/personnummer"


@cache
def definitions() -> Definitions:
    """The shipped definitions and those of the Swedish base."""
    found = Definitions()
    for path in sorted(FOLDER.glob("*.json")):
        resource = json.loads(path.read_bytes())
        if resource["resourceType"] in DEFINITIONS:
            assert found.add(resource), path.name
    return found


def examples() -> dict[str, dict[str, Any]]:
    """File name → example resource."""
    found = {p.stem: json.loads(p.read_bytes()) for p in sorted(FOLDER.glob("*.json"))}
    return {n: r for n, r in found.items() if r["resourceType"] not in DEFINITIONS}


SNOMED = "http://snomed.info/sct"
QUALIFIER = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"


def _two_names(p: dict[str, Any]) -> str:
    p["name"] = [{"family": "A"}, {"family": "B"}]
    return "Patient.name"


def _two_personnummer(p: dict[str, Any]) -> str:
    p["identifier"] = [
        {"system": PERSONNUMMER, "value": "189002029800"},
        {"system": PERSONNUMMER, "value": "189602029812"},
    ]
    return "Patient.identifier"


def _address_type_as_text(p: dict[str, Any]) -> str:
    extension = {"url": BASE + "SEBaseAddressPersonExtension", "valueString": "utlandsadress"}
    p["address"] = [{"city": "Borås", "extension": [extension]}]
    return "Patient.address[0].extension[0].value.ofType(string)"


def _unknown_address_type(p: dict[str, Any]) -> str:
    p["address"] = [{"city": "Borås", "extension": [_address_type("73211009")]}]
    return "Patient.address[0].extension[0].value.ofType(CodeableConcept)"


def _two_address_types(p: dict[str, Any]) -> str:
    both = [_address_type("63401000052101"), _address_type("63411000052104")]
    p["address"] = [{"city": "Borås", "extension": both}]
    return "Patient.address[0].extension"


def _address_type(code: str) -> dict[str, Any]:
    concept = {"coding": [{"system": SNOMED, "code": code}]}
    return {"url": BASE + "SEBaseAddressPersonExtension", "valueCodeableConcept": concept}


def _qualifier_of_another_kind(p: dict[str, Any]) -> str:
    extension = {"url": QUALIFIER, "valueCode": "SP"}
    p["name"] = [{"family": "A", "given": ["B"], "_given": [{"extension": [extension]}]}]
    return "Patient.name[0].given[0].extension[0].value.ofType(code)"


def _empty_middle_name(p: dict[str, Any]) -> str:
    p["name"] = [{"family": "A", "extension": [{"url": BASE + "SEBaseMiddleNameExtension"}]}]
    return "Patient.name[0].extension[0]"


def _middle_name_misplaced(p: dict[str, Any]) -> str:
    p["extension"] = [{"url": BASE + "SEBaseMiddleNameExtension", "valueString": "Von"}]
    return "Patient.extension[0]"


def _birth_date_of_no_day(p: dict[str, Any]) -> str:
    p["birthDate"] = "1990-02-30"
    return "Patient.birthDate"


def _contact_without_anything(p: dict[str, Any]) -> str:
    p["contact"] = [{"relationship": [{"text": "granne"}]}]
    return "Patient.contact[0]"


def _hsa_id_of_another_kind(o: dict[str, Any]) -> str:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "XX"}]}
    o["identifier"] = [{"type": kind, "system": "urn:oid:1.2.752.29.4.19", "value": "SE1"}]
    return "Organization.identifier[0].type"


# Each changes a good example and tells where an error must then stand.
BROKEN: dict[str, list[Callable[[dict[str, Any]], str]]] = {
    "Patient-PatientExample1": [
        _two_names, _two_personnummer, _address_type_as_text, _unknown_address_type,
        _two_address_types, _qualifier_of_another_kind, _empty_middle_name,
        _middle_name_misplaced, _birth_date_of_no_day, _contact_without_anything,
    ],
    "Organization-Organization1": [_hsa_id_of_another_kind],
}  # fmt: skip


def run() -> Iterator[Outcome]:
    """Every example against the profile it claims, then every way of breaking one."""
    for name, resource in examples().items():
        errors = _errors(resource)
        yield Outcome(name, not errors, "; ".join(f"{k}: {v}" for k, v in errors.items()))
    for name, changes in BROKEN.items():
        for change in changes:
            broken = copy.deepcopy(examples()[name])
            place = change(broken)
            errors = _errors(broken)
            found = f"no error at {place}, but at {sorted(errors)}"
            yield Outcome(
                f"broken{change.__name__}", place in errors, "" if place in errors else found
            )


def _errors(resource: dict[str, Any]) -> dict[str, str]:
    issues = validate(json.dumps(resource).encode(), definitions=definitions())
    return {i.expression: i.en for i in issues if i.severity == "error"}
