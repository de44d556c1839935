"""Launches from a chart (EHR launch): a word the app brings back, bound to who started it with whom.

A launch can be used once, within five minutes, by the same person in the same session, for the app it
was made for. Source: SMART App Launch 2.2, Launch App: EHR Launch.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from sammanhang.store.database import Database

from .clients import Client

LIFE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Launch:
    """What a launch carries: the patient, and the visit that was open, if one was."""

    patient: str
    encounter: str | None


async def start(
    database: Database, *, session: bytes, client: Client, patient: str, encounter: str | None
) -> str | None:
    """The word of a new launch by whoever's session this is; None when the session is gone."""
    word = secrets.token_urlsafe(32)
    async with database.writing() as connection:
        cursor = await connection.execute(
            "INSERT INTO access.app_launch (launch, client, session, person, patient, encounter, expires)"
            " SELECT %s, %s, s.serial, s.person, %s, %s, now() + make_interval(secs => %s)"
            " FROM access.session s WHERE s.id = %s",
            (_hash(word), client.id, patient, encounter, LIFE_SECONDS, session),
        )
        return word if cursor.rowcount == 1 else None


def address(client: Client, base: str, word: str) -> str:
    """Where the browser is sent: the app's launch address with `iss`, the FHIR base, and `launch`."""
    assert client.launch_url is not None
    mark = "&" if "?" in client.launch_url else "?"
    return f"{client.launch_url}{mark}{urlencode({'iss': base, 'launch': word})}"


async def find(
    database: Database, word: str, *, session: bytes, client: str, spend: bool
) -> Launch | None:
    """The launch of a word, when it is this client's, of this session, unused and in time.

    `spend` uses it up: of two who try, one gets it.
    """
    of_session = (
        "launch = %s AND client = %s AND used IS NULL AND expires > now() AND (session, person) IN"
        " (SELECT s.serial, s.person FROM access.session s WHERE s.id = %s)"
    )
    what = (
        f"UPDATE access.app_launch SET used = now() WHERE {of_session} RETURNING patient, encounter"
        if spend
        else f"SELECT patient, encounter FROM access.app_launch WHERE {of_session}"
    )
    async with database.writing() as connection:
        row = await (await connection.execute(what, (_hash(word), client, session))).fetchone()
    return Launch(*row) if row is not None else None


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
