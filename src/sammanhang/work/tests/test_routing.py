"""Where a care request goes: the cases of content, and that every kind and every way has one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from sammanhang.fhir.r4 import Address, Patient, Reference
from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.work import routing
from sammanhang.work.units import Unit, Units

TOLD = content("routing/requests.cases")
RULES = content("routing/requests")


def units(without: list[str]) -> Units:
    return Units(
        Unit(id, id, u["kind"], id, u.get("municipality", ""), "", u.get("active", True), u.get("replaced_by", ""), "")
        for id, u in TOLD["units"].items()
        if id not in without
    )  # fmt: skip


def patient(told: dict[str, Any]) -> Patient:
    places = [Address(district=told["old"], use="old")] if told.get("old") else []
    if told.get("municipality"):
        places.append(Address(district=told["municipality"]))
    listed = [Reference(reference=f"Organization/{u}") for u in told.get("listed", ())]
    return Patient(address=places or None, generalPractitioner=listed or None)


@pytest.mark.parametrize("case", TOLD["cases"], ids=lambda c: c["name"])
def test_it_goes_where_its_case_says(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"unit": "FORDELA", "function": "fordelning"}
    rules = {**RULES, "areas": TOLD["areas"], "reception": case.get("reception", {}), "substitutes": case.get("substitutes", []), "unrouted": own}  # fmt: skip
    monkeypatch.setattr(routing, "content", lambda name: rules)
    at = datetime.fromisoformat(f"{TOLD['at']}T12:00").replace(tzinfo=STOCKHOLM)
    expected, there = case["expect"], units(case.get("without", []))
    if "refused" in expected:
        with pytest.raises(Exception) as refused:
            routing.route(there, case["kind"], patient(case["patient"]), at, case.get("chosen", ""))
        assert type(refused.value).__name__ == expected["refused"]
        return
    to = routing.route(there, case["kind"], patient(case["patient"]), at, case.get("chosen", ""))
    assert (to.unit.id, to.function, to.why, to.routed) == tuple(expected[k] for k in ("unit", "function", "why", "routed"))  # fmt: skip
    assert (to.wanted.id if to.wanted is not None else None) == expected.get("wanted")


def test_every_kind_and_every_way_has_a_case() -> None:
    assert {c["kind"] for c in TOLD["cases"]} >= set(RULES["kinds"])
    assert {c["expect"].get("why") for c in TOLD["cases"]} >= {"home-municipality", "listed", "hospital-area", "chosen", "stands-in", "unrouted"}  # fmt: skip
