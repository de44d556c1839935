"""What is shown is safe, in the reader's language, and says what it should."""

from __future__ import annotations

from typing import Any

import pytest

from sammanhang.forms import answers, check, view
from sammanhang.forms.markup import from_markdown, safe_xhtml
from sammanhang.forms.options import ValueSets, search
from sammanhang.forms.tests.making import HL7, PAGE, form, item, options
from sammanhang.kernel import i18n


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<div>Hej <b>du</b></div>", "<div>Hej <b>du</b></div>"),
        ("<p onclick='x()' style='color:red'>Hej</p>", "<p>Hej</p>"),
        ("<script>alert(1)</script>Hej", "Hej"), ("<svg><a href='x'>t</a></svg>Hej", "Hej"),
        ("<a href='javascript:alert(1)'>Hej</a>", '<a rel="noopener noreferrer">Hej</a>'),
        ("<img src='https://spy.example/x.png'>Hej", "Hej"), ("<b>Hej", "<b>Hej</b>"), ("</div>Hej", "Hej"),
        ("<h1>Hej</h1>", "<b>Hej</b>"), ("a < b & c", "a &lt; b &amp; c"), ("<iframe>x</iframe>", ""),
    ],
)  # fmt: skip
def test_markup_of_a_form_cannot_run_or_fetch_anything(given: str, shown: str) -> None:
    assert safe_xhtml(given) == shown


def test_markdown_is_read_and_made_safe() -> None:
    assert from_markdown("# Rubrik\n\n**fet** och *kursiv*\n\n- ett\n- två") == (
        "<p><b>Rubrik</b></p><p><strong>fet</strong> och <em>kursiv</em></p><ul><li>ett</li><li>två</li></ul>"
    )
    assert "<script" not in from_markdown("<script>x</script> [x](javascript:y)")


def test_markup_of_a_form_stands_as_markup_on_the_page() -> None:
    def said(kind: str, text: str) -> dict[str, Any]:
        return {"extension": [{"url": HL7 + kind, "valueString": text}]}

    marked = {"valueCoding": {"code": "x", "display": "Ja", "_display": said("rendering-xhtml", "<i>Ja</i>")}}  # fmt: skip
    page = PAGE.render(page=view(form(
        item("a", text="Syn", _text=said("rendering-xhtml", "<b>Syn</b> & <script>x</script>hörsel")),
        item("b", "choice", _text=said("rendering-markdown", "**Ben**"), answerOption=[marked, *options("y")]),
    ), None))  # fmt: skip
    assert (
        "<b>Syn</b> &amp; hörsel" in page and "<strong>Ben</strong>" in page and "<i>Ja</i>" in page
    )
    assert "<script" not in page and "&lt;b&gt;" not in page


def test_texts_of_a_form_are_escaped_and_its_answers_too() -> None:
    f = form(item("a", text="<b>1 & 2</b>"), item("b", "text"))
    page = PAGE.render(
        page=view(
            f, answers.read(f, [("form.a", '"><script>x'), ("form.b", "</textarea><script>")])
        )
    )
    assert "<script" not in page and "&lt;b&gt;1 &amp; 2" in page


def test_a_form_speaks_the_readers_language() -> None:
    more: dict[str, Any] = {"_text": {"extension": [{"url": HL7 + "translation", "extension": [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": "Sight"}]}]}}  # fmt: skip
    f = form(item("a", text="Syn", **more))
    i18n.use("en")
    try:
        assert view(f, None).fields[0].label == "Sight"
    finally:
        i18n.use("sv")
    assert view(f, None).fields[0].label == "Syn"


def test_faults_stand_at_their_question_and_at_the_head() -> None:
    f = form(
        item("a", "integer", required=True),
        item("g", "group", repeats=True, item=[item("b", "date")]),
    )
    response = answers.read(f, [("form.g[0].b", "nyss")])
    shown = view(f, response, faults=check(f, response))
    assert [label for label, _id, _said in shown.wrong] == ["Fråga a", "Fråga b"]
    page = PAGE.render(page=shown)
    assert 'aria-invalid="true"' in page and page.count("Skriv datumet som 2026-11-22.") == 2
    assert shown.left == (("Fråga a", "f-form_2e_a"),)


def test_few_options_are_rows_with_keys_and_many_are_looked_for() -> None:
    f = form(
        item("a", "choice", answerOption=options("x", "y")),
        item("b", "choice", answerOption=options(*(f"kod{n}" for n in range(12)))),
        item("c", "choice", answerValueSet="http://hl7.org/fhir/ValueSet/resource-types"),
    )  # fmt: skip
    a, b, c = view(f, None).fields
    assert (a.control, b.control, c.control) == ("radio", "select", "search")
    assert [o.digit for o in a.choices] == ["1", "2"] and c.choices == ()
    found = view(f, None, searched={"form.c": "questi"}).fields[2].choices
    assert [o.label for o in found] == ["Questionnaire", "QuestionnaireResponse"]


def test_a_key_never_means_another_answer_than_the_digit_before_it() -> None:
    some = options("a", "b")
    for o, digit in zip(some, "21", strict=True):
        o["extension"] = [{"url": HL7 + "questionnaire-optionPrefix", "valueString": digit}]
    (field,) = view(form(item("q", "choice", answerOption=some)), None).fields
    assert [(c.prefix, c.digit) for c in field.choices] == [("2", "2"), ("1", "1")]


def test_value_sets_are_found_contained_included_and_excluded() -> None:
    contained = [
        {"resourceType": "ValueSet", "id": "v", "compose": {"include": [{"system": "s", "concept": [{"code": "a", "display": "Äpple"}, {"code": "b", "display": "Banan"}]}, {"system": "cs"}], "exclude": [{"system": "s", "concept": [{"code": "b"}]}]}},
        {"resourceType": "CodeSystem", "id": "c", "url": "cs", "concept": [{"code": "c", "display": "Citron", "concept": [{"code": "d", "display": "Dadel"}]}]},
    ]  # fmt: skip
    sets = ValueSets().within({"contained": contained})
    found = sets.expand("#v")
    assert found is not None and [str(o.words) for o in found] == ["Äpple", "Citron", "Dadel"]
    assert sets.expand("http://nobody.example/vs") is None
    assert [str(o.words) for o in search(found, "apple")] == [] and [
        str(o.words) for o in search(found, "ÄPP")
    ] == ["Äpple"]
