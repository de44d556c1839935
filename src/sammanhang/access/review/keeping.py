"""How what was found is kept: each a statement or two for a whole batch, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sammanhang.kernel.clock import STOCKHOLM

from .patterns import Hit

# cases: found again they grow; one that is decided opens again only when something new was found
_CASES = """
INSERT INTO access.review_case AS c (provider, actor, patient, day, unit, assignment, began, lasted, times)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::timestamptz[],
    %s::timestamptz[], %s::int[])
ON CONFLICT (provider, actor, patient, day) DO UPDATE SET began = least(c.began, excluded.began),
    lasted = greatest(c.lasted, excluded.lasted), times = c.times + excluded.times
RETURNING id, provider, actor, patient, day, (xmax = 0)
"""
# reasons: a pattern stands once in a case
_REASONS = """
INSERT INTO access.review_reason AS r (review_case, pattern, weight, details)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::jsonb[])
ON CONFLICT (review_case, pattern) DO UPDATE SET details = r.details || excluded.details,
    weight = greatest(r.weight, excluded.weight)
RETURNING review_case, pattern, (xmax = 0)
"""
_WEIGH = """
UPDATE access.review_case c SET weight = (SELECT sum(r.weight) FROM access.review_reason r WHERE r.review_case = c.id)
 WHERE c.id = ANY(%s::uuid[])
"""
# reopen: cases with a new reason, or (again) with something that happened after the decision
_REOPEN = """
WITH opened AS (
    UPDATE access.review_case SET state = 'open' WHERE state = 'done'
       AND (id = ANY(%s::uuid[]) OR id = ANY(%s::uuid[]) AND lasted > decided) RETURNING id
)
INSERT INTO access.review_step (review_case, actor, kind) SELECT id, 'system:log-review', 'reopened' FROM opened
"""
_AGAIN = frozenset({"emergency", "resident-asks"})


@dataclass
class Found:
    """What was found of one person in one record on one day."""

    unit: str
    assignment: str
    began: datetime
    lasted: datetime
    times: int = 0
    reasons: dict[str, Hit] = field(default_factory=dict)

    def add(self, at: datetime, found: Iterable[Hit]) -> None:
        """Another access with its hits; of one pattern what is said adds up."""
        self.began, self.lasted = min(self.began, at), max(self.lasted, at)
        self.times += 1
        for hit in found:
            before = self.reasons.get(hit.pattern)
            if before is not None:
                hit = Hit(
                    hit.pattern, max(hit.weight, before.weight), {**before.details, **hit.details}
                )
            self.reasons[hit.pattern] = hit


def keep_cases(
    connection: psycopg.Connection[Any], cases: Mapping[tuple[str, str, str, date], Found]
) -> int:
    """Stores cases with their reasons; how many are new."""
    if not cases:
        return 0
    # in one order everywhere, so that two who store at once do not wait for each other
    rows = [
        (*key, f.unit, f.assignment, f.began, f.lasted, f.times) for key, f in sorted(cases.items())
    ]
    stored = connection.execute(_CASES, [list(c) for c in zip(*rows, strict=True)]).fetchall()
    reasons = [
        (id, hit.pattern, hit.weight, Jsonb(hit.details))
        for id, provider, actor, patient, day, _ in stored
        for hit in cases[(provider, actor, patient, day)].reasons.values()
    ]
    kept = connection.execute(_REASONS, [list(c) for c in zip(*reasons, strict=True)]).fetchall()
    connection.execute(_WEIGH, ([row[0] for row in stored],))
    fresh = {row[0] for row in stored if row[5]}
    new = [id for id, _, added in kept if added and id not in fresh]
    again = [id for id, pattern, added in kept if not added and pattern in _AGAIN]
    if new or again:
        connection.execute(_REOPEN, (new, again))
    return len(fresh)


def keep_counts(
    connection: psycopg.Connection[Any],
    tally: Mapping[tuple[str, date, str, str], int],
    people: Iterable[tuple[str, date, str, str]],
    now: datetime,
    entries: int,
    cases: int,
) -> None:
    """Adds to the figures, and notes the day the log was gone through."""
    if tally:
        rows = [(*key, n) for key, n in sorted(tally.items())]
        connection.execute(
            "INSERT INTO access.review_tally AS t (provider, month, unit, what, n)"
            " SELECT * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[], %s::bigint[])"
            " ON CONFLICT (provider, month, unit, what) DO UPDATE SET n = t.n + excluded.n",
            [list(c) for c in zip(*rows, strict=True)],
        )
    if some := sorted(people):
        connection.execute(
            "INSERT INTO access.review_person (provider, month, unit, actor)"
            " SELECT * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[]) ON CONFLICT DO NOTHING",
            [list(c) for c in zip(*some, strict=True)],
        )
    connection.execute(
        "INSERT INTO access.review_run AS r (day, entries, cases, ended) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (day) DO UPDATE SET entries = r.entries + excluded.entries,"
        " cases = r.cases + excluded.cases, ended = excluded.ended",
        (now.astimezone(STOCKHOLM).date(), entries, cases, now),
    )


def keep_recent(
    connection: psycopg.Connection[Any],
    recent: Mapping[tuple[str, str, str], datetime],
    before: datetime,
) -> None:
    """Keeps what the windows need to open again, and forgets what they no longer do."""
    rows = [(*key, at) for key, at in sorted(recent.items()) if at >= before]
    if rows:
        connection.execute(
            "INSERT INTO access.review_recent AS r (kind, actor, what, at)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[])"
            " ON CONFLICT (kind, actor, what) DO UPDATE SET at = greatest(r.at, excluded.at)",
            [list(c) for c in zip(*rows, strict=True)],
        )
    connection.execute("DELETE FROM access.review_recent WHERE at < %s", (before,))


def keep_places(connection: psycopg.Connection[Any], places: Mapping[int, int]) -> None:
    """How far each chain has been read."""
    rows = sorted(places.items())
    connection.execute(
        "INSERT INTO access.review_cursor (chain, seq) SELECT * FROM unnest(%s::bigint[], %s::bigint[])"
        " ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq",
        [list(c) for c in zip(*rows, strict=True)],
    )
