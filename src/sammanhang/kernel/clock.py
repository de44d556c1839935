"""Time: one clock for the whole process, so that tests can stand still."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

STOCKHOLM = ZoneInfo("Europe/Stockholm")


def now() -> datetime:
    """The moment, in UTC with microseconds."""
    return datetime.now(UTC)


def today() -> date:
    """The day as people in the region mean it (Europe/Stockholm)."""
    return datetime.now(STOCKHOLM).date()
