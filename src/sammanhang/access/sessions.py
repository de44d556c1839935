"""Sessions: who is logged in, in which assignment, for how long.

The cookie holds a random number; the database holds its SHA-256, so a copy of the database is no way
in. The number changes when somebody logs in and when they choose an assignment (session fixation,
OWASP ASVS 7.2.4). A session ends by log-out, without activity, and after some hours whatever happens.
Before it ends without activity it locks: it then reads nothing and does nothing until the same person has
logged in anew, and what was sent meanwhile is kept (`kept_forms`). The chosen assignment is looked at again
whenever its PractitionerRole has changed or run out, and whoever is taken out of use is logged out.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database
from sammanhang.store.trace import Entry, stamp
from sammanhang.store.types import NUMBER

from .actor import Actor, Assignment
from .audit import AuditLog
from .forms import ForgedForm, check_csrf, csrf_token
from .identity_services import cookie_named, secure, services_of, trace
from .sessions_person import number_of, still_stands
from .staff import Held, assignment_of

__all__ = [
    "Asleep",
    "ForgedForm",
    "Fresh",
    "Proof",
    "Session",
    "asleep",
    "check_csrf",
    "choose_assignment",
    "cookie_name",
    "create",
    "csrf_token",
    "current",
    "ended_by_command",
    "forget_cookie",
    "goes_on",
    "last_assignment",
    "lock",
    "logout",
    "logout_everywhere",
    "sweep",
]  # fmt: skip
_AGENT, _LONGEST_COOKIE = 300, 100
_HERE, _ASLEEP = "sammanhang.session", "sammanhang.asleep"
SEEN_SECONDS = 20
"""How often activity is written down; how much too early a session may lock."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the provider said of a log-in.

    id_token  the ID token, for logging out there too
    at        when the person proved who they are; None when the provider did not say
    issuer, subject, sid  its words for provider, person and session, by which it can end the session here
    """

    id_token: str | None = None
    at: datetime | None = None
    issuer: str | None = None
    subject: str | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in person.

    id        what the session is called in lists and traces; no use as a cookie
    actor     the person, in the chosen assignment when `state` is "active"
    state     "choose": staff who have several assignments and have not chosen; nothing else is open
    id_token  what the provider said, for logging out there too
    proved    when the person last proved who they are; None when the provider did not say
    locks_in  seconds until it locks if nothing is done
    ends_in   seconds until it ends whatever is done
    """

    id: str
    actor: Actor
    state: Literal["choose", "active"]
    key: bytes
    secret: bytes
    id_token: str | None = None
    proved: datetime | None = None
    locks_in: int = 0
    ends_in: int = 0


@dataclass(frozen=True, slots=True)
class Asleep:
    """A session that reads nothing: locked, or without activity for so long that it has ended.

    The same person, logged in anew, goes on where they were.
    """

    session: Session
    ended: bool


@dataclass(frozen=True, slots=True)
class ShutOut:
    """A session (by its id) that has just ended because its person may not be logged in any more."""

    session: str
    person: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """A session just made or renewed, with the cookie that is not written down anywhere else."""

    session: Session
    cookie: str

    def put(self, response: Response, settings: Settings) -> None:
        """Gives the browser the cookie, until the browser is closed."""
        response.set_cookie(
            cookie_name(settings), self.cookie, path="/", secure=secure(settings), httponly=True,
            samesite="lax",
        )  # fmt: skip


def cookie_name(settings: Settings) -> str:
    """The session's cookie, as `cookie_named` writes it."""
    return cookie_named(settings, "sammanhang")


