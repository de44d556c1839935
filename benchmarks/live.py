"""How soon do open pages know of a change, with 500 of them open?"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

from _bench import Bench, Figure, Server
from _tasks import worked

OPEN, A_SECOND = 500, 5
_IDS = re.compile(rb'"id":"([^"]+)"')


def run(bench: Bench) -> list[Figure]:
    """500 open streams of one unit, tasks made at 5 a second: from before the write to the event at the page."""
    dsn, _ = bench.database("worklist", fresh=False)
    with bench.server(dsn) as server:
        _, cookie, assignment = worked(bench, server.url)
        return asyncio.run(_measure(bench, server, dsn, cookie, assignment))


async def _measure(
    bench: Bench, server: Server, dsn: str, cookie: str, assignment: Any
) -> list[Figure]:
    from sammanhang.access.services import Services
    from sammanhang.kernel.settings import Settings

    services = Services.make(Settings(base_url=server.url), dsn)
    await services.open()
    seen: list[tuple[str, float]] = []
    before = server.rss_mb
    begun = [asyncio.Event() for _ in range(OPEN)]
    pages = [asyncio.create_task(_page(server.url, cookie, seen, b)) for b in begun]
    try:
        for page_began in begun:
            await page_began.wait()
        after = server.rss_mb
        made: dict[str, float] = {}
        for _ in range(int(bench.seconds * 2.5) * A_SECOND):
            began = time.monotonic()
            made[await _make(services, assignment)] = began
            await asyncio.sleep(max(0.0, 1 / A_SECOND - (time.monotonic() - began)))
        await asyncio.sleep(3)
    finally:
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        await services.close()
    times = sorted((at - made[id]) * 1000 for id, at in seen if id in made)
    wanted = len(made) * OPEN
    cuts = statistics.quantiles(times, n=100)
    note = f"{len(made)} changes, {len(times)} of {wanted} told; from before the write"
    return [
        Figure("live", f"change to event, {OPEN} pages of one unit", len(times) / wanted * 100, "% told", cuts[49], cuts[94],
               cuts[98], aim="p95 ≤ 1 000 ms", note=note),
        Figure("live", "memory of one open page", (after - before) * 1000 / OPEN, "KB", note=f"{before:.0f} → {after:.0f} MB in two processes"),
    ]  # fmt: skip


async def _page(url: str, cookie: str, seen: list[tuple[str, float]], begun: asyncio.Event) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"GET /work/events?list=unit&all=1 HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    try:
        while line := await reader.readline():
            at = time.monotonic()
            if not line.startswith(b"data:"):
                continue
            begun.set()
            seen += [(id.decode(), at) for id in _IDS.findall(line)]
    finally:
        writer.close()


async def _make(services: Any, assignment: Any) -> str:
    from sammanhang.access.writing import Changes
    from sammanhang.fhir.r4 import Reference
    from sammanhang.kernel import clock
    from sammanhang.work import tasks
    from sammanhang.work.deadlines import deadline
    from sammanhang.work.moving import MOVER
    from sammanhang.work.units import units_of

    units = await units_of(services.database)
    unit, at = units.by_id[assignment.unit], clock.now()
    task: Any = tasks.new_task(
        "message", patient="svea-andersson", owner=unit.id, owner_name=unit.name, function="sjukskoterska",
        focus=Reference(reference="ServiceRequest/bench"), deadline=deadline("message", "asap", at, unit.calendar),
        priority="asap", requester=Reference(display="Bench"), at=at,
    )  # fmt: skip
    changes = Changes.by_system(services.doors, MOVER, "svea-andersson", (unit.provider, unit.id))
    made = changes.create(task)
    await changes.commit("task-create")
    return (made.reference or "").removeprefix("Task/")


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"live": run}))
