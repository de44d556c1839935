"""What there is to load: files found, cut into parts, and the job that remembers how far each came."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sammanhang.kernel.errors import Invalid

LINES = (".ndjson", ".jsonl")
WHOLE = (".json",)
EXPORT = "sammanhang-export"
STAGES = (("past",), ("load", "current"))
_CHUNK = 4 * 1024 * 1024
_SMALLEST, _LARGEST = 1024 * 1024, 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one file. `position` is the byte that comes next, `line` the number of its line.

    `mode` is `load` (resources as they come, which get version 1 and the present time), `current`
    or `past` (of an export, which keep their versions and times).
    """

    number: int
    file: str
    mode: str
    stop: int
    position: int
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file to load."""

    path: Path
    mode: str

    @property
    def lines(self) -> bool:
        """Whether it holds one resource or bundle a line; else it is one JSON text."""
        return _suffix(self.path) in LINES

    @property
    def packed(self) -> bool:
        return self.path.suffix == ".gz"


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of an export folder; None for anything else."""
    try:
        found = json.loads((path / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == EXPORT else None


def sources(path: Path) -> list[Source]:
    """The files behind a path, in order. Raises `Invalid` when there is nothing to load."""
    if manifest(path) is not None:
        past = [Source(p, "past") for p in sorted(path.glob("history/*.ndjson"))]
        found = past + [Source(p, "current") for p in sorted(path.glob("[A-Z]*.ndjson"))]
    elif path.is_dir():
        files = (
            p
            for p in sorted(path.rglob("*"))
            if p.is_file() and not any(x.startswith(".") for x in p.relative_to(path).parts)
        )
        found = [Source(p, "load") for p in files if _suffix(p) in LINES + WHOLE]
    else:
        found = [Source(path, "load")] if _suffix(path) in LINES + WHOLE else []
    if not found and manifest(path) is None:
        raise Invalid(
            f"{path} holds nothing to load: .ndjson and .json files are taken, also as .gz.",
            f"{path} innehåller inget att läsa in: .ndjson och .json tas emot, även som .gz.",
        )
    return found


def digest(path: Path, found: list[Source], owner: str | None) -> str:
    """What makes two loads the same: the path, its files as they are now, and the owner."""
    h = hashlib.sha256(f"{path.absolute()}|{owner or ''}".encode())
    for source in found:
        stat = source.path.stat()
        h.update(f"|{source.path}|{stat.st_size}|{stat.st_mtime_ns}".encode())
    return h.hexdigest()


def cut(found: list[Source], processes: int) -> Iterator[Part]:
    """The parts: files of lines cut at line ends so that the processes end together."""
    total = sum(s.path.stat().st_size for s in found)
    size = min(_LARGEST, max(_SMALLEST, total // (processes * 8)))
    number = 0
    for source in found:
        length = source.path.stat().st_size
        if not length:
            continue
        stretches = (
            _stretches(source.path, size)
            if source.lines and not source.packed and length > size
            else [(0, 1, -1 if source.packed else length)]
        )
        for start, line, stop in stretches:
            yield Part(number, str(source.path), source.mode, stop, start, line)
            number += 1


def _stretches(path: Path, size: int) -> Iterator[tuple[int, int, int]]:
    """(first byte, number of its line, byte after the last) of stretches of about `size` bytes."""
    start, line, lines, at = 0, 1, 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            end = chunk.rfind(b"\n") + 1
            lines += chunk.count(b"\n")
            if end and at + end - start >= size:
                yield start, line, at + end
                start, line = at + end, 1 + lines
            at += len(chunk)
    if at > start:
        yield start, line, at


def sample(found: list[Source], lines: int = 100) -> tuple[float, int]:
    """(bytes of a resource, resources) as the first lines let one guess; for bars and processes."""
    size = count = 0
    for source in found:
        with gzip.open(source.path) if source.packed else source.path.open("rb") as file:
            try:
                while lines and (text := file.readline(1_000_000)):
                    size += len(text)
                    count += max(1, text.count(b'"resourceType"') - (b'"Bundle"' in text[:200]))
                    lines -= 1
            except OSError:
                continue
        if not lines:
            break
    each = size / count if count else 1.0
    return each, round(sum(s.path.stat().st_size for s in found) / max(each, 1.0))


def open_job(
    connection: psycopg.Connection[Any],
    path: Path,
    found: list[Source],
    owner: str | None,
    processes: int,
) -> tuple[int, bool]:
    """(job, whether it was begun before): the unfinished one for the same files, or a new one."""
    source = digest(path, found, owner)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (source,))
        row = connection.execute(
            "SELECT job FROM store.load_job WHERE source = %s AND finished IS NULL", (source,)
        ).fetchone()
        if row is not None:
            return row[0], True
        row = connection.execute(
            "INSERT INTO store.load_job (source, path, owner) VALUES (%s, %s, %s) RETURNING job",
            (source, str(path.absolute()), owner),
        ).fetchone()
        assert row is not None
        job: int = row[0]
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY store.load_part (job, number, file, mode, stop, position, line) FROM STDIN"
            ) as copy,
        ):
            for p in cut(found, processes):
                copy.write_row((job, p.number, p.file, p.mode, p.stop, p.position, p.line))
    return job, False


def parts_left(connection: psycopg.Connection[Any], job: int, stage: tuple[str, ...]) -> list[Part]:
    """The parts of a stage that are not done, each from where it stands."""
    rows = connection.execute(
        "SELECT number, file, mode, stop, position, line FROM store.load_part"
        " WHERE job = %s AND mode = ANY(%s) AND NOT done ORDER BY number",
        (job, list(stage)),
    ).fetchall()
    return [Part(*r) for r in rows]
