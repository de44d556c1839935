"""Order, pages, totals, and what is not understood or is meant to do harm."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from sammanhang.rest.app import fhir_app
from sammanhang.rest.tests.api import BASE, Api, observation, patient, pretended

UCUM = "http://unitsofmeasure.org"
ROWS = [
    observation("s1", code="sort", effectiveDateTime="2020-01-01", status="final",
                valueQuantity={"value": 3, "system": UCUM, "code": "g"}, subject="Patient/b"),
    observation("s2", code="sort", effectiveDateTime="2022-01-01", status="amended",
                valueQuantity={"value": 2000, "system": UCUM, "code": "mg"}, subject="Patient/c"),
    observation("s3", code="sort", status="preliminary",
                valueQuantity={"value": 1, "comparator": "<", "system": UCUM, "code": "g"}),
    observation("s4", code="sort", effectiveDateTime="2021-01-01", status="final", subject="Patient/a"),
    observation("s5", code="sort", effectivePeriod={"start": "2020-06-01"}, status="final",
                valueQuantity={"value": 4, "comparator": ">", "system": UCUM, "code": "g"}),
]  # fmt: skip
PEOPLE = [
    patient("p1", "Ek", birthDate="1990-01-01", gender="male") | {"address": [{"city": "Ökna"}]},
    patient("p2", "Al", birthDate="1980-01-01", gender="female"),
    patient("p3", "ek", birthDate="1970-01-01") | {"address": [{"city": "Borås"}]},
    patient("p4", "Äng", gender="female", identifier=[{"system": "http://x", "value": "9"}]),
    {"resourceType": "Patient", "id": "p5", "birthDate": "1985-01-01"},
]  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    """The API with the resources above stored once."""
    if (await fhir.get("Patient/p1")).status == 404:
        await fhir.store(*ROWS, *PEOPLE)
    return fhir


async def pages(fhir: Api, path: str) -> list[str]:
    """Ids of every page, in order."""
    reply = await fhir.get(path)
    found = list(reply.ids)
    while following := reply.link("next"):
        reply = await fhir.get(following)
        assert reply.ids, "an empty page"
        found += reply.ids
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?code=sort&_sort=date", "s1 s5 s4 s2 s3"),
        ("Observation?code=sort&_sort=-date", "s2 s4 s5 s1 s3"),
        ("Observation?code=sort&_sort=status,-date", "s2 s4 s5 s1 s3"),
        ("Observation?code=sort&_sort=-status,date", "s3 s1 s5 s4 s2"),
        ("Observation?code=sort&_sort=value-quantity", "s3 s2 s1 s5 s4"),
        ("Observation?code=sort&_sort=-value-quantity,_id", "s5 s1 s2 s3 s4"),
        ("Observation?code=sort&_sort=subject,_id", "s4 s1 s2 s3 s5"),
        ("Observation?code=sort&_sort=-subject,_id", "s2 s1 s4 s3 s5"),
        ("Observation?code=sort&_sort=-_id", "s5 s4 s3 s2 s1"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=family,_id", "p2 p4 p1 p3 p5"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=-family,birthdate", "p3 p1 p4 p2 p5"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=birthdate", "p3 p2 p5 p1 p4"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=-birthdate", "p1 p5 p2 p3 p4"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=gender,-family", "p4 p2 p1 p3 p5"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=address-city,_id", "p3 p1 p2 p4 p5"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=identifier,_id", "p4 p1 p2 p3 p5"),
        ("Patient?_id=p1,p2,p3,p4,p5&_sort=_lastUpdated,_id", "p1 p2 p3 p4 p5"),
    ],
)  # fmt: skip
async def test_order_holds_over_pages_and_missing_values_come_last(
    known: Api, query: str, expected: str, count: int
) -> None:
    assert await pages(known, f"{query}&_count={count}") == expected.split()


async def test_pages_while_others_write_neither_repeat_nor_skip(known: Api) -> None:
    ids = [f"page{n:03}" for n in range(60)]
    await known.store(
        *(patient(i, "Page", birthDate=f"19{n % 40 + 10}-01-01") for n, i in enumerate(ids))
    )
    done = asyncio.Event()

    async def disturb() -> None:
        n = 0
        while not done.is_set():
            n += 1
            await known.put(
                f"Patient/new{n}", patient(f"new{n}", "Page", birthDate=f"19{n % 60 + 10}-06-01")
            )
            await known.put(f"Patient/other{n % 3}", patient(f"other{n % 3}", "Page"))
            await known.delete(f"Patient/new{max(1, n - 2)}")

    writer = asyncio.create_task(disturb())
    try:
        for sort in (
            "",
            "&_sort=birthdate",
            "&_sort=-birthdate,family",
            "&_sort=_id",
            "&_sort=family",
        ):
            found = await pages(known, f"Patient?family=page&_count=7{sort}")
            assert [i for i in found if i.startswith("page")].__len__() == 60, sort
            assert len(found) == len(set(found)), sort
            assert {i for i in found if i.startswith("page")} == {*ids}
    finally:
        done.set()
        await writer


async def test_totals_tell_how_many_as_asked(known: Api) -> None:
    query = "Observation?code=sort&_count=2"
    assert (await known.get(query)).json["total"] == 5
    assert (await known.get(f"{query}&_total=accurate")).json["total"] == 5
    assert "total" not in (await known.get(f"{query}&_total=none")).json
    following = (await known.get(f"{query}&_total=accurate")).link("next")
    assert (await known.get(following or "")).json["total"] == 5
    for none in ("_count=0", "_summary=count"):
        reply = (await known.get(f"Observation?code=sort&{none}")).json
        assert reply["total"] == 5 and "entry" not in reply
    assert len((await known.get("Patient?_count=99999")).ids) <= 1000


async def test_self_says_what_was_understood(known: Api) -> None:
    reply = await known.get("Observation?code=sort&nonsense=1&_sort=-date&_format=json")
    link = reply.link("self") or ""
    assert "code=sort" in link and "_sort=-date" in link and "nonsense" not in link
    assert len(reply.ids) == 5


@pytest.mark.parametrize(
    "query",
    ["nonsense=1", "code:nonsense=x", "date:exact=2020", "patient=", "code", "_id:contains=x", "_lastUpdated:missing=true",
     "patient.nonsense=1", "_has:Observation:has-member:nonsense=1", "_list=", "_count:x=1"],
)  # fmt: skip
async def test_what_is_not_known_is_told_or_under_strict_refused(known: Api, query: str) -> None:
    reply = await known.get(f"Observation?code=sort&{query}")
    assert reply.status == 200, reply
    assert len(reply.ids) == 5
    outcomes = [e for e in reply.json["entry"] if e["search"]["mode"] == "outcome"]
    assert outcomes[0]["resource"]["issue"][0]["severity"] == "warning"
    strict = await known.get(f"Observation?code=sort&{query}", prefer="handling=strict")
    assert strict.status == 400, strict


@pytest.mark.parametrize(
    "query",
    ["_sort=nonsense", "_sort=code-value-quantity", "_sort=", "_sort=date,,status", "_count=x", "_count=-1", "_count=²",
     "_total=maybe", "_summary=maybe", "_after=x", "_after=W10", "_after=eyJhIjoxfQ", "_filter=x", "_query=x", "_text=x",
     "_content=x", "_contained=true", "code:missing=maybe", "patient:missing=", "identifier:of-type=x", "code=,",
     "identifier:of-type=a|b", "_list=$x", "value-concept:in=x", "_type=Patient", "_include:x=Observation:subject", "_has:x=1"],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused(known: Api, query: str) -> None:
    reply = await known.get(f"Observation?{query}", prefer="handling=strict")
    assert reply.status == 400, reply
    assert reply.json["issue"][0]["details"]["text"]


async def test_a_page_link_of_another_order_is_refused(known: Api) -> None:
    link = (await known.get("Observation?code=sort&_sort=-date&_count=2")).link("next") or ""
    after = link.split("_after=")[1]
    for sort in (
        "",
        "&_sort=status",
        "&_sort=value-quantity",
        "&_sort=-date,status",
        "&_sort=date",
    ):
        assert (await known.get(f"Observation?code=sort{sort}&_after={after}")).status == 400, sort


async def test_a_search_by_post_is_a_search_by_get(known: Api) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("Observation/_search", "Observation/_search?code=sort"):
        reply = await known.ask("POST", path, b"code=sort&_sort=-date", form)
        assert reply.ids == ["s2", "s4", "s5", "s1", "s3"]
    reply = await known.ask("POST", "_search", b"_type=Observation&code=sort&_count=2", form)
    assert reply.json["total"] == 5
    following = await known.get(reply.link("next") or "")
    assert len(following.ids) == 2
    assert (await known.ask("POST", "Observation/_search", b"\xff\xfe", form)).status == 400
    assert (
        await known.ask(
            "POST", "Observation/_search", b'{"code":"sort"}', {"content-type": "application/json"}
        )
    ).status == 415
    assert len((await known.ask("POST", "Observation/_search?code=sort", None)).ids) == 5


HARM = [
    "'", "''", "\"", "';DROP TABLE store.resource;--", "1' OR '1'='1", "\\", "\\'", "%", "_", "$", "|", "||", "|||", ",", "${x}",
    "{{7*7}}", "<script>", "\") ? (@ like_regex \".*\")", "$.** ? (@ == 1)", "\\u0000", "\\x00", "a\nb", "\t", "\x7f",
    "😀", "\u202e", "𝔘", "{}", "[]", "()", "*", "^(a+)+$", "?", "#", "&", ";", "%s", "%(x)s", "%%", "a" * 5000, "-1",
    "9" * 100, "1e308", "http://" + "a" * 3000, "Patient/" + "a" * 70, "ge", "eq'", "2020' OR 1=1", "http://x|y|z|w",
]  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
async def test_harmful_values_are_values(known: Api, harm: str) -> None:
    v = quote(harm, safe="")
    for query in (
        f"Patient?family={v}", f"Patient?family:exact={v}", f"Patient?family:contains={v}", f"Patient?identifier={v}",
        f"Patient?identifier:text={v}", f"Patient?identifier:not={v}", f"Patient?identifier:of-type={v}",
        f"Patient?birthdate={v}", f"Patient?_id={v}", f"Patient?_tag={v}", f"Patient?_profile={v}", f"Patient?_profile:below={v}",
        f"Patient?_source:above={v}", f"Patient?organization={v}", f"Patient?organization.name={v}", f"Patient?_list={v}",
        f"Patient?_has:Observation:patient:code={v}", f"Observation?code-value-quantity={v}", f"Observation?value-quantity={v}",
        f"Observation?code:in={v}", f"Observation?code:below={v}", f"Patient?_sort={v}", f"Patient?_count={v}",
        f"Patient?_after={v}", f"Patient?_include={v}", f"Patient?_elements={v}&_count=1", f"Patient?{v}=1&_count=1",
        f"Patient?family:{v}=1&_count=1", f"Patient?organization.{v}=1&_count=1", f"?_type={v}", f"ValueSet?url:below={v}",
        f"Patient?_lastUpdated={v}", f"Patient?organization:identifier={v}", f"Patient/{v}", f"{BASE}/{v}", f"Patient/p1/_history/{v}",
        f"RiskAssessment?probability={v}", f"Patient/{v}/$everything", f"Patient?_summary={v}", f"Patient?_format={v}",
    ):  # fmt: skip
        reply = await known.get(query)
        assert reply.status in (200, 400, 404, 405, 406), (query[:100], reply)
    assert (await known.get("Patient/p1")).status == 200


async def test_nul_and_broken_encoding_are_refused(known: Api) -> None:
    for query in (
        "family=%00",
        "%00=1",
        "family=a%00b",
        "_id=%00",
        "code:text=%00",
        "family=%ff",
        "family=%c3",
        "family=%ed%a0%80",
    ):
        assert (await known.get(f"Patient?{query}", prefer="handling=strict")).status == 400, query
    many = "&".join(f"family=x{n}" for n in range(300))
    assert (await known.get(f"Patient?{many}")).status == 400
    assert (await known.get("Patient?family=%zz")).ids == []


async def test_letters_not_percent_encoded_are_read_as_utf8(known: Api) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    app = fhir_app(known.services, authenticate=pretended)
    for query in ("family=äng".encode(), "family=äng".encode("latin-1")):
        scope = {"type": "http", "method": "GET", "path": "/Patient", "query_string": query,
                 "headers": [(b"authorization", b"Bearer all")]}  # fmt: skip
        await app(scope, receive, send)
        assert sent[0]["status"] == 200
        assert b'"id":"p4"' in sent[1]["body"]
        sent.clear()


@pytest.mark.asvs("v5.0.0-15.2.2", "v5.0.0-4.3.1")
async def test_a_search_that_takes_too_long_is_stopped(known: Api, monkeypatch: Any) -> None:
    from sammanhang.rest import search as module

    real = module.run

    async def slow(connection: Any, *args: Any, **more: Any) -> Any:
        await connection.execute("SET statement_timeout = 50")
        try:
            await connection.execute("SELECT pg_sleep(5)")
        finally:
            await connection.execute("SET statement_timeout = 10000")
        return await real(connection, *args, **more)

    monkeypatch.setattr(module, "run", slow)
    reply = await known.get("Patient")
    assert reply.status == 403
    assert reply.json["issue"][0]["code"] == "too-costly"
    monkeypatch.undo()
    assert (await known.get("Patient/p1")).status == 200
