"""Those who work with tasks, each a process of its own that may be killed at any moment.

    python -m tests.faults.work_program people  DSN NUMBER FOLDER      creates, takes, hands over, asks, completes
    python -m tests.faults.work_program system  DSN NUMBER FOLDER URL  another system: PUT Task over the API
    python -m tests.faults.work_program jobs    DSN NUMBER FOLDER      takes what is due a step up
    python -m tests.faults.work_program mover   DSN NUMBER FOLDER      absences, and a unit that is merged away

Time passes faster for the deadlines: `CLOCK` in the environment says since when and how much, so that a task made
during the test goes all its way up. What a writer does not know the end of, it settles by looking.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from uuid_utils import uuid7

from sammanhang.access.clients import demo_client
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import encode, trusted
from sammanhang.fhir.r4 import Coding, Meta, Reference
from sammanhang.kernel.errors import SammanhangError, Unavailable
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.kernel.settings import Settings
from sammanhang.region.organisations import named
from sammanhang.work import commands, moving, tasks
from sammanhang.work.deadlines import deadline
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import somebody
from sammanhang.work.units import Unit, units_of

from .work_ledger import TASK, Notes

CENTRUM = named("Hemsjukvård Centrum, Borås").id
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id
PATIENTS = ("svea-andersson", "greta-lund")
T = TypeVar("T")
UNKNOWN = (Unavailable, psycopg.Error, httpx.TransportError, OSError)


def fast_now() -> datetime:
    """The moment as the deadlines have it."""
    since, times = map(float, os.environ.get("CLOCK", "0 1").split())
    real = time.time() + float(os.environ.get("AHEAD", "0"))
    return datetime.fromtimestamp(since + (real - since) * times if since else real, UTC)


def task_of(unit: Unit, random: random.Random, at: datetime, mark: str) -> Any:
    """A task at a unit, with its owner's tags."""
    kind, priority = random.choice(("otherwise", "message", "read")), random.choice(("stat", "asap"))  # fmt: skip
    task = tasks.new_task(
        kind, patient="svea-andersson", owner=unit.id, owner_name=unit.name, function="samordnare",
        focus=Reference(reference="ServiceRequest/none"), deadline=deadline(kind, priority, at, unit.calendar),
        priority=priority, requester=Reference(display="Test"), at=at, description=mark,
    )  # fmt: skip
    task.meta = Meta(tag=[Coding(system=PROVIDER, code=unit.provider), Coding(system=UNIT, code=unit.id)])  # fmt: skip
    return task


