"""What a resident asks about one line of their log extract: it becomes a case, and its answer comes back (R35, R36)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors
from sammanhang.access.extract import Access
from sammanhang.access.said import said_of
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid
from sammanhang.store.connection import Connection
from sammanhang.store.database import Database

from .cases import traced
from .patterns import rules


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a line of the extract: what, when, and the answer when there is one."""

    line: str
    said: str
    asked: datetime
    answer: str
    answered: datetime | None


async def asked_by(database: Database, patient: str) -> dict[str, Asked]:
    """A resident's questions by the line they are about; one query."""
    async with database.writing() as connection:
        database.queries += 1
        rows = await connection.fetch(
            "SELECT line, said, asked, CASE WHEN answered IS NULL THEN '' ELSE coalesce(answer, '') END, answered"
            " FROM access.log_question WHERE patient = %s",
            (patient,),
        )
    return {row[0]: Asked(*row) for row in rows}


async def ask(doors: Doors, actor: Actor, patient: str, about: Access, said: str) -> None:
    """Sends a question about one line to log review at the care provider that made the access.

    Raises `Invalid` without a text, `Conflict` for a line that has been asked about and when too many wait.
    """
    text = said_of(said, "Write what you wonder.", "Skriv vad du undrar.")
    known = await asked_by(doors.database, patient)
    if about.id in known:
        raise Conflict("You have asked about this.", "Du har redan frågat om det här.")
    most = content("rules/log_review")["open_questions_of_a_resident"]
    if sum(q.answered is None for q in known.values()) >= most:
        raise Conflict(
            f"You have {most} questions that wait for an answer. Wait for one of them first.",
            f"Du har {most} frågor som väntar på svar. Vänta först på något av svaren.",
        )
    if not about.provider_id:
        raise Invalid("Nobody can be asked about this.", "Det går inte att fråga om det här.")
    entry = doors.entry(
        actor, "log-question", patient=patient, rule="R36", details={"line": about.id, "said": text}
    )
    async with traced(doors, entry) as connection:
        id = await _case(connection, patient, about)
        rows = await connection.fetch(
            "INSERT INTO access.log_question (review_case, patient, line, said) VALUES (%s::uuid, %s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            (id, patient, about.id, text),
        )
        if not rows:
            raise Conflict("You have asked about this.", "Du har redan frågat om det här.")
        await connection.fetch(
            "INSERT INTO access.review_step (review_case, actor, kind, said) VALUES (%s::uuid, %s, 'asked', %s)",
            (id, actor.id, text),
        )


async def _case(connection: Connection, patient: str, about: Access) -> str:
    """The case of whoever made the access, in this record on that day; open again when it was decided."""
    rows = await connection.fetch(
        "INSERT INTO access.review_case AS c (provider, unit, actor, assignment, patient, day, began, lasted, times)"
        " VALUES (%s, %s, %s, %s, %s, %s::date, %s::timestamptz, %s::timestamptz, %s)"
        " ON CONFLICT (provider, actor, patient, day) DO UPDATE SET"
        " state = CASE c.state WHEN 'done' THEN 'open' ELSE c.state END RETURNING id::text",
        (
            about.provider_id, about.unit_id, about.actor, about.assignment, patient, about.at.date(), about.at,
            about.last, about.times,
        ),
    )  # fmt: skip
    id: str = rows[0][0]
    await connection.fetch(
        "INSERT INTO access.review_reason (review_case, pattern, weight) VALUES (%s::uuid, 'resident-asks', %s)"
        " ON CONFLICT DO NOTHING",
        (id, rules("resident-asks")["weight"]),
    )
    await connection.fetch(
        "UPDATE access.review_case c SET weight = (SELECT sum(weight) FROM access.review_reason WHERE review_case = c.id)"
        " WHERE id = %s::uuid",
        (id,),
    )
    return id


async def seen(database: Database, patient: str, now: datetime) -> datetime | None:
    """When the resident last looked at the extract before this visit; None the first time.

    What is opened again within the visit (content/rules/log_extract: `visit_minutes`) belongs to it.
    """
    minutes = content("rules/log_extract")["visit_minutes"]
    async with database.writing() as connection:
        database.queries += 1
        rows = await connection.fetch(
            "INSERT INTO access.log_seen AS s (patient, seen) VALUES (%s, %s::timestamptz)"
            " ON CONFLICT (patient) DO UPDATE SET"
            " before = CASE WHEN s.seen < excluded.seen - make_interval(mins => %s::int) THEN s.seen ELSE s.before END,"
            " seen = excluded.seen RETURNING before",
            (patient, now, minutes),
        )
    before: datetime | None = rows[0][0]
    return before
