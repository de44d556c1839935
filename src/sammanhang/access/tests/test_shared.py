"""R41: what was sent to a care provider is seen there without consent; what was not sent is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.door import predicate
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import CodeableConcept, Reference, ServiceRequest
from sammanhang.kernel.settings import Settings
from sammanhang.region.organisations import Unit, named
from sammanhang.store.types import NUMBER
from sammanhang.web.testing import own_town

__all__ = ["own_town"]
SVEA = "svea-andersson"


def nurse(unit: Unit, role: str = "sjukskoterska") -> Actor:
    at = Assignment(f"A-{unit.id}", role, role, unit.id, unit.name, unit.provider, unit.provider)
    return Actor("staff", "Practitioner/somebody", "Somebody", 3, at)


@pytest_asyncio.fixture
async def services(own_town: str) -> AsyncIterator[Services]:
    made = Services.make(Settings(base_url="http://127.0.0.1:8000"), own_town)
    await made.open()
    yield made
    await made.close()


def request(text: str, to: Unit) -> ServiceRequest:
    return ServiceRequest(
        status="active",
        intent="order",
        subject=Reference(reference=f"Patient/{SVEA}"),
        performer=[Reference(reference=f"Organization/{to.id}")],
        code=CodeableConcept(text=text),
    )


async def test_the_receiver_sees_what_was_sent_and_nothing_else_of_the_sender(
    services: Services,
) -> None:
    centre, receiver = named("Vårdcentralen Södra torget"), named("Hemsjukvård Centrum, Alingsås")
    doors = services.doors
    sender = await doors.open_record(nurse(centre, "lakare"), SVEA)
    changes = Changes.by(sender)
    sent = changes.create(request("sent", receiver), sent_to=[receiver.provider])
    changes.create(request("kept", receiver))
    await changes.commit("create")
    record = await doors.open_record(nurse(receiver), SVEA)  # asked to care: R2
    seen = await record.resources("ServiceRequest")
    assert [f"ServiceRequest/{s.id}" for s in seen] == [sent.reference]
    assert {s.type for s in await record.resources(*NUMBER)} == {"Patient", "ServiceRequest"}
    # row-level security alone says the same
    async with services.database.reading(record.scope) as connection:
        rows = await connection.fetch(
            "SELECT id FROM store.resource WHERE patient = %s AND type <> %s",
            (record.patient_self, NUMBER["Patient"]),
        )
    assert [f"ServiceRequest/{r[0]}" for r in rows] == [sent.reference]
    # and so does the first wall without the second
    sql, args = predicate(record.scope, "r")
    async with services.database.writing() as connection:
        cursor = await connection.execute(
            f"SELECT id FROM store.resource r WHERE patient = %s AND type <> %s AND {sql}",
            [record.patient_self, NUMBER["Patient"], *args],
        )
        assert [f"ServiceRequest/{r[0]}" for r in await cursor.fetchall()] == [sent.reference]


async def test_a_third_care_provider_does_not_see_what_was_sent_to_another(
    services: Services,
) -> None:
    third = named("Ekbackens vårdcentral Borås")
    asked = nurse(third, "lakare")
    await services.doors.declare(asked, SVEA, "new-contact")
    record = await services.doors.open_record(asked, SVEA)
    assert not await record.resources("ServiceRequest")
