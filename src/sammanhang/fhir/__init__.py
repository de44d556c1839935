"""FHIR R4: generated models, decoding as validation, FHIRPath, search values. No I/O here."""
