"""A response laid out over its form: every item in its place, answered or not, each row of what repeats.

The tree is what is filled in, checked, calculated and shown; a `QuestionnaireResponse` is what is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sammanhang.fhir.fhirpath import plain
from sammanhang.fhir.r4 import QuestionnaireResponse

from . import urls
from .questionnaire import Form, Item
from .values import Unreadable, same

PREFIX = "form."
_WEIGHT = urls.HL7 + "itemWeight"


@dataclass(slots=True, eq=False)
class Answer:
    """One answer: its `value[x]` by kind, or the text as it was typed when it could not be read.

    source    where a prefilled value came from, as an extension
    """

    kind: str = ""
    value: Any = None
    typed: str | None = None
    wrong: Unreadable | None = None
    source: dict[str, Any] | None = None

    @property
    def there(self) -> bool:
        return self.value is not None or self.typed is not None


@dataclass(slots=True, eq=False)
class Node:
    """One occurrence of an item: its name as a field, its answers, and what stands below it.

    enabled   whether its conditions are met, and those of all above it; `met` whether its own are
    row       its number among the rows of an item that repeats with others below it
    element   the part of the response it became last (`Tree.element`)
    """

    item: Item
    name: str
    parent: Node | None
    row: int = 0
    answers: list[Answer] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    enabled: bool = True
    met: bool = True
    required: bool = False
    element: dict[str, Any] | None = None
    text: str = ""
    offered: dict[str, Any] | None = None

    @property
    def values(self) -> list[Any]:
        return [a.value for a in self.answers if a.value is not None]

    @property
    def answered(self) -> bool:
        return any(a.there for a in self.answers)

    @property
    def filled(self) -> bool:
        """Whether it, or anything below it, has an answer."""
        return self.answered or any(n.filled for n in self.nodes)

    def all(self) -> Iterator[Node]:
        yield self
        for n in self.nodes:
            yield from n.all()


@dataclass(eq=False)
class Tree:
    """A response over its form. `strangers` are linkIds of the response that the form does not have."""

    form: Form
    nodes: list[Node]
    head: dict[str, Any] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    by_link: dict[str, list[Node]] = field(default_factory=dict)
    prefix: str = PREFIX
    notes: list[str] = field(default_factory=list)

    def all(self) -> Iterator[Node]:
        for n in self.nodes:
            yield from n.all()

    def indexed(self) -> Tree:
        """With the nodes of each linkId at hand; anew after rows came or went."""
        found: dict[str, list[Node]] = {}
        for n in self.all():
            found.setdefault(n.item.link, []).append(n)
            n.required = n.item.required
        self.by_link = found
        return self

    def near(self, node: Node, link: str) -> list[Node]:
        """The occurrences of another item that belong with this node: those in the nearest row both stand in."""
        found = self.by_link.get(link, [])
        if len(found) < 2:
            return found
        above = set(self.form.index[link].path) | {link}
        a: Node | None = node
        while a is not None:
            if a.item.link in above:
                return [n for n in found if _within(n, a)]
            a = a.parent
        return found

    def first(self, link: str) -> Node | None:
        return next(iter(self.by_link.get(link, ())), None)

    def element(
        self, *, enabled_only: bool = True, weighed: bool = False, final: bool = False
    ) -> dict[str, Any]:
        """The response as plain JSON values.

        `weighed` puts the points of chosen options on their codings, as expressions ask for them; `final` leaves
        out what is empty and what could not be read.
        """
        made = {k: v for k, v in self.head.items() if k != "item"}
        made["resourceType"] = "QuestionnaireResponse"
        items = _elements(self.nodes, enabled_only, weighed, final)
        if items:
            made["item"] = items
        return made


def _within(node: Node, above: Node) -> bool:
    a: Node | None = node
    while a is not None:
        if a is above:
            return True
        a = a.parent
    return False


def _elements(
    nodes: list[Node], enabled_only: bool, weighed: bool, final: bool
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for node in nodes:
        node.element = None
        if (enabled_only and not node.enabled) or node.item.type == "display":
            continue
        below = _elements(node.nodes, enabled_only, weighed, final)
        item: dict[str, Any] = {"linkId": node.item.link}
        if node.text or node.item.text.plain:
            item["text"] = node.text or node.item.text.plain
        if node.item.type == "group":
            if below:
                item["item"] = below
            elif final or not node.item.many or _only_row(node):
                continue
        else:
            answers = [_answer(node, a, weighed, final) for a in node.answers if a.there]
            answers = [a for a in answers if a]
            if below and answers:
                answers[0]["item"] = below
            elif below:
                answers = [{"item": below}]
            if not answers and (final or not node.item.many or _only_row(node)):
                continue
            if answers:
                item["answer"] = answers
            if node.item.many and made and made[-1]["linkId"] == node.item.link and answers:
                made[-1].setdefault("answer", []).extend(answers)
                node.element = made[-1]
                continue
        node.element = item
        made.append(item)
    return made


def _only_row(node: Node) -> bool:
    beside = node.parent.nodes if node.parent is not None else None
    return node.row == 0 and (beside is None or sum(n.item is node.item for n in beside) < 2)


def _answer(node: Node, a: Answer, weighed: bool, final: bool) -> dict[str, Any]:
    if a.value is None:
        if final:
            return {}
        return {"extension": [{"url": urls.AS_TYPED, "valueString": a.typed}]}
    value = a.value
    if weighed and isinstance(value, dict | str):
        points = weight_of(node.item, value)
        if points is not None:
            mark = {"url": _WEIGHT, "valueDecimal": points}
            if isinstance(value, dict):
                value = {**value, "extension": [mark, *(value.get("extension") or ())]}
            else:
                return {"extension": [mark], f"value{a.kind}": value}
    made: dict[str, Any] = {f"value{a.kind}": value}
    if a.source is not None:
        made["extension"] = [a.source]
    return made


def weight_of(item: Item, value: Any) -> Any:
    """The points of the option that was chosen; None without."""
    for o in item.options:
        if o.weight is not None and same(o.value, value):
            return o.weight
    return None


# From a response


def tree_of(form: Form, response: Any, prefix: str = PREFIX) -> Tree:
    """A response (a structure or plain JSON values) over its form; None gives an empty one."""
    told = (
        response if isinstance(response, dict) else plain(response) if response is not None else {}
    )
    tree = Tree(form, [], {k: v for k, v in told.items() if k != "item"}, prefix=prefix)
    tree.nodes = _laid(form.items, told.get("item"), None, prefix, tree)
    return tree.indexed()


def _laid(
    items: tuple[Item, ...], found: Any, parent: Node | None, prefix: str, tree: Tree
) -> list[Node]:
    by: dict[str, list[dict[str, Any]]] = {}
    for f in found or ():
        by.setdefault(str(f.get("linkId")), []).append(f)
    made: list[Node] = []
    for item in items:
        there = by.pop(item.link, [])
        if item.many:
            made += _rows(item, there, parent, prefix, tree)
            continue
        node = Node(item, prefix + item.link, parent)
        for f in there:
            node.answers += [x for a in f.get("answer") or () if (x := answer_of(a)).there]
        below = [i for f in there for i in f.get("item") or ()]
        below += [i for f in there for a in f.get("answer") or () for i in a.get("item") or ()]
        node.nodes = _laid(item.items, below, node, prefix, tree)
        made.append(node)
    tree.strangers += by
    return made


def _rows(
    item: Item, there: list[dict[str, Any]], parent: Node | None, prefix: str, tree: Tree
) -> list[Node]:
    """A row for each occurrence, at least as many as there must be, at least one."""
    if item.type == "group":
        rows = [(None, f.get("item")) for f in there]
    else:
        rows = [(a, a.get("item")) for f in there for a in f.get("answer") or ()]
        rows += [(None, None) for f in there if not f.get("answer")]
    while len(rows) < max(1, item.occurs[0] or 1):
        rows.append((None, None))
    made = []
    for n, (told, below) in enumerate(rows):
        name = f"{prefix}{item.link}[{n}]"
        node = Node(item, name, parent, n)
        if told is not None and (a := answer_of(told)).there:
            node.answers = [a]
        node.nodes = _laid(item.items, below, node, f"{name}.", tree)
        made.append(node)
    return made


def fill_initial(nodes: list[Node]) -> None:
    """Gives questions without an answer the first values their form says."""
    for node in nodes:
        if node.item.initial and not node.answers and node.item.question:
            some = (
                node.item.initial
                if node.item.repeats and not node.item.many
                else node.item.initial[:1]
            )
            node.answers = [Answer(kind, _stripped(value)) for kind, value in some]
        fill_initial(node.nodes)


def _stripped(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k not in ("extension", "_display")}


def answer_of(told: dict[str, Any]) -> Answer:
    """One answer of a response."""
    kind, value = urls.kind_of(told), urls.value_of(told)
    typed = urls.said(told, urls.AS_TYPED)
    return Answer(
        kind, value, None if value is not None else typed, None, urls.extension(told, urls.SOURCE)
    )


def structure(told: dict[str, Any]) -> Any:
    """Plain JSON values as a typed QuestionnaireResponse. Raises `msgspec.ValidationError`."""
    return msgspec.convert(
        {**told, "resourceType": "QuestionnaireResponse"}, QuestionnaireResponse, strict=False
    )
