"""Everything the record holds, as open files: what a customer takes along to another system (M149).

    manifest.json          counts, sha256 of every file, versions; written last, so it marks a whole export
    TYPE.ndjson            current versions, the bytes that are stored (Binary holds media)
    history/TYPE.ndjson    superseded versions and deletions, with time, owner and labels
    owners.ndjson          owners of resources that do not carry them in their tags
    parties.ndjson         care providers and units that own anything
    audit/                 the trace: chains, blocks of entries with their hashes, seals
    access/                API clients (secrets as argon2id hashes), declared reasons, emergencies, lifted blocks
    content/, settings.json  forms, rules and texts as they are; settings in force but secrets

Read from one snapshot, so all of it is true at one moment. `store.load` takes the folder back. Not
exported: log-ins under way with what apps were granted in them, and signing keys, which a new
installation makes itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from sammanhang import __version__
from sammanhang.kernel import content
from sammanhang.kernel.errors import Conflict
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.kernel.settings import ROWS, Settings

from .kept import ACCESS, TRACE
from .loading.plan import EXPORT
from .loading.restoring import PastVersion
from .types import NAME, table

_AT_A_TIME = 2000
_json = msgspec.json.Encoder()
Progress = Callable[[int, int], Any]


@dataclass
class ExportReport:
    """What an export wrote: current resources, and lines by file."""

    resources: int = 0
    files: dict[str, int] = field(default_factory=dict)


class _Tag(msgspec.Struct):
    system: str | None = None
    code: str | None = None


class _Meta(msgspec.Struct):
    tag: list[_Tag] = []


class _Tagged(msgspec.Struct):
    meta: _Meta | None = None


_tagged = msgspec.json.Decoder(_Tagged)


class _Folder:
    """Writes files and keeps what the manifest says of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, dict[str, Any]] = {}

    @contextmanager
    def lines(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A file of lines; left out when none is written."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        count = 0
        with target.open("wb", buffering=1 << 20) as file:

            def write(line: bytes) -> None:
                nonlocal count
                file.write(line)
                file.write(b"\n")
                digest.update(line)
                digest.update(b"\n")
                count += 1

            yield write
        if count:
            self.files[name] = {"lines": count, "sha256": digest.hexdigest()}
        else:
            target.unlink()

    def copy(self, source: Path, name: str) -> None:
        """Copies a folder of files as they are."""
        for file in sorted(p for p in source.rglob("*") if p.is_file()):
            target = self.path / name / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            self._whole(target)

    def text(self, name: str, value: Any) -> None:
        target = self.path / name
        target.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        self._whole(target)

    def _whole(self, target: Path) -> None:
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        self.files[target.relative_to(self.path).as_posix()] = {"sha256": digest}


def export_all(dsn: str, folder: Path, progress: Progress | None = None) -> ExportReport:
    """Writes everything to `folder`, which must be empty or absent; memory stays flat.

    Raises `Conflict` when the folder holds something, psycopg.Error when the database goes away.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(
            f"{folder} is not empty; export to a new folder.",
            f"{folder} är inte tom; exportera till en ny mapp.",
        )
    report = ExportReport()
    out = _Folder(folder)
    settings = Settings.load()
    started = datetime.now(UTC)
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        parties = _parties(connection, out)
        report.resources = _resources(connection, out, parties, progress)
        _history(connection, out, parties)
        _trace(connection, out)
        _access(connection, out)
        row = connection.execute("SELECT name FROM public.migration ORDER BY name DESC").fetchone()
    out.copy(content.FOLDER, "content")
    out.text("settings.json", {
        n: str(v) if isinstance(v := getattr(settings, n), Path) else v
        for n, r in ROWS.items() if not r.secret
    })  # fmt: skip
    report.files = {name: about.get("lines", 1) for name, about in out.files.items()}
    manifest = {
        "format": EXPORT,
        "version": 1,
        "software": __version__,
        "migration": row[0] if row else None,
        "fhirVersion": "4.0.1",
        "base": settings.base_url.rstrip("/") + "/fhir/",
        "started": started.isoformat(),
        "resources": report.resources,
        "files": out.files,
    }
    aside = folder / "manifest.json.new"
    aside.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / "manifest.json")
    return report


def _stream(connection: psycopg.Connection[Any], sql: str, args: Any = ()) -> Iterator[Any]:
    """Rows of a query, a few thousand at a time."""
    with connection.cursor("export", binary=True) as cursor:
        cursor.itersize = _AT_A_TIME
        cursor.execute(sql, args)
        yield from cursor


def _parties(connection: psycopg.Connection[Any], out: _Folder) -> dict[int | None, str | None]:
    names: dict[int | None, str | None] = {None: None}
    with out.lines("parties.ndjson") as write:
        for number, id in connection.execute("SELECT number, id FROM store.party ORDER BY number"):
            names[number] = id
            write(_json.encode({"id": id}))
    return names


def _resources(
    connection: psycopg.Connection[Any],
    out: _Folder,
    parties: dict[int | None, str | None],
    progress: Progress | None,
) -> int:
    counts = connection.execute(
        "SELECT type, count(*) FROM store.resource GROUP BY type ORDER BY type"
    ).fetchall()
    total = sum(n for _, n in counts)
    done = 0
    with out.lines("owners.ndjson") as owner:
        for number, _ in counts:
            name = NAME[number]
            rows = _stream(
                connection,
                f"SELECT id, provider, unit, body FROM {table(name)} WHERE type = %s ORDER BY updated, self",
                (number,),
            )
            with out.lines(f"{name}.ndjson") as write:
                for id, provider, unit, body in rows:
                    write(body)
                    own = (parties[provider], parties[unit])
                    if own != (None, None) and own != _tags(body):
                        line = {"type": name, "id": id, "provider": own[0], "unit": own[1]}
                        owner(_json.encode(line))
                    done += 1
                    if progress is not None and done % _AT_A_TIME == 0:
                        progress(done, total)
    return total


def _tags(body: bytes) -> tuple[str | None, str | None]:
    """The owner a resource names itself."""
    provider = unit = None
    meta = _tagged.decode(body).meta
    for tag in meta.tag if meta is not None else ():
        if tag.system == PROVIDER:
            provider = tag.code
        elif tag.system == UNIT:
            unit = tag.code
    return provider, unit


def _history(
    connection: psycopg.Connection[Any], out: _Folder, parties: dict[int | None, str | None]
) -> None:
    types = connection.execute("SELECT DISTINCT type FROM store.history ORDER BY type").fetchall()
    for (number,) in types:
        name = NAME[number]
        rows = _stream(
            connection,
            "SELECT id, version, updated, method, patient, also, provider, unit, labels, body"
            " FROM store.history WHERE type = %s ORDER BY updated, self, version",
            (number,),
        )
        with out.lines(f"history/{name}.ndjson") as write:
            for id, version, updated, method, patient, also, provider, unit, labels, body in rows:
                past = PastVersion(
                    type=name, id=id, version=version, updated=updated.astimezone(UTC),
                    method=method, patient=patient, also=also, provider=parties[provider],
                    unit=parties[unit], labels=labels, resource=msgspec.Raw(body or b"null"),
                )  # fmt: skip
                write(_json.encode(past))


def _trace(connection: psycopg.Connection[Any], out: _Folder) -> None:
    """The audit trail; hashes in hexadecimal, entries as the very text that was hashed."""
    for name, columns, order in TRACE:
        names = columns.split(", ")
        with out.lines(f"audit/{name}.ndjson") as write:
            for row in _stream(connection, f"SELECT {columns} FROM audit.{name} ORDER BY {order}"):
                line = dict(zip(names, row, strict=True))
                for column in ("genesis", "hash"):
                    if column in line:
                        line[column] = line[column].hex()
                if "entries" in line:
                    line["entries"] = line["entries"].decode()
                write(_json.encode(line))


def _access(connection: psycopg.Connection[Any], out: _Folder) -> None:
    for name, columns, _key in ACCESS:
        names = columns.split(", ")
        with out.lines(f"access/{name}.ndjson") as write:
            for row in _stream(connection, f"SELECT {columns} FROM access.{name} ORDER BY 1"):
                cells = (c.hex() if isinstance(c, bytes) else c for c in row)
                write(_json.encode(dict(zip(names, cells, strict=True))))
