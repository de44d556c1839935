"""Resource types by number, and which table holds each."""

from __future__ import annotations

from sammanhang.fhir.r4 import CLASSES

TYPES = sorted(CLASSES)
NUMBER = {name: i + 1 for i, name in enumerate(TYPES)}
NAME = {i: name for name, i in NUMBER.items()}

_OWN = {
    "Observation": "observation", "Encounter": "encounter", "Condition": "condition",
    "Patient": "patient", "MedicationRequest": "medication", "MedicationStatement": "medication",
    "MedicationAdministration": "medication", "MedicationDispense": "medication",
    "DocumentReference": "document", "Composition": "document", "DiagnosticReport": "document",
    "Binary": "document",
}  # fmt: skip


def table(type_name: str) -> str:
    """The partition that holds a type; naming it spares PostgreSQL the search for it."""
    return "store." + _OWN.get(type_name, "other")


# Data about the care organisation itself and definitions: nobody's record and no provider's secret.
COMMON = frozenset(
    [
        "Organization",
        "Location",
        "Practitioner",
        "PractitionerRole",
        "HealthcareService",
        "Endpoint",
        "OrganizationAffiliation",
        "InsurancePlan",
        "Medication",
        "MedicationKnowledge",
        "Substance",
        "SubstanceSpecification",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "DeviceDefinition",
        "ActivityDefinition",
        "CapabilityStatement",
        "ChargeItemDefinition",
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "EffectEvidenceSynthesis",
        "EventDefinition",
        "Evidence",
        "EvidenceVariable",
        "ExampleScenario",
        "GraphDefinition",
        "ImplementationGuide",
        "Library",
        "Measure",
        "MessageDefinition",
        "NamingSystem",
        "OperationDefinition",
        "PlanDefinition",
        "Questionnaire",
        "ResearchDefinition",
        "ResearchElementDefinition",
        "RiskEvidenceSynthesis",
        "SearchParameter",
        "SpecimenDefinition",
        "StructureDefinition",
        "StructureMap",
        "TerminologyCapabilities",
        "TestReport",
        "TestScript",
        "ValueSet",
        "CatalogEntry",
        "ObservationDefinition",
    ]
)
