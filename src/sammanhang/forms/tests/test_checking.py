"""One check for the page, for signing and for the API."""

from __future__ import annotations

from typing import Any

import pytest

from sammanhang.forms import answers, check
from sammanhang.forms.tests.making import HL7, form, item, options, path


def faults(f: Any, *fields: tuple[str, str]) -> list[str]:
    return [f"{i.expression}: {i.sv}" for i in check(f, answers.read(f, fields))]


def limit(name: str, **value: Any) -> dict[str, Any]:
    return {"url": HL7 + name, **value}


def test_required_questions_groups_and_rows() -> None:
    f = form(
        item("a", required=True), item("b", "choice", required=True, answerOption=options("ja")),
        item("g", "group", required=True, item=[item("x"), item("y")]),
        item("r", "group", repeats=True, item=[item("z", required=True)]),
    )  # fmt: skip
    assert faults(f) == [
        "a: Fyll i ett svar.", "b: Välj ett svar.", "g: Minst en fråga här behöver ett svar.",
        "r[0].z: Fyll i ett svar.",
    ]  # fmt: skip
    full = [("form.a", "x"), ("form.b", "s|ja"), ("form.x", "y"), ("form.r[0].z", "z")]
    assert faults(f, *full) == []
    assert faults(f, *full, ("form.r[1].z", "")) == ["r[1].z: Fyll i ett svar."]


@pytest.mark.parametrize(
    ("kind", "extension", "wrong", "says", "right"),
    [
        ("integer", limit("minValue", valueInteger=35), "34", "Lägst 35.", "35"),
        ("decimal", limit("maxValue", valueDecimal=2.5), "2,6", "Högst 2,5.", "2,5"),
        ("date", limit("minValue", valueDate="2026-01-01"), "2025-12-31", "Tidigast 2026-01-01.", "2026-01-01"),
        ("decimal", limit("maxDecimalPlaces", valueInteger=1), "2,55", "Högst 1 decimaler.", "2,50"),
        ("string", limit("minLength", valueInteger=3), "ab", "Minst 3 tecken.", "abc"),
        ("string", limit("regex", valueString="[0-9]{3}"), "12a", "form", "123"),
        ("integer", limit("maxValue", extension=[{"url": HL7 + "cqf-expression", "valueExpression": {"language": "text/fhirpath", "expression": "1 + 1"}}]), "3", "Högst 2.", "2"),
    ],
)  # fmt: skip
def test_limits(kind: str, extension: dict[str, Any], wrong: str, says: str, right: str) -> None:
    f = form(item("a", kind, extension=[extension]))
    (fault,) = faults(f, ("form.a", wrong))
    assert says in fault
    assert faults(f, ("form.a", right)) == []


def test_lengths_and_numbers_of_answers() -> None:
    f = form(item("a", maxLength=3))
    assert faults(f, ("form.a", "fyra")) == ["a: Högst 3 tecken; texten är 1 för lång."]
    f = form(item("a", repeats=True, required=True, extension=[limit("questionnaire-minOccurs", valueInteger=2), limit("questionnaire-maxOccurs", valueInteger=3)]))  # fmt: skip
    assert faults(f, ("form.a", "1")) == ["a: Ge minst 2 svar."]
    assert faults(f, *(("form.a", str(n)) for n in range(4))) == ["a: Ge högst 3 svar."]


def test_none_of_these_stands_alone() -> None:
    some = options("a", "b")
    some[1]["extension"] = [{"url": HL7 + "questionnaire-optionExclusive", "valueBoolean": True}]
    f = form(item("q", "choice", repeats=True, answerOption=some))
    assert faults(f, ("form.q", "s|a"), ("form.q", "s|b")) == [
        "q: ”B” kan inte väljas tillsammans med något annat."
    ]


def test_rules_of_the_form_are_said_in_its_words() -> None:
    rule = {"url": HL7 + "questionnaire-constraint", "extension": [
        {"url": "key", "valueId": "k"}, {"url": "severity", "valueCode": "error"},
        {"url": "expression", "valueString": "%resource.item.where(linkId='a').answer.value <= %resource.item.where(linkId='b').answer.value"},
        {"url": "human", "valueString": "Lägsta får inte vara över högsta."}]}  # fmt: skip
    f = form(item("a", "integer"), item("b", "integer", extension=[rule]))
    assert faults(f, ("form.a", "3"), ("form.b", "2")) == ["b: Lägsta får inte vara över högsta."]
    assert faults(f, ("form.a", "2"), ("form.b", "2")) == []


def test_what_another_system_sends_is_held_to_the_same() -> None:
    f = form(
        item("a", "integer"),
        item("b", enableWhen=[{"question": "a", "operator": "=", "answerInteger": 1}]),
    )
    sent = {"item": [
        {"linkId": "a", "answer": [{"valueString": "1"}, {"valueInteger": 2}]}, {"linkId": "b", "answer": [{"valueString": "x"}]},
        {"linkId": "okänd", "answer": [{"valueString": "x"}]}]}  # fmt: skip
    found = {i.expression: i.code for i in check(f, sent, strict=True)}
    assert found == {"okänd": "structure", "a": "structure", "b": "business-rule"}
    assert [i for i in check(f, {"item": sent["item"][1:2]}) if i.expression == "b"] == []


def test_every_fault_is_said_in_both_languages() -> None:
    f = form(item("a", "integer", required=True, extension=[limit("minValue", valueInteger=3)]))
    for fields in ([], [("form.a", "1")], [("form.a", "x")]):
        assert all(i.sv and i.en and i.sv != i.en for i in check(f, answers.read(f, fields)))


def test_a_pattern_that_is_none_is_no_fault_of_the_answer() -> None:
    assert (
        faults(form(item("a", extension=[limit("regex", valueString="([")])), ("form.a", "x")) == []
    )


def test_an_item_that_is_worked_out_cannot_be_told_by_the_page() -> None:
    f = form(item("a", "integer"), item("s", "integer", extension=[path("calculatedExpression", "%resource.item.where(linkId='a').answer.value * 2")]))  # fmt: skip
    tree = answers.read_tree(f, [("form.a", "4"), ("form.s", "99")])
    assert tree.by_link["s"][0].values == [8]
