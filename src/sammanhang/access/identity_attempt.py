"""A log-in under way: what was asked of the provider, by which browser, for what.

Each attempt has a cookie of its own: two windows may log in at the same time, and an answer smuggled into
somebody else's browser (log-in CSRF) finds no cookie there.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from sammanhang.kernel.settings import Settings

from .identity_services import cookie_named, secure, services_of

ATTEMPT_SECONDS = 600
LONGEST_NEXT = 8000  # an app's request for access comes back here whole, with all its scopes
_OWN = ("login", "logout", "oidc", "unlock", "locked", "lock")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a log-in is begun for.

    next    where the person was going
    level   the level of assurance it must reach; 0 for any
    anew    whether the person must prove who they are now, whatever the provider remembers
    person  whose locked or present session goes on when it is they who log in; empty when nobody's
    """

    next: str = "/"
    level: int = 0
    anew: bool = False
    person: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A log-in an answer has come to: its secrets, when it was begun and for what."""

    nonce: str
    verifier: str
    started: datetime
    purpose: Purpose


# start: a log-in under way
_START = """
INSERT INTO access.login_attempt (state, browser, nonce, verifier, next, expires, level, anew, person)
VALUES (%s, %s, %s, %s, %s, now() + make_interval(secs => %s), %s, %s, %s)
"""
# finish: the log-in an answer belongs to, once, in time
_FINISH = """
DELETE FROM access.login_attempt WHERE state = %s
RETURNING browser, nonce, verifier, next, expires > now(), started, level, anew, coalesce(person, '')
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt just begun: what goes to the provider, and what only this browser gets."""

    state: str
    nonce: str
    verifier: str
    browser: str

    def put(self, response: Response, settings: Settings) -> None:
        """Gives the browser the attempt's cookie."""
        response.set_cookie(
            _cookie(settings, self.state), self.browser, max_age=ATTEMPT_SECONDS, path="/",
            secure=secure(settings), httponly=True, samesite="lax",
        )  # fmt: skip


async def begin(request: Request, purpose: Purpose) -> Begun:
    """A new attempt of this browser; `purpose.next` passes `local_path`."""
    state, nonce, browser = (secrets.token_urlsafe(32) for _ in range(3))
    verifier = secrets.token_urlsafe(48)
    values = (
        _hash(state), _hash(browser), nonce, verifier, local_path(purpose.next), ATTEMPT_SECONDS, purpose.level,
        purpose.anew, purpose.person or None,
    )  # fmt: skip
    async with services_of(request).database.writing() as connection:
        await connection.execute(_START, values)
    return Begun(state, nonce, verifier, browser)


async def finish(request: Request, state: str) -> Attempt | None:
    """The attempt an answer belongs to, spent by this; None when it is not of this browser."""
    services = services_of(request)
    if not state or len(state) > 200:
        return None
    browser = request.cookies.get(_cookie(services.settings, state), "")
    async with services.database.writing() as connection:
        cursor = await connection.execute(_FINISH, (_hash(state),))
        row = await cursor.fetchone()
    if row is None or not row[4] or not hmac.compare_digest(_hash(browser), row[0]):
        return None
    _, nonce, verifier, next, _, started, level, anew, person = row
    return Attempt(nonce, verifier, started, Purpose(next, level, anew, person))


def drop(response: Response, settings: Settings, state: str) -> None:
    """Takes the attempt's cookie from the browser."""
    response.delete_cookie(
        _cookie(settings, state), path="/", secure=secure(settings), httponly=True, samesite="lax"
    )


def local_path(text: str | None) -> str:
    """Where to go after log-in: a path of this server, `/` for anything else (no open redirect).

    Browsers read `//host`, `/\\host` and a path with a tab or line break in it as another host
    (WHATWG URL 4.4); such are refused, and so are the log-in's own pages, which would go round.
    """
    if not text or len(text) > LONGEST_NEXT or not text.startswith("/") or text.startswith("//"):
        return "/"
    if "\\" in text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.split("/")[1] in _OWN:
        return "/"
    return text


def _cookie(settings: Settings, state: str) -> str:
    # Named by a hash: the state in a link must not become a name of somebody else's choosing.
    return cookie_named(settings, f"sammanhang-login-{_hash(state).hex()[:12]}")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
