"""A fictional nurse logged in, and a patient in the care of her unit, for the pages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from _bench import Bench, column, settle
from starlette.requests import Request

PATIENT = "bench-patient"


def region(bench: Bench) -> str:
    """A database with a small fictional region, staff included."""
    dsn, _ = bench.database("region", fresh=False)
    populate(dsn)
    return dsn


def populate(dsn: str) -> None:
    """Puts the small region into a database that has no staff yet."""
    from sammanhang.region.create import create_region
    from sammanhang.store.types import NUMBER

    kind = NUMBER["PractitionerRole"]
    if not column(dsn, "SELECT 1 FROM store.other WHERE type = %s LIMIT 1", kind):
        create_region(dsn, 200, 1)
        settle(dsn)


def chart_reader(dsn: str, url: str) -> str:
    """The cookie of a nurse who has the patient with 500 resources in care."""
    cookie, assignment = log_in(dsn, url)
    if not column(dsn, "SELECT 1 FROM store.patient WHERE id = %s", PATIENT):
        add_patient(dsn, assignment)
    return cookie


def _nurse() -> int:
    """The search token of assignments as a nurse."""
    from sammanhang.access.staff import ROLE
    from sammanhang.fhir.indexing import coded, slot

    return coded(ROLE, "sjukskoterska")[1] ^ slot("PractitionerRole.code", "token")


async def logged_in(dsn: str, url: str) -> tuple[str, Any]:
    """(cookie header, assignment) of a session of somebody with record rights at a care unit."""
    from dataclasses import replace

    from sammanhang.access import sessions
    from sammanhang.access.actor import Actor
    from sammanhang.access.services import Services
    from sammanhang.access.staff import held_with
    from sammanhang.kernel.settings import Settings

    settings = replace(Settings.load(), base_url=url)
    services = Services.make(settings, dsn)
    await services.open()
    try:
        held = next(iter(await held_with(services.database, [_nurse()], 50)))
        who = Actor("staff", f"Practitioner/{held.practitioner}", "Bench", 3)
        scope = {
            "type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [],
            "app": SimpleNamespace(state=SimpleNamespace(services=services)),
        }  # fmt: skip
        fresh = await sessions.create(Request(scope), actor=who, held=held)
        return f"{sessions.cookie_name(settings)}={fresh.cookie}", held.assignment
    finally:
        await services.close()


def log_in(dsn: str, url: str) -> tuple[str, Any]:
    return asyncio.run(logged_in(dsn, url))


def staff_token(dsn: str, url: str) -> str:
    """A bearer token for the same nurse in the same assignment."""
    return asyncio.run(_staff_token(dsn, url))


async def _staff_token(dsn: str, url: str) -> str:
    from dataclasses import replace

    from sammanhang.access.services import Services
    from sammanhang.access.staff import held_with
    from sammanhang.access.tokens import issue_staff_token
    from sammanhang.kernel.settings import Settings

    settings = replace(Settings.load(), base_url=url)
    services = Services.make(settings, dsn)
    await services.open()
    try:
        held = next(iter(await held_with(services.database, [_nurse()], 50)))
        return await issue_staff_token(
            services.database, held.practitioner, held.assignment.id, 3, settings
        )
    finally:
        await services.close()


def add_patient(dsn: str, assignment: Any, count: int = 500) -> None:
    """A patient with so many resources over ten years, in the care of the assignment's unit."""
    import json

    from sammanhang.fhir.decode import decode
    from sammanhang.store.bulk import load

    resources = [decode(json.dumps(r).encode()) for r in _life(assignment, count)]
    load(dsn, resources, actor="system:bench")


LABS = [("718-7", "Hemoglobin", "g/L", 135), ("2160-0", "Kreatinin", "umol/L", 85),
        ("2951-2", "Natrium", "mmol/L", 140), ("2823-3", "Kalium", "mmol/L", 4.1)]  # fmt: skip
VITALS = [("8867-4", "Puls", "/min", 72), ("8480-6", "Systoliskt blodtryck", "mm[Hg]", 135),
          ("29463-7", "Vikt", "kg", 78)]  # fmt: skip


def _life(assignment: Any, count: int) -> Iterator[dict[str, Any]]:
    from sammanhang.kernel.owner import PROVIDER, UNIT

    chance = random.Random(7)
    now = datetime.now(UTC)
    tags = {"tag": [{"system": PROVIDER, "code": assignment.provider}, {"system": UNIT, "code": assignment.unit}]}  # fmt: skip
    subject = {"reference": f"Patient/{PATIENT}"}
    ucum, categories = "http://unitsofmeasure.org", "http://terminology.hl7.org/CodeSystem"
    yield {
        "resourceType": "Patient", "id": PATIENT, "active": True, "gender": "female",
        "name": [{"use": "official", "family": "Prov", "given": ["Petra"]}], "birthDate": "1948-05-06",
    }  # fmt: skip
    for i in range(count - 1):
        at = now - timedelta(days=chance.uniform(0, 3650))
        common = {"id": f"bench-{i}", "meta": tags, "subject": subject}
        if i % 20 == 0:
            open_ = i == 0
            yield {
                "resourceType": "Encounter", **common, "status": "in-progress" if open_ else "finished",
                "class": {"system": f"{categories}/v3-ActCode", "code": "AMB"},
                "period": {"start": at.isoformat(), **({} if open_ else {"end": (at + timedelta(hours=1)).isoformat()})},
            }  # fmt: skip
        elif i % 20 == 1:
            yield {
                "resourceType": "Condition", **common,
                "clinicalStatus": {"coding": [{"system": f"{categories}/condition-clinical", "code": "active"}]},
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I10"}], "text": "Hypertoni"},
                "onsetDateTime": at.date().isoformat(),
            }  # fmt: skip
        elif i % 20 == 2:
            yield {
                "resourceType": "MedicationRequest", **common, "status": "active", "intent": "order",
                "medicationCodeableConcept": {"text": f"Läkemedel {i}"}, "authoredOn": at.isoformat(),
                "dosageInstruction": [{"text": "1 tablett dagligen"}],
            }  # fmt: skip
        else:
            lab = i % 2 == 0
            code, text, unit, middle = chance.choice(LABS if lab else VITALS)
            kind = "laboratory" if lab else "vital-signs"
            yield {
                "resourceType": "Observation", **common, "status": "final",
                "category": [{"coding": [{"system": f"{categories}/observation-category", "code": kind}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": text},
                "effectiveDateTime": at.isoformat(),
                "valueQuantity": {"value": round(middle * chance.uniform(0.8, 1.2), 1), "unit": unit, "system": ucum, "code": unit},
            }  # fmt: skip
