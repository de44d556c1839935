"""The story of a task: each thing done with it, by whom, when and why, as its versions tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.access.without_patient import Opened
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.store.types import NUMBER

from . import tasks
from .sql import SQL

MOST = 200


@dataclass(frozen=True, slots=True)
class Event:
    """One thing done: a key of `states.VERBS`, `create`, or `update` for what another system wrote."""

    verb: str
    by: str
    at: str
    why: str = ""


async def story(record: Opened, stored: Stored) -> list[Event]:
    """What has been done with a task, the latest first; one query. What the wall hides is left out."""
    where, args = record.wall("r", tokens=False)
    values = (self_hash("Task", stored.id), NUMBER["Task"], stored.id, *args, MOST)
    database = record.doors.database
    async with database.reading(record.scope) as connection:
        database.queries += 1
        rows = await connection.fetch(SQL["versions"].format(wall=where), values)
    earlier = [trusted(body, "Task") for _, _, body in rows]
    return told([*earlier, stored.resource])[::-1]


def told(versions: list[Any]) -> list[Event]:
    """The events that a series of versions tells, in order."""
    events: list[Event] = []
    before: tasks.Act | None = None
    for n, task in enumerate(versions):
        act = tasks.act_of(task)
        at = (
            task.lastModified
            or task.authoredOn
            or (task.meta.lastUpdated if task.meta else "")
            or ""
        )
        if act is not None and act != before:
            events.append(Event(act.verb, act.by_text, act.at, act.reason))
        elif n == 0:
            by = (task.requester.display or "") if task.requester is not None else ""
            events.append(Event("create", by, task.authoredOn or at))
        else:
            events.append(Event("update", "", at))
        before = act
    return events
