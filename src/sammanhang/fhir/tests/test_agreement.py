"""The fast path and the validator that explains give the same verdict, on good resources and on bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from sammanhang.fhir import decode
from sammanhang.fhir.validator import explain_bytes
from sammanhang.kernel.errors import Issue

from . import examples


def verdicts(body: bytes) -> tuple[bool | None, list[Issue]]:
    """(whether the fast path takes the bytes, None when it asks; what the explaining one finds)."""
    issues = explain_bytes(body)
    try:
        kind = json.loads(body)["resourceType"]
        resource = decode.typed_decoder(kind).decode(body)
        if decode.second_pass(resource):
            return False, issues
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return False, issues
    return (None if decode.suspicious(body, resource) else True), issues


def assert_agree(body: bytes, name: str) -> None:
    fast, issues = verdicts(body)
    told = [f"{i.expression}: {i.en}" for i in issues]
    if fast is not None:
        assert fast == (not issues), f"{name}: fast path says {fast}, explained as {told}"
    # The walk has words of its own for everything; the decoder's words would mean it missed something.
    assert not any("kunde inte läsas" in i.sv for i in issues), f"{name}: {told}"


@examples.here
def test_both_agree_on_a_sample_of_the_official_examples() -> None:
    for path in examples.files(200_000)[::40]:
        assert_agree(path.read_bytes(), path.name)


@examples.here
@pytest.mark.slow
def test_both_agree_on_every_eighth_official_example() -> None:
    # Without the few bundles of many megabytes: what they hold stands in files of its own too.
    for path in examples.files(400_000)[::8]:
        assert_agree(path.read_bytes(), path.name)


@examples.here
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(examples.mutated())
def test_both_agree_on_examples_made_wrong(made: tuple[str, Any]) -> None:
    name, value = made
    assert_agree(examples.write(value), name)


@examples.here
@pytest.mark.slow
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(examples.mutated())
def test_both_agree_on_a_thousand_examples_made_wrong(made: tuple[str, Any]) -> None:
    name, value = made
    assert_agree(examples.write(value), name)


@examples.here
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(examples.mutated())
def test_what_the_second_pass_finds_is_told_by_the_explanation(made: tuple[str, Any]) -> None:
    name, value = made
    body = examples.write(value)
    try:
        resource = decode.typed_decoder(value["resourceType"]).decode(body)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return
    told = {i.expression for i in explain_bytes(body)}
    for issue in decode.second_pass(resource):
        place = issue.expression
        near = any(t == place or t.startswith(place + ".") or place.startswith(t) for t in told)
        assert near, f"{name}: {place} {issue.en} is not among {told}"


def test_an_example_file_is_found_where_the_tests_look() -> None:
    assert examples.OFFICIAL.parent.name == "node_modules"
    assert Path(examples.OFFICIAL).parents[1].joinpath("package.json").exists()


def test_extensions_beside_the_value_of_an_extension_are_checked_by_both() -> None:
    inner = {"url": "http://x.se/b", "extension": [{"url": "lang"}]}
    outer = {"url": "http://x.se/a", "valueString": "x", "_valueString": {"extension": [inner]}}
    body = json.dumps({"resourceType": "Patient", "extension": [outer]}).encode()
    fast, issues = verdicts(body)
    assert fast is False
    assert [i.expression for i in issues] == [
        "Patient.extension[0].value.ofType(string).extension[0].extension[0]"
    ]


def test_a_second_value_given_only_by_its_extension_is_one_too_many_for_both() -> None:
    reason = {"extension": [{"url": "http://x.se/b", "valueCode": "c"}]}
    extension = {"url": "http://x.se/a", "valueString": "x", "_valueInteger": reason}
    body = json.dumps({"resourceType": "Patient", "extension": [extension]}).encode()
    fast, issues = verdicts(body)
    assert fast is False and [i.code for i in issues] == ["structure"]


def test_an_element_definition_without_id_is_a_fault_and_not_a_crash() -> None:
    body = json.dumps(
        {
            "resourceType": "StructureDefinition",
            "url": "http://x.se/s",
            "name": "S",
            "status": "draft",
            "kind": "resource",
            "abstract": True,
            "type": "Patient",
            "differential": {"element": [{"path": "Patient"}]},
        }
    ).encode()
    fast, issues = verdicts(body)
    assert fast is False and any("sdf-" in i.en for i in issues)
