"""A resource → its row: owner, compartment, care relation, time, search values, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sammanhang.fhir.dates import END, bounds
from sammanhang.fhir.decode import encode, index
from sammanhang.fhir.indexing import Index, coded, self_hash
from sammanhang.fhir.r4 import Meta
from sammanhang.kernel.owner import PROVIDER, UNIT

from .types import COMMON


@dataclass(slots=True)
class Row:
    """What is stored of one version of a resource. `body` None is a deletion.

    `expected` is the version it replaces, 0 for a new resource. `provider` and `unit` are HSA-ids; the
    writer turns them into numbers.
    """

    type: str
    id: str
    expected: int
    updated: datetime
    body: bytes | None
    self: int
    patient: int | None = None
    also: list[int] | None = None
    provider: str | None = None
    unit: str | None = None
    labels: list[int] | None = None
    care_until: datetime | None = None
    index: Index | None = None
    named: bool = False  # the client chose the id, so it may have lived before

    @property
    def version(self) -> int:
        return self.expected + 1


# What shows that a patient is in a unit's care now: types and the statuses that say so.
IN_CARE = {
    "Encounter": {"planned", "arrived", "triaged", "in-progress", "onleave"},
    "EpisodeOfCare": {"planned", "waitlist", "active", "onhold"},
    "CareTeam": {"active"},
    "Appointment": {"proposed", "pending", "booked", "arrived", "checked-in"},
    "ServiceRequest": {"active", "on-hold"},
    "Task": {"requested", "received", "accepted", "ready", "in-progress", "on-hold"},
}


def owner(resource: Any) -> tuple[str | None, str | None]:
    """HSA-ids of the care provider and unit in a resource's tags."""
    provider = unit = None
    if resource.meta is not None:
        for tag in resource.meta.tag or ():
            if tag.system == PROVIDER:
                provider = tag.code
            elif tag.system == UNIT:
                unit = tag.code
    return provider, unit


def care_until(resource: Any, days_after: int) -> datetime | None:
    """Until when the resource shows a care relation: while open, and some days after a visit or the end it names.

    What was never closed ends with the time it names: a booking of last year shows no relation.
    """
    statuses = IN_CARE.get(type(resource).__name__)
    if statuses is None:
        return None
    if resource.status in statuses:
        end = _end(resource)
        return bounds(end)[1] + timedelta(days=days_after) if end is not None else END
    if type(resource).__name__ == "Encounter" and resource.status == "finished":
        period = resource.period
        if period is not None and period.end is not None:
            return bounds(period.end)[1] + timedelta(days=days_after)
    return None


def _end(resource: Any) -> str | None:
    """The end an open booking, enrolment or team names; None for what goes on.

    A task that is overdue is still to be done, and who does it has to read the record: its deadline ends nothing.
    """
    name = type(resource).__name__
    if name == "Appointment":
        return resource.end or resource.start  # type: ignore[no-any-return]
    period = None
    if name in ("EpisodeOfCare", "CareTeam"):
        period = resource.period
    return period.end if period is not None else None


def stamp(resource: Any, id: str, version: int, updated: datetime) -> None:
    """Writes id, version and time into the resource, as the specification asks of a server."""
    meta = resource.meta
    if meta is None:
        meta = resource.meta = Meta()
    resource.id = id
    meta.versionId = str(version)
    meta.lastUpdated = _instant(updated)


@lru_cache(maxsize=256)
def _instant(at: datetime) -> str:
    """A time as `meta.lastUpdated` has it; a bulk load stamps thousands with the same."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def row_of(
    resource: Any,
    id: str,
    expected: int,
    updated: datetime,
    *,
    base: str = "",
    days_after: int = 30,
) -> Row:
    """The row of a decoded, checked resource; it is stamped and encoded here.

    `base` is this server's FHIR base with a trailing slash: absolute references to it are ours.
    `days_after` is how long a finished visit still shows a care relation (content/rules).
    """
    name = type(resource).__name__
    stamp(resource, id, expected + 1, updated)
    ix = index(resource, base)
    provider, unit = owner(resource)
    common = name in COMMON
    labels = None
    meta = resource.meta
    if meta.security is not None:
        labels = [coded(c.system, c.code)[1] for c in meta.security if c.code is not None] or None
    patients = [self_hash("Patient", p) for p in ix.patients or _access_as(resource)]
    return Row(
        name,
        id,
        expected,
        updated,
        encode(resource),
        self_hash(name, id),
        patients[0] if patients and not common else None,
        patients[1:] or None,
        None if common or name == "Patient" else provider,
        None if common or name == "Patient" else unit,
        labels,
        care_until(resource, days_after),
        ix,
    )


def _access_as(resource: Any) -> list[str]:
    """The patient whose record a Binary belongs to, by its securityContext (it has no other tie to one).

    Source: http://hl7.org/fhir/R4/binary-definitions.html#Binary.securityContext.
    """
    if type(resource).__name__ != "Binary" or resource.securityContext is None:
        return []
    kind, _sign, id = (resource.securityContext.reference or "").partition("/")
    return [id] if kind == "Patient" and id else []


def tombstone(type_name: str, id: str, expected: int, updated: datetime) -> Row:
    """The row of a deletion."""
    return Row(type_name, id, expected, updated, None, self_hash(type_name, id))
