"""Work about no patient: under the same rules, in the same trace, and no way to what is about one."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sammanhang.access.actor import Actor
from sammanhang.access.audit import WriteTrace
from sammanhang.access.door import RecordRefused, Stored
from sammanhang.access.services import Services
from sammanhang.access.staff import resources
from sammanhang.access.without_patient import open_without_patient
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.store.database import EVERYTHING
from sammanhang.store.rows import tombstone
from sammanhang.store.types import NUMBER
from sammanhang.store.write import commit
from sammanhang.work import commands, moving, tasks
from sammanhang.work.adrift import adrift
from sammanhang.work.errors import AlreadyTaken, NoSuchTask
from sammanhang.work.escalation import escalate_due
from sammanhang.work.story import story
from sammanhang.work.testing import make_task, somebody, task_now

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

CENTRUM = named("Hemsjukvård Centrum, Borås")
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id
DEVICE = Reference(reference="Device/kylskap-3", display="Kylskåp 3")


async def traced(services: Services, what: str) -> list[dict[str, Any]]:
    """What the trace has of a resource."""
    async with services.database.writing() as connection:
        cursor = await connection.execute("SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at")  # fmt: skip
        lines = [line for (block,) in await cursor.fetchall() for line in block.split("\n")]
    return [e for e in map(json.loads, lines) if e.get("what") == what]


async def stored(services: Services, id: str) -> Stored:
    """A Task as it lies in the store, past every wall."""
    async with services.database.reading(EVERYTHING) as connection:
        ((version, updated, provider, unit, body),) = await connection.fetch(
            "SELECT version, updated, provider, unit, body FROM store.other WHERE id = %s AND type = %s",
            (id, NUMBER["Task"]),
        )
    return Stored("Task", id, version, updated, provider, unit, body)


async def test_it_is_taken_shared_handed_over_and_done_and_each_is_in_the_trace(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM.id, patient="", about=DEVICE)
    amira = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    doors = services.doors
    await commands.take(doors, amira, id)
    with pytest.raises(AlreadyTaken, match="Amira Haddad"):
        await commands.take(doors, jonas, id)
    await commands.delegate(doors, amira, id, jonas.assignment.id, "Läs av termometern")
    await commands.hand_over(doors, amira, id, jonas.assignment.id, "Jag är ledig")
    await commands.complete(doors, jonas, id)
    task = await task_now(services, id)
    assert (task.status, task.meta.versionId) == ("completed", "5")
    found = await traced(services, f"Task/{id}")
    did = [e["action"] for e in found if e["action"].startswith("task-")]
    assert did == ["task-create", "task-take", "task-delegate", "task-hand-over", "task-complete"]
    opened = [e for e in found if e["action"] == "read"]
    assert len(opened) == 5 and all(e["rule"] == "R2" and e["unit"] == CENTRUM.id for e in opened)
    assert all("patient" not in e for e in found)
    async with services.database.reading(EVERYTHING) as connection:
        rows = await connection.fetch("SELECT body FROM store.other WHERE type = %s", (NUMBER["Task"],))  # fmt: skip
    parts = [t for (body,) in rows if (t := trusted(body, "Task")).partOf]
    (part,) = [p for p in parts if p.partOf[0].reference == f"Task/{id}"]
    assert part.for_.reference == "Device/kylskap-3"


async def test_of_ten_who_take_it_at_once_one_has_it(services: Services) -> None:
    id = await make_task(services, CENTRUM.id, patient="")
    people = [await somebody(services, p, "Centrum") for p in ("amira-haddad", "jonas-falk")] * 5
    ended = await asyncio.gather(
        *(commands.take(services.doors, p, id) for p in people), return_exceptions=True
    )
    lost = [e for e in ended if e is not None]
    assert lost and all(isinstance(e, AlreadyTaken) for e in lost), lost
    assert (await task_now(services, id)).meta.versionId == "2"


async def test_another_unit_and_who_may_open_no_record_do_not_reach_it(services: Services) -> None:
    id = await make_task(services, CENTRUM.id, patient="")
    elsewhere = await somebody(services, "amira-haddad", "Brämhult")
    with pytest.raises(NoSuchTask):
        await commands.take(services.doors, elsewhere, id)
    amira = await somebody(services, "amira-haddad", "Centrum")
    weak = Actor("staff", amira.id, amira.name, 2, amira.assignment)
    with pytest.raises(RecordRefused, match="level of assurance"):
        await commands.open_task(services.doors, weak, id)
    refused = [e for e in await traced(services, f"Task/{id}") if e["action"] == "refuse"]
    assert [e["rule"] for e in refused] == ["R1"]
    assert (await task_now(services, id)).meta.versionId == "1"


async def test_what_another_care_provider_sent_to_the_unit_is_its_work_too(
    services: Services,
) -> None:
    id = await make_task(services, CENTRUM.id, patient="")
    centre = named("Vårdcentralen Södra torget")
    there = await stored(services, id)
    changes = Changes.by_system(services.doors, moving.MOVER, "", ("", ""))
    changes.move(there, there.resource, (centre.provider, centre.id), [CENTRUM.provider])
    await changes.commit("send")
    await commands.take(services.doors, await somebody(services, "amira-haddad", "Centrum"), id)
    task = await task_now(services, id)
    assert task.status == "received" and {t.code for t in task.meta.tag} >= {centre.provider}


async def test_it_leads_to_nothing_that_is_or_was_about_a_patient(services: Services) -> None:
    id = await make_task(services, CENTRUM.id)  # about Svea
    amira = await somebody(services, "amira-haddad", "Centrum")
    await commands.hand_back(services.doors, amira, id)
    await commands.hand_over(services.doors, amira, id, "function:rehab", "Svea ska ha rullator")
    apart = await open_without_patient(services.doors, amira, f"Task/{id}")
    assert await apart.find("Task", id) is None
    there = await stored(services, id)
    changes = Changes.by_system(services.doors, moving.MOVER, "svea-andersson", ("", ""))
    task = there.resource
    task.for_ = task.note = None
    tasks.set_act(task, "move", Reference(display="Sammanhang"), clock.now(), "fel patient")
    changes.update(there, task)
    await changes.commit("task-move")
    found = await commands.open_task(services.doors, amira, id)
    assert [e.why for e in await story(found.record, found.stored)] == ["fel patient"]


async def test_a_patients_task_that_was_deleted_is_not_there(services: Services) -> None:
    id = await make_task(services, CENTRUM.id)
    entry = services.doors.entry(moving.MOVER, "delete", what=f"Task/{id}")
    await commit(services.database, [tombstone("Task", id, 1, datetime.now(UTC))], WriteTrace(entry))  # fmt: skip
    amira = await somebody(services, "amira-haddad", "Centrum")
    with pytest.raises(NoSuchTask):
        await commands.open_task(services.doors, amira, id)
    assert id not in await resources(services.database, "Task", {id})


async def test_when_nobody_acts_it_goes_up_and_is_adrift_at_the_top(services: Services) -> None:
    begun = clock.now() - timedelta(days=1)
    id = await make_task(services, CENTRUM.id, patient="", priority="stat", at=begun)
    moved = await make_task(services, BRAMHULT, patient="")
    await escalate_due(services.doors, begun + timedelta(minutes=24))
    assert tasks.level_of(await task_now(services, id)) == 1
    await escalate_due(services.doors)
    assert tasks.level_of(await task_now(services, id)) == 4
    assert {a.id: a.why for a in await adrift(services.database)}[id] == "top"
    assert all("patient" not in e for e in await traced(services, f"Task/{id}"))
    await moving.move_unit(services.doors, BRAMHULT, CENTRUM.id)
    assert tasks.owner_of(await task_now(services, moved)) == CENTRUM.id
    (move,) = [e for e in await traced(services, f"Task/{moved}") if e["action"] == "task-move"]
    assert "patient" not in move
