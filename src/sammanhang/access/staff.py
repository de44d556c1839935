"""People and their assignments, as the record has them: `Practitioner`, `PractitionerRole`, `Patient`.

An assignment (medarbetaruppdrag) is a PractitionerRole: `practitioner` is who, `organization` the unit
(its id is the HSA-id), `code` the role, `period` and `active` when; the tags of `kernel.owner` name
the care provider and the unit. One that lacks unit, provider or role gives no right to anything and is
left out here. This is data about the organisation, nobody's record: it is read without a door.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sammanhang.fhir.dates import END, bounds
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import identified, self_hash, slot
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.identifiers import HSA_ID, PERSONNUMMER, RESERVNUMMER, SAMORDNINGSNUMMER
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.database import EVERYTHING, Database
from sammanhang.store.types import NUMBER

from .actor import Assignment

ROLE = "http://sammanhang.se/fhir/CodeSystem/role"
BY_PRACTITIONER = slot("PractitionerRole.practitioner", "reference")
_IDENTIFIER = {
    "Practitioner": slot("Practitioner.identifier", "token"),
    "Patient": slot("Patient.identifier", "token"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """An assignment somebody has now: which version of its PractitionerRole said so, until when."""

    assignment: Assignment
    practitioner: str
    version: int
    until: datetime | None


# roles_with_tokens: assignments found by any of some search tokens (a practitioner, a unit, a role)
_ROLES = (
    "SELECT id, version, body FROM store.other"
    " WHERE type = %s AND tokens && %s::bigint[] ORDER BY id LIMIT %s"
)
# by_self: resources of a type by their numbers
_BY_SELF = "SELECT id, body FROM store.resource WHERE type = %s AND self = ANY(%s::bigint[])"
# person: one person, with the version
_PERSON = "SELECT id, version, body FROM store.resource WHERE type = %s AND self = %s"
# by_identifier: the people an identifier names
_BY_TOKEN = "SELECT id, body FROM store.resource WHERE type = %s AND tokens @> %s::bigint[] LIMIT 5"


async def assignments_of(database: Database, practitioner_id: str) -> list[Assignment]:
    """The assignments a person has now, by unit and role; empty when there are none."""
    return [h.assignment for h in await held_by(database, practitioner_id)]


async def held_by(database: Database, practitioner_id: str) -> list[Held]:
    """As `assignments_of`, with what it takes to see later that one has ended."""
    token = self_hash("Practitioner", practitioner_id) ^ BY_PRACTITIONER
    held = await held_with(database, [token], 500)
    return [h for h in held if h.practitioner == practitioner_id]


async def held_with(database: Database, tokens: list[int], limit: int) -> list[Held]:
    """Current assignments found by any of these search tokens, by unit and role."""
    async with database.reading(EVERYTHING) as connection:
        cursor = await connection.execute(_ROLES, (NUMBER["PractitionerRole"], tokens, limit))
        rows = await cursor.fetchall()
    found = [
        (id, version, role)
        for id, version, body in rows
        if _in_force(role := trusted(body, "PractitionerRole"), clock.now())
    ]
    return await _with_names(database, found)


async def assignment_of(
    database: Database, practitioner_id: str, assignment_id: str
) -> Held | None:
    """One assignment, when the person has it now; else None."""
    held = await held_by(database, practitioner_id)
    return next((h for h in held if h.assignment.id == assignment_id), None)


async def resources(database: Database, kind: str, ids: set[str]) -> dict[str, Any]:
    """Resources of a type by id; those that are not there are left out."""
    if not ids:
        return {}
    numbers = [self_hash(kind, id) for id in ids]
    async with database.reading(EVERYTHING) as connection:
        cursor = await connection.execute(_BY_SELF, (NUMBER[kind], numbers))
        rows = await cursor.fetchall()
    return {id: trusted(body, kind) for id, body in rows if id in ids}


async def name_of(database: Database, person: str) -> str | None:
    """The name of `Practitioner/…` or `Patient/…` who may log in; None for anybody else.

    A practitioner taken out of use may not, nor a person who has died.
    """
    found = await standing(database, person)
    return found[0] if found is not None else None


async def standing(database: Database, person: str) -> tuple[str, int] | None:
    """As `name_of`, with the version of the Practitioner or Patient that says so."""
    kind, _, id = person.partition("/")
    if kind not in _IDENTIFIER or not id:
        return None
    async with database.reading(EVERYTHING) as connection:
        cursor = await connection.execute(_PERSON, (NUMBER[kind], self_hash(kind, id)))
        row = await cursor.fetchone()
    if row is None or row[0] != id:
        return None
    found = trusted(row[2], kind)
    if found.active is False or (kind == "Patient" and is_dead(found)):
        return None
    return shown_name(found), row[1]


async def person_of_claims(database: Database, claims: dict[str, Any]) -> str | None:
    """The person an outside provider speaks of, found by identity; None when we do not know them.

    Staff by HSA-id (`employeeHsaId`, SITHS and Sambi), residents by personal identity number
    (`personalIdentityNumber`, OIDC profile of Sweden Connect).
    """
    hsa_id = claims.get("employeeHsaId") or claims.get("urn:credential:employeeHsaId")
    if isinstance(hsa_id, str):
        return await _by_identifier(database, "Practitioner", (HSA_ID,), hsa_id)
    number = claims.get("https://id.oidc.se/claim/personalIdentityNumber")
    number = number or claims.get("personalIdentityNumber")
    if isinstance(number, str):
        systems = (PERSONNUMMER, SAMORDNINGSNUMMER)
        return await _by_identifier(database, "Patient", systems, number.replace("-", ""))
    return None


async def resident_with(database: Database, number: str) -> str | None:
    """The id of the Patient with this identity number; None when there is none, or more than one."""
    systems = (PERSONNUMMER, SAMORDNINGSNUMMER, RESERVNUMMER)
    found = await _by_identifier(database, "Patient", systems, number)
    return found.removeprefix("Patient/") if found is not None else None


def shown_name(person: Any) -> str:
    """A person's name as people say it: given names, family name."""
    for name in sorted(person.name or (), key=lambda n: n.use != "official"):
        text = name.text or " ".join(filter(None, [*(name.given or ()), name.family]))
        if text:
            return str(text)
    return str(person.id)


