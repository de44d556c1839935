"""A unit now: who is in its care, and whom it expects today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import coded, slot
from sammanhang.kernel.i18n import N_, _
from sammanhang.store.connection import numbers
from sammanhang.store.database import Scope
from sammanhang.store.types import NAME, NUMBER

from . import show
from .directory import SQL, Directory
from .people import Person, mark_similar
from .routing import Visit

SHOWN = 40
AHEAD = timedelta(days=60)  # how far ahead a patient's next visit is looked for
BEDS = ("IMP", "ACUTE", "NONAC")  # v3-ActCode: in-patient
_INSIDE = [
    h ^ slot("Encounter.status", "token")
    for status in ("in-progress", "arrived", "triaged", "onleave")
    for h in coded("http://hl7.org/fhir/encounter-status", status)[1:2]
]
STATES = {
    "in-progress": N_("här nu"), "arrived": N_("har kommit"), "triaged": N_("bedömd"),
    "onleave": N_("permission"), "planned": N_("väntas"), "booked": N_("bokat"),
    "pending": N_("ej bekräftat"), "proposed": N_("förslag"), "checked-in": N_("har kommit"),
    "finished": N_("klart"), "fulfilled": N_("klart"), "cancelled": N_("inställt"),
    "noshow": N_("kom inte"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InCare:
    """A patient of the unit.

    person  who
    state   where they are in their care, in a word: `inlagd`, `här nu`, `väntas 10:00`; may be empty
    since   since when they are here; None when they are not here now
    next    the next visit at the unit after today; None when none is planned
    """

    person: Person
    state: str
    since: str | None
    next: datetime | None


@dataclass(frozen=True, slots=True)
class Expected:
    """A visit the unit expects today.

    at      its time
    person  who comes or is visited
    what    what it is about
    state   in a word: väntas, har kommit
    """

    at: str
    person: Person
    what: str
    state: str


@dataclass(frozen=True, slots=True)
class UnitNow:
    """The unit's patients (those here first), today's visits in order, and the counts."""

    patients: list[InCare]
    visits: list[Expected]
    count: int
    inside: int


async def unit_now(visit: Visit) -> UnitNow:
    """Three queries: who is in care, what is open or planned today, and their names."""
    doors, database = visit.services.doors, visit.services.database
    actor = visit.actor
    assert actor.assignment is not None
    selves = await doors.patients_of_unit(actor)
    if not selves:
        return UnitNow([], [], 0, 0)
    provider = await database.party(actor.assignment.provider)
    unit = await database.party(actor.assignment.unit)
    scope = Scope(register=True, patients=tuple(selves), providers=(provider,) if provider else ())
    begin, end = show.today_span()
    types = [NUMBER["Encounter"], NUMBER["Appointment"]]
    async with database.reading(scope) as connection:
        database.queries += 1
        cursor = await connection.quick.execute(
            SQL["unit_now"], (unit, numbers(types), begin, numbers(_INSIDE), end + AHEAD, 500)
        )
        rows: list[Any] = await cursor.fetchall()
        directory: Directory = visit.request.app.state.directory
    events = [(NAME[r[0]], r[1], r[2], trusted(r[3], NAME[r[0]])) for r in rows]
    wanted = list(dict.fromkeys([e[1] for e in events] + selves[: SHOWN * 2]))
    people = await directory.people(scope, wanted)
    inside = {p: e for kind, p, _, e in events if kind == "Encounter" and e.status != "planned"}
    visits = _visits(events, people, begin, end)
    coming = {v.person.id: v for v in reversed(visits)}
    later = {p: at for _, p, at, _ in reversed(events) if at is not None and at >= end}
    patients = [
        _in_care(people[n], inside.get(n), coming.get(people[n].id), later.get(n))
        for n in wanted
        if n in people
    ]
    patients.sort(key=lambda p: (p.since is None, not p.state, p.person.family, p.person.given))
    shown = patients[:SHOWN]
    marked = {p.id: p for p in mark_similar(p.person for p in shown)}
    shown = [replace(p, person=marked[p.person.id]) for p in shown]
    return UnitNow(shown, visits, len(selves), len(inside))


def _in_care(person: Person, stay: Any, coming: Expected | None, later: datetime | None) -> InCare:
    if stay is not None:
        bed = stay.class_.code in BEDS
        since = stay.period.start if stay.period is not None else None
        return InCare(person, _("inlagd") if bed else _("här nu"), since or "", later)
    return InCare(person, f"{coming.state} {coming.at}" if coming is not None else "", None, later)


def _visits(
    events: list[Any], people: dict[int, Person], begin: datetime, end: datetime
) -> list[Expected]:
    """Today's, each patient's hour once: a visit begun takes the place of its booking."""
    found: dict[tuple[int, str], Expected] = {}
    for kind, patient, at, event in events:
        if patient not in people or at is None or not begin <= at < end:
            continue
        clock = show.time(at)
        if kind == "Encounter" and event.class_.code in BEDS:
            continue  # a stay on a ward is no visit
        if kind == "Encounter" or (patient, clock) not in found:
            state = _(STATES.get(event.status, ""))
            found[(patient, clock)] = Expected(clock, people[patient], _about(kind, event), state)
    return sorted(found.values(), key=lambda v: (v.at, v.person.family))


def _about(kind: str, event: Any) -> str:
    if kind == "Appointment":
        if event.description:
            return str(event.description)
        concepts = [*(event.serviceType or ()), *(event.reasonCode or ())]
    else:
        concepts = [*(event.reasonCode or ()), *(event.type or ())]
    for concept in concepts:
        text = concept.text or next((c.display for c in concept.coding or () if c.display), None)
        if text:
            return str(text)
    return _("Besök")