# current: the session of a cookie until it ends whatever happens, how it is, and whether the chosen
# assignment and the person are as they were; an open one is marked seen now and then
_CURRENT = f"""
WITH found AS (
    SELECT *, CASE WHEN last_seen <= now() - %(idle)s::interval THEN 'ended'
                   WHEN locked IS NOT NULL OR last_seen <= now() - %(lock)s::interval THEN 'locked'
                   ELSE 'open' END AS how
      FROM access.session WHERE id = %(id)s AND expires > now()
), touched AS (
    UPDATE access.session SET last_seen = now()
     WHERE %(touch)s AND id = (SELECT id FROM found
         WHERE how = 'open' AND last_seen < now() - interval '{SEEN_SECONDS} seconds')
    RETURNING 1
)
SELECT person, kind, name, loa, csrf, assignment, id_token,
       assignment_version IS NOT DISTINCT FROM r.version
           AND (assignment_until IS NULL OR assignment_until > now()),
       how, auth_time,
       extract(epoch FROM CASE WHEN EXISTS (SELECT FROM touched) THEN now() ELSE last_seen END
           + %(lock)s::interval - now())::int,
       extract(epoch FROM expires - now())::int,
       coalesce(s.version, p.version) = person_version IS TRUE
  FROM found LEFT JOIN store.other r
    ON r.self = found.assignment_self AND r.type = {NUMBER["PractitionerRole"]}
  LEFT JOIN store.other s ON s.self = found.person_self AND s.type = {NUMBER["Practitioner"]}
  LEFT JOIN store.patient p ON p.self = found.person_self AND p.type = {NUMBER["Patient"]}
"""
# create: a session; the one the browser had goes on as this one when it is the same person's, with what is
# kept for it, and ends when it is another's
_CREATE = """
WITH gone AS (
    DELETE FROM access.session WHERE id = %(replaces)s AND (person <> %(person)s OR expires <= now())
), renewed AS (
    UPDATE access.session SET id = %(id)s, name = %(name)s, loa = %(loa)s, csrf = %(csrf)s,
        assignment = %(assignment)s, assignment_self = %(self)s, assignment_version = %(version)s,
        assignment_until = %(until)s, id_token = %(id_token)s, agent = %(agent)s, created = now(),
        last_seen = now(), expires = now() + %(life)s::interval, locked = NULL, auth_time = %(at)s,
        issuer = %(issuer)s, subject = %(subject)s, sid = %(sid)s
     WHERE id = %(replaces)s AND person = %(person)s AND expires > now()
    RETURNING 1
)
INSERT INTO access.session (id, person, kind, name, loa, csrf, assignment, assignment_self,
    assignment_version, assignment_until, id_token, agent, expires, auth_time, issuer, subject, sid,
    person_self)
SELECT %(id)s, %(person)s, %(kind)s, %(name)s, %(loa)s, %(csrf)s, %(assignment)s::jsonb, %(self)s,
    %(version)s, %(until)s, %(id_token)s, %(agent)s, now() + %(life)s::interval, %(at)s, %(issuer)s,
    %(subject)s, %(sid)s, %(number)s
 WHERE NOT EXISTS (SELECT FROM renewed)
"""
_RENEW = """
WITH remembered AS (
    INSERT INTO access.last_assignment (person, assignment) VALUES (%(person)s, %(chosen)s)
    ON CONFLICT (person) DO UPDATE SET assignment = excluded.assignment, chosen = now()
)
UPDATE access.session SET id = %(id)s, assignment = %(assignment)s,
    assignment_self = %(self)s, assignment_version = %(version)s, assignment_until = %(until)s,
    last_seen = now()
 WHERE id = %(was)s
"""
_AGAIN = """
UPDATE access.session SET assignment = %(assignment)s, assignment_self = %(self)s,
    assignment_version = %(version)s, assignment_until = %(until)s WHERE id = %(id)s
"""


async def create(
    request: Request, *, actor: Actor, held: Held | None = None, proof: Proof | None = None
) -> Fresh:
    """A new session for somebody who has just proved who they are.

    `actor` is the person without assignment; `held` the assignment when there is nothing to choose. The
    browser's earlier session is over: its cookie is dead, and unless it was this person's, so is all that
    was kept for it.
    """
    services = services_of(request)
    cookie, secret, proof = secrets.token_urlsafe(32), secrets.token_bytes(32), proof or Proof()
    values = {
        "id": _key(cookie),
        "replaces": _key(_cookie(request)),
        "person": actor.id,
        "number": number_of(actor.id),
        "kind": actor.kind,
        "name": actor.name,
        "loa": actor.loa,
        "csrf": secret,
        "id_token": proof.id_token,
        "at": proof.at,
        "issuer": proof.issuer,
        "subject": proof.subject,
        "sid": proof.sid,
        "agent": request.headers.get("user-agent", "")[:_AGENT].replace("\0", ""),
        "life": timedelta(hours=services.settings.session_hours),
        **_chosen(held),
    }
    async with services.database.writing() as connection:
        await connection.execute(_CREATE, values)
    made = _session(values["id"], actor, held.assignment if held else None, secret)
    session = replace(made, id_token=proof.id_token, proved=proof.at)
    request.scope[_HERE], request.scope[_ASLEEP] = session, None
    return Fresh(session, cookie)


