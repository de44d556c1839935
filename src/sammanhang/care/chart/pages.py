"""The chart's pages. Each fetches what it shows, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access.clients import launchable
from sammanhang.access.clients_registration import origin_of
from sammanhang.access.door import Stored
from sammanhang.fhir.decode import index
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web.find import WRITE
from sammanhang.web.parties import names_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.web.security import with_forms_to

from . import queries
from .banner import Banner, banner_of
from .documents import TYPES as DOCUMENT_TYPES
from .documents import Document, Reading, documents_of, reading_of
from .encounters import Visit as PatientVisit
from .encounters import encounters_of
from .errors import NoSuchDocument
from .medicines import Medicines, medicines_of
from .orders import OnTheWay, on_the_way
from .problems import Problems, problems_of
from .timeline import KINDS, TYPES, Day, Event, days_of, events_of
from .values import Series, series_of

MEDICATION = ("MedicationRequest", "MedicationStatement")
EVENTS = ("Encounter", "DocumentReference", "Composition", "Procedure", "Immunization")
OBSERVATIONS = 2000
PAGE = 120  # rows of one page of the timeline
TABS = (
    ("", N_("Översikt")), ("/timeline", N_("Tidslinje")), ("/medicines", N_("Läkemedel")),
    ("/measurements", N_("Mätvärden")), ("/results", N_("Provsvar")), ("/documents", N_("Dokument")),
    ("/encounters", N_("Vårdkontakter")), ("/problems", N_("Hälsoproblem")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of the chart: its name, address, and whether it is this one."""

    name: str
    address: str
    here: bool


@dataclass(frozen=True, slots=True)
class HiddenNote:
    """That something exists and is not shown: the rule and its sentence."""

    rule: str
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class ChartPage:
    """What every page of the chart has.

    title   what the page is called, with the patient's name
    root    address of the patient's chart
    banner  who the patient is
    tabs    the pages of the chart
    hidden  what exists and is not shown, and why
    body    what this page shows
    emergency  until when an emergency is in force; `declare` tells that one may be declared
    apps    apps that the role can start with this patient: id and name
    write   what one may write: name, address and key
    """

    title: str
    root: str
    banner: Banner
    tabs: tuple[Tab, ...]
    hidden: tuple[HiddenNote, ...]
    body: Any
    emergency: datetime | None = None
    declare: bool = False
    apps: tuple[tuple[str, str], ...] = ()
    write: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """The overview: care requests under way, problems, medicines, latest events, results out of range and vital signs."""

    problems: Problems
    medicines: Medicines
    events: list[Event]
    results: list[Series]
    vitals: list[Series]
    assessments: list[Series]
    requests: list[OnTheWay]


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Days of events; `kind` is the filter, `kinds` what can be chosen, `older` the next page's address."""

    days: list[Day]
    kind: str
    kinds: list[tuple[str, str]]
    older: str


@dataclass(frozen=True, slots=True)
class ValuesPage:
    """Series of values: groups (headline, series), and the one opened with all its points."""

    groups: list[tuple[str, list[Series]]]
    chosen: Series | None


@dataclass(frozen=True, slots=True)
class DocumentsPage:
    """The list of documents, the one opened, and the address of older ones."""

    documents: list[Document]
    reading: Reading | None
    older: str


@dataclass(frozen=True, slots=True)
class EncountersPage:
    """Visits and stays, and the address of older ones."""

    visits: list[PatientVisit]
    older: str


@page("/patients/{patient}", access="record")
async def overview(visit: Visit) -> Response:
    """What matters now on one screen; `?print=1` the same on paper."""
    record = visit.opened
    beside = await queries.beside(record)
    core = await record.resources("Condition", "ServiceRequest", *MEDICATION, limit=1000)
    observations = await record.resources("Observation", limit=200)
    happened = await record.resources(*EVENTS, limit=30)
    names = await names_of(record, [*beside, *core, *observations, *happened])
    series = series_of(observations, names)
    body = Overview(
        problems=problems_of(queries.kinds(core, "Condition"), names),
        medicines=medicines_of(queries.kinds(core, *MEDICATION), names),
        events=events_of([*happened, *observations[:60]], names)[:8],
        results=[s for s in series if s.kind == "laboratory"],
        vitals=[s for s in series if s.kind == "vital-signs"][:8],
        assessments=[s for s in series if s.kind == "survey"][:6],
        requests=on_the_way(queries.kinds(core, "ServiceRequest"), record),
    )
    template = "chart/print.html" if visit.asked("print") else "chart/overview.html"
    return await _render(visit, template, "", beside, names, body)


