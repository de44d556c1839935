"""Code systems and the shared pieces of resources: each is built once and used in many.

Systems named sammanhang.se are our own, where no open Swedish code system exists.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from sammanhang.fhir.r4 import CodeableConcept, Coding, Quantity, Reference

OWN = "http://sammanhang.se/fhir/CodeSystem/"
ROLE = OWN + "role"
ORGANISATION_TYPE = OWN + "organisation-type"
NOTE_TYPE = OWN + "note-type"
ASSESSMENT = OWN + "assessment"
LAB_OWN = OWN + "laboratory"
ALLERGY = OWN + "allergy"
FLAG = OWN + "flag"
CONSENT_KIND = OWN + "consent-kind"
CARE_TYPE = OWN + "care-type"
VISIT_TYPE = OWN + "visit-type"

ICD = "https://www.icd10.se/"
ATC = "http://www.whocc.no/atc"
NPU = "urn:oid:1.2.752.108.1"
KVA = "urn:oid:1.2.752.116.1.3.2.1.4"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
HL7 = "http://terminology.hl7.org/CodeSystem/"
ACT_CODE = HL7 + "v3-ActCode"
SECURITY_LABEL = "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel"
SE_PATIENT = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBasePatient"
SE_PRACTITIONER = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBasePractitioner"
SE_ORGANIZATION = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBaseOrganization"
SE_ADDRESS = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBaseAddressPersonExtension"
SE_MIDDLE_NAME = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBaseMiddleNameExtension"
SE_OWN_FAMILY = "http://hl7.se/fhir/ig/base/StructureDefinition/SEBaseOwnFamilyExtension"


@lru_cache(maxsize=8192)
def coding(system: str, code: str, display: str | None = None) -> Coding:
    """One coding, shared."""
    return Coding(system=system, code=code, display=display)


@lru_cache(maxsize=8192)
def concept(system: str, code: str, text: str | None = None) -> CodeableConcept:
    """A concept of one coding and the Swedish words shown for it, shared."""
    return CodeableConcept(coding=[coding(system, code)], text=text)


@lru_cache(maxsize=8192)
def words(text: str) -> CodeableConcept:
    """A concept of words only, shared."""
    return CodeableConcept(text=text)


@lru_cache(maxsize=262144)
def quantity(scaled: int, decimals: int, unit: str, ucum: str) -> Quantity:
    """The quantity `scaled` / 10^`decimals` with exactly that many decimals, shared."""
    return Quantity(value=Decimal(scaled).scaleb(-decimals), unit=unit, system=UCUM, code=ucum)


def swedish(scaled: int, decimals: int) -> str:
    """The same number as Swedes write it: `5,4`."""
    if not decimals:
        return str(scaled)
    text = f"{scaled:0{decimals + 1}d}"
    return f"{text[:-decimals]},{text[-decimals:]}"


@lru_cache(maxsize=8192)
def organisation(id: str, display: str | None = None) -> Reference:
    """A reference to an Organization, shared."""
    return Reference(reference=f"Organization/{id}", display=display)


ACTIVE = concept(HL7 + "condition-clinical", "active", "Aktiv")
RESOLVED = concept(HL7 + "condition-clinical", "resolved", "Utläkt")
CONFIRMED = concept(HL7 + "condition-ver-status", "confirmed", "Bekräftad")
PROBLEM = concept(HL7 + "condition-category", "problem-list-item", "Hälsoproblem")
VISIT_DIAGNOSIS = concept(HL7 + "condition-category", "encounter-diagnosis", "Kontaktdiagnos")
VITAL_SIGNS = concept(HL7 + "observation-category", "vital-signs", "Mätvärden")
LABORATORY = concept(HL7 + "observation-category", "laboratory", "Laboratoriesvar")
SURVEY = concept(HL7 + "observation-category", "survey", "Bedömning")

AMBULATORY = coding(ACT_CODE, "AMB", "ambulatory")
INPATIENT = coding(ACT_CODE, "IMP", "inpatient encounter")
EMERGENCY = coding(ACT_CODE, "EMER", "emergency")
AT_HOME = coding(ACT_CODE, "HH", "home health")
TELEPHONE = coding(ACT_CODE, "VR", "virtual")

INTERPRETATION = {
    flag: [concept(HL7 + "v3-ObservationInterpretation", flag, text)]
    for flag, text in (("H", "Högt"), ("L", "Lågt"), ("HH", "Mycket högt"), ("LL", "Mycket lågt"))
}

# HL7 Sweden's examples mark fictional people DEMO; HL7's own code for test records is HTEST.
TEST_MARKS = (
    coding(HL7 + "v3-ActReason", "HTEST", "test health data"),
    coding(ACT_CODE, "DEMO"),
)
SEKRETESSMARKERING = coding(SECURITY_LABEL, "sekretessmarkering", "Sekretessmarkering")
SKYDDAD_FOLKBOKFORING = coding(SECURITY_LABEL, "skyddadFolkbokforing", "Skyddad folkbokföring")

STORY_TAG = Coding(system="http://sammanhang.se/fhir/tag/story", code="demo")
"""Marks the people with a name of their own; the built-in log-in lists them first."""
