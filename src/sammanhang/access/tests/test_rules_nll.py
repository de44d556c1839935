"""R30: the national medication list, as the dossier's five cases have it (lag 2018:1212 5 kap. 3–5 §§)."""

from __future__ import annotations

import pytest

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.rules import Facts, decide
from sammanhang.kernel.content import content

OWN, WARD = "SE2321000131-E1", "SE2321000131-E2"
NLL = content("rules/nll")["party"]


def somebody(role: str) -> Actor:
    return Actor("staff", "Practitioner/1", loa=3, assignment=Assignment("a", role, role, WARD, WARD, OWN, OWN))  # fmt: skip


def seen(role: str, **more: object) -> tuple[bool, list[str]]:
    """Whether the list is shown, and the sentences told instead."""
    facts = Facts(exists=True, sources=frozenset({(OWN, WARD), (NLL, NLL)}), relation=True, **more)  # type: ignore[arg-type]
    decision = decide(somebody(role), facts)
    return NLL in decision.owners, [h.en for h in decision.hidden if h.rule == "R30"]


@pytest.mark.parametrize("role", ["lakare", "sjukskoterska", "dietist"])
def test_r30_with_consent_prescriber_nurse_and_dietitian_read_the_list(role: str) -> None:
    assert seen(role) == (
        False,
        ["The national medication list has data. The patient's consent is needed to read them."],
    )
    assert seen(role, nll=frozenset({"consent"})) == (True, [])


@pytest.mark.parametrize("role", ["fysioterapeut", "medicinsk_sekreterare"])
def test_r30_other_roles_do_not_with_consent_either(role: str) -> None:
    assert seen(role, nll=frozenset({"consent", "dose"})) == (False, [])


def test_r30_a_dose_dispensed_patients_list_needs_no_consent() -> None:
    assert seen("sjukskoterska", nll=frozenset({"dose"})) == (True, [])


def test_r30_a_block_stands_against_consent_and_a_prescriber_is_told_of_narcotics() -> None:
    said = frozenset({"consent", "dose", "block"})
    shown, told = seen("lakare", nll=said, narcotics=True)
    assert not shown and len(told) == 2 and "Narcotics" in told[1] and "24 months" in told[1]
    assert len(seen("lakare", nll=said)[1]) == 1
    assert len(seen("sjukskoterska", nll=said, narcotics=True)[1]) == 1


def test_r30_in_an_emergency_the_list_opens_blocked_too() -> None:
    blocked = {"nll": frozenset({"block"}), "danger": True}
    assert seen("lakare", **blocked)[0] is False
    assert seen("lakare", **blocked, emergency=frozenset({NLL})) == (True, [])


def test_r30_consent_to_the_list_opens_no_other_provider_and_the_reverse() -> None:
    other = "SE2120001561-E1"
    sources = frozenset({(OWN, WARD), (NLL, NLL), (other, other)})
    facts = Facts(exists=True, sources=sources, relation=True, nll=frozenset({"consent"}))
    assert decide(somebody("lakare"), facts).owners == {OWN, NLL}
    facts = Facts(exists=True, sources=sources, relation=True, consented=frozenset({OWN}))
    assert decide(somebody("lakare"), facts).owners == {OWN, other}
