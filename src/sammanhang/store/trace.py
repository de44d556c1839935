"""How the trace is kept: its entries, their block, the block's place in a hash chain.

What one commit makes durable is one *block*: a row that holds its entries as lines of JSON, with keys
it is found by. What is to be recorded, and when, is `access.audit`; this is only the storing of it,
here because every write and every bulk load stores its trace in its own transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import psycopg

from sammanhang.fhir.indexing import self_hash

from .connection import numbers

encoder = msgspec.json.Encoder(order="deterministic")
# What everybody does all day has no key of its own, only one together with who did it.
ROUTINE = frozenset({"read", "vread", "history", "search", "everything", "open"})


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


_entry = msgspec.json.Decoder(Entry)


def stamp(at: datetime) -> str:
    """A time as entries write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(previous: bytes, chain: int, seq: int, entries: bytes) -> bytes:
    """The hash of a block: over the hash before it, its place, and its bytes."""
    return hashlib.sha256(previous + b"%d|%d|" % (chain, seq) + entries).digest()


@lru_cache(maxsize=16384)
def _key(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big", signed=True)


def patient_key(patient: str) -> int:
    """The key of everything that concerns a patient."""
    return self_hash("Patient", patient)


def did_key(actor: str, action: str, day: date | str) -> int:
    """The key of what somebody did on a day (UTC)."""
    return _key(f"did|{actor}|{action}|{day}")


def action_key(action: str, day: date | str) -> int:
    """The key of an action that is not routine, whoever did it, on a day (UTC)."""
    return _key(f"action|{action}|{day}")


def keys_of(entries: Iterable[Entry]) -> list[int]:
    """The keys of a block, in order, each once."""
    keys = set()
    for e in entries:
        day = e.at[:10]
        keys.add(did_key(e.actor, e.action, day))
        if e.patient is not None:
            keys.add(patient_key(e.patient))
        if e.action not in ROUTINE:
            keys.add(action_key(e.action, day))
    return sorted(keys)


def entries_in(block: bytes) -> list[Entry]:
    """The entries of a block. Raises msgspec.MsgspecError when they cannot be read."""
    return [_entry.decode(line) for line in block.split(b"\n")]


class Block(NamedTuple):
    """A row of audit.block; `keys` as an array literal."""

    chain: int
    seq: int
    at: str
    keys: str
    entries: bytes
    hash: bytes


INSERT_BLOCK = (
    "INSERT INTO audit.block (chain, seq, at, keys, entries, hash) VALUES"
    " (%s::bigint, %s::bigint, %s::timestamptz, %s::bigint[], %s::bytea, %s::bytea)"
)


@dataclass
class Chain:
    """The head of one session's chain."""

    chain: int
    seq: int
    head: bytes

    def block(self, entries: list[Entry]) -> Block:
        """The block that comes next; the chain moves with `moved` when the block is durable."""
        seq = self.seq + 1
        lines = b"\n".join([encoder.encode(e) for e in entries])
        at = entries[0].at if len(entries) == 1 else max(e.at for e in entries)
        keys = numbers(keys_of(entries))
        return Block(self.chain, seq, at, keys, lines, link(self.head, self.chain, seq, lines))

    def moved(self, block: Block) -> None:
        """The block is durable: the next one follows it."""
        self.seq, self.head = block.seq, block.hash


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
        self._after: Block | None = None

    def append(
        self, cursor: psycopg.Cursor[Any], *, actor: str, action: str, details: dict[str, Any]
    ) -> None:
        """Adds one entry in the cursor's transaction."""
        if self._chain is None:
            row = cursor.execute(OPEN_CHAIN).fetchone()
            assert row is not None
            self._chain = Chain(row[0], 0, row[1])
        entry = Entry(at=stamp(datetime.now(UTC)), actor=actor, action=action, details=details)
        self._after = self._chain.block([entry])
        cursor.execute(INSERT_BLOCK, self._after)

    def done(self) -> None:
        """The transaction is committed: the head moves."""
        if self._chain is not None and self._after is not None:
            self._chain.moved(self._after)
