"""Staff and their assignments (medarbetaruppdrag): Practitioner and PractitionerRole.

Who works where is a function of seed and size, so every process that generates residents knows the
same people without being told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sammanhang.fhir.r4 import (
    ContactPoint,
    HumanName,
    Identifier,
    Meta,
    Period,
    Practitioner,
    PractitionerRole,
    Reference,
)
from sammanhang.fhir.r4.practitioner import PractitionerQualification
from sammanhang.kernel.identifiers import HSA_ID, PERSONNUMMER

from .codes import HL7, ROLE, SE_PRACTITIONER, STORY_TAG, concept
from .content import table
from .days import TODAY
from .names import draw_family, draw_given
from .organisations import Unit, named, region

RESIDENTS_PER_TEAM = 200_000
ENDED_SHARE = 0.06
NEW = TODAY.replace(day=1).isoformat()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One person's assignment; `ended` is empty while it lasts."""

    id: str
    role: str
    unit: Unit
    begun: str
    ended: str


@dataclass(frozen=True, slots=True)
class Person:
    """A member of staff; `id` is the Practitioner's, `hsa` the HSA-id of the person.

    `number` is the identity number of one who is known to be a resident as well, else empty.
    """

    id: str
    hsa: str
    given: str
    family: str
    sex: str
    assignments: tuple[Assignment, ...]
    number: str = ""


def role_name(role: str) -> str:
    """The role in Swedish, e.g. `sjuksköterska`."""
    name: str = table("staff")["roles"][role][0]
    return name


@lru_cache(maxsize=1)
def named_people() -> dict[str, Person]:
    """The people one logs in as in the demo, by id; the same in every region."""
    return {person.id: person for person in _named_people()}


def _named_people() -> Iterator[Person]:
    for place, row in enumerate(table("staff")["named"], 1):
        first = named(row["assignments"][0][1])
        number = first.id[2:12]
        yield Person(
            row["id"],
            f"SE{number}-P{place:012d}",
            row["given"],
            row["family"],
            row["sex"],
            tuple(
                Assignment(f"{row['id']}-{i}", role, named(unit), begun, ended)
                for i, (role, unit, begun, ended) in enumerate(row["assignments"], 1)
            ),
            row.get("number", ""),
        )


@lru_cache(maxsize=2)
def people(seed: int, size: int) -> list[Person]:
    """All staff of a region of `size` residents; the named ones first."""
    rng = random.Random(f"staff {seed}")
    everyone = list(named_people().values())
    teams, fields = table("staff")["teams"], table("staff")["fields"]
    more = 1 + size // RESIDENTS_PER_TEAM
    number = 1000
    for unit in region().all.values():
        team = fields.get(unit.specialty) if unit.kind == "clinic" else None
        for role, count in team or teams.get(unit.kind, ()):
            for place in range(count * more):
                number += 1
                everyone.append(_person(rng, number, role, unit, may_have_left=place > 0))
        if unit.kind == "home-care" and unit.id.endswith("000001"):
            for role in ("mas", "mar"):
                number += 1
                everyone.append(_person(rng, number, role, unit, may_have_left=False))
    return everyone


def _person(
    rng: random.Random, number: int, role: str, unit: Unit, *, may_have_left: bool
) -> Person:
    """One more person; the first of a role at a unit never has left, so that somebody is there."""
    sex = (
        "female"
        if rng.random() < (0.5 if role in ("lakare", "systemforvaltare") else 0.83)
        else "male"
    )
    background = (
        "swedish"
        if rng.random() < 0.8
        else rng.choice(["arabic", "balkan", "finnish", "persian", "polish"])
    )
    born = 1962 + rng.randrange(40)
    begun = max(born + 24, 2004) + rng.randrange(3)
    id = f"p{number:06d}"
    ended = ""
    if rng.random() < ENDED_SHARE and may_have_left:
        ended = f"{max(begun + 1, 2022 + rng.randrange(4))}-{rng.randrange(1, 13):02d}-28"
    first = Assignment(
        f"{id}-1", role, unit, f"{min(begun, 2025)}-{rng.randrange(1, 10):02d}-01", ended
    )
    return Person(
        id,
        f"SE{unit.id[2:12]}-P{number:012d}",
        draw_given(rng, background, sex, born),
        draw_family(rng, background),
        sex,
        (first,),
    )


Roster = dict[str, dict[str, list[Reference]]]
"""Unit id → role → the assignments in force there."""


@lru_cache(maxsize=2)
def roster(seed: int, size: int) -> Roster:
    """Who works at each unit now, as references to their assignments.

    Ended assignments are left out, so that no note of last week is written by someone who left; and
    those begun this month, who have written nothing yet.
    """
    units: Roster = {}
    for person in people(seed, size):
        for at in person.assignments:
            if not at.ended and at.begun < NEW:
                display = f"{person.given} {person.family}, {role_name(at.role)}"
                units.setdefault(at.unit.id, {}).setdefault(at.role, []).append(
                    Reference(reference=f"PractitionerRole/{at.id}", display=display)
                )
    return units


def staff(seed: int, size: int) -> Iterator[Any]:
    """Practitioner and PractitionerRole of everyone who works in a region of `size` residents."""
    for person in people(seed, size):
        yield _practitioner(person)
        for at in person.assignments:
            yield _role(person, at)


def _practitioner(person: Person) -> Practitioner:
    roles = table("staff")["roles"]
    licences = dict.fromkeys(at.role for at in person.assignments if roles[at.role][1])
    return Practitioner(
        id=person.id,
        meta=Meta(
            profile=[SE_PRACTITIONER], tag=[STORY_TAG] if person.id in named_people() else None
        ),
        identifier=[
            Identifier(
                type=concept(HL7 + "v2-0203", "PRN", "HSA-id"), system=HSA_ID, value=person.hsa
            ),
            *([Identifier(system=PERSONNUMMER, value=person.number)] if person.number else ()),
        ],
        active=any(not at.ended for at in person.assignments),
        name=[
            HumanName(
                use="official",
                text=f"{person.given} {person.family}",
                family=person.family,
                given=person.given.split(" "),
            )
        ],
        gender=person.sex,
        qualification=[
            PractitionerQualification(code=concept(ROLE, role, role_name(role)))
            for role in licences
        ]
        or None,
    )


def _role(person: Person, at: Assignment) -> PractitionerRole:
    return PractitionerRole(
        id=at.id,
        meta=at.unit.meta(),
        active=not at.ended,
        period=Period(start=at.begun, end=at.ended or None),
        practitioner=Reference(
            reference=f"Practitioner/{person.id}", display=f"{person.given} {person.family}"
        ),
        organization=at.unit.reference,
        code=[concept(ROLE, at.role, role_name(at.role))],
        telecom=[ContactPoint(system="phone", value=at.unit.phone, use="work")],
    )
