"""FHIR search: the query string → a request (`parse`) → SQL (`compile`) → a page (`run`)."""
