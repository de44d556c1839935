"""Template-based extraction: resources contained in the form, filled in by expressions.

templateExtract         on the form or an item: the contained resource that is made there
templateExtractContext  on an element: made once for each thing the expression gives; gone when it gives nothing
templateExtractValue    on an element: its value
extractAllocateId       a name for a new id that expressions may use
"""

from __future__ import annotations

import copy
from typing import Any

from uuid_utils import uuid7

from sammanhang.fhir.fhirpath import evaluate

from .expressions import FUNCTIONS, Evaluator, plain
from .tree import Node, Tree
from .urls import SDC, extensions, said, value_of

_TEMPLATE = SDC + "sdc-questionnaire-templateExtract"
_BUNDLE = SDC + "sdc-questionnaire-templateExtractBundle"
_CONTEXT = SDC + "sdc-questionnaire-templateExtractContext"
_VALUE = SDC + "sdc-questionnaire-templateExtractValue"
_ALLOCATE = SDC + "sdc-questionnaire-extractAllocateId"


def by_template(tree: Tree, evaluator: Evaluator) -> list[dict[str, Any]]:
    """A resource for each template the form and its answered items name."""
    contained = {f"#{c.get('id')}": c for c in tree.form.raw.get("contained") or ()}
    around: dict[str, Any] = {
        "resource": evaluator.resource,
        "rootResource": evaluator.resource,
        **evaluator.contexts,
    }
    _allocate(tree.form.raw, around)
    out = _made(tree.form.raw, evaluator.resource, None, contained, around)
    for e in extensions(tree.form.raw, _BUNDLE):
        reference = value_of(e)
        template = (
            contained.get(str((reference or {}).get("reference")))
            if isinstance(reference, dict)
            else None
        )
        if template is not None:
            bundle = _filled(copy.deepcopy(template), evaluator.resource, None, around)
            out += [x["resource"] for x in (bundle or {}).get("entry") or () if x.get("resource")]
    for node in tree.nodes:
        out += _walk(node, contained, around)
    return out


def _walk(node: Node, contained: dict[str, Any], around: dict[str, Any]) -> list[dict[str, Any]]:
    if not node.enabled or not node.filled or node.element is None:
        return []
    here = dict(around)
    _allocate(node.item.raw, here)
    out = _made(node.item.raw, node.element, "QuestionnaireResponse.item", contained, here)
    for below in node.nodes:
        out += _walk(below, contained, here)
    return out


def _allocate(raw: dict[str, Any], around: dict[str, Any]) -> None:
    for e in extensions(raw, _ALLOCATE):
        around[str(value_of(e))] = f"urn:uuid:{uuid7()}"


def _made(
    raw: dict[str, Any], focus: Any, base: str | None, contained: dict[str, Any], around: dict[str, Any]
) -> list[dict[str, Any]]:  # fmt: skip
    out = []
    for e in extensions(raw, _TEMPLATE):
        reference = said(e, "template") or value_of(e)
        template = (
            contained.get(str((reference or {}).get("reference")))
            if isinstance(reference, dict)
            else None
        )
        if template is None:
            continue
        filled = _filled(copy.deepcopy(template), focus, base, around)
        if isinstance(filled, dict) and len(filled) > 1:
            filled.pop("id", None)
            out.append(filled)
    return out


def _ask(expression: Any, focus: Any, base: str | None, around: dict[str, Any]) -> list[Any]:
    text = expression.get("expression") if isinstance(expression, dict) else expression
    asked = str(text)
    if asked.startswith("$this"):  # which fhirpathpy knows inside functions only
        asked = "%context" + asked.removeprefix("$this")
    try:
        found = evaluate(
            asked, focus, {**around, "context": focus}, base=base, more=FUNCTIONS, typed=False
        )
    except (
        Exception
    ):  # the library raises many kinds; an element that cannot be worked out is left out
        return []
    return [plain(f) for f in found]


def _filled(element: Any, focus: Any, base: str | None, around: dict[str, Any]) -> Any:
    """A template's element with its values in place; None when its context gives nothing."""
    if isinstance(element, list):
        made = []
        for e in element:
            made += _each(e, focus, base, around)
        return made or None
    if not isinstance(element, dict):
        return element
    found = _each(element, focus, base, around)
    return found[0] if found else None


def _each(element: Any, focus: Any, base: str | None, around: dict[str, Any]) -> list[Any]:
    if not isinstance(element, dict):
        return [element]
    contexts = extensions(element, _CONTEXT)
    values = extensions(element, _VALUE)
    left = [e for e in element.get("extension") or () if e.get("url") not in (_CONTEXT, _VALUE)]
    element = {k: v for k, v in element.items() if k != "extension"}
    if left:
        element["extension"] = left
    if values:
        return _ask(value_of(values[0]), focus, base, around)
    things = [(focus, base)]
    if contexts:
        things = [(f, "QuestionnaireResponse.item" if isinstance(f, dict) and "linkId" in f else None) for f in _ask(value_of(contexts[0]), focus, base, around)]  # fmt: skip
    return [made for f, b in things if (made := _members(element, f, b, around))]


def _members(
    element: dict[str, Any], focus: Any, base: str | None, around: dict[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in element.items():
        if name.startswith("_") and isinstance(value, dict | list):
            _primitive(made, name[1:], value, focus, base, around)
            continue
        filled = _filled(value, focus, base, around)
        if filled is not None and filled != {} and filled != []:
            made[name] = filled
    return made


def _primitive(
    made: dict[str, Any],
    name: str,
    value: Any,
    focus: Any,
    base: str | None,
    around: dict[str, Any],
) -> None:
    """A primitive whose value an expression gives (`_birthDate`)."""
    rows = value if isinstance(value, list) else [value]
    given: list[Any] = []
    for row in rows:
        for e in extensions(row, _VALUE):
            given += _ask(value_of(e), focus, base, around)
    if given:
        made[name] = given if isinstance(value, list) else given[0]
