"""The reviewer's work (R36): what waits, one case, what came of it; all of it documented and traced.

Only a log reviewer, only their own care provider's cases, never their own accesses. Every change stands in
`access.review_step` with who and when, stored with its entry in the trace in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sammanhang.access.actor import Actor
from sammanhang.access.assurance import record_level
from sammanhang.access.audit import Entry, WriteTrace
from sammanhang.access.door import Doors
from sammanhang.access.said import said_of
from sammanhang.access.staff import ROLE, held_with, resources, shown_name
from sammanhang.fhir.indexing import coded, slot
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused
from sammanhang.store.connection import Connection
from sammanhang.store.trace import INSERT_BLOCK

MOST = 100  # cases on one page
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BY_ROLE = slot("PractitionerRole.code", "token")


@dataclass(frozen=True, slots=True)
class Reason:
    """A pattern that fits, with what the words about it need."""

    pattern: str
    weight: int
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One person's accesses to one record on one day that are worth a look.

    patient  id of the Patient; empty when it is about many
    times    how many accesses were found
    state    open, asking (being looked into), confirm (unjustified, to be confirmed), done
    holder   the reviewer it was handed to; empty when anybody may take it
    """

    id: str
    provider: str
    unit: str
    actor: str
    assignment: str
    patient: str
    day: date
    weight: int
    began: datetime
    lasted: datetime
    times: int
    found: datetime
    state: str
    outcome: str
    decided: datetime | None
    decided_by: str
    holder: str
    holder_name: str
    reasons: tuple[Reason, ...] = ()


_COLUMNS = (
    "c.id::text, c.provider, c.unit, c.actor, c.assignment, c.patient, c.day, c.weight, c.began, c.lasted, c.times,"
    " c.found, c.state, coalesce(c.outcome, ''), c.decided, coalesce(c.decided_by, ''), coalesce(c.holder, ''),"
    " coalesce(c.holder_name, ''), (SELECT jsonb_agg(jsonb_build_array(r.pattern, r.weight, r.details)"
    " ORDER BY r.weight DESC, r.pattern) FROM access.review_reason r WHERE r.review_case = c.id)"
)


def _case(row: Sequence[Any]) -> Case:
    *values, reasons = row
    return replace(Case(*values), reasons=tuple(Reason(*r) for r in reasons or ()))


@dataclass(frozen=True, slots=True)
class Step:
    """Something done with a case: when, by whom, and what; `measures` are keys of the content."""

    at: datetime
    actor: str
    name: str
    kind: str
    outcome: str
    measures: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits, the heaviest and oldest first; how many by pattern and by unit, and in all."""

    cases: list[Case]
    patterns: dict[str, int]
    units: dict[str, int]
    total: int


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody a case can be handed to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a resident asked about an access, and the answer when there is one."""

    id: str
    line: str
    said: str
    asked: datetime
    answer: str
    answered: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a review, as it was typed; `answer` is for the resident who asked."""

    outcome: str
    said: str
    measures: tuple[str, ...] = ()
    answer: str = ""


def need_reviewer(actor: Actor) -> str:
    """The care provider whose log the actor reviews; raises `Refused`."""
    a = actor.assignment
    role = content("rules/roles")["roles"].get(a.role) if a is not None else None
    low = actor.loa < record_level(actor)
    if actor.kind != "staff" or low or a is None or not role or not role.get("reviews"):
        raise Refused(
            "Only a log reviewer may see this.", "Bara en loggranskare får se det här.", rule="R36"
        )
    return a.provider


def may_review(actor: Actor) -> bool:
    """Whether the actor is a log reviewer."""
    try:
        need_reviewer(actor)
    except Refused:
        return False
    return True


@asynccontextmanager
async def traced(doors: Doors, entry: Entry) -> AsyncIterator[Connection]:
    """A transaction that is stored together with its entry in the trace, or not at all."""
    trace = WriteTrace(entry)
    async with doors.database.writing() as connection:
        try:
            async with connection.transaction():
                doors.database.queries += 1
                yield connection
                await connection.fetch(INSERT_BLOCK, await trace.block(connection))
        except BaseException:
            connection.chain = None  # the chain may have begun in what was undone
            raise
        trace.done(connection)


async def waiting(doors: Doors, actor: Actor, *, pattern: str = "", unit: str = "") -> Queue:
    """R36: what waits at the actor's care provider, without their own; two queries and the trace."""
    provider = need_reviewer(actor)
    async with doors.database.writing() as connection:
        doors.database.queries += 2
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM access.review_case c WHERE c.provider = %s AND c.actor <> %s"
            " AND c.state <> 'done' AND (%s = '' OR c.unit = %s)"
            " AND (%s = '' OR EXISTS (SELECT FROM access.review_reason r WHERE r.review_case = c.id AND r.pattern = %s))"
            " ORDER BY c.weight DESC, c.found, c.id LIMIT %s",
            (provider, actor.id, unit, unit, pattern, pattern, MOST),
        )
        counts = await connection.fetch(
            "SELECT 'pattern', r.pattern, count(*) FROM access.review_case c"
            " JOIN access.review_reason r ON r.review_case = c.id"
            " WHERE c.provider = %s AND c.actor <> %s AND c.state <> 'done' GROUP BY r.pattern"
            " UNION ALL SELECT 'unit', c.unit, count(*) FROM access.review_case c"
            " WHERE c.provider = %s AND c.actor <> %s AND c.state <> 'done' GROUP BY c.unit",
            (provider, actor.id, provider, actor.id),
        )
    found = [_case(row) for row in rows]
    await doors.audit.record(
        doors.entry(actor, "review-list", rule="R36", count=len(found), what="/review")
    )
    units = {key: n for kind, key, n in counts if kind == "unit"}
    return Queue(
        found,
        {key: n for kind, key, n in counts if kind == "pattern"},
        units,
        sum(units.values()),
    )


