"""What a page sends comes back as a response, and nothing typed is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sammanhang.fhir.decode import decode, encode
from sammanhang.forms import answers, check
from sammanhang.forms.tests.making import form, item, options


def first(f: Any, *fields: tuple[str, str], before: Any = None) -> Any:
    """The first answer of the first item."""
    return answers.read_tree(f, fields, before=before).nodes[0].answers


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("decimal", "1 234,50", Decimal("1234.50")), ("decimal", "−3.5", Decimal("-3.5")), ("integer", "12", 12),
        ("date", "20261122", "2026-11-22"), ("date", "2026-11", "2026-11"), ("time", "14.05", "14:05:00"),
        ("time", "0930", "09:30:00"), ("dateTime", "2026-11-22 14:05", "2026-11-22T14:05:00+01:00"),
        ("dateTime", "2026-07-01 09:00", "2026-07-01T09:00:00+02:00"), ("boolean", "false", False),
        ("string", "  Åsa ", "Åsa"), ("text", "en\r\ntvå", "en\ntvå"), ("url", "https://1177.se", "https://1177.se"),
        ("reference", "Patient/svea", {"reference": "Patient/svea"}),
    ],
)  # fmt: skip
def test_each_type_is_read_as_people_write_it(kind: str, typed: str, value: Any) -> None:
    (answer,) = first(form(item("a", kind)), ("form.a", typed))
    assert answer.value == value


@pytest.mark.parametrize(
    ("kind", "typed", "says"),
    [
        ("decimal", "tolv", "Skriv ett tal"), ("integer", "1,5", "helt tal"), ("integer", "99999999999", "helt tal"),
        ("date", "2026-02-30", "finns inte"), ("date", "snart", "2026-11-22"), ("time", "25:00", "14:05"),
        ("dateTime", "i morse", "dag och klockslag"), ("url", "1177", "webbadress"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_kept_as_typed_with_a_fault(
    kind: str, typed: str, says: str
) -> None:
    f = form(item("a", kind))
    response = answers.read(f, [("form.a", typed)])
    again = decode(encode(response), "QuestionnaireResponse")  # a valid draft, typed text and all
    (answer,) = first(f, before=None) or first(f, ("form.a", typed))
    assert answer.value is None and answer.typed == typed
    (fault,) = check(f, again)
    assert says in fault.sv and fault.expression == "a" and fault.en != fault.sv


def test_a_choice_is_one_of_its_options_and_keeps_its_words() -> None:
    f = form(item("a", "choice", answerOption=options("ja", "nej")))
    (answer,) = first(f, ("form.a", "s|ja"))
    assert answer.value == {"system": "s", "code": "ja", "display": "Ja"}
    (answer,) = first(f, ("form.a", "s|kanske"))
    assert answer.value is None and answer.typed == "s|kanske"
    (fault,) = check(f, answers.read(f, [("form.a", "s|kanske")]))
    assert "Välj ett av dem" in fault.sv


def test_an_open_choice_takes_words_of_ones_own() -> None:
    f = form(item("a", "open-choice", answerOption=options("ja")))
    assert first(f, ("form.a", "~other"), ("form.a.other", "ibland"))[0].value == "ibland"
    assert first(f, ("form.a", "s|ja"), ("form.a.other", "ibland"))[0].value["code"] == "ja"
    many = form(item("a", "open-choice", repeats=True, answerOption=options("ja")))
    assert [a.kind for a in first(many, ("form.a", "s|ja"), ("form.a.other", "ibland"))] == [
        "Coding",
        "String",
    ]


def test_a_quantity_has_its_unit_chosen_or_given() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
    unit = {"system": "http://unitsofmeasure.org", "code": "kg", "display": "kg"}
    f = form(item("a", "quantity", extension=[{"url": url, "valueCoding": unit}]))
    (answer,) = first(f, ("form.a", "67,9"))
    assert answer.value == {
        "value": Decimal("67.9"),
        "unit": "kg",
        "system": unit["system"],
        "code": "kg",
    }
    two = [
        {"url": url + "Option", "valueCoding": u}
        for u in (unit, {**unit, "code": "g", "display": "g"})
    ]
    f = form(item("a", "quantity", extension=two))
    (answer,) = first(f, ("form.a", "900"), ("form.a.unit", "http://unitsofmeasure.org|g"))
    assert answer.value["code"] == "g"
    (fault,) = check(f, answers.read(f, [("form.a", "900")]))
    assert fault.sv == "Välj en enhet."


def test_rows_are_added_taken_away_and_kept_in_order() -> None:
    f = form(item("g", "group", repeats=True, item=[item("x"), item("y")]))
    fields = [("form.g[0].x", "ett"), ("form.g[3].x", "två"), ("form.g[3].y", "tre")]
    tree = answers.read_tree(f, fields)
    assert [[b.values for b in n.nodes] for n in tree.nodes] == [[["ett"], []], [["två"], ["tre"]]]
    tree = answers.read_tree(f, [*fields, ("form.~do", "add:form.g")])
    assert len(tree.nodes) == 3
    shown = answers.read(f, [*fields, ("form.~do", "add:form.g")])
    assert [i.linkId for i in shown.item] == [
        "g",
        "g",
        "g",
    ]  # the empty row is there when the page is shown again
    tree = answers.read_tree(f, [*fields, ("form.~do", "remove:form.g[0]")])
    assert [[b.values for b in n.nodes] for n in tree.nodes] == [[["två"], ["tre"]]]
    assert answers.acted([("form.~do", "add:form.g")]) == ("add", "form.g")
    assert answers.acted([("form.a", "add:form.g")]) is None


def test_rows_within_rows_keep_to_their_own() -> None:
    inner = item("h", "group", repeats=True, item=[item("z")])
    f = form(item("g", "group", repeats=True, item=[item("x"), inner]))
    fields = [("form.g[0].h[0].z", "a"), ("form.g[0].h[1].z", "b"), ("form.g[1].h[0].z", "c")]
    response = answers.read(f, fields)
    tree = answers.read_tree(f, fields, before=response)
    assert [n.values for n in tree.by_link["z"]] == [["a"], ["b"], ["c"]]
    tree = answers.read_tree(f, [*fields, ("form.~do", "add:form.g[0].h")])
    assert [n.name for n in tree.by_link["z"]] == [
        "form.g[0].h[0].z", "form.g[0].h[1].z", "form.g[0].h[2].z", "form.g[1].h[0].z",
    ]  # fmt: skip


def test_questions_below_an_answer_lie_in_it() -> None:
    f = form(item("a", "boolean", item=[item("b", "integer")]))
    response = answers.read(f, [("form.a", "true"), ("form.b", "3")])
    assert response.item[0].answer[0].item[0].answer[0].valueInteger == 3
    assert answers.read_tree(f, [], before=response).by_link["b"][0].values == []
    assert [
        n.values for n in answers.read_tree(f, [("form.a", "true"), ("form.b", "3")]).all()
    ] == [[True], [3]]


def test_read_only_and_hidden_answers_come_from_the_draft_not_from_the_page() -> None:
    hidden: dict[str, Any] = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-hidden", "valueBoolean": True}]}  # fmt: skip
    f = form(item("a", readOnly=True), item("b", **hidden))
    before = {"item": [{"linkId": "a", "answer": [{"valueString": "sant"}]}, {"linkId": "b", "answer": [{"valueString": "dolt"}]}]}  # fmt: skip
    tree = answers.read_tree(f, [("form.a", "falskt"), ("form.b", "synligt")], before=before)
    assert [n.values for n in tree.nodes] == [["sant"], ["dolt"]]


def test_what_an_embedding_page_sends_needs_no_draft() -> None:
    from sammanhang.forms import view

    f = form(item("a", readOnly=True), item("b"))
    shown = view(f, {"item": [{"linkId": "a", "answer": [{"valueString": "sant"}]}]}, prefix="q.")
    tree = answers.read_tree(f, [("q.~kept", shown.kept), ("q.b", "hej")], "q.")
    assert [n.values for n in tree.nodes] == [["sant"], ["hej"]]


def test_odd_link_ids_and_broken_fields_do_no_harm() -> None:
    f = form(item("1.2/ä[0]"), item("g[", "group", repeats=True, item=[item("x.y")]))
    fields = [("form.1.2/ä[0]", "hej"), ("form.g[[0].x.y", "då"), ("form.g[[x].x.y", "?"), ("form.~kept", "{"), ("form.g[[99999999].x.y", "!")]  # fmt: skip
    tree = answers.read_tree(f, fields)
    assert [n.values for n in tree.all() if n.item.question] == [["hej"], ["då"]]
