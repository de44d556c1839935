"""How an audit entry is kept: its form, its place in a hash chain, and its row.

What is to be recorded, and when, is `access.audit`; this is only the storing of it, here because
every write and every bulk load stores entries in its own transaction.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from sammanhang.fhir.indexing import self_hash

encoder = msgspec.json.Encoder(order="deterministic")


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing somebody did or was refused.

    at          when (UTC)
    actor       who: `Practitioner/…`, `Patient/…`, `client:…` or `system:…`
    action      read, vread, history, search, create, update, delete, everything, login, refuse …
    assignment  the staff assignment in force (PractitionerRole id)
    unit        HSA-id of the assignment's unit; `provider` that of its care provider
    patient     id of the patient whose record it concerns
    what        the resource or route: `Observation/123/_history/1`, a search with its parameters
    rule        the access rule that let it through or refused it
    purpose     the reason the person gave, or the purpose of the assignment
    outcome     ok, or the reason it came to nothing
    count       how many resources the answer held
    request     id that ties the entries of one request together
    """

    at: str
    actor: str
    action: str
    assignment: str | None = None
    unit: str | None = None
    provider: str | None = None
    patient: str | None = None
    what: str | None = None
    rule: str | None = None
    purpose: str | None = None
    outcome: str = "ok"
    count: int | None = None
    request: str | None = None
    details: dict[str, Any] | None = None


def stamp(at: datetime) -> str:
    """A time as entries write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(previous: bytes, chain: int, seq: int, body: bytes) -> bytes:
    """The hash of an entry: over the hash before it, its place, and its bytes."""
    return hashlib.sha256(previous + b"%d|%d|" % (chain, seq) + body).digest()


@dataclass
class Chain:
    """The head of one session's chain."""

    chain: int
    seq: int
    head: bytes

    def next(self, entries: list[Entry]) -> tuple[list[tuple[Any, ...]], int, bytes]:
        """Rows for the entries, and the head after them; the chain itself has not moved yet."""
        rows = []
        seq, head = self.seq, self.head
        for e in entries:
            seq += 1
            body = encoder.encode(e)
            head = link(head, self.chain, seq, body)
            patient = self_hash("Patient", e.patient) if e.patient else None
            rows.append((self.chain, seq, e.at, e.actor, patient, e.action, body, head))
        return rows, seq, head


OPEN_CHAIN = (
    "INSERT INTO audit.chain (genesis) SELECT sha256(coalesce((SELECT hash FROM audit.seal"
    " ORDER BY number DESC LIMIT 1), '\\x00'::bytea) || convert_to(gen_random_uuid()::text, 'UTF8'))"
    " RETURNING chain, genesis"
)


class SyncChain:
    """A chain over a plain connection, for bulk load."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._chain: Chain | None = None
        self._after: tuple[int, bytes] | None = None

    def append(
        self, cursor: psycopg.Cursor[Any], *, actor: str, action: str, details: dict[str, Any]
    ) -> None:
        """Adds one entry in the cursor's transaction."""
        if self._chain is None:
            row = cursor.execute(OPEN_CHAIN).fetchone()
            assert row is not None
            self._chain = Chain(row[0], 0, row[1])
        entry = Entry(at=stamp(datetime.now(UTC)), actor=actor, action=action, details=details)
        rows, seq, head = self._chain.next([entry])
        cursor.execute(
            "INSERT INTO audit.entry (chain, seq, at, actor, patient, action, entry, hash)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows[0],
        )
        self._after = (seq, head)

    def done(self) -> None:
        """The transaction is committed: the head moves."""
        if self._chain is not None and self._after is not None:
            self._chain.seq, self._chain.head = self._after
