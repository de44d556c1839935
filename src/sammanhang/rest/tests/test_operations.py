"""$everything, $meta, $validate and Binary."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .api import Api, observation, patient

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


async def chart(fhir: Api, id: str) -> list[str]:
    """A patient with a few resources; the ids of all."""
    me = {"reference": f"Patient/{id}"}
    await fhir.store(
        patient(id, birthDate="1950-01-01"),
        patient(f"{id}-other"),
        observation(f"{id}-o1", f"Patient/{id}", effectiveDateTime="2020-05-01"),
        observation(f"{id}-o2", f"Patient/{id}", effectiveDateTime="2022-05-01"),
        observation(f"{id}-o3", f"Patient/{id}-other"),
        {"resourceType": "Condition", "id": f"{id}-c", "subject": me},
        {
            "resourceType": "Appointment", "id": f"{id}-a", "status": "booked",
            "start": "2021-01-01T10:00:00Z", "end": "2021-01-01T10:30:00Z",
            "participant": [
                {"actor": {"reference": f"Patient/{id}-other"}, "status": "accepted"},
                {"actor": me, "status": "accepted"},
            ],
        },
    )  # fmt: skip
    return sorted([id, f"{id}-o1", f"{id}-o2", f"{id}-c", f"{id}-a"])


async def test_everything_is_the_whole_record_and_no_one_elses(fhir: Api) -> None:
    mine = await chart(fhir, "ev1")
    reply = await fhir.get("Patient/ev1/$everything")
    assert sorted(reply.ids) == mine
    assert reply.ids[0] == "ev1"
    assert reply.json["total"] == len(mine)
    assert sorted((await fhir.post("Patient/ev1/$everything", None)).ids) == mine


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
async def test_pages_of_everything_neither_repeat_nor_skip(fhir: Api, count: int) -> None:
    mine = await chart(fhir, "ev2")
    reply = await fhir.get(f"Patient/ev2/$everything?_count={count}")
    found = list(reply.ids)
    while following := reply.link("next"):
        reply = await fhir.get(following)
        assert len(reply.ids) <= count
        found += reply.ids
    assert sorted(found) == mine


async def test_everything_can_be_narrowed(fhir: Api) -> None:
    await chart(fhir, "ev3")
    some = await fhir.get("Patient/ev3/$everything?_type=Observation,Condition")
    assert sorted(some.ids) == ["ev3-c", "ev3-o1", "ev3-o2"]
    dated = await fhir.get("Patient/ev3/$everything?start=2021-01-01&end=2021-12-31")
    assert sorted(dated.ids) == ["ev3", "ev3-a", "ev3-c"]
    late = await fhir.get("Patient/ev3/$everything?start=2022")
    assert sorted(late.ids) == ["ev3", "ev3-c", "ev3-o2"]
    assert (await fhir.get("Patient/ev3/$everything?_since=2999-01-01T00:00:00Z")).ids == []
    body: dict[str, Any] = {
        "resourceType": "Parameters",
        "parameter": [{"name": "_type", "valueCode": "Observation"}, {"name": "_type", "valueCode": "Condition"},
                      {"name": "end", "valueDate": "2021"}, {"name": "_count", "valueInteger": 10}],
    }  # fmt: skip
    posted = await fhir.post("Patient/ev3/$everything", body)
    assert sorted(posted.ids) == ["ev3-c", "ev3-o1"]


@pytest.mark.parametrize(
    "query", ["_since=x", "start=2024-13", "_type=Nonsense", "_count=x", "_after=x", "name=x"]
)
async def test_everything_refuses_what_it_does_not_understand(fhir: Api, query: str) -> None:
    await fhir.store(patient("ev4"))
    assert (await fhir.get(f"Patient/ev4/$everything?{query}")).status == 400


async def test_everything_of_nobody_is_not_found(fhir: Api) -> None:
    assert (await fhir.get("Patient/never-there/$everything")).status == 404
    assert (await fhir.get("Observation/x/$everything")).status == 405


async def test_a_compartment_can_be_searched_with_what_it_refers_to(fhir: Api) -> None:
    await chart(fhir, "ev5")
    await fhir.store(
        {"resourceType": "Practitioner", "id": "ev5-p"},
        observation("ev5-o4", "Patient/ev5", performer=[{"reference": "Practitioner/ev5-p"}]),
    )
    assert sorted((await fhir.get("Patient/ev5/Observation")).ids) == ["ev5-o1", "ev5-o2", "ev5-o4"]
    assert (await fhir.get("Patient/ev5/Appointment")).ids == ["ev5-a"]
    reply = await fhir.get("Patient/ev5/Observation?_id=ev5-o4&_include=Observation:performer")
    assert reply.included == ["Practitioner/ev5-p"]
    assert (await fhir.get("Patient/ev5/Observation?_summary=count")).json["total"] == 3
    assert (await fhir.get("Patient/ev5/Observation?_id=ev5-o3")).ids == []


# $meta


def meta(**values: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": values}]}


async def test_tags_profiles_and_labels_can_be_added_and_taken_away(fhir: Api) -> None:
    await fhir.store(patient("m1"))
    one, two = {"system": "http://t", "code": "one"}, {"system": "http://t", "code": "two"}
    added = await fhir.post("Patient/m1/$meta-add", meta(tag=[one, two], profile=["http://p"]))
    assert added.status == 200, added
    assert added.json["parameter"][0]["valueMeta"]["tag"] == [one, two]
    await fhir.post("Patient/m1/$meta-add", meta(tag=[one], security=[one]))
    assert (await fhir.get("Patient?_tag=http://t|one&_security=one&_profile=http://p")).ids == [
        "m1"
    ]
    await fhir.post("Patient/m1/$meta-delete", meta(tag=[one], profile=["http://p"]))
    read = await fhir.get("Patient/m1/$meta")
    value = read.json["parameter"][0]["valueMeta"]
    assert value["tag"] == [two] and value["security"] == [one] and "profile" not in value
    assert value["versionId"] == "4"
    assert (await fhir.get("Patient?_tag=http://t|one")).ids == []


async def test_meta_refuses_what_it_cannot_do(fhir: Api) -> None:
    await fhir.store(patient("m2"))
    nothing = {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]}
    assert (await fhir.post("Patient/m2/$meta-add", nothing)).status == 400
    assert (await fhir.post("Patient/m2/$meta-add", patient())).status == 400
    assert (await fhir.post("Patient/no/$meta-add", meta(tag=[{"code": "x"}]))).status == 404
    assert (await fhir.get("Patient/no/$meta")).status == 404
    assert (await fhir.get("Patient/$meta")).status == 405
    reader = fhir.as_("reader")
    assert (await reader.post("Patient/m2/$meta-add", meta(tag=[{"code": "x"}]))).status == 403
    assert (await reader.get("Patient/m2/$meta")).status == 200
    assert (await fhir.as_("observations").get("Patient/m2/$meta")).status == 403


# Binary


@pytest.mark.asvs("v5.0.0-5.4.1", "v5.0.0-3.2.1")
async def test_binary_content_comes_back_byte_for_byte(fhir: Api) -> None:
    made = await fhir.post("Binary", PNG, content_type="image/png")
    assert made.status == 201, made
    id = made.json["id"]
    raw = await fhir.get(f"Binary/{id}", accept="image/png")
    assert raw.content == PNG
    assert raw.headers["content-type"] == "image/png"
    assert raw.headers["x-content-type-options"] == "nosniff"
    assert raw.headers["content-disposition"].startswith('attachment; filename="')
    wrapped = await fhir.get(f"Binary/{id}", accept="application/fhir+json")
    assert base64.b64decode(wrapped.json["data"]) == PNG
    assert wrapped.json["contentType"] == "image/png"
    assert (await fhir.get(f"Binary/{id}", accept="application/fhir+xml")).status == 406
    assert (await fhir.get(f"Binary/{id}?_format=xml")).status == 406


async def test_binary_takes_a_resource_too_and_can_be_replaced(fhir: Api) -> None:
    await fhir.store(patient("bin"))
    body = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVq"}
    made = await fhir.post("Binary", body)
    assert (await fhir.get(f"Binary/{made.json['id']}", accept="text/plain")).content == b"hej"
    put = await fhir.put("Binary/raw", b"one", content_type="text/plain")
    assert put.status == 201, put
    put = await fhir.put(
        "Binary/raw", b"two", content_type="text/plain", x_security_context="Patient/bin"
    )
    assert put.headers["etag"] == 'W/"2"'
    assert put.json["securityContext"]["reference"] == "Patient/bin"
    assert (await fhir.get("Binary/raw", accept="text/plain")).content == b"two"
    bad = await fhir.post("Binary", b"x", content_type="text/plain", x_security_context="not a ref")
    assert bad.status in (400, 422), bad


async def test_json_that_is_no_resource_is_content_like_any_other(fhir: Api) -> None:
    made = await fhir.post("Binary", b'{"a":1}', content_type="application/json")
    assert made.status == 201, made
    raw = await fhir.get(f"Binary/{made.json['id']}", accept="text/plain")
    assert raw.content == b'{"a":1}'


# $validate


@pytest.mark.asvs("v5.0.0-2.2.3")
async def test_validate_tells_every_fault_and_stores_nothing(fhir: Api) -> None:
    good = await fhir.post("Patient/$validate", patient())
    assert good.status == 200
    assert {i["severity"] for i in good.json["issue"]} <= {"information", "warning"}
    bad = await fhir.post(
        "Patient/$validate", {"resourceType": "Patient", "gender": "x", "birthDate": "2024-02-31"}
    )
    assert bad.status == 200
    places = {p for i in bad.json["issue"] if i["severity"] == "error" for p in i["expression"]}
    assert places == {"Patient.gender", "Patient.birthDate"}
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": {"resourceType": "Patient", "gender": "x"}}],
    }
    for path in ("$validate", "Patient/$validate", "Patient/x/$validate"):
        reply = await fhir.post(path, wrapped)
        assert reply.status == 200
        assert [i["severity"] for i in reply.json["issue"]].count("error") == 1, reply
    assert (await fhir.post("Patient/$validate", b"{")).status in (200, 400)
