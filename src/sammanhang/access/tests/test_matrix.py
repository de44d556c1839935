"""Every combination of who, relation, reason, consent, block, emergency and age against a second reading of the law.

The second reading is the tables of outcomes in docs/reference/access-rules.md, row by row; the rules say it
decision by decision. Thousands of cells hold the two together.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import NamedTuple

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.rules import NOT_TO_GUARDIAN, NOT_TO_PATIENT, Block, Facts, decide

from .outcomes import Outcome, outcome

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
OWN, A, B = "SE-OWN", "SE-A", "SE-B"
HERE, THERE = "SE-OWN-1", "SE-OWN-2"
ROWS = ((OWN, HERE), (OWN, THERE), (A, "SE-A-1"), (B, "SE-B-1"))
BORN = {"adult": date(1950, 1, 1), "sixteen": date(2010, 1, 1), "thirteen": date(2013, 1, 1), "child": date(2020, 1, 1)}  # fmt: skip
HEALTH = ("lakare", "sjukskoterska", "skolskoterska", "medicinsk_sekreterare")


class Cell(NamedTuple):
    role: str
    loa: int
    relation: bool
    declared: str | None
    consent: bool
    incapable: bool
    age: str
    inner: bool  # THERE has an inner block
    outer: bool  # A has an outer block
    emergency: str  # nothing, declared, opened (A, B and THERE)
    lifted: bool  # the blocks of THERE and A are lifted


CELLS = [
    Cell(*values)  # type: ignore[arg-type]
    for values in itertools.product(
        (*HEALTH, "bistandshandlaggare", "skolkurator", "rektor", "loggranskare", "unheard-of"),
        (2, 3), (False, True), (None, "new-contact", "consultation"), (False, True), (False, True), BORN,
        (False, True), (False, True), ("nothing", "declared", "opened"), (False, True),
    )
]  # fmt: skip


def staff_of(role: str) -> str:
    return "health" if role in HEALTH else "assessor" if role == "bistandshandlaggare" else "other"


def says(c: Cell, provider: str, unit: str) -> Outcome:
    """What the table in the docs says of one row; the law read a second time, by row instead of by decision."""
    blocked = (c.inner and unit == THERE) or (c.outer and provider == A)
    return outcome(
        staff_of(c.role),
        "strong" if c.loa >= 3 else "weak",
        "relation" if c.relation else {"new-contact": "reason", "consultation": "task"}.get(c.declared or "", "none"),
        "other provider" if provider != OWN else "own unit" if unit == HERE else "other unit",
        "none" if not blocked else "lifted" if c.lifted else "blocked",
        "none" if c.emergency == "nothing" else c.emergency,
        "consent" if c.consent else "exception" if c.age == "child" or c.incapable else "none",
        "adult" if c.age == "adult" else "minor",
    )  # fmt: skip


def may_see(c: Cell, provider: str, unit: str) -> bool:
    return says(c, provider, unit).said == "shown"


def decision_of(c: Cell):
    assignment = Assignment("a", c.role, c.role, HERE, HERE, OWN, OWN)
    facts = Facts(
        exists=True,
        sources=frozenset(ROWS),
        relation=c.relation,
        declared=c.declared,
        consented=frozenset({OWN}) if c.consent else frozenset(),
        incapable=c.incapable,
        born=BORN[c.age],
        at=NOW,
        blocks=(
            *((Block("inner", THERE),) if c.inner else ()),
            *((Block("outer", A),) if c.outer else ()),
        ),
        danger=c.emergency != "nothing",
        emergency=frozenset({A, B, THERE}) if c.emergency == "opened" else frozenset(),
        lifted=frozenset({A, THERE}) if c.lifted else frozenset(),
    )
    return decide(Actor("staff", "Practitioner/1", loa=c.loa, assignment=assignment), facts)


def test_the_rules_and_the_second_reading_agree_in_every_cell() -> None:
    assert len(CELLS) > 20_000
    wrong = []
    for c in CELLS:
        decision = decision_of(c)
        for provider, unit in ROWS:
            shown = (
                decision.effect == "permit"
                and provider in decision.owners
                and unit not in decision.hidden_units
            )
            said = says(c, provider, unit)
            refused = decision.effect == "deny"
            if (
                shown != (said.said == "shown")
                or refused != (said.said == "refused")
                or (refused and decision.rule not in said.rules)
            ):
                wrong.append((c, provider, unit, decision.rule))
    assert wrong == [], f"{len(wrong)} of {len(CELLS) * len(ROWS)}"


def test_what_is_hidden_is_told_and_never_whose_before_danger_is_declared() -> None:
    for c in CELLS:
        decision = decision_of(c)
        if decision.effect == "deny":
            assert decision.hidden == () and decision.sv and decision.en and decision.rule
            assert not decision.owners
            continue
        hidden = [row for row in ROWS if not may_see(c, *row)]
        assert bool(decision.hidden) == bool(hidden), c
        for h in decision.hidden:
            assert bool(h.parties) == (c.emergency != "nothing"), c
            assert h.parties <= {p for row in hidden for p in row}, c
            for party in (A, B, THERE):
                assert party not in h.sv and party not in h.en


def test_nobody_writes_who_may_not_read() -> None:
    for c in CELLS:
        decision = decision_of(c)
        assert not (decision.effect == "deny" and decision.write)
        assert not (c.role == "bistandshandlaggare" and decision.write)


RESIDENT_ROWS = ("any", "not to patient", "not to guardian")
AGES = {"under 13": date(2014, 6, 16), "13-15": date(2013, 6, 15), "16-17": date(2010, 6, 15), "adult": date(2008, 6, 15)}  # fmt: skip
RESIDENTS = [
    (who, loa, age, decided)
    for who in ("self", "guardian", "stranger")
    for loa in (2, 3)
    for age in AGES
    for decided in ("none", "own access", "extended")
]


def test_the_rules_and_the_second_reading_agree_for_residents() -> None:
    labels = {"not to patient": NOT_TO_PATIENT, "not to guardian": NOT_TO_GUARDIAN}
    for who, loa, age, decided in RESIDENTS:
        facts = Facts(
            exists=True, sources=frozenset(ROWS), born=AGES[age], at=NOW, own=who == "self",
            guardian=who == "guardian", own_access=decided == "own access",
            extended=date(2026, 12, 1) if decided == "extended" else None,
        )  # fmt: skip
        decision = decide(Actor("resident", "Patient/1", loa=loa), facts)
        for row in RESIDENT_ROWS:
            said = outcome(who, "strong" if loa >= 3 else "weak", age, decided, row)
            refused = decision.effect == "deny"
            shown = not refused and labels.get(row) not in decision.hidden_labels
            assert (said.said == "shown", said.said == "refused") == (shown, refused), (who, loa, age, decided, row, decision.rule)  # fmt: skip
            if refused:
                assert decision.rule in said.rules, (who, loa, age, decided)
