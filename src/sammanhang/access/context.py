"""Context links (uthopp): another system opens a patient here, for a person, in an assignment (M59).

The link is a JWT of type `context+jwt`, signed by a registered partner, for our `/context`, that lives two
minutes and is used once. It never logs anybody in: it waits until the person it names is logged in here, at
the level the record needs, and only they go on.

    iss         the partner                     sub      the person's HSA-id
    aud         our address of /context         patient  identity number, or id of the Patient
    iat, exp    made, and at most 120 s later   assignment  id of the PractitionerRole, or the unit's HSA-id
    jti         used once                       role     code of the role, where the unit is not enough

What is read from the token before its signature holds is only `iss` and `kid`, to find the key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .actor import Assignment
from .identity_services import base_url
from .partners import Partner, partner_of
from .staff import person_of_claims, resources
from .used_tokens import use_once

_HSA = re.compile(r"SE[0-9]{10}-[A-Z0-9]{1,20}")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_NUMBER = re.compile(r"[0-9]{8}-?[0-9A-Z]{4}")
_ROLE = re.compile(r"[a-z_]{1,40}")
_KEY = {"ES256": (ECKey, "P-256"), "ES384": (ECKey, "P-384"), "RS256": (RSAKey, None),
        "PS256": (RSAKey, None)}  # fmt: skip


class LinkRefused(Refused):
    """The link does not hold; `why` names the fault for the trace, `text` the page that tells the person."""

    def __init__(self, why: str, text: str = "link") -> None:
        super().__init__(
            f"The link was refused: {why}.", "Länken gick inte att lita på.", rule="M59"
        )
        self.why = why
        self.text = text


@dataclass(frozen=True, slots=True)
class Link:
    """A link whose signature and claims hold.

    partner, partner_name  who made it
    person      `Practitioner/…` it names; empty when no one person here has the HSA-id
    assignment  id of the PractitionerRole, or None and `unit` (and perhaps `role`) instead
    patient     identity number or Patient id, as the link gave it
    """

    partner: str
    partner_name: str
    person: str
    assignment: str | None
    unit: str | None
    role: str | None
    patient: str
    jti: str

    def chosen(self, held: list[Assignment]) -> Assignment | None:
        """Which of somebody's assignments the link means; None for none of them."""
        for a in held:
            if self.assignment is not None and a.id == self.assignment:
                return a
            if self.unit is not None and a.unit == self.unit and self.role in (None, a.role):
                return a
        return None

    @property
    def number(self) -> str:
        """The identity number as people write it; empty when the link gave an id."""
        plain = self.patient.replace("-", "")
        return f"{plain[:8]}-{plain[8:]}" if _NUMBER.fullmatch(self.patient) else ""


def audience(settings: Settings) -> str:
    """Whom a link must be for."""
    return f"{base_url(settings)}/context"


async def opened(database: Database, settings: Settings, token: str) -> Link:
    """The link of a token, spent by this. Raises `LinkRefused`.

    The token is marked used last, so that a forged one cannot use up a true one's `jti`.
    """
    partner, claims = await _verified(database, token)
    _check_times(claims)
    aud = claims.get("aud")
    if aud != audience(settings) and aud != [audience(settings)]:
        raise LinkRefused("another audience")
    link = await _link(database, partner, claims)
    until = float(claims["exp"]) + content("rules/context")["leeway_seconds"]
    if not await use_once(database, f"context {partner.issuer}", link.jti, until):
        raise LinkRefused("used before", "link_used")
    return link


async def keep(database: Database, link: Link) -> str:
    """Keeps a link while its person logs in or says yes; returns the name it waits under."""
    name = secrets.token_urlsafe(32)
    async with database.writing() as connection:
        await connection.execute(
            "INSERT INTO access.context_link (id, partner, partner_name, person, assignment, unit, role,"
            " patient, jti, until) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s,"
            " now() + make_interval(mins => %s))",
            (
                _hash(name), link.partner, link.partner_name, link.person, link.assignment, link.unit,
                link.role, link.patient, link.jti, content("rules/context")["wait_minutes"],
            ),
        )  # fmt: skip
    return name


