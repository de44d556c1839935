"""How values look: dates, times, numbers, ages. Filters of the templates, and used by read models."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock
from sammanhang.kernel.i18n import _, language, ngettext

DAYS = {
    "sv": ("måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag", "söndag"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
MONTHS = {
    "sv": [
        "januari",
        "februari",
        "mars",
        "april",
        "maj",
        "juni",
        "juli",
        "augusti",
        "september",
        "oktober",
        "november",
        "december",
    ],
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
}
NARROW = "\u202f"


def local(value: str | datetime) -> datetime:
    """A FHIR date or time, or an instant, as people in the region read it."""
    moment = bounds(value)[0] if isinstance(value, str) else value
    return moment.astimezone(clock.STOCKHOLM)


def day(value: str | datetime | date | None) -> str:
    """`2026-11-22`; as much of it as is known: `2026-11`, `2026`."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= 10:
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return local(value).strftime("%Y-%m-%d")


def time(value: str | datetime | None) -> str:
    """`14:05`, or nothing when only the day is known."""
    if value is None or (isinstance(value, str) and len(value) <= 10):
        return ""
    return local(value).strftime("%H:%M")


def when(value: str | datetime | None) -> str:
    """`2026-11-22 14:05`, or the day alone when that is what is known."""
    return f"{day(value)} {time(value)}".strip()


def weekday(value: str | datetime | date) -> str:
    """`söndag`"""
    return DAYS[language()][_date(value).weekday()]


def short_weekday(value: str | datetime | date) -> str:
    """`sön`"""
    return weekday(value)[:3]


def long_day(value: str | datetime | date) -> str:
    """`söndag 22 november`, for a person rather than a table."""
    d = _date(value)
    month = MONTHS[language()][d.month - 1]
    year = "" if d.year == clock.today().year else f" {d.year}"
    return f"{weekday(d)} {d.day} {month}{year}"


def plain_day(value: str | datetime | date) -> str:
    """`22 november`, with the year when it is another."""
    if isinstance(value, str) and len(value) < 10:
        return value
    d = _date(value)
    year = "" if d.year == clock.today().year else f" {d.year}"
    return f"{d.day} {MONTHS[language()][d.month - 1]}{year}"


def week(value: str | datetime | date) -> int:
    """The number of the week (ISO 8601, as Sweden counts)."""
    return _date(value).isocalendar().week


def ago(value: str | datetime | None) -> str:
    """How long ago or until: `i dag`, `för 3 dagar sedan`, `om 2 veckor`."""
    if value is None or (isinstance(value, str) and len(value) < 10):
        return ""
    days = (clock.today() - _date(value)).days
    if days == 0:
        return _("i dag")
    if days == 1:
        return _("i går")
    if days == -1:
        return _("i morgon")
    n, text = _span(abs(days))
    return (_("för %(span)s sedan") if days > 0 else _("om %(span)s")) % {"span": text % {"n": n}}


def _span(days: int) -> tuple[int, str]:
    if days < 21:
        return days, ngettext("%(n)s dag", "%(n)s dagar", days)
    if days < 60:
        return days // 7, ngettext("%(n)s vecka", "%(n)s veckor", days // 7)
    if days < 730:
        return days // 30, ngettext("%(n)s månad", "%(n)s månader", days // 30)
    return days // 365, ngettext("%(n)s år", "%(n)s år", days // 365)


def length(seconds: float) -> str:
    """How long something lasts, for a glance: `40 min`, `5 tim`, `3 dagar`."""
    if seconds < 3600:
        return _("%(n)s min") % {"n": int(seconds // 60)}
    if seconds < 48 * 3600:
        return _("%(n)s tim") % {"n": int(seconds // 3600)}
    days = int(seconds // 86400)
    return ngettext("%(n)s dag", "%(n)s dagar", days) % {"n": days}


def number(value: Decimal | int | float | str | None) -> str:
    """`1 234,5`: decimal comma (point in English), narrow spaces, digits as they were measured."""
    if value is None:
        return ""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    whole, _dot, fraction = text.partition(".")
    sign = "−" if whole.startswith("-") else ""
    whole = whole.lstrip("-")
    if len(whole) > 4:
        groups: list[str] = []
        while whole:
            groups.insert(0, whole[-3:])
            whole = whole[:-3]
        whole = NARROW.join(groups)
    comma = "." if language() == "en" else ","
    return sign + whole + (comma + fraction if fraction else "")


def age(born: str | None, at: date | None = None) -> str:
    """`89 år`; months below two years, days below one month; nothing when not known."""
    if not born:
        return ""
    first = bounds(born)[0].astimezone(clock.STOCKHOLM).date()
    at = at or clock.today()
    years = at.year - first.year - ((at.month, at.day) < (first.month, first.day))
    if years >= 2 or len(born) < 10:
        return ngettext("%(n)s år", "%(n)s år", max(years, 0)) % {"n": max(years, 0)}
    months = (at.year - first.year) * 12 + at.month - first.month - (at.day < first.day)
    if months >= 1:
        return ngettext("%(n)s månad", "%(n)s månader", months) % {"n": months}
    days = max((at - first).days, 0)
    return ngettext("%(n)s dag", "%(n)s dagar", days) % {"n": days}


def today_span() -> tuple[datetime, datetime]:
    """First instant of today in the region, and first instant of tomorrow."""
    start = datetime.combine(clock.today(), datetime.min.time(), clock.STOCKHOLM)
    end = datetime.combine(clock.today() + timedelta(days=1), datetime.min.time(), clock.STOCKHOLM)
    return start.astimezone(UTC), end.astimezone(UTC)


def _date(value: str | datetime | date) -> date:
    if isinstance(value, str | datetime):
        return local(value).date()
    return value


def capitalize_first(text: str) -> str:
    """`Tisdag 24 november`: a sentence begins with a capital."""
    return text[:1].upper() + text[1:]


def until(value: str | datetime) -> str:
    """When something ends: the time alone when that is today."""
    at = local(value)
    return time(at) if at.date() == clock.now().astimezone(at.tzinfo).date() else when(at)


def cell(value: object) -> object:
    """A value of a file that no spreadsheet takes for a formula (OWASP CSV injection)."""
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value


FILTERS = {
    "day": day, "time": time, "when": when, "until": until, "weekday": weekday, "short_weekday": short_weekday,
    "long_day": long_day, "plain_day": plain_day, "week": week, "ago": ago, "number": number,
    "age": age, "capitalize_first": capitalize_first,
}  # fmt: skip
