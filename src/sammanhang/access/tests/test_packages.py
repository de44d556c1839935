"""Figure 3, cell by cell: 13 functions, four packages, and today's SAMSA as the baseline (M24)."""

from __future__ import annotations

import pytest

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.rules import Facts, decide, may_write
from sammanhang.fhir.r4 import CodeableConcept, Coding
from sammanhang.kernel.content import content, instead

RULES = content("rules/packages")
TOWN = "SE2120001561-E000000000100"  # a board of Borås
CELLS = [(f, c) for f in RULES["functions"] for c in RULES["columns"]]
PENDING = {f: row["pending"] for f, row in RULES["functions"].items() if "pending" in row}
# Figure 3 as it stands in the seed: x no, D partly, L may be read, v yes; the columns in order.
FIGURE = {
    "patientportal": "xvvvv", "journaldokumentation": "DLvvv", "icke-medicinsk-dokumentation": "DDvDD",
    "lakemedelslista": "xLvvv", "vardbegaran": "vvvvv", "sip": "vvvvv", "in-och-utskrivning": "vvvvv",
    "egenvard": "xvvvv", "halsoplaner": "xxvvv", "beslutsstod": "xvvvv", "verksamhetsplanering": "xxvvv",
    "preventivt-arbete": "xxvvv", "faktureringsunderlag": "DDDvv",
}  # fmt: skip
WORDS = {"x": "none", "D": "part", "L": "read", "v": "full"}


def chosen(package: str):
    return instead({"rules/packages": RULES | {"municipalities": {TOWN[2:12]: package}}})


def sample(written: str) -> object:
    """A resource of `CarePlan|sip` or `Observation`; only its type and category are looked at."""
    name, _, code = written.partition("|")
    category = [CodeableConcept(coding=[Coding(code=code)])] if code else None
    made: object = type(name, (), {"category": category, "status": "completed"})()
    return made


def test_the_data_are_figure_3() -> None:
    assert list(RULES["functions"]) == list(FIGURE) and len(CELLS) == 13 * 5
    for function, marks in FIGURE.items():
        levels = RULES["functions"][function]["levels"]
        assert [levels[c] for c in RULES["columns"]] == [WORDS[m] for m in marks], function


@pytest.mark.parametrize(("function", "package"), CELLS)
def test_a_cell_switches_what_it_says(function: str, package: str) -> None:
    """Writing where the cell says yes and not elsewhere; the portal shows the town's data or not."""
    row = RULES["functions"][function]
    if function in PENDING:
        pytest.skip(f"waits for: {PENDING[function]}")
    allowed = row["levels"][package] == "full"
    with chosen(package):
        if row.get("portal"):
            facts = Facts(
                exists=True, own=True, sources=frozenset({(TOWN, TOWN), ("SE2321000131-E1", "")})
            )
            shown = decide(Actor("resident", "Patient/1", loa=3), facts).owners
            assert shown == ({TOWN, "SE2321000131-E1"} if allowed else {"SE2321000131-E1"})
            return
        for written in row["writes"]:
            refused = may_write(TOWN, Facts(exists=True), sample(written))
            assert (refused is None) == allowed, (written, refused)
            if refused is not None:
                assert refused.rule == "M24" and row["sv"] in refused.sv and package in refused.sv


def test_every_function_is_switched_or_waits_by_name() -> None:
    for function, row in RULES["functions"].items():
        assert ("writes" in row or "portal" in row) != (function in PENDING), function
    assert set(PENDING) == {"icke-medicinsk-dokumentation", "beslutsstod"}


def test_a_municipality_without_a_package_has_no_log_in_to_records() -> None:
    nurse = Actor("staff", "Practitioner/1", loa=3, assignment=Assignment("a", "sjukskoterska", "", "u", "", TOWN, ""))  # fmt: skip
    facts = Facts(exists=True, relation=True, sources=frozenset({(TOWN, "u")}))
    with chosen("samsa"):
        decision = decide(nurse, facts)
        assert (decision.effect, decision.rule) == ("deny", "M24")
    assert decide(nurse, facts).effect == "permit"


def test_region_and_private_providers_have_every_function() -> None:
    for provider in ("SE2321000131-E1", "SE5560000001-E1"):
        assert may_write(provider, Facts(exists=True), sample("Appointment")) is None
