"""Care requests (vårdbegäran) as the overview shows them: what, to whom, in what state. The request itself is
`care/requests`' page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import owner_of
from sammanhang.kernel.i18n import N_, _

from .words import display, text

CATEGORY = "http://sammanhang.se/fhir/CodeSystem/order-category"
STATE = "http://sammanhang.se/fhir/StructureDefinition/care-request-state"
SHOWN = 4
# Short words of the states; the state machine itself is in care/requests/states.py, and a test holds them together.
STATES = {
    "draft": N_("Utkast"), "sent": N_("Skickad"), "received": N_("Mottagen"), "more-information": N_("Väntar på svar på fråga"),
    "accepted": N_("Accepterad"), "rejected": N_("Avslagen"), "redirected": N_("Skickad vidare"), "planned": N_("Planerad"),
    "in-progress": N_("Pågår"), "answered": N_("Besvarad"), "closed": N_("Avslutad"), "withdrawn": N_("Återkallad"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """One request: id, what it is, what is asked for, to whom, in what state, when; `open` when something waits."""

    id: str
    what: str
    words: str
    to: str
    state: str
    open: bool
    at: str


def on_the_way(rows: list[Stored], record: Record) -> list[OnTheWay]:
    """The latest requests, those under way first; another care provider's draft is nobody's to see."""
    found = []
    for row in rows:
        r = row.resource
        if not _is_request(r) or r.status == "entered-in-error":
            continue
        state = next((e.valueCode for e in r.extension or () if e.url == STATE), "sent")
        if state == "draft" and not _own(r, record):
            continue
        asked = next((c.text for c in r.orderDetail or () if c.text), "") or next((c.text for c in r.reasonCode or () if c.text), "")  # fmt: skip
        to = display(r.performer[0]) if r.performer else ""
        open_ = state not in ("closed", "rejected", "withdrawn")
        found.append(OnTheWay(row.id, text(r.code), " ".join(asked.split())[:120], to, _(STATES.get(state, "")), open_, r.authoredOn or ""))  # fmt: skip
    return sorted(sorted(found, key=lambda o: o.at, reverse=True), key=lambda o: not o.open)[:SHOWN]


def _is_request(r: Any) -> bool:
    return any(c.system == CATEGORY for x in r.category or () for c in x.coding or ())


def _own(r: Any, record: Record) -> bool:
    owner, a = owner_of(r), record.actor.assignment
    return owner is not None and a is not None and owner[0] == a.provider
