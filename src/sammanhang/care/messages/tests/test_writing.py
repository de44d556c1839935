"""A message to a resident is read or comes back to who wrote it; what the resident answers is somebody's to answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sammanhang.access import consents
from sammanhang.access.actor import Actor
from sammanhang.access.door import Stored
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes, ReadsOnly
from sammanhang.care.messages import writing
from sammanhang.care.messages.errors import (
    NoAnswer,
    NobodyReads,
    NoSuchConversation,
    NoTopic,
    NotOurs,
)
from sammanhang.care.messages.message import (
    ANSWER,
    UNREAD,
    conversation,
    conversations,
    from_resident,
    text_of,
)
from sammanhang.care.messages.writing import Written
from sammanhang.fhir.r4 import Reference, ServiceRequest
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import TextMissing, TextTooLong
from sammanhang.region.organisations import named
from sammanhang.work import tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.errors import ChangedMeanwhile
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import somebody, task_now

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

SVEA, GRETA = "svea-andersson", "greta-lindgren"
CENTRUM = named("Hemsjukvård Centrum, Borås")
HELLO = Written("Ditt nästa besök", "Hej Svea! Ta med din läkemedelslista.")


class People:
    """Karin at the health centre, Amira at home care, and residents, each with a record open."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def karin(self, patient: str = SVEA) -> Any:
        actor = await somebody(self.services, "karin-ek")
        if patient != SVEA:
            await self.services.doors.declare(actor, patient, "new-contact")
        return await self.services.doors.open_record(actor, patient)

    async def amira(self, unit: str = "Centrum") -> Any:
        actor = await somebody(self.services, "amira-haddad", unit)
        return await self.services.doors.open_record(actor, SVEA)

    async def resident(self, who: str = SVEA, name: str = "Svea Andersson", about: str = "") -> Any:
        actor = Actor("resident", f"Patient/{who}", name, 3)
        return await self.services.doors.open_record(actor, about or who)

    async def opens(self, id: str) -> Any:
        record = await self.resident()
        return await writing.opened(record, await conversation(record, id))


@pytest.fixture
def people(changing: Services) -> People:
    return People(changing)


async def test_a_message_is_a_task_until_it_is_read_and_an_answer_one_until_it_is_answered(
    people: People,
) -> None:
    karin = await people.karin()
    id = await writing.write(karin, HELLO)
    found = await conversation(await people.karin(), id)
    unread = found.task(UNREAD)
    assert unread is not None and len(found.unopened) == 1 and found.topic == HELLO.topic
    assert holder_of(unread) == reference_of(karin)
    assert tasks.owner_of(unread.resource) == found.owner[1] == karin.actor.assignment.unit

    await people.opens(id)
    found = await conversation(await people.karin(), id)
    assert not found.unopened and found.task(UNREAD) is None and found.first.resource.received
    assert (await task_now(people.services, unread.id)).status == "completed"

    await writing.reply(await people.resident(), id, "Jag har ingen lista")
    found = await conversation(await people.karin(), id)
    answer = found.task(ANSWER)
    assert answer is not None and from_resident(found.latest)
    assert holder_of(answer) == reference_of(karin)
    assert found.latest.resource.sender.display == "Svea Andersson"
    await writing.reply(await people.resident(), id, "Eller jo, en gammal")
    again = await conversation(await people.karin(), id)
    assert [t.id for t in again.tasks if t.resource.status in tasks.OPEN] == [answer.id]

    await writing.answer(await people.karin(), id, "Ta med den")
    found = await conversation(await people.resident(), id)
    assert [text_of(m) for m in found.messages] == [
        HELLO.text, "Jag har ingen lista", "Eller jo, en gammal", "Ta med den",
    ]  # fmt: skip
    assert found.task(ANSWER) is None and len(found.unopened) == 1
    assert [a for a in await adrift(people.services.database) if a.id in (unread.id, answer.id)] == []  # fmt: skip


def holder_of(stored: Stored) -> str:
    holder = tasks.taken_by(stored.resource)
    return (holder.reference or "") if holder is not None else ""


def reference_of(record: Any) -> str:
    return f"PractitionerRole/{record.actor.assignment.id}"


async def test_what_is_not_read_in_time_goes_up_and_reading_it_ends_that(people: People) -> None:
    id = await writing.write(await people.karin(), HELLO)
    stored = (await conversation(await people.karin(), id)).task(UNREAD)
    assert stored is not None
    late = tasks.steps_of(stored.resource)[1].at
    await escalate_due(people.services.doors, late)
    assert tasks.level_of(await task_now(people.services, stored.id)) >= 2
    await people.opens(id)
    assert (await task_now(people.services, stored.id)).status == "completed"


