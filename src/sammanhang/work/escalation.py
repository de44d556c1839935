"""Deadlines: reminders, and the way up when nobody acts.

What is due is taken from the database in batches, each one transaction: the step, the trace and the event together
or nothing. A job killed in between has done nothing; another that runs beside it takes other tasks. After a stop of
the system the last step that is due is taken, once: those it passed are noted with it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.audit import WriteTrace
from sammanhang.access.door import Doors, Stored
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.r4 import Reference
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import SammanhangError
from sammanhang.store.group import chain_of
from sammanhang.store.rows import Row
from sammanhang.store.trace import Entry
from sammanhang.store.types import NUMBER
from sammanhang.store.write import commit_on

from . import tasks
from .sql import SQL

BATCH = 200
LANES = 2  # transactions at once in a process: the database stores one while the next is worked out
DEADLINES = Actor("system", "system:deadlines", "Sammanhang", everything=True)
BY_THE_SYSTEM = Reference(display="Sammanhang")
log = logging.getLogger("sammanhang.work")
_said: set[str] = set()


@dataclass
class Report:
    """What a run did: tasks taken a step up, and how many of them came to the last.

    `passed` are ids of tasks that were found due and not taken further: another job was quicker, or they
    cannot be read. A run looks at each once; what stays due is adrift, as not escalated.
    """

    tasks: int = 0
    top: int = 0
    passed: set[str] = field(default_factory=set, repr=False)


async def escalate_due(
    doors: Doors, now: datetime | None = None, *, most: int = 100_000, lanes: int = LANES
) -> Report:
    """Takes every task whose next step has come. Raises psycopg.Error; what was committed before stays."""
    report = Report()
    now = now or clock.now()

    async def lane() -> None:
        while report.tasks < most and await _batch(doors, now, report):
            pass

    # every lane comes to its end, so that none goes on behind the caller's back
    for ended in await asyncio.gather(*(lane() for _ in range(lanes)), return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
    return report


async def _batch(doors: Doors, now: datetime, report: Report) -> bool:
    """One transaction; whether there was anything to look at."""
    top = 0
    rows: list[Row] = []
    entries: list[Entry] = []
    async with doors.database.writing() as connection:
        await chain_of(
            connection
        )  # not in the transaction: a chain that is undone with it would be none
        async with connection.transaction():
            cursor = connection.quick
            await cursor.execute(SQL["due"], (NUMBER["Task"], now, sorted(report.passed), BATCH))
            found = await cursor.fetchall()
            for id, version, updated, provider, unit, body, patient in found:
                stored = Stored("Task", id, version, updated, provider, unit, body)
                changes = Changes.by_system(doors, DEADLINES, patient or "", ("", ""))
                # The row is locked and new, what led to it may be older: another job may have been here since.
                try:
                    task = trusted(body, "Task")
                    if task.status not in tasks.OPEN or not step_up(task, now):
                        report.passed.add(id)
                        continue
                    changes.update(stored, task)
                except (
                    SammanhangError,
                    ValueError,
                ) as e:  # one that cannot be read holds up no other
                    report.passed.add(id)
                    _say(id, e)
                    continue
                rows += changes.rows
                top += at_top(task)
                entries.append(
                    doors.entry(DEADLINES, "task-escalate", patient=patient, what=f"Task/{id}", details={"level": tasks.level_of(task)})
                )  # fmt: skip
            if not rows:
                return bool(found)
            parties = [(await doors.database.party(r.provider), await doors.database.party(r.unit)) for r in rows]  # fmt: skip
            trace = WriteTrace(*entries)
            await commit_on(connection, rows, parties, trace)
        trace.done(connection)
    report.tasks += len(rows)
    report.top += top
    return True


def step_up(task: Any, now: datetime) -> int:
    """Takes the last step of the way up that is due by `now`; how many steps that were.

    A step to a function that nobody at the unit holds stands all the same: the one after it follows in its time.
    """
    level = tasks.level_of(task)
    due = list(takewhile(lambda s: s.at <= now, tasks.steps_of(task)[level:]))
    if not due:
        return 0
    names = content("routing/deadlines")["steps"]
    said = ", ".join(names.get(s.step, {"sv": s.step})["sv"] for s in due)
    tasks.set_level(task, level + len(due))
    tasks.add_ups(task, due, now)
    verb = "remind" if due[-1].step == "reminder" else "escalate"
    tasks.set_act(task, verb, BY_THE_SYSTEM, now, said)
    return len(due)


def at_top(task: Any) -> bool:
    """Whether no step up is left."""
    return tasks.level_of(task) >= len(tasks.steps_of(task))


def _say(id: str, why: Exception) -> None:
    """Tells once of a task that cannot be taken further."""
    if id not in _said:
        _said.add(id)
        log.error("Task/%s cannot be taken a step up: %s", id, type(why).__name__)
