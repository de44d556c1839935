"""The law's ways on, over the API: the decision explained, a reason given, an emergency in two steps, consent
withdrawn, and who has read."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from .api import (
    ACTORS,
    CLINIC,
    HOME_CARE,
    HOSPITAL,
    REGION,
    TOWN,
    TOWN_OTHER,
    Api,
    audit_entries,
    observation,
    owned,
    patient,
)
from .test_access import consent, visit

ELSA = {"reference": "Patient/elsa"}


def sent(**values: Any) -> dict[str, Any]:
    listed = [(n, v) for n, vs in values.items() for v in (vs if isinstance(vs, list) else [vs])]
    return {"resourceType": "Parameters", "parameter": [{"name": n, "valueString": v} for n, v in listed]}  # fmt: skip


def told(reply: Any) -> dict[str, Any]:
    """The answer by name; hidden things as kind → parties."""
    assert reply.status == 200, reply
    out: dict[str, Any] = {"hidden": {}}
    for p in reply.json.get("parameter", []):
        if p["name"] == "hidden":
            parts = p["part"]
            kind = next(x["valueCode"] for x in parts if x["name"] == "kind")
            out["hidden"][kind] = [x["valueString"] for x in parts if x["name"] == "party"]
        else:
            value = next(v for k, v in p.items() if k.startswith("value"))
            out.setdefault(p["name"], []).append(value)
    return out


@pytest_asyncio.fixture
async def here(fresh: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Elsa: in the town's home care; the region has data, and so has a blocked unit of the town."""
    from dataclasses import replace

    monkeypatch.setitem(ACTORS, "elsa", replace(ACTORS["resident"], id="Patient/elsa"))
    await fresh.store(
        *({"resourceType": "Organization", "id": i, "name": i} for i in (REGION, TOWN, HOSPITAL, CLINIC, HOME_CARE, TOWN_OTHER)),
        patient("elsa", "Em", birthDate="1950-01-01"), visit("v", ELSA, TOWN, HOME_CARE),
        *(owned(observation(f"o-{u}", "Patient/elsa", "law"), p, u) for p, u in ((TOWN, HOME_CARE), (TOWN, TOWN_OTHER), (REGION, HOSPITAL))),
        consent("inner", ELSA, "inre-sparr", TOWN_OTHER),
    )  # fmt: skip
    return fresh


async def seen(api: Api, who: str) -> list[str]:
    reply = await api.as_(who).get("Observation?patient=elsa")
    return sorted(reply.ids) if reply.status == 200 else ["refused"]


async def test_the_decision_says_why_and_what_may_be_done(here: Api) -> None:
    mine = told(await here.as_("nurse").get("Patient/elsa/$decision"))
    assert mine["effect"] == ["permit"] and mine["rule"] == ["R2"]
    assert mine["hidden"] == {"inner-block": [], "no-consent": []}  # that it exists, not whose
    other = told(await here.as_("clinic").get("Patient/elsa/$decision"))
    assert other["effect"] == ["deny"] and other["rule"] == ["R3"]
    assert "consultation" in other["reason"] and other["may"] == ["ask-reason"]
    absent = await here.as_("nurse").get("Patient/nobody/$decision")
    stranger = await here.as_("nurse").get("Patient/elsa-2/$decision")
    assert absent.json == stranger.json and told(absent)["effect"] == ["deny"]
    swedish = await here.as_("clinic").get("Patient/elsa/$decision", accept_language="sv")
    assert told(swedish)["says"] == ["Din enhet har ingen pågående vårdrelation med patienten."]
    for who in ("all", "town-client"):
        assert (await here.as_(who).get("Patient/elsa/$decision")).status == 403


async def test_a_reason_opens_what_it_may(here: Api) -> None:
    assert await seen(here, "clinic") == ["refused"]
    reply = await here.as_("clinic").post("Patient/elsa/$declare-reason", sent(reason="consultation"))  # fmt: skip
    assert told(reply)["rule"] == ["R3"] and told(reply)["effect"] == ["permit"]
    assert await seen(here, "clinic") == [f"o-{HOSPITAL}"]
    for body in (sent(reason="nyfiken"), sent(), sent(reason=["a", "b"])):
        assert (await here.as_("clinic").post("Patient/elsa/$declare-reason", body)).status in (400, 403, 422)  # fmt: skip
    assert (await here.as_("loa2").post("Patient/elsa/$declare-reason", sent(reason="consultation"))).status == 403  # fmt: skip


async def test_an_emergency_in_two_steps(here: Api) -> None:
    nurse = here.as_("nurse")
    where = "Patient/elsa/$emergency"
    early = await nurse.post(where, sent(step="open", party=REGION))
    assert early.status == 403 and "R6" in early.words
    grounds = {"danger": "life", "unable": "unconscious", "said": "Hittad medvetslös"}
    after = told(await nurse.post(where, sent(step="declare", **grounds)))
    assert after["hidden"] == {"inner-block": [TOWN_OTHER], "no-consent": [REGION]}
    assert after["until"] and await seen(here, "nurse") == [f"o-{HOME_CARE}"]
    told(await nurse.post(where, sent(step="open", party=[REGION, TOWN_OTHER])))
    assert await seen(here, "nurse") == sorted(f"o-{u}" for u in (HOME_CARE, TOWN_OTHER, HOSPITAL))
    await here.store(consent("outer", ELSA, "yttre-sparr", REGION))
    assert f"o-{HOSPITAL}" not in await seen(here, "nurse")
    told(
        await nurse.post(where, sent(step="open", party=REGION))
    )  # opened before; the block stands
    assert f"o-{HOSPITAL}" not in await seen(here, "nurse")
    told(await nurse.post(where, sent(step="ask", party=REGION, said="Läkemedel?")))
    told(await nurse.post(where, sent(step="end")))
    assert await seen(here, "nurse") == [f"o-{HOME_CARE}"]
    for body in (sent(step="dance"), sent(step="declare"), sent(), {"resourceType": "Patient"}):
        assert (await nurse.post(where, body)).status in (400, 422), body
    steps = [e for e in audit_entries(here.services.database.dsn) if e["action"] == "emergency"]
    assert [e["details"]["step"] for e in steps] == [1, 2, 2]


async def test_the_person_takes_back_and_finds_out_who_read(here: Api) -> None:
    await here.store(consent("yes", ELSA, "sammanhallen-dokumentation", TOWN))
    assert f"o-{HOSPITAL}" in await seen(here, "nurse")
    elsa = here.as_("elsa")
    lines = (await elsa.get("Patient/elsa/$accesses")).json["parameter"]
    who = {x["valueString"] for line in lines for x in line["part"] if x["name"] == "unit"}
    assert HOME_CARE in who
    assert (await elsa.post("Consent/yes/$withdraw", {"resourceType": "Parameters"})).status == 200
    assert f"o-{HOSPITAL}" not in await seen(here, "nurse")
    for who_ in ("resident", "clinic", "town-client"):
        gone = await here.as_(who_).post("Consent/inner/$withdraw", {"resourceType": "Parameters"})
        assert gone.status == 404, who_
        assert (await here.as_(who_).get("Patient/elsa/$accesses")).status == 404
    # a block is lifted at the patient's word by who received it; another care provider's is not there
    assert (await here.as_("nurse").post("Consent/inner/$withdraw", {"resourceType": "Parameters"})).status in (200, 404)  # fmt: skip