async def case_of(doors: Doors, actor: Actor, id: str) -> Case:
    """One case. Raises `NotFound`, also for another care provider's, and `Refused` for one's own accesses."""
    provider = need_reviewer(actor)
    absent = NotFound("There is no such case.", "Ärendet finns inte.")
    if not _UUID.fullmatch(id):
        raise absent
    async with doors.database.writing() as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM access.review_case c WHERE c.id = %s::uuid AND c.provider = %s",
            (id, provider),
        )
    if not rows:
        raise absent
    case = _case(rows[0])
    if case.actor == actor.id:
        raise Refused(
            "Nobody reviews their own accesses.", "Ingen granskar sina egna åtkomster.", rule="R36"
        )
    return case


async def steps_of(doors: Doors, case: Case) -> tuple[list[Step], list[Question]]:
    """What has been done with a case, in order, and what residents asked; two queries."""
    async with doors.database.writing() as connection:
        doors.database.queries += 2
        rows = await connection.fetch(
            "SELECT at, actor, name, kind, coalesce(outcome, ''), array_to_string(measures, ','), said"
            " FROM access.review_step WHERE review_case = %s::uuid ORDER BY at",
            (case.id,),
        )
        asked = await connection.fetch(
            "SELECT id::text, line, said, asked, coalesce(answer, ''), answered FROM access.log_question"
            " WHERE review_case = %s::uuid ORDER BY asked",
            (case.id,),
        )
    steps = [
        Step(at, actor, name, kind, outcome, tuple(filter(None, measures.split(","))), said)
        for at, actor, name, kind, outcome, measures, said in rows
    ]
    return steps, [Question(*row) for row in asked]


async def others_of(doors: Doors, case: Case) -> list[Case]:
    """The same person's other cases at the care provider lately, the latest first; one query."""
    since = case.day - timedelta(days=content("rules/log_review")["other_hits_days"])
    async with doors.database.writing() as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM access.review_case c WHERE c.actor = %s AND c.provider = %s AND c.day >= %s"
            " AND c.id <> %s::uuid ORDER BY c.day DESC, c.weight DESC LIMIT 20",
            (case.actor, case.provider, since, case.id),
        )
    return [_case(row) for row in rows]


async def reviewers(doors: Doors, actor: Actor, case: Case) -> list[Reviewer]:
    """Those at the care provider a case can be handed to: not who acted in it."""
    provider = need_reviewer(actor)
    roles = [code for code, role in content("rules/roles")["roles"].items() if role.get("reviews")]
    held = await held_with(doors.database, [coded(ROLE, r)[1] ^ _BY_ROLE for r in roles], 500)
    ids = {h.practitioner for h in held if h.assignment.provider == provider}
    people = await resources(doors.database, "Practitioner", ids)
    found = [Reviewer(f"Practitioner/{id}", shown_name(p)) for id, p in people.items()]
    return sorted((r for r in found if r.id != case.actor), key=lambda r: r.name)


async def decide(doors: Doors, actor: Actor, id: str, given: Outcome) -> Case:
    """What came of a review. Justified ends it; unjustified waits to be confirmed; the third keeps it open.

    Raises `Invalid` for an answer that lacks something, `Conflict` when it is decided or somebody else's.
    """
    case = await case_of(doors, actor, id)
    rules = content("rules/log_review")
    if given.outcome not in rules["outcomes"]:
        raise Invalid("Choose an outcome.", "Välj ett utfall.")
    if unknown := set(given.measures) - rules["measures"].keys():
        raise Invalid(f"Unknown measure: {min(unknown)}.", f"Okänd åtgärd: {min(unknown)}.")
    if given.outcome == "unjustified" and not given.measures:
        raise Invalid("Say what was done about it.", "Ange vad som har gjorts.")
    said = said_of(given.said, "Say what the review showed.", "Skriv vad granskningen visade.")
    _, asked = await steps_of(doors, case)
    open_ = [q for q in asked if q.answered is None]
    answer = ""
    if open_ and given.outcome != "ask":
        if not given.answer.strip():
            raise Invalid("Answer the patient who asked.", "Skriv ett svar till patienten som har frågat.")  # fmt: skip
        answer = said_of(given.answer)
    state = {"justified": "done", "ask": "asking", "unjustified": "confirm"}[given.outcome]
    kind = "proposed" if state == "confirm" else "outcome"
    async with traced(doors, _entry(doors, actor, case, given.outcome, said, kind)) as connection:
        await _move(connection, actor, case, state, given.outcome)
        await _step(connection, actor, case, kind, given.outcome, given.measures, said)
        if answer:
            await _answer(connection, case, answer, sent=state == "done")
    return case


