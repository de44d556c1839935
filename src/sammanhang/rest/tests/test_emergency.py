"""Emergency access, lifted blocks, and guardians: what the law opens, for whom, and for how long."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from sammanhang.access import emergency
from sammanhang.access.actor import Actor
from sammanhang.access.facts import CONSENT_KIND
from sammanhang.access.review import cases
from sammanhang.access.review.cases import Outcome
from sammanhang.access.review.finding import find
from sammanhang.access.rules import DISCLOSURE
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused

from .api import (
    ACTORS,
    CLINIC,
    HOME_CARE,
    HOSPITAL,
    REGION,
    TOWN,
    TOWN_OTHER,
    Api,
    _assigned,
    audit_entries,
    observation,
    owned,
    patient,
)  # fmt: skip
from .test_access import consent, visit

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

CHIEF = Actor(
    "staff", "Practitioner/chief", "C", 3, _assigned("role-chief", HOSPITAL, REGION, "chefslakare")
)
SAID = {"danger": "life", "unable": "unconscious", "said": "Hittad medvetslös hemma"}


def _seen(id: str, who: str, provider: str, unit: str, **more: Any) -> dict[str, Any]:
    made = owned(observation(id, f"Patient/{who}", "em", **more), provider, unit)
    made["meta"] |= more.get("meta", {})
    return made


@pytest_asyncio.fixture
async def here(fresh: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Elsa: in the town's home care, with data at the region and at another unit of the town, which she blocked."""
    elsa = {"reference": "Patient/elsa"}
    other = _assigned("role-p", HOME_CARE, TOWN)
    monkeypatch.setitem(ACTORS, "colleague", Actor("staff", "Practitioner/p", "P", 3, other))
    await fresh.store(
        *({"resourceType": "Organization", "id": i, "name": i} for i in (REGION, TOWN, HOSPITAL, CLINIC, HOME_CARE, TOWN_OTHER)),
        patient("elsa", "Em"), visit("v", elsa, TOWN, HOME_CARE),
        _seen("t", "elsa", TOWN, HOME_CARE), _seen("t-blocked", "elsa", TOWN, TOWN_OTHER),
        _seen("r", "elsa", REGION, HOSPITAL), consent("inner", elsa, "inre-sparr", TOWN_OTHER),
    )  # fmt: skip
    return fresh


async def seen(api: Api, who: str = "nurse") -> list[str]:
    return await api.as_(who).search("Observation?patient=elsa&code=em")


