"""Is any of a million tasks lost or taken a step twice while jobs and database are killed, and how fast is it?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from _bench import ROOT, Bench, Figure

sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)])

PER = 4000  # tasks in one loading transaction
BY_CHANGES = 0.02  # share that is made as the pages make tasks, some hundred to a transaction
DUE = (
    """SELECT count(*) FROM work.task WHERE open AND next_at <= now() + %s * interval '1 second'"""
)


def run(bench: Bench) -> list[Figure]:
    """A million tasks through killed jobs and a killed database; what the projection and its notice cost."""
    folder = Path(tempfile.mkdtemp(prefix="sammanhang-work-"))
    folder.chmod(0o755)
    try:
        from sammanhang.operate.database import EmbeddedDatabase

        with EmbeddedDatabase(folder) as database:
            _populate(database.dsn())
            figures = _costs(database.dsn(), bench)
            figures += Faults(database, folder, bench).run()
        return figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _populate(dsn: str) -> None:
    from sammanhang.region.generate import everything
    from sammanhang.store.bulk import load
    from sammanhang.store.migrate import migrate

    migrate(dsn)
    load(dsn, everything(1, 60))


# What the projection and its notice cost


def _costs(dsn: str, bench: Bench) -> list[Figure]:
    """One row changed in each commit, and all in one: with a notice, as it is, and without the projection."""
    made = _make(dsn, 5000, 7, timedelta(hours=1))
    with psycopg.connect(dsn) as db:
        told = db.execute("SELECT pg_get_functiondef('work.project'::regproc)").fetchone()[0]  # type: ignore[index]
        mine = "SELECT self FROM work.task WHERE id = ANY(%s) ORDER BY self"
        selves = [s for (s,) in db.execute(mine, (made,))]
    # what a notice to open pages would cost; there is none (work/live.py)
    end = told.rindex("RETURN NULL;")
    noticing = told[:end] + "PERFORM pg_notify('work', named); " + told[end:]
    figures = []
    try:
        for how in ("with a notice to listeners", "projected", "not projected"):
            with psycopg.connect(dsn, autocommit=True) as db:
                off = how == "not projected"
                db.execute(f"ALTER TABLE store.other {'DISABLE' if off else 'ENABLE'} TRIGGER project_change")  # fmt: skip
                db.execute(noticing if how == "with a notice to listeners" else told)
                db.execute("VACUUM store.other, work.task")
                begun = time.perf_counter()
                db.execute("UPDATE store.other SET updated = now() WHERE self = ANY(%s)", (selves,))
                each = (time.perf_counter() - begun) / len(selves) * 1e6
            figures.append(Figure("work_faults", f"a Task written among 5 000, {how}", each, "µs"))
            for n in (1, 8):
                rate = asyncio.run(_commits(dsn, selves, n, bench.seconds / 2))
                figures.append(Figure("work_faults", f"commits of one Task, concurrency {n}, {how}", rate, "/s"))  # fmt: skip
    finally:
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("ALTER TABLE store.other ENABLE TRIGGER project_change")
            db.execute(told)
            db.execute("DELETE FROM store.other WHERE self = ANY(%s)", (selves,))
            db.execute("DELETE FROM store.event WHERE self = ANY(%s)", (selves,))
    return figures


async def _commits(dsn: str, selves: list[int], n: int, seconds: float) -> float:
    until = time.perf_counter() + seconds

    async def one(mine: list[int]) -> int:
        done = 0
        options = "-c role=sammanhang_writer"
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as c:  # fmt: skip
            while time.perf_counter() < until:
                await c.execute("UPDATE store.other SET updated = now() WHERE self = %s", (mine[done % len(mine)],))  # fmt: skip
                done += 1
        return done

    return sum(await asyncio.gather(*(one(selves[i::n]) for i in range(n)))) / seconds


# A million tasks through faults


class Faults:
    """One run: tasks are made and taken their steps up while what does it is killed."""

    def __init__(self, database: Any, folder: Path, bench: Bench) -> None:
        self.database, self.bench, self.n = database, bench, bench.tasks
        self.dsn: str = database.dsn()
        self.ledger = folder / "ledger"
        self.ledger.mkdir()
        self.said = (folder / "said.txt").open("ab")
        self.random = random.Random(1)
        self.kills: Counter[str] = Counter()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.every = (4.0, 10.0) if bench.quick else (20.0, 40.0)

    def run(self) -> list[Figure]:
        from tests.faults.work_ledger import Ledger, examine

        figures = self._made()
        figures += self._stepped()
        found_due, seconds = self._after_downtime()
        figures.append(Figure("work_faults", f"caught up after an hour's downtime, {found_due:,} due".replace(",", " "), seconds, "s"))  # fmt: skip
        left, took = asyncio.run(self._adrift())
        figures.append(Figure("work_faults", "'nothing adrift' asked", took, "s", note=f"{len(left)} adrift"))  # fmt: skip
        ledger = Ledger.read(self.ledger)
        ledger.kills = self.kills
        made = {i for file in self.ledger.glob("*.made") for i in file.read_text().split()}
        loaded = {i for file in self.ledger.glob("load*.made") for i in file.read_text().split()}
        begun = time.monotonic()
        found = examine(self.dsn, ledger, made=made, loaded=loaded)
        print(f"created and acknowledged in bulk: {len(made)}\n{ledger}\n{found}")
        print(f"adrift: {len(left)} {Counter(a.why for a in left)}")
        for fault in found.faults[:20]:
            print(" ", fault)
        figures.append(Figure("work_faults", "ledger and record compared", time.monotonic() - begun, "s"))  # fmt: skip
        for what, value in (("lost", found.lost), ("doubled", found.doubled), ("steps doubled or skipped", found.steps_doubled), ("projection differences", found.differences), ("other faults", len(found.faults)), ("adrift", len(left))):  # fmt: skip
            figures.append(Figure("work_faults", f"of {found.tasks} tasks and {found.steps} steps: {what}", value, "", aim="0"))  # fmt: skip
        return figures

    # who works

    def start(self, name: str, *words: str, **more: str) -> None:
        self.running[name] = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=os.environ | more, stdout=subprocess.DEVNULL, stderr=self.said
        )  # fmt: skip

    def jobs(self, n: int, **more: str) -> None:
        name = f"jobs {n}"
        self.start(name, "-m", "tests.faults.work_program", "jobs", self.dsn, str(n), str(self.ledger), JOB_SECONDS="0.05", **more)  # fmt: skip

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def kill_database(self) -> None:
        from tests.faults.test_kill import System

        system = System(self.database, 0)
        system.kill_database()
        system.start_database()

    def count(self, query: str, *values: Any) -> int:
        with psycopg.connect(self.dsn) as db:
            row = db.execute(query, values).fetchone()  # type: ignore[arg-type]
            assert row is not None
            return int(row[0])

    # the parts of a run

    def _made(self) -> list[Figure]:
        """All tasks, by two who load and one who makes them as the pages do, the database killed at times."""
        by_hand = int(self.n * BY_CHANGES)
        share = (self.n - by_hand) // 2
        begun = time.monotonic()
        for i in (1, 2):
            self.start(
                f"load {i}", __file__, "load", self.dsn, str(share), str(i), str(self.ledger)
            )
        self.start("changes", __file__, "changes", self.dsn, str(by_hand), "3", str(self.ledger))
        next_ = begun + self.random.uniform(*self.every)
        while any(p.poll() is None for p in self.running.values()):
            time.sleep(0.2)
            if time.monotonic() > next_:
                self.kills["database while creating"] += 1
                self.kill_database()
                next_ = time.monotonic() + self.random.uniform(*self.every)
        seconds = time.monotonic() - begun
        for name, process in self.running.items():
            if process.returncode:
                raise SystemExit(f"{name} failed; see {self.said.name}: {Path(self.said.name).read_text()[-2000:]}")  # fmt: skip
        self.running.clear()
        with psycopg.connect(self.dsn, autocommit=True) as db:
            db.execute("VACUUM (ANALYZE) work.task, store.other")
        return [Figure("work_faults", "tasks created, 3 processes, database killed", self.n / seconds, "/s")]  # fmt: skip

    def _stepped(self) -> list[Figure]:
        """Every step that is due: measured with one worker and with two, then with everything killed at times."""
        figures = []
        seconds = 8.0 if self.bench.quick else 30.0
        for workers in (1, 2):
            for n in range(workers):
                self.jobs(n)
            time.sleep(4)
            before = self._acts()
            time.sleep(seconds)
            rate = (self._acts() - before) / seconds
            figures.append(Figure("work_faults", f"steps up, {workers} worker{'s'[: workers - 1]}", rate, "/s", aim="1 500"))  # fmt: skip
            for name in list(self.running):
                self.kill(name)
        self.jobs(0)
        self.jobs(1)
        self.start("people", "-m", "tests.faults.work_program", "people", self.dsn, "1", str(self.ledger))  # fmt: skip
        next_ = time.monotonic() + self.random.uniform(*self.every)
        begun, before = time.monotonic(), self._acts()
        while self.count(DUE, 0) > 500:
            time.sleep(3)
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise SystemExit(f"{name} ended: {Path(self.said.name).read_text()[-2000:]}")
            if time.monotonic() > next_:
                what = self.random.choice(("database", "jobs 0", "jobs 1", "people"))
                self.kills[what] += 1
                if what == "database":
                    self.kill_database()
                else:
                    self.kill(what)
                    if what == "people":
                        self.start("people", "-m", "tests.faults.work_program", "people", self.dsn, "1", str(self.ledger))  # fmt: skip
                    else:
                        self.jobs(int(what[-1]))
                next_ = time.monotonic() + self.random.uniform(*self.every)
        spent = time.monotonic() - begun
        figures.append(Figure("work_faults", "steps up, 2 workers, one person, all killed at times", (self._acts() - before) / spent, "/s"))  # fmt: skip
        for name in list(self.running):
            self.kill(name)
        return figures

    def _acts(self) -> int:
        """How many versions of Tasks there have been."""
        return self.count("SELECT coalesce(max(seq), 0) FROM store.event")

    def _after_downtime(self) -> tuple[int, float]:
        """The system was down for an hour: (how many are due, seconds until none is), two workers."""
        due = self.count(DUE, 3600)
        begun = time.monotonic()
        for n in range(2):
            self.jobs(n, AHEAD="3600")
        while self.count(DUE, 3600) > 0:
            time.sleep(0.5)
        seconds = time.monotonic() - begun
        for name in list(self.running):
            self.kill(name)
        return due, seconds

    async def _adrift(self) -> tuple[list[Any], float]:
        from sammanhang.access.services import Services
        from sammanhang.kernel.settings import Settings
        from sammanhang.work.adrift import adrift

        services = Services.make(Settings(base_url="http://127.0.0.1:8000"), self.dsn)
        await services.open()
        begun = time.monotonic()
        left = await adrift(services.database)
        took = time.monotonic() - begun
        await services.close()
        return left, took


# Those who make tasks, each a process of its own


def _tasks(dsn: str, n: int, seed: int, within: timedelta) -> Iterator[Any]:
    """Tasks of one unit that were made at random times: some hours ago, or lately."""
    from tests.faults.work_program import CENTRUM, task_of

    unit = asyncio.run(_unit(dsn, CENTRUM))
    dice = random.Random(seed)
    now = datetime.now(UTC)
    for i in range(n):
        at = now - timedelta(hours=3.1) - within * dice.random()
        task = task_of(unit, dice, at, f"{seed}-{i}")
        if task.priority == "stat":  # all of those would be adrift by now
            task = task_of(unit, dice, now + timedelta(hours=dice.random()), f"{seed}-{i}")
        yield task


async def _unit(dsn: str, id: str) -> Any:
    from sammanhang.access.services import Services
    from sammanhang.kernel.settings import Settings
    from sammanhang.work.units import units_of

    services = Services.make(Settings(base_url="http://127.0.0.1:8000"), dsn)
    await services.open()
    units = await units_of(services.database)
    await services.close()
    return units.by_id[id]


def _make(dsn: str, n: int, seed: int, within: timedelta, ledger: Path | None = None) -> list[str]:
    """Loads tasks in transactions that are settled one by one; ids that were acknowledged."""
    from uuid_utils import uuid7

    from sammanhang.store.bulk import BulkWriter
    from sammanhang.store.rows import row_of

    out = (ledger / f"load-{seed}.made").open("a") if ledger is not None else None
    made: list[str] = []
    batch: list[tuple[str, Any]] = []

    def store(batch: list[tuple[str, Any]]) -> None:
        while True:
            with contextlib.suppress(psycopg.Error):
                if _there(dsn, batch[0][0]):
                    break
                now = datetime.now(UTC)
                with BulkWriter(dsn, per=PER + 1) as writer:
                    for id, task in batch:
                        writer.add(row_of(task, id, 0, now))
                break
            time.sleep(0.2)
        if out is not None:
            out.write("\n".join(i for i, _ in batch) + "\n")
            out.flush()
            os.fsync(out.fileno())
        made.extend(i for i, _ in batch)

    for task in _tasks(dsn, n, seed, within):
        batch.append((str(uuid7()), task))
        if len(batch) == PER:
            store(batch)
            batch = []
    if batch:
        store(batch)
    return made


def _there(dsn: str, id: str) -> bool:
    from sammanhang.fhir.indexing import self_hash

    with psycopg.connect(dsn) as db:
        return db.execute("SELECT 1 FROM store.other WHERE self = %s", (self_hash("Task", id),)).fetchone() is not None  # fmt: skip


async def _by_changes(dsn: str, n: int, seed: int, ledger: Path) -> None:
    """Tasks made as the pages make them, 200 to a transaction."""
    from uuid_utils import uuid7

    from sammanhang.access.writing import Changes
    from sammanhang.kernel.errors import SammanhangError
    from sammanhang.work.moving import MOVER
    from tests.faults.work_program import opened

    services = await opened(dsn)
    source = await asyncio.to_thread(lambda: list(_tasks(dsn, n, seed, timedelta(hours=7))))
    with (ledger / f"changes-{seed}.made").open("a") as out:
        for k in range(0, n, 200):
            group = [(str(uuid7()), t) for t in source[k : k + 200]]
            while True:
                try:
                    if await asyncio.to_thread(_there, dsn, group[0][0]):
                        break
                    tags = {t.system: t.code for t in group[0][1].meta.tag}
                    changes = Changes.by_system(services.doors, MOVER, "svea-andersson", tuple(tags.values())[:2])  # fmt: skip
                    for id, task in group:
                        changes.create(task, id=id)
                    await changes.commit("task-create")
                    break
                except (psycopg.Error, SammanhangError):
                    await asyncio.sleep(0.2)
            out.write("\n".join(i for i, _ in group) + "\n")
            out.flush()
            os.fsync(out.fileno())
    await services.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        _make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), timedelta(hours=7), Path(sys.argv[5]))  # fmt: skip
    elif sys.argv[1:2] == ["changes"]:
        asyncio.run(_by_changes(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])))
    else:
        from _bench import main

        raise SystemExit(main({"work_faults": run}))
