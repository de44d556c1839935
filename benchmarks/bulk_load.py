"""How fast does `sammanhang load` load, and in how much memory?"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from _apps import _RawBundle, prepare_floor
from _bench import DATA, Bench, Figure, _children, generated

AIM = 25_000


def run(bench: Bench) -> list[Figure]:
    """Bulk load of bundles, validated, on two processes; floor: bare COPY of the same bodies."""
    from sammanhang.store.load import load_path

    path = generated(1000, 42)
    dsn, _ = bench.database("bulk")
    floor = bare_copy(dsn, path)
    peak = Peak()
    report = load_path(dsn, path, processes=2, rejected=DATA / "rejected.ndjson")
    first = peak.stop()
    figures = [
        Figure(
            "bulk_load", "bulk load", report.loaded / report.seconds, "resources/s", floor=floor,
            aim=f"≥ {AIM:,}".replace(",", " "),
            note=f"{report.loaded} loaded, {report.rejected} refused, {report.seconds:.1f} s, {first:.0f} MB",
        )
    ]  # fmt: skip
    if not bench.quick:
        folder = DATA / "bulk-5"
        folder.mkdir(exist_ok=True)
        for seed in range(101, 106):
            link = folder / f"{seed}.ndjson"
            link.unlink(missing_ok=True)
            link.symlink_to(generated(1000, seed))
        peak = Peak()
        more = load_path(dsn, folder, processes=2, rejected=DATA / "rejected.ndjson")
        most = peak.stop()
        figures.append(
            Figure(
                "bulk_load", "  five times as much", more.loaded / more.seconds, "resources/s",
                note=f"{more.loaded} loaded, {most:.0f} MB: {most / first:.2f}× the memory",
            )
        )  # fmt: skip
    again = load_path(dsn, path, processes=2, rejected=DATA / "rejected.ndjson")
    figures.append(
        Figure(
            "bulk_load", "  the same again", again.skipped / again.seconds, "resources/s",
            note=f"{again.skipped} found to be there already, {again.loaded} written",
        )
    )  # fmt: skip
    return figures


class Peak:
    """The most memory the loading processes hold at once, in MB, until stopped."""

    def __init__(self) -> None:
        self._most, self._done = 0.0, False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._done:
            total = 0
            for pid in _children(os.getpid()):
                try:
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if b"spawn_main" in command:
                        total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
                except OSError:
                    continue
            self._most = max(self._most, total / 1e6)
            time.sleep(0.05)

    def stop(self) -> float:
        self._done = True
        self._thread.join()
        return self._most


def bare_copy(dsn: str, path: Path) -> float:
    """Resources a second by COPY of (id, body) into a bare table, by two processes."""
    prepare_floor(dsn)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2) as pool:
        pool.starmap(
            _copy, [(dsn, path, place, 0) for place in range(2)]
        )  # warm: started, imported
        began = time.monotonic()
        counts = pool.starmap(_copy, [(dsn, path, place, None) for place in range(2)])
        took = time.monotonic() - began
    return sum(counts) / took


def _copy(dsn: str, path: Path, place: int, most: int | None) -> int:
    import msgspec

    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_RawBundle)
    count = 0
    with psycopg.connect(dsn, autocommit=True) as c, path.open("rb") as file:
        mine = islice(file, place, most, 2)
        while lines := list(islice(mine, 40)):
            rows = []
            for number, line in enumerate(lines):
                for entry, e in enumerate(decoder.decode(line).entry):
                    rows.append(
                        f"{place}-{count}-{number}-{entry}\t\\\\x{bytes(e.resource).hex()}\n"
                    )
            with c.cursor().copy("COPY public.bare FROM STDIN") as copy:
                copy.write("".join(rows))
            count += len(rows)
    return count


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"bulk_load": run}))
