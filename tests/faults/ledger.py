"""What clients were told, and whether the record agrees."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

from sammanhang.access.audit import verify
from sammanhang.fhir.decode import index, trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.store.types import NAME


@dataclass
class Ledger:
    """Acknowledged writes: (type, id, version) → the mark its content carries, None for a deletion.

    `asked` counts requests by kind; `unknown` those whose answer never came or was a fault.
    """

    acknowledged: dict[tuple[str, str, int], str | None] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{'':14}{'asked':>8}{'acknowledged':>14}{'no answer':>11}"]
        for kind in sorted(self.asked):
            lost = self.asked[kind] - self.answered[kind]
            lines.append(f"{kind:14}{self.asked[kind]:8}{self.answered[kind]:14}{lost:11}")
        lines.append("killed: " + ", ".join(f"{k} {n}×" for k, n in sorted(self.kills.items())))
        lines.append("answers that were no success: " + (str(dict(self.refused)) or "none"))
        return "\n".join(lines)


def mark_of(body: bytes) -> str | None:
    """The mark a test resource carries in its first identifier."""
    return json.loads(body)["identifier"][0]["value"]  # type: ignore[no-any-return]


def faults(dsn: str, ledger: Ledger, group_size: int) -> list[str]:
    """Everything that is not as it must be, one sentence each."""
    found: list[str] = []
    with psycopg.connect(dsn) as connection:
        versions = _versions(connection, found)
        for key, mark in ledger.acknowledged.items():
            if key not in versions:
                found.append(f"Lost: {key} was acknowledged and is not there.")
            elif versions[key] != mark:
                found.append(f"Changed: {key} holds {versions[key]}, acknowledged was {mark}.")
        _unbroken(versions, found)
        _search_values(connection, found)
        _events_and_audit(connection, versions, found)
        _transactions_whole(versions, group_size, found)
    report = verify(dsn)
    found += report.faults
    return found


def _versions(
    connection: psycopg.Connection[Any], found: list[str]
) -> dict[tuple[str, str, int], str | None]:
    """Every version the record holds and its mark; complains of one that stands twice."""
    versions: dict[tuple[str, str, int], str | None] = {}
    for number, id, version, body in connection.execute(
        "SELECT type, id, version, body FROM store.resource"
        " UNION ALL SELECT type, id, version, body FROM store.history"
    ):
        key = (NAME[number], id, version)
        if key in versions:
            found.append(f"Twice: {key}.")
        versions[key] = mark_of(body) if body is not None else None
    return versions


def _unbroken(versions: dict[tuple[str, str, int], str | None], found: list[str]) -> None:
    numbers: dict[tuple[str, str], list[int]] = {}
    for kind, id, version in versions:
        numbers.setdefault((kind, id), []).append(version)
    for key, those in numbers.items():
        if sorted(those) != list(range(1, len(those) + 1)):
            found.append(f"A gap in the history of {key}: {sorted(those)}.")


def _search_values(connection: psycopg.Connection[Any], found: list[str]) -> None:
    """Tokens and side rows of every resource are those its content gives; none is an orphan's."""
    sides = {
        "string": "slot, folded, value",
        "date": "slot, low, high",
        "quantity": "slot, low, high, unit, raw_low, raw_high, raw_unit",
    }
    stored: dict[str, dict[tuple[int, int], list[Any]]] = {}
    for name, columns in sides.items():
        of: dict[tuple[int, int], list[Any]] = {}
        for self_, number, *rest in connection.execute(
            f"SELECT self, type, {columns} FROM store.{name}"
        ):
            of.setdefault((number, self_), []).append(tuple(rest))
        stored[name] = of
    for number, self_, id, tokens, body in connection.execute(
        "SELECT type, self, id, tokens, body FROM store.resource"
    ):
        kind = NAME[number]
        ix = index(trusted(body, kind))
        if self_ != self_hash(kind, id) or sorted(tokens) != sorted(ix.tokens):
            found.append(f"{kind}/{id}: its tokens are not those of its content.")
        for name, wanted in (
            ("string", ix.strings),
            ("date", ix.dates),
            ("quantity", ix.quantities),
        ):
            if sorted(stored[name].pop((number, self_), [])) != sorted(wanted):
                found.append(f"{kind}/{id}: its rows in store.{name} are not those of its content.")
    for name, left in stored.items():
        if left:
            found.append(f"store.{name} holds rows of {len(left)} resources that are not there.")


def _events_and_audit(
    connection: psycopg.Connection[Any],
    versions: dict[tuple[str, str, int], str | None],
    found: list[str],
) -> None:
    """One event and one audit entry for every version, and none for anything else."""
    events = Counter(
        (NAME[n], id, v)
        for n, id, v in connection.execute("SELECT type, id, version FROM store.event")
    )
    for key in versions.keys() - events.keys():
        found.append(f"No event: {key}.")
    for key in events.keys() - versions.keys():
        found.append(f"An event of nothing: {key}.")
    found += [f"{n} events: {key}." for key, n in events.items() if n > 1]
    audited: Counter[str] = Counter()
    for said in (
        json.loads(line)
        for (lines,) in connection.execute("SELECT entries FROM audit.block")
        for line in lines.splitlines()
    ):
        if said["action"] not in ("create", "update", "delete", "transaction"):
            continue
        if said.get("outcome", "ok") != "ok":
            continue
        if said["action"] == "transaction":
            audited.update(change.partition(" ")[2] for change in said["details"]["changes"])
        else:
            audited[said["what"]] += 1
    wanted = Counter(f"{kind}/{id}" for kind, id, _ in versions)
    for what in wanted.keys() | audited.keys():
        if wanted[what] != audited[what]:
            found.append(f"{what}: {wanted[what]} versions, {audited[what]} audit entries.")


def _transactions_whole(
    versions: dict[tuple[str, str, int], str | None], size: int, found: list[str]
) -> None:
    groups = Counter(m.split("/")[0] for m in versions.values() if m is not None and "/" in m)
    for group, there in groups.items():
        if there != size:
            found.append(f"Half a transaction: {there} of {size} resources of {group}.")
