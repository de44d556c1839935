"""What a form works out by itself: what is asked, calculated values, texts and limits given by expressions.

Calculated items are worked out in the order they depend on one another; what goes in a circle is said in
`Tree.notes` and stops after a few rounds.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock

from .enabling import enable
from .expressions import Contexts, Evaluator, plain
from .options import chosen_value
from .questionnaire import VALUE, Form, Item
from .tree import Answer, Node, Tree
from .values import LARGEST_INTEGER, same

# Values depend on what is asked and what is asked on values; this many rounds settle any sensible form.
MOST_ROUNDS = 6


def settle(tree: Tree, contexts: Contexts | None = None) -> Tree:
    """The tree with what is asked, calculated values and computed texts as they follow from its answers."""
    form = tree.form
    evaluator = Evaluator(tree, contexts) if _expressive(form) else None

    def told(node: Node) -> bool | None:
        assert evaluator is not None
        return evaluator.true(node.item.expressions["enable"], node)

    if evaluator is None:
        enable(tree, told)
        return tree
    items, circles = order(form)
    by_expression = any("enable" in i.expressions for i in form.index.values())
    for _round in range(MOST_ROUNDS):
        enable(tree, told)
        evaluator.refresh()
        if by_expression:
            enable(tree, told)
            evaluator.refresh()
        if not _calculate(tree, items, evaluator):
            break
    else:
        tree.notes += [f"{link}: its calculation never comes to rest" for link in circles or ["?"]]
    tree.notes += [f"{link}: is calculated from itself" for link in circles]
    for node in tree.all():
        _texts(node, evaluator)
    tree.notes += [f"{text}: {why}" for text, why in evaluator.failed.items()]
    return tree


def _expressive(form: Form) -> bool:
    return bool(form.variables) or any(
        i.expressions or i.variables or i.toggles for i in form.index.values()
    )


def _calculate(tree: Tree, items: list[Item], evaluator: Evaluator) -> bool:
    """Works every calculated item out once, in order; whether any changed."""
    changed = False
    for item in items:
        for node in tree.by_link.get(item.link, ()):
            if not node.enabled:
                continue
            found = evaluator.ask(item.expressions["calculated"], node)
            made = answers_of(item, found)
            before = [a for a in node.answers if a.there]
            if len(made) == len(before) and all(
                b.kind == m.kind and same(b.value, m.value)
                for m, b in zip(made, before, strict=True)
            ):
                continue
            node.answers = made
            evaluator.refresh()
            changed = True
    return changed


def order(form: Form) -> tuple[list[Item], list[str]]:
    """(calculated items, each after those it asks for; linkIds of those that go in a circle)."""
    items = [i for i in form.index.values() if "calculated" in i.expressions and i.question]
    known = {i.link: i for i in items}
    asks = {i.link: _asks(form, i) & set(known) - {i.link} for i in items}
    made: list[Item] = []
    left = dict(asks)
    while left:
        ready = [link for link, some in left.items() if not some & set(left)]
        if not ready:
            circle = sorted(left)
            made += [known[link] for link in circle]
            return made, [link for link in circle if _reaches(asks, link, link)]
        for link in ready:
            made.append(known[link])
            del left[link]
    return made, []


def _reaches(asks: dict[str, set[str]], start: str, wanted: str) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for link in asks.get(todo.pop(), ()):
            if link == wanted:
                return True
            if link not in seen:
                seen.add(link)
                todo.append(link)
    return False


def _asks(form: Form, item: Item) -> set[str]:
    """linkIds an item's calculation asks for, through variables too."""
    scope = {v.name: v for v in form.variables}
    for above in form.above(item.link):
        scope.update({v.name: v for v in above.variables})
    scope.update({v.name: v for v in item.variables})
    links: set[str] = set()
    seen: set[str] = set()
    todo = [item.expressions["calculated"]]
    while todo:
        e = todo.pop()
        links |= e.links
        for name in e.names:
            if name in scope and name not in seen:
                seen.add(name)
                todo.append(scope[name])
    return links


def answers_of(item: Item, found: list[Any]) -> list[Answer]:
    """What an expression gave as answers of an item; what does not fit its type is left out."""
    made = []
    for value in found if item.repeats else found[:1]:
        answer = fitted(item, plain(value))
        if answer is not None:
            made.append(answer)
    return made