def is_dead(patient: Any) -> bool:
    """Whether a Patient is marked as deceased."""
    return bool(patient.deceasedBoolean or patient.deceasedDateTime)


async def _by_identifier(
    database: Database, kind: str, systems: tuple[str, ...], value: str
) -> str | None:
    for system in systems:
        token = identified(system, value)[1] ^ _IDENTIFIER[kind]
        async with database.reading(EVERYTHING) as connection:
            cursor = await connection.execute(_BY_TOKEN, (NUMBER[kind], [token]))
            rows = await cursor.fetchall()
        # The token is a hash: the identifier itself decides. Two people with one number are nobody.
        found = [
            id
            for id, body in rows
            for i in trusted(body, kind).identifier or ()
            if i.system == system and i.value == value
        ]
        if len(found) == 1:
            return f"{kind}/{found[0]}"
    return None


def _in_force(role: Any, at: datetime) -> bool:
    if role.active is False:
        return False
    period = role.period
    if period is None:
        return True
    begun = period.start is None or bounds(period.start)[0] <= at
    return begun and (period.end is None or at < bounds(period.end)[1])


def _id(reference: Any, kind: str) -> str | None:
    text = reference.reference if reference is not None else None
    return text[len(kind) + 1 :] if text and text.startswith(kind + "/") else None


def _tag(resource: Any, system: str) -> str | None:
    tags = (resource.meta.tag if resource.meta is not None else None) or ()
    return next((t.code for t in tags if t.system == system), None)


async def _with_names(database: Database, found: list[tuple[str, int, Any]]) -> list[Held]:
    """Assignments with the names of their units and care providers, which are Organizations."""
    parties = {
        party
        for _, _, role in found
        for party in (_unit(role), _tag(role, PROVIDER))
        if party is not None
    }
    organizations = await resources(database, "Organization", parties)
    names = {id: o.name or id for id, o in organizations.items()}
    held = [h for id, version, role in found if (h := _held(id, version, role, names))]
    return sorted(held, key=lambda h: (h.assignment.unit_name, h.assignment.role_text))


def _unit(role: Any) -> str | None:
    return _id(role.organization, "Organization") or _tag(role, UNIT)


def _held(id: str, version: int, role: Any, names: dict[str, str]) -> Held | None:
    practitioner, unit, provider = (
        _id(role.practitioner, "Practitioner"),
        _unit(role),
        _tag(role, PROVIDER),
    )
    codings = [c for concept in role.code or () for c in concept.coding or () if c.system == ROLE]
    if (
        practitioner is None
        or unit is None
        or provider is None
        or not codings
        or not codings[0].code
    ):
        return None
    code = codings[0].code
    known = content("rules/roles")["roles"].get(code)
    until = bounds(role.period.end)[1] if role.period is not None and role.period.end else None
    return Held(
        Assignment(
            id=id,
            role=code,
            role_text=known["sv"] if known else codings[0].display or code,
            unit=unit,
            unit_name=names.get(unit, unit),
            provider=provider,
            provider_name=names.get(provider, provider),
        ),
        practitioner,
        version,
        None if until is None or until >= END else until,
    )
