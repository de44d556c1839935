"""Work has an owner, a deadline and a way up; it is taken by one, handed on, and never lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.work import commands, moving, tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.errors import (
    AlreadyTaken,
    DoneElsewhere,
    NoSuchTask,
    ReasonMissing,
    TaskIsClosed,
)
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import make_task, somebody, task_now

CENTRUM = named("Hemsjukvård Centrum, Borås").id
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id


def act(task: Any) -> Any:
    return tasks.act_of(task)


def taker(task: Any) -> Any:
    return tasks.taken_by(task)


async def test_a_nurse_takes_a_task_and_her_colleague_is_told_who_has_it(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM)
    amira = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, amira, id)
    await commands.take(services.doors, amira, id)  # once more is nothing done
    with pytest.raises(AlreadyTaken, match="Amira Haddad"):
        await commands.take(services.doors, jonas, id)
    task = await task_now(services, id)
    assert task.meta.versionId == "2" and task.status == "received"
    assert act(task).by_text == "Amira Haddad, sjuksköterska"


async def test_of_ten_who_take_it_at_once_one_has_it(services: Services) -> None:
    id = await make_task(services, CENTRUM)
    people = [await somebody(services, p, "Centrum") for p in ("amira-haddad", "jonas-falk")] * 5
    ended = await asyncio.gather(
        *(commands.take(services.doors, p, id) for p in people), return_exceptions=True
    )
    holder = tasks.taken_by(task := await task_now(services, id))
    lost = [e for e in ended if e is not None]
    assert lost and all(isinstance(e, AlreadyTaken) for e in lost), lost
    assert task.meta.versionId == "2" and holder is not None


async def test_it_is_handed_over_handed_back_and_done_and_the_story_says_by_whom(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM)
    amira = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, amira, id)
    await commands.hand_over(
        services.doors, amira, id, jonas.assignment.id, "Du kan trappan bättre"
    )
    task = await task_now(services, id)
    assert taker(task).reference == f"PractitionerRole/{jonas.assignment.id}"
    assert task.note[0].text == "Du kan trappan bättre"
    await commands.hand_back(services.doors, jonas, id)
    assert tasks.taken_by(await task_now(services, id)) is None
    await commands.hand_over(services.doors, jonas, id, "function:rehab")
    assert tasks.function_of(await task_now(services, id)) == "rehab"
    await commands.complete(services.doors, jonas, id, "Klart i dag")
    assert (await task_now(services, id)).status == "completed"
    with pytest.raises(TaskIsClosed):
        await commands.take(services.doors, amira, id)


async def test_a_colleague_is_asked_to_do_a_part_and_the_owner_goes_on_answering_for_it(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM)
    amira = await somebody(services, "amira-haddad", "Centrum")
    eva = await somebody(services, "eva-holmgren")
    with pytest.raises(ReasonMissing):
        await commands.delegate(services.doors, amira, id, eva.assignment.id, " ")
    await commands.delegate(services.doors, amira, id, eva.assignment.id, "Väg Svea på måndag")
    record = await services.doors.open_record(amira, "svea-andersson")
    parts = [r.resource for r in await record.resources("Task") if r.resource.partOf]
    (part,) = [p for p in parts if p.partOf[0].reference == f"Task/{id}"]
    assert part.description == "Väg Svea på måndag"
    assert taker(part).display == "Eva Holmgren, undersköterska"
    assert (await task_now(services, id)).status == "requested"


async def test_another_units_task_cannot_be_taken_and_a_request_is_not_ticked_off(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM, kind="care-request")
    elsewhere = await somebody(services, "amira-haddad", "Brämhult")
    with pytest.raises(NoSuchTask):
        await commands.take(services.doors, elsewhere, id)
    amira = await somebody(services, "amira-haddad", "Centrum")
    with pytest.raises(DoneElsewhere):
        await commands.complete(services.doors, amira, id)
    with pytest.raises(ReasonMissing):
        await commands.cancel(services.doors, amira, id, "")


async def test_when_nobody_acts_it_goes_up_step_by_step_each_once(services: Services) -> None:
    begun = clock.now()
    id = await make_task(services, CENTRUM, priority="stat", at=begun)
    doors = services.doors
    assert tasks.deadline_of(await task_now(services, id)) == (
        begun + timedelta(minutes=30)
    ).replace(microsecond=0)
    seen = []
    for minutes in (10, 23, 24, 31, 32, 46, 61, 62, 300):
        await escalate_due(doors, begun + timedelta(minutes=minutes))
        task = await task_now(services, id)
        seen.append((tasks.level_of(task), task.meta.versionId))
    assert seen == [
        (0, "1"),
        (1, "2"),
        (1, "2"),
        (2, "3"),
        (2, "3"),
        (3, "4"),
        (4, "5"),
        (4, "5"),
        (4, "5"),
    ]
    assert act(await task_now(services, id)).reason == "Driftens lista"


async def test_after_a_stop_the_steps_that_were_missed_are_taken_as_one(services: Services) -> None:
    begun = clock.now() - timedelta(days=2)
    id = await make_task(services, CENTRUM, priority="stat", at=begun)
    await asyncio.gather(
        *(escalate_due(services.doors) for _ in range(4))
    )  # four jobs side by side
    task = await task_now(services, id)
    assert (tasks.level_of(task), task.meta.versionId) == (4, "2")
    assert act(task).reason == "Påminnelse, Kollegor på enheten, Enhetens ansvariga, Driftens lista"


async def test_what_nobody_can_be_counted_on_for_is_adrift_and_a_healthy_task_is_not(
    services: Services, own_town: str,
) -> None:  # fmt: skip
    healthy = await make_task(services, CENTRUM)
    nobody = await make_task(services, CENTRUM, function="elevhalsa")
    late = await make_task(services, CENTRUM, priority="stat", at=clock.now() - timedelta(days=1))
    await escalate_due(services.doors)
    found = {a.id: a.why for a in await adrift(services.database)}
    assert healthy not in found
    assert found[nobody] == "no-owner" and found[late] == "top"
    with psycopg.connect(own_town, autocommit=True, options="-c role=sammanhang_writer") as db:
        db.execute(
            "UPDATE work.task SET next_at = now() - interval '1 hour' WHERE id = %s", (healthy,)
        )
    assert {a.id: a.why for a in await adrift(services.database)}[healthy] == "not-escalated"


async def test_the_work_of_who_is_away_goes_to_the_substitute_once(services: Services) -> None:
    id = await make_task(services, CENTRUM)
    amira = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, amira, id)
    now = clock.now()
    await moving.note_absence(services.doors, amira, amira.assignment.id, now, now + timedelta(days=7), jonas.assignment.id)  # fmt: skip
    moved = await moving.move_for_absences(services.doors, now + timedelta(seconds=1))
    assert moved >= 1
    task = await task_now(services, id)
    assert taker(task).reference == f"PractitionerRole/{jonas.assignment.id}"
    assert "borta" in act(task).reason
    assert await moving.move_for_absences(services.doors, now + timedelta(seconds=2)) == 0
    with pytest.raises(moving.BadAbsence):
        await moving.note_absence(services.doors, amira, amira.assignment.id, now, now)


async def test_the_work_of_a_merged_unit_moves_with_it_and_none_is_left(services: Services) -> None:
    ids = [await make_task(services, BRAMHULT) for _ in range(5)]
    assert await moving.move_unit(services.doors, BRAMHULT, CENTRUM) >= 5
    for id in ids:
        task = await task_now(services, id)
        assert tasks.owner_of(task) == CENTRUM
        assert {t.code for t in task.meta.tag} >= {CENTRUM}
    assert await moving.move_unit(services.doors, BRAMHULT, CENTRUM) == 0
    with pytest.raises(moving.NoSuchUnit):
        await moving.move_unit(services.doors, CENTRUM, "SE-finns-inte")


async def test_a_task_of_another_system_with_a_date_as_deadline_is_work_too(
    services: Services, own_town: str
) -> None:
    from sammanhang.access.writing import Changes
    from sammanhang.fhir.r4 import Period, Reference, Task
    from sammanhang.fhir.r4.task import TaskRestriction

    changes = Changes.by_system(
        services.doors,
        moving.MOVER,
        "svea-andersson",
        (named("Hemsjukvård Centrum, Borås").provider, CENTRUM),
    )
    made = changes.create(
        Task(
            status="requested",
            intent="order",
            for_=Reference(reference="Patient/svea-andersson"),
            restriction=TaskRestriction(period=Period(end="2027-03")),
        )
    )
    await changes.commit("create")
    with psycopg.connect(own_town, options="-c role=sammanhang_writer") as db:
        row = db.execute(
            "SELECT owner, open, deadline FROM work.task WHERE id = %s",
            ((made.reference or "").removeprefix("Task/"),),
        ).fetchone()
    assert row == (CENTRUM, True, datetime(2027, 3, 31, 22, tzinfo=UTC))
