"""Tasks written, matched and delivered while everything that takes part is killed at random; and the ledger of it.

Writers, jobs, receivers and the database are processes of their own. What a writer was told is stored it has written
down; what a receiver took it has written down before it said so. The ledger compares: nothing acknowledged is missing
in the record, every event of the record has one delivery and one number, and every number is at its receiver.

python -m tests.faults.deliveries write|jobs …   the processes, started by `Run`
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from sammanhang.access.actor import SYSTEM, Actor
from sammanhang.access.audit import WriteTrace, verify
from sammanhang.access.clients import register
from sammanhang.access.clients_registration import Registration
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import CodeableConcept, Coding, Meta, Patient, Reference, Task
from sammanhang.kernel.errors import SammanhangError
from sammanhang.kernel.owner import PROVIDER, SHARED, UNIT
from sammanhang.kernel.settings import Settings
from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.operate.postmaster import is_alive
from sammanhang.rest.app import fhir_app
from sammanhang.store.rows import row_of
from sammanhang.store.types import NUMBER
from sammanhang.store.write import commit
from sammanhang.work.sending import keep_delivering
from sammanhang.work.subscriptions.matching import keep_matching

from ..simulators.municipality import Municipality

ROOT = Path(__file__).parents[2]
BASE = "http://127.0.0.1:8000"
REGION, HOSPITAL = "SE-REGION", "SE-REGION-SJH"
SCOPES = ("system/Subscription.cruds", "system/Task.rs")


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill(*pids: int) -> None:
    """SIGKILL to all of them, first stopped, so that none sees the others go."""
    for sign in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)


# The processes


def task(town: str, number: int) -> Task:
    """A task the hospital has sent to a town."""
    tags = [
        Coding(system=PROVIDER, code=REGION),
        Coding(system=UNIT, code=HOSPITAL),
        Coding(system=SHARED, code=town),
    ]
    return Task(
        meta=Meta(tag=tags), status="requested", intent="order", code=CodeableConcept(text=f"Ärende {number}"),
        focus=Reference(reference="ServiceRequest/r"), for_=Reference(reference="Patient/ann"),
        requester=Reference(reference=f"Organization/{HOSPITAL}"),
    )  # fmt: skip


async def write(dsn: str, log: Path, name: str, count: int, size: int, towns: int) -> None:
    """Writes tasks, many in a transaction, every fifth again as a second version; notes each that was acknowledged."""
    services = await opened(dsn)
    chance = random.Random(name)
    done = sum(1 for _ in log.open()) if log.exists() else 0
    # a line was acknowledged; its transaction may have been stored and not noted before a kill
    made = 0
    with log.open("a", encoding="utf-8") as noted:
        while done < count:
            now = datetime.now(UTC)
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)
            n = min(size, count - done)
            rows, again = [], []
            for i in range(n):
                made += 1
                town = f"SE-TOWN-{chance.randrange(towns)}"
                id = f"{name}-{os.getpid()}-{made}"
                one = task(town, made)
                rows.append(row_of(one, id, 0, now))
                if i % 5 == 0:
                    again.append((town, id))
            told = [(r.id, 1) for r in rows]
            if not await stored(services, rows):
                continue
            for town, id in again[: count - done - n]:
                second = task(town, 0)
                second.status = "accepted"
                row = row_of(second, id, 1, now)
                if await stored(services, [row]):
                    told.append((id, 2))
            noted.writelines(f"{id} {version}\n" for id, version in told)
            noted.flush()
            done += len(told)
    await services.close()


async def stored(services: Services, rows: list[Any]) -> bool:
    """Whether it was acknowledged; an answer that never came is no acknowledgement."""
    entry = services.doors.entry(SYSTEM, "create", what=f"{len(rows)} Task", count=len(rows))
    try:
        await commit(services.database, rows, WriteTrace(entry))
        return True
    except (psycopg.Error, SammanhangError):
        await asyncio.sleep(0.2)
        return False


async def jobs(dsn: str, base: str = BASE) -> None:
    """What `sammanhang jobs` does, until it is killed."""
    services = await opened(dsn, base)
    stop = asyncio.Event()
    await asyncio.gather(keep_matching(services, stop), keep_delivering(services, stop))


async def opened(dsn: str, base: str = BASE) -> Services:
    while True:
        services = Services.make(Settings(base_url=base), dsn)
        try:
            await services.open()
            return services
        except (psycopg.Error, SammanhangError):
            with contextlib.suppress(Exception):
                await services.close()
            await asyncio.sleep(0.2)


# The run


@dataclass
class Ledger:
    """What was written, matched and delivered, counted from every side."""

    acknowledged: int = 0
    recorded: int = 0
    matched: int = 0
    delivered: int = 0
    received: int = 0
    doubled: int = 0
    lost: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"  acknowledged to writers       {self.acknowledged:>10,}",
            f"  in the record (events)        {self.recorded:>10,}",
            f"  matched (numbered deliveries) {self.matched:>10,}",
            f"  delivered (receipt kept)      {self.delivered:>10,}",
            f"  at the receivers, by number   {self.received:>10,}",
            f"  came again, known by number   {self.doubled:>10,}",
            f"  lost                          {self.lost:>10,}",
            f"  faults                        {len(self.faults):>10,}",
            "  killed: "
            + (", ".join(f"{k} {n}×" for k, n in sorted(self.kills.items())) or "nothing"),
        ]
        return "\n".join(lines).replace(",", " ")


@dataclass
class Run:
    """A database, writers, jobs and receivers, that can each be killed and started again."""

    database: EmbeddedDatabase
    folder: Path
    towns: int = 4
    writers: int = 2
    workers: int = 2
    count: int = 4000
    size: int = 20
    most: int = 50
    seed: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    receivers: list[Municipality] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return self.database.dsn()

    def start(self, name: str) -> None:
        kind, _, number = name.partition(" ")
        place = int(number)
        module, arguments = "tests.faults.deliveries", ["jobs", self.dsn]
        if kind == "writer":
            count = self.count // self.writers
            arguments = [
                "write",
                self.dsn,
                str(self.log(place)),
                f"w{place}",
                *map(str, (count, self.size, self.towns)),
            ]
        elif kind == "receiver":
            town = self.receivers[place]
            module, arguments = "tests.simulators.municipality", [str(town.folder), str(town.port)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        said = (self.folder / f"{kind}-{place}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=environment, cwd=ROOT,
            stdout=subprocess.PIPE if kind == "receiver" else said, stderr=said,
        )  # fmt: skip
        if kind == "receiver":
            out = self.processes[name].stdout
            assert out is not None and out.readline() == b"ready\n"

    def log(self, place: int) -> Path:
        return self.folder / f"writer-{place}.acknowledged"

    def kill(self, name: str) -> None:
        kill(self.processes[name].pid)
        self.processes[name].wait()

    def kill_database(self) -> None:
        pid = self.database.pid
        pids = [pid, *children(pid)]
        kill(*pids)
        while any(map(is_alive, pids)):
            time.sleep(0.005)
        dsn = self.dsn
        self.database.stop()
        self.database.start()
        assert self.dsn == dsn

    async def prepare(self) -> None:
        """Receivers with ports, their clients and subscriptions; a patient."""
        services = await opened(self.dsn)
        changes = Changes.by_system(services.doors, SYSTEM, "ann", (REGION, HOSPITAL))
        changes.create(Patient(birthDate="1940-01-01"), id="ann")
        await changes.commit("create")
        for n in range(self.towns):
            town = Municipality(self.folder / f"town-{n}", client=f"town-{n}", keep=False)
            town.folder.mkdir()
            async with town.up():  # a port, which it keeps
                pass
            self.receivers.append(town)
            register(
                self.dsn, Registration(f"Town {n}", SCOPES, provider=f"SE-TOWN-{n}", id=f"town-{n}")
            )
            actor = Actor(
                "client", f"client:town-{n}", scopes=frozenset(SCOPES), provider=f"SE-TOWN-{n}"
            )

            async def who(_: Services, __: str | None, actor: Actor = actor) -> Actor:
                return actor

            transport = httpx.ASGITransport(
                app=fhir_app(services, authenticate=who), root_path="/fhir"
            )
            async with httpx.AsyncClient(transport=transport) as http:
                answer = await http.post(
                    f"{BASE}/fhir/Subscription", json=town.subscription(most=self.most),
                    headers={"content-type": "application/fhir+json"},
                )  # fmt: skip
            assert answer.status_code == 201, answer.text
            self.subscriptions.append(answer.json()["id"])
        await services.close()

    def everything(self) -> Iterator[str]:
        yield from (f"receiver {n}" for n in range(self.towns))
        yield from (f"worker {n}" for n in range(self.workers))
        yield from (f"writer {n}" for n in range(self.writers))

    def run(self, faults: Iterable[str], between: tuple[float, float], patience: float) -> Ledger:
        """Everything at work; `faults` one after the other (writer, worker, receiver, database) for as long as
        there is something to be done, then until all is delivered."""
        chance = random.Random(self.seed)
        asyncio.run(self.prepare())
        began = time.monotonic()
        try:
            for name in self.everything():
                self.start(name)
            for what in faults:
                time.sleep(chance.uniform(*between))
                if self.done():
                    break
                self.ledger.kills[what] += 1
                if what == "database":
                    self.kill_database()
                    continue
                name = f"{what} {chance.randrange({'writer': self.writers, 'worker': self.workers, 'receiver': self.towns}[what])}"
                self.kill(name)
                time.sleep(chance.uniform(0, 0.3))
                self.start(name)
            self.wait(patience)
            self.ledger.seconds = time.monotonic() - began
        finally:
            self.end()
        return self.balance()

    def end(self) -> None:
        """Ends what still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                kill(process.pid)
            process.wait()

    def rates(self, patience: float) -> tuple[float, float]:
        """(matched, delivered) a second of a full feed, with nothing killed: first written, then told."""
        asyncio.run(self.prepare())
        try:
            for n in range(self.writers):
                self.start(f"writer {n}")
            for n in range(self.writers):
                self.processes[f"writer {n}"].wait()
            for n in range(self.towns):
                self.start(f"receiver {n}")
            began, matched = time.monotonic(), 0.0
            for n in range(self.workers):
                self.start(f"worker {n}")
            while not self.done():
                if not matched and self.counts()[0] == self.counts()[1]:
                    matched = time.monotonic()
                assert time.monotonic() < began + patience
                time.sleep(0.1)
            ended = time.monotonic()
        finally:
            self.end()
        events = self.counts()[0]
        return events / ((matched or ended) - began), events / (ended - began)

    def counts(self) -> tuple[int, int, int]:
        """(events, deliveries, those that wait)."""
        with psycopg.connect(self.dsn) as c:
            row = c.execute(
                "SELECT (SELECT count(*) FROM store.event WHERE type = %s), (SELECT count(*) FROM work.delivery),"
                " (SELECT count(*) FROM work.delivery WHERE state <> 'delivered')", (NUMBER["Task"],),
            ).fetchone()  # fmt: skip
        assert row is not None
        return row  # type: ignore[return-value]

    def done(self) -> bool:
        """Whether all is written, matched and delivered."""
        if any(self.processes[f"writer {n}"].poll() is None for n in range(self.writers)):
            return False
        events, deliveries, waiting = self.counts()
        return events == deliveries and waiting == 0

    def wait(self, patience: float) -> None:
        """Until all is delivered."""
        until = time.monotonic() + patience
        while not self.done():
            assert time.monotonic() < until, f"events, deliveries, waiting: {self.counts()}"
            time.sleep(0.3)

    def balance(self) -> Ledger:
        """Compares what each has written down."""
        book = self.ledger
        acknowledged = {
            (id, int(v))
            for n in range(self.writers)
            for id, v in (x.split() for x in self.log(n).read_text().splitlines())
        }
        book.acknowledged = len(acknowledged)
        with psycopg.connect(self.dsn) as c:
            events = {(id, v) for id, v in c.execute("SELECT id, version FROM store.event WHERE type = %s", (NUMBER["Task"],))}  # fmt: skip
            rows = c.execute(
                "SELECT address, number, about, version, state FROM work.delivery"
            ).fetchall()
        book.recorded, book.matched = len(events), len(rows)
        lost = acknowledged - events
        book.faults += [f"Acknowledged and not in the record: {x}" for x in list(lost)[:5]]
        told = Counter((about.partition("/")[2], v) for _, _, about, v, _ in rows)
        unmatched = events - told.keys()
        book.faults += [f"No delivery: {x}" for x in list(unmatched)[:5]]
        book.faults += [f"{n} deliveries: {x}" for x, n in told.items() if n > 1][:5]
        book.faults += [f"A delivery of nothing: {x}" for x in list(told.keys() - events)[:5]]
        missing = 0
        by_address: dict[str, dict[int, str]] = {}
        for address, number, about, _, state in rows:
            by_address.setdefault(address, {})[number] = about
            book.delivered += state == "delivered"
        for n, id in enumerate(self.subscriptions):
            wanted = by_address.get(f"Subscription/{id}", {})
            if sorted(wanted) != list(range(1, len(wanted) + 1)):
                book.faults.append(f"Numbers of town {n} have a gap.")
            got: Counter[int] = Counter()
            last = 0
            for number, focus in self.receivers[n].remembered():
                got[number] += 1
                if not focus.endswith(wanted.get(number, "?")):
                    book.faults.append(
                        f"Town {n}, number {number}: {focus} is not {wanted.get(number)}."
                    )
                if number > last + 1:
                    book.faults.append(f"Town {n}: number {number} came before {last + 1}.")
                last = max(last, number)
            book.received += len(got)
            book.doubled += sum(got.values()) - len(got)
            missing += len(wanted.keys() - got.keys())
        book.lost = len(lost) + len(unmatched) + missing
        return book

    def traced(self) -> list[str]:
        """What is wrong with the trace: its chains, and an entry for every event that was told."""
        report = verify(self.dsn)
        told = set()
        with psycopg.connect(self.dsn) as c, c.cursor("trace") as cursor:
            cursor.execute(
                "SELECT entries FROM audit.block WHERE position('\"notify\"'::bytea IN entries) > 0"
            )
            for (lines,) in cursor:
                for line in lines.splitlines():
                    entry = json.loads(line)
                    if entry["action"] == "notify":
                        told.add((entry["details"]["subscription"], entry["details"]["event"]))
        if len(told) != self.ledger.delivered:
            report.faults.append(f"{self.ledger.delivered} delivered, {len(told)} in the trace.")
        return report.faults


if __name__ == "__main__":
    if sys.argv[1] == "jobs":
        asyncio.run(jobs(*sys.argv[2:]))
    else:
        _, _, dsn_, log_, name_, *numbers_ = sys.argv
        asyncio.run(write(dsn_, Path(log_), name_, *(int(n) for n in numbers_)))
