"""Requests on the common load."""

from __future__ import annotations

import json
import random
from typing import Any

from _bench import Bench, column
from _drive import Requests

JSON = {"Content-Type": "application/fhir+json"}


def ids(dsn: str, table: str, most: int = 5000) -> list[str]:
    """Some ids of a table, in a random order that is the same each time."""
    found = column(dsn, f"SELECT id FROM store.{table} ORDER BY self LIMIT %s", most)
    random.Random(1).shuffle(found)
    return found


def gets(paths: list[str]) -> Requests:
    return Requests([("GET", p, b"") for p in paths])


def reads(dsn: str) -> tuple[Requests, Requests]:
    """(ours, floor) of a read by id."""
    some = ids(dsn, "observation")
    return gets([f"/fhir/Observation/{i}" for i in some]), gets([f"/read/{i}" for i in some])


def series(dsn: str) -> tuple[Requests, Requests]:
    """(ours, floor) of one code's values of a patient, newest first."""
    some = ids(dsn, "patient")
    path = "/fhir/Observation?patient={}&code=8867-4&_sort=-date&_count=50"
    return gets([path.format(i) for i in some]), gets([f"/series/{i}" for i in some])


def whole(dsn: str) -> tuple[Requests, Requests]:
    """(ours, floor) of everything about a patient."""
    some = ids(dsn, "patient")
    return gets([f"/fhir/Patient/{i}/$everything" for i in some]), gets([f"/everything/{i}" for i in some])  # fmt: skip


def observation(patient: str, value: float = 72, **more: Any) -> dict[str, Any]:
    """An Observation like those of the common load."""
    unit = {"unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation", **more, "status": "final",
        "category": [{"coding": [{"system": category, "code": "vital-signs"}]}],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
            "text": "Heart rate",
        },
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2024-03-01T10:00:00+00:00",
        "issued": "2024-03-01T10:30:00.000+00:00",
        "valueQuantity": {"value": value, **unit},
        "referenceRange": [{"low": {"value": 50, "unit": "/min"}, "high": {"value": 110, "unit": "/min"}}],
    }  # fmt: skip


def creates(dsn: str) -> tuple[Requests, Requests]:
    """(ours, floor) of one new Observation."""
    bodies = [json.dumps(observation(i)).encode() for i in ids(dsn, "patient")]
    ours = [("POST", "/fhir/Observation", b) for b in bodies]
    return Requests(ours, JSON), Requests([("POST", "/create", b) for b in bodies])


def transactions(bench: Bench, most: int = 150) -> tuple[Requests, Requests]:
    """(ours, floor) of the common load's bundles: each time new resources with new ids."""
    with bench.bundles.open("rb") as file:
        bodies = [line.strip() for line, _ in zip(file, range(most), strict=False)]
    ours = [("POST", "/fhir/", b) for b in bodies]
    return Requests(ours, JSON), Requests([("POST", "/copy", b) for b in bodies])
