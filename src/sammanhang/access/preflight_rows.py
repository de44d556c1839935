"""What the preflight reads: people and assignments side by side, streamed, and the organisation.

Five questions, however many people there are, all of one moment. People and assignments come sorted by
person from the database and are laid together here, so that no more than one person is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from sammanhang.fhir.dates import BEGINNING, END, bounds
from sammanhang.fhir.indexing import self_hash, slot
from sammanhang.kernel.identifiers import HSA_ID
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.connection import numbers
from sammanhang.store.types import NUMBER

from .staff import BY_PRACTITIONER, ROLE

_BY_UNIT = slot("PractitionerRole.organization", "reference")
_KIND = "http://sammanhang.se/fhir/CodeSystem/organisation-type"
ROWS_AT_A_TIME = 2000


class _Coding(msgspec.Struct):
    system: str | None = None
    code: str | None = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []


class _Identifier(msgspec.Struct):
    system: str | None = None
    value: str | None = None


class _Name(msgspec.Struct):
    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: list[str] = []


class _Period(msgspec.Struct):
    start: str | None = None
    end: str | None = None


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Meta(msgspec.Struct):
    tag: list[_Coding] = []


class _Person(msgspec.Struct):
    identifier: list[_Identifier] = []
    name: list[_Name] = []
    active: bool = True


class _Role(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)
    active: bool = True
    period: _Period = msgspec.field(default_factory=_Period)
    practitioner: _Reference = msgspec.field(default_factory=_Reference)
    organization: _Reference = msgspec.field(default_factory=_Reference)
    code: list[_Concept] = []


class _Organization(msgspec.Struct):
    id: str
    active: bool = True
    name: str = ""
    type: list[_Concept] = []
    partOf: _Reference = msgspec.field(default_factory=_Reference)


_person = msgspec.json.Decoder(_Person)
_role = msgspec.json.Decoder(_Role)
_organization = msgspec.json.Decoder(_Organization)


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """An assignment as it is stored: what it says of role, unit and provider, and when it is in force."""

    id: str
    role: str | None
    organization: str | None
    unit_tag: str | None
    provider_tag: str | None
    active: bool
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A member of staff with all assignments; `there` False when only assignments speak of them."""

    id: str
    name: str
    active: bool
    hsa_ids: tuple[str, ...]
    assignments: tuple[AssignmentRow, ...]
    there: bool = True


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """An organisation: name, whether it is in use, whether it is a care provider, what it is part of."""

    id: str
    name: str
    active: bool
    provider: bool
    part_of: str | None


@dataclass
class Rows:
    """What one preflight reads.

    organizations  by id
    in_care        how many patients each unit has in its care now, by HSA-id
    shared         HSA-ids that several people have
    """

    organizations: dict[str, OrganizationRow] = field(default_factory=dict)
    in_care: dict[str, int] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    _connection: Any = None
    _people: list[int] | None = None
    _tokens: list[int] | None = None

    def people(self) -> Iterator[PersonRow]:
        """Everybody asked for, by id; read once."""
        people = self._stream("people", _PEOPLE, self._people)
        roles = self._stream("roles", _ROLES, self._tokens)
        role = next(roles, None)
        for id, body in people:
            while role is not None and role[0] < id:  # people who are not there
                yield PersonRow(role[0], "", True, (), (_assignment(role),), there=False)
                role = next(roles, None)
            own = []
            while role is not None and role[0] == id:
                own.append(_assignment(role))
                role = next(roles, None)
            yield _with(id, _person.decode(body), tuple(own))
        while role is not None:
            yield PersonRow(role[0], "", True, (), (_assignment(role),), there=False)
            role = next(roles, None)

    def _stream(self, name: str, sql: str, only: list[int] | None) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor(name)
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(sql, {**_TYPES, "only": None if only is None else numbers(only)})
        return iter(cursor)


