"""The fictional people of the demo to choose from on the built-in provider's page.

Only the built-in provider asks: in production nobody lists who can log in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.fhir.dates import bounds
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import coded, fold, hash64, self_hash, slot
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.store.database import EVERYTHING, Database
from sammanhang.store.types import NUMBER

from .actor import Assignment
from .facts import PROTECTED
from .staff import BY_PRACTITIONER, ROLE, Held, held_with, is_dead, resources, shown_name

STORY = "http://sammanhang.se/fhir/tag/story"
"""The tag of people whose story is told in the demo: they stand first."""

_NAME = {
    "Practitioner": slot("Practitioner.name", "string"),
    "Patient": slot("Patient.name", "string"),
}
_BY_ROLE, _BY_UNIT = (
    slot("PractitionerRole.code", "token"),
    slot("PractitionerRole.organization", "reference"),
)
_UNIT_NAME = slot("Organization.name", "string")
_TAGGED = hash64(f"s|{STORY}|") ^ slot("Resource.meta.tag", "token")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to log in as.

    id           `Practitioner/…` or `Patient/…`
    note         what tells namesakes apart: year of birth and place of a resident
    assignments  what a member of staff can choose between
    """

    id: str
    kind: str
    name: str
    note: str = ""
    assignments: tuple[Assignment, ...] = ()


# named: who has a name that begins so
_NAMED = "SELECT self FROM store.string WHERE slot = %s AND folded LIKE %s"
# told: people with a story
_TOLD = "SELECT self FROM store.resource WHERE type = %s AND tokens @> ARRAY[%s]::bigint[] LIMIT 50"
# some_residents: a few to begin with
_SOME = "SELECT self FROM store.patient WHERE type = %s ORDER BY type, updated, self LIMIT %s"
# residents: living people of age, without protected identity
_RESIDENTS = (
    "SELECT id, body FROM store.patient WHERE type = %s AND self = ANY(%s::bigint[])"
    " AND (labels && %s::bigint[]) IS NOT TRUE"
)
# units_named: units with these words in their names
_UNITS = "SELECT DISTINCT self FROM store.string WHERE slot = %s AND folded LIKE ALL (%s::text[]) LIMIT 200"


