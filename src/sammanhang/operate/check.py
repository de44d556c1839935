"""`sammanhang check`: is this installation sound?"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from sammanhang.kernel.errors import Invalid
from sammanhang.kernel.settings import Settings
from sammanhang.operate.progress import Progress
from sammanhang.operate.run import open_database

_CLOCKS_APART = 2.0  # seconds; NTP keeps machines within milliseconds
CONTENT = Path(__file__).parents[3] / "content"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing looked at: what, whether it is sound, and what was found."""

    what: str
    ok: bool
    found: str


def check_all(settings: Settings) -> Iterator[Result]:
    """Look at content, database, clock, migrations and audit chain, one after another.

    Changes nothing. Raises `DatabaseUnreachable` when no database answers, after what could be
    looked at without one.
    """
    yield check_content(CONTENT)
    with open_database(settings) as dsn:
        yield Result("database", True, "answers")
        yield check_clock(dsn)
        yield _check_migrations(dsn)
        yield _check_audit(dsn)


def check_content(folder: Path) -> Result:
    """Whether every content file can be read, and every FHIR resource among them is valid."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".toml")]
    faults = [f"{path.relative_to(folder)}: {fault}" for path in files if (fault := _fault(path))]
    if faults:
        return Result("content", False, "; ".join(faults))
    return Result("content", True, f"{len(files)} files are valid")


def _fault(path: Path) -> str:
    """What is wrong with one content file; empty when nothing is."""
    try:
        text = path.read_bytes()
        if path.suffix == ".toml":
            tomllib.loads(text.decode())
            return ""
        content = json.loads(text)
    except (ValueError, OSError) as fault:
        return f"cannot be read: {fault}"
    if isinstance(content, dict) and "resourceType" in content:
        return _resource_fault(text)
    return ""


def _resource_fault(text: bytes) -> str:
    from sammanhang.fhir.decode import decode

    try:
        decode(text)
    except Invalid as fault:
        found = [f"{issue.expression}: {issue.en}" for issue in fault.issues]
        return "; ".join(found) or fault.en
    return ""


def check_clock(dsn: str, ahead: float = 0.0) -> Result:
    """Whether this machine's clock agrees with the database's: entries of the trace are put in order by it.

    `ahead` is added to this machine's clock, in seconds, for tests.
    """
    with psycopg.connect(dsn) as connection:
        began = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        ended = time.time()
    assert row is not None
    apart = abs((began + ended) / 2 + ahead - row[0])
    found = f"{apart:.1f} s from the database's"
    return Result("clock", apart <= _CLOCKS_APART + (ended - began), found)


def _check_migrations(dsn: str) -> Result:
    from sammanhang.store.migrate import pending

    waiting = pending(dsn)
    if waiting:
        return Result("migrations", False, f"not applied: {', '.join(waiting)}")
    return Result("migrations", True, "all applied")


def _check_audit(dsn: str) -> Result:
    from sammanhang.access.audit import verify

    with Progress("Verifying the audit log", "entries") as progress:
        report = verify(dsn, progress)
    if not report.ok:
        return Result("audit", False, "; ".join(report.faults))
    return Result("audit", True, f"{report.entries} entries in {report.chains} chains are whole")
