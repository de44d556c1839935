"""A response as it is read: questions and answers in words, in the order of the form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.kernel.i18n import _

from .questionnaire import Form, Item
from .show import label_of
from .sources import Source, source_of
from .tree import Answer, Node, tree_of
from .values import same, typed


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a filled-in form: a headline of a group, or a question with its answers; `depth` how far in it
    stands, `sources` where answers came from."""

    label: str
    answers: tuple[str, ...]
    heading: bool
    depth: int
    sources: tuple[Source, ...] = ()


def lines_of(form: Form, response: Any) -> list[Line]:
    """Every answered question, and the headlines above them; what was not answered is left out."""
    made: list[Line] = []
    for node in tree_of(form, response).nodes:
        _walk(node, 0, made)
    return made


def _walk(node: Node, depth: int, made: list[Line]) -> None:
    item = node.item
    if not node.filled or item.hidden:
        return
    if item.type == "group":
        label = str(item.text)
        if label:
            made.append(
                Line(
                    f"{label} {node.row + 1}" if item.many and node.row else label, (), True, depth
                )
            )
    elif node.answered:
        sources = tuple(s for a in node.answers if (s := source_of(a.source)) is not None)
        made.append(
            Line(
                label_of(node),
                tuple(said(item, a) for a in node.answers if a.there),
                False,
                depth,
                sources,
            )
        )
    for below in node.nodes:
        _walk(below, depth + 1, made)


def said(item: Item, a: Answer) -> str:
    """An answer in words, in the reader's language."""
    if a.value is None:
        return a.typed or ""
    if isinstance(a.value, bool):
        return _("Ja") if a.value else _("Nej")
    for o in item.options:
        if same(o.value, a.value):
            return f"{o.prefix} {o.words}".strip()
    text = typed(item.type, a.value)
    if item.type == "quantity" and isinstance(a.value, dict):
        text = f"{text} {a.value.get('unit') or a.value.get('code') or ''}".strip()
    return text