class People:
    """A member of staff who does one thing after the other and notes what came of it."""

    def __init__(self, services: Services, number: int, notes: Notes) -> None:
        self.services, self.notes = services, notes
        self.random = random.Random(number * 1000 + time.time_ns())
        self.prefix = f"p{number}-{os.getpid()}-{time.time_ns()}"
        self.count = 0
        self.units: dict[str, Unit] = {}
        self.who: list[Any] = []

    async def ready(self) -> None:
        self.units = (await units_of(self.services.database)).by_id
        self.who = [await somebody(self.services, p, "Centrum") for p in ("amira-haddad", "jonas-falk")]  # fmt: skip

    async def one(self) -> None:
        """One thing, settled before it returns."""
        self.count += 1
        mark = f"{self.prefix}-{self.count}"
        do = self.random.choices(
            ("create", "take", "hand-over", "delegate", "complete"), (5, 4, 2, 1, 2)
        )[0]
        id = str(uuid7()) if do == "create" else await self.some()
        if id is None:
            return
        me, other = self.random.sample(self.who, 2)
        doors = self.services.doors
        verbs: dict[str, Callable[[], Awaitable[Any]]] = {
            "create": lambda: self.create(id, mark),
            "take": lambda: commands.take(doors, me, id),
            "hand-over": lambda: commands.hand_over(doors, me, id, other.assignment.id, mark),
            "delegate": lambda: commands.delegate(doors, me, id, other.assignment.id, mark),
            "complete": lambda: commands.complete(doors, me, id, mark),
        }
        by = me.assignment.id
        self.notes.write("asked", do, id, mark, by=by)
        try:
            await verbs[do]()
        except UNKNOWN as e:
            said = await self.settle(do, id, mark, by)
            self.notes.write(said, do, id, mark, by=by, why=f"{type(e).__name__} {e}")
        except SammanhangError as e:
            self.notes.write("no", do, id, mark, by=by, why=type(e).__name__)
        else:
            self.notes.write("yes", do, id, mark, by=by)

    async def create(self, id: str, mark: str) -> None:
        unit = self.units[self.random.choice((CENTRUM, CENTRUM, BRAMHULT))]
        made = task_of(unit, self.random, fast_now(), mark)
        changes = Changes.by_system(self.services.doors, moving.MOVER, "svea-andersson", (unit.provider, unit.id))  # fmt: skip
        changes.create(made, id=id)
        await changes.commit("task-create")

    async def some(self) -> str | None:
        """Any open task of the unit, which others look at too."""
        somewhere = self.random.randrange(-(2**63), 2**63)
        query = "SELECT id FROM work.task WHERE owner = %s AND open AND self >= %s ORDER BY self LIMIT 1"
        found = await self.asked(query, CENTRUM, somewhere) or await self.asked(query, CENTRUM, -(2**63))  # fmt: skip
        return found[0][0] if found else None

    async def asked(self, query: str, *values: Any) -> list[Any]:
        """Rows, however long the database is away."""
        while True:
            try:
                async with self.services.database.writing() as connection:
                    return await (await connection.execute(query, values)).fetchall()
            except UNKNOWN:
                await asyncio.sleep(0.1)

    async def settle(self, do: str, id: str, mark: str, by: str) -> str:
        """Whether it was done, by looking once the database is back."""
        bodies = await self.asked(
            f"SELECT body FROM store.other WHERE type = {TASK} AND id = %s UNION ALL"
            f" SELECT body FROM store.history WHERE type = {TASK} AND id = %s", id, id
        )  # fmt: skip
        versions = [trusted(b, "Task") for (b,) in bodies]
        if do == "create":
            done = bool(versions)
        elif do == "take":
            done = any((a := tasks.act_of(t)) and a.verb == "take" and a.by.endswith(by) for t in versions)  # fmt: skip
        else:
            done = any(n.text == mark for t in versions for n in t.note or ())
        return "there" if done else "not there"