async def test_who_does_not_follow_it_up_gets_no_task(people: People) -> None:
    id = await writing.write(
        await people.karin(), Written("Tack", "Tack för besöket", follow=False)
    )
    assert (await conversation(await people.karin(), id)).tasks == ()


async def test_what_is_wrong_is_said_and_nothing_is_stored(people: People) -> None:
    karin = await people.karin()
    before = len(await conversations(karin))
    most = content("messages/rules")
    for wrong, error in (
        (Written("Rubrik", " \n"), TextMissing), (Written(" ", "Text"), NoTopic),
        (Written("x" * (most["longest_topic"] + 1), "Text"), TextTooLong),
        (Written("Rubrik", "x" * (most["longest"] + 1)), TextTooLong),
    ):  # fmt: skip
        with pytest.raises(error):
            await writing.write(karin, wrong)
    with pytest.raises(ReadsOnly):
        await writing.write(await people.resident(), HELLO)
    with pytest.raises(ReadsOnly):
        Changes.by_resident(karin, ("a", "b"))
    assert len(await conversations(karin)) == before
    with pytest.raises(NoSuchConversation):
        await conversation(karin, "finns-inte")


async def test_what_cannot_be_answered_says_so(people: People) -> None:
    id = await writing.write(await people.karin(), Written("Kallelse", "Kom den 3:e", answerable=False))  # fmt: skip
    with pytest.raises(NoAnswer):
        await writing.reply(await people.resident(), id, "Jag kan inte då")


async def test_another_unit_does_not_write_in_it_and_without_consent_does_not_see_it(
    people: People,
) -> None:
    id = await writing.write(await people.karin(), HELLO)
    with pytest.raises(NotOurs):
        await writing.answer(await people.amira(), id, "Hej")
    resident = await people.resident()
    for held in await consents.held(people.services.doors, resident.patient_id):
        if held.kind == "sammanhallen-dokumentation":
            await consents.end(people.services.doors, resident.actor, resident.patient_id, held.id)
    with pytest.raises(NoSuchConversation):
        await writing.answer(await people.amira(), id, "Hej")


async def test_both_sides_of_a_request_write_as_one(people: People) -> None:
    karin = await people.karin()
    changes = Changes.by(karin)
    made = changes.create(
        ServiceRequest(
            status="active", intent="order", subject=Reference(reference=f"Patient/{SVEA}"),
            performer=[Reference(reference=f"Organization/{CENTRUM.id}")],
        ),
        sent_to=[CENTRUM.provider],
    )  # fmt: skip
    await changes.commit("test")
    about = (made.reference or "").partition("/")[2]
    id = await writing.write(await people.karin(), Written("Hemsjukvård", "Vi hjälps åt", about=about, joint=True))  # fmt: skip
    found = await conversation(await people.amira(), id)
    assert found.units == (karin.actor.assignment.unit, CENTRUM.id) and found.about == about
    await writing.answer(await people.amira(), id, "Vi kommer på måndag")
    seen = await conversation(await people.resident(), id)
    assert [text_of(m) for m in seen.messages] == ["Vi hjälps åt", "Vi kommer på måndag"]


async def test_two_who_answer_at_the_same_moment_come_one_after_the_other(people: People) -> None:
    id = await writing.write(await people.karin(), HELLO)
    await people.opens(id)
    one, two = await people.resident(), await people.resident()
    found = await asyncio.gather(
        writing.reply(one, id, "Ja"), writing.reply(two, id, "Ja"), return_exceptions=True
    )
    assert [type(f) for f in found if f is not None] == [ChangedMeanwhile]
    said = await conversation(await people.karin(), id)
    assert len(said.messages) == 2 and len([t for t in said.tasks if t.resource.status in tasks.OPEN]) == 1  # fmt: skip


async def test_a_guardian_reads_and_answers_for_a_child(people: People) -> None:
    id = await writing.write(await people.karin(GRETA), Written("Vaccination", "Dags för spruta"))
    father = await people.resident("jonas-lindgren", "Jonas Lindgren", GRETA)
    assert writing.read_by(father) == {"guardian"}
    await writing.reply(father, id, "Vi kommer")
    found = await conversation(await people.karin(GRETA), id)
    assert found.latest.resource.sender.reference == "Patient/jonas-lindgren"


async def test_nobody_is_written_to_who_cannot_read(people: People) -> None:
    """Elis is twelve and Saga thirteen: her guardians no longer read, and she does not yet."""
    for child, who in (("elis-berglund", {"guardian"}), ("saga-berglund", set())):
        record = await people.karin(child)
        assert writing.read_by(record) == who, child
        if not who:
            with pytest.raises(NobodyReads):
                await writing.write(record, HELLO)
    record = await people.karin()
    record.patient.deceasedBoolean = True
    with pytest.raises(NobodyReads):
        await writing.write(record, HELLO)
