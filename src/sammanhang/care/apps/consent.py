"""`/oauth/authorize`: a person is asked whether an app may act for them.

Nothing is kept between the steps but the app's own request: each step checks it anew, opens the
patient's record through the door anew, and only an approval leaves anything behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import RedirectResponse, Response

from sammanhang.access import grants, launches, oauth_requests, sessions
from sammanhang.access.actor import Actor
from sammanhang.access.clients_registration import origin_of
from sammanhang.access.door import Record, RecordRefused
from sammanhang.access.family import children
from sammanhang.access.identity_services import trace
from sammanhang.access.oauth_requests import PARAMETERS, Asked, AskedWrongly, UnknownApp
from sammanhang.access.oidc_errors import OAuthError
from sammanhang.kernel.i18n import _, either
from sammanhang.web.apps import Wishes, acting_as, wishes_of
from sammanhang.web.find import enough, search
from sammanhang.web.people import Person, person_of
from sammanhang.web.recent import opened_lately
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.web.security import with_forms_to

from .encounters import Choice, choices_of

PATH = "/oauth/authorize"
LONGEST = 7500  # characters of a request; it has to come back whole from the log-in


@dataclass(frozen=True, slots=True)
class AppPage:
    """What every page of the question has.

    title      the headline
    app        name of the app, `publisher` who stands behind it, `home` where its answer goes
    asked      the app's request, to be sent back with the next step
    resident   whether a resident is asked, else staff
    """

    title: str
    app: str
    publisher: str
    home: str
    asked: str
    resident: bool


@dataclass(frozen=True, slots=True)
class PatientPage(AppPage):
    """Which patient? `fields` carry the request through the search; `people` are hits, or those opened
    lately when nothing was searched for; `family` the resident and their children."""

    q: str
    fields: tuple[tuple[str, str], ...]
    people: tuple[Person, ...]
    more: bool
    family: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EncounterPage(AppPage):
    """Which visit? `visits` are those of late that the person may see."""

    person: Person
    visits: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class ConsentPage(AppPage):
    """Yes or no?

    acting     whom the app acts as, in words
    person     the patient; None when no record is chosen
    encounter  the visit, in words; empty without one
    wishes     what it may see and do
    days       for how many days at most it goes on when the person logs out; 0 when it ends then
    patient_id, encounter_id  what was chosen, to be sent with the answer
    """

    acting: str
    person: Person | None
    encounter: str
    wishes: Wishes
    days: int
    patient_id: str
    encounter_id: str


@dataclass(frozen=True, slots=True)
class StopPage(AppPage):
    """It goes no further: why, under which rule, whether another patient may be chosen, and the chart
    where a reason can be given, when one would open it."""

    said: str
    rule: str
    again: bool
    chart: str


@dataclass(frozen=True, slots=True)
class UnknownPage:
    """The link is not one we answer: nothing is sent anywhere."""

    title: str
    resident: bool = False


@page(PATH, access="open")
async def authorize(visit: Visit) -> Response:
    """The app's question, put to whoever is logged in; the log-in comes first when nobody is."""
    query = visit.request.url.query
    return await _step(visit, query, "", "", decided=False)


@page(PATH, access="open", methods=("POST",))
async def answer(visit: Visit) -> Response:
    """One answer: a patient, a visit, yes or no."""
    form = visit.form
    query, decision = form.get("asked", ""), form.get("decision", "")
    patient, encounter = form.get("patient", ""), form.get("encounter", "")
    if decision == "decline":
        return await _declined(visit, query)
    if decision == "approve":
        return await _approved(visit, query, patient, encounter)
    return await _step(visit, query, patient, encounter, decided=decision == "encounter")


async def _step(
    visit: Visit, query: str, patient: str, encounter: str, *, decided: bool
) -> Response:
    """The next page of the question; `decided` tells that a visit, or none, was chosen."""
    asked = await _understood(visit, query)
    if isinstance(asked, Response):
        return asked
    away = await _away(visit, asked, query)
    if away is not None:
        return away
    base = _base(visit, asked, query)
    try:
        context = await _context(visit, asked, patient, encounter)
    except OAuthError as error:
        return await _told(visit, asked.client.id, error, asked.redirect_uri, asked.state)
    except RecordRefused as refused:
        return _stopped(visit, asked, base, refused)
    if context is None:
        return await _choose_patient(visit, asked, base)
    record, encounter = context
    if record is not None and asked.needs_encounter and not decided:
        return await _choose_encounter(visit, asked, base, record)
    return await _ask(visit, asked, base, record, encounter)


