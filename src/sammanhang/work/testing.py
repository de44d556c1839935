"""What tests of work stand on: open services on a small region that may be changed, people, and tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest_asyncio

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.services import Services
from sammanhang.access.staff import assignments_of, name_of
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.settings import Settings

from . import tasks
from .deadlines import deadline
from .moving import MOVER
from .units import units_of

BASE = "http://127.0.0.1:8000"


@pytest_asyncio.fixture
async def services(own_town: str) -> AsyncIterator[Services]:
    """Open services on a small region of the module's own."""
    made = Services.make(Settings(base_url=BASE), own_town)
    await made.open()
    yield made
    await made.close()


async def somebody(services: Services, id: str, unit: str = "") -> Any:
    """A named member of staff in one of their assignments."""
    held = await assignments_of(services.database, id)
    chosen: Assignment = next(a for a in held if unit in a.unit_name)
    name = await name_of(services.database, f"Practitioner/{id}")
    return Actor("staff", f"Practitioner/{id}", name or id, 3, chosen)


async def make_task(
    services: Services, owner: str, *, kind: str = "otherwise", patient: str = "svea-andersson", priority: str = "routine",
    function: str = "samordnare", at: datetime | None = None, focus: str = "ServiceRequest/none",
    about: Reference | None = None,
) -> str:  # fmt: skip
    """A task at a unit; `patient` empty for one about none, or about a thing. Returns its id."""
    units = await units_of(services.database)
    unit, at = units.by_id[owner], at or clock.now()
    task: Any = tasks.new_task(
        kind, patient=patient, owner=owner, owner_name=unit.name, function=function,
        focus=Reference(reference=focus), deadline=deadline(kind, priority, at, unit.calendar), priority=priority,
        requester=Reference(display="Test"), at=at,
    )  # fmt: skip
    task.for_ = about or task.for_
    changes = Changes.by_system(services.doors, MOVER, patient, (unit.provider, unit.id))
    made = changes.create(task)
    await changes.commit("task-create")
    return (made.reference or "").removeprefix("Task/")


async def task_now(services: Services, id: str) -> Any:
    """The Task as it is stored."""
    from sammanhang.access.staff import resources

    return (await resources(services.database, "Task", {id}))[id]
