"""How fast is a worklist at 200 000 open tasks, at a unit with 5 000 of them?"""

from __future__ import annotations

from _bench import Bench, Figure
from _drive import Requests, drive
from _tasks import worked

PAGES = {
    "worklist: the unit's": "/work?list=unit",
    "worklist: what waits": "/work",
    "worklist: mine": "/work?list=mine",
    "worklist: overdue, all functions": "/work?list=unit&late=1&all=1",
    "worklist: row 3 001 and on": "/work?list=unit&all=1&from=3000",
    "worklist: counts": "/work/counts",
    "worklist: one row that changed": "/work/rows?ids=absent",
    "start page": "/",
}


def run(bench: Bench) -> list[Figure]:
    """Worklist pages of a unit with 5 000 open tasks among 200 000 of 1 000 units; one nurse at a time."""
    dsn, _ = bench.database("worklist", fresh=False)
    figures = []
    with bench.server(dsn) as server:
        _, cookie, _assignment = worked(bench, server.url)
        for what, path in PAGES.items():
            requests = Requests([("GET", path, b"")], {"Cookie": cookie})
            result = drive(server.url, requests, bench.seconds, concurrency=1)
            figures.append(result.figure("worklist", what, aim="p95 ≤ 100 ms"))
    return figures


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"worklist": run}))
