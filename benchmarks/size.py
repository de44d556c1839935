"""Do the chart, read, search and create cost the same at 10 and at 50 or 100 times the data?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from _bench import DATA, Bench, Figure, Server, column, generated, settle
from _drive import Requests, drive, mean
from _records import creates, reads, series, whole
from _staff import PATIENT, chart_reader, populate

QUESTIONS: dict[str, Callable[[str], tuple[Requests, Requests]]] = {
    "read by id": reads, "search of a series": series, "everything": whole, "create": creates,
}  # fmt: skip


def run(bench: Bench) -> list[Figure]:
    """Chart, read, search, everything, create at growing sizes; `--patients` sets the largest (101 each).

    A database for each size, asked in turns, so that a busy neighbour troubles all alike.
    """
    sizes = sorted({1000, min(10_000, bench.patients), bench.patients})
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        servers: dict[int, tuple[str, Server]] = {}
        for size in sizes:
            dsn, _ = bench.database(f"size_{size}", fresh=False)
            grew = grow(dsn, size)
            if grew is not None:
                figures.append(grew)
            populate(dsn)
            servers[size] = dsn, stack.enter_context(bench.server(dsn))
        for what in ("chart of 500 resources", *QUESTIONS):
            asked = {n: _requests(what, *servers[n]) for n in sizes}
            rounds = [
                {n: drive(servers[n][1].url, asked[n], bench.seconds / 2, warm=2.0) for n in sizes}
                for _ in range(2)
            ]
            results = {n: mean([r[n] for r in rounds]) for n in sizes}
            for n, result in results.items():
                cost = results[sizes[0]].per_second / result.per_second
                note = f"{cost:.2f}× the cost at the smallest"
                name = f"{what}, {n * 101:,} resources".replace(",", " ").replace("  ", ", ", 1)
                figures.append(result.figure("size", name, aim="within 1.5×", note=note))
    return figures


def _requests(what: str, dsn: str, server: Server) -> Requests:
    if what in QUESTIONS:
        return QUESTIONS[what](dsn)[0].with_token(server.token)
    cookie = chart_reader(dsn, server.url)
    return Requests([("GET", f"/patients/{PATIENT}", b"")], {"Cookie": cookie})


def grow(dsn: str, patients: int) -> Figure | None:
    """Loads until there are so many patients, a thousand with a seed of its own at a time."""
    from sammanhang.store.load import load_path

    there = column(dsn, "SELECT count(*) FROM store.patient")[0]
    if there >= patients:
        return None
    began, loaded = time.monotonic(), 0
    loading = 0.0
    for seed in range(1000 + there // 1000, 1000 + patients // 1000):
        path = generated(1000, seed)
        report = load_path(dsn, path, processes=2, rejected=DATA / "rejected.ndjson")
        loaded, loading = loaded + report.loaded, loading + report.seconds
        path.unlink()  # generated again when needed: a thousand patients are 90 MB
        (path.parent / "manifest.json").unlink()
        path.parent.rmdir()
        print(
            f"   {loaded:,} resources, {time.monotonic() - began:.0f} s".replace(",", " "),
            flush=True,
        )
    settle(dsn)
    total = column(dsn, "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n"
                        " ON n.oid = c.relnamespace WHERE nspname = 'store' AND relkind = 'r'")[0]  # fmt: skip
    return Figure(
        "size", f"loading up to {patients:,} patients".replace(",", " "), loaded / loading,
        "resources/s", note=f"{loaded:,} resources; the record takes {float(total) / 1e9:.1f} GB".replace(",", " "),
    )  # fmt: skip


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"size": run}))
