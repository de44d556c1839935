"""Bindings and value sets added at run time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sammanhang.fhir.validator import Definitions, validate

SYSTEM = "http://example.se/cs"


def code_system(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": SYSTEM,
        "content": "complete",
        "concept": [
            {"code": "animal", "concept": [
                {"code": "cat", "property": [{"code": "tame", "valueBoolean": True}]},
                {"code": "lynx", "concept": [{"code": "kitten"}]},
            ]},
            {"code": "plant"},
        ],
        **more,
    }  # fmt: skip


def value_set(
    include: list[dict[str, Any]], exclude: list[dict[str, Any]] | None = None, name: str = "v"
) -> dict[str, Any]:
    compose = {"include": include, **({"exclude": exclude} if exclude else {})}
    return {"resourceType": "ValueSet", "url": f"http://example.se/vs/{name}", "compose": compose}


def known(*resources: dict[str, Any]) -> Definitions:
    d = Definitions()
    for r in resources:
        assert d.add(r)
    return d


def is_a(op: str, value: str, name: str = "concept") -> dict[str, Any]:
    return {"system": SYSTEM, "filter": [{"property": name, "op": op, "value": value}]}


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([{"system": SYSTEM}], None, {"animal", "cat", "lynx", "kitten", "plant"}),
        ([{"system": SYSTEM, "concept": [{"code": "cat"}]}], None, {"cat"}),
        ([is_a("is-a", "animal")], None, {"animal", "cat", "lynx", "kitten"}),
        ([is_a("descendent-of", "lynx")], None, {"kitten"}),
        ([is_a("is-not-a", "animal")], None, {"plant"}),
        ([is_a("=", "true", "tame")], None, {"cat"}),
        ([is_a("in", "cat,plant")], None, {"cat", "plant"}),
        ([is_a("exists", "true", "tame")], None, {"cat"}),
        ([is_a("regex", "[cl].*")], None, {"cat", "lynx"}),
        ([{"system": SYSTEM}], [is_a("is-a", "lynx")], {"animal", "cat", "plant"}),
        ([{"valueSet": ["http://example.se/vs/inner"], "system": SYSTEM}], None, {"cat"}),
    ],
)
def test_members(include: list[dict[str, Any]], exclude: Any, expected: set[str]) -> None:
    inner = value_set([{"system": SYSTEM, "concept": [{"code": "cat"}]}], name="inner")
    d = known(code_system(), inner, value_set(include, exclude))
    assert d.members("http://example.se/vs/v|1.0") == {(SYSTEM, c) for c in expected}


def test_what_cannot_be_listed_is_still_judged_where_it_can_be() -> None:
    d = known(
        value_set(
            [{"system": "http://unknown.se"}, {"system": SYSTEM, "concept": [{"code": "cat"}]}]
        )
    )
    url = "http://example.se/vs/v"
    assert d.members(url) is None
    assert d.contains(url, SYSTEM, "cat") is True
    assert d.contains(url, SYSTEM, "dog") is False
    assert d.contains(url, "http://unknown.se", "x") is None
    assert d.contains(url, "http://other.se", "x") is False


def test_value_sets_that_include_each_other_end() -> None:
    a = value_set([{"valueSet": ["http://example.se/vs/b"]}], name="a")
    b = value_set([{"valueSet": ["http://example.se/vs/a"]}], name="b")
    d = known(a, b)
    assert d.members("http://example.se/vs/a") == frozenset()


def test_a_code_system_that_comes_later_is_used() -> None:
    d = known(value_set([{"system": SYSTEM}]))
    assert d.members("http://example.se/vs/v") is None
    d.add(code_system())
    assert len(d.members("http://example.se/vs/v") or ()) == 5


@pytest.mark.parametrize(
    ("strength", "concept", "severity"),
    [
        ("required", {"coding": [{"system": SYSTEM, "code": "cat"}]}, None),
        ("required", {"coding": [{"system": SYSTEM, "code": "plant"}]}, "error"),
        ("required", {"coding": [{"system": "http://o.se", "code": "cat"}]}, "error"),
        ("required", {"text": "katt"}, "error"),
        ("extensible", {"coding": [{"system": SYSTEM, "code": "plant"}]}, "warning"),
        ("extensible", {"coding": [{"system": "http://o.se", "code": "x"}]}, None),
        ("extensible", {"text": "katt"}, None),
        ("preferred", {"coding": [{"system": SYSTEM, "code": "plant"}]}, "warning"),
        ("example", {"coding": [{"system": SYSTEM, "code": "plant"}]}, None),
    ],
)
def test_strength_of_a_binding(
    strength: str, concept: dict[str, Any], severity: str | None
) -> None:
    binding = {"strength": strength, "valueSet": "http://example.se/vs/v"}
    element = {
        "id": "Patient.maritalStatus", "path": "Patient.maritalStatus", "binding": binding,
        "type": [{"code": "CodeableConcept"}],
    }  # fmt: skip
    profile = {
        "resourceType": "StructureDefinition", "url": "http://example.se/p", "kind": "resource", "type": "Patient",
        "derivation": "constraint", "snapshot": {"element": [{"id": "Patient", "path": "Patient"}, element]},
    }  # fmt: skip
    d = known(code_system(), value_set([is_a("is-a", "animal")]), profile)
    body = json.dumps({"resourceType": "Patient", "maritalStatus": concept}).encode()
    issues = validate(body, ["http://example.se/p"], definitions=d)
    found = [i.severity for i in issues if "example.se/vs" in i.en]
    assert found == ([severity] if severity else [])


def test_a_code_its_own_system_does_not_have_is_an_error() -> None:
    body = json.dumps(
        {
            "resourceType": "Patient",
            "maritalStatus": {"coding": [{"system": SYSTEM, "code": "dog"}]},
        }
    ).encode()
    errors = [i for i in validate(body, definitions=known(code_system())) if i.severity == "error"]
    assert [(i.code, i.expression) for i in errors] == [
        ("code-invalid", "Patient.maritalStatus.coding[0].code")
    ]
    fragment = known(code_system(content="fragment"))
    assert not [i for i in validate(body, definitions=fragment) if i.severity == "error"]
