"""`load_path`: files of FHIR resources into the record, checked, whole, and from where it stopped.

Takes NDJSON (a resource or a bundle a line), a JSON file (a resource or a bundle), a folder of them,
`.gz` of any, and a folder that `store.export` wrote, which gives the same record back. A resource
that breaks a rule is listed with every fault and left out; the others are stored, each whole with its
search values, history, event and trace. A load that is broken off, however hard, goes on where it
stopped when it is started again: the place reached moves in the transaction that stores.

An id that exists already: the same content is counted as skipped, another becomes a new version.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sammanhang.kernel.errors import Conflict, Invalid

from .loading.plan import STAGES, manifest, open_job, parts_left, sample, sources
from .loading.restoring import damaged, restore_access, restore_owners, restore_trace
from .loading.working import Pool, Work, alone
from .loading.writing import Counts

# Fewer resources than this are loaded sooner than a process starts.
WORTH_A_PROCESS = 10_000
_WAIT_FOR_PREDECESSOR = 10.0


@dataclass
class LoadReport:
    """What a load did. `loaded` of them `changed` existed with other content and got a new version.

    `rejected` counts those of the whole load, also before it was broken off; the others count this
    run. `trace` says whether the audit trail of an export was put back (None: there was none).
    """

    loaded: int = 0
    rejected: int = 0
    seconds: float = 0.0
    skipped: int = 0
    changed: int = 0
    resumed: bool = False
    trace: bool | None = None


def load_path(
    dsn: str,
    path: Path,
    *,
    processes: int = 2,
    rejected: Path,
    owner: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> LoadReport:
    """Loads what is at `path`; the refused go to the file `rejected`, one a line with the reasons.

    `owner` is the HSA-id of the care provider of resources that name none in their tags. `progress`
    is told how many are done and about how many there are. Raises `Invalid` when there is nothing to
    load, `Conflict` when the same load is under way elsewhere, `Unavailable` and psycopg.Error when
    the database does not take it: start it again then.
    """
    started = time.monotonic()
    found = sources(path)
    about = sample(found)[1]
    report = LoadReport()
    counted = 0

    def tell(counts: Counts) -> None:
        nonlocal counted
        report.loaded += counts.loaded
        report.changed += counts.changed
        report.skipped += counts.skipped
        counted += counts.loaded + counts.skipped + counts.rejected
        if progress is not None:
            progress(counted, max(about, counted))

    export = manifest(path)
    if export is not None:
        wrong = damaged(path, export)
        if wrong is not None:
            raise Invalid(
                f"{path / wrong} is missing or not as the export wrote it; nothing was loaded.",
                f"{path / wrong} saknas eller har ändrats sedan exporten; inget lästes in.",
            )
        report.trace = restore_trace(dsn, path)
    options = "-c role=sammanhang_writer"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        job, report.resumed = open_job(connection, path, found, owner, processes)
        _only_one(connection, job)
        try:
            if export is not None:
                _prepare(connection, job, path)
            base = str(export.get("base", "")) if export is not None else ""
            _run(connection, Work(dsn, job, owner, base), processes, about, tell)
            connection.execute("UPDATE store.load_job SET finished = now() WHERE job = %s", (job,))
            connection.execute("DELETE FROM store.load_owner WHERE job = %s", (job,))
        finally:
            if not connection.closed and not connection.broken:
                report.rejected = _list_refused(connection, job, rejected)
        connection.execute("DELETE FROM store.load_refused WHERE job = %s", (job,))
    report.seconds = time.monotonic() - started
    return report


def _only_one(connection: psycopg.Connection[Any], job: int) -> None:
    """Waits until a run of this load that was just killed has let go; never two at once."""
    patience = time.monotonic() + _WAIT_FOR_PREDECESSOR
    while True:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 2))", (f"load {job}",)
        ).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > patience:
            raise Conflict("These files are being loaded by another process.",
                           "De här filerna läses redan in av en annan process.")  # fmt: skip
        time.sleep(0.1)


def _prepare(connection: psycopg.Connection[Any], job: int, path: Path) -> None:
    row = connection.execute(
        "SELECT prepared FROM store.load_job WHERE job = %s", (job,)
    ).fetchone()
    if row is not None and not row[0]:
        restore_owners(connection, job, path)
        restore_access(connection, path)
        connection.execute("UPDATE store.load_job SET prepared = true WHERE job = %s", (job,))


def _run(
    connection: psycopg.Connection[Any],
    work: Work,
    processes: int,
    about: int,
    tell: Callable[[Counts], None],
) -> None:
    stages = [parts_left(connection, work.job, stage) for stage in STAGES]
    helpers = min(processes, max(map(len, stages)))
    if helpers < 2 or about < WORTH_A_PROCESS:
        for parts in stages:
            alone(work, parts, tell)
        return
    with Pool(work, helpers) as pool:
        for parts in stages:
            pool.run(parts, tell)


def _list_refused(connection: psycopg.Connection[Any], job: int, file: Path) -> int:
    """Writes what was refused so far, in the order it came, in one piece; how many."""
    count = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(file.name + ".new")
    with connection.transaction(), connection.cursor("refused") as cursor:
        cursor.execute(
            "SELECT report FROM store.load_refused WHERE job = %s ORDER BY number, line, entry",
            (job,),
        )
        with aside.open("w", encoding="utf-8") as out:
            for (report,) in cursor:
                out.write(report + "\n")
                count += 1
            out.flush()
            os.fsync(out.fileno())
    aside.replace(file)
    return count
