"""The resident's first page: what happens next, and the record in brief, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from sammanhang.access.door import Stored
from sammanhang.access.family import Child, children
from sammanhang.access.writing import owner_of
from sammanhang.kernel.i18n import _
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.units import Units, units_of

from .messages import Mail, mail
from .next_step import Coming, Next, coming_visits, next_step
from .plain import PlainMedicine, PlainResult, medicines_of, problems_of, results_of
from .request_words import Plain, reader_of
from .request_words import texts as request_texts
from .requests import going_on
from .visits import last_visit


@dataclass(frozen=True, slots=True)
class MyPage:
    """A resident's first page.

    title      the greeting
    person     who they are
    next       what happens next; None when nothing is planned or waited for
    news       messages that have not been opened; `mails` how many conversations there are
    requests   care requests under way or ended of late; `older` how many there are besides
    coming     visits after that
    problems   what they are treated for, in words
    medicines  what they take now
    results    the latest results, each with a sentence
    children   whose guardian the resident is, on their own page
    own        whether it is the resident's own record; else a child's
    root       address of this page
    """

    title: str
    person: Person
    next: Next | None
    news: list[Mail]
    mails: int
    requests: list[Plain]
    older: int
    coming: list[Coming]
    problems: list[str]
    medicines: list[PlainMedicine]
    results: list[PlainResult]
    children: list[Child]
    own: bool
    root: str


@page("/me", access="resident")
async def mine(visit: Visit) -> Response:
    """The resident's own page."""
    return await _in_brief(
        visit, await children(visit.services.doors, visit.actor, visit.opened.patient)
    )


@page("/me/family/{patient}", access="family")
async def child(visit: Visit) -> Response:
    """A child's record in brief, for its guardian as long as the law lets them read (R23-R28)."""
    return await _in_brief(visit, [])


async def _in_brief(visit: Visit, mine: list[Child]) -> Response:
    record = visit.opened
    own = record.facts.own
    # what is not of the record is asked for first: each change between the two costs a query
    units, reader = await units_of(visit.services.database), reader_of(record)
    before = await last_visit(visit, request_texts()["recent_days"])
    core = await record.resources(
        "Condition", "MedicationRequest", "MedicationStatement", "Appointment", limit=1200
    )
    observations = await record.resources("Observation", limit=200)
    names = {} if reader.masked else _names(observations, units)
    requests, older = await going_on(record, units, before)
    mails = await mail(record, units)
    coming = coming_visits([r for r in core if r.type == "Appointment"], units, reader, requests)
    next = next_step(coming, requests)
    known = record.patient.name[0].given if record.patient.name and not reader.masked else ()
    given = " ".join((known or ())[:1])
    shown = MyPage(
        title=_title(given, own),
        person=person_of(record.patient, record.facts.protected and not own),
        next=next,
        news=[m for m in mails if m.new],
        mails=len(mails),
        requests=requests,
        older=older,
        coming=(coming[1:] if next is not None and next.visit else coming)[:4],
        problems=problems_of([r for r in core if r.type == "Condition"]),
        medicines=medicines_of([r for r in core if r.type.startswith("Medication")]),
        results=results_of(observations, names),
        children=mine,
        own=own,
        root=reader.root,
    )
    return render(visit, "portal/start.html", shown)


def _names(rows: list[Stored], units: Units) -> dict[int, str]:
    """Names of the units that rows belong to, by the number the rows carry; no query."""
    owners = {row.unit: owner_of(row.resource) for row in rows[:60] if row.unit is not None}
    return {number: units.name(owner[1]) for number, owner in owners.items() if owner is not None}


def _title(given: str, own: bool) -> str:
    if own:
        return _("Hej %(name)s") % {"name": given} if given else _("Hej")
    return _("Journal för %(name)s") % {"name": given} if given else _("Barnets journal")