@page("/patients/{patient}/timeline", access="record")
async def timeline(visit: Visit) -> Response:
    """Everything that happened, a page at a time."""
    record = visit.opened
    kind = visit.asked("kind") if visit.asked("kind") in KINDS else ""
    types = KINDS[kind][1] if kind else TYPES
    beside = await queries.beside(record)
    rows, older = await _some(visit, *types)
    names = await names_of(record, [*beside, *rows])
    kinds = [(k, _(name)) for k, (name, _types) in KINDS.items()]
    body = TimelinePage(
        days_of(events_of(rows, names)), kind, kinds, older and f"?kind={kind}&before={older}"
    )
    return await _render(visit, "chart/timeline.html", "/timeline", beside, names, body)


@page("/patients/{patient}/medicines", access="record")
async def medicines(visit: Visit) -> Response:
    """The medication list and what has ended."""
    record = visit.opened
    beside = await queries.beside(record)
    rows = await record.resources(*MEDICATION, limit=1000)
    names = await names_of(record, [*beside, *rows])
    return await _render(
        visit, "chart/medicines.html", "/medicines", beside, names, medicines_of(rows, names)
    )


@page("/patients/{patient}/measurements", access="record")
async def measurements(visit: Visit) -> Response:
    """Vital signs and assessments with their curves."""
    groups = ((N_("Mätvärden"), "vital-signs"), (N_("Bedömningar"), "survey"))
    return await _values(visit, "/measurements", "chart/measurements.html", groups)


@page("/patients/{patient}/results", access="record")
async def results(visit: Visit) -> Response:
    """Laboratory results with reference ranges and trends."""
    return await _values(visit, "/results", "chart/results.html", ((N_("Provsvar"), "laboratory"),))


@page("/patients/{patient}/documents", access="record")
async def documents(visit: Visit) -> Response:
    """Documents, and one of them opened beside the list."""
    record = visit.opened
    beside = await queries.beside(record)
    rows, older = await _some(visit, *DOCUMENT_TYPES)
    rows = [
        r
        for r in rows
        if r.type != "DiagnosticReport" or r.resource.conclusion or r.resource.presentedForm
    ]
    names = await names_of(record, [*beside, *rows])
    wanted = visit.asked("read")
    opened = next((r for r in rows if f"{r.type}/{r.id}" == wanted), None)
    if wanted and opened is None:
        opened = await _find(visit, wanted)
    elif not wanted and rows:
        opened = rows[0]
    reading = reading_of(opened, names) if opened is not None else None
    body = DocumentsPage(documents_of(rows, names), reading, older and f"?before={older}")
    return await _render(visit, "chart/documents.html", "/documents", beside, names, body)


@page("/patients/{patient}/encounters", access="record")
async def encounters(visit: Visit) -> Response:
    """Visits and stays."""
    record = visit.opened
    beside = await queries.beside(record)
    rows, older = await _some(visit, "Encounter")
    names = await names_of(record, [*beside, *rows])
    body = EncountersPage(encounters_of(rows, names), older and f"?before={older}")
    return await _render(visit, "chart/encounters.html", "/encounters", beside, names, body)


@page("/patients/{patient}/problems", access="record")
async def problems(visit: Visit) -> Response:
    """Health problems now and before."""
    record = visit.opened
    beside = await queries.beside(record)
    rows = await record.resources("Condition", limit=1000)
    names = await names_of(record, [*beside, *rows])
    return await _render(
        visit, "chart/problems.html", "/problems", beside, names, problems_of(rows, names)
    )