_TYPES = {
    "person": NUMBER["Practitioner"], "role": NUMBER["PractitionerRole"],
    "organization": NUMBER["Organization"], "hsa": HSA_ID,
}  # fmt: skip
# people: members of staff by id
_PEOPLE = """
SELECT id, body FROM store.other
 WHERE type = %(person)s AND (%(only)s::bigint[] IS NULL OR self = ANY(%(only)s::bigint[]))
 ORDER BY id COLLATE "C"
"""
# roles: assignments by the person they are for
_ROLES = """
SELECT coalesce(substring(convert_from(body, 'UTF8')::jsonb #>> '{practitioner,reference}'
           FROM '^Practitioner/(.*)$'), '') COLLATE "C" AS who, id, body
  FROM store.other
 WHERE type = %(role)s AND (%(only)s::bigint[] IS NULL OR tokens && %(only)s::bigint[])
 ORDER BY who, id COLLATE "C"
"""
# organizations: all of them
_ORGANIZATIONS = "SELECT body FROM store.other WHERE type = %(organization)s"
# in_care: patients in the care of each unit now
_IN_CARE = """
SELECT p.id, count(DISTINCT r.patient) FROM store.resource r JOIN store.party p ON p.number = r.unit
 WHERE r.care_until > now() AND r.patient IS NOT NULL GROUP BY p.id
"""
# shared: HSA-ids that several people have
_SHARED = """
SELECT i ->> 'value' FROM store.other,
       jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'identifier') i
 WHERE type = %(person)s AND i ->> 'system' = %(hsa)s
 GROUP BY 1 HAVING count(DISTINCT id) > 1
"""
# of_unit: who has an assignment at a unit
_OF_UNIT = """
SELECT DISTINCT substring(convert_from(body, 'UTF8')::jsonb #>> '{practitioner,reference}'
           FROM '^Practitioner/(.*)$')
  FROM store.other WHERE type = %(role)s AND tokens @> ARRAY[%(unit)s]::bigint[]
"""


@contextmanager
def reading(dsn: str, *, person: str | None = None, unit: str | None = None) -> Iterator[Rows]:
    """The rows of one moment; of one person, or of those with an assignment at a unit, when asked so.

    Reads the organisation, nobody's record but to count patients of units. Raises psycopg.Error.
    """
    options = "-c role=sammanhang_whole -c jit=off -c work_mem=32MB"
    with psycopg.connect(dsn, options=options) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows = Rows(_connection=connection)
        for (body,) in connection.execute(_ORGANIZATIONS, _TYPES):
            o = _organization.decode(body)
            kinds = {c.code for t in o.type for c in t.coding if c.system == _KIND}
            rows.organizations[o.id] = OrganizationRow(
                o.id, o.name, o.active, "provider" in kinds, _id(o.partOf, "Organization")
            )
        rows.in_care = dict(connection.execute(_IN_CARE).fetchall())
        rows.shared = frozenset(v for (v,) in connection.execute(_SHARED, _TYPES) if v)
        if person is not None or unit is not None:
            wanted = _wanted(connection, person, unit)
            rows._people = [self_hash("Practitioner", id) for id in wanted]
            rows._tokens = [number ^ BY_PRACTITIONER for number in rows._people]
        yield rows
        connection.rollback()


def _wanted(connection: psycopg.Connection[Any], person: str | None, unit: str | None) -> set[str]:
    wanted = {person} if person is not None else None
    if unit is not None:
        token = self_hash("Organization", unit) ^ _BY_UNIT
        found = connection.execute(_OF_UNIT, {**_TYPES, "unit": token}).fetchall()
        there = {who for (who,) in found if who}
        wanted = there if wanted is None else wanted & there
    return wanted or set()


def _with(id: str, p: _Person, assignments: tuple[AssignmentRow, ...]) -> PersonRow:
    names = sorted(p.name, key=lambda n: n.use != "official")
    texts = (n.text or " ".join(filter(None, [*n.given, n.family])) for n in names)
    hsa = dict.fromkeys(i.value for i in p.identifier if i.system == HSA_ID and i.value)
    return PersonRow(id, next(filter(None, texts), id), p.active, tuple(hsa), assignments)


def _assignment(row: tuple[Any, ...]) -> AssignmentRow:
    _, id, body = row
    r = _role.decode(body)
    tags = {t.system: t.code for t in reversed(r.meta.tag)}
    codes = [c.code for concept in r.code for c in concept.coding if c.system == ROLE and c.code]
    return AssignmentRow(
        id,
        codes[0] if codes else None,
        _id(r.organization, "Organization"),
        tags.get(UNIT),
        tags.get(PROVIDER),
        r.active,
        bounds(r.period.start)[0] if r.period.start else BEGINNING,
        bounds(r.period.end)[1] if r.period.end else END,
    )


def _id(reference: _Reference, kind: str) -> str | None:
    text = reference.reference
    return text[len(kind) + 1 :] if text and text.startswith(kind + "/") else None
