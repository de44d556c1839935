"""Reads the trace forward from where it last was and keeps what is worth a look as cases (R36).

The place is kept per chain: a chain belongs to one database session and has no gaps, so what comes after the
last block read is exactly what is new, in whatever order several processes commit. A batch's cases, figures
and places are one transaction: nothing is skipped, and nothing is taken twice.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import psycopg

from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.store.trace import Entry, SyncChain, entries_in

from .keeping import Found, keep_cases, keep_counts, keep_places, keep_recent
from .known import Known
from .patterns import Hit, Windows, emergency, hits, rules
from .sample import Candidate, Sample

LOCK = 7223372036854775806  # any number of our own, for pg_try_advisory_lock
BATCH = 4000  # blocks taken in one transaction
AHEAD = 20_000  # blocks read ahead, over all chains
SLACK = timedelta(minutes=60)  # how long after its time an entry may still come
log = logging.getLogger("sammanhang.review")

Place = tuple[datetime, int, int, bytes]
"""A block of the trace: its time, chain, number in the chain, entries."""


@dataclass
class Report:
    """What one run did. `busy` when another process was at it, and nothing was done."""

    blocks: int = 0
    entries: int = 0
    cases: int = 0
    unreadable: int = 0
    busy: bool = False


async def keep_finding(dsn: str, seconds: float) -> None:
    """Goes through what is new in the trace at intervals; of several processes, whoever comes first."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(find, dsn)
        except psycopg.Error as e:
            log.warning("the log was not gone through: %s", type(e).__name__)
        except Exception:
            log.exception("the log was not gone through")  # and is tried again next time


def find(
    dsn: str, progress: Callable[[int], None] | None = None, *, now: datetime | None = None
) -> Report:
    """Goes through all that is new in the trace. Raises psycopg.Error; what was taken in then stays."""
    report = Report()
    options = "-c role=sammanhang_writer -c jit=off -c enable_seqscan=off"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        got = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
        if not got or not got[0]:
            report.busy = True
            return report
        try:
            run = _Run(connection, report, now or datetime.now(UTC))
            source = blocks_after(connection)
            while batch := list(islice(source, BATCH)):
                run.take(batch)
                if progress is not None:
                    progress(report.entries)
            run.end()
        finally:
            # at once: the server notices a closed connection a moment later, and the next run would find it busy
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
    return report


@dataclass(frozen=True, slots=True)
class Standing:
    """When the trace was last gone through (None: never), how many cases wait, since when there is a trace."""

    last: datetime | None
    waiting: int
    since: datetime | None


def standing(dsn: str) -> Standing:
    """How log review stands. Raises psycopg.Error."""
    with psycopg.connect(dsn, options="-c role=sammanhang_writer") as connection:
        row = connection.execute(
            "SELECT (SELECT max(ended) FROM access.review_run),"
            " (SELECT count(*) FROM access.review_case WHERE state <> 'done'),"
            " (SELECT min(opened) FROM audit.chain)"
        ).fetchone()
    assert row is not None
    return Standing(*row)