async def test_two_steps_open_what_is_indispensable_for_who_declared_it(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    assert await seen(here) == ["t"]
    with pytest.raises(Refused) as refused:
        await emergency.open_parties(doors, nurse, "elsa", [REGION])
    assert refused.value.rule == "R6"

    await emergency.declare(doors, nurse, "elsa", **SAID)
    record = await doors.open_record(nurse, "elsa")
    assert {h.rule: h.parties for h in record.decision.hidden} == {
        "R6": {TOWN_OTHER},
        "R9": {REGION},
    }
    assert await seen(here) == ["t"], "a declaration alone shows nothing"

    await emergency.open_parties(doors, nurse, "elsa", [REGION])
    assert await seen(here) == ["r", "t"]
    await emergency.open_parties(doors, nurse, "elsa", [TOWN_OTHER])
    assert await seen(here) == ["r", "t", "t-blocked"]
    assert await seen(here, "colleague") == ["t"]
    now = await emergency.in_force(doors, nurse, "elsa")
    assert now is not None and set(now.parties) == {REGION, TOWN_OTHER}

    traced = [e for e in audit_entries(doors.database.dsn) if e["action"] == "emergency"]
    assert [e["details"]["step"] for e in traced] == [1, 2, 2]
    assert {e["patient"] for e in traced} == {"elsa"}
    assert [e["rule"] for e in traced] == ["R9", "R9", "R6"]

    await emergency.end(doors, nurse, "elsa")
    assert await seen(here) == ["t"]
    assert await emergency.in_force(doors, nurse, "elsa") is None


async def test_an_emergency_runs_out(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    await emergency.declare(doors, nurse, "elsa", **SAID)
    await emergency.open_parties(doors, nurse, "elsa", [REGION])
    with psycopg.connect(doors.database.dsn) as connection:
        connection.execute("UPDATE access.emergency SET until = now() - interval '1 second'")
    assert await seen(here) == ["t"]


async def test_another_providers_block_is_lifted_by_its_owner_only(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    await here.store(consent("outer", {"reference": "Patient/elsa"}, "yttre-sparr", REGION))
    with pytest.raises(Refused) as refused:
        await emergency.ask_owner(doors, nurse, "elsa", REGION, "Behövs")
    assert refused.value.rule == "R10"
    await emergency.declare(doors, nurse, "elsa", **SAID)
    with pytest.raises(Refused) as refused:
        await emergency.open_parties(doors, nurse, "elsa", [REGION])
    assert refused.value.rule == "R10"
    for _ in range(2):
        await emergency.ask_owner(doors, nurse, "elsa", REGION, "Behövs för läkemedel")
    with pytest.raises(Refused):
        await emergency.requests(doors, nurse)
    (asked,) = await emergency.requests(doors, CHIEF)
    assert (asked.patient, asked.for_party, asked.said) == ("elsa", TOWN, "Behövs för läkemedel")
    with pytest.raises(Refused):
        await emergency.answer(doors, nurse, asked.id, lift=True, said="x")
    assert await seen(here) == ["t"]
    await emergency.answer(doors, CHIEF, asked.id, lift=True, said="Fara för livet")
    assert await emergency.requests(doors, CHIEF) == []
    assert await seen(here) == ["t"], "the block is lifted; consent is still missing"
    await emergency.open_parties(doors, nurse, "elsa", [REGION])
    assert await seen(here) == ["r", "t"]
    with pytest.raises(Refused):
        await emergency.answer(doors, CHIEF, asked.id, lift=True, said="igen")
    actions = [e["action"] for e in audit_entries(doors.database.dsn)]
    assert actions.count("lift-request") == 2 and actions.count("lift") == 1


async def test_who_is_declined_sees_nothing(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    await here.store(consent("outer", {"reference": "Patient/elsa"}, "yttre-sparr", REGION))
    await emergency.declare(doors, nurse, "elsa", **SAID)
    await emergency.ask_owner(doors, nurse, "elsa", REGION, "Behövs")
    (asked,) = await emergency.requests(doors, CHIEF)
    await emergency.answer(doors, CHIEF, asked.id, lift=False, said="Gäller något annat")
    with pytest.raises(Refused):
        await emergency.open_parties(doors, nurse, "elsa", [REGION])
    assert await seen(here) == ["t"]


async def test_r5_an_officer_lifts_an_inner_block_with_consent(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    boss = Actor("staff", "Practitioner/b", "B", 3, _assigned("role-b", TOWN_OTHER, TOWN, "verksamhetschef"))  # fmt: skip
    given: dict[str, Any] = {"hours": 24, "said": "Elsa samtyckte i dag"}
    with pytest.raises(Refused) as refused:
        await emergency.lift_inner(doors, nurse, "elsa", TOWN_OTHER, HOME_CARE, **given)
    assert refused.value.rule == "R5"
    with pytest.raises(Refused):
        await emergency.lift_inner(doors, CHIEF, "elsa", TOWN_OTHER, HOME_CARE, **given)
    with pytest.raises(Invalid):
        await emergency.lift_inner(doors, boss, "elsa", TOWN_OTHER, HOME_CARE, hours=0, said="x")
    await emergency.lift_inner(doors, boss, "elsa", TOWN_OTHER, HOME_CARE, **given)
    assert await seen(here) == ["t", "t-blocked"]


@pytest.mark.parametrize(
    "wrong", [{"danger": "curiosity"}, {"unable": ""}, {"said": "  "}, {"said": "x" * 3000}]
)
async def test_a_declaration_needs_its_grounds(here: Api, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        await emergency.declare(here.services.doors, ACTORS["nurse"], "elsa", **(SAID | wrong))


async def test_a_stranger_declares_nothing(here: Api) -> None:
    for who in ("clinic", "officer", "loa2"):
        with pytest.raises(Refused):
            await emergency.declare(here.services.doors, ACTORS[who], "elsa", **SAID)
    with pytest.raises(Refused):
        await emergency.declare(here.services.doors, ACTORS["nurse"], "nobody", **SAID)


async def test_each_emergency_waits_for_review_until_somebody_has_looked(here: Api) -> None:
    doors, nurse = here.services.doors, ACTORS["nurse"]
    reviewer = Actor(
        "staff", "Practitioner/r", "R", 3, _assigned("role-r", TOWN, TOWN, "loggranskare")
    )
    await emergency.declare(doors, nurse, "elsa", **SAID)
    await emergency.open_parties(doors, nurse, "elsa", [REGION])
    find(doors.database.dsn)
    (case,) = (await cases.waiting(doors, reviewer, pattern="emergency")).cases
    assert (case.actor, case.patient) == ("Practitioner/n", "elsa")
    (reason,) = [r for r in case.reasons if r.pattern == "emergency"]
    assert reason.details["opened"] == [REGION]
    for other in (nurse, CHIEF):
        with pytest.raises(Refused) as refused:
            await cases.waiting(doors, other)
        assert refused.value.rule == "R36"
    elsewhere = Actor(
        "staff", "Practitioner/x", "X", 3, _assigned("x", REGION, REGION, "loggranskare")
    )
    assert (await cases.waiting(doors, elsewhere)).cases == []
    with pytest.raises(NotFound):
        await cases.decide(doors, elsewhere, case.id, Outcome("justified", "ok"))
    for wrong in (Outcome("fine", "ok"), Outcome("justified", " ")):
        with pytest.raises(Invalid):
            await cases.decide(doors, reviewer, case.id, wrong)
    await cases.decide(doors, reviewer, case.id, Outcome("justified", "Ambulanslarm samma tid"))
    assert (await cases.waiting(doors, reviewer, pattern="emergency")).cases == []
    with pytest.raises(Conflict):
        await cases.decide(doors, reviewer, case.id, Outcome("ask", "igen"))
    assert [e["outcome"] for e in audit_entries(doors.database.dsn) if e["action"] == "review"] == [
        "justified"
    ]


# guardians

ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
NUMBER = "http://electronichealth.se/identifier/personnummer"


def _birth(years: int, days: int = 0) -> str:
    today = date.today()
    born = date(today.year - years, today.month, min(today.day, 28))
    return date.fromordinal(born.toordinal() - days).isoformat()


def _custody(child: str, number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "RelatedPerson", "id": f"g-{child}-{number}", "active": True, "patient": {"reference": f"Patient/{child}"},
        "identifier": [{"system": NUMBER, "value": number}],
        "relationship": [{"coding": [{"system": ROLE, "code": "GUARD"}]}], **more,
    }  # fmt: skip


async def test_a_father_of_a_twelve_year_old_and_a_year_later(
    fresh: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ACTORS, "dad", Actor("resident", "Patient/dad", "D", 3))
    monkeypatch.setitem(ACTORS, "girl", Actor("resident", "Patient/girl", "G", 3))
    label = {"security": [{"system": DISCLOSURE, "code": "not-to-guardian"}]}
    await fresh.store(
        patient("dad", identifier=[{"system": NUMBER, "value": "198001012384"}], birthDate="1980-01-01"),
        patient("girl", birthDate=_birth(12, 30)), patient("stranger", birthDate=_birth(5)),
        _custody("girl", "198001012384"),
        _seen("o1", "girl", REGION, CLINIC), _seen("o2", "girl", REGION, CLINIC, meta=label),
        _seen("o3", "stranger", REGION, CLINIC),
    )  # fmt: skip
    asked = "Observation?patient=girl"
    assert await fresh.as_("dad").search(asked) == ["o1"]
    assert (await fresh.as_("dad").get("Observation/o2")).status == 404
    assert (await fresh.as_("dad").get("Patient/girl/$everything")).status == 200
    assert (await fresh.as_("dad").get("Observation?patient=stranger")).status == 403
    assert (await fresh.as_("dad").get("Observation/o3")).status == 404
    assert (await fresh.as_("girl").get(asked)).status == 403
    for age, dad, girl in ((13, 403, 403), (15, 403, 403), (16, 403, 200)):
        await fresh.put("Patient/girl", patient("girl", birthDate=_birth(age, 1)))
        assert (await fresh.as_("dad").get(asked)).status == dad, age
        assert (await fresh.as_("girl").get(asked)).status == girl, age
    assert await fresh.as_("girl").search(asked) == ["o1", "o2"]

    # custody is lost: at once (R28)
    await fresh.put("Patient/girl", patient("girl", birthDate=_birth(12)))
    assert (await fresh.as_("dad").get(asked)).status == 200
    await fresh.store(_custody("girl", "198001012384", period={"end": "2020-01-01"}))
    assert (await fresh.as_("dad").get(asked)).status == 403


@pytest.mark.parametrize(
    ("kind", "who"), [("forlangd-vardnadshavare", "dad"), ("mognad-egen-journal", "girl")]
)
async def test_decisions_between_thirteen_and_sixteen(
    fresh: Api, monkeypatch: pytest.MonkeyPatch, kind: str, who: str
) -> None:
    monkeypatch.setitem(ACTORS, "dad", Actor("resident", "Patient/dad", "D", 3))
    monkeypatch.setitem(ACTORS, "girl", Actor("resident", "Patient/girl", "G", 3))
    decided = consent(
        "decided", {"reference": "Patient/girl"}, "sammanhallen-dokumentation", REGION
    )
    decided["category"] = [{"coding": [{"system": CONSENT_KIND, "code": kind}]}]
    await fresh.store(
        patient("dad", identifier=[{"system": NUMBER, "value": "198001012384"}]),
        patient("girl", birthDate=_birth(14)), _custody("girl", "198001012384"), decided,
    )  # fmt: skip
    for asker in ("dad", "girl"):
        reply = await fresh.as_(asker).get("Observation?patient=girl")
        assert reply.status == (200 if asker == who else 403), asker
