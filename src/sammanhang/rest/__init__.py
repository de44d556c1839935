"""The FHIR API: one file per interaction; `app` finds which one a request asks for."""
