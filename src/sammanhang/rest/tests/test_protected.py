"""R29: a protected identity is masked in every answer, and a search by what is masked finds nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from sammanhang.access.facts import PROTECTED_SYSTEM

from .api import ACTORS, HOSPITAL, REGION, Api, bundle, entry, observation, owned, patient

SECRET = ("Gömdsson", "Gömda", "Hemliga", "0701234567", "Gömdmor", "Vårdcentralen Gömstället")
SYSTEM = "http://electronichealth.se/identifier/personnummer"


def hidden() -> dict[str, Any]:
    return patient(
        "gomd", "Gömdsson",
        meta={"security": [{"system": PROTECTED_SYSTEM, "code": "sekretessmarkering"}]},
        identifier=[{"system": SYSTEM, "value": "199001012384"}],
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Gömda</div>'},
        telecom=[{"system": "phone", "value": "0701234567"}],
        address=[{"line": ["Hemliga gatan 1"], "city": "Borås"}],
        contact=[{"name": {"family": "Gömdmor"}}],
        generalPractitioner=[{"display": "Vårdcentralen Gömstället"}],
        birthDate="1990-01-01", gender="female",
    )  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    if (await fhir.get("Patient/gomd")).status == 404:
        visit = {
            "resourceType": "Encounter", "id": "gomd-v", "status": "in-progress",
            "class": {"code": "AMB"}, "subject": {"reference": "Patient/gomd"},
        }  # fmt: skip
        await fhir.store(
            hidden(), patient("syns", "Synlig"), owned(visit, REGION, HOSPITAL),
            owned(
                observation(
                    "gomd-o", "Patient/gomd", "prot", valueQuantity={"value": 1, "unit": "mg"},
                    performer=[{"reference": "Organization/SE-REGION-SJH", "display": "Sjukhuset"}],
                    text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Prov, Gömdsson</div>'},
                ) | {"subject": {"reference": "Patient/gomd", "display": "Gömda Gömdsson"}},
                REGION, HOSPITAL,
            ),
            owned(
                {"resourceType": "RelatedPerson", "id": "gomd-mor", "patient": {"reference": "Patient/gomd"},
                 "name": [{"family": "Gömdmor"}], "address": [{"line": ["Hemliga gatan 1"]}]}, REGION, HOSPITAL,
            ),
        )  # fmt: skip
        await fhir.put("Patient/gomd", hidden())
    return fhir


PATHS = [
    "Patient/gomd", "Patient/gomd/_history/1", "Patient/gomd/_history", "Patient/_history", "Patient/gomd/$everything",
    "Patient?_id=gomd", "Patient?identifier=199001012384", f"Patient?identifier={SYSTEM}|199001012384",
    "Patient?_id=gomd&_elements=name,address,telecom", "Patient?_id=gomd&_summary=text",
    "Observation/gomd-o", "Observation/gomd-o/_history/1", "Observation/gomd-o/_history", "RelatedPerson/gomd-mor",
    "RelatedPerson?patient=gomd", "Observation?patient=gomd&_elements=subject", "Patient/gomd/Observation",
    "Observation?patient=gomd&_include=Observation:patient", "Patient?_id=gomd&_revinclude=Observation:patient",
]  # fmt: skip


@pytest.mark.asvs("v5.0.0-8.2.3", "v5.0.0-15.3.1")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["doctor", "region-client"])
async def test_answers_do_not_tell_who_or_where(known: Api, who: str, path: str) -> None:
    reply = await known.as_(who).get(path)
    assert reply.status == 200, reply
    said = reply.content.decode()
    assert not [s for s in SECRET if s in said]
    if "_elements" not in path and "_summary" not in path:
        assert "Skyddad uppgift" in said
        if '"resourceType":"Patient"' in said:
            assert "1990-01-01" in said and "REDACTED" in said
    whole = (await known.get(path)).content.decode()
    assert "Gömdsson" in whole or "Gömdmor" in whole or "_summary" in path


@pytest.mark.asvs("v5.0.0-8.2.3")
async def test_a_batch_masks_too(known: Api) -> None:
    asked = bundle("batch", entry("GET", "Patient/gomd"), entry("GET", "Patient?_id=gomd"))
    reply = await known.as_("doctor").post("", asked)
    found = [e["resource"] for e in reply.json["entry"]]
    assert len(found) == 2
    assert not [s for s in SECRET if s in json.dumps(found, ensure_ascii=False)]


@pytest.mark.asvs("v5.0.0-8.2.3")
@pytest.mark.parametrize(
    "query",
    [
        "Patient?family=Gömdsson", "Patient?name:contains=ömds", "Patient?address-city=Borås&family=Gömdsson", "Patient?phone=0701234567",
        "Patient?identifier=199001012384&family=Gömdsson", "Patient?_id=gomd&address=Hemliga", "Patient?identifier:not=x&family=Gömdsson",
        "Patient?birthdate=1990-01-01", f"Patient?identifier={SYSTEM}|", "Observation?subject:Patient.family=Gömdsson&code=prot",
        "Observation?patient.name=Gömdsson", "Patient?_has:Observation:patient:code=prot", "Encounter?subject:Patient.phone=0701234567",
    ],
)  # fmt: skip
@pytest.mark.parametrize("who", ["doctor", "region-client"])
async def test_what_is_masked_finds_nobody(known: Api, who: str, query: str) -> None:
    reply = await known.as_(who).get(query)
    assert not [i for i in reply.ids if i.startswith("gomd")]
    counted = await known.as_(who).get(f"{query}&_summary=count")
    assert counted.json["total"] == len(reply.ids)


async def test_the_person_sees_their_own(known: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from sammanhang.access.actor import Actor

    monkeypatch.setitem(ACTORS, "gomd", Actor("resident", "Patient/gomd", "G", 3))
    reply = await known.as_("gomd").get("Patient/gomd")
    assert "Hemliga gatan 1" in reply.content.decode()


async def test_what_is_not_the_persons_name_stays_as_it_was(known: Api) -> None:
    observed = (await known.as_("doctor").get("Observation/gomd-o")).json
    assert observed["subject"] == {"reference": "Patient/gomd", "display": "Skyddad uppgift"}
    assert observed["performer"][0]["display"] == "Sjukhuset"
    assert observed["valueQuantity"]["value"] == 1 and "text" not in observed
    assert "Gömdsson" in str((await known.get("Observation/gomd-o")).content, "utf-8")
