"""FHIRPath in a form: the environment each item's expressions are evaluated in.

`%resource` is the response (only what is asked), the focus is the part of it the expression stands on, `%context`
too; `%questionnaire` and `%qitem` are the form and the item. Variables are those of the form and of every item
above, outermost first; launch contexts and queries are what `prefill` or the caller hands in, and a name nobody
has given a value is empty. `weight()` and `ordinal()` give the points of what was chosen.

Source: http://hl7.org/fhir/uv/sdc/expressions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhirpathpy.engine.nodes import FP_Quantity, ResourceNode

from sammanhang.fhir.fhirpath import evaluate

from .expressions_of import FHIRPATH, Expression
from .tree import Node, Tree
from .urls import HL7, kind_of, said, value_of

Contexts = Mapping[str, Any]
"""Launch contexts and the answers of queries, by name."""
_BUILT_IN = {
    "resource",
    "rootResource",
    "context",
    "questionnaire",
    "qitem",
    "ucum",
    "sct",
    "loinc",
}
_ITEM = "QuestionnaireResponse.item"


class Evaluator:
    """Evaluates the expressions of one form over one tree; `refresh` after answers have changed."""

    def __init__(self, tree: Tree, contexts: Contexts | None = None) -> None:
        self.tree = tree
        self.contexts = dict(contexts or {})
        self.failed: dict[str, str] = {}
        self.bound: dict[
            int, dict[str, Any]
        ] = {}  # what a row of a repeating group stands for, by node
        self.refresh()

    def refresh(self) -> None:
        """The response as it is now; variables are worked out anew, when they are asked for."""
        self.resource = self.tree.element(weighed=True)
        self._known: dict[tuple[int, int], list[Any]] = {}

    def ask(
        self, expression: Expression, node: Node | None, more: Contexts | None = None
    ) -> list[Any]:
        """What an expression of an item (None: of the form) gives; empty when it cannot be evaluated."""
        around = self._around(expression, node, None)
        if node is not None:
            around["qitem"] = node.item.raw
            around["context"] = _element(node)
        around.update(more or {})
        return self._run(expression, node, around)

    def true(self, expression: Expression, node: Node | None) -> bool | None:
        """Whether an expression is true; None when it could not be evaluated."""
        found = self.ask(expression, node)
        if not found and self.failed.get(expression.text):
            return None
        return bool(found) and found[0] is not False

    def _around(
        self, expression: Expression, node: Node | None, before: int | None
    ) -> dict[str, Any]:
        """The environment of an expression: what it names, and nothing else."""
        made = {
            name: self._named(name, node, before)
            for name in expression.names
            if name not in _BUILT_IN
        }
        made["resource"] = made["rootResource"] = self.resource
        made["questionnaire"] = self.tree.form.raw
        return made

    def _named(self, name: str, node: Node | None, before: int | None) -> Any:
        """The variable of that name nearest above an item (those before number `before` of its own), a context, or
        nothing."""
        while True:
            variables = node.item.variables if node is not None else self.tree.form.variables
            for n in range(len(variables) if before is None else before)[::-1]:
                if variables[n].name == name:
                    return self._variable(variables[n], node, n)
            if node is None:
                return self.contexts.get(name, [])
            if name in self.bound.get(id(node), ()):
                return self.bound[id(node)][name]
            node, before = node.parent, None

    def _variable(self, variable: Expression, node: Node | None, n: int) -> Any:
        if variable.language != FHIRPATH:
            return self.contexts.get(variable.name, [])
        known = self._known.get((id(node), n))
        if known is None:
            around = self._around(variable, node, n)
            known = self._known[(id(node), n)] = self._run(variable, node, around, typed=True)
        return known

    def _run(
        self, expression: Expression, node: Node | None, around: dict[str, Any], typed: bool = False
    ) -> list[Any]:  # fmt: skip
        if expression.language != FHIRPATH:
            found = self.contexts.get(expression.name or expression.text, [])
            return found if isinstance(found, list) else [found]
        focus, base = (self.resource, None) if node is None else (_element(node), _ITEM)
        try:
            return evaluate(expression.text, focus, around, base=base, more=FUNCTIONS, typed=typed)
        except (
            Exception
        ) as e:  # the library raises many kinds, for what is wrong in an expression or its data
            self.failed[expression.text] = str(e)
            return []


def _element(node: Node) -> dict[str, Any]:
    return node.element if node.element is not None else {"linkId": node.item.link}


def plain(value: Any) -> Any:
    """A result as FHIR has it: a quantity literal as a Quantity."""
    if isinstance(value, ResourceNode):
        return plain(value.data)
    if isinstance(value, FP_Quantity):
        unit = str(value.unit).strip("'")
        return {
            "value": Decimal(str(value.value)),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        }
    if isinstance(value, float):
        return Decimal(str(value))
    return value


# Functions SDC adds to FHIRPath, and sums that fhirpathpy cannot do over elements of a resource


def _points(items: list[Any]) -> list[Any]:
    found = []
    for item in items:
        found += _points_of(_data(item))
    return found


def _points_of(told: Any) -> list[Any]:
    if not isinstance(told, dict):
        return []
    own = said(told, HL7 + "itemWeight", HL7 + "ordinalValue")
    if own is not None:
        return [own]
    if "answer" in told:
        return [p for a in told["answer"] for p in _points_of(a)]
    return _points_of(value_of(told)) if kind_of(told) else []


def _data(item: Any) -> Any:
    return item.data if isinstance(item, ResourceNode) else item


def _numbers(items: list[Any]) -> list[Any]:
    return [
        v for i in items if isinstance(v := _data(i), int | Decimal) and not isinstance(v, bool)
    ]


def _sum(items: list[Any]) -> list[Any]:
    numbers = _numbers(items)
    return [sum(numbers)] if len(numbers) == len(items) else []


def _extreme(pick: Any) -> Any:
    def found(items: list[Any]) -> list[Any]:
        some = [_data(i) for i in items]
        return [pick(some)] if some else []

    return found


def _average(items: list[Any]) -> list[Any]:
    numbers = _numbers(items)
    return [Decimal(sum(numbers)) / len(numbers)] if numbers and len(numbers) == len(items) else []


_ALONE: dict[str, Any] = {"arity": {0: []}}
FUNCTIONS: dict[str, Any] = {
    "weight": {"fn": _points, **_ALONE},
    "ordinal": {"fn": _points, **_ALONE},
    "sum": {"fn": _sum, **_ALONE},
    "min": {"fn": _extreme(min), **_ALONE},
    "max": {"fn": _extreme(max), **_ALONE},
    "avg": {"fn": _average, **_ALONE},
}
