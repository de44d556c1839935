"""A care request goes from hand to hand by one table, and what the table does not say cannot be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sammanhang.access.services import Services
from sammanhang.care.requests import receiving, sending
from sammanhang.care.requests import request as fhir
from sammanhang.care.requests.errors import Incomplete, NoSuchRequest, NotNow
from sammanhang.care.requests.receiving import FirstVisit
from sammanhang.care.requests.request import around
from sammanhang.care.requests.sending import Written
from sammanhang.care.requests.states import (
    NEXT_STEP,
    REQUEST_STATUS,
    STATES,
    TRANSITIONS,
    WAITS_ON,
    possible,
)
from sammanhang.kernel import clock
from sammanhang.kernel.errors import TextMissing
from sammanhang.region.organisations import named
from sammanhang.work import tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.testing import somebody

SVEA = "svea-andersson"
CENTRUM = named("Hemsjukvård Centrum, Borås")
BRAMHULT = named("Hemsjukvård Brämhult, Borås")
HOME = Written("hemsjukvard", CENTRUM.id, "urgent", "Yrsel, två fall, hjärtsvikt", "Vägning och läkemedelsövervakning", ground="samtycke")  # fmt: skip


class Sides:
    """Karin at the health centre and Amira at home care, each with Svea's record open."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def karin(self) -> Any:
        return await self.services.doors.open_record(
            await somebody(self.services, "karin-ek"), SVEA
        )

    async def amira(self, unit: str = "Centrum") -> Any:
        return await self.services.doors.open_record(
            await somebody(self.services, "amira-haddad", unit), SVEA
        )

    async def sent(self, written: Written = HOME) -> str:
        return await sending.send(await self.karin(), "", written)

    async def state(self, id: str) -> str:
        return fhir.state_of((await around(await self.karin(), id)).request)


@pytest.fixture
def sides(changing: Services) -> Sides:
    return Sides(changing)


def test_every_state_is_reached_and_every_open_one_waits_on_somebody() -> None:
    reached = {t.after for t in TRANSITIONS.values() if t.after} | {"draft"}
    assert reached == set(STATES) == set(REQUEST_STATUS) == set(WAITS_ON) == set(NEXT_STEP)
    for state, side in WAITS_ON.items():
        if side is not None:
            assert [v for v in possible(state, side) if TRANSITIONS[v].after], state


async def test_sending_makes_the_receivers_work_with_deadline_and_way_up(sides: Sides) -> None:
    id = await sides.sent()
    found = await around(await sides.amira(), id)
    (task,) = [t.resource for t in found.tasks]
    assert tasks.owner_of(task) == CENTRUM.id and tasks.function_of(task) == "samordnare"
    assert task.businessStatus.coding[0].code == "sent" and task.status == "requested"
    assert [s.step for s in tasks.steps_of(task)] == ["reminder", "colleague", "head", "operations"]
    assert found.request.performer[0].display == CENTRUM.name
    assert [a.resource.activity.coding[0].code for a in found.acts] == ["send"]


async def test_the_whole_way_question_answer_acceptance_visit_answer_and_close(
    sides: Sides,
) -> None:
    id = await sides.sent()
    await receiving.receive(await sides.amira(), id)
    await receiving.ask(await sides.amira(), id, "Har hon nyckelgömma?")
    found = await around(await sides.karin(), id)
    (question,) = [t.resource for t in found.tasks if tasks.kind_of(t.resource) == "question"]
    assert "Karin Ek" in (tasks.taken_by(question) or question).display
    assert [t.resource.status for t in found.tasks if tasks.kind_of(t.resource) == "care-request"] == ["on-hold"]  # fmt: skip
    await sending.reply(await sides.karin(), id, "Ja, koden är hos sonen")
    await receiving.accept(await sides.amira(), id)
    at = clock.now() + timedelta(days=2)
    await receiving.plan(await sides.amira(), id, FirstVisit(at, 60))
    found = await around(await sides.karin(), id)
    assert fhir.state_of(found.request) == "planned"
    assert [v.resource.status for v in found.visits] == ["booked"]
    (visit,) = [t.resource for t in found.tasks if tasks.kind_of(t.resource) == "care-request-visit"]  # fmt: skip
    assert visit.focus.reference.startswith("Appointment/")
    await receiving.answer(await sides.amira(), id, "Inskriven. Vägning tre gånger i veckan.")
    record = await sides.karin()
    (answer,) = (await around(record, id)).answers
    assert answer.resource.content[0].attachment.title == "Svar på vårdbegäran"
    assert any(d.id == answer.id for d in await record.resources("DocumentReference"))
    await sending.close(await sides.karin(), id)
    found = await around(await sides.karin(), id)
    assert fhir.state_of(found.request) == "closed" and found.request.status == "completed"
    open_ = [t.resource for t in found.tasks if t.resource.status in tasks.OPEN]
    assert [tasks.kind_of(t) for t in open_] == ["care-request-visit"]
    told = [a.resource.activity.coding[0].code for a in found.acts]
    assert told == ["send", "receive", "ask", "reply", "accept", "plan", "answer", "close"]
    assert not await adrift(sides.services.database)


