"""Definition-based extraction: an item says which element of which resource its answer is.

itemExtractionContext  on the form or a group: the resource type that is made there, or a query that finds one
definitionExtract      the same in SDC 4, by the address of a profile
Item.definition        http://hl7.org/fhir/StructureDefinition/Patient#Patient.birthDate
definitionExtractValue a fixed value, or an expression, for an element
"""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec

from sammanhang.fhir.r4 import CLASSES

from .expressions import Evaluator, plain
from .expressions_of import expression_of
from .tree import Answer, Node, Tree
from .urls import SDC, extension, extensions, said, value_of

_CONTEXT = SDC + "sdc-questionnaire-itemExtractionContext"
_EXTRACT = SDC + "sdc-questionnaire-definitionExtract"
_FIXED = SDC + "sdc-questionnaire-definitionExtractValue"


def by_definition(tree: Tree, evaluator: Evaluator) -> list[dict[str, Any]]:
    """A resource for each place that makes one."""
    out: list[dict[str, Any]] = []
    kind = _kind(tree.form.raw)
    here = None
    if kind:
        here = {"resourceType": kind}
        out.append(here)
        _fixed(here, tree.form.raw, None, evaluator)
    for node in tree.nodes:
        out += _walk(node, here, evaluator)
    return [r for r in out if len(r) > 1]


def _kind(raw: dict[str, Any]) -> str:
    """The resource type an element makes; empty when it makes none, or one there is no such type of."""
    found = extension(raw, _CONTEXT)
    value = value_of(found) if found is not None else None
    if isinstance(value, dict):
        value = str(value.get("expression") or "").partition("?")[0]
    elif (told := extension(raw, _EXTRACT)) is not None:
        value = str(said(told, "definition") or "").rpartition("/")[2]
    return value if isinstance(value, str) and value in CLASSES else ""


def _walk(node: Node, here: dict[str, Any] | None, evaluator: Evaluator) -> list[dict[str, Any]]:
    if not node.enabled or not node.filled:
        return []
    out: list[dict[str, Any]] = []
    kind = _kind(node.item.raw)
    if kind:
        here = {"resourceType": kind}
        out.append(here)
    if here is not None:
        _fixed(here, node.item.raw, node, evaluator)
        path = _path(node.item.raw, here["resourceType"])
        for a in node.answers:
            if path and a.value is not None:
                put(here, path, a.value, a)
    for below in node.nodes:
        out += _walk(below, here, evaluator)
    return out


def _path(raw: dict[str, Any], kind: str) -> str:
    """`name.family` of `…/Patient#Patient.name.family`; empty for the definition of another type."""
    definition = str(raw.get("definition") or "")
    path = definition.partition("#")[2]
    first, _dot, rest = path.partition(".")
    return rest.replace("[x]", "") if first == kind else ""


def _fixed(
    here: dict[str, Any], raw: dict[str, Any], node: Node | None, evaluator: Evaluator
) -> None:
    for e in extensions(raw, _FIXED):
        path = (
            str(said(e, "definition") or "").partition("#")[2].partition(".")[2].replace("[x]", "")
        )
        value = said(e, "fixed-value")
        if value is None and (told := expression_of(said(e, "expression"), [], "")) is not None:
            found = evaluator.ask(told, node)
            value = plain(found[0]) if found else None
        if path and value is not None:
            put(here, path, value, None)


def put(resource: dict[str, Any], path: str, value: Any, a: Answer | None) -> None:
    """Sets an element; elements that repeat are lists, and a code becomes a concept where one is asked for.

    A path the type does not have is left out: a form may carry the definition of a newer version.
    """
    place: Any = resource
    struct: Any = CLASSES[resource["resourceType"]]
    steps = [s.partition(":")[0] for s in path.split(".")]
    for n, step in enumerate(steps):
        found = field_of(struct, step, value if n == len(steps) - 1 else None, a)
        if found is None:
            return
        name, kind, many = found
        last = n == len(steps) - 1
        if last:
            fitted = fit(kind, value)
            if many:
                place.setdefault(name, []).append(fitted)
            else:
                place[name] = fitted
            return
        if many:
            rows = place.setdefault(name, [])
            if not rows:
                rows.append({})
            place = rows[-1]
        else:
            place = place.setdefault(name, {})
        struct = kind


def field_of(struct: Any, step: str, value: Any, a: Answer | None) -> tuple[str, Any, bool] | None:
    """(name, type, whether it repeats) of an element of a generated class; `value[x]` by the answer's type."""
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return None
    known = {f.name: f.type for f in msgspec.structs.fields(struct)}
    name = step
    if name not in known:
        ending = a.kind if a is not None else _ending(value)
        options = [
            step + ending,
            *(n for n in known if n.startswith(step) and n[len(step) : len(step) + 1].isupper()),
        ]
        if ending == "Coding":
            options.insert(0, step + "CodeableConcept")
        name = next((o for o in options if o in known), "")
    if not name:
        return None
    kind, many = _unwrapped(known[name])
    return name, kind, many


def _ending(value: Any) -> str:
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int):
        return "Integer"
    if isinstance(value, dict):
        return (
            "Quantity" if "value" in value else "CodeableConcept" if "coding" in value else "Coding"
        )
    return "String"


def _unwrapped(kind: Any) -> tuple[Any, bool]:
    """A field's own type without None, metadata and list; whether it was a list."""
    many = False
    while True:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif origin in (typing.Union, types.UnionType):
            rest = [k for k in typing.get_args(kind) if k is not type(None)]
            if not rest:
                return kind, many
            kind = rest[0]
        elif origin is list:
            many = True
            kind = typing.get_args(kind)[0]
        else:
            return kind, many


def fit(kind: Any, value: Any) -> Any:
    """An answer as an element's type has it: a Coding as a CodeableConcept, or as its code alone."""
    name = getattr(kind, "__name__", "")
    if isinstance(value, dict) and "code" in value and "value" not in value:
        if name == "CodeableConcept":
            return {"coding": [{k: v for k, v in value.items() if k != "extension"}]}
        if name not in ("Coding", "Quantity"):
            return value["code"]
    if isinstance(value, str) and name == "CodeableConcept":
        return {"text": value}
    if isinstance(value, str) and name == "Reference":
        return {"reference": value}
    if isinstance(value, str) and name == "Annotation":
        return {"text": value}
    return value
