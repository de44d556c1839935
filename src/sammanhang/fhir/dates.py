"""FHIR dates and times as intervals: every value covers a span as wide as its precision.

A value without a zone is read in Europe/Stockholm, on both sides of a search, as the specification
asks of a server ("local time of the server", http://hl7.org/fhir/R4/search.html#date).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from sammanhang.kernel.clock import STOCKHOLM

BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END = datetime(9999, 12, 30, tzinfo=UTC)
Interval = tuple[datetime, datetime]


def _local(year: int, month: int, day: int) -> datetime:
    try:
        return datetime(year, month, day, tzinfo=STOCKHOLM).astimezone(UTC)
    except OverflowError:
        return END if year > 1000 else BEGINNING


@lru_cache(maxsize=262144)
def bounds(value: str) -> Interval:
    """First instant of the value, and first instant after it, in UTC.

    Takes YYYY, YYYY-MM, YYYY-MM-DD and YYYY-MM-DDThh:mm[:ss[.s…]][zone]. Raises ValueError for
    anything else, and for a day that does not exist. A leap second counts as the second after it.
    """
    n = len(value)
    if n == 4:
        year = int(value)
        return _local(year, 1, 1), _local(year + 1, 1, 1) if year < 9999 else END
    if n == 7:
        year, month = int(value[:4]), int(value[5:])
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        return _local(year, month, 1), _local(*following, 1) if following[0] <= 9999 else END
    if n == 10:
        low = _local(int(value[:4]), int(value[5:7]), int(value[8:]))
        try:
            after = datetime(int(value[:4]), int(value[5:7]), int(value[8:])) + timedelta(days=1)
        except OverflowError:  # the last day a clock can show
            return low, END
        return low, _local(after.year, after.month, after.day)
    if value[10] != "T":
        raise ValueError(f"{value!r} is not a date")
    leap = value[17:19] == "60"
    text = value[:17] + "59" + value[19:] if leap else value
    low = datetime.fromisoformat(_micro(text))
    if low.tzinfo is None:
        low = low.replace(tzinfo=STOCKHOLM)
    try:
        low = low.astimezone(UTC)
    except OverflowError:
        return END, END
    if leap:
        low += timedelta(seconds=1)
    dot = value.find(".", 16)
    if dot > 0:
        digits = 0
        while dot + 1 + digits < n and value[dot + 1 + digits].isdigit():
            digits += 1
        width = timedelta(microseconds=max(1, 10 ** (6 - min(digits, 6))))
    elif n > 16 and value[16] == ":":
        width = timedelta(seconds=1)
    else:
        width = timedelta(minutes=1)
    try:
        return low, low + width
    except OverflowError:
        return END, END


def _micro(text: str) -> str:
    """The same time with at most six decimals, the most `datetime` keeps."""
    dot = text.find(".", 16)
    if dot < 0:
        return text
    end = dot + 1
    while end < len(text) and text[end].isdigit():
        end += 1
    return text[:dot] + "." + text[dot + 1 : end][:6].ljust(6, "0") + text[end:]


def compare(a: str, b: str) -> int | None:
    """-1, 0 or 1; None when differing precision leaves the order open (FHIRPath comparison)."""
    if ("T" in a) != ("T" in b) or (len(a) != len(b) and "T" not in a):
        low_a, high_a = bounds(a)
        low_b, high_b = bounds(b)
        if high_a <= low_b:
            return -1
        if low_a >= high_b:
            return 1
        return None
    x, y = bounds(a)[0], bounds(b)[0]
    return (x > y) - (x < y)
