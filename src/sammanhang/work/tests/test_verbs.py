"""Any sequence of verbs, against a model of the table of states."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sammanhang.access.clients import demo_client
from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.kernel.errors import SammanhangError, Unavailable
from sammanhang.region.organisations import named
from sammanhang.web.app import create_app
from sammanhang.work import commands, moving, tasks
from sammanhang.work.errors import AlreadyTaken, ReasonMissing, TaskIsClosed
from sammanhang.work.escalation import escalate_due
from sammanhang.work.states import VERBS
from sammanhang.work.testing import make_task, somebody, task_now

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

CENTRUM = named("Hemsjukvård Centrum, Borås").id
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id
PEOPLE = ("amira-haddad", "jonas-falk")
SECONDS = float(os.environ.get("WORK_DEADLOCK_SECONDS", "8"))


@dataclass
class Model:
    """A task as the table says it is."""

    state: str = "requested"
    taker: int | None = None
    function: str = "samordnare"
    level: int = 0
    version: int = 1
    parts: int = 0

    def does(self, verb: str, who: int, text: str) -> type[Exception] | None:
        """What a verb does; the error it ends in."""
        rule = VERBS[verb]
        if (rule.reason or verb == "delegate") and not text.strip():
            return ReasonMissing
        if self.state not in rule.before:
            return TaskIsClosed
        if verb == "take":
            if self.taker not in (None, who):
                return AlreadyTaken
            if self.taker == who:
                return None
            self.taker = who
            self.state = "received" if self.state == "requested" else self.state
        elif verb == "hand-back":
            if self.taker is None:
                return None
            self.taker = None
        elif verb == "hand-over":
            self.taker = 1 - who
        elif verb == "delegate":
            self.parts += 1
        self.state = rule.after or self.state
        self.version += 1
        return None

    def goes_up(self, minutes: int) -> None:
        level = sum(minutes >= m for m in (22.5, 30, 45, 60))
        if level > self.level and self.state in VERBS["escalate"].before:
            self.level, self.version = level, self.version + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(("take", "hand-back", "hand-over", "delegate", "complete", "cancel")),
            st.integers(0, 1), st.sampled_from(("", " ", "Därför att")),
        ),
        st.tuples(st.just("time"), st.integers(5, 30), st.just("")),
    ), min_size=1, max_size=12,
)  # fmt: skip


@given(steps=STEPS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_done_in_whatever_order_the_table_holds(
    services: Services, steps: list[tuple[str, int, str]]
) -> None:
    begun = clock.now()
    doors, model, minutes = services.doors, Model(), 0
    people = [await somebody(services, p, "Centrum") for p in PEOPLE]
    id = await make_task(services, CENTRUM, priority="stat", at=begun)
    for verb, who, text in steps:
        if verb == "time":
            minutes += who
            model.goes_up(minutes)
            await escalate_due(doors, begun + timedelta(minutes=minutes))
        else:
            expected = model.does(verb, who, text)
            error = await _ending(_verb(doors, verb, people[who], people[1 - who], id, text))
            assert type(error) is (expected or type(None)), (verb, error)
        task = await task_now(services, id)
        taker = tasks.taken_by(task)
        by = next((n for n, p in enumerate(people) if taker is not None and taker.reference == f"PractitionerRole/{p.assignment.id}"), None)  # fmt: skip
        assert (task.status, by, tasks.level_of(task), int(task.meta.versionId)) == (model.state, model.taker, model.level, model.version)  # fmt: skip
    record = await doors.open_record(people[0], "svea-andersson")
    parts = [r for r in await record.resources("Task") if r.resource.partOf and r.resource.partOf[0].reference == f"Task/{id}"]  # fmt: skip
    assert len(parts) == model.parts


def _verb(doors: Any, verb: str, me: Any, other: Any, id: str, text: str) -> Any:
    if verb == "take":
        return commands.take(doors, me, id)
    if verb in ("hand-over", "delegate"):
        does: Any = commands.hand_over if verb == "hand-over" else commands.delegate
        return does(doors, me, id, other.assignment.id, text)
    does = {"hand-back": commands.hand_back, "complete": commands.complete, "cancel": commands.cancel}[verb]  # fmt: skip
    return does(doors, me, id, text)


async def _ending(doing: Any) -> SammanhangError | None:
    try:
        await doing
    except Unavailable:
        raise
    except SammanhangError as e:
        return e
    return None


@pytest.mark.slow
@pytest.mark.alone
async def test_eight_who_pull_at_the_same_tasks_never_wait_for_each_other_in_a_ring(
    services: Services, own_town: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No deadlock reaches anybody, the API never answers 5xx, and what is not a conflict is done."""
    begun, seen = clock.now(), Counter[str]()
    people = [await somebody(services, p, "Centrum") for p in PEOPLE]
    ids = [await make_task(services, CENTRUM, priority="stat", at=begun) for _ in range(24)]
    until = time.monotonic() + SECONDS
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        answer = await http.post(
            "/oauth/token", auth=demo_client(own_town, demo=True),
            data={"grant_type": "client_credentials"},
        )  # fmt: skip
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

        async def bundle(dice: random.Random) -> None:
            """Several of the tasks in one transaction, in any order."""
            entries = []
            for id in dice.sample(ids, 6):
                task = (await http.get(f"/fhir/Task/{id}")).json()
                task["note"] = [{"text": str(dice.random())}]
                request = {"method": "PUT", "url": f"Task/{id}"}
                if dice.random() < 0.5:
                    request["ifMatch"] = f'W/"{task["meta"]["versionId"]}"'
                entries.append({"resource": task, "request": request})
            body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await http.post("/fhir/", json=body)
            assert answer.status_code < 500, answer.text
            seen[f"bundle {answer.status_code}"] += 1

        async def worker(n: int) -> None:
            dice = random.Random(n)
            while time.monotonic() < until:
                what = dice.choice(("take", "take", "hand-back", "hand-over", "delegate", "complete", "time", "move", "away", "bundle"))  # fmt: skip
                id, me, other = dice.choice(ids), *dice.sample(people, 2)
                now = begun + timedelta(minutes=60 * (1 - (until - time.monotonic()) / SECONDS))
                if what == "bundle":
                    await bundle(dice)
                elif what == "time":
                    seen["steps"] += (await escalate_due(services.doors, now)).tasks
                elif what == "move":
                    pair = dice.choice(((CENTRUM, BRAMHULT), (BRAMHULT, CENTRUM), (BRAMHULT, CENTRUM)))  # fmt: skip
                    seen["moved"] += await moving.move_unit(services.doors, *pair)
                elif what == "away":
                    at = clock.now()
                    await moving.note_absence(services.doors, me, me.assignment.id, at, at + timedelta(seconds=0.2), other.assignment.id)  # fmt: skip
                    seen["moved"] += await moving.move_for_absences(services.doors)
                else:
                    error = await _ending(_verb(services.doors, what, me, other, id, "Därför"))
                    seen[f"{what} {type(error).__name__ if error else 'done'}"] += 1
                    if what == "complete" and error is None:
                        ids[ids.index(id)] = await make_task(services, CENTRUM, priority="stat", at=now)  # fmt: skip

        await asyncio.gather(*(worker(n) for n in range(8)))
    with capsys.disabled():
        print("\n" + ", ".join(f"{k} {n}" for k, n in sorted(seen.items())))
    with psycopg.connect(own_town) as db:
        row = db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()  # fmt: skip
    assert row == (0,)
    assert seen["take done"] and seen["complete done"] and seen["steps"] and seen["bundle 200"]
