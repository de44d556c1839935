"""Patient search and the command bar: every patient, action and page by keyboard."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from sammanhang.access.door import RecordRefused
from sammanhang.access.lookups import looked_up, may_look_up
from sammanhang.fhir.indexing import fold
from sammanhang.kernel.errors import TooMany
from sammanhang.kernel.i18n import N_, _, either

from .directory import Directory, Found, understand
from .people import Person
from .recent import opened_lately
from .rendering import PLACES, render
from .routing import Visit, page

# What can be written about a patient, from the chart and from the command bar: what, where, the key.
WRITE = (
    (N_("Ny vårdbegäran"), "/requests/new", "v"), (N_("Ny bedömning"), "/assessments", "b"),
    (N_("Skriv till invånaren"), "/messages", "m"),
)  # fmt: skip
# Pages of a patient's chart, offered in the command bar while the chart is open.
CHART = (
    *((name, end) for name, end, _key in WRITE),
    (N_("Översikt"), ""), (N_("Tidslinje"), "/timeline"), (N_("Läkemedel"), "/medicines"),
    (N_("Mätvärden"), "/measurements"), (N_("Provsvar"), "/results"), (N_("Dokument"), "/documents"),
    (N_("Vårdkontakter"), "/encounters"), (N_("Hälsoproblem"), "/problems"),
    (N_("Nödöppning"), "/emergency"),
)  # fmt: skip
ACTIONS = (
    (N_("Vårdbegäran"), "/requests"),
    (N_("Frånvaro"), "/work/absence"),
    (N_("Inget på drift"), "/operations/adrift"),
    (N_("Begäran om att häva spärr"), "/lifts"),
    (N_("Loggranskning"), "/review"),
    (N_("Loggkontroller"), "/review/figures"),
    (N_("Uppföljning"), "/followup/retyped"),
    (N_("Byt uppdrag"), "/login/assignment"),
    (N_("Mina inloggningar"), "/sessions"),
    (N_("Lås skärmen"), "/lock"),
    (N_("Behörigheter före start"), "/preflight"),
    (N_("Appar med tillgång"), "/apps"),
    (N_("Byt språk till engelska"), "/settings/language/en"),
    (N_("Byt språk till svenska"), "/settings/language/sv"),
    (N_("Mörkt läge"), "/settings/theme/dark"),
    (N_("Ljust läge"), "/settings/theme/light"),
    (N_("Följ datorns läge"), "/settings/theme/auto"),
)


@dataclass(frozen=True, slots=True)
class PatientsPage:
    """The search page.

    title   the headline
    q       what was typed
    people  hits, best first
    more    there are more hits than these
    asked   whether a search was made
    said    why no search was made, though asked for; else empty
    """

    title: str
    q: str
    people: list[Person]
    more: bool
    asked: bool
    said: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the command bar: what it says, and where it leads."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class CommandPage:
    """What the command bar offers.

    q       what was typed
    people  patients it may mean; without a text those opened lately
    more    there are more patients than these
    lately  whether the patients are those opened lately
    pages   pages that fit the text
    said    why no search was made, though asked for; else empty
    """

    q: str
    people: list[Person]
    more: bool
    lately: bool
    pages: list[Choice]
    said: str = ""


async def search(visit: Visit, text: str) -> Found:
    """The patients a text may mean, traced.

    Raises `RecordRefused` for roles without record rights, and `TooMany` for who has looked for too
    many identity numbers of late.
    """
    doors = visit.services.doors
    scope = await doors.search_scope(visit.actor)
    asked = understand(text)
    if asked.number is not None:
        await may_look_up(doors, visit.actor, request=visit.id)
    directory: Directory = visit.request.app.state.directory
    found = await directory.search(scope, asked)
    if asked.number is not None:
        nobody = int(not found.people)
        await looked_up(visit.services.database, visit.actor, numbers=1, not_found=nobody)
    # The trace holds what was asked, so that a log review can see a search for a person.
    await visit.services.audit.record(
        doors.entry(
            visit.actor,
            "search",
            what=f"Patient?q={text[:100]}",
            count=len(found.people),
            request=visit.id,
        )
    )
    return found


def enough(text: str) -> bool:
    """Whether the text is long enough to search for: two letters."""
    return len(text.strip()) >= 2


def typed(visit: Visit) -> str:
    """What was typed. In an address an identity number is not read.

    Addresses are kept where they are seen (histories, proxies, logs), so the pages send what is typed
    in the body, and no link that holds a number works.
    """
    if visit.request.method == "POST":
        return visit.form.get("q", "").strip()
    q = visit.asked("q")
    return "" if understand(q).number is not None else q


@page("/patients", access="staff", methods=("GET", "POST"))
async def patients(visit: Visit) -> Response:
    """Search for a patient; works without JavaScript."""
    q, found, said = typed(visit), Found(), ""
    try:
        if enough(q):
            found = await search(visit, q)
    except TooMany as e:
        said = either(e.sv, e.en)
    shown = PatientsPage(_("Patienter"), q, found.people, found.more, enough(q), said)
    template = "web/patients_part.html" if visit.partial else "web/patients.html"
    # htmx shows no answer that is an error; without it the status tells programs.
    return render(visit, template, shown, 429 if said and not visit.partial else 200)


@page("/command", access="staff", methods=("GET", "POST"))
async def command(visit: Visit) -> Response:
    """What the command bar shows for the text typed so far."""
    q = typed(visit)
    found, lately, said = Found(), False, ""
    try:
        if enough(q):
            found = await search(visit, q)
        elif not q:
            found, lately = Found(await opened_lately(visit, 6)), True
    except TooMany as e:
        said = either(e.sv, e.en)
    except RecordRefused:
        pass  # a role without record rights still reaches pages and actions
    page_ = CommandPage(
        q, found.people[:8], found.more or len(found.people) > 8, lately, _pages(visit, q), said
    )
    return render(visit, "web/command.html", page_)


def _pages(visit: Visit, q: str) -> list[Choice]:
    patient = visit.form.get("patient", "") or visit.asked("patient")
    choices = [Choice(_(place.name), place.address) for place in PLACES]
    if patient and patient.replace("-", "").replace(".", "").isalnum():
        choices = [Choice(_(name), f"/patients/{patient}{end}") for name, end in CHART] + choices
    if q:
        choices += [Choice(_(name), address) for name, address in ACTIONS]
    wanted = fold(q).split()
    fit = [c for c in choices if all(any(w in word for word in [fold(c.name)]) for w in wanted)]
    return fit[:9]