async def current(request: Request, *, touch: bool = True) -> Session | None:
    """The session of a request, or None: nobody is logged in, the time is out, or it is locked.

    One query, asked once per request. Who has been taken out of use, or has died, is logged out. `touch` False is for what a page does by itself (polling): it
    does not count as activity. A session whose assignment has ended comes back in state "choose".
    """
    if _HERE not in request.scope:
        services = services_of(request)
        request.scope[_HERE] = request.scope[_ASLEEP] = None
        cookie = _cookie(request)
        if cookie:
            found = await _read(services.database, services.settings, _key(cookie), touch)
            if isinstance(found, ShutOut):
                details = {"session": found.session, "why": "person not in use"}
                await trace(request, "logout", found.person, details=details)
            else:
                request.scope[_ASLEEP if isinstance(found, Asleep) else _HERE] = found
    known: Session | None = request.scope[_HERE]
    return known


async def asleep(request: Request) -> Asleep | None:
    """The session of a request when it is locked or has ended without activity; else None."""
    await current(request)
    known: Asleep | None = request.scope.get(_ASLEEP)
    return known


async def goes_on(database: Database, settings: Settings, session: Session) -> bool:
    """Whether a session is open in the same assignment still; for an answer that lasts. It is no activity."""
    found = await _read(database, settings, session.key, touch=False)
    return isinstance(found, Session) and found.actor.assignment == session.actor.assignment


async def lock(database: Database, session: Session) -> None:
    """Locks a session, in all its windows: whoever has it must log in anew to go on."""
    async with database.writing() as connection:
        await connection.execute(
            "UPDATE access.session SET locked = now() WHERE id = %s AND locked IS NULL",
            (session.key,),
        )


async def choose_assignment(request: Request, session: Session, assignment_id: str) -> Fresh:
    """The session goes on in another assignment, under a new cookie; forms of the earlier one are refused.

    Raises `Refused` (R1) for an assignment the person does not have now, and `Unauthenticated` when the
    session has ended meanwhile; otherwise the old cookie is dead.
    """
    services = services_of(request)
    person = session.actor
    held = None
    if person.kind == "staff":
        practitioner = person.id.removeprefix("Practitioner/")
        held = await assignment_of(services.database, practitioner, assignment_id)
    if held is None:
        raise Refused(
            "You do not have that assignment now.", "Du har inte det uppdraget nu.", rule="R1"
        )
    cookie = secrets.token_urlsafe(32)
    values = {"id": _key(cookie), "was": session.key, "person": person.id}
    async with services.database.writing() as connection:
        cursor = await connection.execute(
            _RENEW, {**values, "chosen": held.assignment.id, **_chosen(held)}
        )
        if cursor.rowcount == 0:  # ended in another window meanwhile
            raise Unauthenticated("The session has ended; log in again.", "Logga in igen.")
    made = _session(_key(cookie), person, held.assignment, session.secret)
    renewed = replace(made, id_token=session.id_token, proved=session.proved)
    request.scope[_HERE] = renewed
    return Fresh(renewed, cookie)


async def logout(request: Request) -> Session | None:
    """Ends the session of a request, locked or not, and returns it; None when there was none."""
    sleeping = await asleep(request)
    session = sleeping.session if sleeping is not None else await current(request)
    if session is not None:
        async with services_of(request).database.writing() as connection:
            await connection.execute("DELETE FROM access.session WHERE id = %s", (session.key,))
    request.scope[_HERE] = request.scope[_ASLEEP] = None
    return session


async def logout_everywhere(database: Database, person: str) -> int:
    """Ends every session of `Practitioner/…` or `Patient/…`; returns how many there were."""
    async with database.writing() as connection:
        cursor = await connection.execute("DELETE FROM access.session WHERE person = %s", (person,))
        return cursor.rowcount


async def ended_by_command(database: Database, person: str) -> int:
    """As `logout_everywhere`, by whoever runs the server: with a trace, durable when this returns."""
    audit = AuditLog(database)
    audit.start()
    try:
        ended = await logout_everywhere(database, person)
        details = {"sessions": ended, "by": "system:cli"}
        entry = Entry(at=stamp(datetime.now(UTC)), actor=person, action="logout", details=details)
        await audit.record(entry)
    finally:
        await audit.stop()
    return ended


