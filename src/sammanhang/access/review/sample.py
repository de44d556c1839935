"""The random sample: so many accesses per unit and month, drawn so that nobody can steer or foresee it.

Each day of a care provider has a secret seed of 32 bytes, made by the operating system's random source when
the day is first seen and stored. An access (unit, who, whose record) has a rank, its HMAC under the seed; the
lowest ranks of a unit's day are the sample. The seed also decides how many a unit gets on a day. So the draw can
be repeated from the seed and the trace, and reading the trace once is enough to make it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from bisect import insort
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg

from .patterns import rules

_WHOLE = 1 << 64


def rank(seed: bytes, unit: str, actor: str, patient: str) -> bytes:
    """Where an access stands in the draw of its day; the lowest are chosen."""
    return hmac.digest(seed, f"{unit}|{actor}|{patient}".encode(), hashlib.sha256)


def quota(seed: bytes, unit: str, day: date) -> int:
    """How many of a unit's accesses are drawn on a day: over a month as many as the content says, on average."""
    wanted: int = rules("random-sample")["per_unit_and_month"]
    whole, rest = divmod(wanted, monthrange(day.year, day.month)[1])
    drawn = int.from_bytes(hmac.digest(seed, f"quota|{unit}".encode(), hashlib.sha256)[:8], "big")
    return whole + (drawn * monthrange(day.year, day.month)[1] < rest * _WHOLE)


def chosen(
    seed: bytes, unit: str, day: date, accesses: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The sample of a unit's day, from all its accesses (who, whose record): the draw done again."""
    ranked = sorted({(rank(seed, unit, *access), access) for access in accesses})
    return [access for _, access in ranked[: quota(seed, unit, day)]]


@dataclass
class _Day:
    """A care provider's day: its seed, None when the draw is closed, and the ranks kept for each unit."""

    seed: bytes | None
    quotas: dict[str, int] = field(default_factory=dict)
    ranks: dict[str, list[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An access that may be drawn."""

    provider: str
    day: date
    unit: str
    actor: str
    assignment: str
    patient: str
    at: datetime


class Sample:
    """The draw while the trace is read; what it keeps is at most the sample itself."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._days: dict[tuple[str, date], _Day] = {}

    def take(self, candidates: Iterable[Candidate]) -> None:
        """Takes accesses in; in the caller's transaction."""
        kept: dict[tuple[str, date, str, bytes], Candidate] = {}
        for c in candidates:
            day = self._days.get((c.provider, c.day)) or self._day(c.provider, c.day)
            if day.seed is None:
                continue
            n = day.quotas.get(c.unit)
            if n is None:
                n = day.quotas[c.unit] = quota(day.seed, c.unit, c.day)
            if not n:
                continue
            ranks = day.ranks.setdefault(c.unit, [])
            own = rank(day.seed, c.unit, c.actor, c.patient)
            if own in ranks or (len(ranks) >= n and own > ranks[-1]):
                continue
            insort(ranks, own)
            kept[(c.provider, c.day, c.unit, own)] = c
            del ranks[n:]
        if kept:
            self._keep(kept)

    def _keep(self, kept: dict[tuple[str, date, str, bytes], Candidate]) -> None:
        units = {key[:3] for key in kept}
        cursor = self.connection.cursor()
        cursor.executemany(
            "INSERT INTO access.review_candidate (provider, day, unit, rank, actor, assignment, patient, at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(*key, c.actor, c.assignment, c.patient, c.at) for key, c in kept.items()],
        )
        cursor.executemany(
            "DELETE FROM access.review_candidate WHERE provider = %s AND day = %s AND unit = %s AND rank > %s",
            [(*key, self._days[key[:2]].ranks[key[2]][-1]) for key in units],
        )

    def _day(self, provider: str, day: date) -> _Day:
        self.connection.execute(
            "INSERT INTO access.review_draw (provider, day, seed) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (provider, day, secrets.token_bytes(32)),
        )
        row = self.connection.execute(
            "SELECT seed, closed FROM access.review_draw WHERE provider = %s AND day = %s",
            (provider, day),
        ).fetchone()
        assert row is not None
        found = self._days[(provider, day)] = _Day(None if row[1] is not None else bytes(row[0]))
        for unit, own in self.connection.execute(
            "SELECT unit, rank FROM access.review_candidate WHERE provider = %s AND day = %s ORDER BY rank",
            (provider, day),
        ).fetchall():
            found.ranks.setdefault(unit, []).append(bytes(own))
        return found

    def close(self, before: date) -> list[Candidate]:
        """Ends the draws of days before this one; the sample, in the caller's transaction."""
        rows = self.connection.execute(
            "WITH over AS (UPDATE access.review_draw SET closed = now() WHERE closed IS NULL AND day < %s"
            " RETURNING provider, day)"
            " DELETE FROM access.review_candidate c USING over o WHERE c.provider = o.provider AND c.day = o.day"
            " RETURNING c.provider, c.day, c.unit, c.actor, c.assignment, c.patient, c.at",
            (before,),
        ).fetchall()
        for key in [k for k in self._days if k[1] < before]:
            self._days[key].seed = None
        return [Candidate(*row) for row in rows]