async def waiting(database: Database, name: str) -> Link | None:
    """The link that waits under a name; None when it was used or its time is out."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT partner, partner_name, person, assignment, unit, role, patient, jti"
            " FROM access.context_link WHERE id = %s AND until > now()",
            (_hash(name),),
        )
        row = await cursor.fetchone()
    return Link(*row) if row is not None else None


async def spend(database: Database, name: str) -> bool:
    """Uses a waiting link up; False when somebody else did so first."""
    async with database.writing() as connection:
        cursor = await connection.execute(
            "DELETE FROM access.context_link WHERE id = %s AND until > now()", (_hash(name),)
        )
        return cursor.rowcount == 1


async def patient_id(database: Database, link: Link) -> str:
    """Id of the patient a link means.

    Of one who is not here, a made-up id: the door then answers as for a patient one has nothing to do with,
    and the number stands in no address.
    """
    if link.number:
        claims = {"personalIdentityNumber": link.number}
        found = await person_of_claims(database, claims)
        if found is not None:
            return found.removeprefix("Patient/")
    elif link.patient in await resources(database, "Patient", {link.patient}):
        return link.patient
    return "link-" + hashlib.sha256(f"{link.jti}|{link.patient}".encode()).hexdigest()[:24]


async def _verified(database: Database, token: str) -> tuple[Partner, dict[str, Any]]:
    rules = content("rules/context")
    if not token or len(token) > rules["largest_bytes"]:
        raise LinkRefused("no token" if not token else "too large")
    try:
        unverified = jws.extract_compact(token.encode("ascii"))
        header = unverified.headers()
        said = msgspec.json.decode(unverified.payload or b"")
        algorithm, kind = header.get("alg"), header.get("typ")
        if algorithm not in rules["algorithms"] or "crit" in header:
            raise LinkRefused("algorithm")
        if str(kind).lower().removeprefix("application/") != rules["type"]:
            raise LinkRefused("type")
        issuer = said.get("iss") if isinstance(said, dict) else None
        partner = await _partner(database, issuer)
        key = _key(partner, header.get("kid"), str(algorithm))
        payload = jws.deserialize_compact(token, key, algorithms=[str(algorithm)]).payload
        claims = msgspec.json.decode(payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as e:
        raise LinkRefused("signature") from e
    if not isinstance(claims, dict) or claims.get("iss") != partner.issuer:
        raise LinkRefused("claims")
    return partner, claims


async def _partner(database: Database, issuer: object) -> Partner:
    known = None
    if isinstance(issuer, str) and len(issuer) <= 200 and "\0" not in issuer:
        known = await partner_of(database, issuer)
    if known is None:
        raise LinkRefused("unknown partner")
    return known


def _key(partner: Partner, kid: object, algorithm: str) -> Key:
    """The partner's key of that id, of the type the algorithm is for."""
    kind, curve = _KEY[algorithm]
    for key in partner.keys:
        fits = isinstance(key, kind) and (curve is None or key.get("crv") == curve)
        if key.kid == kid and fits and key.get("alg") in (None, algorithm):
            return key
    raise LinkRefused("unknown key")


def _check_times(claims: dict[str, Any]) -> None:
    rules, now = content("rules/context"), time.time()
    leeway = rules["leeway_seconds"]
    iat, exp, nbf = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    for at in (iat, exp, nbf):
        if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at < 1e12:
            raise LinkRefused("times")
    assert isinstance(iat, int | float) and isinstance(exp, int | float)
    if exp - iat > rules["longest_seconds"] or exp <= iat:
        raise LinkRefused("too long a life")
    if iat > now + leeway or nbf > now + leeway:
        raise LinkRefused("made in the future")
    if now >= exp + leeway:
        raise LinkRefused("expired", "link_late")


async def _link(database: Database, partner: Partner, claims: dict[str, Any]) -> Link:
    def text(name: str, form: re.Pattern[str]) -> str:
        value = claims.get(name)
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise LinkRefused(name)
        return value

    jti = claims.get("jti")
    if not isinstance(jti, str) or not 8 <= len(jti) <= 200 or not jti.isprintable():
        raise LinkRefused("jti")
    subject, where, patient = text("sub", _HSA), text("assignment", _ID), text("patient", _ID)
    role = text("role", _ROLE) if claims.get("role") is not None else None
    person = await person_of_claims(database, {"employeeHsaId": subject})
    unit = where if _HSA.fullmatch(where) else None
    assignment = where if unit is None else None
    return Link(partner.issuer, partner.name, person or "", assignment, unit, role, patient, jti)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
