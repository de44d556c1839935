"""The care organisation as work needs it: what a unit is, whose it is, where, and what has taken its place.

Some thousand units, kept by each process and read again each minute, for a unit closes or is merged while care
goes on. This is data about the organisation, nobody's record: it is read without a door.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sammanhang.fhir.decode import trusted
from sammanhang.kernel.content import content
from sammanhang.kernel.working_time import Calendar, calendar
from sammanhang.store.database import EVERYTHING, Database
from sammanhang.store.types import NUMBER

from .sql import SQL

SECONDS = 60
UNIT_KIND = "http://sammanhang.se/fhir/CodeSystem/organisation-type"
REPLACED_BY = "http://sammanhang.se/fhir/StructureDefinition/organization-replaced-by"


@dataclass(frozen=True, slots=True)
class Unit:
    """One organisation of any level.

    id            HSA-id
    kind          `home-care`, `health-centre`, `board` …: a code of UNIT_KIND
    provider      HSA-id of the legal care provider it is part of
    municipality  name of the municipality it belongs to (`Borås`); empty for the region's
    phone         for people who have to call
    active        False when it is closed
    replaced_by   HSA-id of the unit it was merged into; empty
    endpoint      reference to the Endpoint of its own system; empty when it works here
    """

    id: str
    name: str
    kind: str
    provider: str
    municipality: str
    phone: str
    active: bool
    replaced_by: str
    endpoint: str

    @property
    def calendar(self) -> Calendar:
        """When the unit works: its own, its kind's, or the common one (content/routing/calendars)."""
        rules = content("routing/calendars")
        name = (
            rules["of_unit"].get(self.id) or rules["of_kind"].get(self.kind) or rules["otherwise"]
        )
        return calendar(name)


class Units:
    """Every unit by id, and by kind and place."""

    def __init__(self, found: Iterable[Unit] = ()) -> None:
        self.by_id = {u.id: u for u in found}
        self._placed: dict[tuple[str, str], list[Unit]] = {}
        for u in sorted(self.by_id.values(), key=lambda u: u.id):
            if u.active:
                self._placed.setdefault((u.kind, u.municipality), []).append(u)

    def get(self, id: str) -> Unit | None:
        return self.by_id.get(id)

    def name(self, id: str) -> str:
        """The name of a unit; its HSA-id when it is not known."""
        found = self.by_id.get(id)
        return found.name if found is not None else id

    def placed(self, kind: str, municipality: str) -> list[Unit]:
        """The open units of a kind in a municipality, by HSA-id."""
        return self._placed.get((kind, municipality), [])

    def living(self, id: str) -> Unit | None:
        """The unit, or what has taken its place, however often; None when nothing has."""
        seen: set[str] = set()
        unit = self.by_id.get(id)
        while unit is not None and (not unit.active or unit.replaced_by):
            if unit.id in seen or not unit.replaced_by:
                return None
            seen.add(unit.id)
            unit = self.by_id.get(unit.replaced_by)
        return unit


_known: dict[int, tuple[float, Units]] = {}


async def units_of(database: Database, *, fresh: bool = False) -> Units:
    """The organisation; at most a minute old unless `fresh`. One query when it is read."""
    read, found = _known.get(id(database), (0.0, None))
    if found is not None and not fresh and time.monotonic() - read < SECONDS:
        return found
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        rows = await connection.fetch(SQL["organizations"], (NUMBER["Organization"],))
    made = units_from([trusted(body, "Organization") for (body,) in rows])
    _known[id(database)] = (time.monotonic(), made)
    return made


def units_from(organizations: Iterable[Any]) -> Units:
    """The organisation from its Organization resources."""
    by_id = {o.id: o for o in organizations}
    return Units(_unit(o, by_id) for o in by_id.values())


def _unit(o: Any, by_id: dict[str, Any]) -> Unit:
    kinds = _kinds(o)
    replaced = next(
        (e.valueReference.reference or "" for e in o.extension or () if e.url == REPLACED_BY), ""
    )
    return Unit(
        id=o.id,
        name=o.name or o.id,
        kind=kinds[0] if kinds else "",
        provider=_provider(o, by_id),
        municipality=next((a.district for a in o.address or () if a.district), ""),
        phone=next((t.value for t in o.telecom or () if t.system == "phone" and t.value), ""),
        active=o.active is not False,
        replaced_by=replaced.removeprefix("Organization/"),
        endpoint=next((e.reference for e in o.endpoint or () if e.reference), ""),
    )  # fmt: skip


def _kinds(o: Any) -> list[str]:
    return [c.code for concept in o.type or () for c in concept.coding or () if c.system == UNIT_KIND and c.code]  # fmt: skip


def _provider(o: Any, by_id: dict[str, Any]) -> str:
    """The nearest organisation at or above it that is a care provider; itself when none says so."""
    at, seen = o, set()
    while at is not None and at.id not in seen:
        if "provider" in _kinds(at):
            return str(at.id)
        seen.add(at.id)
        parent = (at.partOf.reference or "") if at.partOf is not None else ""
        at = by_id.get(parent.removeprefix("Organization/"))
    return str(o.id)