def forget_cookie(response: Response, settings: Settings) -> None:
    """Takes the session's cookie from the browser."""
    response.delete_cookie(
        cookie_name(settings), path="/", secure=secure(settings), httponly=True, samesite="lax"
    )


async def last_assignment(database: Database, person: str) -> str | None:
    """Id of the assignment a person chose last, on any computer."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT assignment FROM access.last_assignment WHERE person = %s", (person,)
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def sweep(database: Database) -> None:
    """Removes what is over: sessions with what was kept for them, log-ins never finished, codes, links,
    revocations and used tokens that are dead anyway.

    A session without activity stays until its last hour: what was kept for it waits for its person.
    """
    async with database.writing() as connection:
        for table, column in (
            ("session", "expires"), ("login_attempt", "expires"),
            ("authorization_code", "expires + interval '1 hour'"), ("revoked_token", "until"),
            ("signing_key", "until"), ("used_token", "until"), ("context_link", "until"),
            ("id_signing_key", "until"), ("app_code", "expires + interval '1 hour'"), ("app_refresh", "expires"),
            ("app_launch", "expires"), ("assertion_seen", "until"),
        ):  # fmt: skip
            await connection.execute(f"DELETE FROM access.{table} WHERE {column} < now()")


async def _read(
    database: Database, settings: Settings, key: bytes, touch: bool
) -> Session | Asleep | ShutOut | None:
    values = {
        "id": key,
        "idle": timedelta(minutes=settings.session_idle_minutes),
        "lock": timedelta(
            minutes=min(settings.session_lock_minutes, settings.session_idle_minutes)
        ),
        "touch": touch,
    }
    async with database.writing() as connection:
        cursor = await connection.execute(_CURRENT, values)
        row = await cursor.fetchone()
    if row is None:
        return None
    person, kind, name, loa, secret, chosen, id_token, unchanged, how, proved, *ends, same = row
    if not same and not await still_stands(database, key, person):
        return ShutOut(key.hex()[:16], person)
    actor = Actor(kind, person, name, loa=loa)
    assignment = msgspec.convert(chosen, Assignment) if chosen is not None else None
    if assignment is not None and not unchanged and how == "open":
        assignment = await _look_again(database, key, person, assignment.id)
    session = replace(
        _session(key, actor, assignment, secret),
        id_token=id_token, proved=proved.astimezone(UTC) if proved is not None else None,
        locks_in=max(ends[0], 0), ends_in=max(ends[1], 0),
    )  # fmt: skip
    return session if how == "open" else Asleep(session, ended=how == "ended")


async def _look_again(
    database: Database, key: bytes, person: str, assignment_id: str
) -> Assignment | None:
    """The assignment as the record has it now; None when it has ended, and then it must be chosen anew."""
    held = await assignment_of(database, person.removeprefix("Practitioner/"), assignment_id)
    async with database.writing() as connection:
        await connection.execute(_AGAIN, {"id": key, **_chosen(held)})
    return held.assignment if held else None


def _chosen(held: Held | None) -> dict[str, Any]:
    if held is None:
        return {"assignment": None, "self": None, "version": None, "until": None}
    return {
        "assignment": msgspec.json.encode(held.assignment).decode(),
        "self": self_hash("PractitionerRole", held.assignment.id),
        "version": held.version,
        "until": held.until,
    }


def _session(key: bytes, person: Actor, assignment: Assignment | None, secret: bytes) -> Session:
    actor = Actor(person.kind, person.id, person.name, loa=person.loa, assignment=assignment)
    choosing = person.kind == "staff" and assignment is None
    return Session(key.hex()[:16], actor, "choose" if choosing else "active", key, secret)


def _cookie(request: Request) -> str:
    """The session's cookie; empty when there is none, or several of the name.

    A neighbouring host can plant one beside the true one (cookie tossing), and nothing tells which is
    which: neither is believed. With https the `__Host-` prefix keeps others from planting any.
    """
    name = cookie_name(services_of(request).settings)
    pairs = (
        part.strip().partition("=")
        for header in request.headers.getlist("cookie")
        for part in header.split(";")
    )
    values = {value for n, _, value in pairs if n == name}
    value = values.pop() if len(values) == 1 else ""
    return value if len(value) <= _LONGEST_COOKIE else ""


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
