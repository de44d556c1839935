"""Read, create, update, delete and history over HTTP, and what the headers ask for."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from .api import BASE, Api, bundle, observation, patient


async def test_a_created_resource_can_be_read_with_its_version(fhir: Api) -> None:
    made = await fhir.post("Patient", patient(family="Åkesson"))
    assert made.status == 201, made
    id = made.json["id"]
    assert made.headers["location"] == f"{BASE}/Patient/{id}/_history/1"
    assert made.headers["etag"] == 'W/"1"'
    assert "last-modified" in made.headers
    read = await fhir.get(f"Patient/{id}")
    assert read.status == 200
    assert read.json == made.json
    assert read.json["meta"]["versionId"] == "1"
    assert read.headers["content-type"].startswith("application/fhir+json")


@pytest.mark.asvs("v5.0.0-15.3.3")
async def test_an_id_in_a_created_body_is_not_used(fhir: Api) -> None:
    made = await fhir.post("Patient", patient("mine"))
    assert made.status == 201
    assert made.json["id"] != "mine"


async def test_update_makes_versions_that_stay_readable(fhir: Api) -> None:
    first = await fhir.put("Patient/versions", patient("versions", "One"))
    assert first.status == 201
    assert first.headers["location"].endswith("/Patient/versions/_history/1")
    second = await fhir.put("Patient/versions", patient("versions", "Two"))
    assert second.status == 200
    assert second.headers["etag"] == 'W/"2"'
    one = await fhir.get("Patient/versions/_history/1")
    two = await fhir.get("Patient/versions/_history/2")
    assert [r.json["name"][0]["family"] for r in (one, two)] == ["One", "Two"]
    assert one.headers["etag"] == 'W/"1"'
    for version in ("3", "0", "x", "²", "99999999999", "-1"):
        assert (await fhir.get(f"Patient/versions/_history/{version}")).status == 404


async def test_update_needs_the_id_of_the_url_in_the_body(fhir: Api) -> None:
    assert (await fhir.put("Patient/a1", patient())).status == 400
    assert (await fhir.put("Patient/a1", patient("a2"))).status == 400
    assert (await fhir.put("Patient/a1", observation("a1"))).status == 400
    assert (await fhir.get("Patient/a1")).status == 404


async def test_what_is_sent_comes_back_digit_for_digit(fhir: Api) -> None:
    body = (
        b'{"resourceType":"Observation","id":"digits","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.10,"unit":"mg"}}'
    )
    assert (await fhir.put("Observation/digits", body)).status == 201
    assert b'"value":1.10,' in (await fhir.get("Observation/digits")).content


async def test_a_deleted_resource_is_gone_and_its_history_is_not(fhir: Api) -> None:
    await fhir.put("Patient/gone", patient("gone"))
    deleted = await fhir.delete("Patient/gone")
    assert deleted.status == 204
    assert deleted.headers["etag"] == 'W/"2"'
    assert (await fhir.get("Patient/gone")).status == 410
    assert (await fhir.get("Patient/gone/_history/2")).status == 410
    assert (await fhir.get("Patient/gone/_history/1")).status == 200
    assert (await fhir.get("Patient?_id=gone")).ids == []
    assert (await fhir.delete("Patient/gone")).status == 204
    assert (await fhir.delete("Patient/never-was")).status == 404


async def test_a_deleted_resource_can_come_back_with_its_versions_going_on(fhir: Api) -> None:
    await fhir.put("Patient/back", patient("back", "Old"))
    await fhir.delete("Patient/back")
    back = await fhir.put("Patient/back", patient("back", "New"))
    assert back.status == 201, back
    assert back.headers["etag"] == 'W/"3"'
    assert (await fhir.get("Patient/back")).json["name"][0]["family"] == "New"
    assert (await fhir.get("Patient?family=New&_id=back")).ids == ["back"]
    history = (await fhir.get("Patient/back/_history")).json
    assert [e["request"]["method"] for e in history["entry"]] == ["PUT", "DELETE", "POST"]
    assert (await fhir.delete("Patient/back")).status == 204
    assert (await fhir.put("Patient/back", patient("back"))).headers["etag"] == 'W/"5"'


async def test_the_history_of_a_resource_is_newest_first_and_paged(fhir: Api) -> None:
    for n in range(5):
        await fhir.put("Patient/pages", patient("pages", f"N{n}"))
    reply = await fhir.get("Patient/pages/_history?_count=2")
    found = []
    while True:
        found += [e["resource"]["meta"]["versionId"] for e in reply.json["entry"]]
        following = reply.link("next")
        if following is None:
            break
        reply = await fhir.get(following)
    assert found == ["5", "4", "3", "2", "1"]
    whole = (await fhir.get("Patient/pages/_history")).json
    assert whole["total"] == 5
    assert whole["entry"][0]["response"]["etag"] == 'W/"5"'
    assert (await fhir.get("Patient/never-there/_history")).status == 404


async def test_type_and_system_history_tell_everything_in_order(fresh: Api) -> None:
    await fresh.put("Patient/h1", patient("h1"))
    await fresh.put(
        "Group/h2", {"resourceType": "Group", "id": "h2", "type": "person", "actual": True}
    )
    await fresh.put("Patient/h1", patient("h1", "Again"))
    await fresh.delete("Patient/h1")
    patients = (await fresh.get("Patient/_history")).json["entry"]
    assert [e["request"]["method"] for e in patients] == ["DELETE", "PUT", "POST"]
    assert "resource" not in patients[0]
    assert patients[1]["resource"]["name"][0]["family"] == "Again"
    reply = await fresh.get("_history?_count=3")
    everything = reply.json["entry"]
    reply = await fresh.get(reply.link("next") or "")
    everything += reply.json["entry"]
    assert [e["fullUrl"].split("/")[-2] for e in everything] == [
        "Patient", "Patient", "Group", "Patient",
    ]  # fmt: skip
    since = everything[1]["response"]["lastModified"]
    assert len((await fresh.get(f"_history?_since={since}")).json["entry"]) == 2
    later = format(datetime.now(UTC) + timedelta(days=1), "%Y-%m-%dT%H:%M:%SZ")
    assert "entry" not in (await fresh.get(f"_history?_since={later}")).json


@pytest.mark.parametrize(
    "query",
    ["_since=yesterday", "_count=x", "_count=²", "_before=x", "_since=2_24", "name=x", "_at=20"],
)
async def test_a_history_refuses_what_it_does_not_understand(fhir: Api, query: str) -> None:
    await fhir.put("Patient/hq", patient("hq"))
    for path in ("Patient/hq/_history", "Patient/_history", "_history"):
        reply = await fhir.get(f"{path}?{query}")
        assert reply.status == 400, reply


@pytest.mark.asvs("v5.0.0-1.4.2")
async def test_numbers_beyond_the_database_are_no_error_of_ours(fhir: Api) -> None:
    await fhir.put("Patient/big", patient("big"))
    for path in ("Patient/big/_history", "Patient/_history", "Patient/big/$everything"):
        for name in ("_before", "_after", "_count"):
            for n in ("99999999999999999999", "9223372036854775807", "-9223372036854775808", "0"):
                reply = await fhir.get(f"{path}?{name}={n}")
                assert reply.status in (200, 400), (path, name, n, reply)


# conditions in headers


async def test_an_unchanged_resource_is_not_sent_again(fhir: Api) -> None:
    made = await fhir.put("Patient/same", patient("same"))
    tag = made.headers["etag"]
    reply = await fhir.get("Patient/same", if_none_match=tag)
    assert (reply.status, reply.content) == (304, b"")
    assert reply.headers["etag"] == tag
    assert (await fhir.get("Patient/same", if_none_match='W/"7"')).status == 200
    now = format_datetime(datetime.now(UTC), usegmt=True)
    assert (await fhir.get("Patient/same", if_modified_since=now)).status == 304
    early = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert (await fhir.get("Patient/same", if_modified_since=early)).status == 200
    assert (await fhir.get("Patient/same", if_modified_since="nonsense")).status == 200


@pytest.mark.asvs("v5.0.0-2.3.4")
async def test_if_match_guards_against_lost_updates(fhir: Api) -> None:
    await fhir.put("Patient/guard", patient("guard"))
    assert (await fhir.put("Patient/guard", patient("guard"), if_match='W/"1"')).status == 200
    stale = await fhir.put("Patient/guard", patient("guard"), if_match='W/"1"')
    assert stale.status == 412
    assert "2" in stale.words
    assert (await fhir.put("Patient/guard", patient("guard"), if_match="nonsense")).status == 400
    odd = {"if-match": 'W/"²"'.encode("latin-1")}
    assert (await fhir.ask("PUT", "Patient/guard", patient("guard"), odd)).status == 400  # type: ignore[arg-type]
    assert (await fhir.delete("Patient/guard", if_match='W/"1"')).status == 412
    change = [{"op": "add", "path": "/gender", "value": "male"}]
    assert (await fhir.patch("Patient/guard", change, if_match='W/"1"')).status == 412
    assert (await fhir.patch("Patient/guard", change, if_match='W/"2"')).status == 200
    assert (await fhir.delete("Patient/guard", if_match='W/"3"')).status == 204
    assert (await fhir.put("Patient/nobody", patient("nobody"), if_match='W/"1"')).status == 412


async def test_if_none_match_star_creates_and_never_overwrites(fhir: Api) -> None:
    assert (await fhir.put("Patient/star", patient("star"), if_none_match="*")).status == 201
    assert (await fhir.put("Patient/star", patient("star"), if_none_match="*")).status == 412


async def test_a_conditional_create_creates_once(fhir: Api) -> None:
    body = patient(identifier=[{"system": "http://cc", "value": "1"}])
    condition = "identifier=http://cc|1"
    first = await fhir.post("Patient", body, if_none_exist=condition)
    second = await fhir.post("Patient", body, if_none_exist=condition)
    assert (first.status, second.status) == (201, 200)
    assert first.json["id"] == second.json["id"]
    await fhir.post("Patient", body)
    assert (await fhir.post("Patient", body, if_none_exist=condition)).status == 412
    for bad in ("", "?", "nonsense=1", "identifier=", "_count=1", "identifier=%ff"):
        reply = await fhir.post("Patient", body, if_none_exist=bad or " ")
        assert reply.status == 400, (bad, reply)


async def test_a_conditional_update_creates_updates_or_refuses(fhir: Api) -> None:
    body = patient(identifier=[{"system": "http://cu", "value": "1"}])
    path = "Patient?identifier=http://cu|1"
    created = await fhir.put(path, body)
    assert created.status == 201, created
    updated = await fhir.put(path, body | {"gender": "female"})
    assert (updated.status, updated.json["id"]) == (200, created.json["id"])
    assert (await fhir.put(path, body | {"id": "another"})).status == 400
    await fhir.post("Patient", body)
    assert (await fhir.put(path, body)).status == 412
    named = await fhir.put("Patient?identifier=http://cu|2", body | {"id": "cu-named"})
    assert (named.status, named.json["id"]) == (201, "cu-named")


async def test_a_conditional_delete_deletes_one(fhir: Api) -> None:
    path = "Patient?identifier=http://cd|1"
    assert (await fhir.delete(path)).status == 204
    body = patient(identifier=[{"system": "http://cd", "value": "1"}])
    await fhir.post("Patient", body)
    assert (await fhir.delete(path)).status == 204
    assert (await fhir.get(path)).ids == []
    await fhir.post("Patient", body)
    await fhir.post("Patient", body)
    assert (await fhir.delete(path)).status == 412
    assert (await fhir.delete("Patient?nonsense=1")).status == 400
    assert (await fhir.delete("Patient")).status == 405


async def test_prefer_return_chooses_what_a_write_answers(fhir: Api) -> None:
    minimal = await fhir.post("Patient", patient(), prefer="return=minimal")
    assert (minimal.status, minimal.content) == (201, b"")
    assert "location" in minimal.headers
    whole = await fhir.post("Patient", patient(), prefer="return=representation")
    assert whole.json["resourceType"] == "Patient"
    outcome = await fhir.post("Patient", patient(), prefer="return=OperationOutcome")
    assert outcome.json["resourceType"] == "OperationOutcome"


# what the API does not do, said clearly


async def test_head_answers_as_get_without_a_body(fhir: Api) -> None:
    await fhir.put("Patient/head", patient("head"))
    for path in ("Patient/head", "Patient?_id=head", "metadata", "Patient/head/_history"):
        reply = await fhir.ask("HEAD", path)
        assert (reply.status, reply.content) == (200, b""), path
        assert int(reply.headers["content-length"]) > 0


@pytest.mark.asvs("v5.0.0-3.5.3")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "Patient"), ("DELETE", "Patient"), ("PATCH", "Patient"), ("POST", "Patient/x"),
        ("PUT", ""), ("DELETE", ""), ("POST", "metadata"), ("POST", "Patient/x/_history"),
        ("DELETE", "Patient/x/_history/1"), ("GET", "Patient/_search"), ("GET", "_search"),
        ("GET", "Patient/$nonsense"), ("GET", "Patient/x/$nonsense"), ("POST", "_history"),
        ("GET", "Patient/x/Observation/y"), ("GET", "Observation/x/Patient"), ("PUT", "_history"),
    ],
)  # fmt: skip
async def test_what_is_not_offered_is_a_405(fhir: Api, method: str, path: str) -> None:
    reply = await fhir.ask(method, path, None)
    assert reply.status == 405, reply
    assert reply.json["issue"][0]["code"] == "not-supported"
    offered = reply.headers["allow"].split(", ")
    assert method not in offered
    assert ("POST" in offered) == (path in ("", "Patient", "Patient/_search", "_search"))


async def test_an_unknown_method_is_not_implemented(fhir: Api) -> None:
    assert (await fhir.ask("BREW", "Patient")).status == 501


@pytest.mark.asvs("v5.0.0-1.5.1")
async def test_xml_is_refused_in_words(fhir: Api) -> None:
    await fhir.put("Patient/xml", patient("xml"))
    xml = {"accept": "application/fhir+xml"}
    for method, path in (
        ("GET", "Patient/xml"), ("GET", "Patient"), ("GET", "Patient/xml/_history"),
        ("GET", "metadata"), ("GET", "Patient/xml/_history/1"), ("GET", "Patient/xml/$everything"),
        ("DELETE", "Patient/xml"), ("GET", "Patient/xml?_format=xml"), ("GET", "Patient?_format=xml"),
    ):  # fmt: skip
        reply = await fhir.ask(method, path, None, xml if "_format" not in path else None)
        assert reply.status == 406, (path, reply)
        assert "JSON" in reply.words
    for method, path in (
        ("POST", "Patient"),
        ("PUT", "Patient/xml"),
        ("POST", ""),
        ("POST", "Binary"),
    ):
        reply = await fhir.ask(
            method, path, b"<Patient/>", {"content-type": "application/fhir+xml"}
        )
        assert reply.status == 415, (path, reply)
        assert "XML" in reply.words
    assert (await fhir.get("Patient/xml")).status == 200


async def test_format_and_accept_take_every_name_of_json(fhir: Api) -> None:
    await fhir.put("Patient/json", patient("json"))
    for f in ("json", "application/json", "application/fhir%2Bjson", "text/json"):
        assert (await fhir.get(f"Patient/json?_format={f}", accept="text/html")).status == 200
    for a in ("*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8"):
        assert (await fhir.get("Patient/json", accept=a)).status == 200


@pytest.mark.asvs("v5.0.0-3.5.2")
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "", "application/x-ndjson"])
async def test_a_body_of_another_kind_is_a_415(fhir: Api, kind: str) -> None:
    reply = await fhir.ask(
        "POST", "Patient", json.dumps(patient()).encode(), {"content-type": kind}
    )
    assert reply.status == 415, reply


@pytest.mark.asvs("v5.0.0-13.4.5", "v5.0.0-8.2.1", "v5.0.0-3.5.2")
async def test_without_a_token_everything_but_the_open_documents_is_401(fhir: Api) -> None:
    nobody = fhir.as_("nobody")
    for path in ("Patient", "Patient/x", "_history", "Patient/x/$everything", ""):
        reply = await nobody.get(path)
        assert reply.status == 401
        assert "www-authenticate" in reply.headers
    assert (await nobody.post("", bundle("batch"))).status == 401
    assert (await nobody.get("metadata")).status == 200


async def test_errors_come_in_the_language_asked_for(fhir: Api) -> None:
    swedish = await fhir.get("Patient/finns-inte", accept_language="sv-SE,en;q=0.5")
    english = await fhir.get("Patient/finns-inte", accept_language="en")
    assert "finns inte" in swedish.json["issue"][0]["details"]["text"]
    assert "is not here" in english.json["issue"][0]["details"]["text"]


@pytest.mark.asvs("v5.0.0-15.3.1")
async def test_summary_and_elements_send_less_and_say_so(fhir: Api) -> None:
    await fhir.put(
        "Observation/less",
        observation(
            "less", valueQuantity={"value": 1, "unit": "mg"}, note=[{"text": "n"}],
            text={"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">n</div>"},
        ),
    )  # fmt: skip

    async def members(query: str) -> set[str]:
        one = (await fhir.get(f"Observation/less?{query}")).json
        searched = (await fhir.get(f"Observation?_id=less&{query}")).json["entry"][0]["resource"]
        assert one == searched
        marks = [t["code"] for t in one["meta"].get("tag", [])]
        assert ("SUBSETTED" in marks) == (query != "_summary=false"), marks
        return set(one) - {"resourceType", "id", "meta"}

    assert await members("_summary=true") == {"status", "code", "valueQuantity"}
    assert await members("_summary=text") == {"status", "code", "text"}
    assert await members("_summary=data") == {"status", "code", "valueQuantity", "note"}
    assert await members("_summary=false") == {"status", "code", "valueQuantity", "note", "text"}
    assert await members("_elements=note") == {"status", "code", "note"}
    assert await members("_elements=value,Observation.note") == {
        "status", "code", "note", "valueQuantity",
    }  # fmt: skip
    assert await members("_elements=note.text") == {"status", "code", "note"}
    count = (await fhir.get("Observation?_id=less&_summary=count")).json
    assert count["total"] == 1 and "entry" not in count


async def test_the_capability_statement_is_a_valid_resource_that_tells_the_truth(fhir: Api) -> None:
    reply = await fhir.get("metadata")
    statement = reply.json
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
    assert (await fhir.as_("nobody").ask("POST", "metadata")).status == 401
    kinds = {r["type"] for r in statement["rest"][0]["resource"]}
    assert {"Patient", "Observation", "Binary"} <= kinds
    stored = await fhir.post("CapabilityStatement", statement)
    assert stored.status == 201, stored


@pytest.mark.parametrize("path", ["Patient/then/_history", "Patient/_history", "_history"])
async def test_a_history_can_be_asked_what_was_current(fresh: Api, path: str) -> None:
    """`_at`: the versions that were current at some moment of the span, whenever they were made."""
    times = []
    for family in ("Ett", "Två", "Tre"):
        reply = await fresh.put("Patient/then", patient("then", family))
        times.append(reply.json["meta"]["lastUpdated"])
        await asyncio.sleep(0.01)
    for number, at in enumerate(times, 1):
        found = (await fresh.get(f"{path}?_at={at}")).json["entry"]
        assert [e["resource"]["meta"]["versionId"] for e in found] == [str(number)], at
    day = (await fresh.get(f"{path}?_at={times[0][:10]}")).json["entry"]
    assert [e["resource"]["meta"]["versionId"] for e in day] == ["3", "2", "1"]
    assert "entry" not in (await fresh.get(f"{path}?_at=2001")).json
    now = (await fresh.get(f"{path}?_at=2099")).json["entry"]
    assert [e["resource"]["meta"]["versionId"] for e in now] == ["3"]
