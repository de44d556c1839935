"""R1, R2, R3, R4, R7 and R8 as the dossier's cases have them, and their page in the docs."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sammanhang.access.actor import SYSTEM, Actor, Assignment
from sammanhang.access.reference import TARGET, markdown
from sammanhang.access.rules import (
    NOT_TO_GUARDIAN,
    NOT_TO_PATIENT,
    Block,
    Facts,
    decide,
    may_block,
    years,
)
from sammanhang.kernel.content import content

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


@pytest.mark.asvs("v5.0.0-8.1.1")
def test_the_page_of_rules_is_current() -> None:
    assert TARGET.read_text("utf-8") == markdown(), "run: python -m sammanhang.access.reference"


# emergency, lifted blocks, children and guardians

HOME = nurse(HOME_CARE, MUNICIPALITY)


def test_r9_danger_declared_tells_who_has_data_and_shows_nothing_yet() -> None:
    before = decide(HOME, facts(relation=True))
    assert [(h.rule, h.parties) for h in before.hidden] == [("R20", frozenset())]
    assert "may-declare" in before.obligations
    declared = decide(HOME, facts(relation=True, danger=True))
    assert [(h.rule, h.parties) for h in declared.hidden] == [("R9", {REGION})]
    assert declared.owners == {MUNICIPALITY}


def test_r9_what_is_opened_in_the_emergency_is_seen_and_no_more() -> None:
    sources = frozenset({(REGION, WARD), (PRIVATE, PRIVATE)})
    decision = decide(
        HOME, facts(relation=True, sources=sources, danger=True, emergency=frozenset({REGION}))
    )
    assert (decision.rule, decision.owners) == ("R9", {MUNICIPALITY, REGION})
    assert [h.parties for h in decision.hidden] == [{PRIVATE}]
    assert "emergency" in decision.obligations


def test_r10_another_providers_block_stands_in_an_emergency_and_its_owner_is_told_of() -> None:
    blocks = (Block("outer", REGION),)
    plain = decide(HOME, facts(relation=True, blocks=blocks))
    assert [(h.rule, h.parties) for h in plain.hidden] == [("R8", frozenset())]
    opened = decide(
        HOME, facts(relation=True, blocks=blocks, danger=True, emergency=frozenset({REGION}))
    )
    assert opened.owners == {MUNICIPALITY}
    assert [(h.rule, h.parties) for h in opened.hidden] == [("R10", {REGION})]


def test_r11_the_owner_lifts_and_the_emergency_or_consent_opens() -> None:
    blocks = (Block("outer", REGION),)
    given = {"relation": True, "blocks": blocks, "lifted": frozenset({REGION})}
    assert REGION in decide(HOME, facts(danger=True, emergency=frozenset({REGION}), **given)).owners
    assert REGION in decide(HOME, facts(consented=frozenset({MUNICIPALITY}), **given)).owners
    assert REGION not in decide(HOME, facts(**given)).owners


def test_r5_and_r6_an_inner_block_lifted_or_opened_in_an_emergency() -> None:
    blocks = (Block("inner", CLINIC),)
    for more in ({"lifted": frozenset({CLINIC})}, {"danger": True, "emergency": frozenset({CLINIC})}):  # fmt: skip
        decision = decide(nurse(WARD, REGION), facts(relation=True, blocks=blocks, **more))
        assert decision.hidden_units == frozenset() and decision.hidden == (), more
    declared = decide(nurse(WARD, REGION), facts(relation=True, blocks=blocks, danger=True))
    assert declared.hidden_units == {CLINIC}
    assert [(h.rule, h.parties) for h in declared.hidden] == [("R6", {CLINIC})]


def test_a_secretary_may_not_declare_danger() -> None:
    secretary = nurse(HOME_CARE, MUNICIPALITY, role="medicinsk_sekreterare")
    assert "may-declare" not in decide(secretary, facts(relation=True)).obligations


NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def child(born: str, **more: object) -> Facts:
    return facts(at=NOW, born=date.fromisoformat(born), **more)


def test_r14_a_child_who_cannot_consent_needs_not() -> None:
    assert REGION in decide(HOME, child("2022-01-01", relation=True)).owners
    assert REGION not in decide(HOME, child("2013-06-15", relation=True)).owners
    assert REGION not in decide(HOME, child("2022-01-01")).owners
    blocked = child("2022-01-01", relation=True, blocks=(Block("outer", REGION),))
    assert REGION not in decide(HOME, blocked).owners


def test_r15_social_services_have_no_such_exception() -> None:
    officer = nurse(HOME_CARE, MUNICIPALITY, role="bistandshandlaggare")
    assert decide(officer, child("2022-01-01", relation=True)).effect == "deny"
    assert decide(officer, child("1940-01-01", relation=True, incapable=True)).effect == "deny"


def test_svod_3_3_a_lasting_inability_that_is_assessed_stands_for_consent() -> None:
    assert REGION in decide(HOME, child("1940-01-01", relation=True, incapable=True)).owners


@pytest.mark.parametrize(
    ("role", "more", "effect"),
    [
        ("bistandshandlaggare", {"relation": True, "consented": frozenset({MUNICIPALITY})}, "permit"),
        ("bistandshandlaggare", {"relation": True}, "deny"),
        ("bistandshandlaggare", {"consented": frozenset({MUNICIPALITY})}, "deny"),
        # individual and family care (IFO) never, whatever the person has consented to
        ("socialsekreterare", {"relation": True, "consented": frozenset({MUNICIPALITY})}, "deny"),
        ("ifo-handlaggare", {"relation": True, "consented": frozenset({MUNICIPALITY})}, "deny"),
        ("skolkurator", {"relation": True, "consented": frozenset({MUNICIPALITY})}, "deny"),
    ],
)  # fmt: skip
def test_r16_and_r17_who_outside_health_care_reads(
    role: str, more: dict[str, object], effect: str
) -> None:
    decision = decide(nurse(HOME_CARE, MUNICIPALITY, role=role), child("1940-01-01", **more))
    assert decision.effect == effect
    assert not decision.write
    minor = decide(nurse(HOME_CARE, MUNICIPALITY, role=role), child("2010-01-01", **more))
    assert minor.effect == "deny"


def test_r19_boards_of_a_municipality_share_only_when_it_has_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    school = "SE2120001561-E9"
    given = facts(relation=True, sources=frozenset({(school, school)}))
    assert decide(HOME, given).owners == {MUNICIPALITY}
    monkeypatch.setitem(content("rules/shared_boards"), "shared", [[MUNICIPALITY, school]])
    assert decide(HOME, given).owners == {MUNICIPALITY, school}


RESIDENT = Actor("resident", "Patient/me", loa=3)


@pytest.mark.parametrize(
    ("rule", "born", "more", "effect"),
    [
        # NOW is 15 June 2026
        ("R23", "2013-06-16", {"guardian": True}, "permit"),  # 12 years, 364 days
        ("R23", "2013-06-15", {"guardian": True}, "deny"),  # 13 years, 0 days
        ("R24", "2012-01-01", {"guardian": True, "extended": date(2027, 1, 1)}, "permit"),
        ("R23", "2012-01-01", {"guardian": True, "extended": date(2026, 6, 15)}, "deny"),
        ("R24", "2010-06-16", {"guardian": True, "extended": date(2030, 1, 1)}, "permit"),
        ("R26", "2010-06-15", {"guardian": True, "extended": date(2030, 1, 1)}, "deny"),  # 16
        ("R22", "2020-01-01", {}, "deny"),  # no custody, or lost it (R28)
        ("R25", "2012-01-01", {"own": True}, "deny"),
        ("R25", "2012-01-01", {"own": True, "own_access": True}, "permit"),
        ("R25", "2016-01-01", {"own": True, "own_access": True}, "deny"),
        ("R26", "2010-06-15", {"own": True}, "permit"),
        ("R22", "1937-11-04", {"own": True}, "permit"),
    ],
)  # fmt: skip
def test_residents_and_guardians_by_age(
    rule: str, born: str, more: dict[str, object], effect: str
) -> None:
    decision = decide(RESIDENT, child(born, **more))
    assert (decision.effect, decision.rule) == (effect, rule)
    assert decision.write is False
    if effect == "deny":
        assert decision.sv and decision.en


def test_r22_and_r27_what_is_kept_from_whom() -> None:
    own = decide(RESIDENT, child("1937-11-04", own=True))
    assert own.hidden_labels == {NOT_TO_PATIENT}
    guardian = decide(RESIDENT, child("2020-01-01", guardian=True))
    assert guardian.hidden_labels == {NOT_TO_PATIENT, NOT_TO_GUARDIAN}


def test_r12_and_r13_who_may_block() -> None:
    guardian = may_block(RESIDENT, child("2020-01-01", guardian=True))
    assert (guardian.effect, guardian.rule) == ("deny", "R12")
    young = child("2012-01-01", own=True)
    assert may_block(RESIDENT, young).effect == "deny"
    assert may_block(RESIDENT, child("2012-01-01", own=True, mature=True)).effect == "permit"
    assert may_block(RESIDENT, child("1990-01-01", own=True)).effect == "permit"


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        ("2012-02-29", date(2025, 2, 28), 12),
        ("2012-02-29", date(2025, 3, 1), 13),
        ("2012-06-15", date(2025, 6, 14), 12),
        ("2012-06-15", date(2025, 6, 15), 13),
    ],
)
def test_a_year_older_on_the_day(born: str, on: date, age: int) -> None:
    assert years(date.fromisoformat(born), on) == age
