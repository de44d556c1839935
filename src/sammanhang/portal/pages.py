"""The resident's first page: what happens next, and the record in brief, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import Response

from sammanhang.access.door import Stored
from sammanhang.access.family import Child, children
from sammanhang.fhir.dates import bounds
from sammanhang.kernel.i18n import _
from sammanhang.web import show
from sammanhang.web.parties import names_of
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from .plain import PlainMedicine, PlainResult, medicines_of, problems_of, results_of, texts

COMING = ("booked", "pending", "arrived", "checked-in")


@dataclass(frozen=True, slots=True)
class Coming:
    """A visit to come: what, when, where, in words, and the number to call; may be empty."""

    what: str
    at: str
    where: str
    phone: str


@dataclass(frozen=True, slots=True)
class MyPage:
    """A resident's first page.

    title      the greeting
    person     who they are
    next       the next visit; None when nothing is planned
    coming     visits after that
    problems   what they are treated for, in words
    medicines  what they take now
    results    the latest results, each with a sentence
    children   whose guardian the resident is, on their own page
    own        whether it is the resident's own record; else a child's
    """

    title: str
    person: Person
    next: Coming | None
    coming: list[Coming]
    problems: list[str]
    medicines: list[PlainMedicine]
    results: list[PlainResult]
    children: list[Child]
    own: bool


@page("/me", access="resident")
async def mine(visit: Visit) -> Response:
    """The resident's own page."""
    return await _in_brief(visit, await children(visit.services.doors, visit.actor))


@page("/me/family/{patient}", access="family")
async def child(visit: Visit) -> Response:
    """A child's record in brief, for its guardian as long as the law lets them read (R23-R28)."""
    return await _in_brief(visit, [])


async def _in_brief(visit: Visit, mine: list[Child]) -> Response:
    record = visit.opened
    own = record.facts.own
    core = await record.resources(
        "Condition", "MedicationRequest", "MedicationStatement", limit=1000
    )
    planned = await record.resources("Appointment", limit=200)
    observations = await record.resources("Observation", limit=200)
    names = await names_of(record, [*planned, *observations[:60]])
    coming = _coming(planned, names)
    given = " ".join((record.patient.name[0].given or [])[:1]) if record.patient.name else ""
    shown = MyPage(
        title=_title(given, own),
        person=person_of(record.patient, record.facts.protected and not own),
        next=coming[0] if coming else None,
        coming=coming[1:5],
        problems=problems_of([r for r in core if r.type == "Condition"]),
        medicines=medicines_of([r for r in core if r.type != "Condition"]),
        results=results_of(observations, names),
        children=mine,
        own=own,
    )
    return render(visit, "portal/start.html", shown)


def _title(given: str, own: bool) -> str:
    if own:
        return _("Hej %(name)s") % {"name": given} if given else _("Hej")
    return _("Journal för %(name)s") % {"name": given} if given else _("Barnets journal")


def _coming(rows: list[Stored], names: dict[int, str]) -> list[Coming]:
    now = datetime.now(UTC)
    found = []
    for row in rows:
        a = row.resource
        if a.start and a.status in COMING and bounds(a.start)[1] > now:
            what = a.description or texts(a.serviceType) or _("Besök")
            found.append(Coming(what, a.start, names.get(row.unit or 0, ""), ""))
    return sorted(found, key=lambda c: show.local(c.at))
