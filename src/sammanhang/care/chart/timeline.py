"""The timeline: everything that happened, across care providers, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show

from .documents import document_of, opening
from .encounters import visit_of
from .medicines import medicines_of
from .problems import problems_of
from .values import WRONG, Point, kind_of, point_of
from .words import Names, Source, displays, moment, source, text, texts, when

# kind: what the filter calls it, and the types it holds
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "encounter": (N_("Vårdkontakter"), ("Encounter", "Appointment")),
    "document": (N_("Dokument"), ("DocumentReference", "Composition")),
    "result": (N_("Provsvar och mätvärden"), ("Observation", "DiagnosticReport")),
    "medicine": (N_("Läkemedel"), ("MedicationRequest", "MedicationStatement")),
    "problem": (N_("Hälsoproblem"), ("Condition", "AllergyIntolerance")),
    "act": (N_("Åtgärder"), ("Procedure", "Immunization")),
}
TYPES = tuple(t for _name, types in KINDS.values() for t in types)
_KIND_OF = {t: kind for kind, (_name, types) in KINDS.items() for t in types}
_SHOWN = 6  # values named in one line; the rest are counted


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a line: its name, number with unit, and sign when out of range."""

    name: str
    value: str
    sign: str
    word: str
    far: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line.

    at      when
    kind    encounter, document, result, medicine, problem or act
    title   what happened
    more    in a few words more
    parts   values of a result, those out of range first
    rest    how many values more there are
    by      who did it
    page    where it can be read, below the patient's address; empty when this is all
    source  unit and care provider
    """

    at: str
    kind: str
    title: str
    more: str
    parts: tuple[Part, ...]
    rest: int
    by: str
    page: str
    source: Source


@dataclass(frozen=True, slots=True)
class Day:
    """The events of one day: its date and what happened, latest first."""

    day: str
    events: list[Event]


def events_of(rows: list[Stored], names: Names) -> list[Event]:
    """Rows as events, newest first; values taken together are one event."""
    events: list[Event] = []
    values: dict[tuple[str, int | None, str], list[tuple[Stored, Any]]] = {}
    for row in rows:
        resource = row.resource
        at = when(resource)
        if at is None:
            continue
        if row.type == "Observation":
            if resource.status not in WRONG:
                taken = at[:16] if kind_of(resource) == "laboratory" else at[:13]
                values.setdefault((taken, row.unit, kind_of(resource)), []).append((row, resource))
        elif (event := _event(row, resource, at, names)) is not None:
            events.append(event)
    events += [_values(kind, pairs, names) for (_at, _unit, kind), pairs in values.items()]
    return sorted(events, key=lambda e: -moment(e.at))


def days_of(events: list[Event]) -> list[Day]:
    """Events by day."""
    return [Day(day, list(some)) for day, some in groupby(events, key=lambda e: show.day(e.at))]


def _event(row: Stored, r: Any, at: str, names: Names) -> Event | None:
    """One event; None for what is no event (a booking, what was entered in error)."""
    title, more, by, page = "", "", "", ""
    if getattr(r, "status", None) == "entered-in-error":
        return None
    if row.type == "Encounter":
        v = visit_of(row, r, names)
        title = v.kind if v.what == v.kind else v.what
        more = ", ".join(filter(None, [v.reason, v.length, v.state]))
        by, page = v.by, "/encounters"
    elif row.type in ("DocumentReference", "Composition"):
        d = document_of(row, r, names)
        said = opening(r) if row.type == "DocumentReference" else ""
        title, by, page = d.title, d.by, f"/documents?read={d.id}"
        more = ", ".join(filter(None, [said, d.state]))
    elif row.type == "DiagnosticReport":
        if not r.conclusion:
            return None  # its values are events themselves
        d = document_of(row, r, names)
        title, more, by, page = d.title, r.conclusion[:160], d.by, f"/documents?read={d.id}"
    elif row.type in ("MedicationRequest", "MedicationStatement"):
        found = medicines_of([row], names)
        m = (found.now + found.ended)[0]
        title = f"{m.name} {m.strength}".strip()
        more, by, page = ", ".join(filter(None, [m.dose, m.state])), m.by, "/medicines"
    elif row.type == "Condition":
        problems = problems_of([row], names)
        every = problems.now + problems.visits + problems.over
        if not every:
            return None
        title, more, by, page = every[0].name, every[0].code, every[0].by, "/problems"
    elif row.type == "AllergyIntolerance":
        title, more = text(r.code), _("överkänslighet")
    elif row.type == "Immunization":
        title, more = text(r.vaccineCode), _("vaccination")
        by = displays([p.actor for p in r.performer or ()])
    elif row.type == "Procedure":
        title, more = text(r.code), texts(r.reasonCode)
        by = displays([p.actor for p in r.performer or ()])
    else:
        return None
    return Event(at, _KIND_OF[row.type], title, more, (), 0, by, page, source(row, names))


def _values(kind: str, pairs: list[tuple[Stored, Any]], names: Names) -> Event:
    """Values taken together as one line, those out of range first."""
    points: list[tuple[str, str, Point]] = []
    for row, o in pairs:
        unit = o.valueQuantity.unit or "" if o.valueQuantity is not None else ""
        points.append((text(o.code), unit, point_of(row, o, names)))
    points.sort(key=lambda p: -p[2].far)
    parts = tuple(
        Part(n, f"{p.text} {u}".strip(), p.sign, p.word, p.far) for n, u, p in points[:_SHOWN]
    )
    title = {"laboratory": _("Provsvar"), "survey": _("Bedömning")}.get(kind, _("Mätvärden"))
    page = "/results" if kind == "laboratory" else "/measurements"
    newest = max((p for _n, _u, p in points), key=lambda p: p.order)
    by = newest.by if kind != "laboratory" else ""
    return Event(
        newest.at, "result", title, "", parts, len(points) - len(parts), by, page, newest.source
    )
