"""What `explain_bytes` finds: every fault, where it is, in words a person understands."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from sammanhang.fhir import decode
from sammanhang.fhir.validator import explain_bytes
from sammanhang.kernel.errors import Invalid, SammanhangError, Unprocessable


def faults(**members: Any) -> set[tuple[str, str]]:
    """(code, expression) of everything wrong with a Patient of these members."""
    body = json.dumps({"resourceType": "Patient", **members}).encode()
    return {(i.code, i.expression) for i in explain_bytes(body)}


CASES: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"brithDate": "2000"}, {("structure", "Patient")}),
    ({"name": {"family": "A"}}, {("structure", "Patient.name")}),
    ({"name": []}, {("structure", "Patient.name")}),
    ({"name": [{}]}, {("structure", "Patient.name[0]")}),
    ({"name": [{"id": "x"}]}, {("invariant", "Patient.name[0]")}),
    ({"name": [{"given": ["A", ""]}]}, {("value", "Patient.name[0].given[1]")}),
    ({"name": [{"given": ["A", None]}]}, {("structure", "Patient.name[0].given")}),
    ({"name": [{"given": ["A"], "_given": [None, {"id": "x"}]}]},
     {("structure", "Patient.name[0].given"), ("invariant", "Patient.name[0].given[1]")}),
    ({"active": None}, {("structure", "Patient.active")}),
    ({"active": "true"}, {("structure", "Patient.active")}),
    ({"gender": "man"}, {("code-invalid", "Patient.gender")}),
    ({"gender": ["male"]}, {("structure", "Patient.gender")}),
    ({"birthDate": "2021-02-29"}, {("value", "Patient.birthDate")}),
    ({"birthDate": "29/2 2020"}, {("value", "Patient.birthDate")}),
    ({"deceasedBoolean": True, "deceasedDateTime": "2020"}, {("structure", "Patient")}),
    ({"deceasedDateTime": "2020-01-01T10:00:00"}, {("value", "Patient.deceased.ofType(dateTime)")}),
    ({"multipleBirthInteger": "2"}, {("structure", "Patient.multipleBirth.ofType(integer)")}),
    ({"multipleBirthInteger": 2.0}, {("value", "Patient.multipleBirth.ofType(integer)")}),
    ({"multipleBirthInteger": 10**400}, {("value", "Patient.multipleBirth.ofType(integer)")}),
    ({"id": "a/b"}, {("value", "Patient.id")}),
    ({"id": "a" * 65}, {("value", "Patient.id")}),
    ({"implicitRules": "a b"}, {("value", "Patient.implicitRules")}),
    ({"language": " sv"}, {("value", "Patient.language")}),
    ({"photo": [{"data": "å"}]}, {("value", "Patient.photo[0].data")}),
    ({"name": [{"text": "a\x00b"}]}, {("value", "Patient.name[0].text")}),
    ({"link": [{"other": {"reference": "Patient/1"}}]}, {("required", "Patient.link[0].type")}),
    ({"link": [{"type": "refer"}]}, {("required", "Patient.link[0].other")}),
    ({"managingOrganization": {"reference": "#o"}}, {("invariant", "Patient.managingOrganization")}),
    ({"managingOrganization": {"reference": "Patient/1"}}, {("structure", "Patient.managingOrganization")}),
    ({"managingOrganization": {"reference": "no such"}}, {("value", "Patient.managingOrganization.reference")}),
    ({"contact": [{"gender": "male"}]}, {("invariant", "Patient.contact[0]")}),
    ({"extension": [{"url": "u"}]}, {("invariant", "Patient.extension[0]")}),
    ({"extension": [{"valueString": "x"}]}, {("required", "Patient.extension[0].url")}),
    ({"extension": [{"url": "u", "valueDecimal": "1.0"}]},
     {("structure", "Patient.extension[0].value.ofType(decimal)")}),
    ({"text": {"status": "generated", "div": "<p>x</p>"}}, {("invariant", "Patient.text.div")}),
    ({"text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'><script>x</script></div>"}},
     {("invariant", "Patient.text.div")}),
    ({"contained": [{"resourceType": "Organization", "id": "o", "name": "O"}]},
     {("invariant", "Patient.contained[0]")}),
    ({"contained": [{"resourceType": "Organisation"}]}, {("structure", "Patient.contained[0]")}),
    ({"contained": [{"id": "o"}]}, {("structure", "Patient.contained[0]")}),
    ({"_birthDate": {"id": "b"}}, {("invariant", "Patient.birthDate")}),
    ({"_birthDate": None}, {("structure", "Patient.birthDate")}),
    ({"_id": {"extension": []}}, {("structure", "Patient")}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), CASES, ids=lambda v: str(sorted(v))[:60])
def test_a_fault_is_found_where_it_is(
    members: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert faults(**members) == expected


def test_all_faults_are_found_and_none_hides_another() -> None:
    found = faults(
        gender="man",
        name=[{"family": 5, "given": ["A", ""]}, {"usage": "x"}],
        birthDate="1990-02-30",
        contact=[{"gender": "female"}],
    )
    assert found == {
        ("code-invalid", "Patient.gender"),
        ("structure", "Patient.name[0].family"),
        ("value", "Patient.name[0].given[1]"),
        ("structure", "Patient.name[1]"),
        ("value", "Patient.birthDate"),
        ("invariant", "Patient.contact[0]"),
    }


def test_what_is_broken_only_because_of_another_fault_is_not_told() -> None:
    # pat-1 asks for a name or telecom or address: there is one, although a faulty one.
    assert faults(contact=[{"name": "A"}]) == {("structure", "Patient.contact[0].name")}


def test_an_invariant_that_other_faults_do_not_touch_is_still_told() -> None:
    body = (
        b'{"resourceType":"Observation","status":"fnal","valueString":"x",'
        b'"dataAbsentReason":{"text":"y"}}'
    )
    found = {(i.code, i.expression) for i in explain_bytes(body)}
    assert found == {
        ("code-invalid", "Observation.status"),
        ("required", "Observation.code"),
        ("invariant", "Observation"),
    }


def test_resources_in_a_bundle_are_checked_as_roots_of_their_own() -> None:
    inner = {
        "resourceType": "Patient",
        "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
        "managingOrganization": {"reference": "#o"},
        "link": [{"other": {"reference": "#p"}, "type": "refer"}],
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    found = [i.expression for i in explain_bytes(json.dumps(bundle).encode())]
    assert found == ["Bundle.entry[0].resource.link[0].other"]


def test_a_near_name_is_suggested() -> None:
    (issue,) = explain_bytes(b'{"resourceType":"Patient","brithDate":"2000"}')
    assert "birthDate" in issue.en and "birthDate" in issue.sv
    (issue,) = explain_bytes(b'{"resourceType":"Pateint"}')
    assert "Patient" in issue.en
    (issue,) = explain_bytes(
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"value":1}'
    )
    assert "valueQuantity" in issue.en


def test_a_repeated_member_is_told() -> None:
    (issue,) = explain_bytes(b'{"resourceType":"Patient","active":true,"active":false}')
    assert (issue.code, issue.expression) == ("structure", "Patient") and "active" in issue.en
    with pytest.raises(Unprocessable):
        decode.decode(b'{"resourceType":"Patient","active":true,"active":false}')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b'{"resourceType":"Patient"', "too early, at line 1, column 26"),
        (b'{"resourceType":"Patient",\n "id":"x",}', "line 2, column 1"),
        (b'{"resourceType":"Patient" "id":"x"}', "a comma"),
        (b"{'resourceType':'Patient'}", "double quotes"),
        (b'{"resourceType":"Patient"}{}', "nothing more"),
        (b'// a\n{"resourceType":"Patient"}', "no comments"),
        (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', "a value was expected"),
        (b'\xef\xbb\xbf{"resourceType":"Patient"}', "byte order mark"),
        (b'{"resourceType":"Patient","id":"\xff"}', "not UTF-8: invalid byte 0xff at line 1, column 33"),
        (b'{"resourceType":"Patient","id":"\x01"}', "control character"),
        (b"[]", "not a list"),
        (b'{"id":"x"}', "resourceType"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_told_with_its_place(body: bytes, words: str) -> None:
    (issue,) = explain_bytes(body)
    assert issue.code == "invalid" and words in issue.en
    with pytest.raises(Invalid) as raised:
        decode.decode(body)
    assert not isinstance(raised.value, Unprocessable)


def test_another_type_than_asked_for_is_refused() -> None:
    (issue,) = explain_bytes(b'{"resourceType":"Patient"}', "Observation")
    assert issue.code == "invalid" and "Observation" in issue.en


HOSTILE = {
    "deep lists": b'{"resourceType":"Patient","name":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"resourceType":"Patient","name":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "deep extensions": b'{"resourceType":"Patient","extension":'
    + b'[{"url":"u","extension":' * 3000 + b"[]" + b"}]" * 3000 + b"}",
    "deep in little": b'{"resourceType":"Patient","extension":'
    + b'[{"extension":' * 250 + b"[]" + b"}]" * 250 + b"}",
    "long text": b'{"resourceType":"Patient","gender":"' + b"a" * 10_000_000 + b'"}',
    "long base64": b'{"resourceType":"Patient","photo":[{"data":"' + b"A  " * 3_000_000 + b'!"}]}',
    "long member": b'{"resourceType":"Patient","' + b"a" * 1_000_000 + b'":1}',
    "long number": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 1_000_000 + b"}",
    "huge exponent": b'{"resourceType":"Patient","extension":[{"url":"u","valueDecimal":1e999999999}]}',
    "many faults": b'{"resourceType":"Patient","name":[' + b"1," * 100_000 + b"1]}",
    "many members": b'{"resourceType":"Patient",' + b",".join(b'"a%d":1' % i for i in range(50_000)) + b"}",
    "half a character": b'{"resourceType":"Patient","gender":"\\ud800","\\udfff":1}',
    "null bytes": b"\x00" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_answered_soon_and_never_crash(name: str) -> None:
    start = time.perf_counter()
    issues = explain_bytes(HOSTILE[name])
    assert issues and all(i.sv and i.en and len(i.en) < 2000 for i in issues)
    for issue in issues:  # fit to send and to log
        (issue.en + issue.sv + issue.expression).encode()
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("name", [n for n in HOSTILE if n != "long base64"])
def test_hostile_bytes_are_refused_at_the_door(name: str) -> None:
    with pytest.raises(SammanhangError):
        decode.decode(HOSTILE[name])


def test_white_space_in_base64_does_not_cost_more_than_its_length() -> None:
    body = b'{"resourceType":"Patient","photo":[{"data":"' + b"A  " * 14 + b'!"}]}'
    start = time.perf_counter()
    with pytest.raises(SammanhangError):
        decode.decode(body)
    assert time.perf_counter() - start < 0.1
