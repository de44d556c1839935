"""How many resources a second does one core decode and check?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from _bench import Bench, Figure
from _drive import percentile


def large_observation() -> bytes:
    """An Observation of about 5 KB: a panel of components with ranges and interpretations."""
    coding = {
        "system": "http://loinc.org",
        "code": "718-7",
        "display": "Hemoglobin [Mass/volume] in Blood",
    }
    unit = {"unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    interpretation = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    component = {
        "code": {"coding": [coding], "text": "Hemoglobin"},
        "valueQuantity": {"value": 13.20, **unit},
        "interpretation": [
            {"coding": [{"system": interpretation, "code": "N", "display": "Normal"}]}
        ],
        "referenceRange": [{"low": {"value": 11.7, **unit}, "high": {"value": 15.3, **unit}}],
    }
    resource = {
        "resourceType": "Observation", "id": "panel", "status": "final",
        "meta": {"versionId": "1", "lastUpdated": "2024-03-01T10:30:00.000Z"},
        "identifier": [{"system": "http://example.org/observation", "value": "O1"}],
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory",
        }]}],
        "code": {"coding": [coding], "text": "Panel"}, "subject": {"reference": "Patient/1"},
        "encounter": {"reference": "Encounter/1"}, "effectiveDateTime": "2024-03-01T10:00:00+01:00",
        "issued": "2024-03-01T10:30:00.000+01:00", "performer": [{"reference": "Organization/lab"}],
        "component": [component] * 9,
    }  # fmt: skip
    return json.dumps(resource, separators=(",", ":")).encode()


def run(bench: Bench) -> list[Figure]:
    """Validated parses of a 5 KB Observation on one core; floor: json.loads into dictionaries."""
    from sammanhang.fhir.decode import decode, index, second_pass, typed_decoder

    body = large_observation()
    first = typed_decoder("Observation").decode
    resource = first(body)
    assert not second_pass(resource)
    bare = _rate(lambda: json.loads(body), bench)

    def both() -> None:
        second_pass(first(body))

    rows: list[tuple[str, Callable[[], Any], str]] = [
        ("first pass", lambda: first(body), "≥ 60 000 /s"),
        ("with the second pass", both, "≥ 20 000 /s"),
        ("decode, as every door does", lambda: decode(body, "Observation"), ""),
        ("search values of it", lambda: index(resource), ""),
    ]
    size = f"{len(body) / 1000:.1f} KB"
    return [
        Figure("parsing", what, _rate(f, bench), "/s", floor=bare, aim=aim, note=size)
        for what, f, aim in rows
    ]


def _rate(work: Callable[[], Any], bench: Bench) -> float:
    """Calls a second of processor time: the median of stretches."""
    rates = []
    for _ in range(5 if bench.quick else 15):
        began, count = time.process_time(), 0
        while time.process_time() - began < 0.1:
            for _ in range(50):
                work()
            count += 50
        rates.append(count / (time.process_time() - began))
    return percentile(rates, 50)


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"parsing": run}))
