"""Values of answers: from what a person types to what FHIR has, back again, and held against each other."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sammanhang.fhir import units
from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock, i18n

# A number of more digits than this is not a measured value.
MOST_DIGITS = 18
# FHIR's integer has 32 bits (http://hl7.org/fhir/R4/datatypes.html#integer).
LARGEST_INTEGER = 2**31 - 1
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")
_DAY = re.compile(r"^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?$")
_TIGHT = re.compile(r"^(\d{4})(\d\d)(\d\d)$")
_SLASH = re.compile(r"^(\d{1,2})\s*[/.]\s*(\d{1,2})(?:\s*[/. ]\s*(\d{4}))?$")
_TIME = re.compile(r"^(?:kl\.?\s*)?(\d{1,2})(?:[:.](\d\d))(?:[:.](\d\d))?$|^(\d\d)(\d\d)$")
_URL = re.compile(r"^[a-z][a-z0-9+.-]*:[^\s]+$", re.IGNORECASE)
_NEAR = {
    "idag": 0, "i dag": 0, "today": 0, "igår": -1, "i går": -1, "yesterday": -1, "imorgon": 1, "i morgon": 1,
    "tomorrow": 1,
}  # fmt: skip


class Unreadable(Exception):
    """What was typed is not a value of the question's type; `sv` and `en` say what is asked for."""

    def __init__(self, sv: str, en: str) -> None:
        super().__init__(en)
        self.sv = sv
        self.en = en


