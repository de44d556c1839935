"""Days as whole numbers (proleptic ordinals, as `date.toordinal`) and moments as FHIR text.

Generation counts in whole days and minutes; text is made at the end. Swedish time: UTC+1, UTC+2 from
the last Sunday of March to the last of October (since 1980; earlier years are written with +01:00).
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

TODAY = date(2026, 11, 22)
"""The day the demo region stands at unless told otherwise."""


@lru_cache(maxsize=65536)
def day(ordinal: int) -> str:
    """`YYYY-MM-DD`."""
    return date.fromordinal(ordinal).isoformat()


@lru_cache(maxsize=256)
def _summer(year: int) -> tuple[int, int]:
    last_march = date(year, 3, 31).toordinal()
    last_october = date(year, 10, 31).toordinal()
    # Ordinal 7 is a Sunday, so `ordinal % 7` is 0 on Sundays.
    return last_march - last_march % 7, last_october - last_october % 7


@lru_cache(maxsize=65536)
def zone(ordinal: int) -> str:
    """The offset from UTC at noon of a day."""
    year = date.fromordinal(ordinal).year
    begin, end = _summer(year)
    return "+02:00" if year >= 1980 and begin <= ordinal < end else "+01:00"


@lru_cache(maxsize=1440)
def _clock(minute: int) -> str:
    return f"T{minute // 60:02d}:{minute % 60:02d}:00"


def moment(ordinal: int, minute: int) -> str:
    """A date and time with offset; `minute` counts from midnight and may run over into later days."""
    if minute >= 1440:
        ordinal += minute // 1440
        minute %= 1440
    return day(ordinal) + _clock(minute) + zone(ordinal)


def weekday(ordinal: int) -> int:
    """The same day, or the Monday after when it is a Saturday or Sunday: clinics keep office hours."""
    over = ordinal % 7
    return ordinal + 1 if over == 0 else ordinal + 2 if over == 6 else ordinal


def year_of(ordinal: int) -> int:
    """The calendar year of a day."""
    return date.fromordinal(ordinal).year


def age_at(born: int, ordinal: int) -> int:
    """Whole years from the day of birth, right within a day of the birthday."""
    return int((ordinal - born) / 365.2425)
