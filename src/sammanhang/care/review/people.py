"""Names for what the trace knows by id: staff, their roles, patients, units. Four queries for a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sammanhang.access.facts import is_protected
from sammanhang.access.review.cases import Case
from sammanhang.access.review.known import role_of
from sammanhang.access.staff import resources, shown_name
from sammanhang.kernel.content import content
from sammanhang.web.people import Person, person_of
from sammanhang.web.routing import Visit

from . import words


@dataclass(frozen=True, slots=True)
class Names:
    """Names of staff by `Practitioner/…`, roles by assignment, patients by id, organisations by HSA-id."""

    staff: dict[str, str]
    roles: dict[str, str]
    patients: dict[str, Person]
    units: dict[str, str]

    def who(self, actor: str) -> str:
        """A name; of a program what it calls itself."""
        return self.staff.get(actor) or actor.removeprefix("client:").removeprefix("Practitioner/")

    def role(self, assignment: str | None) -> str:
        return self.roles.get(assignment or "", "")

    def unit(self, id: str | None) -> str:
        return self.units.get(id or "", id or "")


async def names_of(
    visit: Visit,
    cases: Iterable[Case],
    *,
    parties: Iterable[str] = (),
    patients: Iterable[str] = (),
) -> Names:
    """Names of everybody and everything in these cases; patients masked when their identity is protected."""
    doors = visit.services.doors
    cases = list(cases)
    practitioners = {
        c.actor.removeprefix("Practitioner/") for c in cases if c.actor.startswith("Practitioner/")
    }
    staff = await resources(doors.database, "Practitioner", practitioners)
    roles = await resources(
        doors.database, "PractitionerRole", {c.assignment for c in cases if c.assignment}
    )
    ids = {c.patient for c in cases if c.patient} | set(patients)
    people = await resources(doors.database, "Patient", ids)
    units = sorted({c.unit for c in cases} | {c.provider for c in cases} | set(parties) - {""})
    return Names(
        {f"Practitioner/{id}": shown_name(p) for id, p in staff.items()},
        {id: _role(role) for id, role in roles.items()},
        {id: person_of(p, is_protected(p)) for id, p in people.items()},
        await doors.names(units) if units else {},
    )


def _role(role: Any) -> str:
    return words.said(content("rules/roles")["roles"], role_of(role))