async def confirm(doors: Doors, actor: Actor, id: str) -> Case:
    """The second step of `unjustified`: it stands. Raises `Conflict` when there is nothing to confirm."""
    case = await case_of(doors, actor, id)
    if case.state != "confirm":
        raise Conflict("There is nothing to confirm.", "Det finns inget att bekräfta.")
    steps, _ = await steps_of(doors, case)
    last = next(s for s in reversed(steps) if s.kind == "proposed")
    async with traced(
        doors, _entry(doors, actor, case, "unjustified", last.said, "outcome")
    ) as connection:
        await _move(connection, actor, case, "done", "unjustified", was="confirm")
        await _step(connection, actor, case, "outcome", "unjustified", last.measures, last.said)
        await connection.fetch(
            "UPDATE access.log_question SET answered = now() WHERE review_case = %s::uuid"
            " AND answered IS NULL AND answer IS NOT NULL",
            (case.id,),
        )
    return case


async def hand_over(doors: Doors, actor: Actor, id: str, to: str, said: str) -> Case:
    """Hands a case to another reviewer, or takes it over when `to` is oneself. Raises `Invalid`, `Conflict`."""
    case = await case_of(doors, actor, id)
    found = next((r for r in await reviewers(doors, actor, case) if r.id == to), None)
    if found is None:
        raise Invalid("Choose a log reviewer.", "Välj en loggranskare.")
    text = said_of(said) if to != actor.id or said.strip() else ""
    entry = _entry(doors, actor, case, "", text, "taken" if to == actor.id else "handed-over")
    async with traced(doors, entry) as connection:
        rows = await connection.fetch(
            "UPDATE access.review_case SET holder = %s, holder_name = %s WHERE id = %s::uuid AND state <> 'done'"
            " RETURNING 1",
            (to, found.name, case.id),
        )
        if not rows:
            raise _decided()
        kind = "taken" if to == actor.id else "handed-over"
        await _step(connection, actor, case, kind, "", (), f"{found.name}: {text}" if text else found.name)  # fmt: skip
    return case


def _decided() -> Conflict:
    return Conflict("The case is decided already.", "Ärendet är redan avgjort.")


def _entry(doors: Doors, actor: Actor, case: Case, outcome: str, said: str, kind: str) -> Entry:
    return doors.entry(
        actor, "review", patient=case.patient or None, rule="R36", outcome=outcome or "ok",
        details={"case": case.id, "of": case.actor, "step": kind, "said": said},
    )  # fmt: skip


async def _move(
    connection: Connection, actor: Actor, case: Case, state: str, outcome: str, was: str = ""
) -> None:
    """Moves the case, unless it is decided, or held by somebody else."""
    rows = await connection.fetch(
        "UPDATE access.review_case SET state = %s, outcome = %s,"
        " decided = CASE WHEN %s = 'done' THEN now() END, decided_by = CASE WHEN %s = 'done' THEN %s END"
        " WHERE id = %s::uuid AND state <> 'done' AND (%s = '' OR state = %s) AND coalesce(holder, %s) = %s"
        " RETURNING 1",
        (state, outcome, state, state, actor.id, case.id, was, was, actor.id, actor.id),
    )
    if rows:
        return
    if case.holder and case.holder != actor.id:
        raise Conflict(
            f"{case.holder_name} holds the case; take it over first.",
            f"{case.holder_name} har ärendet; ta över det först.",
        )
    raise _decided()


async def _step(
    connection: Connection, actor: Actor, case: Case, kind: str, outcome: str, measures: tuple[str, ...], said: str
) -> None:  # fmt: skip
    await connection.fetch(
        "INSERT INTO access.review_step (review_case, actor, name, kind, outcome, measures, said)"
        " VALUES (%s::uuid, %s, %s, %s, %s, %s::text[], %s)",
        (case.id, actor.id, actor.name, kind, outcome or None, list(measures), said),
    )


async def _answer(connection: Connection, case: Case, answer: str, *, sent: bool) -> None:
    await connection.fetch(
        "UPDATE access.log_question SET answer = %s, answered = CASE WHEN %s THEN now() END"
        " WHERE review_case = %s::uuid AND answered IS NULL",
        (answer, "t" if sent else "f", case.id),
    )
