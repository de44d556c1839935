"""The region into a database: several processes, each loading slices of residents.

The people of the stories are loaded last, in one transaction: where Svea is, the region is whole.
A creation that was killed is taken up where it stopped by the next one with the same arguments.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice
from typing import Any

import psycopg

from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.errors import SammanhangError

from .days import TODAY
from .directory import organisations
from .generate import residents as residents_between
from .staff import named_people, role_name, staff
from .stories import cast, stories

SLICE = 250
"""Residents a process takes at a time; small, so that processes finish together."""
RESIDENTS_PER_PROCESS = 1000
PER_RESIDENT, PER_REGION = 36.5, 15_200
"""About how many resources there are, for the progress bar only."""
LAST = "svea-andersson"
PARENTS = ("sara-lindgren", "jonas-lindgren", "lars-andersson")


@dataclass(frozen=True, slots=True)
class RegionReport:
    """How many resources the creation wrote, and the seconds it took."""

    resources: int
    seconds: float


class RegionNotCreated(SammanhangError):
    """A process that was loading the region stopped; starting again takes it up where it stopped."""


def region_exists(dsn: str) -> bool:
    """Whether the database holds a whole region."""
    return _holds(dsn, "Patient", LAST)


def create_region(
    dsn: str,
    residents: int,
    seed: int,
    progress: Callable[..., Any] | None = None,
    *,
    today: date = TODAY,
    processes: int | None = None,
) -> RegionReport:
    """Loads the region of a seed into a migrated database that holds none, or not a whole one.

    `progress` is called with `done` and `total` resources. Raises `RegionNotCreated` when a worker
    fails, psycopg.Error when this process's own part does.
    """
    from sammanhang.store.bulk import load

    began = time.monotonic()
    resume = _holds_anything(dsn)
    total = round(residents * PER_RESIDENT) + PER_REGION
    workers = processes or min(os.cpu_count() or 1, 1 + residents // RESIDENTS_PER_PROCESS)
    context = multiprocessing.get_context("spawn")
    taken = context.Value("q", 0)
    counts = context.Array("q", workers, lock=False)

    def seen(own: int) -> None:
        counts[0] = own
        if progress is not None:
            done = sum(counts)
            progress(done=done, total=max(total, done))

    helpers = [
        context.Process(
            target=_work,
            args=(dsn, residents, seed, today.toordinal(), resume, taken, counts, place),
            daemon=True,
        )
        for place in range(1, workers)
    ]
    for helper in helpers:
        helper.start()
    try:
        common = chain(organisations(), staff(seed, residents))
        mine = chain(common, _taking(residents, seed, today, taken))
        first = load(dsn, _new(dsn, mine, resume), progress=seen)
        for helper in helpers:
            while helper.is_alive():
                helper.join(0.2)
                seen(first)
            if helper.exitcode:
                raise RegionNotCreated(
                    "A process that was loading the region stopped before it was done; start again.",
                    "En process som läste in regionen stannade innan den var klar; starta om.",
                )
    finally:
        for helper in helpers:
            if helper.is_alive():
                helper.terminate()
    last = load(dsn, _new(dsn, stories(seed, residents, today=today, enrolled=False), resume))
    loaded = first + sum(counts[1:]) + last
    return RegionReport(loaded, time.monotonic() - began)


def login_table(dsn: str) -> list[tuple[str, str, str, str]]:
    """Who one can log in as in the demo: kind, name, role, what to choose; empty without a region.

    Staff choose an assignment (a unit), residents stand with their identity number.
    """
    if not region_exists(dsn):
        return []
    rows = []
    for person in named_people().values():
        for at in person.assignments:
            if not at.ended:
                name = f"{person.given} {person.family}"
                rows.append(("staff", name, role_name(at.role), at.unit.name))
    people = cast()
    for id in (LAST, *PARENTS):
        who = people[id]
        guardian = any(who in other.guardians for other in people.values())
        role = "resident, guardian of Greta" if guardian else "resident"
        rows.append(("resident", who.name, role, f"{who.identity[:8]}-{who.identity[8:]}"))
    return rows


def _work(
    dsn: str,
    residents: int,
    seed: int,
    today: int,
    resume: bool,
    taken: Any,
    counts: Any,
    place: int,
) -> None:
    """A helper process: loads slices until none is left."""
    from sammanhang.store.bulk import load

    def seen(own: int) -> None:
        counts[place] = own

    mine = _taking(residents, seed, date.fromordinal(today), taken)
    counts[place] = load(dsn, _new(dsn, mine, resume), progress=seen)


def _taking(total: int, seed: int, today: date, taken: Any) -> Iterator[Any]:
    """Residents' resources, slice by slice, each slice taken by one process only."""
    while True:
        with taken.get_lock():
            start = taken.value
            taken.value = start + SLICE
        if start >= total:
            return
        yield from residents_between(seed, total, start, min(start + SLICE, total), today=today)


def _new(dsn: str, resources: Iterable[Any], resume: bool) -> Iterator[Any]:
    """The resources, without those that an interrupted creation has already stored."""
    if not resume:
        yield from resources
        return
    stream = iter(resources)
    with _connect(dsn) as connection:
        while batch := list(islice(stream, 2000)):
            selves = {self_hash(type(r).__name__, r.id): r for r in batch}
            there = connection.execute(
                "SELECT self FROM store.resource WHERE self = ANY(%s)", (list(selves),)
            )
            known = {row[0] for row in there}
            yield from (r for key, r in selves.items() if key not in known)


def _connect(dsn: str) -> psycopg.Connection[Any]:
    # The writer owns the tables and is not held back by row-level security.
    return psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_writer")


def _holds_anything(dsn: str) -> bool:
    with _connect(dsn) as connection:
        return connection.execute("SELECT 1 FROM store.resource LIMIT 1").fetchone() is not None


def _holds(dsn: str, kind: str, id: str) -> bool:
    with _connect(dsn) as connection:
        found = connection.execute(
            "SELECT 1 FROM store.resource WHERE self = %s LIMIT 1", (self_hash(kind, id),)
        )
        return found.fetchone() is not None
