"""Batch and transaction."""

from __future__ import annotations

from typing import Any

import pytest

from .api import BASE, Api, api, bundle, entry, observation, patient

P, Q = (
    "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
    "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059",
)


async def send(
    fhir: Api, *entries: dict[str, Any], kind: str = "transaction", **headers: str
) -> Any:
    reply = await fhir.post("", bundle(kind, *entries), **headers)
    assert reply.status == 200, reply
    assert reply.json["type"] == f"{kind}-response"
    return reply.json["entry"]


def statuses(entries: Any) -> list[str]:
    return [e["response"]["status"] for e in entries]


def where(made: Any) -> str:
    """`Type/id` of a response entry."""
    return "/".join(made["response"]["location"].removeprefix(BASE + "/").split("/")[:2])


async def test_references_by_urn_become_real(fhir: Api) -> None:
    made = await send(
        fhir,
        entry("POST", "Observation", observation(subject=P, hasMember=[{"reference": Q}]), "urn:uuid:1"),
        entry("POST", "Patient", patient(), P),
        entry("POST", "Observation", observation(subject=P), Q),
    )  # fmt: skip
    assert statuses(made) == ["201", "201", "201"]
    first = (await fhir.get(where(made[0]))).json
    assert first["subject"]["reference"] == where(made[1])
    assert first["hasMember"][0]["reference"] == where(made[2])
    assert made[0]["response"]["etag"] == 'W/"1"' and "lastModified" in made[0]["response"]
    assert len((await fhir.get(f"Observation?patient={where(made[1])}")).ids) == 2


async def test_references_by_absolute_and_relative_full_url_become_real(fhir: Api) -> None:
    made = await send(
        fhir,
        entry("POST", "Patient", patient(), "http://elsewhere.org/fhir/Patient/7"),
        entry("POST", "Observation", observation(subject="http://elsewhere.org/fhir/Patient/7")),
        entry("POST", "Observation", observation(subject="Patient/7")),
        entry("POST", "Observation", observation(subject="http://elsewhere.org/fhir/Patient/8")),
    )
    subjects = [(await fhir.get(where(e))).json["subject"]["reference"] for e in made[1:]]
    assert subjects == [where(made[0])] * 2 + ["http://elsewhere.org/fhir/Patient/8"]


async def test_only_references_are_changed_not_narrative_text_or_urls_of_definitions(
    fhir: Api,
) -> None:
    canonical = "http://example.org/StructureDefinition/x"
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">"reference":"{P}" {P}</div>'
    made = await send(
        fhir,
        entry("POST", "Patient", patient(), P),
        entry("POST", "ValueSet", {"resourceType": "ValueSet", "status": "draft", "url": canonical}, canonical),
        entry("POST", "Basic", {
            "resourceType": "Basic", "code": {"text": P},
            "text": {"status": "generated", "div": div},
            "extension": [{"url": canonical, "valueUri": canonical}, {"url": "http://e", "valueUri": P},
                          {"url": "http://e", "valueString": P}],
        }),
        entry("POST", "DocumentReference", {
            "resourceType": "DocumentReference", "status": "current",
            "content": [{"attachment": {"url": P}}],
        }),
    )  # fmt: skip
    basic = (await fhir.get(where(made[2]))).json
    assert basic["code"]["text"] == P and P in basic["text"]["div"]
    assert [e.get("valueUri", e.get("valueString")) for e in basic["extension"]] == [
        canonical, where(made[0]), P,
    ]  # fmt: skip
    assert (await fhir.get(where(made[1]))).json["url"] == canonical
    document = (await fhir.get(where(made[3]))).json
    assert document["content"][0]["attachment"]["url"] == where(made[0])


async def test_references_written_with_escapes_become_real_too(fhir: Api) -> None:
    full = "http://elsewhere.org/fhir/Patient/esc"
    escaped = full.replace("/", "\\/")
    body = (
        b'{"resourceType":"Bundle","type":"transaction","entry":['
        b'{"fullUrl":"%s","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},'
        b'{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        b'"subject":{"reference":"%s"}},"request":{"method":"POST","url":"Observation"}}]}'
    ) % (full.encode(), escaped.encode())
    reply = await fhir.post("", body)
    assert reply.status == 200, reply
    made = reply.json["entry"]
    assert (await fhir.get(where(made[1]))).json["subject"]["reference"] == where(made[0])


async def test_every_method_in_one_transaction_answers_in_the_order_sent(fhir: Api) -> None:
    await fhir.store(patient("t1"), patient("t2"), patient("t3", "Before"))
    made = await send(
        fhir,
        entry("GET", "Patient/t3"),
        entry("GET", "Patient?_id=t1,t2,t3,t4"),
        entry("PATCH", "Patient/t2", {
            "resourceType": "Binary", "contentType": "application/json-patch+json",
            "data": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2dlbmRlciIsInZhbHVlIjoibWFsZSJ9XQ==",
        }),
        entry("PUT", "Patient/t3", patient("t3", "After")),
        entry("PUT", "Patient/t4", patient("t4")),
        entry("POST", "Patient", patient()),
        entry("DELETE", "Patient/t1"),
    )  # fmt: skip
    assert statuses(made) == ["200", "200", "200", "200", "201", "201", "204"]
    assert made[0]["resource"]["name"][0]["family"] == "After"  # reads come last
    found = sorted(e["resource"]["id"] for e in made[1]["resource"]["entry"])
    assert found == ["t2", "t3", "t4"]
    assert (await fhir.get("Patient/t2")).json["gender"] == "male"
    assert (await fhir.get("Patient/t1")).status == 410


