"""Expressions: scores, variables, the order of calculations, and what can go wrong in them."""

from __future__ import annotations

from decimal import Decimal

from sammanhang.forms import answers, view
from sammanhang.forms.calculating import order
from sammanhang.forms.tests.making import SDC, form, item, options, path


def values(f, *fields):
    tree = answers.read_tree(f, fields)
    return {n.item.link: n.values for n in tree.all() if n.values}, tree.notes


def test_a_score_is_the_sum_of_what_was_chosen() -> None:
    some = options("a", "b", a=1, b=2)
    f = form(
        item("x", "choice", answerOption=some), item("y", "choice", repeats=True, answerOption=some),
        item("s", "integer", extension=[path("calculatedExpression", "%resource.item.answer.value.weight().sum()")]),
        item("o", "decimal", extension=[path("calculatedExpression", "%resource.item.where(linkId='x').answer.value.ordinal()")]),
    )  # fmt: skip
    found, notes = values(f, ("form.x", "s|b"), ("form.y", "s|a"), ("form.y", "s|b"))
    assert found["s"] == [5] and found["o"] == [Decimal(2)] and notes == []


def test_calculations_are_done_in_the_order_they_need() -> None:
    f = form(
        item("c", "integer", extension=[path("calculatedExpression", "%b + 1")]),
        item("b", "integer", extension=[path("calculatedExpression", "%a * 10")]),
        item("a", "integer"),
        extension=[
            path("variable", "%resource.item.where(linkId='a').answer.value", "a"),
            path("variable", "%resource.item.where(linkId='b').answer.value", "b"),
        ],
    )  # fmt: skip
    assert [i.link for i in order(f)[0]] == ["b", "c"]
    assert values(f, ("form.a", "4"))[0] == {"a": [4], "b": [40], "c": [41]}


def test_a_circle_is_said_and_ends() -> None:
    f = form(
        item("a", "integer", extension=[path("calculatedExpression", "%resource.item.where(linkId='b').answer.value + 1")]),
        item("b", "integer", extension=[path("calculatedExpression", "%resource.item.where(linkId='a').answer.value + 1 | 1")]),
    )  # fmt: skip
    notes = values(f)[1]
    assert order(f)[1] == ["a", "b"] and any("calculated from itself" in n for n in notes)


def test_a_calculation_in_a_row_is_of_that_row() -> None:
    rows = item(
        "g", "group", repeats=True,
        extension=[path("variable", "item.where(linkId='x').answer.value", "x")],
        item=[item("x", "integer"), item("y", "integer", extension=[path("calculatedExpression", "%x * 2")])],
    )  # fmt: skip
    tree = answers.read_tree(form(rows), [("form.g[0].x", "1"), ("form.g[1].x", "5")])
    assert [n.values for n in tree.by_link["y"]] == [[2], [10]]


def test_what_is_not_asked_is_not_counted() -> None:
    f = form(
        item("q", "boolean"),
        item("x", "integer", enableWhen=[{"question": "q", "operator": "=", "answerBoolean": True}]),
        item("s", "integer", extension=[path("calculatedExpression", "%resource.item.where(linkId='x').answer.value")]),
    )  # fmt: skip
    assert values(f, ("form.q", "true"), ("form.x", "3"))[0]["s"] == [3]
    assert "s" not in values(f, ("form.q", "false"), ("form.x", "3"))[0]


def test_a_broken_expression_gives_nothing_and_says_so() -> None:
    f = form(item("a", "integer", extension=[path("calculatedExpression", "%resource..item(")]))
    found, notes = values(f)
    assert found == {} and notes
    f = form(item("a", "integer", extension=[{"url": SDC + "calculatedExpression", "valueExpression": {"language": "text/cql", "expression": "x"}}]))  # fmt: skip
    assert f.faults == ("a: expressions in text/cql are not understood",)


def test_options_and_texts_can_be_given_by_expressions() -> None:
    f = form(
        item("a", "string", repeats=True),
        item("b", "choice", extension=[path("answerExpression", "%resource.item.where(linkId='a').answer.value")], type="string"),
        item("t", "display", _text={"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/cqf-expression", "valueExpression": {"language": "text/fhirpath", "expression": "'Du skrev ' + %resource.item.where(linkId='a').answer.value.first()"}}]}),
    )  # fmt: skip
    shown = view(f, answers.read(f, [("form.a", "ett"), ("form.a", "två")]))
    assert shown.fields[2].label == "Du skrev ett"


def test_what_the_form_is_given_is_asked_by_name() -> None:
    f = form(
        item(
            "a", "integer", extension=[path("calculatedExpression", "%patient.name.given.count()")]
        )
    )
    patient = {"resourceType": "Patient", "name": [{"given": ["Svea", "Maria"]}]}
    tree = answers.read_tree(f, [], contexts={"patient": patient})
    assert tree.nodes[0].values == [2]
