"""Is every request told to the other side, once by number, while all that takes part is killed; and how fast?"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from _bench import ROOT, Bench, Figure

sys.path.insert(0, str(ROOT))

from tests.faults.deliveries import Run, task

MILLION = 1_000_000


def run(bench: Bench) -> list[Figure]:
    """A million tasks to ten towns, with writers, workers, receivers and database killed at random."""
    from sammanhang.operate.database import EmbeddedDatabase
    from sammanhang.store.migrate import migrate

    figures = []
    for what in (_latency, _rates, _killed):
        with tempfile.TemporaryDirectory(prefix="sammanhang-data-") as folder, \
                tempfile.TemporaryDirectory() as notes:  # fmt: skip
            Path(folder).chmod(0o755)
            with EmbeddedDatabase(folder) as database:
                migrate(database.dsn())
                figures += what(bench, database, Path(notes))
    return figures


def _latency(bench: Bench, database: object, folder: Path) -> list[Figure]:
    """From the commit of a task to its notification at the receiver, one at a time; one worker."""
    made = Run(database, folder, towns=1, writers=0, workers=1)  # type: ignore[arg-type]
    asyncio.run(made.prepare())
    times = asyncio.run(_one_by_one(made, 50 if bench.quick else 300))
    cut = statistics.quantiles(times, n=100)
    return [
        Figure("deliveries", "commit → received", cut[49], "ms", p50=cut[49], p95=cut[94], p99=cut[98],
               aim="p95 < 1 000", note="one at a time, at random moments; feed and outbox are looked at every 200 ms")
    ]  # fmt: skip


async def _one_by_one(made: Run, count: int) -> list[float]:
    from sammanhang.store.rows import row_of
    from tests.faults.deliveries import opened, stored

    services = await opened(made.dsn)
    town, times = made.receivers[0], []
    town.keep = True
    chance = random.Random(1)
    async with town.up():
        made.start("worker 0")
        try:
            while not town.notified:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            for n in range(count):
                await asyncio.sleep(chance.uniform(0.0, 0.25))
                before = len(town.notified)
                row = row_of(task("SE-TOWN-0", n), f"t{n}", 0, datetime.now(UTC))
                assert await stored(services, [row])
                began = time.perf_counter()
                while len(town.notified) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                times.append((time.perf_counter() - began) * 1000)
        finally:
            made.end()
            await services.close()
    return times


def _rates(bench: Bench, database: object, folder: Path) -> list[Figure]:
    """A full feed told as fast as it goes; one worker and two."""
    made = Run(database, folder, towns=10, writers=2, workers=1, size=200, most=100,  # type: ignore[arg-type]
               count=10_000 if bench.quick else 100_000)  # fmt: skip
    matched, delivered = made.rates(patience=3600)
    note = f"{made.counts()[0]} events to 10 receivers, 100 in a notification, one worker"
    return [
        Figure("deliveries", "events matched", matched, "/s", note=note),
        Figure("deliveries", "events delivered", delivered, "/s", note=note + ", matching beside"),
    ]


def _killed(bench: Bench, database: object, folder: Path) -> list[Figure]:
    seed = random.randrange(1_000_000)
    made = Run(database, folder, towns=10, writers=2, workers=2, size=50, most=100, seed=seed,  # type: ignore[arg-type]
               count=20_000 if bench.quick else MILLION)  # fmt: skip
    ledger = made.run(_faults(seed), (0.3, 1.5) if bench.quick else (1.0, 5.0), patience=7200)
    ledger.faults += made.traced()
    print(f"\nDeliveries under kills (seed {seed}, {ledger.seconds:.0f} s):\n{ledger}", flush=True)
    for fault in ledger.faults[:20]:
        print("  " + fault)
    kills = sum(ledger.kills.values())
    note = f"{ledger.recorded} events, {kills} kills, {ledger.doubled} came again and were known by number"
    return [
        Figure("deliveries", "lost under kills", ledger.lost, "", aim="0", note=note),
        Figure("deliveries", "faults in ledger and trace", len(ledger.faults), "", aim="0"),
        Figure("deliveries", "delivered under kills", ledger.recorded / ledger.seconds, "/s", note="from first write to last receipt"),
    ]  # fmt: skip


def _faults(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield chance.choices(("worker", "receiver", "writer", "database"), (5, 2, 2, 2))[0]


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"deliveries": run}))
