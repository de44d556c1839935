"""Nothing adrift: the one question whose answer is meant to be empty.

Work without a living owner, without a deadline, overdue beyond the last step up, resting on an answer nobody was
asked for, or taken by somebody who has left. What is undelivered to other systems is `work.outbox`'s to tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_
from sammanhang.kernel.working_time import Calendar, calendar, due
from sammanhang.store.database import EVERYTHING, Database
from sammanhang.store.types import NUMBER

from .deadlines import PRIORITIES
from .sql import SQL

WHY = {
    "no-owner": N_("Ingen på enheten har den funktion som uppgiften hör till, eller enheten är stängd"),
    "taker-gone": N_("Den som tog uppgiften arbetar inte längre på enheten"),
    "no-deadline": N_("Uppgiften har ingen tidsgräns"),
    "top": N_("Alla steg uppåt är tagna och ingen har gjort den"),
    "not-escalated": N_("Nästa steg uppåt skulle ha tagits men har inte blivit det"),
    "waiting": N_("Uppgiften väntar på ett svar som ingen har ombetts att ge"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Adrift:
    """One task that nobody can be counted on for; `why` is a key of `WHY`. Nothing that tells the patient."""

    id: str
    owner: str
    function: str
    kind: str
    state: str
    priority: str
    deadline: datetime | None
    level: int
    authored: datetime | None
    why: str


async def adrift(
    database: Database, now: datetime | None = None, *, unit: str = "", limit: int = 1000
) -> list[Adrift]:
    """Everything adrift, or what is a unit's, the oldest deadline first; one query."""
    now = now or clock.now()
    rules, functions = content("routing/deadlines"), content("routing/functions")["functions"]
    pairs = [(f, role) for f, row in functions.items() for role in row["roles"]]
    worked = calendar(content("routing/calendars")["otherwise"])
    values = {
        "organization": NUMBER["Organization"],
        "role": NUMBER["PractitionerRole"],
        "now": now,
        "functions": [f for f, _ in pairs],
        "roles": [r for _, r in pairs],
        "priorities": list(range(len(PRIORITIES))),
        "graces": [_before(now, rules["adrift_after"][p], worked) for p in PRIORITIES],
        "limit": limit,
        "unit": unit,
    }
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        cursor = await connection.execute(SQL["adrift"], values)
        rows = await cursor.fetchall()
    return [
        Adrift(r[0], r[2], r[3], r[4], r[5], PRIORITIES[r[6]], r[7], r[8], r[9], r[10])
        for r in rows
    ]


def _before(now: datetime, within: dict[str, int], worked: Calendar) -> datetime:
    """The latest deadline that is overdue beyond `within`: the last step up has had that time to work."""
    return now - (due(now, within, worked) - now)
