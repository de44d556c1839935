"""Open requests of the same kind for the same patient (M67): said before one writes another, and counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sammanhang.access.door import Record, Stored
from sammanhang.kernel.i18n import _
from sammanhang.work.units import Units

from . import request as fhir
from .states import OPEN, STATES

MOST = 200


@dataclass(frozen=True, slots=True)
class Already:
    """An open request: its address, kind, where it was sent from and to, when, and its state in words."""

    address: str
    kind: str
    sender: str
    receiver: str
    at: str
    state: str


async def requests_of(record: Record) -> list[Stored]:
    """The patient's orders, the newest first; one query."""
    return await record.resources("ServiceRequest", limit=MOST)


def open_ones(record: Record, rows: Iterable[Stored], units: Units, own: str = "") -> list[Already]:
    """The open care requests among some rows, but for the one with the id `own`; newest first."""
    found = []
    for row in rows:
        if row.type != "ServiceRequest" or row.id == own:
            continue
        r = row.resource
        if not fhir.is_care_request(r) or fhir.state_of(r) not in OPEN:
            continue
        found.append(
            Already(
                f"/patients/{record.patient_id}/requests/{row.id}", fhir.kind_of(r), units.name(fhir.sender_of(r)[1]),
                units.name(fhir.receiver_of(r)), r.authoredOn or "", _(STATES[fhir.state_of(r)]),
            )
        )  # fmt: skip
    return found