@page("/patients/{patient}/hidden", access="record")
async def hidden(visit: Visit) -> Response:
    """Why something is not shown, and the lawful way forward."""
    beside = await queries.beside(visit.opened)
    names = await names_of(visit.opened, beside)
    return await _render(visit, "chart/hidden.html", "/hidden", beside, names, None)


@page("/patients/{patient}/reason", access="staff", methods=("POST",))
async def reason(visit: Visit) -> Response:
    """R3: the reason is declared and traced, then the record opens."""
    patient = visit.request.path_params["patient"]
    await visit.services.doors.declare(visit.actor, patient, visit.form.get("reason", ""))
    onward = visit.form.get("onward", "")
    root = f"/patients/{patient}"
    return RedirectResponse(
        onward if onward == root or onward.startswith(f"{root}/") else root, 303
    )


async def _values(
    visit: Visit, tab: str, template: str, groups: tuple[tuple[str, str], ...]
) -> Response:
    """A page of series: the groups, and the series of `?series=` with all its points."""
    record = visit.opened
    beside = await queries.beside(record)
    rows = await record.resources("Observation", limit=OBSERVATIONS)
    names = await names_of(record, [*beside, *rows])
    series = series_of(rows, names, *(kind for _name, kind in groups))
    shown = [(_(name), [s for s in series if s.kind == kind]) for name, kind in groups]
    wanted = visit.asked("series")
    chosen = next((s for s in series if s.key == wanted), None)
    if chosen is None:
        chosen = next((s for _name, some in shown for s in some if s.curved), None)
    return await _render(
        visit, template, tab, beside, names, ValuesPage([g for g in shown if g[1]], chosen)
    )


async def _some(visit: Visit, *types: str) -> tuple[list[Stored], str]:
    """Rows of one page and the time that the next page begins before; empty when this is the last.

    A page ends between two times, never among rows of the same time, so that nothing is skipped.
    """
    before = _before(visit.asked("before"))
    limit = PAGE
    while True:
        rows = await visit.opened.resources(*types, limit=limit, before=before)
        if len(rows) < limit:
            return rows, ""
        last = _occurred(rows[-1])
        if last is None:
            return rows, ""  # what has no time comes last of all
        end = len(rows)
        while end and _occurred(rows[end - 1]) == last:
            end -= 1
        if end:
            return rows[:end], (last + timedelta(microseconds=1)).isoformat()
        limit *= 4


def _occurred(row: Stored) -> datetime | None:
    """The time the store sorts a row by."""
    span = index(row.resource).occurred
    return span[0] if span is not None else None


def _before(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.replace(" ", "+")) if text else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


async def _find(visit: Visit, wanted: str) -> Stored:
    """A document that is not on this page of the list; raises `NoSuchDocument`."""
    kind, _sign, id = wanted.partition("/")
    if kind in DOCUMENT_TYPES:
        for row in await visit.opened.resources(kind, limit=2000):
            if row.id == id:
                return row
    raise NoSuchDocument


async def _render(
    visit: Visit, template: str, here: str, beside: list[Stored], names: dict[int, str], body: Any
) -> Response:
    record = visit.opened
    root = f"/patients/{record.patient_id}"
    banner = banner_of(record, beside, names)
    tabs = tuple(Tab(_(name), root + end, end == here) for end, name in TABS)
    hidden = tuple(HiddenNote(h.rule, h.kind, either(h.sv, h.en)) for h in record.decision.hidden)
    name = next((_(n) for end, n in TABS if end == here), _("Uppgifter som inte visas"))
    title = f"{banner.person.name} – {name}"
    role = visit.actor.assignment.role if visit.actor.assignment is not None else ""
    apps = await launchable(visit.services.database, role)
    shown = ChartPage(
        title, root, banner, tabs, hidden, body, record.facts.danger_until,
        "may-declare" in record.decision.obligations, tuple((a.id, a.name) for a in apps),
        tuple((_(said), root + end, key) for said, end, key in WRITE) if record.decision.write else (),
    )  # fmt: skip
    response = render(visit, template, shown)
    if apps:  # the form that starts one leads there
        homes = dict.fromkeys(origin_of(a.launch_url) for a in apps if a.launch_url)
        response.headers["content-security-policy"] = with_forms_to(*homes)
    return response