async def test_a_fhirpath_patch_in_a_transaction(fhir: Api) -> None:
    await fhir.store(patient("tf"))
    parts = [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "gender"}, {"name": "value", "valueCode": "other"},
    ]  # fmt: skip
    made = await send(
        fhir,
        entry("PATCH", "Patient/tf", {
            "resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}],
        }),
    )  # fmt: skip
    assert statuses(made) == ["200"]
    assert (await fhir.get("Patient/tf")).json["gender"] == "other"


async def test_conditional_entries_find_what_they_mean(fhir: Api) -> None:
    one: dict[str, Any] = {"identifier": [{"system": "http://ce", "value": "1"}]}
    two: dict[str, Any] = {"identifier": [{"system": "http://ce", "value": "2"}]}
    await fhir.store(patient("ce1", **one))
    made = await send(
        fhir,
        entry("POST", "Patient", patient(**one), P, ifNoneExist="identifier=http://ce|1"),
        entry("PUT", "Patient?identifier=http://ce|2", patient(**two), Q),
        entry("POST", "Observation", observation(subject=P)),
        entry("POST", "Observation", observation(subject=Q)),
        entry("POST", "Observation", observation(subject="Patient?identifier=http://ce|1")),
    )
    assert statuses(made) == ["200", "201", "201", "201", "201"]
    subjects = [(await fhir.get(where(e))).json["subject"]["reference"] for e in made[2:]]
    assert subjects == ["Patient/ce1", where(made[1]), "Patient/ce1"]
    assert (await fhir.get("Patient/ce1")).headers["etag"] == 'W/"1"'
    again = await send(
        fhir,
        entry("PUT", "Patient?identifier=http://ce|2", patient(**two)),
        entry("DELETE", "Patient?identifier=http://ce|3"),
        entry("DELETE", "Patient?identifier=http://ce|1"),
    )
    assert statuses(again) == ["200", "204", "204"]
    assert (await fhir.get("Patient/ce1")).status == 410


async def test_a_conditional_update_keeps_the_id_its_body_names(fhir: Api) -> None:
    made = await send(
        fhir,
        entry("PUT", "Patient?identifier=http://own|1", patient("own-id"), P),
        entry("POST", "Observation", observation(subject=P)),
    )
    assert where(made[0]) == "Patient/own-id"
    assert (await fhir.get(where(made[1]))).json["subject"]["reference"] == "Patient/own-id"


GOOD = entry("PUT", "Patient/all-or-nothing", patient("all-or-nothing"))


@pytest.mark.asvs("v5.0.0-2.3.3")
@pytest.mark.parametrize(
    ("bad", "status", "at"),
    [
        (entry("POST", "Patient", {"resourceType": "Patient", "gender": "x"}), 422, "Bundle.entry[1].resource.gender"),
        (entry("POST", "Patient", {"resourceType": "Patient", "nme": 1}), 422, "Bundle.entry[1].resource"),
        (entry("POST", "Patient", observation()), 400, "Bundle.entry[1].resource"),
        (entry("PUT", "Patient/a", patient("b")), 400, "Bundle.entry[1]"),
        (entry("PUT", "Patient/a", patient("a"), ifMatch='W/"9"'), 412, "Bundle.entry[1]"),
        (entry("PUT", "Patient", patient("a")), 400, "Bundle.entry[1].request.url"),
        (entry("PUT", 'Patient/a"b', patient()), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Patient/a", patient("a")), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Patient"), 400, "Bundle.entry[1].resource"),
        (entry("POST", "Nonsense", patient()), 400, "Bundle.entry[1].request.url"),
        (entry("BREW", "Patient"), 400, "Bundle.entry[1].request.method"),
        ({"resource": patient()}, 400, "Bundle.entry[1]"),
        (entry("POST", "Observation", observation(subject="urn:uuid:nowhere")), 422, "Bundle.entry[1].resource"),
        (entry("POST", "Observation", observation(subject="Patient?identifier=none|0")), 412, "Bundle.entry[1]"),
        (entry("POST", "Patient", patient(), ifNoneExist="nonsense=1"), 400, "Bundle.entry[1]"),
        (entry("DELETE", "Patient?nonsense=1"), 400, "Bundle.entry[1]"),
        (entry("PATCH", "Patient/never", {"resourceType": "Parameters"}), 404, "Bundle.entry[1]"),
        (entry("PUT", "Patient/all-or-nothing", patient("all-or-nothing")), 400, "Bundle.entry[1]"),
        (entry("DELETE", "Patient/all-or-nothing"), 400, "Bundle.entry[1]"),
        (entry("GET", "Patient/never-there"), 404, "Bundle.entry[1]"),
        (entry("GET", "Patient?birthdate=nonsense"), 400, "Bundle.entry[1].request.url"),
        (entry("GET", "Patient/$nonsense"), 405, "Bundle.entry[1]"),
    ],
)  # fmt: skip
async def test_one_bad_entry_and_nothing_is_stored(
    fhir: Api, bad: dict[str, Any], status: int, at: str
) -> None:
    reply = await fhir.post("", bundle("transaction", GOOD, bad))
    assert reply.status == status, reply
    places = [p for i in reply.json["issue"] for p in i.get("expression", [])]
    assert any(p.startswith(at) for p in places), reply
    assert (await fhir.get("Patient/all-or-nothing")).status == 404