async def _approved(visit: Visit, query: str, patient: str, encounter: str) -> Response:
    """Yes: the grant and its code, in the trace before the app hears of it."""
    asked = await _understood(visit, query)
    if isinstance(asked, Response):
        return asked
    away = await _away(visit, asked, query)
    if away is not None:
        return away
    services, settings = visit.services, visit.services.settings
    try:
        context = await _context(visit, asked, patient, encounter, spend=True)
    except OAuthError as error:
        return await _told(visit, asked.client.id, error, asked.redirect_uri, asked.state)
    except RecordRefused as refused:
        return _stopped(visit, asked, _base(visit, asked, query), refused)
    if context is None:
        return await _choose_patient(visit, asked, _base(visit, asked, query))
    record, encounter = context
    given = await grants.give(
        services.database, session=visit.session.key, client=asked.client.id, scopes=asked.scopes,
        patient=record.patient_id if record is not None else None, encounter=encounter or None,
        nonce=asked.nonce, kind=visit.actor.kind, redirect_uri=asked.redirect_uri, challenge=asked.challenge,
    )  # fmt: skip
    if given is None:  # logged out in another window meanwhile
        return _go(f"/login?next={quote(f'{PATH}?{query}', safe='')}")
    id, code = given
    entry = services.doors.entry(
        visit.actor, "grant", patient=record.patient_id if record is not None else None,
        what=f"client:{asked.client.id}", request=visit.id,
        details={"grant": id, "scope": " ".join(asked.scopes)},
    )  # fmt: skip
    await services.audit.record(entry)
    return _go(oauth_requests.answer(settings, asked.redirect_uri, asked.state, {"code": code}))


async def _declined(visit: Visit, query: str) -> Response:
    """No: the app is told so, and its launch is spent."""
    asked = await _understood(visit, query)
    if isinstance(asked, Response):
        return asked
    if asked.launch is not None and visit.session is not None:
        await launches.find(
            visit.services.database, asked.launch, session=visit.session.key, client=asked.client.id,
            spend=True,
        )  # fmt: skip
    error = OAuthError("access_denied", "The person declined.")
    return await _told(visit, asked.client.id, error, asked.redirect_uri, asked.state)


async def _understood(visit: Visit, query: str) -> Asked | Response:
    """The request in a query string, or the answer to one that cannot be put to anybody."""
    services = visit.services
    try:
        if len(query) > LONGEST:
            raise UnknownApp
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=60, errors="strict")
        return await oauth_requests.understood(services.database, services.settings, pairs)
    except (UnknownApp, ValueError):
        await trace(visit.request, "authorize", _who(visit), outcome="unknown app")
        resident = visit.session is not None and visit.actor.kind == "resident"
        shown = UnknownPage(_("Länken hit är inte rätt"), resident)
        return render(visit, "apps/unknown.html", shown, 400)
    except AskedWrongly as wrong:
        id = dict(pairs)["client_id"]
        return await _told(visit, id, wrong.error, wrong.redirect_uri, wrong.state)


async def _away(visit: Visit, asked: Asked, query: str) -> Response | None:
    """Where a person is sent who cannot be asked yet, or not at all; None when they can."""
    session = visit.session
    error = None
    if session is None or session.state != "active":
        error = OAuthError("login_required", "Nobody is logged in.") if asked.silent else None
        if error is None:
            where = "/login" if session is None else "/login/assignment"
            if session is None and await sessions.asleep(visit.request) is not None:
                where = "/locked"
            return _go(f"{where}?next={quote(f'{PATH}?{query}', safe='')}")
    elif asked.silent:
        error = OAuthError("consent_required", "The person is asked each time.")
    if error is not None:
        return await _told(visit, asked.client.id, error, asked.redirect_uri, asked.state)
    actor = visit.actor
    role = actor.assignment.role if actor.assignment is not None else None
    if not asked.client.offered_to(actor.kind, role):
        base = _base(visit, asked, query)
        said = _("Appen är inte till för dig i den roll du är inloggad i.")
        return _page(visit, asked, "apps/stop.html", StopPage(**base, said=said, rule="", again=False, chart=""), 403)  # fmt: skip
    return None


async def _context(
    visit: Visit, asked: Asked, patient: str, encounter: str, *, spend: bool = False
) -> tuple[Record | None, str] | None:
    """The patient's open record and the visit; (None, "") where no patient is needed, None where one is
    still to be chosen. Raises `OAuthError` for a launch that does not hold, and `RecordRefused`."""
    doors, database = visit.services.doors, visit.services.database
    if asked.launch is not None:
        launch = await launches.find(
            database, asked.launch, session=visit.session.key, client=asked.client.id, spend=spend
        )
        if launch is None:
            raise OAuthError("invalid_request", "launch is used, too old, or not of this person's session.")  # fmt: skip
        record = await doors.open_record(visit.actor, launch.patient, request=visit.id)
        return record, launch.encounter or ""
    if not asked.needs_patient:
        return None, ""
    if not patient and visit.actor.kind == "resident" and not await children(doors, visit.actor):
        patient = visit.actor.id.removeprefix("Patient/")
    if not patient:
        return None
    record = await doors.open_record(visit.actor, patient, request=visit.id)
    if encounter and not asked.needs_encounter:
        encounter = ""
    if encounter and encounter not in {c.id for c in await choices_of(record)}:
        raise OAuthError("invalid_request", "The visit is not one that can be chosen.")
    return record, encounter


