"""Sessions: who is logged in, in which assignment, for how long.

The cookie holds a random number; the database holds its SHA-256, so a copy of the database is no way
in. The number changes when somebody logs in and when they choose an assignment (session fixation,
OWASP ASVS 7.2.4). A session ends by log-out, without activity, and after some hours whatever happens.
The chosen assignment is looked at again whenever its PractitionerRole has changed or run out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database
from sammanhang.store.types import NUMBER

from .actor import Actor, Assignment
from .identity_services import secure, services_of
from .staff import Held, assignment_of

_AGENT = 300
_HERE = "sammanhang.session"


class ForgedForm(Refused):
    """A form was sent without the token of the page it stood on; send it again from the page."""

    def __init__(self) -> None:
        super().__init__(
            "The form was not sent from a page of yours here. Reload the page and try again.",
            "Formuläret skickades inte från din sida här. Ladda om sidan och försök igen.",
            rule="CSRF",
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in person.

    id        what the session is called in lists and traces; no use as a cookie
    actor     the person, in the chosen assignment when `state` is "active"
    state     "choose": staff who have several assignments and have not chosen; nothing else is open
    id_token  what the provider said, for logging out there too
    """

    id: str
    actor: Actor
    state: Literal["choose", "active"]
    key: bytes
    secret: bytes
    id_token: str | None = None


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
    """With https the `__Host-` prefix: no other host and no plain-text page can plant it (RFC 6265bis)."""
    return "__Host-sammanhang" if secure(settings) else "sammanhang"


# current: the session of a cookie, alive; marks it seen at most once a minute; and the version of the
# chosen assignment as it stands now
_CURRENT = f"""
WITH alive AS (
    SELECT * FROM access.session
     WHERE id = %(id)s AND expires > now() AND last_seen > now() - %(idle)s::interval
), touched AS (
    UPDATE access.session SET last_seen = now()
     WHERE %(touch)s AND id = (SELECT id FROM alive WHERE last_seen < now() - interval '1 minute')
)
SELECT person, kind, name, loa, csrf, assignment, id_token,
       assignment_version IS NOT DISTINCT FROM r.version
           AND (assignment_until IS NULL OR assignment_until > now())
  FROM alive LEFT JOIN store.other r
    ON r.self = alive.assignment_self AND r.type = {NUMBER["PractitionerRole"]}
"""
_CREATE = """
WITH gone AS (DELETE FROM access.session WHERE id = %(replaces)s)
INSERT INTO access.session (id, person, kind, name, loa, csrf, assignment, assignment_self,
    assignment_version, assignment_until, id_token, agent, expires)
VALUES (%(id)s, %(person)s, %(kind)s, %(name)s, %(loa)s, %(csrf)s, %(assignment)s, %(self)s,
    %(version)s, %(until)s, %(id_token)s, %(agent)s, now() + %(life)s::interval)
"""
_RENEW = """
WITH remembered AS (
    INSERT INTO access.last_assignment (person, assignment) VALUES (%(person)s, %(chosen)s)
    ON CONFLICT (person) DO UPDATE SET assignment = excluded.assignment, chosen = now()
)
UPDATE access.session SET id = %(id)s, csrf = %(csrf)s, assignment = %(assignment)s,
    assignment_self = %(self)s, assignment_version = %(version)s, assignment_until = %(until)s,
    last_seen = now()
 WHERE id = %(was)s
"""
_AGAIN = """
UPDATE access.session SET assignment = %(assignment)s, assignment_self = %(self)s,
    assignment_version = %(version)s, assignment_until = %(until)s WHERE id = %(id)s
"""


async def create(
    request: Request, *, actor: Actor, held: Held | None = None, id_token: str | None = None
) -> Fresh:
    """A new session for somebody who has just proved who they are; ends the browser's earlier one.

    `actor` is the person without assignment; `held` the assignment when there is nothing to choose.
    """
    services = services_of(request)
    cookie, secret = secrets.token_urlsafe(32), secrets.token_bytes(32)
    values = {
        "id": _key(cookie),
        "replaces": _key(request.cookies.get(cookie_name(services.settings), "")),
        "person": actor.id,
        "kind": actor.kind,
        "name": actor.name,
        "loa": actor.loa,
        "csrf": secret,
        "id_token": id_token,
        "agent": request.headers.get("user-agent", "")[:_AGENT].replace("\0", ""),
        "life": timedelta(hours=services.settings.session_hours),
        **_chosen(held),
    }
    async with services.database.writing() as connection:
        await connection.execute(_CREATE, values)
    session = _session(values["id"], actor, held.assignment if held else None, secret, id_token)
    request.scope[_HERE] = session
    return Fresh(session, cookie)


async def current(request: Request, *, touch: bool = True) -> Session | None:
    """The session of a request, or None: nobody is logged in, or the time is out.

    One query, asked once per request. `touch` False is for what a page does by itself (polling): it
    does not count as activity. A session whose assignment has ended comes back in state "choose".
    """
    if _HERE in request.scope:
        known: Session | None = request.scope[_HERE]
        return known
    services = services_of(request)
    cookie = request.cookies.get(cookie_name(services.settings))
    session = None
    if cookie and len(cookie) <= 100:
        session = await _read(services.database, services.settings, _key(cookie), touch)
    request.scope[_HERE] = session
    return session


