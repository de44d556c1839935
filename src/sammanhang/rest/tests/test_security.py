"""What the API refuses so that nothing sent to it harms whoever reads it, or whoever else asks."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from typing import Any

import pytest

from sammanhang.fhir.validation.expansion import _cheap
from sammanhang.kernel.content import content

from .api import Api, bundle, entry, observation, patient


@pytest.mark.asvs("v5.0.0-1.2.1", "v5.0.0-5.4.2", "v5.0.0-3.2.1", "v5.0.0-5.4.1")
@pytest.mark.parametrize(
    "kind",
    ["text/plain\nSet-Cookie: planted=1", "text/html\n\n<script>", "text/plain\tx", "å/å", "text", "text/plain; a=\"\n\""],
)  # fmt: skip
async def test_a_media_type_with_a_line_break_becomes_no_header(fhir: Api, kind: str) -> None:
    made = await fhir.post(
        "Binary",
        {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(b"<b>").decode()},
    )
    if made.status != 201:
        assert made.status in (400, 422), made
        return
    raw = await fhir.get(f"Binary/{made.json['id']}", accept="text/html")
    assert raw.headers["content-type"] == "application/octet-stream"
    assert "set-cookie" not in raw.headers
    assert raw.headers["content-disposition"] == f'attachment; filename="{made.json["id"]}"'
    assert "sandbox" in raw.headers["content-security-policy"]


@pytest.mark.asvs("v5.0.0-5.4.1", "v5.0.0-3.2.1")
async def test_what_somebody_stored_is_never_a_page_of_ours(fhir: Api) -> None:
    headers = {"content_type": "text/html"}
    made = await fhir.post("Binary", b"<script>alert(1)</script>", **headers)
    raw = await fhir.get(f"Binary/{made.json['id']}", accept="text/html,*/*;q=0.1")
    assert raw.headers["content-type"] == "text/html"
    assert raw.headers["content-disposition"].startswith("attachment")
    assert raw.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert raw.headers["x-content-type-options"] == "nosniff"


@pytest.mark.asvs("v5.0.0-1.3.1", "v5.0.0-1.3.4", "v5.0.0-1.3.5", "v5.0.0-1.5.1")
@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>", "<img src='x' onerror='alert(1)'/>", "<a href='javascript:alert(1)'>x</a>",
        "<svg><script>1</script></svg>", "<iframe src='https://evil.example'/>", "<style>*{}</style>", "<object data='x'/>",
        "<form action='https://evil.example'/>", "&xxe;", "<p onclick='x'>y</p>", "<link rel='stylesheet' href='x'/>",
    ],
)  # fmt: skip
async def test_a_narrative_that_could_run_or_fetch_is_refused(fhir: Api, inside: str) -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    reply = await fhir.post("Patient", patient(text={"status": "generated", "div": div}))
    assert reply.status in (400, 422), reply
    assert "narrative" in reply.words or "text.div" in reply.words, reply.words


@pytest.mark.asvs("v5.0.0-1.5.1")
async def test_a_narrative_reads_no_file_and_grows_no_bomb(fhir: Api) -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    for entity in (
        '<!DOCTYPE div [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>',
        f'<!DOCTYPE div [<!ENTITY l0 "lol">{lol}]>',
        '<!DOCTYPE div SYSTEM "http://127.0.0.1:1/x.dtd">',
    ):
        div = f'{entity}<div xmlns="http://www.w3.org/1999/xhtml">&xxe;&l9;</div>'
        began = time.monotonic()
        reply = await fhir.post("Patient", patient(text={"status": "generated", "div": div}))
        assert reply.status in (400, 422), reply
        assert "root:" not in reply.words and time.monotonic() - began < 2


@pytest.mark.asvs("v5.0.0-1.2.9", "v5.0.0-15.2.2", "v5.0.0-4.3.1")
async def test_no_pattern_somebody_sends_keeps_the_server_busy(fhir: Api) -> None:
    for slow in ("(a+)+$", "(.*)*x", "a*a*a*a*a*b", r"(a)\1", "(?:a|a)*", "(", "[a", "x" * 200):
        assert not _cheap(slow), slow
    for fine in ("[A-Z]{3}[0-9]+", "a.*", "(x|y)z", r"\d+\.\d+"):
        assert _cheap(fine), fine
    await fhir.put("Patient/slow", patient("slow", family="a" * 60))
    for condition in (
        "family.matches('(a+)+$')",
        "repeat(given).exists()",
        f"family = '{'a' * 2000}'",
    ):
        operation = [
            {"name": "type", "valueCode": "delete"},
            {"name": "path", "valueString": f"Patient.name.where({condition})"},
        ]
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": operation}],
        }
        began = time.monotonic()
        reply = await fhir.ask("PATCH", "Patient/slow", body)
        assert reply.status in (400, 422) and time.monotonic() - began < 2, reply


@pytest.mark.asvs("v5.0.0-15.3.7", "v5.0.0-15.3.5")
async def test_a_repeated_header_is_refused_and_a_repeated_parameter_means_both(fhir: Api) -> None:
    made = await fhir.post("Patient", patient(family="Dubbel"))
    path = f"http://127.0.0.1:8000/fhir/Patient/{made.json['id']}"
    for name in ("authorization", "content-type", "if-match"):
        twice = [(name, "Bearer nurse"), (name, "Bearer all"), ("accept", "*/*")]
        answer = await fhir.http.get(path, headers=twice)
        assert answer.status_code == 400 and name in answer.text, answer.text
    # FHIR: repeated means and (http://hl7.org/fhir/R4/search.html#combining); neither wins alone.
    assert (await fhir.get("Patient?family=Dubbel&family=Annan")).ids == []


@pytest.mark.asvs("v5.0.0-2.4.1")
async def test_staff_try_no_identity_numbers_in_series_through_the_api_either(fresh: Api) -> None:
    nurse = fresh.as_("nurse")
    most = content("rules/lookups")["most_not_found"]
    for n in range(most):
        reply = await nurse.get(f"Patient?identifier=1950010123{n:02d}")
        assert reply.status == 200, reply
    shut: Any = await nurse.get("Patient?identifier=193711042386")
    assert shut.status == 429 and int(shut.headers["retry-after"]) > 0
    assert shut.json["issue"][0]["code"] == "throttled"
    post = await nurse.post(
        "Patient/_search",
        b"identifier=193711042386",
        content_type="application/x-www-form-urlencoded",
    )
    assert post.status == 429
    through = await nurse.get("Observation?subject:Patient.identifier=193711042386")
    assert through.status == 429, through
    # Staff of the pages' kind go on by name; and programs of the region are not counted.
    assert (await nurse.get("Patient?family=Svea")).status == 200
    assert (await fresh.get("Patient?identifier=193711042386")).status == 200


@pytest.mark.asvs("v5.0.0-2.4.1", "v5.0.0-2.3.2")
async def test_many_numbers_in_one_question_count_as_many(fresh: Api) -> None:
    clinic = fresh.as_("clinic")
    most = content("rules/lookups")["most"]
    at_once = ",".join(f"1950010{n:05d}" for n in range(most + 1))
    assert (await clinic.get(f"Patient?identifier={at_once}")).status == 429
    some = ",".join(f"1950010{n:05d}" for n in range(30))
    assert (await clinic.get(f"Patient?identifier={some}")).status == 200
    assert (await clinic.get("Patient?identifier=193711042386")).status == 429


@pytest.mark.asvs("v5.0.0-2.4.1", "v5.0.0-2.3.2")
async def test_staff_do_not_page_through_the_register(fresh: Api) -> None:
    most = content("rules/lookups")["most_listed"]
    entries = [entry("POST", "Patient", patient(family="Lista")) for _ in range(300)]
    assert (await fresh.post("", bundle("transaction", *entries))).status == 200
    doctor = fresh.as_("doctor")
    listed = 0
    while (page := await doctor.get("Patient?family=Lista&_count=250")).status == 200:
        listed += len(page.ids)
        assert listed < most + 300
    assert page.status == 429 and listed >= most
    assert (await fresh.get("Patient?family=Lista&_count=250")).status == 200, (
        "a program of the region"
    )


@pytest.mark.asvs("v5.0.0-14.2.1")
async def test_a_search_can_be_sent_in_the_body(fhir: Api) -> None:
    made = await fhir.post(
        "Patient", patient(identifier=[{"system": "http://h", "value": "in-the-body"}])
    )
    await fhir.post("Observation", observation(made.json["id"]))
    found = await fhir.post(
        "Patient/_search",
        b"identifier=in-the-body",
        content_type="application/x-www-form-urlencoded",
    )
    assert found.ids == [made.json["id"]]


@pytest.mark.asvs("v5.0.0-2.4.1", "v5.0.0-15.2.2")
async def test_a_client_over_its_quota_waits_and_others_do_not(fresh: Api) -> None:
    services = fresh.services
    before = services.settings
    services.settings = replace(before, requests_per_minute=5)
    try:
        client, other = fresh.as_("region-client"), fresh.as_("town-client")
        answers = [(await client.get("metadata?x")).status for _ in range(3)]
        assert answers == [200] * 3, "open documents count for nobody"
        for _ in range(5):
            assert (await client.get("Patient?family=x")).status == 200
        shut = await client.get("Patient?family=x")
        assert shut.status == 429 and 0 < int(shut.headers["retry-after"]) <= 61
        assert (await other.get("Patient?family=x")).status == 200
    finally:
        services.settings = before