async def people_to_log_in_as(database: Database, query: str = "", limit: int = 30) -> list[Person]:
    """Staff with a current assignment, then residents: those the query finds, or some of each role.

    Words of the query are beginnings of names; for staff also of roles and parts of unit names. At
    most `limit` staff and a third as many residents.
    """
    words = fold(query).split()[:6]
    residents = await _residents(database, words, max(limit // 3, 4))
    return [*await _staff(database, words, limit), *residents]


async def _staff(database: Database, words: list[str], limit: int) -> list[Person]:
    if words:
        named = await _named(database, "Practitioner", words)
        tokens = [number ^ BY_PRACTITIONER for number in named]
        held = await held_with(database, tokens, limit * 4) if tokens else []
        if len(held) < limit:
            held += await _by_role_and_unit(database, words, limit * 4)
    else:
        held = await _few_of_each(database)
    by_person: dict[str, dict[str, Held]] = {}
    for h in held:
        by_person.setdefault(h.practitioner, {})[h.assignment.id] = h
    chosen = dict(list(by_person.items())[:limit])
    # Some of a person's assignments led here; all are shown.
    tokens = [self_hash("Practitioner", p) ^ BY_PRACTITIONER for p in chosen]
    for h in await held_with(database, tokens, limit * 10) if tokens else []:
        if h.practitioner in chosen:
            chosen[h.practitioner][h.assignment.id] = h
    practitioners = await resources(database, "Practitioner", set(chosen))
    people = []
    for id, assignments in chosen.items():
        practitioner = practitioners.get(id)
        if practitioner is not None and practitioner.active is not False:
            all_held = tuple(h.assignment for h in assignments.values())
            people.append(
                Person(f"Practitioner/{id}", "staff", shown_name(practitioner), "", all_held)
            )
    return people


async def _few_of_each(database: Database) -> list[Held]:
    """Assignments of people with a story, then of some in every role, mixed role by role."""
    roles = [coded(ROLE, code)[1] ^ _BY_ROLE for code in content("rules/roles")["roles"]]
    async with database.reading(EVERYTHING) as connection:
        cursor = await connection.execute(_TOLD, (NUMBER["Practitioner"], _TAGGED))
        told = [row[0] ^ BY_PRACTITIONER for row in await cursor.fetchall()]
    held = await held_with(database, told, 100) if told else []
    each: list[list[Held]] = [await held_with(database, [role], 3) for role in roles]
    for place in range(3):
        held += [found[place] for found in each if place < len(found)]
    return held


async def _by_role_and_unit(database: Database, words: list[str], limit: int) -> list[Held]:
    """Assignments whose role or unit the words tell: `sjuksköterska borås`."""
    roles: set[str] = set()
    rest: list[str] = []
    for word in words:
        matching = {
            code
            for code, role in content("rules/roles")["roles"].items()
            if any(part.startswith(word) for part in fold(f"{role['sv']} {role['en']}").split())
        }
        roles |= matching
        if not matching:
            rest.append(word)
    tokens = [coded(ROLE, code)[1] ^ _BY_ROLE for code in roles]
    if rest:
        async with database.reading(EVERYTHING) as connection:
            patterns = [f"%{_like(word)}%" for word in rest]
            cursor = await connection.execute(_UNITS, (_UNIT_NAME, patterns))
            units = [row[0] ^ _BY_UNIT for row in await cursor.fetchall()]
        if not units:
            return []
        held = await held_with(database, units, limit * 10)
        return [h for h in held if not roles or h.assignment.role in roles][:limit]
    return await held_with(database, tokens, limit) if tokens else []


async def _residents(database: Database, words: list[str], limit: int) -> list[Person]:
    number = NUMBER["Patient"]
    async with database.reading(EVERYTHING) as connection:
        if words:
            selves = await _named(database, "Patient", words)
        else:
            cursor = await connection.execute(_TOLD, (number, _TAGGED))
            selves = [row[0] for row in await cursor.fetchall()]
            cursor = await connection.execute(_SOME, (number, limit * 4))
            selves += [row[0] for row in await cursor.fetchall()]
        cursor = await connection.execute(_RESIDENTS, (number, selves, list(PROTECTED)))
        rows = await cursor.fetchall()
    place = {self: i for i, self in enumerate(selves)}
    rows.sort(key=lambda row: place.get(self_hash("Patient", row[0]), len(place)))
    people = []
    for id, body in rows:
        patient = trusted(body, "Patient")
        if _of_age(patient) and not is_dead(patient) and patient.active is not False:
            people.append(Person(f"Patient/{id}", "resident", shown_name(patient), _note(patient)))
        if len(people) == limit:
            break
    return people


async def _named(database: Database, kind: str, words: list[str]) -> list[int]:
    """Numbers of people with a name that begins with each word."""
    sql = " INTERSECT ".join([_NAMED] * len(words)) + " LIMIT 200"
    values: list[Any] = []
    for word in words:
        values += [_NAME[kind], _like(word) + "%"]
    async with database.reading(EVERYTHING) as connection:
        cursor = await connection.execute(sql, values)
        return [row[0] for row in await cursor.fetchall()]


def _like(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _of_age(patient: Any) -> bool:
    if not patient.birthDate:
        return True
    today = clock.today()
    born = bounds(patient.birthDate)[0].astimezone(clock.STOCKHOLM)
    return (today.year - born.year, today.month, today.day) >= (
        content("rules/ages")["own_login_from"],
        born.month,
        born.day,
    )


def _note(patient: Any) -> str:
    place = next((a.city for a in patient.address or () if a.city), None)
    year = patient.birthDate[:4] if patient.birthDate else None
    return ", ".join(filter(None, [f"f. {year}" if year else None, place]))