async def _choose_patient(visit: Visit, asked: Asked, base: dict[str, Any]) -> Response:
    q = visit.asked("q")[:100]
    people: list[Person] = []
    more = False
    family: list[tuple[str, str]] = []
    if visit.actor.kind == "resident":
        mine = visit.actor.id.removeprefix("Patient/")
        family = [(mine, _("Mig själv"))]
        family += [(c.id, c.name) for c in await children(visit.services.doors, visit.actor)]
    elif enough(q):
        found = await search(visit, q)
        people, more = found.people[:20], found.more or len(found.people) > 20
    else:
        people = await opened_lately(visit, 6)
    pairs = parse_qsl(str(base["asked"]), keep_blank_values=True)
    fields = tuple((name, value) for name, value in pairs if name in PARAMETERS)
    shown = PatientPage(
        **(base | {"title": _("Välj patient"), "asked": urlencode(fields)}),
        q=q, fields=fields, people=tuple(people), more=more, family=tuple(family),
    )  # fmt: skip
    return _page(visit, asked, "apps/patient.html", shown)


async def _choose_encounter(
    visit: Visit, asked: Asked, base: dict[str, Any], record: Record
) -> Response:
    visits = await choices_of(record)
    shown = EncounterPage(
        **(base | {"title": _("Välj vårdkontakt")}),
        person=_person(record), visits=tuple(visits),
    )  # fmt: skip
    return _page(visit, asked, "apps/encounter.html", shown)


async def _ask(
    visit: Visit, asked: Asked, base: dict[str, Any], record: Record | None, encounter: str
) -> Response:
    named = ""
    if record is not None and encounter:
        named = next((c.words for c in await choices_of(record, encounter)), "")
    shown = ConsentPage(
        **base,
        acting=acting_as(visit.actor), person=_person(record) if record is not None else None,
        encounter=named, wishes=wishes_of(asked.scopes),
        days=grants.offline_days(visit.actor.kind) if "offline_access" in asked.scopes else 0,
        patient_id=record.patient_id if record is not None else "", encounter_id=encounter,
    )  # fmt: skip
    return _page(visit, asked, "apps/consent.html", shown)


def _stopped(visit: Visit, asked: Asked, base: dict[str, Any], refused: RecordRefused) -> Response:
    """The law's no to a patient, with its rule and the lawful way on."""
    reason = "ask-reason" in refused.decision.obligations and refused.patient_id
    shown = StopPage(
        **(base | {"title": _("Du har inte rätt att öppna den journalen")}),
        said=either(refused.sv, refused.en), rule=refused.rule, again=asked.launch is None,
        chart=f"/patients/{refused.patient_id}" if reason else "",
    )  # fmt: skip
    return _page(visit, asked, "apps/stop.html", shown, 403)


def _page(visit: Visit, asked: Asked, template: str, shown: AppPage, status: int = 200) -> Response:
    """A page of the question. Its forms lead to the app, and an app may go on from there to a page of
    its own: browsers hold a page to its word about that."""
    response = render(visit, template, shown, status)
    origin = origin_of(asked.redirect_uri)
    elsewhere = ("https:",) if origin.startswith("https://") else ("https:", origin)
    response.headers["content-security-policy"] = with_forms_to(*elsewhere)
    return response


def _base(visit: Visit, asked: Asked, query: str) -> dict[str, Any]:
    client = asked.client
    return {
        "title": _("Vill du ge %(app)s tillgång?") % {"app": client.name}, "app": client.name,
        "publisher": client.publisher, "home": origin_of(asked.redirect_uri).removeprefix("https://"),
        "asked": query, "resident": visit.actor.kind == "resident",
    }  # fmt: skip


def _person(record: Record) -> Person:
    return person_of(record.patient, record.facts.protected and not record.facts.own)


async def _told(
    visit: Visit, client: str, error: OAuthError, redirect_uri: str, state: str | None
) -> Response:
    """The app is told of a fault or a no; in the trace first."""
    why = {"client": client, "why": error.description}
    await trace(visit.request, "authorize", _who(visit), outcome=error.code, details=why)
    said = {"error": error.code, "error_description": error.description}
    return _go(oauth_requests.answer(visit.services.settings, redirect_uri, state, said))


def _who(visit: Visit) -> Actor | str:
    return visit.actor if visit.session is not None else "system:oauth"


def _go(address: str) -> Response:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})
