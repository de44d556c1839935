"""The preflight as a page: what everybody will see at first log-in, and what looks wrong (M128)."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg
from starlette.responses import Response, StreamingResponse

from sammanhang.access.actor import Actor
from sammanhang.access.administrators import need_administrator
from sammanhang.access.preflight import Person, Preflight, Seen, Sums
from sammanhang.access.preflight_rows import reading
from sammanhang.kernel import i18n
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Unavailable
from sammanhang.kernel.i18n import _

from . import show
from .rendering import places, render
from .routing import Visit, page

MOST = 200
"""People on the page; the file holds everybody."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look at: a unit's HSA-id, a person's id (empty for all), only those with faults."""

    unit: str
    person: str
    only_faults: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Something to know of a person, in words: whether it is a fault, what, who mends it."""

    fault: bool
    said: str
    mender: str


@dataclass(frozen=True, slots=True)
class Line:
    """A person in words: name and ids, what they will see by assignment, and what is to be known."""

    name: str
    id: str
    hsa_id: str
    gets_in: bool
    seen: tuple[tuple[str, str], ...]
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class PreflightPage:
    """The report.

    asked   what was looked at
    ran     whether it has run
    said    the whole in one sentence, `faulty` whether there is a fault
    counts  each finding with how many, the faults first
    lines   the people, at most `most`; `left` how many more the file has
    file    address of the file
    """

    title: str
    asked: Asked
    ran: bool
    said: str
    faulty: bool
    counts: tuple[tuple[bool, str, int], ...]
    lines: tuple[Line, ...]
    most: int
    left: int
    file: str


def menu(actor: Actor) -> tuple[str, ...]:
    """The main menu of an actor, as the shell shows it."""
    return tuple(_(place.name) for place in places(actor))


@page("/preflight", access="staff")
async def preflight(visit: Visit) -> Response:
    """The form, and the report once it is asked for; for system administrators."""
    need_administrator(visit.actor)
    asked = _asked(visit)
    ran = "run" in visit.request.query_params
    language = i18n.language()
    sums, people, left = Sums(), list[Person](), 0
    if ran:
        sums, people, left = await asyncio.to_thread(_run, visit.services.database.dsn, asked)
        await _trace(visit, asked, sums.people)
    findings = content("rules/preflight")["findings"]
    counts = sorted(
        ((bool(findings[c]["fault"]), str(findings[c][language]), n) for c, n in sums.findings.items()),
        key=lambda one: (not one[0], -one[2], one[1]),
    )  # fmt: skip
    query = {"unit": asked.unit, "person": asked.person} | (
        {"only_faults": "1"} if asked.only_faults else {}
    )
    shown = PreflightPage(
        _("Behörigheter före start"), asked, ran, sums.sentence(language) if ran else "", bool(sums.faulty),
        tuple(counts), tuple(_line(p, language) for p in people), MOST, left, f"/preflight.csv?{urlencode(query)}",
    )  # fmt: skip
    return render(visit, "web/preflight.html", shown)


@page("/preflight.csv", access="staff")
async def preflight_file(visit: Visit) -> Response:
    """The whole report as a file for a spreadsheet: one line for each person and assignment."""
    need_administrator(visit.actor)
    asked = _asked(visit)
    await _trace(visit, asked, None)
    headers = {"content-disposition": 'attachment; filename="preflight.csv"'}
    lines = _csv(visit.services.database.dsn, asked, i18n.language())
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _asked(visit: Visit) -> Asked:
    person = visit.asked("person").removeprefix("Practitioner/")
    return Asked(visit.asked("unit")[:64], person[:64], visit.asked("only_faults") == "1")


async def _trace(visit: Visit, asked: Asked, people: int | None) -> None:
    details = {"unit": asked.unit, "person": asked.person}
    entry = visit.services.doors.entry(
        visit.actor, "preflight", what=visit.request.url.path, count=people, request=visit.id, details=details
    )  # fmt: skip
    await visit.services.audit.record(entry)


def _people(dsn: str, asked: Asked, sums: Sums) -> Iterator[Person]:
    try:
        with reading(dsn, person=asked.person or None, unit=asked.unit or None) as rows:
            for person in Preflight(rows, menu).people():
                sums.add(person)
                if person.faulty or not asked.only_faults:
                    yield person
    except psycopg.OperationalError as e:
        raise Unavailable("The database does not answer.", "Databasen svarar inte.") from e


def _run(dsn: str, asked: Asked) -> tuple[Sums, list[Person], int]:
    """The sums, the first people, and how many more there are."""
    sums, first, left = Sums(), list[Person](), 0
    for person in _people(dsn, asked, sums):
        if len(first) < MOST:
            first.append(person)
        else:
            left += 1
    return sums, first, left


def _line(person: Person, language: str) -> Line:
    found = tuple(
        Found(f.fault, f.said(language), f.mender(language))
        for f in sorted(person.findings, key=lambda f: not f.fault)
    )
    seen = tuple(
        (f"{s.assignment.role_text}, {s.assignment.unit_name}", _meets(s)) for s in person.seen
    )
    return Line(person.name, person.id, person.hsa_id, person.gets_in, seen, found)


def _meets(seen: Seen) -> str:
    """What one assignment opens, in words."""
    start = _("startsida") if seen.start == "whole" else _("begränsad startsida")
    right = _("läser och skriver") if seen.write else _("läser") if seen.read else _("läser inte")
    until = f", {show.until(seen.until)}" if seen.until is not None else ""
    patients = i18n.ngettext("%(n)s patient", "%(n)s patienter", seen.patients) % {
        "n": seen.patients
    }
    menu = _("meny: %(menu)s") % {"menu": ", ".join(seen.menu)}
    return f"{start}, {menu}; {patients}; {right} ({seen.rule}){until}"


def _csv(dsn: str, asked: Asked, language: str) -> Iterator[str]:
    """The lines of the file; a byte order mark first, for the spreadsheet."""
    # The file is made while it is sent, in threads that know nothing of this request.
    i18n.use(language)
    out = io.StringIO()
    write = csv.writer(out, delimiter=";")
    head = (
        "id", _("Namn"), "HSA-id", _("Kommer in"), _("Roll"), _("Enhet"), _("Vårdgivare"), _("Startsida"), _("Meny"),
        _("Patienter"), _("Läser"), _("Skriver"), _("Regel"), _("Till"), _("Fel"), _("Att veta"),
    )  # fmt: skip
    write.writerow(head)
    yield "\ufeff"
    for person in _people(dsn, asked, Sums()):
        i18n.use(language)
        for row in _rows(person, language):
            write.writerow([_plain(cell) for cell in row])
        if out.tell() > 32_000:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _rows(person: Person, language: str) -> Iterator[list[str]]:
    yes = {True: _("ja"), False: _("nej")}
    told = {
        fault: " ".join(f.said(language) for f in person.findings if f.fault == fault)
        for fault in (True, False)
    }
    ids = [person.id, person.name, person.hsa_id, yes[person.gets_in]]
    for s in person.seen or (None,):
        if s is None:
            yield [*ids, *[""] * 10, told[True], told[False]]
            continue
        a = s.assignment
        yield [
            *ids, a.role_text, a.unit_name, a.provider_name,
            _("startsida") if s.start == "whole" else _("begränsad startsida"), ", ".join(s.menu),
            str(s.patients), yes[s.read], yes[s.write], s.rule, s.until.date().isoformat() if s.until else "",
            told[True], told[False],
        ]  # fmt: skip


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
