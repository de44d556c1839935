"""What every benchmark stands on: its database and servers, its questions' answers, its report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = HERE / ".data"
sys.path[:0] = [str(ROOT / "src"), str(HERE)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(HERE)])

import psycopg  # noqa: E402
from psycopg import sql  # noqa: E402
from psycopg.conninfo import make_conninfo  # noqa: E402

GENERATOR = ROOT.parent / "shared" / "bench" / "generate.py"
CONCURRENCY = 8
PORT = 8765


@dataclass
class Figure:
    """One row of the report. Times are in milliseconds; `floor` is in the figure's own unit."""

    question: str
    what: str
    value: float
    unit: str
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    floor: float | None = None
    aim: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    def cells(self) -> list[str]:
        return [
            self.what, f"{_number(self.value)} {self.unit}",
            *("" if p is None else f"{p:.1f}" for p in (self.p50, self.p95, self.p99)),
            "" if self.floor is None else _number(self.floor),
            "" if self.ratio is None else f"{self.ratio:.0%}", self.aim, self.note,
        ]  # fmt: skip


HEADINGS = ["", "figure", "p50 ms", "p95 ms", "p99 ms", "floor", "of floor", "aim", ""]


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.1f}"


def table(figures: list[Figure]) -> str:
    """Figures as lines of aligned columns."""
    rows = [HEADINGS, *(f.cells() for f in figures)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:7], widths[1:7], strict=True)]
        lines.append("  ".join([*cells, row[7].ljust(widths[7]), row[8]]).rstrip())
    return "\n".join(lines)


def markdown(figures: list[Figure], about: dict[str, Any]) -> str:
    """The same as a Markdown table for the documentation."""
    lines = [
        f"Measured {about['at'][:10]} on {about['cores']} cores ({about['machine']}), "
        f"PostgreSQL {about['postgresql']}, Python {about['python']}; client on the same machine, "
        f"concurrency {CONCURRENCY}, two server processes, fsync on.",
        "",
        "| " + " | ".join(["Work", *HEADINGS[1:8], "Note"]) + " |",
        "|" + "---|" * len(HEADINGS),
    ]
    return "\n".join([*lines, *("| " + " | ".join(f.cells()) + " |" for f in figures)]) + "\n"


@dataclass
class Server:
    """A server under test: its address, a bearer token for it, and its process."""

    url: str
    token: str
    process: subprocess.Popen[str]

    @property
    def rss_mb(self) -> float:
        """Memory of all its processes."""
        pids = [self.process.pid, *_children(self.process.pid)]
        pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(p) for p in text.split()]


@dataclass
class Bench:
    """One run: its options, and what its questions share."""

    quick: bool = False
    minutes: float = 10.0
    patients: int = 50_000
    tasks: int = 1_000_000
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _ports: Iterator[int] = field(default_factory=lambda: iter(range(PORT, PORT + 1000)))

    @property
    def seconds(self) -> float:
        """How long one measurement lasts."""
        return 2.0 if self.quick else 8.0

    @cached_property
    def administration(self) -> str:
        """The connection string of the benchmarks' own durable PostgreSQL."""
        from sammanhang.operate.database import EmbeddedDatabase

        DATA.mkdir(exist_ok=True)
        (DATA / "db").mkdir(exist_ok=True)
        return self.stack.enter_context(EmbeddedDatabase(DATA / "db")).dsn("postgres")

    def database(self, name: str, *, fresh: bool = True) -> tuple[str, bool]:
        """(connection string of a migrated database, whether it is new)."""
        from sammanhang.store.migrate import migrate

        dsn = make_conninfo(self.administration, dbname=name)
        with psycopg.connect(self.administration, autocommit=True) as c:
            query = "SELECT FROM pg_database WHERE datname = %s"
            there = c.execute(query, (name,)).fetchone() is not None
            if there and fresh:
                c.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            if fresh or not there:
                c.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrate(dsn)
        return dsn, fresh or not there

    @cached_property
    def bundles(self) -> Path:
        """The common load: bundles of 101 resources, one a line."""
        return generated(1000, 42)

    @cached_property
    def common(self) -> str:
        """A database that holds the common load."""
        from sammanhang.store.load import load_path

        dsn, _ = self.database("common")
        load_path(dsn, self.bundles, processes=2, rejected=DATA / "rejected.ndjson")
        settle(dsn)
        return dsn

    @contextlib.contextmanager
    def server(
        self, dsn: str, application: str = "sammanhang.web.app:create_app", processes: int = 2
    ) -> Iterator[Server]:
        """A server as in production: worker processes, uvloop, httptools, real bearer tokens."""
        port = next(self._ports)
        url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "SAMMANHANG_DATABASE_URL": dsn, "SAMMANHANG_PORT": str(port),
            "SAMMANHANG_PROCESSES": str(processes), "SAMMANHANG_LOG_LEVEL": "warning",
            "SAMMANHANG_SESSION_IDLE_MINUTES": "600", "SAMMANHANG_SESSION_LOCK_MINUTES": "600",
        }  # fmt: skip
        log = DATA / "server.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "_serve.py"), application], env=environment,
                stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT,
            )  # fmt: skip
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "ready\n":
            if not line:
                raise SystemExit(f"The server {application} did not start; see {log}.")
        try:
            yield Server(url, _token(dsn, url, application), process)
        finally:
            process.terminate()
            process.wait()


