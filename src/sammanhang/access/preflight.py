"""The preflight: what everybody will meet at their first log-in, and what looks wrong (M128).

Run before a unit starts, and whenever. It asks the same rules as the door (`rules.decide`) with the same
roles, so that what it says is what will be. What counts as a fault, in which words, and who can mend it is
content: `content/rules/preflight.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sammanhang.fhir.dates import END
from sammanhang.kernel.content import content

from .actor import Actor, Assignment
from .assurance import record_level
from .preflight_rows import AssignmentRow, OrganizationRow, PersonRow, Rows
from .rules import Facts, decide

Menu = Callable[[Actor], tuple[str, ...]]
"""What stands in the main menu of an actor; the shell knows."""
_DEEPEST = 30  # levels of an organisation; more is a circle


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know of a person: its code, and the assignment it is about (id, or empty)."""

    code: str
    about: str = ""

    @property
    def fault(self) -> bool:
        return bool(content("rules/preflight")["findings"][self.code]["fault"])

    def said(self, language: str) -> str:
        """The sentence, in `sv` or `en`."""
        return str(content("rules/preflight")["findings"][self.code][language])

    def mender(self, language: str) -> str:
        """Who can mend it."""
        rules = content("rules/preflight")
        return str(rules["menders"][rules["findings"][self.code]["mender"]][language])


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person meets in one assignment in force.

    start     "whole", or "limited": a start page without patients
    menu      the main menu
    patients  how many the unit has in its care now
    read, write  whether the role may, for those patients
    rule      the rule that lets them read, or refuses
    until     when the assignment ends; None for no end
    """

    assignment: Assignment
    start: str
    menu: tuple[str, ...]
    patients: int
    read: bool
    write: bool
    rule: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Person:
    """One line of the report: a member of staff, what they will see, and what is to be known."""

    id: str
    name: str
    hsa_id: str
    seen: tuple[Seen, ...]
    findings: tuple[Finding, ...]

    @property
    def faulty(self) -> bool:
        return any(f.fault for f in self.findings)

    @property
    def gets_in(self) -> bool:
        """Whether they can log in at all."""
        return bool(self.seen) and not any(
            f.code in ("person-inactive", "inactive", "person-missing") for f in self.findings
        )


@dataclass
class Sums:
    """The end of the report: how many people, how many get in, how many faults of each kind."""

    people: int = 0
    get_in: int = 0
    faulty: int = 0
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, person: Person) -> None:
        """Counts one person."""
        self.people += 1
        self.get_in += person.gets_in
        self.faulty += person.faulty
        self.findings.update(f.code for f in person.findings)

    def sentence(self, language: str) -> str:
        """The whole report in one plain sentence."""
        if language == "sv":
            if not self.people:
                return "Ingen personal hittades."
            rest = f"{self.faulty} har fel att rätta" if self.faulty else "inga fel hittades"
            return f"{self.get_in} av {self.people} kommer in; {rest}."
        if not self.people:
            return "No staff were found."
        rest = f"{self.faulty} have faults to mend" if self.faulty else "no faults were found"
        return f"{self.get_in} of {self.people} will get in; {rest}."


@dataclass
class Preflight:
    """One run over the rows of one moment; remembers what roles and units come to."""

    rows: Rows
    menu: Menu
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _rights: dict[tuple[str, str], tuple[bool, bool, str, tuple[str, ...]]] = field(
        default_factory=dict
    )
    _tops: dict[str, str | None] = field(default_factory=dict)

    def people(self) -> Iterator[Person]:
        """Everybody the rows hold, by id."""
        soon = self.now + timedelta(days=content("rules/preflight")["ends_within_days"])
        for row in self.rows.people():
            yield self._person(row, soon)

    def _person(self, row: PersonRow, soon: datetime) -> Person:
        findings = list(self._identity(row))
        in_force = [a for a in row.assignments if a.active and a.start <= self.now < a.end]
        seen = []
        for a in in_force:
            faults = list(self._assignment(a, soon))
            findings += faults
            if a.role and _unit(a) and a.provider_tag:
                seen.append(self._seen(a))
        if row.there:
            findings += self._standing(row, in_force, len(seen))
        hsa = row.hsa_ids[0] if row.hsa_ids else ""
        return Person(row.id, row.name or row.id, hsa, tuple(seen), tuple(findings))

    def _identity(self, row: PersonRow) -> Iterator[Finding]:
        if not row.there:
            yield Finding("person-missing", row.assignments[0].id)
            return
        if not row.hsa_ids and row.active:
            yield Finding("no-identifier")
        if len(row.hsa_ids) > 1:
            yield Finding("several-hsa-ids")
        if any(id in self.rows.shared for id in row.hsa_ids):
            yield Finding("duplicate-hsa-id")

    def _standing(
        self, row: PersonRow, in_force: list[AssignmentRow], usable: int
    ) -> Iterator[Finding]:
        if not row.active:
            yield Finding("person-inactive" if in_force else "inactive")
        elif not row.assignments:
            yield Finding("no-assignment")
        elif not in_force:
            later = any(a.active and a.start > self.now for a in row.assignments)
            yield Finding("not-begun" if later else "only-ended")
        elif usable > 1:
            yield Finding("several-assignments")

    def _assignment(self, a: AssignmentRow, soon: datetime) -> Iterator[Finding]:
        if a.end <= soon:
            yield Finding("ends-soon", a.id)
        roles = content("rules/roles")["roles"]
        if a.role is None:
            yield Finding("role-missing", a.id)
        elif a.role not in roles:
            yield Finding("role-unknown", a.id)
        elif not _gives_a_right(roles[a.role]):
            by_law = roles[a.role]["domain"] in ("school-support", "social")
            yield Finding("role-outside-care" if by_law else "role-without-rights", a.id)
        yield from self._unit(a)

    def _unit(self, a: AssignmentRow) -> Iterator[Finding]:
        unit = self.rows.organizations.get(_unit(a) or "")
        if unit is None:
            yield Finding("unit-missing", a.id)
            return
        if not unit.active:
            yield Finding("unit-inactive", a.id)
        if not unit.name.strip() or (unit.part_of is None and not unit.provider):
            yield Finding("unit-without-start-page", a.id)
        top = self._provider(unit)
        if top is None:
            yield Finding("unit-without-provider", a.id)
        if a.provider_tag is None:
            yield Finding("tags-missing", a.id)
        elif (top is not None and a.provider_tag != top) or a.unit_tag not in (None, unit.id):
            yield Finding("tags-disagree", a.id)

    def _provider(self, unit: OrganizationRow) -> str | None:
        """The nearest care provider upward in the tree; None when it ends without one, or goes round."""
        if unit.id not in self._tops:
            at: OrganizationRow | None = unit
            for _ in range(_DEEPEST):
                if at is None or at.provider:
                    break
                at = self.rows.organizations.get(at.part_of or "")
            self._tops[unit.id] = at.id if at is not None and at.provider else None
        return self._tops[unit.id]

    def _seen(self, a: AssignmentRow) -> Seen:
        assert a.role is not None and a.provider_tag is not None
        unit = _unit(a) or ""
        assignment = Assignment(
            id=a.id, role=a.role, role_text=_role_text(a.role), unit=unit, unit_name=self._name(unit),
            provider=a.provider_tag, provider_name=self._name(a.provider_tag),
        )  # fmt: skip
        read, write, rule, menu = self._right(assignment)
        return Seen(
            assignment, "whole" if read else "limited", menu, self.rows.in_care.get(unit, 0) if read else 0,
            read, write, rule, None if a.end >= END else a.end,
        )  # fmt: skip

    def _right(self, assignment: Assignment) -> tuple[bool, bool, str, tuple[str, ...]]:
        """What the rules say of a patient in the unit's care: the same for a role and a provider."""
        known = (assignment.role, assignment.provider)
        if known not in self._rights:
            staff = Actor("staff", "Practitioner/preflight")
            actor = Actor("staff", staff.id, loa=record_level(staff), assignment=assignment)
            decision = decide(actor, Facts(exists=True, relation=True))
            read = decision.effect == "permit"
            self._rights[known] = (read, decision.write, decision.rule, self.menu(actor))
        return self._rights[known]

    def _name(self, id: str) -> str:
        found = self.rows.organizations.get(id)
        return (found.name if found is not None else "") or id


def _unit(a: AssignmentRow) -> str | None:
    return a.organization or a.unit_tag


def _role_text(code: str) -> str:
    known: dict[str, Any] | None = content("rules/roles")["roles"].get(code)
    return str(known["sv"]) if known is not None else code


def _gives_a_right(role: dict[str, Any]) -> bool:
    """Whether a role may read, or do one of the things that are not care (review, lift, administer)."""
    beside = ("shared", "reviews", "lifts_blocks", "administers")
    return bool(role["read"] or role["write"] or any(role.get(right) for right in beside))
