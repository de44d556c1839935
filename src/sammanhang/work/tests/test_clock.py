"""Deadlines keep to the clock: over the nights it is moved, over Christmas, over a stop, over a change of the rules."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sammanhang.access.services import Services
from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content, instead
from sammanhang.region.organisations import named
from sammanhang.work import tasks
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import make_task, task_now
from sammanhang.work.units import units_of

CENTRUM = named("Hemsjukvård Centrum, Borås").id


def local(*at: int) -> datetime:
    """A moment on the clock on the wall."""
    return datetime(*at, tzinfo=STOCKHOLM).astimezone(UTC)  # type: ignore[misc,arg-type]


async def health_centre(services: Services) -> str:
    """A unit that works office hours."""
    found = (await units_of(services.database)).by_id.values()
    return next(u.id for u in found if u.kind == "health-centre" and u.active)


async def taken_at(services: Services, id: str, expected: list[datetime]) -> list[int]:
    """The level a second before each moment, and at it."""
    levels = []
    for at in expected:
        for now in (at - timedelta(seconds=1), at):
            await escalate_due(services.doors, now)
            levels.append(tasks.level_of(await task_now(services, id)))
    return levels


ONE_BY_ONE = [0, 1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("made", "deadline"),
    [
        # in spring the hour from two to three is not there, in autumn it is there twice: four hours are four hours
        (local(2027, 3, 28, 0, 30), local(2027, 3, 28, 5, 30)),
        (local(2027, 10, 31, 0, 30), local(2027, 10, 31, 3, 30)),
    ],
)
async def test_four_hours_are_four_hours_on_the_night_the_clock_is_moved(
    services: Services, made: datetime, deadline: datetime
) -> None:
    id = await make_task(services, CENTRUM, priority="asap", at=made)
    assert tasks.deadline_of(await task_now(services, id)) == deadline
    hours = [made + timedelta(hours=h) for h in (3, 4, 6, 8)]
    assert await taken_at(services, id, hours) == ONE_BY_ONE


async def test_what_comes_in_before_christmas_eve_is_due_when_somebody_is_back(
    services: Services,
) -> None:
    made = local(2026, 12, 23, 15)
    id = await make_task(services, await health_centre(services), priority="urgent", at=made)
    assert tasks.deadline_of(await task_now(services, id)) == local(2026, 12, 28, 17)
    await escalate_due(services.doors, local(2026, 12, 27, 12))
    assert (await task_now(services, id)).meta.versionId == "1"  # nobody is told on a free day
    expected = [
        local(2026, 12, 28, 14, 15),  # three quarters of eleven working hours
        local(2026, 12, 28, 17),
        local(2026, 12, 29, 12),
        local(2026, 12, 29, 17),
    ]
    assert await taken_at(services, id, expected) == ONE_BY_ONE


async def test_a_server_that_stood_still_over_two_steps_takes_them_once_and_then_goes_on(
    services: Services,
) -> None:
    made = local(2027, 2, 1, 10)
    id = await make_task(services, CENTRUM, priority="stat", at=made)
    seen: list[Any] = []
    for minutes in (23, 50, 51, 61, 62):
        await escalate_due(services.doors, made + timedelta(minutes=minutes))
        task = await task_now(services, id)
        act = tasks.act_of(task)
        assert act is not None
        seen.append((tasks.level_of(task), task.meta.versionId, act.reason))
    stood = (3, "3", "Kollegor på enheten, Enhetens ansvariga")
    assert seen == [(1, "2", "Påminnelse"), stood, stood, *[(4, "4", "Driftens lista")] * 2]


async def test_a_change_of_the_rules_does_not_change_what_was_promised(services: Services) -> None:
    made = local(2027, 2, 2, 10)
    id = await make_task(services, CENTRUM, priority="stat", at=made)
    rules = copy.deepcopy(dict(content("routing/deadlines")))
    rules["kinds"]["otherwise"]["within"]["stat"] = {"minutes": 5}
    rules["way_up"] = [{"step": "operations", "function": "", "after": {"minutes": 0}}]
    with instead({"routing/deadlines": rules}):
        new = await make_task(services, CENTRUM, priority="stat", at=made)
        expected = [made + timedelta(minutes=m) for m in (22.5, 30, 45, 60)]
        assert await taken_at(services, id, expected) == ONE_BY_ONE
        task = await task_now(services, new)
        assert (tasks.level_of(task), task.meta.versionId) == (1, "2")
        assert tasks.deadline_of(task) == made + timedelta(minutes=5)
