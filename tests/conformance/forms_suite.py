"""Questionnaires that others wrote, shown and filled in: does every item appear, and does every answer come back?

"Fully" is: every item is on the page with its label, its help and its control; every option can be chosen; an
answer made up for each question comes back from the page's fields as a valid QuestionnaireResponse with the same
value; no extension is left unread and no expression fails. What lacks is said, an item at a time.

    python -m tests.conformance.forms_suite [folder ...]     prints what lacks
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import lxml.html

from sammanhang.fhir.decode import decode, encode, raw
from sammanhang.forms import answers, form_of, view
from sammanhang.forms.answers import listed
from sammanhang.forms.controls import offered
from sammanhang.forms.options import MANY
from sammanhang.forms.questionnaire import Form, Item
from sammanhang.forms.tree import Node, tree_of
from sammanhang.forms.values import same
from sammanhang.kernel.errors import SammanhangError
from sammanhang.web.rendering import ENVIRONMENT

from .sources import Outcome

FOLDER = Path(__file__).with_name("questionnaires")
PAGE = ENVIRONMENT.from_string(
    '{% from "forms/form.html" import form_fields %}{{ form_fields(page) }}'
)


def questionnaires(folder: Path = FOLDER) -> list[Path]:
    """The questionnaires in a folder and those below it."""
    return sorted(folder.rglob("*.json"))


def run(folder: Path = FOLDER) -> Iterator[Outcome]:
    """Every questionnaire, with what it lacks."""
    for path in questionnaires(folder):
        try:
            lacking = lacks(raw(path.read_bytes()))
        except Exception as e:
            lacking = [f"cannot be shown: {type(e).__name__}: {e}"]
        yield Outcome(str(path.relative_to(folder)), not lacking, "; ".join(dict.fromkeys(lacking)))


def lacks(questionnaire: dict[str, Any]) -> list[str]:
    """What is not as it should be, in words; nothing when the form is shown and filled in fully."""
    form = form_of(questionnaire)
    found = [*form.faults, *(f"extension {url.rpartition('/')[2]}" for url in form.lacks)]
    shown = view(form, None)
    page = lxml.html.fragment_fromstring(PAGE.render(page=shown), create_parent="div")
    fields = {e.get("data-field"): e for e in page.iter() if e.get("data-field")}
    tree = tree_of(form, None)
    for node in tree.all():
        found += _shown(node, form, fields, tree)
    return [*found, *_round_trip(form)]


def _hidden(node: Node) -> bool:
    n: Node | None = node
    while n is not None:
        if n.item.hidden or n.item.usage == "capture-none":
            return True
        n = n.parent
    return False


def _text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def _shown(node: Node, form: Form, fields: dict[str, Any], tree: Any) -> Iterator[str]:
    """What of an item is not on the page."""
    item = node.item
    if _hidden(node):
        return
    element = fields.get(node.name)
    if element is None:
        yield f"{item.link}: is not shown"
        return
    text = _text(element)
    label = " ".join(item.text.plain.split())
    if label and not item.text.marked and label not in text:
        yield f"{item.link}: its text is not shown"
    for kind, words in item.beside:
        if kind != "unit" and not words.marked and " ".join(words.plain.split()) not in text:
            yield f"{item.link}: {kind} is not shown"
    if not item.question:
        return
    own = [e for e in element.iter("input", "select", "textarea", "output") if e.tag == "output" or (e.get("name") or "").startswith(node.name)]  # fmt: skip
    if not own:
        yield f"{item.link}: has no control"
    options = offered(node, tree)
    if (
        item.type in ("choice", "open-choice")
        and not options
        and not {"answer", "candidate", "calculated"} & set(item.expressions)
    ):
        yield (
            f"{item.link}: value set {item.value_set} is not here"
            if item.value_set
            else f"{item.link}: has no options"
        )
    if 0 < len(options) <= MANY and "calculated" not in item.expressions and not item.read_only:
        for o in options:
            words = " ".join(str(o.words).split())
            if not o.words.html and words not in text:
                yield f"{item.link}: option {words} is not shown"


def _round_trip(form: Form) -> Iterator[str]:
    """Made-up answers, sent as a page sends them, and read again."""
    given, wanted = [], {}
    for node in tree_of(form, None).all():
        item = node.item
        if (
            not item.question
            or item.hidden
            or item.read_only
            or "calculated" in item.expressions
            or _hidden(node)
        ):
            continue
        sample = _sample(item, form)
        if sample is None:
            continue
        fields, value = sample
        given += [(node.name + end, text) for end, text in fields]
        wanted[node.name] = value
    tree = answers.read_tree(form, given)
    try:
        decode(encode(answers.read(form, given)), "QuestionnaireResponse")
    except SammanhangError as e:
        yield f"the response is not valid: {e.en}"
    for node in tree.all():
        if node.name in wanted and not (node.values and same(node.values[0], wanted[node.name])):
            yield f"{node.item.link}: the answer does not come back"
    for note in dict.fromkeys(tree.notes):
        yield f"expression: {note[:160]}"


_SAMPLES: dict[str, tuple[str, Any]] = {
    "boolean": ("true", True), "decimal": ("2,5", Decimal("2.5")), "integer": ("3", 3),
    "date": ("2026-11-22", "2026-11-22"), "dateTime": ("2026-11-22", "2026-11-22"), "time": ("14:05", "14:05:00"),
    "string": ("ett svar", "ett svar"), "text": ("ett svar\ntill", "ett svar\ntill"),
    "url": ("https://1177.se", "https://1177.se"), "reference": ("Patient/svea", {"reference": "Patient/svea"}),
}  # fmt: skip


def _sample(item: Item, form: Form) -> tuple[list[tuple[str, str]], Any] | None:
    """Fields (what follows the name, text) and the value they mean; None for what a test cannot make up."""
    if item.type == "attachment":
        return None
    options = listed(item, form)
    if options:
        return [("", options[0].key)], options[0].value
    if item.type in ("choice", "open-choice"):
        return (
            ([(".other", "något annat")], "något annat")
            if item.type == "open-choice" and item.options
            else None
        )
    if item.type == "quantity":
        unit = {}
        fields = [("", "12,5")]
        if len(item.units) > 1:
            from sammanhang.forms.options import key_of

            fields.append((".unit", key_of("Coding", item.units[0])))
        if item.units:
            unit = {
                "unit": item.units[0].get("display") or item.units[0].get("code"),
                "code": item.units[0].get("code"),
            }
        return fields, {"value": Decimal("12.5"), **{k: v for k, v in unit.items() if v}}
    text, value = _SAMPLES[item.type]
    return [("", text)], value


def counts() -> dict[str, int]:
    """What is recorded: how many of the committed questionnaires there are and how many are shown fully."""
    outcomes = list(run())
    return {"run": len(outcomes), "passed": sum(o.passed for o in outcomes)}


def main(folders: list[str]) -> None:
    """Prints every questionnaire of these folders with what it lacks, and the counts."""
    for folder in [Path(f) for f in folders] or [FOLDER]:
        outcomes = list(run(folder))
        for o in outcomes:
            print("+" if o.passed else "-", o.name, o.reason[:300])
        print(f"{folder}: {sum(o.passed for o in outcomes)} of {len(outcomes)}")


if __name__ == "__main__":
    main(sys.argv[1:])
