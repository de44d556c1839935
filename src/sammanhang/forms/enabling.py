"""Which items are asked: `enableWhen` with every operator, all or any, and enableWhenExpression.

An answer to a question that is not asked itself counts as no answer. Of several occurrences of the other
question those in the same row count. Source: http://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .questionnaire import When
from .tree import Node, Tree
from .values import compare, same

Truth = Callable[[Node], bool | None]
"""What an item's enableWhenExpression says; None when it cannot be evaluated."""


def enable(tree: Tree, told: Truth) -> None:
    """Sets `Node.enabled` and `Node.met` on every node."""
    own: dict[int, bool] = {}
    asking: set[int] = set()

    def asked(node: Node) -> bool:
        """Whether a node and all above it are asked."""
        return (node.parent is None or asked(node.parent)) and itself(node)

    def itself(node: Node) -> bool:
        """Whether a node's own conditions are met."""
        known = own.get(id(node))
        if known is not None:
            return known
        if id(node) in asking:  # two that wait for each other are both asked
            return True
        asking.add(id(node))
        own[id(node)] = met(node)
        asking.discard(id(node))
        return own[id(node)]

    def met(node: Node) -> bool:
        item = node.item
        if "enable" in item.expressions:
            return told(node) is True
        if not item.when:
            return True
        tests = (holds(w, answers(node, w)) for w in item.when)
        return any(tests) if item.behavior == "any" else all(tests)

    def answers(node: Node, when: When) -> list[Any]:
        return [
            v
            for n in tree.near(node, when.question)
            if n is not node and asked(n)
            for v in (n.values if n.item.question else [True] if n.filled else [])
        ] if when.question in tree.by_link else []  # fmt: skip

    for node in tree.all():
        node.enabled, node.met = asked(node), itself(node)


def holds(when: When, given: list[Any]) -> bool:
    """Whether a condition is met by the answers to its question; any of them is enough."""
    if when.operator == "exists":
        return bool(given) == (when.value is not False)
    if when.operator == "=":
        return any(same(v, when.value) for v in given)
    if when.operator == "!=":
        return not any(same(v, when.value) for v in given)
    order = [c for v in given if (c := compare(v, when.value)) is not None]
    tests = {
        ">": lambda c: c > 0,
        "<": lambda c: c < 0,
        ">=": lambda c: c >= 0,
        "<=": lambda c: c <= 0,
    }
    test = tests.get(when.operator)
    return test is not None and any(test(c) for c in order)