def _token(dsn: str, url: str, application: str) -> str:
    if "floor" in application:
        return "none"
    import httpx

    from sammanhang.access.clients import demo_client

    answer = httpx.post(
        url + "/oauth/token", auth=demo_client(dsn, demo=True),
        data={"grant_type": "client_credentials"}, timeout=20,
    )  # fmt: skip
    return str(answer.json()["access_token"])


def generated(patients: int, seed: int) -> Path:
    """Bundles of the common load's generator, made once for each size and seed."""
    folder = DATA / f"common-{patients}-{seed}"
    if not (folder / "manifest.json").exists():
        if not GENERATOR.exists():
            raise SystemExit(f"The generator of the common load is not at {GENERATOR}.")
        subprocess.run(
            [sys.executable, str(GENERATOR), "--patients", str(patients), "--seed", str(seed),
             "--out", str(folder)], check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return folder / "bundles.ndjson"


def settle(dsn: str) -> None:
    """Statistics and visibility as autovacuum would leave them, and nothing left to write out."""
    with psycopg.connect(dsn, autocommit=True) as c:
        c.execute("VACUUM (ANALYZE)")
        c.execute("CHECKPOINT")


def column(dsn: str, query: str, *args: Any) -> list[Any]:
    """The first column of a query's rows."""
    with psycopg.connect(dsn) as c:
        return [r[0] for r in c.execute(query, args)]


def about(bench: Bench) -> dict[str, Any]:
    """Where and when the figures were taken."""
    with psycopg.connect(bench.administration) as c:
        version = c.info.server_version // 10_000
    model = next(
        (x.partition(":")[2].strip() for x in Path("/proc/cpuinfo").read_text().splitlines()
         if x.startswith("model name")), platform.machine(),
    )  # fmt: skip
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": model,
        "postgresql": version,
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "quick": bench.quick,
    }


def ask(questions: dict[str, Callable[[Bench], list[Figure]]], bench: Bench) -> list[Figure]:
    """Asks the questions one after the other; prints and keeps the answers."""
    figures: list[Figure] = []
    with bench.stack:
        facts = about(bench)
        for name, run in questions.items():
            began = time.monotonic()
            print(f"\n── {name}: {(run.__doc__ or '').splitlines()[0]}", flush=True)
            answers = run(bench)
            print(table(answers), flush=True)
            print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
            figures += answers
            _keep(figures, facts)
    return figures


def _keep(figures: list[Figure], facts: dict[str, Any]) -> None:
    """Puts the answers among those of earlier runs; a question asked again replaces its answers."""
    file = DATA / "results.json"
    try:
        earlier = json.loads(file.read_text("utf-8"))["figures"]
    except (OSError, ValueError, KeyError):
        earlier = []
    asked = {f.question for f in figures}
    kept = [Figure(**f) for f in earlier if f["question"] not in asked] + figures
    result = {"about": facts, "figures": [asdict(f) for f in kept]}
    file.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (DATA / "results.md").write_text(markdown(kept, facts), "utf-8")


def main(
    questions: dict[str, Callable[[Bench], list[Figure]]], arguments: list[str] | None = None
) -> int:
    """The command line of all questions, or of one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="questions; all when none is named")
    parser.add_argument("--quick", action="store_true", help="short runs, small sizes")
    parser.add_argument("--minutes", type=float, help="how long the churn lasts (10; quick: 0.5)")
    parser.add_argument(
        "--patients", type=int, help="largest size of `size` (50 000; quick: 5 000)"
    )
    parser.add_argument(
        "--tasks", type=int, help="tasks of `work_faults` (1 000 000; quick: 20 000)"
    )
    parser.add_argument("--list", action="store_true", help="print the questions")
    given = parser.parse_args(arguments)
    unknown = [n for n in given.names if n not in questions]
    if given.list or unknown:
        if unknown:
            print(f"No such question: {', '.join(unknown)}. There are:")
        for name, run in questions.items():
            print(f"  {name:12} {(run.__doc__ or '').splitlines()[0]}")
        return 2 if unknown else 0
    bench = Bench(
        given.quick,
        given.minutes if given.minutes is not None else (0.5 if given.quick else 10.0),
        given.patients or (5000 if given.quick else 50_000),
        given.tasks or (20_000 if given.quick else 1_000_000),
    )
    ask({n: questions[n] for n in given.names or questions}, bench)
    print(f"\nKept in {(DATA / 'results.json').relative_to(ROOT)} and results.md beside it.")
    return 0
