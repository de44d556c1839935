"""Looking people up by identity number: as often as care needs, never number after number.

That somebody is a patient is secret in itself (OSL 25:1), and identity numbers can be counted through.
So who has looked for many in a short time, or for many that nobody has, is refused more for a while;
`content/rules/lookups.json` says how many. Counted in the database, over all processes; each refusal
is in the trace as rule LOOKUP, where a log review finds it. Names may be searched meanwhile, and a
record that is open stays open: care does not wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import TooMany
from sammanhang.store.database import Database

from .actor import Actor
from .door import Doors

RULE = "LOOKUP"
KEPT = timedelta(days=1)

# lately: how many identity numbers somebody looked for, how many nobody had, and when the first was
_LATELY = """
SELECT count(*), count(*) FILTER (WHERE NOT found), min(at), now()
  FROM access.lookup WHERE actor = %s AND at > now() - %s::interval
"""
# note: one more, and out with this person's that are of no use any longer
_NOTE = """
WITH old AS (DELETE FROM access.lookup WHERE actor = %(actor)s AND at < now() - %(kept)s::interval)
INSERT INTO access.lookup (actor, found) VALUES (%(actor)s, %(found)s)
"""


async def may_look_up(doors: Doors, actor: Actor, *, request: str | None = None) -> None:
    """Returns when this person may look for an identity number now.

    Raises `TooMany`, with the refusal in the trace, when they have looked for too many of late.
    """
    rules = content("rules/lookups")
    span = timedelta(minutes=rules["minutes"])
    async with doors.database.writing() as connection:
        cursor = await connection.execute(_LATELY, (actor.id, span))
        row = await cursor.fetchone()
    assert row is not None
    count, missed, first, now = row
    if count < rules["most"] and missed < rules["most_not_found"]:
        return
    await doors.audit.record(
        doors.entry(
            actor, "refuse", rule=RULE, what="identity numbers", count=count, outcome="refused",
            request=request, details={"not_found": missed},
        )
    )  # fmt: skip
    raise _too_many(_wait(first, span, now))


async def looked_up(database: Database, actor: Actor, *, found: bool) -> None:
    """Notes that an identity number was looked for, and whether anybody has it."""
    async with database.writing() as connection:
        await connection.execute(_NOTE, {"actor": actor.id, "found": found, "kept": KEPT})


def _wait(first: datetime, span: timedelta, now: datetime) -> int:
    """Seconds until the first of those counted counts no longer; at least one."""
    return max(1, int((first + span - now).total_seconds()) + 1)


def _too_many(seconds: int) -> TooMany:
    minutes = -(-seconds // 60)
    return TooMany(
        f"Too many identity numbers in a short time. Search by name, or wait {minutes} min.",
        f"Många personnummer på kort tid. Sök på namn, eller vänta {minutes} min.",
        rule=RULE,
        retry_after=seconds,
    )
