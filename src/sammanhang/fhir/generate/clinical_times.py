"""Choices the definitions leave to the server: which date a clinician sorts by, whose record it is."""

from __future__ import annotations

SKIP = {"_content", "_text", "_query", "_filter", "_id", "_lastUpdated", "near", "age"}

# The principal clinical time of each type: the date parameter a clinician sorts by.
PRINCIPAL = {
    "Observation": "date", "Encounter": "date", "Condition": "recorded-date", "Procedure": "date",
    "MedicationRequest": "authoredon", "MedicationStatement": "effective", "Immunization": "date",
    "MedicationAdministration": "effective-time", "DiagnosticReport": "date", "Task": "authored-on",
    "DocumentReference": "date", "AllergyIntolerance": "date", "ServiceRequest": "authored",
    "Composition": "date", "CarePlan": "date", "Appointment": "date", "Communication": "sent",
    "QuestionnaireResponse": "authored", "Consent": "date", "Flag": "date", "EpisodeOfCare": "date",
    "CareTeam": "date", "ClinicalImpression": "date", "RiskAssessment": "date", "Media": "created",
    "ImagingStudy": "started", "MedicationDispense": "whenhandedover", "Specimen": "collected",
    "AuditEvent": "date", "Provenance": "recorded", "List": "date", "Goal": "start-date",
    "FamilyMemberHistory": "date", "Patient": "birthdate", "NutritionOrder": "datetime",
    "CommunicationRequest": "authored", "DeviceRequest": "authored-on", "DetectedIssue": "identified",
    "AdverseEvent": "date", "Claim": "created", "ExplanationOfBenefit": "created", "Schedule": "date",
    "Slot": "start", "AppointmentResponse": "_none", "ChargeItem": "occurrence", "Invoice": "date",
    "SupplyDelivery": "_none", "SupplyRequest": "date", "DeviceUseStatement": "_none",
    "RequestGroup": "authored", "ResearchSubject": "date", "VisionPrescription": "datewritten",
    "MeasureReport": "date", "Person": "birthdate", "RelatedPerson": "birthdate", "Bundle": "timestamp",
}  # fmt: skip
# Which reference makes a resource part of whose record, first choice first.
OWNERS = ("patient", "subject", "beneficiary", "individual", "link", "candidate")