def fitted(item: Item, value: Any) -> Answer | None:
    """A value as an answer of an item: a code found among the options, a number in the item's unit; else None."""
    if value is None:
        return None
    if item.type in ("choice", "open-choice"):
        return _chosen(item, value)
    if item.type == "boolean":
        return Answer("Boolean", value) if isinstance(value, bool) else None
    if item.type == "quantity":
        return _quantity(item, value)
    if item.type in ("integer", "decimal"):
        number = value.get("value") if isinstance(value, dict) else value
        if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
            return None
        if item.type == "integer":
            whole = int(Decimal(str(number)).to_integral_value(ROUND_HALF_UP))
            return Answer("Integer", whole) if abs(whole) <= LARGEST_INTEGER else None
        return Answer("Decimal", Decimal(str(number)))
    if item.type in ("reference", "attachment"):
        if isinstance(value, str) and item.type == "reference":
            value = {"reference": value}
        if isinstance(value, dict) and value.get("resourceType"):
            value = {"reference": f"{value['resourceType']}/{value.get('id')}"}
        return Answer(VALUE[item.type], value) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("display") or value.get("text") or value.get("code") or value.get("value")
    if value is None:
        return None
    text = "true" if value is True else "false" if value is False else str(value)
    return _worded(item, text)


_TEMPORAL = {
    "date": re.compile(r"^\d{4}(-\d\d(-\d\d)?)?"),
    "dateTime": re.compile(r"^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$"),
    "time": re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"),
}


def _worded(item: Item, text: str) -> Answer | None:
    """A text as an answer, for a date or time the part of it that is one; None for what is not."""
    text = text.strip()
    if item.type in _TEMPORAL:
        if item.type == "dateTime" and len(text) > 10:
            text = _whole(text)
        found = _TEMPORAL[item.type].search(text)
        if found is None:
            return None
        text = found[0]
        try:
            bounds(text if item.type != "time" else f"2026-01-01T{text}Z")
        except ValueError:
            return None
    return Answer(VALUE[item.type], text) if text else None


def _whole(text: str) -> str:
    """A moment with seconds and zone; the region's zone when it names none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo else at.replace(tzinfo=clock.STOCKHOLM)).isoformat(timespec="seconds")


def _chosen(item: Item, value: Any) -> Answer | None:
    if isinstance(value, dict) and "coding" in value:  # a CodeableConcept
        coded = [
            a for c in value["coding"] if (a := _chosen(item, c)) is not None and a.kind == "Coding"
        ]
        if coded or not value.get("text"):
            return coded[0] if coded else None
        value = value["text"]
    for o in item.options:
        if same(o.value, value):
            return Answer(o.kind, chosen_value(o))
    if isinstance(value, dict) and (value.get("code") or value.get("display")):
        return Answer("Coding", {k: v for k, v in value.items() if k != "extension"})
    return Answer("String", str(value)) if item.type == "open-choice" else None


def _quantity(item: Item, value: Any) -> Answer | None:
    if isinstance(value, dict) and "value" in value:
        return Answer("Quantity", {k: v for k, v in value.items() if k != "extension"})
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    unit = item.units[0] if item.units else {}
    named = {
        "unit": unit.get("display") or unit.get("code"),
        "system": unit.get("system"),
        "code": unit.get("code"),
    }
    return Answer(
        "Quantity", {"value": Decimal(str(value)), **{k: v for k, v in named.items() if v}}
    )


def _texts(node: Node, evaluator: Evaluator) -> None:
    """What expressions say of an item besides its value: its text, whether it is required, which options it has."""
    item = node.item
    if "text" in item.expressions:
        found = evaluator.ask(item.expressions["text"], node)
        node.text = str(found[0]) if found else ""
    if "required" in item.expressions:
        node.required = evaluator.true(item.expressions["required"], node) is True
    kind = "answer" if "answer" in item.expressions else "candidate"
    if kind in item.expressions:
        given = [plain(v) for v in evaluator.ask(item.expressions[kind], node)]
        offered = [a for v in given if (a := fitted(item, v)) is not None]
        node.offered = {"options": offered}
    if item.toggles:
        hidden = [
            v for values, e in item.toggles if evaluator.true(e, node) is not True for v in values
        ]
        shown = [v for values, e in item.toggles if evaluator.true(e, node) is True for v in values]
        gone = [h for h in hidden if not any(same(h, s) for s in shown)]
        node.offered = {**(node.offered or {}), "gone": gone}


def limit_of(node: Node, which: str, evaluator: Evaluator | None) -> Any:
    """The smallest (`low`) or largest (`high`) value of a node now; None without."""
    limit = node.item.low if which == "low" else node.item.high
    if limit is None:
        return None
    if limit.expression is not None and evaluator is not None:
        found = evaluator.ask(limit.expression, node)
        return plain(found[0]) if found else None
    value = limit.value
    return None if isinstance(value, dict) and "expression" in value else value
