"""What people granted to apps: given, met with a code, renewed, and ended.

A grant is one consent: a person (staff in one assignment, or a resident), an app, scopes, a patient. It
ends when the person, the app, or an administrator says so, when a code or refresh token of it comes
twice (RFC 9700 4.14), when its time is out, and, unless `offline_access` was granted, with the session
it was given in. What is ended stays in the table; nothing brings it back.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sammanhang.kernel.content import content
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .actor import Actor, App
from .oidc_errors import OAuthError
from .staff import assignment_of, name_of
from .verifiers import right_verifier

CODE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant in force.

    client, person, kind, name, loa  which app acts for whom, logged in at which level of assurance
    assignment                       id of the assignment it acts in; None for a resident
    scopes                           as granted, in the order they were asked for
    patient, encounter               the context of the launch
    offline                          outlives the session
    granted, until                   when it was given, and its latest end
    nonce                            the app's, for the ID token
    """

    id: str
    client: str
    person: str
    kind: str
    name: str
    loa: int
    assignment: str | None
    unit_name: str
    scopes: tuple[str, ...]
    patient: str | None
    encounter: str | None
    nonce: str | None
    offline: bool
    granted: datetime
    until: datetime
    last_used: datetime | None


_COLUMNS = (
    "g.id::text, g.client, g.person, g.kind, g.name, g.loa, g.assignment, g.unit_name, g.scopes, g.patient,"
    " g.encounter, g.nonce, g.offline, g.granted, g.until, g.last_used"
)
# A grant stands while nobody ended it, its time is not out, its client is in use, and the session it was
# given in lives, in the same assignment (R1), unless it is offline.
STANDS = """
g.ended IS NULL AND g.until > now()
AND EXISTS (SELECT FROM access.client c WHERE c.id = g.client AND c.active)
AND (g.offline OR EXISTS (SELECT FROM access.session s WHERE s.serial = g.session AND s.expires > now()
    AND s.last_seen > now() - %(idle)s::interval
    AND s.assignment ->> 'id' IS NOT DISTINCT FROM g.assignment))
"""
_GIVE = """
INSERT INTO access.app_grant (client, person, kind, name, loa, assignment, unit_name, scopes, patient,
    encounter, nonce, session, offline, until)
SELECT %(client)s, s.person, s.kind, s.name, s.loa, s.assignment ->> 'id',
       coalesce(s.assignment ->> 'unit_name', ''), %(scopes)s, %(patient)s, %(encounter)s, %(nonce)s,
       s.serial, %(offline)s, CASE WHEN %(offline)s THEN now() + %(days)s ELSE s.expires END
  FROM access.session s WHERE s.id = %(session)s RETURNING id::text
"""
_USE_CODE = """
UPDATE access.app_code SET used = now() WHERE code = %s AND used IS NULL
RETURNING grant_id::text, redirect_uri, challenge, expires > now()
"""
_USE_REFRESH = """
UPDATE access.app_refresh SET used = now() WHERE token = %s AND used IS NULL AND expires > now()
RETURNING grant_id::text
"""
# used: asking whether a grant stands also notes that it was used, at most once a minute
_IN_FORCE = f"""
WITH found AS (SELECT {_COLUMNS} FROM access.app_grant g WHERE g.id = %(id)s::uuid AND {STANDS}),
used AS (UPDATE access.app_grant SET last_used = now() WHERE id = %(id)s::uuid AND %(touch)s
    AND EXISTS (SELECT FROM found) AND (last_used IS NULL OR last_used < now() - interval '1 minute'))
SELECT * FROM found
"""


def offline_days(kind: str) -> int:
    """For how many days `offline_access` holds without asking the person again."""
    days: int = content("rules/apps")["offline_days"][kind]
    return days