def blocks_after(connection: psycopg.Connection[Any]) -> Iterator[Place]:
    """What is new in every chain, about in order of time; with bounded memory."""
    rows = connection.execute(
        "SELECT c.chain, coalesce(u.seq, 0) FROM audit.chain c LEFT JOIN access.review_cursor u USING (chain)"
        " WHERE EXISTS (SELECT FROM audit.block b WHERE b.chain = c.chain AND b.seq > coalesce(u.seq, 0))"
    ).fetchall()
    page = max(20, min(BATCH, AHEAD // max(1, len(rows))))
    return heapq.merge(*(_chain(connection, chain, seq, page) for chain, seq in rows))


def _chain(connection: psycopg.Connection[Any], chain: int, seq: int, page: int) -> Iterator[Place]:
    while True:
        rows = connection.execute(
            "SELECT at, chain, seq, entries FROM audit.block WHERE chain = %s AND seq > %s ORDER BY seq LIMIT %s",
            (chain, seq, page),
        ).fetchall()
        yield from rows
        if len(rows) < page:
            return
        seq = rows[-1][2]


def _longest() -> timedelta:
    """The longest span of a pattern that counts."""
    minutes = []
    for pattern in ("many-patients", "refused-repeatedly"):
        said = rules(pattern)
        minutes += [said["minutes"], *(r["minutes"] for r in said.get("roles", {}).values())]
    return timedelta(minutes=max(minutes))


@dataclass
class _Batch:
    """What one batch of blocks comes to."""

    cases: dict[tuple[str, str, str, date], Found] = field(default_factory=dict)
    tally: dict[tuple[str, date, str, str], int] = field(default_factory=dict)
    people: set[tuple[str, date, str, str]] = field(default_factory=set)
    recent: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    candidates: dict[tuple[str, date, str, str, str], Candidate] = field(default_factory=dict)


class _Run:
    """One run: the windows of those active lately, and what is known of people, live as long as it does."""

    def __init__(self, connection: psycopg.Connection[Any], report: Report, now: datetime) -> None:
        self.connection, self.report, self.now = connection, report, now
        settings = content("rules/log_review")
        self.accesses = frozenset(settings["accesses"])
        self.oldest = (now - timedelta(days=settings["look_back_days"])).date()
        self.span = _longest()
        self.known = Known(connection)
        self.sample = Sample(connection)
        self.chain = SyncChain(connection)
        self.latest = datetime(1970, 1, 1, tzinfo=UTC)
        self.windows = Windows(
            connection.execute("SELECT kind, actor, what, at FROM access.review_recent").fetchall()
        )
        self._found: dict[tuple[Any, ...], list[Hit]] = {}

    def take(self, blocks: list[Place]) -> None:
        """Takes in a batch: one transaction."""
        places: dict[int, int] = {}
        entries: list[Entry] = []
        for _at, chain, seq, lines in blocks:
            places[chain] = max(seq, places.get(chain, 0))
            try:
                entries += entries_in(lines)
            except msgspec.MsgspecError:
                self.report.unreadable += 1  # `audit verify` says which and why
                log.error("block %s of chain %s cannot be read", seq, chain)
        self.report.blocks += len(blocks)
        self.report.entries += len(entries)
        concerning = [
            e for e in entries if e.actor.startswith("Practitioner/") and e.patient and e.provider
        ]
        self.known.about(
            {e.actor for e in concerning},
            {e.patient for e in concerning if e.patient},
            {e.assignment for e in concerning if e.assignment},
        )
        batch = _Batch()
        self._found.clear()
        for e in concerning:
            self._look(e, batch)
        with self.connection.transaction():
            self._keep(batch, len(entries))
            keep_places(self.connection, places)
        self.chain.done()
        self.windows.forget(self.latest - self.span - SLACK)

    def _keep(self, batch: _Batch, entries: int) -> None:
        self.sample.take(batch.candidates.values())
        new = keep_cases(self.connection, batch.cases)
        self.report.cases += new
        keep_counts(self.connection, batch.tally, batch.people, self.now, entries, new)
        keep_recent(self.connection, batch.recent, self.latest - self.span - SLACK)
        if new:
            with self.connection.cursor() as cursor:
                self.chain.append(
                    cursor, actor="system:log-review", action="review-find", details={"cases": new}
                )

    def _look(self, e: Entry, batch: _Batch) -> None:
        """One entry about a patient by a member of staff."""
        at = datetime.fromisoformat(e.at)
        self.latest = max(self.latest, at)
        day = day_of(e.at)
        provider, unit, patient = e.provider or "", e.unit or "", e.patient or ""
        month = day.replace(day=1)
        if e.action in self.accesses:
            what = "open"
            batch.people.add((provider, month, unit, e.actor))
        elif e.action == "refuse":
            what = f"refuse {e.rule or ''}".strip()
        elif e.action == "emergency":
            what = "emergency" if (e.details or {}).get("step") == 1 else ""
        else:
            return
        if what:
            key = (provider, month, unit, what)
            batch.tally[key] = batch.tally.get(key, 0) + 1
        if day < self.oldest:
            return
        if what == "open":
            self._opened(e, at, day, batch)
        elif e.action == "refuse":
            batch.recent[("refused-repeatedly", e.actor, f"{patient} {e.at}")] = at
            if (hit := self.windows.refused(e, at)) is not None:
                self._case(batch, e, at, day, "", [hit])
        else:
            self._case(batch, e, at, day, patient, [emergency(e)])

    def _opened(self, e: Entry, at: datetime, day: date, batch: _Batch) -> None:
        provider, unit, patient = e.provider or "", e.unit or "", e.patient or ""
        same = (e.actor, patient, provider, unit, e.rule, e.purpose)
        found = self._found.get(same)
        if found is None:
            found = self._found[same] = hits(
                e, self.known.actor(e.actor), self.known.patient(patient, provider)
            )
        if found:
            self._case(batch, e, at, day, patient, found)
        access = (provider, day, unit, e.actor, patient)
        if access not in batch.candidates:
            batch.candidates[access] = Candidate(
                provider, day, unit, e.actor, e.assignment or "", patient, at
            )
        kept = ("many-patients", e.actor, patient)
        batch.recent[kept] = max(at, batch.recent.get(kept, at))
        hit = self.windows.opened(e, at, self.known.role(e.assignment))
        if hit is not None:
            self._case(batch, e, at, day, "", [hit])

    def _case(
        self, batch: _Batch, e: Entry, at: datetime, day: date, patient: str, found: list[Hit]
    ) -> None:
        key = (e.provider or "", e.actor, patient, day)
        case = batch.cases.get(key)
        if case is None:
            case = batch.cases[key] = Found(e.unit or "", e.assignment or "", at, at)
        case.add(at, found)

    def end(self) -> None:
        """Closes the draws of days that are over, and notes that the log was gone through."""
        closes = timedelta(minutes=rules("random-sample")["closes_minutes_after_midnight"])
        today = (self.now - closes).astimezone(STOCKHOLM).date()
        with self.connection.transaction():
            batch = _Batch()
            for c in self.sample.close(today):
                key = (c.provider, c.actor, c.patient, c.day)
                case = batch.cases.setdefault(key, Found(c.unit, c.assignment, c.at, c.at))
                # the access itself was counted when it was read, if another pattern fitted
                case.reasons["random-sample"] = Hit(
                    "random-sample", rules("random-sample")["weight"]
                )
            self._keep(batch, 0)
        self.chain.done()


_days: dict[str, date] = {}


def day_of(at: str) -> date:
    """The day, as people in the region mean it, of a time of the trace."""
    hour = at[:13]
    found = _days.get(hour)
    if found is None:
        if len(_days) > 5000:
            _days.clear()
        found = _days[hour] = (
            datetime.fromisoformat(f"{hour}:00:00+00:00").astimezone(STOCKHOLM).date()
        )
    return found
