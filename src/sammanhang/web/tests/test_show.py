"""Dates, numbers and ages look the Swedish way."""

from datetime import date
from decimal import Decimal

import pytest

from sammanhang.kernel import i18n
from sammanhang.web import show


@pytest.fixture(autouse=True)
def swedish():
    i18n.use("sv")
    yield
    i18n.use("sv")


def test_numbers_keep_their_digits_and_have_a_decimal_comma():
    assert show.number(Decimal("5.40")) == "5,40"
    assert show.number(Decimal("-0.5")) == "−0,5"
    assert show.number(1234567) == "1\u202f234\u202f567"
    i18n.use("en")
    assert show.number(Decimal("5.4")) == "5.4"


def test_as_much_of_a_date_is_shown_as_is_known():
    assert show.when("2026") == "2026"
    assert show.when("2026-11") == "2026-11"
    assert show.when("2026-11-22T23:30:00Z") == "2026-11-23 00:30"
    assert show.day("2026-06-30T22:30:00Z") == "2026-07-01"


def test_children_have_their_age_in_months_and_days():
    at = date(2026, 11, 22)
    assert show.age("1937-11-04", at) == "89 år"
    assert show.age("2026-05-01", at) == "6 månader"
    assert show.age("2026-11-21", at) == "1 dag"
    assert show.age("2024-02-29", date(2026, 2, 28)) == "23 månader"


def test_weeks_are_numbered_as_in_sweden():
    assert show.week(date(2026, 11, 22)) == 47
    assert show.week(date(2027, 1, 1)) == 53
