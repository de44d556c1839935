"""An export's files that are not resources: past versions, owners, the trace, API clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from sammanhang.fhir.indexing import self_hash
from sammanhang.store.kept import ACCESS, TRACE
from sammanhang.store.rows import Row
from sammanhang.store.types import NUMBER

NOTHING = msgspec.Raw(b"null")


class PastVersion(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of `history/TYPE.ndjson`: a superseded version, or a deletion (method 3, no resource)."""

    type: str
    id: str
    version: int
    updated: datetime
    method: int
    patient: int | None = None
    also: list[int] | None = None
    provider: str | None = None
    unit: str | None = None
    labels: list[int] | None = None
    resource: msgspec.Raw = NOTHING

    def row(self) -> tuple[Row, int]:
        """(row, method). Raises ValueError for a version that cannot be."""
        body: bytes | None = bytes(self.resource)
        if body in (b"null", b""):
            body = None
        if self.method not in (1, 2, 3) or (body is None) != (self.method == 3):
            raise ValueError(f"method {self.method} does not fit its resource")
        row = Row(
            self.type, self.id, self.version - 1, self.updated, body,
            self_hash(self.type, self.id), self.patient, self.also, self.provider, self.unit,
            self.labels,
        )  # fmt: skip
        NUMBER[self.type]  # raises KeyError for a type that is none
        return row, self.method


def lines(path: Path) -> Iterator[Any]:
    """The JSON values of a file of lines; none when there is no such file."""
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                yield json.loads(line)


def restore_owners(connection: psycopg.Connection[Any], job: int, folder: Path) -> None:
    """Puts `owners.ndjson` where loading processes look owners up. Repeatable."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM store.load_owner WHERE job = %s", (job,))
        numbers: dict[str | None, int | None] = {None: None}
        parties = (line["id"] for line in lines(folder / "parties.ndjson"))
        cursor.executemany(
            "INSERT INTO store.party (id) VALUES (%s) ON CONFLICT DO NOTHING",
            [(p,) for p in parties],
        )
        numbers.update(cursor.execute("SELECT id, number FROM store.party").fetchall())
        with cursor.copy(
            "COPY store.load_owner (job, self, type, provider, unit) FROM STDIN"
        ) as copy:
            for o in lines(folder / "owners.ndjson"):
                copy.write_row((
                    job, self_hash(o["type"], o["id"]), NUMBER[o["type"]],
                    numbers[o.get("provider")], numbers[o.get("unit")],
                ))  # fmt: skip


def restore_trace(dsn: str, folder: Path) -> bool | None:
    """Puts the export's audit trail back, entry for entry, hashes and seals included.

    Only into a database that has no trace yet: an audit trail is never mixed. False when it has one
    (the export's own stays readable in its folder), None when the export holds none.
    """
    if not (folder / "audit" / "chain.ndjson").exists():
        return None
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction():
        connection.execute("LOCK TABLE audit.chain IN EXCLUSIVE MODE")
        there = connection.execute("SELECT count(*) FROM audit.chain").fetchone()
        if there != (0,):
            first: dict[str, Any] = next(lines(folder / "audit" / "chain.ndjson"), {})
            same = connection.execute(
                "SELECT FROM audit.chain WHERE chain = %s AND genesis = %s",
                (first.get("chain"), bytes.fromhex(first.get("genesis", ""))),
            )
            return same.rowcount == 1  # a load that was broken off put it back already
        for name, columns, _order in TRACE:
            names = columns.split(", ")
            with connection.cursor().copy(f"COPY audit.{name} ({columns}) FROM STDIN") as copy:
                for line in lines(folder / "audit" / f"{name}.ndjson"):
                    copy.write_row([_sql(n, line.get(n)) for n in names])
        for table, column in (("chain", "chain"), ("seal", "number")):
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('audit.{table}', '{column}'),"
                f" (SELECT greatest(max({column}), 1) FROM audit.{table}))"
            )
    return True


def restore_access(connection: psycopg.Connection[Any], folder: Path) -> None:
    """Puts back what `kept.ACCESS` lists; what exists stays as it is."""
    for name, known, key in ACCESS:
        for line in lines(folder / "access" / f"{name}.ndjson"):
            # an older export lacks the columns that came later: they get their defaults
            names = [n for n in known.split(", ") if n in line]
            values, columns = [_sql(n, line[n]) for n in names], ", ".join(names)
            places = ", ".join(["%s"] * len(names))
            if key is None:
                connection.execute(
                    f"INSERT INTO access.{name} ({columns}) SELECT {places} WHERE NOT EXISTS (SELECT"
                    f" FROM access.{name} WHERE actor = %s AND patient = %s AND declared = %s)",
                    [*values, line["actor"], line["patient"], line["declared"]],
                )
            else:
                connection.execute(
                    f"INSERT INTO access.{name} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING",
                    values,
                )


def _sql(column: str, value: Any) -> Any:
    """A JSON value of an export as its column takes it."""
    if column in ("genesis", "hash", "seed"):
        return bytes.fromhex(value)
    if column == "entries" and isinstance(value, str):
        return value.encode()
    return json.dumps(value) if isinstance(value, dict) else value


def damaged(folder: Path, manifest: dict[str, Any]) -> str | None:
    """The first file of an export that is not as it was written; None when all are."""
    for name, about in manifest.get("files", {}).items():
        try:
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != about.get("sha256"):
                    return str(name)
        except OSError:
            return str(name)
    return None