async def test_a_full_url_may_stand_once(fhir: Api) -> None:
    reply = await fhir.post(
        "", bundle("transaction", entry("POST", "Patient", patient(), P), entry("POST", "Patient", patient(), P))
    )  # fmt: skip
    assert reply.status == 400
    assert reply.json["issue"][0]["expression"] == ["Bundle.entry[1].fullUrl"]


async def test_entries_of_a_batch_stand_alone(fhir: Api) -> None:
    await fhir.store(patient("b1"))
    made = await send(
        fhir,
        entry("GET", "Patient/b1"),
        entry("GET", "Patient/never-there"),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "x"}),
        entry("POST", "Patient", patient()),
        {"resource": patient()},
        entry("BREW", "Patient"),
        entry("POST", "", bundle("batch")),
        entry("PUT", "Patient/b1", patient("b1"), ifMatch='W/"7"'),
        entry("GET", "Patient/b1", ifNoneMatch='W/"1"'),
        entry("DELETE", "Patient/b1"),
        entry("GET", "Patient/b1"),
        entry("GET", f"{BASE}/metadata"),
        kind="batch",
    )
    assert statuses(made) == [
        "200", "404", "422", "201", "400", "400", "400", "412", "304", "204", "410", "200",
    ]  # fmt: skip
    assert made[0]["resource"]["id"] == "b1"
    assert "resource" not in made[1] and "outcome" in made[1]["response"]
    assert made[3]["response"]["location"].startswith(f"{BASE}/Patient/")


@pytest.mark.asvs("v5.0.0-15.2.2", "v5.0.0-2.3.2")
async def test_too_many_entries_are_refused_and_nothing_is_stored(module_database: str) -> None:
    async with api(module_database, max_bundle_entries=5) as fhir:
        entries = [entry("PUT", f"Patient/many{i}", patient(f"many{i}")) for i in range(6)]
        for kind in ("batch", "transaction"):
            assert (await fhir.post("", bundle(kind, *entries))).status == 413
        assert (await fhir.get("Patient/many0")).status == 404
        assert (await fhir.post("", bundle("transaction", *entries[:5]))).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"history"}',
        b'{"resourceType":"Bundle","type":"nonsense"}',
        b'{"resourceType":"Bundle","type":"batch","entry":{}}',
        b'{"resourceType":"Bundle","type":"batch","entry":[null]}',
        b'{"resourceType":"Bundle","type":"batch","nonsense":1}',
        b'{"resourceType":"Bundle","type":"batch","type":"transaction"}',
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"metadata","u":1}}]}',
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET"}}]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":7}}]}',
    ],
)
async def test_a_bundle_that_cannot_be_read_is_refused(fhir: Api, body: bytes) -> None:
    reply = await fhir.post("", body)
    assert reply.status in (400, 422), reply


async def test_a_resource_that_stands_twice_in_an_entry_is_refused(fhir: Api) -> None:
    body = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},'
        b'"resource":{"resourceType":"Patient","gender":"male"},"request":{"method":"POST","url":"Patient"}}]}'
    )
    assert (await fhir.post("", body)).status in (400, 422)


async def test_prefer_return_holds_in_a_transaction(fhir: Api) -> None:
    one = entry("POST", "Patient", patient())
    assert "resource" not in (await send(fhir, one))[0]
    assert (await send(fhir, one, prefer="return=representation"))[0]["resource"]["id"]
    assert "outcome" in (await send(fhir, one, prefer="return=OperationOutcome"))[0]["response"]


async def test_a_client_may_do_in_a_transaction_only_what_its_scopes_allow(fhir: Api) -> None:
    reader = fhir.as_("reader")
    for one in (
        entry("PUT", "Patient/scope", patient("scope")),
        entry("POST", "Patient", patient()),
        entry("DELETE", "Patient/scope"),
    ):
        assert (await reader.post("", bundle("transaction", one))).status == 403
        batch = (await reader.post("", bundle("batch", one))).json["entry"]
        assert statuses(batch) == ["403"]
    assert (await fhir.get("Patient/scope")).status == 404
    assert (
        await reader.post("", bundle("transaction", entry("GET", "Patient?_count=1")))
    ).status == 200
