"""Visits and stays: where the patient has been, is and will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show

from .words import Names, Source, display, displays, moment, source, texts

CLASSES = {
    "IMP": N_("Slutenvård"), "ACUTE": N_("Slutenvård"), "NONAC": N_("Slutenvård"), "AMB": N_("Besök"),
    "EMER": N_("Akutbesök"), "HH": N_("Hembesök"), "VR": N_("Telefon eller video"), "FLD": N_("Besök på plats"),
    "SS": N_("Dagkirurgi"), "OBSENC": N_("Observation"), "PRENC": N_("Före inskrivning"),
}  # fmt: skip
STATES = {
    "planned": N_("planerat"), "arrived": N_("har kommit"), "triaged": N_("bedömd"), "in-progress": N_("pågår"),
    "onleave": N_("permission"), "cancelled": N_("inställt"), "finished": "", "unknown": N_("oklart"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit or stay.

    kind     slutenvård, hembesök …
    what     what it was
    reason   why
    began    when it began
    ended    when it ended; None while it goes on
    length   how long a stay was, in days; empty for a visit
    state    a word unless it is over
    by       whom the patient met
    going    it goes on now
    source   unit and care provider
    """

    kind: str
    what: str
    reason: str
    began: str
    ended: str | None
    length: str
    state: str
    by: str
    going: bool
    source: Source


def encounters_of(rows: list[Stored], names: Names) -> list[Visit]:
    """Encounters, those going on first, then the newest first."""
    found = [
        visit_of(row, e, names) for row in rows if (e := row.resource).status != "entered-in-error"
    ]
    return sorted(found, key=lambda v: (not v.going, -moment(v.began)))


def visit_of(row: Stored, e: Any, names: Names) -> Visit:
    """One Encounter."""
    began = e.period.start if e.period is not None else None
    ended = e.period.end if e.period is not None else None
    kind = _(CLASSES.get(e.class_.code or "", N_("Vårdkontakt")))
    days = (show.local(ended).date() - show.local(began).date()).days if began and ended else 0
    reasons = texts(e.reasonCode) or ", ".join(
        filter(None, (display(d.condition) for d in e.diagnosis or ()))
    )
    return Visit(
        kind=kind,
        what=texts(e.type) or kind,
        reason=reasons,
        began=began or "",
        ended=ended,
        length=show.ngettext("%(n)s dygn", "%(n)s dygn", days) % {"n": days} if days else "",
        state=_(STATES[e.status]) if STATES.get(e.status) else "",
        by=displays([p.individual for p in e.participant or () if p.individual is not None]),
        going=e.status in ("arrived", "triaged", "in-progress", "onleave"),
        source=source(row, names),
    )
