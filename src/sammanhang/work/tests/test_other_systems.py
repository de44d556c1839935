"""Tasks that another system has written: work like any other, and none of them holds up the rest."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import CodeableConcept, Coding, Extension, Period, Reference, Task
from sammanhang.fhir.r4.task import TaskRestriction
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.work import commands, moving, tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import make_task, somebody, task_now

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

CENTRUM = named("Hemsjukvård Centrum, Borås").id
PROVIDER = named("Hemsjukvård Centrum, Borås").provider
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id
SAMORDNARE = CodeableConcept(coding=[Coding(system=tasks.FUNCTION, code="samordnare")])


async def foreign(services: Services, *, unit: str = CENTRUM, **more: Any) -> str:
    """The least Task another system may write for a unit; returns its id."""
    changes = Changes.by_system(services.doors, moving.MOVER, "svea-andersson", (PROVIDER, unit))
    patient = Reference(reference="Patient/svea-andersson")
    made = changes.create(Task(status="requested", intent="order", for_=patient, **more))
    await changes.commit("create")
    return (made.reference or "").removeprefix("Task/")


def step(at: Any, name: str | None = "reminder") -> Extension:
    parts = [Extension(url="at", valueDateTime=tasks.instant(at))]
    if name:
        parts.insert(0, Extension(url="step", valueCode=name))
    return Extension(url=tasks.WAY_UP, extension=parts)


def projected(dsn: str, id: str, *columns: str) -> Any:
    with psycopg.connect(dsn, options="-c role=sammanhang_writer") as db:
        return db.execute(
            f"SELECT {', '.join(columns)} FROM work.task WHERE id = %s", (id,)
        ).fetchone()


async def test_a_person_who_owns_a_task_and_goes_away_gives_it_back_to_the_unit_once(
    services: Services, own_town: str
) -> None:
    amira = await somebody(services, "amira-haddad", "Centrum")
    owner = Reference(reference=f"PractitionerRole/{amira.assignment.id}")
    id = await foreign(services, owner=owner)
    assert projected(own_town, id, "owner", "taken_by") == (CENTRUM, amira.assignment.id)
    assert tasks.owner_of(await task_now(services, id)) == CENTRUM
    now = clock.now()
    await moving.note_absence(services.doors, amira, amira.assignment.id, now, now + timedelta(1))
    await asyncio.wait_for(moving.move_for_absences(services.doors, now + timedelta(seconds=1)), 20)
    task = await task_now(services, id)
    assert task.meta.versionId == "2"
    assert task.owner.reference == f"Organization/{CENTRUM}" and tasks.taken_by(task) is None
    assert projected(own_town, id, "owner", "taken_by") == (CENTRUM, "")


async def test_a_task_without_a_function_moves_with_its_unit(services: Services) -> None:
    id = await foreign(services, unit=BRAMHULT)
    assert await moving.move_unit(services.doors, BRAMHULT, CENTRUM) == 1
    assert tasks.owner_of(await task_now(services, id)) == CENTRUM


@pytest.mark.parametrize(("level", "shown"), [(100_000, 32767), (-1, 0)])
async def test_a_level_that_no_way_up_has_is_stored_and_stops_nothing(
    services: Services, own_town: str, level: int, shown: int
) -> None:
    later = clock.now() + timedelta(hours=1)
    id = await foreign(services, extension=[step(later), Extension(url=tasks.LEVEL, valueInteger=level)])  # fmt: skip
    assert projected(own_town, id, "level", "next_at IS NULL") == (shown, level > 0)
    await escalate_due(services.doors, later)
    assert tasks.level_of(await task_now(services, id)) == (level if level > 0 else 1)


async def test_a_way_up_without_steps_is_none_and_the_overdue_task_is_adrift(
    services: Services, own_town: str
) -> None:
    past = clock.now() - timedelta(days=30)
    until = TaskRestriction(period=Period(end=tasks.instant(past)))
    nameless = await foreign(services, restriction=until, extension=[step(past, None)], owner=Reference(reference=f"Organization/{CENTRUM}"), performerType=[SAMORDNARE])  # fmt: skip
    healthy = await make_task(services, CENTRUM, priority="stat", at=past)
    await asyncio.wait_for(escalate_due(services.doors), 20)
    assert (await task_now(services, nameless)).meta.versionId == "1"
    assert tasks.level_of(await task_now(services, healthy)) == 4
    assert {a.id: a.why for a in await adrift(services.database)}[nameless] == "top"


async def test_steps_out_of_order_are_each_taken_once(services: Services) -> None:
    start = clock.now() - timedelta(hours=10)
    at = [start + timedelta(hours=h) for h in (1, 8, 3)]
    id = await foreign(services, extension=[step(a, n) for a, n in zip(at, ("reminder", "head", "operations"), strict=True)])  # fmt: skip
    taken = []
    for hours in (4, 7, 9, 9):
        await escalate_due(services.doors, start + timedelta(hours=hours))
        task = await task_now(services, id)
        taken.append((tasks.level_of(task), tasks.act_of(task).reason))  # type: ignore[union-attr]
    both = (3, "Enhetens ansvariga, Driftens lista")
    assert taken == [(1, "Påminnelse"), (1, "Påminnelse"), both, both]


async def test_one_that_cannot_be_read_holds_up_no_other_and_is_adrift(
    services: Services, own_town: str
) -> None:
    past = clock.now() - timedelta(days=30)
    bad = await make_task(services, CENTRUM, priority="stat", at=past)
    good = await make_task(services, CENTRUM, priority="stat", at=past + timedelta(minutes=1))
    with psycopg.connect(own_town, autocommit=True, options="-c role=sammanhang_writer") as db:
        db.execute(
            "UPDATE store.other SET body = replace(convert_from(body, 'UTF8'), '\"intent\":\"order\",', '')::bytea"
            " WHERE id = %s", (bad,)
        )  # fmt: skip
    await asyncio.wait_for(escalate_due(services.doors), 20)
    assert tasks.level_of(await task_now(services, good)) == 4
    assert {a.id: a.why for a in await adrift(services.database)}[bad] in ("not-escalated", "top")
    assert projected(own_town, bad, "level") == (0,)


async def test_a_task_about_nothing_and_with_no_owner_can_be_handed_over_and_shared(
    services: Services,
) -> None:
    id = await foreign(services)
    amira = await somebody(services, "amira-haddad", "Centrum")
    eva = await somebody(services, "eva-holmgren")
    await commands.delegate(services.doors, amira, id, eva.assignment.id, "Ring först")
    await commands.hand_over(services.doors, amira, id, "function:rehab")
    task = await task_now(services, id)
    assert tasks.function_of(task) == "rehab"
    assert task.owner.display == "Hemsjukvård Centrum, Borås"


async def test_the_work_of_a_system_whose_clock_is_ahead_is_taken_all_the_same(
    services: Services,
) -> None:
    ahead = tasks.instant(clock.now() + timedelta(minutes=5))
    id = await foreign(services, authoredOn=ahead, lastModified=ahead)
    await commands.take(services.doors, await somebody(services, "amira-haddad", "Centrum"), id)
    task = await task_now(services, id)
    assert task.status == "received" and task.lastModified == ahead


async def test_work_is_not_given_to_a_substitute_who_is_away_too(services: Services) -> None:
    id = await make_task(services, CENTRUM)
    amira = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, amira, id)
    now = clock.now()
    for who, instead in ((amira, jonas), (jonas, amira)):
        await moving.note_absence(services.doors, who, who.assignment.id, now, now + timedelta(1), instead.assignment.id)  # fmt: skip
    await moving.move_for_absences(services.doors, now + timedelta(seconds=1))
    task = await task_now(services, id)
    assert (tasks.taken_by(task), task.meta.versionId) == (None, "3")


async def test_eight_jobs_at_once_take_each_step_of_a_thousand_tasks_once(
    services: Services, own_town: str
) -> None:
    past = clock.now() - timedelta(days=30)
    ids = [await make_task(services, CENTRUM, priority="stat", at=past + timedelta(seconds=n)) for n in range(1000)]  # fmt: skip
    for minutes in (30, 60, 90, 120):
        now = past + timedelta(minutes=minutes)
        await asyncio.gather(*(escalate_due(services.doors, now, lanes=2) for _ in range(4)))
    with psycopg.connect(own_town, options="-c role=sammanhang_writer") as db:
        found = db.execute(
            "SELECT h.body FROM store.history h WHERE h.id = ANY(%(ids)s) UNION ALL"
            " SELECT o.body FROM store.other o WHERE o.id = ANY(%(ids)s)", {"ids": ids}
        ).fetchall()  # fmt: skip
    from sammanhang.fhir.decode import trusted

    levels: dict[str, list[int]] = {}
    for (body,) in found:
        task = trusted(body, "Task")
        levels.setdefault(task.id, []).append(tasks.level_of(task))
    for of in levels.values():
        assert sorted(set(of)) == sorted(of) and max(of) == 4, of
