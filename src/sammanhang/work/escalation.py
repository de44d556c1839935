"""Deadlines: reminders, and the way up when nobody acts.

What is due is taken from the database in batches, each one transaction: the step, the trace and the event together
or nothing. A job killed in between has done nothing; another that runs beside it takes other tasks. After a stop of
the system the last step that is due is taken, once: those it passed are noted with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.audit import WriteTrace
from sammanhang.access.door import Doors, Stored
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.store.rows import Row
from sammanhang.store.types import NAME, NUMBER
from sammanhang.store.write import commit_on

from . import tasks
from .sql import SQL
from .units import Units, units_of

BATCH = 200
DEADLINES = Actor("system", "system:deadlines", "Sammanhang", everything=True)
BY_THE_SYSTEM = Reference(display="Sammanhang")


@dataclass
class Report:
    """What a run did: tasks taken a step up, and how many of them came to the last."""

    tasks: int = 0
    top: int = 0


async def escalate_due(doors: Doors, now: datetime | None = None, *, most: int = 100_000) -> Report:
    """Takes every task whose next step has come. Raises psycopg.Error; what was committed before stays."""
    report = Report()
    now = now or clock.now()
    units = await units_of(doors.database)
    while report.tasks < most and await _batch(doors, units, now, report):
        pass
    return report


async def _batch(doors: Doors, units: Units, now: datetime, report: Report) -> bool:
    """One transaction; whether there was anything to do."""
    database = doors.database
    async with database.writing() as connection:
        async with connection.transaction():
            cursor = connection.quick
            await cursor.execute(SQL["due"], (NUMBER["Task"], now, BATCH))
            found = await cursor.fetchall()
            rows: list[Row] = []
            entries = []
            top = 0
            for id, version, updated, provider, unit, body, patient in found:
                stored = Stored(NAME[NUMBER["Task"]], id, version, updated, provider, unit, body)
                changes = Changes.by_system(doors, DEADLINES, patient or "", ("", ""))
                task = trusted(body, "Task")
                top += step_up(task, units, now)
                changes.update(stored, task)
                rows += changes.rows
                entries.append(
                    doors.entry(DEADLINES, "task-escalate", patient=patient, what=f"Task/{id}", details={"level": tasks.level_of(task)})
                )  # fmt: skip
            if not rows:
                return False
            parties = [
                (await database.party(r.provider), await database.party(r.unit)) for r in rows
            ]
            trace = WriteTrace(*entries)
            await commit_on(connection, rows, parties, trace)
        trace.done(connection)
    report.tasks += len(rows)
    report.top += top
    return True


def step_up(task: Any, units: Units, now: datetime) -> bool:
    """Takes the last step of the way up that is due by `now`; whether it is the last there is.

    A step to a function that nobody at the unit holds stands all the same: the one after it follows in its time.
    """
    steps = tasks.steps_of(task)
    level = tasks.level_of(task)
    due = [s for s in steps[level:] if s.at <= now]
    if not due:
        return False
    names = content("routing/deadlines")["steps"]
    said = ", ".join(names.get(s.step, {"sv": s.step})["sv"] for s in due)
    reached = level + len(due)
    tasks.set_level(task, reached)
    verb = "remind" if due[-1].step == "reminder" else "escalate"
    tasks.set_act(task, verb, BY_THE_SYSTEM, now, said)
    return reached >= len(steps)
