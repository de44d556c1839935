"""Working days and hours in the region: deadlines that fall when somebody is there.

A calendar says which hours of which weekdays are worked, whether public holidays are free, and which other days
are (Christmas Eve). Time is counted on the clock of Europe/Stockholm: a working day of eight hours is eight hours
also on the night the clock is moved. Holidays are those of lag (1989:253) om allmänna helgdagar, from the
`holidays` library; the other free days and the hours are content (`content/routing/calendars`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import holidays

from .clock import STOCKHOLM
from .content import content
from .errors import SammanhangError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = 4000  # days looked ahead before a calendar counts as never open


class NeverOpen(SammanhangError):
    """The calendar has no working hours, so no deadline can be counted in them."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When people work. `hours` has one (opens, closes) for each weekday from Monday, None for a free day;
    `holidays` tells that public holidays are free; `free` are other free days as `MM-DD`, or names of
    eves in the holidays library (`Midsummer Eve`)."""

    hours: tuple[tuple[time, time] | None, ...]
    holidays: bool = True
    free: frozenset[str] = frozenset()

    def of_day(self, day: date) -> tuple[datetime, datetime] | None:
        """The working hours of a day as instants; None for a free day."""
        span = self.hours[day.weekday()]
        if span is None or (self.holidays and day in _public(day.year)):
            return None
        if f"{day:%m-%d}" in self.free or self.free & _eves(day.year).get(day, frozenset()):
            return None
        opens, closes = span
        last = day + timedelta(days=1) if closes == time(0) else day
        return _at(day, opens), _at(last, closes)

    def spans(self, after: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Stretches of working time from an instant on, in order. Raises `NeverOpen`."""
        day = after.astimezone(STOCKHOLM).date()
        for ahead in range(_LONGEST):
            span = self.of_day(day + timedelta(days=ahead))
            if span is not None and span[1] > after:
                yield max(span[0], after), span[1]
        raise NeverOpen("The calendar has no working hours.", "Kalendern har ingen arbetstid.")

    def is_open(self, at: datetime) -> bool:
        """Whether somebody works at an instant."""
        span = self.of_day(at.astimezone(STOCKHOLM).date())
        return span is not None and span[0] <= at < span[1]

    def after_hours(self, start: datetime, worked: timedelta) -> datetime:
        """The instant when so much working time has passed since `start`; of none, when work next goes on."""
        left = worked
        for begins, ends in self.spans(start):
            if left <= ends - begins:
                return begins + left
            left -= ends - begins
        raise AssertionError("spans never ends")

    def after_days(self, start: datetime, days: int) -> datetime:
        """The close of the n-th working day after the day of `start`: what comes in on Monday with two days
        to go is due when Wednesday closes. What comes in on a free day counts from the next working day."""
        first = start.astimezone(STOCKHOLM).date()
        found = 0
        for ahead in range(_LONGEST):
            span = self.of_day(first + timedelta(days=ahead))
            if span is None or span[1] <= start:
                continue
            if found == days:
                return span[1]
            found += 1
        raise NeverOpen("The calendar has no working hours.", "Kalendern har ingen arbetstid.")


ALWAYS = Calendar(((time(0), time(0)),) * 7, holidays=False)


def calendar(name: str) -> Calendar:
    """A calendar of `content/routing/calendars`. Raises KeyError for one that is not there."""
    return _made(_frozen(content("routing/calendars")["calendars"][name]))


def due(start: datetime, within: Mapping[str, Any], worked: Calendar) -> datetime:
    """When something is due that came in at `start`.

    `within` is one of `{"minutes": n}` and `{"hours": n}` (by the clock), `{"working_hours": n}` and
    `{"working_days": n}` (in the calendar). Raises ValueError for anything else.
    """
    start = start.astimezone(
        UTC
    )  # on the clock of the region an hour would be added to what it shows
    if len(within) == 1:
        ((unit, n),) = within.items()
        if unit == "minutes":
            return start + timedelta(minutes=n)
        if unit == "hours":
            return start + timedelta(hours=n)
        if unit == "working_hours":
            return worked.after_hours(start, timedelta(hours=n))
        if unit == "working_days":
            return worked.after_days(start, n)
    raise ValueError(f"not a time to do something in: {dict(within)}")


def working_time(start: datetime, end: datetime, worked: Calendar) -> timedelta:
    """How much working time lies between two instants; nothing when `end` is not after `start`."""
    total = timedelta()
    if end <= start:
        return total
    for begins, ends in worked.spans(start):
        if begins >= end:
            break
        total += min(ends, end) - begins
    return total


def _at(day: date, clock: time) -> datetime:
    """An instant of the region's clock; of the hour that is left out in spring, the one after."""
    return datetime.combine(day, clock, STOCKHOLM).astimezone(UTC)


@lru_cache(maxsize=32)
def _public(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("SE", years=year, include_sundays=False))


@lru_cache(maxsize=32)
def _eves(year: int) -> dict[date, frozenset[str]]:
    """Days that are free by custom and no public holidays, by their names in English."""
    kinds = ("de_facto", "optional")
    found = holidays.country_holidays("SE", years=year, include_sundays=False, categories=kinds, language="en_US")  # fmt: skip
    return {day: frozenset(name.split("; ")) for day, name in found.items()}


def _frozen(row: Mapping[str, Any]) -> tuple[Any, ...]:
    hours = row["hours"]
    return (
        tuple(tuple(hours[d]) if hours.get(d) else None for d in DAYS),
        bool(row.get("holidays", True)),
        tuple(row.get("free", ())),
    )


@lru_cache(maxsize=64)
def _made(row: tuple[Any, ...]) -> Calendar:
    hours, free_holidays, free = row
    spans = tuple(
        (time.fromisoformat(h[0]), time.fromisoformat(h[1])) if h else None for h in hours
    )
    return Calendar(spans, free_holidays, frozenset(free))