class OtherSystem:
    """A system that writes Tasks over the API: creates by PUT, adds a note, or completes."""

    def __init__(
        self, url: str, client: tuple[str, str], unit: Unit, number: int, notes: Notes
    ) -> None:
        self.http = httpx.Client(base_url=url, timeout=8)
        self.client, self.unit, self.notes = client, unit, notes
        self.random = random.Random(number)
        self.prefix = f"s{number}-{os.getpid()}-{time.time_ns()}"
        self.count = 0
        self.mine: list[str] = []

    def log_in(self) -> None:
        answer = self.patient("POST", "/oauth/token", data={"grant_type": "client_credentials"}, auth=self.client)  # fmt: skip
        self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    def patient(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An answer, however long the server is away."""
        while True:
            try:
                answer = self.http.request(method, path, **more)
                if answer.status_code < 500:
                    return answer
            except httpx.TransportError:
                pass
            time.sleep(0.1)

    def one(self) -> None:
        """One thing, settled before it returns."""
        self.count += 1
        mark = f"{self.prefix}-{self.count}"
        if self.random.random() < 0.5 or not self.mine:
            do, id, headers = "create", str(uuid7()), {}
            body = json.loads(encode(task_of(self.unit, self.random, fast_now(), mark)))
        else:
            do, id = self.random.choice(("note", "note", "complete")), self.random.choice(self.mine)
            now = self.patient("GET", f"/fhir/Task/{id}")
            headers = {"if-match": now.headers["etag"]}
            body = now.json()
            body["note"] = [*body.get("note", ()), {"text": mark}]
            body["status"] = "completed" if do == "complete" else body["status"]
        self.notes.write("asked", do, id, mark)
        try:
            answer = self.http.put(f"/fhir/Task/{id}", json={**body, "id": id}, headers={**headers, "content-type": "application/fhir+json"})  # fmt: skip
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code >= 500:
            if answer is not None and answer.status_code != 503:
                raise SystemExit(f"{answer.status_code}: {answer.text}")
            settled = self.settle(do, id, mark)
            self.notes.write(settled, do, id, mark)
            if settled == "not there":
                return
        elif answer.status_code in (200, 201):
            self.notes.write("yes", do, id, mark)
        else:
            self.notes.write("no", do, id, mark, why=str(answer.status_code))
            return
        if do == "create":
            self.mine.append(id)
        elif do == "complete":
            self.mine.remove(id)

    def settle(self, do: str, id: str, mark: str) -> str:
        """Whether it was done, by looking."""
        answer = self.patient("GET", f"/fhir/Task/{id}")
        there = answer.status_code == 200 and (do == "create" or mark in answer.text)
        return "there" if there else "not there"


async def once_there(get: Callable[[], Awaitable[T]]) -> T:
    """What is needed to begin, however long the database is away."""
    while True:
        try:
            return await get()
        except UNKNOWN:
            await asyncio.sleep(0.1)


async def opened(dsn: str) -> Services:
    """Open services."""

    async def start() -> Services:
        services = Services.make(Settings(base_url="http://127.0.0.1:8000"), dsn)
        try:
            await services.open()
        except UNKNOWN:
            await services.database.close()
            raise
        return services

    return await once_there(start)


async def people(dsn: str, number: int, folder: Path) -> None:
    """Works until it is killed."""
    services = await opened(dsn)
    person = People(services, number, Notes(folder / f"people-{number}-{os.getpid()}.ndjson"))
    await once_there(person.ready)
    print("ready", flush=True)
    while True:
        await person.one()


async def system(dsn: str, number: int, folder: Path, url: str) -> None:
    """Works until it is killed."""
    services = await opened(dsn)
    unit = (await once_there(lambda: units_of(services.database))).by_id[CENTRUM]
    await services.close()
    client = await once_there(partial(asyncio.to_thread, demo_client, dsn, demo=True))
    notes = Notes(folder / f"system-{number}-{os.getpid()}.ndjson")
    other = OtherSystem(url, client, unit, number, notes)
    other.log_in()
    print("ready", flush=True)
    while True:
        other.one()


async def jobs(dsn: str, number: int, folder: Path) -> None:
    """Takes what is due, as `work.jobs` does, by the faster clock; tells of what goes wrong but a database away."""
    services = await opened(dsn)
    wait = float(os.environ.get("JOB_SECONDS", "0.2"))
    print("ready", flush=True)
    while True:
        try:
            await escalate_due(services.doors, fast_now())
        except UNKNOWN:
            pass
        await asyncio.sleep(wait)


async def mover(dsn: str, number: int, folder: Path) -> None:
    """Sends one of the two away and back, again and again, and merges Brämhult into Centrum."""
    services = await opened(dsn)
    who: list[Any] = []
    print("ready", flush=True)
    while True:
        try:
            if not who:
                who = [
                    await somebody(services, p, "Centrum") for p in ("amira-haddad", "jonas-falk")
                ]
            now = datetime.now(UTC)
            away, there = random.sample(who, 2)
            instead = random.choice((there.assignment.id, ""))
            until = now + timedelta(seconds=1)
            await moving.note_absence(services.doors, away, away.assignment.id, now - timedelta(seconds=1), until, instead)  # fmt: skip
            await moving.move_for_absences(services.doors, now)
            await moving.move_unit(services.doors, BRAMHULT, CENTRUM)
        except UNKNOWN:
            pass
        await asyncio.sleep(1.5)


if __name__ == "__main__":
    what, dsn_, number_, folder_, *rest = sys.argv[1:]
    run: Any = {"people": people, "system": system, "jobs": jobs, "mover": mover}[what]
    asyncio.run(run(dsn_, int(number_), Path(folder_), *rest))
