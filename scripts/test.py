"""Run the tests in the order that tells most soonest, and end with one plain sentence.

    python scripts/test.py quick    formatting, lint, types and the quick tests
    python scripts/test.py all      the same, then everything else

Tests share the machine's cores (pytest-xdist) except those marked `journey` or `alone`, which
need it to themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
SOURCES = [name for name in ("src", "tests", "scripts", "benchmarks") if (ROOT / name).exists()]
NO_TESTS_COLLECTED = 5

PARALLEL = ("-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile")
QUICK = "not slow and not journey and not alone"
SHARED = "not journey and not alone"
ALONE = "journey or alone"


@dataclass
class Count:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def main(arguments: list[str]) -> int:
    """0 when nothing failed."""
    started = time.monotonic()
    count = Count()
    faults = [name for name, command in tools() if not succeeds(name, command)]
    if arguments == ["quick"]:
        faults += pytest("quick tests", count, *PARALLEL, "-m", QUICK)
    else:
        faults += pytest("tests", count, *PARALLEL, "-m", SHARED)
        faults += pytest("tests that need the machine to themselves", count, "-m", ALONE)
    print(f"\n{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    took = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    if faults:
        print(f"Something is wrong after {took}: {', '.join(faults)}.")
        return 1
    print(f"Everything passed in {took}.")
    return 0


def tools() -> list[tuple[str, list[str]]]:
    return [
        ("formatting", [str(BIN / "ruff"), "format", "--check", "--quiet", *SOURCES]),
        ("lint", [str(BIN / "ruff"), "check", "--quiet", *SOURCES]),
        ("types", [str(BIN / "mypy"), "--no-error-summary"]),
    ]


def succeeds(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    verdict = "ok" if ended.returncode == 0 else "FAILED"
    print(f"{name}: {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
    return ended.returncode == 0


def pytest(name: str, count: Count, *options: str) -> list[str]:
    """Run pytest, add to `count`; the name in a list when something failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(BIN / "python"), "-m", "pytest", f"--junitxml={report}", *options]
        ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
        if report.exists():
            add(count, report)
    return [] if ended.returncode in (0, NO_TESTS_COLLECTED) else [name]


def add(count: Count, report: Path) -> None:
    for suite in ElementTree.parse(report).iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        count.failed += failed
        count.skipped += skipped
        count.passed += int(suite.get("tests", 0)) - failed - skipped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
