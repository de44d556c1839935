"""Days of birth and identity numbers that no two residents share, without counting residents.

Skatteverket's open test series gives four serials a day: 238 and 980 to women, 239 and 981 to men.
The people of one birth year and sex have ranks 0, 1, 2 … (`households`). A rank walks through the
days of the year in steps that meet every day once before any day twice; the round it is in picks the
serial, and from the third round on a number of the marked reserve series (`YYYYMMDDTnnn`).
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from math import gcd

from sammanhang.kernel.identifiers import (
    PERSONNUMMER,
    RESERVNUMMER,
    TEST_RESERVE_LETTERS,
    make_personnummer,
)

SERIALS = {True: ("238", "980"), False: ("239", "981")}

# Numbers the people of the stories have; a resident whose turn it is gets a reserve number.
TAKEN = frozenset({
    "193711042386",  # Svea Andersson
    "196403152397",  # Lars Andersson
    "201510069808",  # Greta Lindgren
    "198402112380",  # Sara Lindgren
    "198209272395",  # Jonas Lindgren
    "194402112397",  # Bertil Holm
    "194906302387",  # Ingrid Lund
    "194203022381",  # Svea Karlsson
    "193501192391",  # Olle Nyström
    "197205092385",  # Vera Ström
    "201408192399",  # Elis Berglund
    "201302142383",  # Saga Berglund
    "198304062394",  # Anton Berglund
    "194007232384",  # Asta Norén
    "195512012385",  # Mona Lind
    "196804019807",  # Helena Lund
    "197108239810",  # Oskar Nyström
})  # fmt: skip


@lru_cache(maxsize=256)
def _days(year: int, last: int) -> tuple[int, int, int]:
    """First day of a year (ordinal), how many days up to `last`, and the step through them."""
    begin = date(year, 1, 1).toordinal()
    count = min(date(year, 12, 31).toordinal(), last) - begin + 1
    step = max(1, round(count * 0.618))
    while gcd(step, count) != 1:
        step += 1
    return begin, count, step


def born(year: int, rank: int, seed: int, today: int) -> int:
    """The day of birth (ordinal) of the person of a year with this rank; never after `today`."""
    begin, count, step = _days(year, today)
    return begin + (rank * step + seed * 7919 + year) % count


def identity(year: int, female: bool, rank: int, day: int, today: int) -> tuple[str, str]:
    """Identifier system and number of the person of a year and sex with this rank, born on `day`."""
    _, count, _ = _days(year, today)
    rounds = rank // count
    eight = date.fromordinal(day).strftime("%Y%m%d")
    serials = SERIALS[female]
    if rounds < len(serials):
        number = make_personnummer(eight, serials[rounds])
        if number not in TAKEN:
            return PERSONNUMMER, number
    return RESERVNUMMER, reserve(eight, female, rounds)


def reserve(eight: str, female: bool, rounds: int) -> str:
    """A number of our reserve series: odd for men, even for women, 500 of each to a letter.

    Raises ValueError when more than 2 500 of one sex were born on a day.
    """
    letter, place = divmod(rounds, 500)
    if letter >= len(TEST_RESERVE_LETTERS) - 1:
        raise ValueError("the reserve series has no more numbers for this day")
    return f"{eight}{TEST_RESERVE_LETTERS[letter]}{2 * place + (0 if female else 1):03d}"


def newcomer(day: int, female: bool, rank: int, year: int, today: int) -> tuple[str, str]:
    """A number of the last reserve letter, for someone who has no personnummer yet.

    Only ranks of the first two rounds come here, so two places to a day and sex are enough.
    """
    _, count, _ = _days(year, today)
    eight = date.fromordinal(day).strftime("%Y%m%d")
    place = 2 * (rank // count) + (0 if female else 1)
    return RESERVNUMMER, f"{eight}{TEST_RESERVE_LETTERS[-1]}{900 + place}"