async def choose_assignment(request: Request, session: Session, assignment_id: str) -> Fresh:
    """The session goes on in another assignment, under a new cookie and a new form secret.

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
    cookie, secret = secrets.token_urlsafe(32), secrets.token_bytes(32)
    values = {"id": _key(cookie), "was": session.key, "person": person.id, "csrf": secret}
    async with services.database.writing() as connection:
        cursor = await connection.execute(
            _RENEW, {**values, "chosen": held.assignment.id, **_chosen(held)}
        )
        if cursor.rowcount == 0:  # ended in another window meanwhile
            raise Unauthenticated("The session has ended; log in again.", "Logga in igen.")
    renewed = _session(_key(cookie), person, held.assignment, secret, session.id_token)
    request.scope[_HERE] = renewed
    return Fresh(renewed, cookie)


async def logout(request: Request) -> Session | None:
    """Ends the session of a request and returns it as it was; None when there was none."""
    session = await current(request, touch=False)
    if session is not None:
        async with services_of(request).database.writing() as connection:
            await connection.execute("DELETE FROM access.session WHERE id = %s", (session.key,))
    request.scope[_HERE] = None
    return session


async def logout_everywhere(database: Database, person: str) -> int:
    """Ends every session of `Practitioner/…` or `Patient/…`; returns how many there were."""
    async with database.writing() as connection:
        cursor = await connection.execute("DELETE FROM access.session WHERE person = %s", (person,))
        return cursor.rowcount


def forget_cookie(response: Response, settings: Settings) -> None:
    """Takes the session's cookie from the browser."""
    response.delete_cookie(
        cookie_name(settings), path="/", secure=secure(settings), httponly=True, samesite="lax"
    )


def csrf_token(session: Session) -> str:
    """The token a form of this session carries, as the field `csrf` or the header `X-CSRF-Token`.

    Different every time: the secret lies under a random mask, so that a compressed page does not
    give it away (BREACH).
    """
    mask = secrets.token_bytes(32)
    return base64.urlsafe_b64encode(mask + _xor(mask, session.secret)).decode()


async def check_csrf(request: Request, session: Session) -> None:
    """Raises `ForgedForm` unless the request carries this session's form token."""
    sent: object = request.headers.get("x-csrf-token")
    if sent is None:
        sent = (await request.form(max_files=0, max_fields=1000)).get("csrf")
    try:
        raw = base64.urlsafe_b64decode(sent) if isinstance(sent, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != 64 or not hmac.compare_digest(_xor(raw[:32], raw[32:]), session.secret):
        raise ForgedForm


async def last_assignment(database: Database, person: str) -> str | None:
    """Id of the assignment a person chose last, on any computer."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT assignment FROM access.last_assignment WHERE person = %s", (person,)
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def sweep(database: Database, settings: Settings) -> None:
    """Removes what is over: sessions, log-ins never finished, codes, revocations of dead tokens."""
    idle = timedelta(minutes=settings.session_idle_minutes)
    async with database.writing() as connection:
        await connection.execute(
            "DELETE FROM access.session WHERE expires < now() OR last_seen < now() - %s::interval",
            (idle,),
        )
        for table, column in (
            ("login_attempt", "expires"), ("authorization_code", "expires + interval '1 hour'"),
            ("revoked_token", "until"), ("signing_key", "until"), ("id_signing_key", "until"),
            ("app_code", "expires + interval '1 hour'"), ("app_refresh", "expires"), ("app_launch", "expires"),
            ("assertion_seen", "until"),
        ):  # fmt: skip
            await connection.execute(f"DELETE FROM access.{table} WHERE {column} < now()")


async def _read(database: Database, settings: Settings, key: bytes, touch: bool) -> Session | None:
    idle = timedelta(minutes=settings.session_idle_minutes)
    async with database.writing() as connection:
        cursor = await connection.execute(_CURRENT, {"id": key, "idle": idle, "touch": touch})
        row = await cursor.fetchone()
    if row is None:
        return None
    person, kind, name, loa, secret, chosen, id_token, unchanged = row
    actor = Actor(kind, person, name, loa=loa)
    assignment = msgspec.convert(chosen, Assignment) if chosen is not None else None
    if assignment is not None and not unchanged:
        assignment = await _look_again(database, key, person, assignment.id)
    return _session(key, actor, assignment, secret, id_token)


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


def _session(
    key: bytes, person: Actor, assignment: Assignment | None, secret: bytes, id_token: str | None
) -> Session:
    actor = Actor(person.kind, person.id, person.name, loa=person.loa, assignment=assignment)
    choosing = person.kind == "staff" and assignment is None
    return Session(key.hex()[:16], actor, "choose" if choosing else "active", key, secret, id_token)


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
