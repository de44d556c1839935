"""Residents as people: names, addresses, households, guardians, protected identities.

Everything here follows from (seed, resident number) alone. `Resident` is a plain record; the FHIR
resources that say the same are made by `patient` and `related_persons`.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate

from sammanhang.kernel.identifiers import PERSONNUMMER

from . import numbers
from .content import table
from .days import year_of
from .households import BLOCK, Place, template
from .names import draw_background, draw_family, draw_given
from .organisations import Municipality, Unit, region

PROTECTED_SHARE = 0.010
MOVED_SHARE = 0.02
NEWCOMER_SHARE = 0.004  # has only a reserve number so far: just arrived in the country


@dataclass(slots=True, eq=False)
class Resident:
    """A person in the population register. Days are ordinals; `died` 0 while alive.

    `protected` is "", "sekretessmarkering" or "skyddadFolkbokforing". `moved` is the day of moving
    here from `before`, 0 if that was long ago. `guardians` and `kin` are filled for a household.
    """

    number: int
    id: str
    system: str
    identity: str
    female: bool
    born: int
    given: str
    family: str
    town: Municipality
    street: str
    postal_code: str
    city: str
    centre: Unit
    phone: str = ""
    middle: str = ""
    background: str = "swedish"
    protected: str = ""
    died: int = 0
    moved: int = 0
    before: Unit | None = None
    married: bool = False
    area: int = 0
    guardians: list[Resident] = field(default_factory=list)
    partner: Resident | None = None
    child: Resident | None = None

    @property
    def name(self) -> str:
        """Given and family name."""
        return f"{self.given} {self.family}"

    @property
    def prefix(self) -> str:
        """What the ids of the person's resources begin with."""
        return self.id.removesuffix("-000000000000")

    @property
    def sex(self) -> str:
        """The FHIR code of the legal sex."""
        return "female" if self.female else "male"


def uuid_prefix(seed: int, number: int) -> str:
    """The first 23 characters of the ids of a resident's resources; 12 hexadecimal digits follow.

    Version 8 UUIDs (RFC 9562: made in a way of one's own): 74 bits of a hash of seed and number, then
    a counter, so that a resident's resources lie together in indexes.
    """
    h = blake2b(b"%d/%d" % (seed, number), digest_size=10).hexdigest()
    return f"{h[:8]}-{h[8:12]}-8{h[12:15]}-{'89ab'[int(h[15], 16) & 3]}{h[16:19]}"


def patient_id(seed: int, number: int) -> str:
    """The Patient id of a resident."""
    return uuid_prefix(seed, number) + "-000000000000"


@lru_cache(maxsize=1)
def _towns() -> tuple[list[Municipality], list[float]]:
    towns = list(region().municipalities.values())
    return towns, list(accumulate(t.residents for t in towns))


def household_of(seed: int, number: int) -> tuple[int, int]:
    """The block and the household within it of a resident number."""
    block, place = divmod(number, BLOCK)
    return block, template(seed).places[place].household


def household(seed: int, block: int, home: int, today: int) -> list[Resident]:
    """All people of a household, adults first; with partners and guardians set."""
    layout = template(seed)
    first, size, adults = layout.first[home], layout.size[home], layout.adults[home]
    rng = random.Random(f"home {seed}/{block}/{home}")
    towns, weights = _towns()
    town = towns[bisect(weights, rng.random() * weights[-1])]
    background = draw_background(rng)
    family = draw_family(rng, background)
    second = family if rng.random() < 0.72 else draw_family(rng, draw_background(rng))
    # The first places of a municipality are the larger ones.
    area = min(int(rng.random() ** 1.4 * len(town.places)), len(town.places) - 1)
    locality, postal = town.places[area]
    street = f"{rng.choice(table('municipalities')['streets'])} {rng.randrange(1, 90)}"
    if rng.random() < 0.35:
        street += f" lgh {rng.randrange(10, 16)}{rng.randrange(1, 7):02d}"
    protected = ""
    if rng.random() < PROTECTED_SHARE:
        protected = "sekretessmarkering" if rng.random() < 0.7 else "skyddadFolkbokforing"
    moved, before = 0, None
    if rng.random() < MOVED_SHARE:
        moved = today - rng.randrange(10, 330)
        elsewhere = towns[bisect(weights, rng.random() * weights[-1])]
        before = rng.choice(elsewhere.health_centres)
    centres = town.health_centres
    centre = centres[area] if area < len(centres) and rng.random() < 0.7 else rng.choice(centres)
    newcomer = rng.random() < NEWCOMER_SHARE
    married = rng.random() < 0.62
    city = town.name if town.code == "1490" and area == 0 else locality
    people = []
    for i in range(size):
        number = block * BLOCK + first + i
        people.append(
            _member(
                seed, number, layout.places[first + i], block, today, town, street, postal, city,
                rng.choice(centres) if rng.random() < 0.15 else centre,
                background, family if i != 1 or adults < 2 else second, rng, newcomer,
            )
        )  # fmt: skip
    for person in people:
        person.protected, person.moved, person.before = protected, moved, before
        person.area = area
    if adults == 2:
        people[0].partner, people[1].partner = people[1], people[0]
        people[0].married = people[1].married = married
    for child in people[adults:]:
        child.guardians = [a for a in people[:adults] if not a.died]
    return people


def _member(
    seed: int, number: int, place: Place, block: int, today: int, town: Municipality, street: str,
    postal: str, city: str, centre: Unit, background: str, family: str, rng: random.Random, newcomer: bool,
) -> Resident:  # fmt: skip
    year = year_of(today) - place.back
    rank = block * place.among + place.rank
    born = numbers.born(year, rank, seed, today)
    system, identity = numbers.identity(year, place.female, rank, born, today)
    if newcomer and system == PERSONNUMMER:
        # A number of the reserve series that the rounds of `numbers.identity` leave free.
        system, identity = numbers.newcomer(born, place.female, rank, year, today)
    sex = "female" if place.female else "male"
    given = draw_given(rng, background, sex, year)
    age = (today - born) // 365.2425
    risk = 0.05 if age >= 85 else 0.02 if age >= 75 else 0.008 if age >= 65 else 0.0008
    died = today - rng.randrange(3, 700) if rng.random() < risk else 0
    middle = draw_family(rng, background) if rng.random() < 0.06 else ""
    return Resident(
        number=number,
        id=patient_id(seed, number),
        system=system,
        identity=identity,
        female=place.female,
        born=born,
        given=given,
        family=family,
        town=town,
        street=street,
        postal_code=postal,
        city=city,
        centre=centre,
        phone=f"070-{number // 10000 % 1000:03d} {number // 100 % 100:02d} {number % 100:02d}",
        middle=middle if middle != family else "",
        background=background,
        died=max(died, born + 1) if died else 0,
    )


def everyone(seed: int, start: int, stop: int, today: int) -> Iterator[Resident]:
    """Residents `start` to `stop` - 1, in order."""
    number = start
    while number < stop:
        block, home = household_of(seed, number)
        first = block * BLOCK + template(seed).first[home]
        members = household(seed, block, home, today)
        yield from members[number - first : stop - first]
        number = first + len(members)
