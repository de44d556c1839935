"""What happens next for a resident: the nearest booked visit and the next step of a care request, whichever comes first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sammanhang.access.door import Stored
from sammanhang.access.writing import owner_of
from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock
from sammanhang.kernel.i18n import _
from sammanhang.web import show
from sammanhang.work.units import Units

from .plain import texts
from .request_words import COMING, Contact, Plain, Reader, contact, day_and_time

FIRST = timedelta(days=1)
"""By how much a visit goes before what others are to do: it is the resident who must be there."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A visit to come: what, when, where, in words; whom to call, None when nobody is known; its request's page."""

    what: str
    at: str
    where: str
    call: Contact | None
    address: str


@dataclass(frozen=True, slots=True)
class Next:
    """What happens next.

    strong   the day and time of a visit, or what somebody is to do
    said     more about it, a sentence each; `written` what was written of a visit, in Swedish
    late     the time for it has passed
    call     whom to call; None when nobody is known
    address  of the request it belongs to; empty for none
    visit    when the visit is; empty when it is none
    """

    strong: str
    said: tuple[str, ...]
    written: str
    late: bool
    call: Contact | None
    address: str
    visit: str


def coming_visits(
    planned: list[Stored], units: Units, reader: Reader, requests: list[Plain]
) -> list[Coming]:
    """The visits to come, the nearest first."""
    addresses = {f"ServiceRequest/{p.id}": p.address for p in requests}
    now, found = clock.now(), []
    for row in planned:
        a = row.resource
        if a.start and a.status in COMING and bounds(a.start)[1] > now:
            what = a.description or texts(a.serviceType) or _("Besök")
            unit = units.get((owner_of(a) or ("", ""))[1])
            address = next((addresses[x] for b in a.basedOn or () if (x := b.reference or "") in addresses), "")  # fmt: skip
            call = contact(unit, units, reader)
            found.append(Coming(what, a.start, call.name if call is not None else "", call, address))  # fmt: skip
    return sorted(found, key=lambda c: show.local(c.at))


def next_step(coming: list[Coming], requests: list[Plain]) -> Next | None:
    """The visit or the step of a request that is nearest; None when there is neither."""
    steps = [(_at(p), _of_request(p)) for p in requests if not p.ended and not p.visit]
    visits = [(show.local(c.at), _of_visit(c, requests)) for c in coming]
    return min([*visits, *steps], key=lambda pair: pair[0], default=(None, None))[1]


def _at(p: Plain) -> datetime:
    """When a step counts as coming: what is late counts as now, what has no time comes last."""
    if p.due is None:
        return datetime.max.replace(tzinfo=UTC)
    return max(p.due, clock.now()) + FIRST


def _of_request(p: Plain) -> Next:
    return Next(p.next, tuple(filter(None, (p.by, p.now))), "", p.late, p.call, p.address, "")


def _of_visit(c: Coming, requests: list[Plain]) -> Next:
    """A visit; where a request led to it, in the words of the request."""
    of = next((p for p in requests if p.address == c.address and p.visit == c.at), None)
    if of is None:
        written = ", ".join(filter(None, (c.what, c.where))) + "."
        return Next(day_and_time(c.at), (), written, False, c.call, c.address, c.at)
    visitors = (f"{of.visitors}.",) if of.visitors else ()
    return Next(day_and_time(c.at), (of.next, *visitors), "", False, of.call, of.address, c.at)
