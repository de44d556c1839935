"""Bad input: refused in words, nothing half written, nothing falls over."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .api import Api, api, bundle, entry, observation, patient

# to be taken away with the fault: the marks are strict


def counted(dsn: str) -> tuple[int, ...]:
    """Rows of every table of the record."""
    with psycopg.connect(dsn) as connection:
        return tuple(
            (connection.execute(f"SELECT count(*) FROM store.{t}").fetchone() or (0,))[0]  # type: ignore[call-overload]
            for t in ("resource", "history", "event", "string", "date", "quantity")
        )


def body(inside: str, kind: str = "Patient") -> bytes:
    return (f'{{"resourceType":"{kind}"' + ("," + inside if inside else "") + "}").encode()


DEEP = 100_000
BAD: dict[str, bytes] = {
    "nothing": b"",
    "half a brace": b"{",
    "a word": b"hello",
    "a number": b"7",
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "no such type": b'{"resourceType":"Nonsense"}',
    "type not text": b'{"resourceType":7}',
    "trailing text": body("") + b"x",
    "two documents": body("") + body(""),
    "single quotes": b"{'resourceType':'Patient'}",
    "a comment": b'{"resourceType":"Patient"/*x*/}',
    "a byte order mark": b"\xef\xbb\xbf" + body("") + b"}",
    "utf-16": body("").decode().encode("utf-16"),
    "broken utf-8": b'{"resourceType":"Patient","name":[{"family":"\xff\xfe"}]}',
    "cut utf-8": b'{"resourceType":"Patient","name":[{"family":"\xc3"}]}',
    "a lone surrogate": body('"name":[{"family":"\\ud800"}]'),
    "a NUL in a string": body('"name":[{"family":"a\\u0000b"}]'),
    "a raw NUL": b'{"resourceType":"Patient","name":[{"family":"a\x00b"}]}',
    "a raw newline": b'{"resourceType":"Patient","name":[{"family":"a\nb"}]}',
    "a control character": body('"name":[{"family":"\\u0001"}]'),
    "an unknown member": body('"nme":1'),
    "an unknown member inside": body('"name":[{"famly":"x"}]'),
    "a member twice": body('"gender":"male","gender":"female"'),
    "a member twice inside": body('"name":[{"family":"a","family":"b"}]'),
    "an empty object inside": body('"name":[{}]'),
    "an empty list": body('"name":[]'),
    "an empty string": body('"gender":""'),
    "a null": body('"gender":null'),
    "an object for a list": body('"name":{"family":"x"}'),
    "a list for a text": body('"gender":["male"]'),
    "a number for a text": body('"gender":1'),
    "a text for a boolean": body('"active":"true"'),
    "a number for a boolean": body('"active":1'),
    "a code not allowed": body('"gender":"unknowable"'),
    "a day that is not": body('"birthDate":"2023-02-29"'),
    "a date with time": body('"birthDate":"2023-02-28T00:00:00Z"'),
    "two choices": body('"deceasedBoolean":true,"deceasedDateTime":"2020"'),
    "a reference to no type": body('"managingOrganization":{"reference":"Nonsense/1"}'),
    "a reference to another type": body('"managingOrganization":{"reference":"Patient/1"}'),
    "a text for a number": body('"status":"final","code":{"text":"x"},"valueQuantity":{"value":"1.5"}', "Observation"),
    "not a number": body('"status":"final","code":{"text":"x"},"valueQuantity":{"value":NaN}', "Observation"),
    "a number without end": body('"status":"final","code":{"text":"x"},"valueQuantity":{"value":1e999999}', "Observation"),
    "a very long number": body('"status":"final","code":{"text":"x"},"valueQuantity":{"value":' + "9" * 100_000 + "}", "Observation"),
    "an integer too large": body('"status":"final","code":{"text":"x"},"valueInteger":99999999999', "Observation"),
    "a required member missing": body('"status":"final"', "Observation"),
    "deep lists": b'{"resourceType":"Patient","name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"resourceType":"Patient","name":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep extensions": body('"extension":' + '[{"url":"u","extension":' * 200 + '[{"url":"u","valueBoolean":true}]' + "}]" * 200),
    "deep and never closed": b'{"resourceType":"Patient","name":' + b"[" * DEEP,
}  # fmt: skip


@pytest.mark.asvs("v5.0.0-2.2.1", "v5.0.0-2.2.2", "v5.0.0-15.3.5", "v5.0.0-1.5.2", "v5.0.0-15.2.2")
@pytest.mark.parametrize("what", BAD)
async def test_a_bad_body_is_refused_in_words_and_nothing_is_written(fhir: Api, what: str) -> None:
    dsn = fhir.services.database.dsn
    before = counted(dsn)
    kind = "Observation" if b'"Observation"' in BAD[what] else "Patient"
    inside = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%s,"request":{"method":"POST","url":"%s"}}]}'
    for method, path, sent in (
        ("POST", kind, BAD[what]),
        ("PUT", f"{kind}/bad", BAD[what]),
        ("POST", "", inside % (BAD[what], kind.encode())),
        ("POST", f"{kind}?_x=1", BAD[what]),
    ):
        reply = await fhir.ask(method, path, sent)
        assert reply.status in (400, 413, 422), (method, path, reply)
        assert reply.json["issue"][0]["details"]["text"]
        assert len(reply.content) < 200_000
    assert counted(dsn) == before


@pytest.mark.asvs("v5.0.0-1.3.3")
async def test_long_strings_are_stored_and_found_or_refused_never_half(fhir: Api) -> None:
    dsn = fhir.services.database.dsn
    for text in ("x" * 10_000_000, "é" * 1500, "x y " * 20_000):
        before = counted(dsn)
        reply = await fhir.post("Patient", patient(family=text))
        if reply.status == 201:
            assert (await fhir.get(f"Patient/{reply.json['id']}")).json["name"][0]["family"] == text
        else:
            assert reply.status in (400, 413, 422), reply
            assert counted(dsn) == before


@pytest.mark.asvs("v5.0.0-5.2.1")
async def test_a_body_over_the_limit_is_refused_before_it_is_read(module_database: str) -> None:
    async with api(module_database, max_body_bytes=10_000) as fhir:
        big = json.dumps(patient(family="x" * 20_000)).encode()
        for method, path in (("POST", "Patient"), ("PUT", "Patient/x"), ("POST", ""), ("PATCH", "Patient/x"), ("POST", "Binary"),
                             ("POST", "Patient/$validate")):  # fmt: skip
            assert (await fhir.ask(method, path, big)).status == 413, path
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (
            await fhir.ask("POST", "Patient/_search", b"family=" + b"x" * 20_000, form)
        ).status == 413


@pytest.mark.asvs("v5.0.0-5.3.2", "v5.0.0-16.5.1")
@pytest.mark.parametrize(
    "path",
    [
        "Patient/..", "Patient/.", "Patient/%2e%2e", "Patient/%2e%2e%2fmetadata", "Patient/%00", "Patient/a%00b",
        "Patient/" + "a" * 65, "Patient/" + "a" * 5000, "Patient/a b", "Patient/å", "Patient/%ff", "Patient/a%2fb", "Patient/'",
        "Patient/a;b", "Patient/*", "patient/x", "Patients/x", "Patient/$", "Patient/_", "%00", "..%2f..%2fetc%2fpasswd", "$", "_",
        "Patient/x/..%2f", "Patient/x/_history/..", "Patient/x/_history/%00", "Patient/%252e%252e", "Patient/x/y/z/w/v", "💥",
    ],
)  # fmt: skip
async def test_path_tricks_lead_nowhere(fhir: Api, path: str) -> None:
    for method in ("GET", "DELETE"):
        reply = await fhir.ask(method, path)
        assert reply.status in (400, 404, 405) or (
            path in ("Patient/..", "Patient/.") and reply.status in (200, 405)
        ), reply
        assert b"Traceback" not in reply.content and b"psycopg" not in reply.content
    if not path.endswith("/.."):  # httpx itself resolves that one
        reply = await fhir.put(path, patient("x"))
        assert reply.status in (400, 404, 405), reply


async def test_an_odd_but_lawful_id_is_an_id(fhir: Api) -> None:
    for id in ("-", ".", "..", "a.b-C9", "0" * 64):
        reply = await fhir.post(
            "", bundle("transaction", entry("PUT", f"Patient/{id}", patient(id)))
        )
        assert reply.status == 200, (id, reply)
        assert (await fhir.get(f"Patient?_id={id}")).ids == [id]


@pytest.mark.asvs("v5.0.0-1.4.2")
@pytest.mark.parametrize(
    "date",
    [
        "9999-12-31",
        "0001-01-01",
        "9999",
        "9999-12",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2016-12-31T23:59:60Z",
    ],
)
async def test_the_last_and_first_dates_can_be_stored(fhir: Api, date: str) -> None:
    reply = await fhir.post("Observation", observation(effectiveDateTime=date))
    assert reply.status == 201, reply
    reply = await fhir.post("Observation", observation(effectivePeriod={"end": date}))
    assert reply.status == 201, reply


async def test_a_long_text_of_many_bytes_can_be_stored(fhir: Api) -> None:
    import random

    letters = random.Random(1)
    text = "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(1000))
    reply = await fhir.post("Patient", patient(family=text))
    assert reply.status == 201, reply
    assert reply.json["id"] in (await fhir.get(f"Patient?family={text[:40]}")).ids


@pytest.mark.asvs("v5.0.0-1.2.3", "v5.0.0-1.2.4")
async def test_strange_letters_in_text_are_only_text(fhir: Api) -> None:
    for text in (
        "'; DROP TABLE store.resource; --",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "%s %(x)s",
        "\\N",
        "\t|\t",
        'a\\b"c',
    ):
        made = await fhir.post(
            "Patient", patient(family=text, identifier=[{"system": "http://h", "value": text}])
        )
        assert made.status == 201, (text, made)
        assert (await fhir.get(f"Patient/{made.json['id']}")).json["name"][0]["family"] == text
    entries: list[dict[str, Any]] = [
        entry("POST", "Patient", patient(family=f"\t\\N\n{n}\\")) for n in range(8)
    ]
    made = await fhir.post("", bundle("transaction", *entries))
    assert made.status == 200, made


@pytest.mark.asvs("v5.0.0-16.5.1")
async def test_broken_headers_are_no_error_of_ours(fhir: Api) -> None:
    await fhir.put("Patient/h", patient("h"))
    for headers in (
        {"prefer": "return"}, {"prefer": ";;,=,"}, {"accept": ";;;"}, {"if-none-match": "\"\""}, {"if-modified-since": "32 Foo 99"},
        {"accept-language": ",,;q=x"}, {"content-type": ";"}, {"content-length": "-5"}, {"if-match": "W/\"99999999999\""},
    ):  # fmt: skip
        for method in ("GET", "PUT"):
            reply = await fhir.ask(
                method, "Patient/h", patient("h") if method == "PUT" else None, headers
            )
            assert reply.status < 500, (headers, reply)
