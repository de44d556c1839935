"""The visits of a patient that an app can be told of, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sammanhang.access.door import Record
from sammanhang.fhir.dates import bounds
from sammanhang.fhir.indexing import coded, slot
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show
from sammanhang.web.parties import names_of

OPEN = ("arrived", "triaged", "in-progress", "onleave")
_TOKENS = [
    coded("http://hl7.org/fhir/encounter-status", status)[1] ^ slot("Encounter.status", "token")
    for status in OPEN
]
KINDS = {"IMP": N_("Slutenvård"), "ACUTE": N_("Slutenvård"), "EMER": N_("Akutbesök"), "HH": N_("Hembesök"),
         "VR": N_("Telefon eller video")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """A visit to choose: its id, and what, when and where in words."""

    id: str
    words: str


async def choices_of(record: Record, only: str = "") -> list[Choice]:
    """The visits of late that this record lets be seen, the latest first; `only` that one, however old."""
    limits = content("rules/apps")["encounters"]
    rows = await record.resources("Encounter", limit=2000 if only else 200)
    names = await names_of(record, rows)
    since = datetime.now(UTC) - timedelta(days=limits["days"])
    found = []
    for row in rows:
        e = row.resource
        if (only and row.id != only) or e.status in ("entered-in-error", "cancelled"):
            continue
        if not only and e.status not in OPEN and not _later(e, since):
            continue
        found.append(Choice(row.id, _words(e, names.get(row.unit or 0, ""))))
    return found[: limits["most"]]


async def open_here(record: Record) -> str | None:
    """Id of the visit that is open at the actor's own unit; None without one, or with several."""
    a = record.actor.assignment
    rows = await record.resources("Encounter", limit=20, tokens=[_TOKENS])
    unit = await record.doors.database.party(a.unit) if a is not None else None
    found = [row.id for row in rows if row.unit == unit]
    return found[0] if len(found) == 1 else None


def _later(e: Any, since: datetime) -> bool:
    period = e.period
    at = (period.end or period.start) if period is not None else None
    return at is not None and bounds(at)[1] >= since


def _words(e: Any, unit: str) -> str:
    kind = _(KINDS.get(e.class_.code or "", N_("Besök")))
    began = show.when(e.period.start) if e.period is not None and e.period.start else ""
    going = _("pågår") if e.status in OPEN else ""
    return ", ".join(x for x in (kind, began, unit, going) if x)
