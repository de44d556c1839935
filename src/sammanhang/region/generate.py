"""The whole region as a stream of resources; any slice of residents on its own, in any process.

    organisations()                 Organization, Location, HealthcareService
    staff(seed, size)               Practitioner, PractitionerRole
    stories(seed, size)             Svea, Greta and the people around them
    residents(seed, total, a, b)    residents a … b-1, each Patient before what belongs to it

The same arguments give the same bytes. Memory is one household and its records at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from .days import TODAY
from .directory import organisations
from .lives import record
from .people import everyone
from .staff import roster, staff

__all__ = ["everything", "organisations", "residents", "staff"]


def residents(
    seed: int, total: int, start: int = 0, stop: int | None = None, *, today: date = TODAY
) -> Iterator[Any]:
    """Every resource of residents `start` … `stop` - 1 of a region of `total`.

    `total` decides how many staff there are to refer to; a slice is the same whatever other slices
    are made. Raises ValueError when the slice is not within the region.
    """
    stop = total if stop is None else stop
    if not 0 <= start <= stop <= total:
        raise ValueError(f"residents {start} to {stop} are not within a region of {total}")
    here = roster(seed, total)
    now = today.toordinal()
    for who in everyone(seed, start, stop, now):
        yield from record(who, seed, now, here)


def everything(
    seed: int, total: int, *, today: date = TODAY, enrolled: bool = True
) -> Iterator[Any]:
    """The whole region in one stream; `enrolled` as in `stories.Stage`."""
    from .stories import stories

    yield from organisations()
    yield from staff(seed, total)
    yield from stories(seed, total, today=today, enrolled=enrolled)
    yield from residents(seed, total, today=today)
