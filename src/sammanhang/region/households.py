"""Which resident numbers make a household, and how old each of them is.

The population is laid out in blocks of `BLOCK` residents. Every block repeats one template, made
from the age and sex pyramid: place p of the template has a fixed year of birth, sex and household. So
the age pyramid holds in every slice, and of any resident it is known without counting how many born
the same year and of the same sex come before: block × (how many in a template) + (how many before in
the template). That rank gives each a day of birth and a serial nobody else has (`numbers`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from .content import table

BLOCK = 2000
OLDEST = 104


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the template. `back` is years between the birth year and today's year.

    `rank` of `among` counts those with the same `back` and `sex` in the template.
    """

    back: int
    female: bool
    household: int
    rank: int
    among: int


@dataclass(frozen=True, slots=True)
class Template:
    """Places by number, and of each household its first place and its size.

    The adults of a household come first (`adults` of them), then the children, oldest first.
    """

    places: tuple[Place, ...]
    first: tuple[int, ...]
    size: tuple[int, ...]
    adults: tuple[int, ...]


def _pool(rng: random.Random) -> dict[bool, list[int]]:
    """Ages (years back) of a block's women (True) and men (False), by largest remainder."""
    pyramid = table("people")["pyramid"]
    wanted: list[tuple[float, bool, int]] = []
    total = sum(pyramid["female"]) + sum(pyramid["male"])
    for female, name in ((True, "female"), (False, "male")):
        for group, share in enumerate(pyramid[name]):
            for age in range(group * 5, group * 5 + 5):
                # Within a group a straight line towards the next keeps the years from jumping.
                following = pyramid[name][min(group + 1, len(pyramid[name]) - 1)]
                lean = (following - share) * (age % 5 - 2) / 10
                wanted.append((max(0.0, share + lean) / 5 * BLOCK / total, female, age))
    counts = [int(w) for w, _, _ in wanted]
    missing = BLOCK - sum(counts)
    order = sorted(range(len(wanted)), key=lambda i: (counts[i] - wanted[i][0], i))
    for i in order[:missing]:
        counts[i] += 1
    pools: dict[bool, list[int]] = {True: [], False: []}
    for (_, female, age), count in zip(wanted, counts, strict=True):
        pools[female] += [age] * count
    for pool in pools.values():
        rng.shuffle(pool)
    return pools


def _take(pool: list[int], low: int, high: int, near: int) -> int | None:
    """Removes and returns the age in `low`…`high` nearest to `near`; None when there is none."""
    best = None
    for i, age in enumerate(pool):
        if low <= age <= high and (best is None or abs(age - near) < abs(pool[best] - near)):
            best = i
    return None if best is None else pool.pop(best)


@lru_cache(maxsize=2)
def template(seed: int) -> Template:
    """The template of a seed. Nearly all children get a mother 20–44 years older and most a father."""
    rng = random.Random(f"households {seed}")
    pools = _pool(rng)
    children = [(age, female) for female in (True, False) for age in pools[female] if age < 19]
    women = [age for age in pools[True] if age >= 19]
    men = [age for age in pools[False] if age >= 19]
    rng.shuffle(children)
    homes: list[tuple[list[tuple[int, bool]], list[tuple[int, bool]]]] = []
    while children:
        siblings = [children.pop()]
        for _ in range(rng.choices((0, 1, 2, 3), (30, 48, 17, 5))[0]):
            # Two calendar years apart is more than nine months, whatever the days turn out to be.
            fitting = [
                i for i, (age, _) in enumerate(children)
                if all(2 <= abs(age - other) <= 7 for other, _ in siblings)
            ]  # fmt: skip
            if not fitting:
                break
            siblings.append(children.pop(rng.choice(fitting)))
        siblings.sort(reverse=True)
        oldest, youngest = siblings[0][0], siblings[-1][0]
        adults: list[tuple[int, bool]] = []
        mother = _take(women, oldest + 20, youngest + 44, youngest + 30 + rng.randrange(-3, 4))
        if mother is not None:
            adults.append((mother, True))
        if mother is None or rng.random() < 0.8:
            near = (mother or oldest + 30) + rng.choice((0, 1, 2, 3, 4))
            father = _take(men, oldest + 20, youngest + 55, near)
            if father is not None:
                adults.append((father, False))
        homes.append((adults, siblings))
    while women:
        age = women.pop()
        # Widowhood: couples are rarer among the very old, and among the very young.
        paired = rng.random() < (0.25 if age < 23 else 0.62 if age < 75 else 0.38)
        partner = _take(men, max(19, age - 5), age + 9, age + 2) if paired else None
        homes.append(([(age, True)] + ([(partner, False)] if partner is not None else []), []))
    homes += [([(age, False)], []) for age in men]
    rng.shuffle(homes)
    return _numbered(homes)


def _numbered(homes: list[tuple[list[tuple[int, bool]], list[tuple[int, bool]]]]) -> Template:
    seen: dict[tuple[int, bool], int] = {}
    rows: list[tuple[int, bool, int, int]] = []
    first, size, adult_counts = [], [], []
    for number, (adults, siblings) in enumerate(homes):
        first.append(len(rows))
        size.append(len(adults) + len(siblings))
        adult_counts.append(len(adults))
        for age, female in adults + siblings:
            rank = seen.get((age, female), 0)
            seen[age, female] = rank + 1
            rows.append((age, female, number, rank))
    places = tuple(
        Place(age, female, number, rank, seen[age, female]) for age, female, number, rank in rows
    )
    return Template(places, tuple(first), tuple(size), tuple(adult_counts))