def read(kind: str, text: str) -> Any:
    """A typed text as the value of an item type. Raises `Unreadable`."""
    text = text.strip()
    if kind == "integer":
        return read_integer(text)
    if kind in ("decimal", "quantity"):
        return read_number(text)
    if kind == "date":
        return read_day(text)
    if kind == "dateTime":
        return read_moment(text)
    if kind == "time":
        return read_time(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise Unreadable("Svara ja eller nej.", "Answer yes or no.")
        return text == "true"
    if kind == "url":
        if not _URL.match(text):
            raise Unreadable(
                "Skriv en hel webbadress, till exempel https://1177.se.",
                "Write a whole web address, such as https://1177.se.",
            )
        return text
    return text


def read_number(text: str) -> Decimal:
    """`1 234,5`, `1234.5`, `−3`. Raises `Unreadable`."""
    plain = re.sub(r"[\s\u202f\u00a0]", "", text).replace("−", "-").replace(",", ".")
    try:
        if not _NUMBER.match(plain) or len(plain) > MOST_DIGITS:
            raise InvalidOperation
        return Decimal(plain)
    except InvalidOperation:
        raise Unreadable(
            "Skriv ett tal med siffror, till exempel 12,5.",
            "Write a number in digits, such as 12.5.",
        ) from None


def read_integer(text: str) -> int:
    """A whole number. Raises `Unreadable`."""
    number = read_number(text)
    if (
        number != number.to_integral_value()
        or abs(number) > LARGEST_INTEGER
        or "." in text
        or "," in text
    ):
        raise Unreadable(
            "Skriv ett helt tal, till exempel 12.", "Write a whole number, such as 12."
        )
    return int(number)


def read_day(text: str) -> str:
    """`2026-11-22`, `20261122`, `22/11`, `i dag`; as much as is known: `2026-11`, `2026`. Raises `Unreadable`."""
    if (near := _NEAR.get(text.lower())) is not None:
        return (clock.today() + timedelta(days=near)).isoformat()
    if m := _TIGHT.match(text):
        year, month, day = m.groups()
    elif m := _SLASH.match(text):
        day, month, year = m[1], m[2], m[3] or str(clock.today().year)
    elif m := _DAY.match(text):
        year, month, day = m.groups()
    else:
        raise Unreadable("Skriv datumet som 2026-11-22.", "Write the date as 2026-11-22.")
    try:
        made = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        raise Unreadable(
            "Det datumet finns inte. Skriv det som 2026-11-22.",
            "There is no such date. Write it as 2026-11-22.",
        ) from None
    return made.isoformat()[: 10 if day else 7 if month else 4]


def read_time(text: str) -> str:
    """`14:05`, `14.05`, `1405` → `14:05:00`. Raises `Unreadable`."""
    m = _TIME.match(text)
    hour, minute, second = (m[1] or m[4], m[2] or m[5], m[3] or "00") if m else ("99", "0", "0")
    if not (int(hour) < 24 and int(minute) < 60 and int(second) < 60):
        raise Unreadable("Skriv klockslaget som 14:05.", "Write the time as 14:05.")
    return f"{int(hour):02}:{minute}:{second}"


def read_moment(text: str) -> str:
    """`2026-11-22 14:05` with the zone of the region, or a day alone. Raises `Unreadable`."""
    if text.lower() in ("nu", "now"):
        return clock.now().astimezone(clock.STOCKHOLM).isoformat(timespec="seconds")
    day, _space, rest = text.replace("T", " ", 1).strip().partition(" ")
    if day.lower() == "i":
        word, _space, rest = rest.partition(" ")
        day = f"i {word}"
    try:
        first = read_day(day)
        if not rest.strip():
            return first
        if len(first) < 10:
            raise Unreadable("", "")
        at = f"{first}T{read_time(rest.strip())}"
    except Unreadable:
        raise Unreadable(
            "Skriv dag och klockslag som 2026-11-22 14:05.",
            "Write day and time as 2026-11-22 14:05.",
        ) from None
    return datetime.fromisoformat(at).replace(tzinfo=clock.STOCKHOLM).isoformat()


def typed(kind: str, value: Any) -> str:
    """A value as it stands in a field: decimal comma in Swedish, local time."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        if kind == "quantity":
            return typed("decimal", value.get("value"))
        if kind == "attachment":
            return str(value.get("title") or value.get("url") or "")
        return str(value.get("display") or value.get("code") or value.get("reference") or "")
    if isinstance(value, int | float | Decimal):
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
        return text.replace(".", ",") if i18n.language() == "sv" else text
    if kind == "time":
        return str(value)[:5] if str(value).endswith(":00") or len(str(value)) > 8 else str(value)
    if kind == "dateTime" and len(str(value)) > 10:
        try:
            return bounds(str(value))[0].astimezone(clock.STOCKHOLM).strftime("%Y-%m-%d %H:%M")
        except ValueError:
            return str(value)
    return str(value)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same answer: codes by system and code, quantities by value and unit."""
    if isinstance(a, dict) and isinstance(b, dict):
        if "code" in a and "code" in b and "value" not in a:
            one, other = a.get("system"), b.get("system")
            return a["code"] == b["code"] and (one == other or not one or not other)
        if "value" in a and "value" in b:
            return compare(a, b) == 0
        if "reference" in a or "reference" in b:
            return a.get("reference") == b.get("reference")
        return bool(a.get("display")) and a.get("display") == b.get("display")
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if _number(a) is not None and _number(b) is not None:
        return _number(a) == _number(b)
    if isinstance(a, str) and isinstance(b, dict):
        return a == b.get("code") or a == b.get("display")
    if isinstance(a, dict) and isinstance(b, str):
        return same(b, a)
    return bool(a == b)


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1; None for what has no order between them (other units, other kinds, overlapping dates)."""
    if isinstance(a, dict) and isinstance(b, dict):
        pair = _alike(a, b)
        return None if pair is None else _sign(pair[0], pair[1])
    if isinstance(a, dict) and "value" in a:
        return compare(a["value"], b)
    if isinstance(b, dict) and "value" in b:
        return compare(a, b["value"])
    one, other = _number(a), _number(b)
    if one is not None and other is not None:
        return _sign(one, other)
    if isinstance(a, str) and isinstance(b, str):
        return _texts(a, b)
    return None


def _sign(a: Any, b: Any) -> int:
    return (a > b) - (a < b)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(str(value))


def _alike(a: dict[str, Any], b: dict[str, Any]) -> tuple[Any, Any] | None:
    one, other = _number(a.get("value")), _number(b.get("value"))
    if one is None or other is None:
        return None
    first, second = a.get("code") or a.get("unit"), b.get("code") or b.get("unit")
    if first == second or not first or not second:
        return one, other
    x, y = units.canonical(str(first)), units.canonical(str(second))
    if x is None or y is None or x[2] != y[2]:
        return None
    return round(float(one) * x[0] + x[1], 9), round(float(other) * y[0] + y[1], 9)


def _texts(a: str, b: str) -> int | None:
    """Dates and times by what they cover, other texts by their letters."""
    if re.match(r"^\d{4}(-|T|$)", a) and re.match(r"^\d{4}(-|T|$)", b):
        try:
            (low, high), (from_, to) = bounds(a), bounds(b)
        except ValueError:
            return None
        if (low, high) == (from_, to):
            return 0
        return -1 if high <= from_ else 1 if low >= to else None
    return _sign(a, b)
