"""What is asked depends on what was answered."""

from __future__ import annotations

from typing import Any

import pytest

from sammanhang.forms import answers
from sammanhang.forms.tests.making import form, item, options, path


def asked(f: Any, link: str, *fields: tuple[str, str]) -> list[bool]:
    return [n.enabled for n in answers.read_tree(f, fields).by_link[link]]


def when(question: str, operator: str, **answer: Any) -> dict[str, Any]:
    return {"question": question, "operator": operator, **answer}


@pytest.mark.parametrize(
    ("operator", "held", "typed", "expected"),
    [
        ("=", 5, "5", True), ("=", 5, "6", False), ("!=", 5, "6", True), ("!=", 5, "5", False), ("!=", 5, "", True),
        (">", 5, "6", True), (">", 5, "5", False), (">=", 5, "5", True), ("<", 5, "4", True), ("<=", 5, "5", True),
        ("<", 5, "", False), (">", 5, "tolv", False),
    ],
)  # fmt: skip
def test_every_operator_on_numbers(operator: str, held: int, typed: str, expected: bool) -> None:
    f = form(item("a", "integer"), item("b", enableWhen=[when("a", operator, answerInteger=held)]))
    assert asked(f, "b", ("form.a", typed)) == [expected]


@pytest.mark.parametrize(("there", "typed", "expected"), [(True, "x", True), (True, "", False), (False, "", True), (False, "x", False)])  # fmt: skip
def test_exists_and_does_not(there: bool, typed: str, expected: bool) -> None:
    f = form(item("a"), item("b", enableWhen=[when("a", "exists", answerBoolean=there)]))
    assert asked(f, "b", ("form.a", typed)) == [expected]


def test_codes_dates_and_quantities_are_held_by_what_they_mean() -> None:
    f = form(
        item("a", "choice", answerOption=options("ja", "nej"), repeats=True),
        item("d", "date"), item("q", "quantity"),
        item("b", enableWhen=[when("a", "=", answerCoding={"code": "nej"})]),
        item("e", enableWhen=[when("d", ">", answerDate="2026-01-31")]),
        item("r", enableWhen=[when("q", ">=", answerQuantity={"value": 1, "code": "kg"})]),
    )  # fmt: skip
    fields = [
        ("form.a", "s|ja"),
        ("form.a", "s|nej"),
        ("form.d", "2026-02"),
        ("form.q", "1000"),
        ("form.q.unit", "g"),
    ]
    assert [asked(f, x, *fields) for x in "ber"] == [[True]] * 3
    assert asked(f, "e", ("form.d", "2026-01")) == [False]  # a month that may be before or after


def test_all_or_any_of_several() -> None:
    both = [when("a", "exists", answerBoolean=True), when("b", "exists", answerBoolean=True)]
    f = form(
        item("a"),
        item("b"),
        item("c", enableWhen=both),
        item("d", enableWhen=both, enableBehavior="any"),
    )
    assert asked(f, "c", ("form.a", "x")) == [False] and asked(f, "d", ("form.a", "x")) == [True]


def test_the_answer_in_the_same_row_counts() -> None:
    rows = item("g", "group", repeats=True, item=[item("x", "boolean"), item("y", enableWhen=[when("x", "=", answerBoolean=True)])])  # fmt: skip
    f = form(rows)
    assert asked(f, "y", ("form.g[0].x", "true"), ("form.g[1].x", "false")) == [True, False]


def test_an_answer_that_is_not_asked_for_counts_for_nothing_but_is_kept() -> None:
    f = form(
        item("a", "boolean"), item("b", "boolean", enableWhen=[when("a", "=", answerBoolean=True)]),
        item("c", enableWhen=[when("b", "=", answerBoolean=True)]),
    )  # fmt: skip
    assert asked(f, "c", ("form.a", "true"), ("form.b", "true")) == [True]
    assert asked(f, "c", ("form.a", "false"), ("form.b", "true")) == [False]
    tree = answers.read_tree(f, [("form.a", "false"), ("form.b", "true")])
    assert [i["linkId"] for i in tree.element(enabled_only=False)["item"]] == ["a", "b"]
    assert [i["linkId"] for i in tree.element(final=True)["item"]] == ["a"]


def test_two_that_wait_for_each_other_do_not_hang() -> None:
    f = form(item("a", enableWhen=[when("b", "exists", answerBoolean=True)]), item("b", enableWhen=[when("a", "exists", answerBoolean=True)]))  # fmt: skip
    assert len(asked(f, "a", ("form.a", "x"), ("form.b", "y"))) == 1


def test_an_expression_decides() -> None:
    f = form(item("a", "integer"), item("b", extension=[path("enableWhenExpression", "%resource.item.where(linkId='a').answer.value > 3")]))  # fmt: skip
    assert asked(f, "b", ("form.a", "4")) == [True] and asked(f, "b", ("form.a", "3")) == [False]
    assert asked(f, "b") == [False]
