"""Decoding holds for any bytes: our errors or a resource, and what was decoded comes back the same."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sammanhang.fhir import decode
from sammanhang.kernel.errors import SammanhangError

from . import examples

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
names = st.text(max_size=8) | st.sampled_from(
    [
        "resourceType",
        "id",
        "name",
        "_name",
        "extension",
        "contained",
        "valueString",
        "meta",
        "text",
        "url",
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_resource_or_one_of_our_errors(body: bytes) -> None:
    try:
        decode.decode(body)
    except SammanhangError as e:
        assert e.en and e.sv


@settings(max_examples=300, deadline=None)
@given(
    anything,
    st.sampled_from(["Patient", "Observation", "Bundle", "Parameters", "Questionnaire", None]),
)
def test_any_json_gives_a_resource_or_one_of_our_errors(value: Any, kind: str | None) -> None:
    if isinstance(value, dict) and kind:
        value = {**value, "resourceType": kind}
    try:
        decode.decode(body_of(value))
    except SammanhangError as e:
        assert e.issues and all(i.sv and i.en and i.code for i in e.issues)


@examples.here
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(examples.small_files())
def test_a_valid_resource_survives_being_decoded_and_written(path: Any) -> None:
    try:
        resource = decode.decode(path.read_bytes())
    except SammanhangError:
        return  # some official examples break a rule: see docs/reference/conformance.md
    again = decode.encode(resource)
    assert decode.encode(decode.decode(again)) == again
    assert json.loads(again, parse_float=Decimal) == examples.read(path)


digits = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6
)


@settings(max_examples=200, deadline=None)
@given(digits, st.integers(0, 6))
def test_every_digit_of_a_decimal_comes_back(number: Decimal, places: int) -> None:
    text = format(number.quantize(Decimal(1).scaleb(-places)), "f")
    assume(text != "-0")  # a whole number has no sign of its zero
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        f'"valueQuantity":{{"value":{text}}}}}'
    ).encode()
    assert decode.encode(decode.decode(body)) == body


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=50))
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    body = json.dumps({"resourceType": "Patient", "name": [{"text": text}]}).encode()
    try:
        resource = decode.decode(body)
    except SammanhangError:
        assert any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text)
        return
    assert resource.name[0].text == text
    assert json.loads(decode.encode(resource))["name"][0]["text"] == text
