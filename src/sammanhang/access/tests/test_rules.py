"""R1, R2, R3, R4, R7 and R8 as the dossier's cases have them, and their page in the docs."""

from __future__ import annotations

import pytest

from sammanhang.access.actor import SYSTEM, Actor, Assignment
from sammanhang.access.reference import TARGET, markdown
from sammanhang.access.rules import Block, Facts, decide

REGION, MUNICIPALITY, PRIVATE = "SE2321000131-E1", "SE2120001561-E1", "SE5560000001-E1"
WARD, CLINIC, HOME_CARE = "SE2321000131-E2", "SE2321000131-E3", "SE2120001561-E2"


def nurse(unit: str, provider: str, *, loa: int = 3, role: str = "sjukskoterska") -> Actor:
    assignment = Assignment("a1", role, role, unit, unit, provider, provider)
    return Actor("staff", "Practitioner/1", loa=loa, assignment=assignment)


def facts(**more: object) -> Facts:
    given = {"exists": True, "sources": frozenset({(REGION, WARD), (REGION, CLINIC)}), **more}
    return Facts(**given)  # type: ignore[arg-type]


def test_r1_a_session_at_assurance_level_two_is_denied_everything() -> None:
    decision = decide(nurse(WARD, REGION, loa=2), facts(relation=True))
    assert (decision.effect, decision.rule) == ("deny", "R1")


def test_r1_staff_without_an_assignment_are_denied() -> None:
    decision = decide(Actor("staff", "Practitioner/1", loa=3), facts(relation=True))
    assert (decision.effect, decision.rule) == ("deny", "R1")


def test_r2_the_nurse_on_the_ward_reads_the_inpatient() -> None:
    decision = decide(nurse(WARD, REGION), facts(relation=True))
    assert (decision.effect, decision.rule) == ("permit", "R2")
    assert decision.owners == {REGION}


def test_r3_the_nurse_of_another_ward_needs_a_reason() -> None:
    decision = decide(nurse(CLINIC, REGION), facts())
    assert (decision.effect, decision.rule) == ("deny", "R3")
    assert "ask-reason" in decision.obligations and "consultation" in decision.reasons
    decision = decide(nurse(CLINIC, REGION), facts(declared="consultation"))
    assert (decision.effect, decision.rule) == ("permit", "R3")


def test_r3_an_unknown_reason_opens_nothing() -> None:
    assert decide(nurse(CLINIC, REGION), facts(declared="curiosity")).effect == "deny"


def test_r4_an_inner_block_hides_the_unit_and_tells_that_something_is_hidden() -> None:
    decision = decide(nurse(WARD, REGION), facts(relation=True, blocks=(Block("inner", CLINIC),)))
    assert decision.hidden_units == {CLINIC}
    assert [h.rule for h in decision.hidden] == ["R4"]


def test_r4_the_blocked_unit_sees_its_own() -> None:
    decision = decide(nurse(CLINIC, REGION), facts(relation=True, blocks=(Block("inner", CLINIC),)))
    assert decision.hidden_units == frozenset() and decision.hidden == ()


@pytest.mark.parametrize(
    ("missing", "more"),
    [
        ("relation", {"consented": frozenset({MUNICIPALITY})}),
        ("consent", {"relation": True}),
    ],
)
def test_r7_another_provider_sees_nothing_without(missing: str, more: dict[str, object]) -> None:
    decision = decide(nurse(HOME_CARE, MUNICIPALITY), facts(**more))
    assert REGION not in decision.owners
    if missing == "relation":
        assert (decision.effect, decision.rule) == ("deny", "R7")
    else:
        assert [h.rule for h in decision.hidden] == ["R20"]


def test_r7_with_relation_and_consent_the_other_providers_data_are_seen() -> None:
    decision = decide(
        nurse(HOME_CARE, MUNICIPALITY), facts(relation=True, consented=frozenset({MUNICIPALITY}))
    )
    assert decision.owners == {MUNICIPALITY, REGION}


def test_r8_an_outer_block_stands_against_consent() -> None:
    sources = frozenset({(REGION, WARD), (PRIVATE, PRIVATE)})
    decision = decide(
        nurse(HOME_CARE, MUNICIPALITY),
        facts(
            relation=True, sources=sources, consented=frozenset({MUNICIPALITY}),
            blocks=(Block("outer", PRIVATE),),
        ),
    )  # fmt: skip
    assert decision.owners == {MUNICIPALITY, REGION}
    assert [h.rule for h in decision.hidden] == ["R8"]
    assert PRIVATE not in decision.hidden[0].sv  # whose it is, is not told


@pytest.mark.parametrize(
    ("role", "rule"),
    [
        ("skolkurator", "R17"),
        ("rektor", "R17"),
        ("bistandshandlaggare", "R16"),
        ("loggranskare", "R2"),
    ],
)
def test_roles_outside_health_care_read_no_record(role: str, rule: str) -> None:
    decision = decide(nurse(WARD, REGION, role=role), facts(relation=True))
    assert (decision.effect, decision.rule) == ("deny", rule)


def test_an_absent_patient_is_refused_in_a_strangers_words() -> None:
    actor = nurse(HOME_CARE, MUNICIPALITY)
    assert decide(actor, Facts(exists=False)) == decide(actor, facts())


def test_the_system_sees_everything() -> None:
    assert decide(SYSTEM, facts()).everything


def test_the_page_of_rules_is_current() -> None:
    assert TARGET.read_text("utf-8") == markdown(), "run: python -m sammanhang.access.reference"