async def give(
    database: Database,
    *,
    session: bytes,
    client: str,
    scopes: Sequence[str],
    patient: str | None,
    encounter: str | None,
    nonce: str | None,
    kind: str,
    redirect_uri: str,
    challenge: str,
) -> tuple[str, str] | None:
    """A grant by whoever's session this is, and the code that opens it; None when the session is gone.

    Returns (id of the grant, code). The code can be used once, for a minute.
    """
    code = secrets.token_urlsafe(32)
    values = {
        "session": session, "client": client, "scopes": list(scopes), "patient": patient,
        "encounter": encounter, "nonce": nonce, "offline": "offline_access" in scopes,
        "days": timedelta(days=offline_days(kind)),
    }  # fmt: skip
    async with database.writing() as connection, connection.transaction():
        row = await (await connection.execute(_GIVE, values)).fetchone()
        if row is None:
            return None
        await connection.execute(
            "INSERT INTO access.app_code (code, grant_id, redirect_uri, challenge, expires)"
            " VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))",
            (_hash(code), row[0], redirect_uri, challenge, CODE_SECONDS),
        )
    return str(row[0]), code


async def redeem(
    database: Database, settings: Settings, client: str, form: dict[str, str]
) -> Grant:
    """The grant a code opens. Raises `OAuthError` (invalid_grant).

    Whatever comes of it the code is spent; one that comes a second time ends what the first one gave.
    """
    code = _hash(form.get("code", ""))
    async with database.writing() as connection:
        row = await (await connection.execute(_USE_CODE, (code,))).fetchone()
    if row is None:
        await _come_twice(database, "app_code", "code", code)
        raise bad_grant()
    id, redirect_uri, challenge, in_time = row
    grant = await in_force(database, settings, id, touch=False) if in_time else None
    if (
        grant is None
        or grant.client != client
        or not hmac.compare_digest(form.get("redirect_uri", "").encode(), redirect_uri.encode())
        or not right_verifier(form.get("code_verifier", ""), challenge)
    ):
        await end(database, [id], "code")
        raise bad_grant()
    async with database.writing() as connection:
        await connection.execute(
            "UPDATE access.app_grant SET started = now(), last_used = now() WHERE id = %s", (id,)
        )
    return grant


async def new_refresh(database: Database, grant: Grant) -> str:
    """A refresh token of a grant; it can be used once."""
    token = secrets.token_urlsafe(32)
    async with database.writing() as connection:
        await connection.execute(
            "INSERT INTO access.app_refresh (token, grant_id, expires) VALUES (%s, %s, %s)",
            (_hash(token), grant.id, grant.until),
        )
    return token


async def of_refresh(
    database: Database, settings: Settings, client: str, token: str, *, asking: bool = False
) -> Grant | None:
    """The grant of a client's refresh token that has not been used, which is not spent by this; None for
    any other. One of the client's that comes again after it was used ends its grant, unless one is only
    `asking` what it is worth."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT grant_id::text FROM access.app_refresh WHERE token = %s AND used IS NULL"
            " AND expires > now()",
            (_hash(token),),
        )
        row = await cursor.fetchone()
    if row is None:
        if not asking:
            await _come_twice(database, "app_refresh", "token", _hash(token), client)
        return None
    grant = await in_force(database, settings, row[0], touch=False)
    return grant if grant is not None and grant.client == client else None


async def spend_refresh(database: Database, client: str, token: str) -> None:
    """Spends a refresh token that `of_refresh` found; raises `OAuthError` when somebody was faster, which
    ends the grant."""
    async with database.writing() as connection:
        row = await (await connection.execute(_USE_REFRESH, (_hash(token),))).fetchone()
    if row is None:
        await _come_twice(database, "app_refresh", "token", _hash(token), client)
        raise bad_grant()


async def in_force(
    database: Database, settings: Settings, id: str, *, touch: bool = True
) -> Grant | None:
    """The grant when it stands now; None when it has ended. `touch` notes that it is in use."""
    values = {"id": id, "idle": timedelta(minutes=settings.session_idle_minutes), "touch": touch}
    async with database.writing() as connection:
        cursor = await connection.execute(_IN_FORCE, values)
        row = await cursor.fetchone()
    return _grant(row) if row is not None else None


async def person_now(database: Database, grant: Grant) -> Actor | None:
    """Who granted it, as they are now, through the app; None when they may no longer act so: the
    assignment has ended, the person is out of use or dead."""
    name = await name_of(database, grant.person)
    if name is None:
        return None
    app = App(grant.client, grant.id, grant.patient)
    if grant.kind == "resident":
        return Actor("resident", grant.person, name, loa=grant.loa, app=app)
    practitioner = grant.person.removeprefix("Practitioner/")
    held = await assignment_of(database, practitioner, grant.assignment or "")
    if held is None:
        return None
    return Actor("staff", grant.person, name, grant.loa, held.assignment, app=app)


async def end(database: Database, ids: Sequence[str], why: str) -> list[str]:
    """Ends grants by id; returns those that stood. At once here, within 30 seconds elsewhere."""
    return await _end(database, "id = ANY(%s::uuid[])", list(ids), why)


async def end_of_person(database: Database, person: str, client: str) -> list[str]:
    """Ends what a person granted to an app; returns the ids of what was ended."""
    return await _end(database, "(person, client) = ROW(%s, %s)", (person, client), why="person")


async def end_of_client(database: Database, client: str, why: str) -> list[str]:
    """Ends what anybody granted to an app; returns the ids of what was ended."""
    return await _end(database, "client = %s", client, why)


async def of_person(database: Database, settings: Settings, person: str) -> list[Grant]:
    """What stands of a person's grants, the latest used first; one query."""
    return await _standing(database, settings, "g.person = %(who)s", person)


