"""Resources into the record, a few thousand to a transaction, with the part's new position in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from sammanhang.fhir.decode import decode, encode, trusted
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Issue, SammanhangError
from sammanhang.store import write
from sammanhang.store.bulk import BulkWriter
from sammanhang.store.connection import array
from sammanhang.store.copying import Batch
from sammanhang.store.rows import Row, row_of, stamp
from sammanhang.store.types import COMMON, NUMBER, table

from .plan import Part
from .reading import Found, Refused, made_id
from .restoring import PastVersion

PER_TRANSACTION = 4000
BYTES_PER_TRANSACTION = 32 * 1024 * 1024
_TRIES = 6
_AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
_OTHERS_CHANGED_IT = ("SH001", "SH002", "SH003")
_past = msgspec.json.Decoder(PastVersion)


class Overtaken(Exception):
    """Another process moved this part on meanwhile; nothing of the transaction is kept."""


@dataclass
class Counts:
    """What became of resources."""

    loaded: int = 0
    changed: int = 0
    skipped: int = 0
    rejected: int = 0


@dataclass(slots=True)
class _Taken:
    """A row on its way: where it came from, and what decides how it is written."""

    line: int
    entry: int
    row: Row
    method: int = 1
    past: bool = False


@dataclass
class _Known:
    """What the record holds of a resource already. `body` None means that it is deleted."""

    id: str
    version: int
    updated: datetime
    body: bytes | None


class Loader:
    """Writes what one process loads. `take` a resource, `commit` when `full` or at a part's end."""

    def __init__(self, dsn: str, job: int, *, owner: str | None, base: str = "") -> None:
        self.writer = BulkWriter(dsn, actor="system:load")
        self.connection = self.writer.connection
        self.job, self.owner, self.base = job, owner, base
        self.days_after: int = content("rules/care_relation")["days_after_visit"]
        self.commits = 0
        self._clear()

    def _clear(self) -> None:
        self._rows: list[_Taken] = []
        self._refused: list[tuple[int, int, str]] = []
        self._keys: set[tuple[str | None, str | None]] = set()
        self._bytes = 0
        now = datetime.now(UTC)
        self._now = now.replace(microsecond=now.microsecond // 1000 * 1000)

    @property
    def full(self) -> bool:
        return len(self._rows) >= PER_TRANSACTION or self._bytes >= BYTES_PER_TRANSACTION

    def clashes(self, found: Iterable[Found | Refused]) -> bool:
        """Whether one of these has the id of a row that waits: it must be written first."""
        keys = self._keys
        return any((f.type, f.id) in keys for f in found)

    def refuse(self, part: Part, line: int, refused: Refused) -> None:
        """Keeps the reason for the list of what was refused."""
        self._refused.append(_report(part, line, refused))

    def take(self, part: Part, line: int, found: Found) -> None:
        """Checks a resource and puts it in line, or among the refused."""
        try:
            resource = decode(found.body, found.type if found.type in TYPE_NAMES else None)
            name = type(resource).__name__
            id = found.id or resource.id or made_id(f"{part.file}|{line}", found.body)
            if part.mode == "current":
                row, method = self._as_it_was(resource, found.body)
            else:
                row, method = self._row(resource, id, 0, self._now), 1
        except SammanhangError as e:
            issues = e.issues or (Issue(e.code, found.type or "", e.sv, e.en),)
            return self.refuse(part, line, Refused(found.entry, found.type, found.id, issues))
        key = (name, id)
        if key in self._keys:
            issue = Issue(
                "duplicate", name, "Id:t förekommer två gånger i samma bundle.",
                "The id stands twice in the same bundle.",
            )  # fmt: skip
            return self.refuse(part, line, Refused(found.entry, name, id, (issue,)))
        self._keys.add(key)
        self._rows.append(_Taken(line, found.entry, row, method))
        self._bytes += len(row.body or b"")

    def take_past(self, part: Part, line: int, body: bytes) -> None:
        """Puts a superseded version or a deletion of an export in line, as it was."""
        try:
            row, method = _past.decode(body).row()
        except (msgspec.DecodeError, ValueError, KeyError) as e:
            issue = Issue("structure", "", f"Raden kan inte läsas: {e}", f"Unreadable line: {e}")
            return self.refuse(part, line, Refused(-1, None, None, (issue,)))
        self._rows.append(_Taken(line, -1, row, method, past=True))
        self._bytes += len(row.body or b"")

    def _row(self, resource: Any, id: str, expected: int, updated: datetime) -> Row:
        row = row_of(
            resource, id, expected, updated, base=self.base, days_after=self.days_after
        )  # fmt: skip
        if row.provider is None and self.owner is not None:
            self._own(row, self.owner, None)
        return row

    @staticmethod
    def _own(row: Row, provider: str | None, unit: str | None) -> None:
        if row.type not in COMMON and row.type != "Patient":
            row.provider, row.unit = provider, unit

    def _as_it_was(self, resource: Any, body: bytes) -> tuple[Row, int]:
        """The row of an export's current version: its version, time and bytes stay."""
        meta = resource.meta
        version = meta.versionId if meta is not None else None
        if meta is None or version is None or not version.isdigit() or meta.lastUpdated is None:
            text = "Versionen i en export ska ha meta.versionId och meta.lastUpdated."
            raise Conflict("An export's version needs meta.versionId and meta.lastUpdated.", text)
        updated = datetime.fromisoformat(meta.lastUpdated)
        row = self._row(resource, resource.id, int(version) - 1, updated)
        row.body = body.strip()
        return row, 1 if row.version == 1 else 2

    # writing

    def commit(self, part: Part, position: int, line: int, *, done: bool = False) -> Counts:
        """Writes what waits and moves the part, in one transaction; what became of the resources.

        Raises `Overtaken` when somebody else moved the part, psycopg.Error when the database does
        not take it; nothing is kept then.
        """
        counts = None
        for attempt in range(_TRIES):
            try:
                counts = self._commit(part, position, line, done)
                break
            except psycopg.Error as e:
                again = isinstance(e, _AGAIN) or e.sqlstate in _OTHERS_CHANGED_IT
                if isinstance(e, errors.DataError) and not isinstance(e, _AGAIN):
                    self._sort_out(part)
                elif not again or attempt == _TRIES - 1:
                    raise
                else:
                    time.sleep(0.02 * attempt)
        assert counts is not None
        self.commits += 1
        self._clear()
        return counts

    def _commit(self, part: Part, position: int, line: int, done: bool) -> Counts:
        counts = Counts()
        refused = list(self._refused)
        batch = Batch()
        rewrite: list[tuple[Row, Any]] = []
        with self.connection.transaction(), self.connection.cursor() as cursor:
            known = self._known(cursor)
            owners = self._owners(cursor) if part.mode == "current" else {}
            for taken in self._rows:
                row = taken.row
                if (row.type, row.self) in owners:
                    self._own(row, *owners[row.type, row.self])
                there = known.get((row.type, row.self, 0))
                if taken.past:
                    lives = (
                        there is not None and there.body is not None
                    )  # with a history of its own
                    if lives or (row.type, row.self, row.version) in known:
                        counts.skipped += 1
                    else:
                        batch.add_past(row, *self._parties(row), taken.method)
                        counts.loaded += 1
                elif there is None:
                    batch.add(row, table(row.type), *self._parties(row), taken.method)
                    counts.loaded += 1
                elif there.id != row.id:
                    refused.append(_clash(part, taken, there))
                elif self._same(row, there, part.mode):
                    counts.skipped += 1
                else:
                    rewrite.append((row, there))
            counts.changed = len(rewrite)
            counts.rejected = len(refused)
            counts.loaded += counts.changed
            self._move(cursor, part, position, line, done, counts, refused)
            for row, there in rewrite:
                self._put(cursor, row, there)
            written = counts.loaded
            if written:
                details = {"file": part.file, "resources": written, "job": self.job}
                self.writer.copy(cursor, batch, details)
        if written:
            self.writer.done(written)
        return counts

    def _parties(self, row: Row) -> tuple[int | None, int | None]:
        return self.writer.party(row.provider), self.writer.party(row.unit)

    def _move(
        self, cursor: Any, part: Part, position: int, line: int, done: bool, c: Counts,
        refused: list[tuple[int, int, str]],
    ) -> None:  # fmt: skip
        cursor.execute(
            "UPDATE store.load_part SET position = %s, line = %s, done = %s, loaded = loaded + %s,"
            " changed = changed + %s, skipped = skipped + %s, rejected = rejected + %s"
            " WHERE job = %s AND number = %s AND position = %s AND NOT done",
            (
                position, line, done, c.loaded, c.changed, c.skipped, c.rejected,
                self.job, part.number, part.position,
            ),
        )  # fmt: skip
        if cursor.rowcount != 1:
            raise Overtaken
        if refused:
            with cursor.copy(
                "COPY store.load_refused (job, number, line, entry, report) FROM STDIN"
            ) as copy:
                for at, entry, report in refused:
                    copy.write_row((self.job, part.number, at, entry, report))

    def _known(self, cursor: Any) -> dict[Any, _Known]:
        """What the record holds of the rows that wait, by (type, self, 0); of past versions by
        (type, self, version)."""
        by_table: dict[str, list[int]] = {}
        for taken in self._rows:
            by_table.setdefault(table(taken.row.type), []).append(taken.row.self)
        names = {NUMBER[t.row.type]: t.row.type for t in self._rows}
        known: dict[Any, _Known] = {}
        for name, selves in by_table.items():
            cursor.execute(
                f"SELECT type, self, id, version, updated, body FROM {name}"
                " WHERE self = ANY(%s::bigint[])",
                (array(selves),),
            )
            for number, self_, *rest in cursor:
                known[names.get(number), self_, 0] = _Known(*rest)
        selves = [t.row.self for t in self._rows]
        cursor.execute(
            "SELECT type, self, version, id, updated, method FROM store.history"
            " WHERE self = ANY(%s::bigint[]) ORDER BY version",
            (array(selves),),
        )
        current = set(known)
        for number, self_, version, id, updated, method in cursor:
            key = (names.get(number), self_, 0)
            known[names.get(number), self_, version] = _Known(id, version, updated, None)
            if method == 3 and key not in current:
                known[key] = _Known(id, version, updated, None)
        return known

    def _owners(self, cursor: Any) -> dict[tuple[str, int], tuple[str | None, str | None]]:
        """Owners of an export's resources that do not carry them themselves."""
        cursor.execute(
            "SELECT o.type, o.self, p.id, u.id FROM store.load_owner o"
            " LEFT JOIN store.party p ON p.number = o.provider"
            " LEFT JOIN store.party u ON u.number = o.unit WHERE o.job = %s AND o.self = ANY(%s)",
            (self.job, [t.row.self for t in self._rows]),
        )
        names = {NUMBER[t.row.type]: t.row.type for t in self._rows}
        return {(names[n], s): (p, u) for n, s, p, u in cursor if n in names}

    @staticmethod
    def _same(row: Row, there: _Known, mode: str) -> bool:
        if there.body is None or row.body is None:
            return False
        if mode == "current" and row.body == there.body:
            return True
        resource = trusted(row.body, row.type)
        stamp(resource, row.id, there.version, there.updated)
        return encode(resource) == there.body

    def _put(self, cursor: Any, row: Row, there: _Known) -> None:
        """A new version on top of what is there, with its history and event."""
        assert row.body is not None
        next_ = self._row(trusted(row.body, row.type), row.id, there.version, self._now)
        self._own(next_, row.provider, row.unit)
        cursor.execute(write.PUT, (*write.arguments(next_, *self._parties(next_)), *write.NO_BLOCK))

    def _sort_out(self, part: Part) -> None:
        """The database refused the data of some row: finds which, by trying each alone."""
        kept = []
        for taken in self._rows:
            batch = Batch()
            try:
                batch.add(taken.row, table(taken.row.type), None, None)
                with self.connection.transaction(force_rollback=True):
                    for statement, data in batch.statements():
                        with self.connection.cursor().copy(statement) as copy:
                            copy.write(data)
            except errors.DataError as e:
                said = str(e.diag.message_primary)
                issue = Issue("processing", taken.row.type, f"Databasen: {said}", said)
                row = taken.row
                self.refuse(part, taken.line, Refused(taken.entry, row.type, row.id, (issue,)))
                continue
            except errors.UniqueViolation:
                pass
            kept.append(taken)
        self._rows = kept

    def moved(self, part: Part) -> Part | None:
        """The part as it stands in the database; None when it is done."""
        self._clear()
        row = self.connection.execute(
            "SELECT position, line FROM store.load_part WHERE job = %s AND number = %s AND NOT done",
            (self.job, part.number),
        ).fetchone()
        return replace(part, position=row[0], line=row[1]) if row is not None else None

    def close(self) -> None:
        self.connection.close()


def _report(part: Part, line: int, refused: Refused) -> tuple[int, int, str]:
    """A row of store.load_refused: (line, entry, the reason as JSON)."""
    report = {
        "file": part.file,
        "line": line,
        "entry": refused.entry if refused.entry >= 0 else None,
        "resourceType": refused.type,
        "id": refused.id,
        "issue": [
            {n: getattr(i, n) for n in ("severity", "code", "expression", "sv", "en")}
            for i in refused.issues
        ],
    }
    text = msgspec.json.encode({k: v for k, v in report.items() if v is not None}).decode()
    return line, refused.entry, text


def _clash(part: Part, taken: _Taken, there: _Known) -> tuple[int, int, str]:
    row = taken.row
    text = f"{row.type}/{row.id}"
    issue = Issue(
        "conflict", row.type, f"{text} har samma nyckel som {there.id}.",
        f"{text} has the same key as {there.id}.",
    )  # fmt: skip
    return _report(part, taken.line, Refused(taken.entry, row.type, row.id, (issue,)))
