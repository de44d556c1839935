"""Whom to call about the patient (M49): the unit they are listed at, their care contact, those near them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record
from sammanhang.kernel.i18n import _

MOST = 6


@dataclass(frozen=True, slots=True)
class Contact:
    """One to call: name, what they are to the patient, telephone."""

    name: str
    role: str
    phone: str


async def contacts_of(record: Record) -> tuple[Contact, ...]:
    """Those the reader may see, care first; one query. Of somebody with protected identity only those in care."""
    rows = [r.resource for r in await record.resources("CareTeam", "RelatedPerson", limit=50)]
    found = [
        Contact(g.display, _("Listad"), "") for g in record.patient.generalPractitioner or () if g.display
    ]  # fmt: skip
    for r in rows:
        if type(r).__name__ == "CareTeam" and r.status == "active":
            found += _team(r)
    if not record.facts.protected:
        found += _near(record.patient, rows)
    once = {c.name: c for c in reversed(found) if c.name}
    return tuple(reversed(once.values()))[:MOST]


def _team(team: Any) -> Iterator[Contact]:
    for member in team.participant or ():
        who = member.member
        if who is not None and who.display and not (who.reference or "").startswith("Patient/"):
            role = next((_words(r) for r in member.role or ()), "")
            yield Contact(who.display, role, _phone(team.telecom))


def _near(patient: Any, rows: list[Any]) -> Iterator[Contact]:
    for c in patient.contact or ():
        if c.period is None or c.period.end is None:
            yield Contact(_name(c.name), _first(c.relationship), _phone(c.telecom))
    for r in rows:
        if type(r).__name__ == "RelatedPerson" and r.active is not False:
            yield Contact(_name((r.name or (None,))[0]), _first(r.relationship), _phone(r.telecom))


def _name(name: Any) -> str:
    if name is None:
        return ""
    return name.text or " ".join([*(name.given or ()), name.family or ""]).strip()


def _first(concepts: Any) -> str:
    return next((w for c in concepts or () if (w := _words(c))), "")


def _words(concept: Any) -> str:
    return concept.text or next((c.display for c in concept.coding or () if c.display), "") or ""


def _phone(points: Any) -> str:
    return next((t.value for t in points or () if t.system == "phone" and t.value), "") or ""
