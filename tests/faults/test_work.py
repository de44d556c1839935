"""kill -9 whoever works with tasks, the jobs, the server and the database: no task is lost, no step taken twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from sammanhang.access.services import Services
from sammanhang.kernel.settings import Settings
from sammanhang.region.generate import everything
from sammanhang.store.bulk import load
from sammanhang.work import commands, moving
from sammanhang.work.adrift import Adrift, adrift
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import somebody

from . import work_program
from .test_kill import System, kill, system
from .work_ledger import Ledger, examine

__all__ = ["system"]
SECONDS = float(os.environ.get("WORK_FAULTS_SECONDS", "60"))
TIMES = 120  # minutes of the deadlines pass in half-seconds
CAST = (("people", 1), ("people", 2), ("people", 3), ("system", 1), ("jobs", 1), ("jobs", 2), ("mover", 1))  # fmt: skip


class Company:
    """Everybody who works, each a process."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder = system, folder
        self.clock = f"{time.time()} {TIMES}"
        self.running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        self.said = (folder / "said.txt").open("ab")

    def start(self, who: tuple[str, int]) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, os.environ["PYTHONPATH"]])
        more = [self.system.url] if who[0] == "system" else []
        self.running[who] = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.work_program", who[0], self.system.database.dsn(), str(who[1]), str(self.folder), *more],
            env=os.environ | {"PYTHONPATH": path, "CLOCK": self.clock}, stdout=subprocess.DEVNULL, stderr=self.said,
        )  # fmt: skip

    def kill(self, who: tuple[str, int]) -> None:
        kill(self.running[who].pid)
        self.running[who].wait()

    def all_alive(self) -> None:
        """Nobody ended by themselves: what they met that they could not deal with is a fault of ours."""
        for who, process in self.running.items():
            assert process.poll() is None, f"{who} ended: {(self.folder / 'said.txt').read_text()[-3000:]}"  # fmt: skip

    def end(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                kill(process.pid)
                process.wait()
        self.said.close()


@pytest.fixture
def company(system: System, data_folder: Path) -> Iterator[Company]:
    dsn = system.database.dsn()
    load(dsn, everything(1, 60))
    folder = data_folder / "ledger"
    folder.mkdir()
    made = Company(system, folder)
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.alone
async def test_no_task_is_lost_and_no_step_up_is_taken_twice(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(1_000_000)
    kills = await asyncio.to_thread(_faults, company, random.Random(seed))
    dsn = company.system.database.dsn()
    company.end()
    await _work_off_what_moves(dsn)
    unexpected = [a for a in await _adrift(dsn) if a.why != "top"]
    closed = await _complete_all(dsn)
    ledger = Ledger.read(company.folder)
    ledger.kills = kills
    found = examine(dsn, ledger)
    left = await _adrift(dsn)
    with capsys.disabled():
        print(f"\nWork through faults (seed {seed}, {SECONDS:.0f} s):\n{ledger}\n{found}")
        print(
            f"adrift before the rest was done: {len(unexpected)}; completed at the end: {closed}; adrift: {len(left)}"
        )
    said = (company.folder / "said.txt").read_text()
    assert "Traceback" not in said, said[-3000:]
    assert not found.faults, "\n".join([f"seed {seed}", *found.faults[:20]])
    assert not unexpected and not left, (unexpected, left)
    # each fault leaves those unsure who were in the middle of something, and nobody else
    assert sum(ledger.settled.values()) <= len(CAST) * 3 * sum(kills.values())
    assert found.tasks > 50 and found.steps > 10 and found.open == 0


def _faults(company: Company, moments: random.Random) -> Counter[str]:
    """Everybody works, and at random moments one of them, or what they stand on, is killed."""
    system = company.system
    kills: Counter[str] = Counter()
    for who in CAST:
        company.start(who)
    until = time.monotonic() + SECONDS
    time.sleep(4)
    while time.monotonic() < until:
        time.sleep(moments.uniform(0.5, 3.0))
        company.all_alive()
        what = moments.choice(("database", "database", "server", "writer", "jobs", "jobs"))
        kills[what] += 1
        if what == "database":
            system.kill_database()
            system.start_database()
        elif what == "server":
            system.kill_server()
            system.start_server()
        else:
            who = moments.choice([w for w in CAST if (w[0] == "jobs") == (what == "jobs")])
            company.kill(who)
            company.start(who)
    time.sleep(3)
    company.all_alive()
    return kills


async def _services(dsn: str) -> Services:
    services = Services.make(Settings(base_url="http://127.0.0.1:8000"), dsn)
    await services.open()
    return services


async def _work_off_what_moves(dsn: str) -> None:
    """What was begun when they were killed: moves and steps that are due."""
    services = await _services(dsn)
    now = datetime.now(UTC)
    await moving.move_for_absences(services.doors, now)
    await moving.move_unit(services.doors, work_program.BRAMHULT, work_program.CENTRUM)
    await escalate_due(services.doors, now)
    await services.close()


async def _adrift(dsn: str) -> list[Adrift]:
    services = await _services(dsn)
    found = await adrift(services.database)
    await services.close()
    return found


async def _complete_all(dsn: str) -> int:
    """A nurse does everything that is open."""
    services = await _services(dsn)
    nurse = await somebody(services, "amira-haddad", "Centrum")
    with psycopg.connect(dsn) as db:
        ids = [i for (i,) in db.execute("SELECT id FROM work.task WHERE open")]
    for id in ids:
        await commands.complete(services.doors, nurse, id)
    await services.close()
    return len(ids)
