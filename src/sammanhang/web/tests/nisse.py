"""Nisse, whom nobody has asked: in Amira's care, with data at a care provider elsewhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest_asyncio

from sammanhang.fhir.decode import decode
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.bulk import load
from sammanhang.web.testing import Browser


@pytest_asyncio.fixture
async def amira(as_: Callable[..., Awaitable[Browser]], town: str) -> Browser:
    """Amira Haddad, with Nisse in her care: a care provider elsewhere has data on him, and he gave no consent."""
    browser = await as_("Amira Haddad", "Centrum")
    await browser.get("/")
    with psycopg.connect(town) as connection:
        if connection.execute("SELECT FROM store.patient WHERE id = 'nisse-nod'").rowcount == 0:
            ((assignment,),) = connection.execute(
                "SELECT assignment FROM access.session WHERE name LIKE 'Amira%'"
                " AND assignment IS NOT NULL ORDER BY last_seen DESC LIMIT 1"
            ).fetchall()
            ((elsewhere,),) = connection.execute(
                "SELECT p.id FROM store.observation r JOIN store.party p ON p.number = r.provider"
                " WHERE p.id <> %s LIMIT 1",
                (assignment["provider"],),
            ).fetchall()
            load(town, _nisse(assignment, elsewhere))
    return browser


def _nisse(assignment: dict[str, str], elsewhere: str) -> Iterator[Any]:
    subject = {"reference": "Patient/nisse-nod"}

    def owned(provider: str, unit: str) -> dict[str, Any]:
        return {"tag": [{"system": PROVIDER, "code": provider}, {"system": UNIT, "code": unit}]}

    here = owned(assignment["provider"], assignment["unit"])
    for resource in (
        {
            "resourceType": "Patient", "id": "nisse-nod", "birthDate": "1950-02-03",
            "name": [{"family": "Nöd", "given": ["Nisse"]}],
        },
        {
            "resourceType": "Encounter", "id": "nisse-v", "meta": here, "status": "in-progress",
            "class": {"code": "HH"}, "subject": subject,
        },
        {
            "resourceType": "Observation", "id": "nisse-o", "meta": owned(elsewhere, elsewhere), "status": "final",
            "code": {"text": "Anfallsfrekvens"}, "subject": subject, "valueString": "dagligen",
        },
    ):  # fmt: skip
        yield decode(json.dumps(resource).encode())