async def test_a_rejection_is_the_senders_to_read_and_the_reason_is_needed(sides: Sides) -> None:
    id = await sides.sent()
    with pytest.raises(TextMissing):
        await receiving.reject(await sides.amira(), id, "  ")
    await receiving.reject(await sides.amira(), id, "Kan besöka vårdcentralen själv")
    found = await around(await sides.karin(), id)
    assert fhir.state_of(found.request) == "rejected" and found.request.status == "revoked"
    (read,) = [t.resource for t in found.tasks if t.resource.status in tasks.OPEN]
    assert (
        tasks.kind_of(read) == "read" and tasks.owner_of(read) == fhir.sender_of(found.request)[1]
    )
    assert found.acts[-1].resource.reason[0].text == "Kan besöka vårdcentralen själv"


async def test_redirected_it_is_the_next_units_with_a_time_of_its_own(sides: Sides) -> None:
    id = await sides.sent()
    await receiving.redirect(await sides.amira(), id, BRAMHULT.id, "Svea bor i Brämhult")
    found = await around(await sides.karin(), id)
    assert fhir.receiver_of(found.request) == BRAMHULT.id
    owners = {tasks.owner_of(t.resource): t.resource.status for t in found.tasks}
    assert owners == {CENTRUM.id: "cancelled", BRAMHULT.id: "requested"}
    with pytest.raises(NoSuchRequest):
        await receiving.accept(await sides.amira("Centrum"), id)
    await receiving.accept(await sides.amira("Brämhult"), id)
    assert await sides.state(id) == "accepted"


async def test_withdrawn_before_it_was_accepted_and_not_after(sides: Sides) -> None:
    id = await sides.sent()
    await receiving.receive(await sides.amira(), id)
    await sending.withdraw(await sides.karin(), id, "Svea är inlagd")
    found = await around(await sides.karin(), id)
    left = [tasks.kind_of(t.resource) for t in found.tasks if t.resource.status in tasks.OPEN]
    assert left == ["read"]  # who had received it is told
    other = await sides.sent()
    await receiving.accept(await sides.amira(), other)
    with pytest.raises(NotNow):
        await sending.withdraw(await sides.karin(), other, "Ångrar mig")
    with pytest.raises(NotNow):
        await receiving.accept(await sides.amira(), other)


async def test_a_draft_is_nobodys_but_the_senders_and_is_sent_whole_or_not_at_all(
    sides: Sides,
) -> None:
    half = Written("hemsjukvard", reason="Fallit")
    id = await sending.save(await sides.karin(), "", half)
    assert await sides.state(id) == "draft"
    with pytest.raises(NoSuchRequest):
        await around(await sides.amira(), id)
    with pytest.raises(Incomplete) as missing:
        await sending.send(await sides.karin(), id, half)
    assert set(missing.value.faults) == {"question", "ground"}
    assert await sides.state(id) == "draft"
    await sending.send(await sides.karin(), id, HOME)
    assert (await around(await sides.amira(), id)).request.status == "active"
    with pytest.raises(NotNow):
        await sending.save(await sides.karin(), id, half)


async def test_what_cannot_be_routed_lands_with_the_unit_that_distributes(
    changing: Services,
) -> None:
    """Mona's identity is protected: the register says no municipality."""
    karin = await somebody(changing, "karin-ek")
    await changing.doors.declare(karin, "mona-lind", "new-contact")
    record = await changing.doors.open_record(karin, "mona-lind")
    id = await sending.send(record, "", Written("hemsjukvard", "", "routine", "Sår", "Omläggning", ground="samtycke"))  # fmt: skip
    found = await around(record, id)
    (task,) = [t.resource for t in found.tasks]
    assert tasks.kind_of(task) == "distribute" and tasks.function_of(task) == "fordelning"


async def test_a_message_from_either_side_is_the_others_to_read(sides: Sides) -> None:
    id = await sides.sent()
    await sending.write(await sides.karin(), id, "Sonen nås på kvällen")
    await sending.write(await sides.amira(), id, "Tack")
    found = await around(await sides.karin(), id)
    assert [m.resource.payload[0].contentString for m in found.messages] == ["Sonen nås på kvällen", "Tack"]  # fmt: skip
    assert [tasks.kind_of(t.resource) for t in found.tasks] == [
        "care-request",
        "message",
        "message",
    ]
    assert fhir.state_of(found.request) == "sent"
