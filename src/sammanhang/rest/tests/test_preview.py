"""A change of a rule's parameters is tried on the accesses that were, before anything is changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sammanhang.access.preview import preview
from sammanhang.kernel import clock
from sammanhang.kernel.content import content

from .api import ACTORS, HOME_CARE, HOSPITAL, REGION, TOWN, Api, observation, owned, patient
from .test_access import consent, visit

NUMBER = "http://electronichealth.se/identifier/personnummer"


async def staff(fresh: Api) -> None:
    """The nurse as the record knows her, so that she can be asked again."""
    from sammanhang.access.staff import ROLE

    await fresh.store(
        {"resourceType": "Practitioner", "id": "n", "name": [{"family": "N"}]},
        *({"resourceType": "Organization", "id": i, "name": i} for i in (REGION, TOWN, HOSPITAL, HOME_CARE)),
        owned({"resourceType": "PractitionerRole", "id": "role-n", "active": True,
               "practitioner": {"reference": "Practitioner/n"}, "organization": {"reference": f"Organization/{HOME_CARE}"},
               "code": [{"coding": [{"system": ROLE, "code": "sjukskoterska"}]}]}, TOWN, HOME_CARE),
    )  # fmt: skip


async def test_the_nurse_and_the_father_are_counted_as_the_change_would_meet_them(
    fresh: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staff(fresh)
    born = f"{clock.today().year - 14}-01-01"
    child, adult = {"reference": "Patient/child"}, {"reference": "Patient/ann"}
    await fresh.store(
        patient("child", "Barn", birthDate=born), patient("ann", "Vuxen", birthDate="1950-01-01"),
        patient("dad", "Pappa", identifier=[{"system": NUMBER, "value": "189001019802"}]),
        {"resourceType": "RelatedPerson", "id": "rp", "patient": child,
         "identifier": [{"system": NUMBER, "value": "189001019802"}],
         "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}]},
        *(visit(f"v-{s['reference'][8:]}", s, TOWN, HOME_CARE) for s in (child, adult)),
        *(owned(observation(f"o-{s['reference'][8:]}", s["reference"]), REGION, HOSPITAL) for s in (child, adult)),
        consent("c", adult, "sammanhallen-dokumentation", TOWN),
    )  # fmt: skip
    monkeypatch.setitem(ACTORS, "dad", replace(ACTORS["resident"], id="Patient/dad"))
    for _ in range(3):
        assert (await fresh.as_("nurse").get("Observation?patient=child")).status == 200
    assert (await fresh.as_("nurse").get("Observation?patient=ann")).status == 200
    assert (await fresh.as_("dad").get("Observation?patient=child")).status == 403
    doors, ages = fresh.services.doors, content("rules/ages")

    same = await preview(doors, {"rules/ages": ages})
    assert (same.accesses, same.share, same.changed) == (5, 1.0, 0)
    later = await preview(doors, {"rules/ages": ages | {"guardian_until": 16, "consents_from": 16}})
    told = {(line.kind, line.before, line.after, line.role): line.times for line in later.lines}
    assert told == {
        ("opened", "R23", "R23", "resident"): 1,
        ("more", "R2", "R2", "sjukskoterska"): 3,
    }
    assert content("rules/ages") == ages  # nothing was changed
    strict = content("rules/assurance") | {"staff_record": 4}
    closed = await preview(doors, {"rules/assurance": strict})
    assert {(line.kind, line.after, line.times) for line in closed.lines} == {("closed", "R1", 4)}
