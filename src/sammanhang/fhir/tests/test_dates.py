"""Dates as intervals (`fhir.dates`): every value covers a span as wide as its precision."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sammanhang.fhir.dates import BEGINNING, END, bounds, compare
from sammanhang.kernel.clock import STOCKHOLM

days = st.dates(min_value=date(1600, 1, 1), max_value=date(9990, 12, 31))
zones = st.integers(-12 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(
    min_value=datetime(1600, 1, 2), max_value=datetime(9990, 1, 1), timezones=zones
).map(lambda d: d.replace(microsecond=0))


@given(days)
def test_a_day_lies_in_its_month_and_the_month_in_its_year(day: date) -> None:
    texts = [day.isoformat(), f"{day:%Y}-{day:%m}", f"{day.year:04}"]
    spans = [bounds(t) for t in texts]
    for (low, high), (wider_low, wider_high) in pairwise(spans):
        assert wider_low <= low < high <= wider_high


@given(days)
def test_the_next_day_begins_when_the_day_ends(day: date) -> None:
    following = day + timedelta(days=1)
    assert bounds(day.isoformat())[1] == bounds(following.isoformat())[0]


@given(days)
def test_a_day_lasts_from_midnight_to_midnight_in_stockholm(day: date) -> None:
    low, high = bounds(day.isoformat())
    assert low.astimezone(STOCKHOLM).replace(tzinfo=None) == datetime(day.year, day.month, day.day)
    assert timedelta(hours=22) < high - low < timedelta(hours=26)  # summer time, and 1879


@given(moments)
def test_a_time_with_zone_is_that_moment_whatever_the_zone(moment: datetime) -> None:
    low, high = bounds(moment.isoformat())
    assert low == moment and high - low == timedelta(seconds=1)
    assert bounds(moment.astimezone(UTC).isoformat()) == (low, high)


@given(moments, st.integers(1, 9))
def test_more_decimals_make_a_narrower_span_inside_the_second(
    moment: datetime, digits: int
) -> None:
    text = moment.isoformat()
    at = 19
    whole = bounds(text)
    part = bounds(text[:at] + "." + "3" * digits + text[at:])
    assert whole[0] <= part[0] < part[1] <= whole[1]


@given(moments, moments)
def test_order_of_moments_is_the_order_of_time(a: datetime, b: datetime) -> None:
    assert compare(a.isoformat(), b.isoformat()) == (a > b) - (a < b)


@given(days, days)
def test_order_of_days_is_the_order_of_the_calendar(a: date, b: date) -> None:
    assert compare(a.isoformat(), b.isoformat()) == (a > b) - (a < b)


@given(days)
def test_a_day_and_its_own_month_have_no_order(day: date) -> None:
    assert compare(day.isoformat(), f"{day:%Y}-{day:%m}") is None


@given(st.text(max_size=30))
def test_what_is_not_a_date_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        low, high = bounds(text)
    except (ValueError, IndexError):
        return
    assert BEGINNING <= low < high <= END or low <= high


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 12, 31, 23, tzinfo=UTC)),
        ("2024-02", datetime(2024, 1, 31, 23, tzinfo=UTC), datetime(2024, 2, 29, 23, tzinfo=UTC)),
        ("2024-07-01", datetime(2024, 6, 30, 22, tzinfo=UTC), datetime(2024, 7, 1, 22, tzinfo=UTC)),
        ("2024-07-01T10:00", datetime(2024, 7, 1, 8, tzinfo=UTC), datetime(2024, 7, 1, 8, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("9999", datetime(9998, 12, 31, 23, tzinfo=UTC), END),
    ],
)  # fmt: skip
def test_known_spans(text: str, low: datetime, high: datetime) -> None:
    assert bounds(text) == (low, high)
