"""Every combination of who, relation, reason, consent, block, emergency and age against a second reading of the law.

`may_see` below says in one place, row by row, what the dossier's table says; the rules say it decision by
decision. Thousands of cells hold the two together.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import NamedTuple

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.rules import Block, Facts, decide

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


def may_see(c: Cell, provider: str, unit: str) -> bool:
    """What the dossier says of one row; the law read a second time, by row instead of by decision."""
    if c.loa < 3:
        return False  # R1
    social = c.role == "bistandshandlaggare"
    if social:
        if not (c.relation and c.consent and c.age == "adult"):
            return False  # R16
    elif c.role not in HEALTH:
        return False  # R17, roles without rights
    elif not (c.relation or c.declared):
        return False  # R3
    opened = c.emergency == "opened"
    if provider == OWN:
        blocked = c.inner and unit == THERE and not c.lifted
        return not blocked or opened  # R4, R5, R6
    if c.outer and provider == A and not c.lifted:
        return False  # R8, R10: no emergency opens it
    together = c.relation or c.declared == "new-contact"
    agreed = c.consent or (not social and (c.age == "child" or c.incapable))  # R7, R14, R15
    return (together and agreed) or opened  # R9


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
            if shown != may_see(c, provider, unit):
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
