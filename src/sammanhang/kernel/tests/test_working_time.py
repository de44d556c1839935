"""Deadlines fall when somebody works: weekends, holidays, eves, and the nights the clock is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.working_time import (
    ALWAYS,
    Calendar,
    NeverOpen,
    calendar,
    due,
    working_time,
)

OFFICE = calendar("office")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM)


@pytest.mark.parametrize(
    ("came", "within", "due_at"),
    [
        ("2026-11-23 10:00", {"working_days": 1}, "2026-11-24 17:00"),
        ("2026-11-23 17:30", {"working_days": 1}, "2026-11-25 17:00"),  # after closing: counts from Tuesday
        ("2026-11-22 12:00", {"working_days": 3}, "2026-11-26 17:00"),  # a Sunday
        ("2026-11-20 16:00", {"working_hours": 2}, "2026-11-23 09:00"),  # over the weekend
        ("2026-12-23 15:00", {"working_hours": 4}, "2026-12-28 10:00"),  # Christmas Eve to Sunday are free
        ("2026-06-18 16:00", {"working_days": 1}, "2026-06-22 17:00"),  # Midsummer Eve
        ("2026-12-30 16:00", {"working_hours": 2}, "2027-01-04 09:00"),  # New Year's Eve, New Year's Day
        ("2026-05-13 16:30", {"working_hours": 1}, "2026-05-15 08:30"),  # Ascension Day
        ("2026-11-23 07:00", {"working_hours": 0}, "2026-11-23 08:00"),
        ("2026-11-21 23:50", {"minutes": 30}, "2026-11-22 00:20"),
        ("2026-10-24 12:00", {"hours": 24}, "2026-10-25 11:00"),  # the night of 25 hours, by the clock
    ],
)  # fmt: skip
def test_when_it_is_due(came: str, within: dict[str, int], due_at: str) -> None:
    assert due(at(came), within, OFFICE) == at(due_at)


def test_a_working_day_is_as_long_on_the_night_the_clock_is_moved() -> None:
    assert working_time(at("2026-03-29 00:00"), at("2026-03-30 00:00"), ALWAYS) == timedelta(
        hours=23
    )
    assert working_time(at("2026-10-25 00:00"), at("2026-10-26 00:00"), ALWAYS) == timedelta(
        hours=25
    )


def test_open_and_closed() -> None:
    assert OFFICE.is_open(at("2026-11-23 08:00")) and not OFFICE.is_open(at("2026-11-23 17:00"))
    assert not OFFICE.is_open(at("2026-11-22 12:00"))
    assert calendar("every-day").is_open(at("2026-12-25 12:00")) and calendar("always").is_open(
        at("2026-12-25 03:00")
    )


def test_a_calendar_that_is_never_open_says_so() -> None:
    with pytest.raises(NeverOpen):
        Calendar((None,) * 7).after_hours(at("2026-11-23 08:00"), timedelta(hours=1))
    with pytest.raises(ValueError, match="not a time"):
        due(at("2026-11-23 08:00"), {"fortnights": 1}, OFFICE)


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(
    lambda d: d.replace(tzinfo=UTC)
)


@given(moments, st.integers(1, 200))
def test_hours_added_are_hours_counted(start: datetime, hours: int) -> None:
    end = OFFICE.after_hours(start, timedelta(hours=hours))
    assert working_time(start, end, OFFICE) == timedelta(hours=hours)
