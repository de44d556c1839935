"""Looking people up: as often as care needs, never number after number, never the whole register.

That somebody is a patient is secret in itself (OSL 25:1), and identity numbers can be counted through.
So who has looked for many in a short time, for many that nobody has, or has had many people listed by a
program, is refused more for a while; `content/rules/lookups.json` says how many. Counted in the database,
over all processes; each refusal is in the trace as rule LOOKUP, where a log review finds it. On the
pages names may be searched meanwhile, and a record that is open stays open: care does not wait.
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

# lately: how many numbers somebody looked for, how many nobody had, how many people were listed; since when
_LATELY = """
SELECT coalesce(sum(numbers), 0), coalesce(sum(not_found), 0), coalesce(sum(listed), 0), min(at), now()
  FROM access.lookup WHERE actor = %s AND at > now() - %s::interval
"""
# note: one more, and out with this person's that are of no use any longer
_NOTE = """
WITH old AS (DELETE FROM access.lookup WHERE actor = %(actor)s AND at < now() - %(kept)s::interval)
INSERT INTO access.lookup (actor, numbers, not_found, listed)
VALUES (%(actor)s, %(numbers)s, %(not_found)s, %(listed)s)
"""


async def may_look_up(
    doors: Doors, actor: Actor, *, numbers: int = 1, request: str | None = None
) -> None:
    """Returns when this person may look for so many identity numbers now, or with 0 have people listed.

    Raises `TooMany`, with the refusal in the trace, when that would be too many of late.
    """
    rules = content("rules/lookups")
    span = timedelta(minutes=rules["minutes"])
    async with doors.database.writing() as connection:
        row = await (await connection.execute(_LATELY, (actor.id, span))).fetchone()
    assert row is not None
    count, not_found, listed, first, now = row
    if numbers:
        within = count + numbers <= rules["most"] and not_found < rules["most_not_found"]
    else:
        within = listed < rules["most_listed"]
    if within:
        return
    await doors.audit.record(
        doors.entry(
            actor, "refuse", rule=RULE, what="identity numbers" if numbers else "people listed",
            count=count if numbers else listed, outcome="refused", request=request, details={"not_found": not_found},
        )
    )  # fmt: skip
    raise _too_many(_wait(first or now, span, now), bool(numbers))


async def looked_up(
    database: Database, actor: Actor, *, numbers: int = 0, not_found: int = 0, listed: int = 0
) -> None:
    """Notes how many identity numbers were looked for, how many nobody has, how many people were listed."""
    said = {"numbers": numbers, "not_found": not_found, "listed": listed}
    async with database.writing() as connection:
        await connection.execute(_NOTE, {"actor": actor.id, "kept": KEPT, **said})


def _wait(first: datetime, span: timedelta, now: datetime) -> int:
    """Seconds until the first of those counted counts no longer; at least one."""
    return max(1, int((first + span - now).total_seconds()) + 1)


def _too_many(seconds: int, by_number: bool) -> TooMany:
    minutes = -(-seconds // 60)
    en, sv = f"wait {minutes} min.", f"vänta {minutes} min."
    if by_number:
        en = f"Too many identity numbers in a short time. Search by name, or {en}"
        sv = f"Många personnummer på kort tid. Sök på namn, eller {sv}"
    else:
        en = f"Too many people listed in a short time. Search in the pages, or {en}"
        sv = f"Många personer listade på kort tid. Sök på sidorna, eller {sv}"
    return TooMany(en, sv, rule=RULE, retry_after=seconds)
