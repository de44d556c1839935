"""Do the index, the history and autovacuum hold their speed under minutes of updates and deletes?"""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from _bench import Bench, Figure, Server
from _drive import Requests, Result, begin, drive, mean, result_of, wrk
from _records import JSON, creates, ids, observation, series

STRETCH = 15.0


def run(bench: Bench) -> list[Figure]:
    """Updates, deletes and creates for `--minutes`, with searches beside them, stretch by stretch."""
    dsn = bench.common
    stretch = min(STRETCH, bench.minutes * 60 / 3)
    count = max(3, round(bench.minutes * 60 / stretch))
    before = _state(dsn)
    rows: list[tuple[Result, Result, dict[str, Any]]] = []
    with bench.server(dsn) as server:
        print(f"   {'s':>4} {'writes/s':>8} {'p99 ms':>7} {'search p50':>10} {'p95':>6} {'GIN MB':>7} "
              f"{'heap MB':>8} {'history':>8} {'events':>8} {'dead':>8} {'autovacuums':>11}")  # fmt: skip
        began = time.monotonic()
        for number in range(count):
            writes, searches = _stretch(dsn, server, stretch, number)
            state = _state(dsn)
            rows.append((writes, searches, state))
            print(
                f"   {time.monotonic() - began:4.0f} {writes.per_second:8.0f} {writes.p99:7.1f} "
                f"{searches.p50:10.2f} {searches.p95:6.2f} {state['gin']:7.1f} {state['heap']:8.1f} "
                f"{state['history']:8.1f} {state['event']:8.1f} {state['dead']:8.0f} "
                f"{state['vacuums'] - before['vacuums']:11.0f}", flush=True,
            )  # fmt: skip
    return _figures(rows, before)


def _stretch(dsn: str, server: Server, seconds: float, number: int) -> tuple[Result, Result]:
    """(writes at concurrency 6, searches at concurrency 2) over the same seconds."""
    writes = _writes(dsn, number).with_token(server.token)
    searches = series(dsn)[0].with_token(server.token)
    program = wrk()
    if program is None:
        return drive(server.url, writes, seconds), drive(server.url, searches, 2.0)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first = begin(program, server.url, writes, seconds, 6, Path(one))
        second = begin(program, server.url, searches, seconds, 2, Path(two))
        return result_of(first.communicate()[0]), result_of(second.communicate()[0])


def _writes(dsn: str, number: int) -> Requests:
    """70 % updates, 15 % deletes (an update brings what was deleted back), 15 % creates."""
    chance = random.Random(number)
    patients = ids(dsn, "patient", 1000)
    choices = []
    for id in ids(dsn, "observation", 4000):
        body = json.dumps(observation(chance.choice(patients), chance.randrange(50, 110), id=id))
        body = body.replace("8867-4", "9279-1")
        choices.append(("PUT", f"/fhir/Observation/{id}", body.encode()))
        if chance.random() < 0.21:
            choices.append(("DELETE", f"/fhir/Observation/{id}", b""))
    # of another kind than is searched for: the searches' answers are to stay as long as they were
    made = [(m, p, b.replace(b"8867-4", b"9279-1")) for m, p, b in creates(dsn)[0].choices]
    choices += chance.sample(made, min(850, len(made)))
    chance.shuffle(choices)
    return Requests(choices, JSON)


def _state(dsn: str) -> dict[str, float]:
    """Sizes in MB, dead rows, and how often autovacuum came."""
    query = """
        SELECT (SELECT sum(pg_relation_size(i.indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'gin') / 1e6 AS gin,
               pg_relation_size('store.observation') / 1e6 AS heap,
               pg_total_relation_size('store.history') / 1e6 AS history,
               pg_total_relation_size('store.event') / 1e6 AS event,
               (SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = 'store') AS dead,
               (SELECT sum(autovacuum_count) FROM pg_stat_user_tables WHERE schemaname = 'store') AS vacuums
    """
    with psycopg.connect(dsn) as c:
        cursor = c.execute(query)
        row = cursor.fetchone()
        assert row is not None and cursor.description is not None
        return {d.name: float(v or 0) for d, v in zip(cursor.description, row, strict=True)}


def _figures(
    rows: list[tuple[Result, Result, dict[str, Any]]], before: dict[str, float]
) -> list[Figure]:
    third = max(1, len(rows) // 3)
    figures = []
    for what, place in (("writes", 0), ("searches beside them", 1)):
        for when, some in (("first third", rows[:third]), ("last third", rows[-third:])):
            result = mean([r[place] for r in some])
            figures.append(result.figure("churn", f"{what}, {when}"))
    after = rows[-1][2]
    done = sum(r[0].requests for r in rows)
    for name, what in (("gin", "GIN indexes"), ("heap", "heap of observations"), ("history", "history"), ("event", "events")):  # fmt: skip
        figures.append(
            Figure(
                "churn", f"size of {what}", after[name], "MB", note=f"before: {before[name]:.1f} MB"
            )
        )
    vacuums = after["vacuums"] - before["vacuums"]
    note = f"after {done} writes; {after['dead']:.0f} dead rows wait"
    figures.append(Figure("churn", "autovacuum runs", vacuums, "", note=note))
    return figures


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"churn": run}))
