"""A care request goes from hand to hand by one table, and what the table does not say cannot be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sammanhang.access.services import Services
from sammanhang.access.writing import sent_to
from sammanhang.care.requests import receiving, sending
from sammanhang.care.requests import request as fhir
from sammanhang.care.requests.errors import (
    Incomplete,
    NoGround,
    NoSuchRequest,
    NotNow,
    VisitToCome,
)
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
from sammanhang.work import commands, tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.errors import DoneElsewhere
from sammanhang.work.testing import somebody
from sammanhang.work.units import units_of

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

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


async def test_the_reason_for_a_no_is_read_once_by_the_sender(sides: Sides) -> None:
    id = await sides.sent()
    await receiving.reject(await sides.amira(), id, "Kan besöka vårdcentralen själv")
    with pytest.raises(NotNow):
        await sending.acknowledge(await sides.amira(), id)
    await sending.acknowledge(await sides.karin(), id)
    found = await around(await sides.karin(), id)
    assert [t.id for t in found.tasks if t.resource.status in tasks.OPEN] == []
    assert fhir.state_of(found.request) == "rejected"


def _visit_task(found: Any) -> Any:
    (visit,) = [t for t in found.tasks if tasks.kind_of(t.resource) == "care-request-visit" and t.resource.status != "cancelled"]  # fmt: skip
    return visit


async def _planned(sides: Sides, at: Any) -> str:
    id = await sides.sent()
    await receiving.accept(await sides.amira(), id)
    await receiving.plan(await sides.amira(), id, FirstVisit(at, 60))
    return id


async def test_a_visit_is_made_on_its_day_and_the_request_says_so(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = clock.now() + timedelta(days=2)
    id = await _planned(sides, at)
    found = await around(await sides.amira(), id)
    task = _visit_task(found)
    actor = (await sides.amira()).actor
    with pytest.raises(DoneElsewhere):  # nobody ticks off a visit that is to come
        await commands.complete(sides.services.doors, actor, task.id)
    await receiving.start(await sides.amira(), id)  # work has begun; the visit is still to come
    with pytest.raises(VisitToCome):
        await receiving.visited(await sides.amira(), id)
    found = await around(await sides.amira(), id)
    assert [v.resource.status for v in found.visits] == ["booked"]
    assert _visit_task(found).resource.status in tasks.OPEN
    monkeypatch.setattr(clock, "now", lambda: at)
    await receiving.visited(await sides.amira(), id)
    found = await around(await sides.amira(), id)
    assert [v.resource.status for v in found.visits] == ["fulfilled"]
    assert _visit_task(found).resource.status == "completed"


async def test_the_day_of_the_visit_beginning_is_the_visit(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = clock.now() + timedelta(days=2)
    id = await _planned(sides, at)
    monkeypatch.setattr(clock, "now", lambda: at)
    await receiving.start(await sides.amira(), id)
    found = await around(await sides.karin(), id)
    assert fhir.state_of(found.request) == "in-progress"
    assert [v.resource.status for v in found.visits] == ["fulfilled"]
    assert _visit_task(found).resource.status == "completed"


async def test_a_visit_that_is_off_is_nobodys_to_make(sides: Sides) -> None:
    id = await _planned(sides, clock.now() + timedelta(days=2))
    await receiving.answer(await sides.amira(), id, "Inskriven")
    await sending.close(await sides.karin(), id)
    with pytest.raises(TextMissing):
        await receiving.cancel_visit(await sides.amira(), id, " ")
    await receiving.cancel_visit(await sides.amira(), id, "Svea är inlagd")
    found = await around(await sides.karin(), id)
    assert [v.resource.status for v in found.visits] == ["cancelled"]
    assert not [t for t in found.tasks if t.resource.status in tasks.OPEN]


async def test_to_another_care_provider_it_goes_on_a_ground_of_its_own_with_all_that_was_said(
    sides: Sides,
) -> None:
    units = await units_of(sides.services.database)
    other = next(u for u in units.by_id.values() if u.kind == "home-care" and u.municipality == "Göteborg" and u.active)  # fmt: skip
    id = await sides.sent()
    await receiving.ask(await sides.amira(), id, "Bor hon i Borås?")
    before = await around(await sides.karin(), id)
    with pytest.raises(NoGround):
        await receiving.redirect(await sides.amira(), id, other.id, "Svea flyttar")
    assert await sides.state(id) == fhir.state_of(before.request)
    await receiving.redirect(await sides.amira(), id, other.id, "Svea flyttar", "samtycke")
    found = await around(await sides.karin(), id)
    assert fhir.receiver_of(found.request) == other.id
    for stored in (found.stored, *found.messages, *found.acts):
        assert other.provider in sent_to(stored.resource), stored.type
        assert CENTRUM.provider not in sent_to(stored.resource), stored.type


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