async def of_client(database: Database, settings: Settings, client: str) -> list[Grant]:
    """What stands of an app's grants, the latest used first; one query."""
    return await _standing(database, settings, "g.client = %(who)s", client)


async def counts(database: Database, settings: Settings) -> dict[str, tuple[int, datetime | None]]:
    """By client: how many grants stand, and when one was last used; one query."""
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(
            "SELECT g.client, count(*), max(g.last_used) FROM access.app_grant g"
            f" WHERE g.started IS NOT NULL AND {STANDS} GROUP BY 1",
            {"idle": timedelta(minutes=settings.session_idle_minutes)},
        )
        return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}


def bad_grant() -> OAuthError:
    """The one answer to a code or refresh token that opens nothing."""
    return OAuthError(
        "invalid_grant", "The code or refresh token is not valid, has been used, or is too old."
    )


async def _come_twice(
    database: Database, table: str, column: str, key: bytes, client: str | None = None
) -> None:
    """Ends the grant of a code or token that was used before: somebody has a copy of it."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            f"SELECT t.grant_id::text FROM access.{table} t JOIN access.app_grant g ON g.id = t.grant_id"
            f" WHERE t.{column} = %s AND t.used IS NOT NULL AND (%s::text IS NULL OR g.client = %s)",
            (key, client, client),
        )
        row = await cursor.fetchone()
    if row is not None:
        await end(database, [row[0]], "reuse")


async def _end(database: Database, where: str, values: Any, why: str) -> list[str]:
    from .tokens import forget

    arguments = values if isinstance(values, tuple) else (values,)
    async with database.writing() as connection:
        cursor = await connection.execute(
            "UPDATE access.app_grant SET ended = now(), ended_why = %s"
            f" WHERE ended IS NULL AND {where} RETURNING id::text",
            (why, *arguments),
        )
        ended = [row[0] for row in await cursor.fetchall()]
    forget(database, ended)
    return ended


async def _standing(database: Database, settings: Settings, where: str, who: str) -> list[Grant]:
    async with database.writing() as connection:
        database.queries += 1
        cursor = await connection.execute(
            f"SELECT {_COLUMNS} FROM access.app_grant g WHERE {where} AND g.started IS NOT NULL"
            f" AND {STANDS} ORDER BY g.last_used DESC LIMIT 1000",
            {"who": who, "idle": timedelta(minutes=settings.session_idle_minutes)},
        )
        return [_grant(row) for row in await cursor.fetchall()]


def _grant(row: tuple[Any, ...]) -> Grant:
    values = [*row]
    values[8] = tuple(row[8])
    return Grant(*values)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
