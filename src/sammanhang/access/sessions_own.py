"""A person's own sessions: where they are logged in, and how to end that (OWASP ASVS 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .sessions import Session

_NAMES = (("Edg", "Edge"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_PLACES = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnSession:
    """One session: what it is called, whether it is this one, when it began and was last used, the
    browser in words (empty when it did not say), and the unit of its assignment (empty without one)."""

    id: str
    here: bool
    began: datetime
    seen: datetime
    browser: str
    unit: str


async def of_person(database: Database, settings: Settings, session: Session) -> list[OwnSession]:
    """The sessions of whoever's this is, this one first, then the latest used; one query."""
    async with database.writing() as connection:
        database.queries += 1
        rows = await connection.fetch(
            "SELECT id, created, last_seen, coalesce(agent, ''), coalesce(assignment ->> 'unit_name', '')"
            " FROM access.session WHERE person = %s AND expires > now() AND last_seen > now() - %s::interval"
            " ORDER BY id = %s DESC, last_seen DESC LIMIT 100",
            (session.actor.id, timedelta(minutes=settings.session_idle_minutes), session.key),
        )
    return [
        OwnSession(id.hex()[:16], id == session.key, began, seen, browser(agent), unit)
        for id, began, seen, agent, unit in rows
    ]


async def end_one(database: Database, session: Session, id: str) -> bool:
    """Ends one of the person's other sessions; whether there was such a one."""
    async with database.writing() as connection:
        rows = await connection.fetch(
            "DELETE FROM access.session WHERE person = %s AND left(encode(id, 'hex'), 16) = %s AND id <> %s"
            " RETURNING 1",
            (session.actor.id, id, session.key),
        )
    return bool(rows)


async def end_others(database: Database, session: Session) -> int:
    """Ends all of the person's sessions but this; how many there were."""
    async with database.writing() as connection:
        rows = await connection.fetch(
            "DELETE FROM access.session WHERE person = %s AND id <> %s RETURNING 1",
            (session.actor.id, session.key),
        )
    return len(rows)


def browser(agent: str) -> str:
    """`Firefox, Windows` of a User-Agent header; empty when it names neither."""
    found = [
        next((name for mark, name in names if mark in agent), "") for names in (_NAMES, _PLACES)
    ]
    return ", ".join(x for x in found if x)
