"""From a signed response to other resources: observations, and whatever its definitions or templates say.

Source: http://hl7.org/fhir/uv/sdc/extraction.html. Nothing here stores anything: the caller adds what comes back
to the same act that stores the response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from sammanhang.fhir.r4 import CLASSES

from .calculating import settle
from .definitions import by_definition
from .expressions import Contexts, Evaluator
from .questionnaire import Form, Item
from .scoring import bands_of
from .templates_of import by_template
from .tree import Node, Tree, tree_of
from .urls import SDC, said

EXTRACT = SDC + "sdc-questionnaire-observationExtract"
_CATEGORY = (
    SDC + "sdc-questionnaire-observation-extract-category", SDC + "sdc-questionnaire-observationExtractCategory",
)  # fmt: skip
_SURVEY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}],
    "text": "Bedömning",
}  # fmt: skip
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_VALUES = {
    "Boolean", "Integer", "String", "Quantity", "Time", "DateTime", "Coding", "Date", "Decimal", "Uri",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signed:
    """What extraction needs to know beside the answers: whose, by whom (`PractitionerRole/…` and a name), when,
    which response they came from, and during which care contact."""

    subject: str
    author: str
    author_name: str
    authored: str
    response: str
    encounter: str = ""


def extract(
    form: Form, response: Any, signed: Signed, contexts: Contexts | None = None
) -> list[Any]:
    """The resources that a response gives, as structures not yet stored, observations first.

    Raises `msgspec.ValidationError` when a definition or template makes something that is no FHIR resource.
    """
    tree = settle(tree_of(form, response), contexts)
    evaluator = Evaluator(tree, contexts)
    found = [
        *observations(tree, signed),
        *by_definition(tree, evaluator),
        *by_template(tree, evaluator),
    ]
    return [made(r, signed) for r in found]


def made(told: dict[str, Any], signed: Signed) -> Any:
    """Plain JSON values as a structure; a resource of a patient's that names none is this patient's."""
    kind = told["resourceType"]
    struct = CLASSES[kind]
    fields = {f.name for f in msgspec.structs.fields(struct)}
    for name in ("subject", "patient"):
        if signed.subject and name in fields and not told.get(name):
            told[name] = {"reference": signed.subject}
            break
    return msgspec.convert(told, struct, strict=False)


# Observations


def observations(tree: Tree, signed: Signed) -> list[dict[str, Any]]:
    """An Observation for every answer of an item that asks for one (observation-based extraction)."""
    root = _flag(tree.form.raw)
    out: list[dict[str, Any]] = []
    for node in tree.nodes:
        out += _observed(node, tree, signed, root, None)
    return out


def _flag(raw: dict[str, Any]) -> Any:
    return said(raw, EXTRACT)


def _observed(
    node: Node, tree: Tree, signed: Signed, above: Any, panel: dict[str, Any] | None
) -> list[dict[str, Any]]:
    if not node.enabled:
        return []
    own = _flag(node.item.raw)
    flag = above if own is None else own
    out: list[dict[str, Any]] = []
    codes = _codes(node.item)
    if flag and codes:
        if node.item.type == "group":
            panel = (
                _bare(node, tree, signed, codes) if node.filled and _has_components(node) else None
            )
            if panel is not None:
                out.append(panel)
        for a in node.answers:
            if a.value is None or a.kind not in _VALUES:
                continue
            if flag == "component" and panel is not None:
                panel.setdefault("component", []).append({"code": _concept(node.item, codes), **_value(a.kind, a.value)})  # fmt: skip
            else:
                out.append({**_bare(node, tree, signed, codes), **_value(a.kind, a.value), **_means(node.item, a.value)})  # fmt: skip
    for below in node.nodes:
        out += _observed(below, tree, signed, flag, panel)
    return out


def _has_components(node: Node) -> bool:
    return any(_flag(n.item.raw) == "component" for n in node.all())


def _codes(item: Item) -> list[dict[str, Any]]:
    """The item's codes, less those that say they are not to be extracted."""
    made = []
    for c in item.codes:
        if said(c, EXTRACT) is not False:
            made.append({k: v for k, v in c.items() if k != "extension"})
    return made


def _concept(item: Item, codes: list[dict[str, Any]]) -> dict[str, Any]:
    text = next((c["display"] for c in codes if c.get("display")), item.text.plain)
    bare = [{k: v for k, v in c.items() if k != "display"} if c.get("system", "").startswith("http://sammanhang.se") else c for c in codes]  # fmt: skip
    return {"coding": bare, **({"text": text} if text else {})}


def _bare(node: Node, tree: Tree, signed: Signed, codes: list[dict[str, Any]]) -> dict[str, Any]:
    """An Observation without a value: what, whose, when, by whom, from which response, by which version."""
    form = tree.form
    category = next(
        (c for raw in _raws(node, tree) if (c := said(raw, *_CATEGORY)) is not None), _SURVEY
    )
    title = form.title.plain or form.name
    made: dict[str, Any] = {
        "resourceType": "Observation", "status": "final", "category": [category], "code": _concept(node.item, codes),
        "subject": {"reference": signed.subject}, "effectiveDateTime": signed.authored,
        "derivedFrom": [{"reference": signed.response}],
    }  # fmt: skip
    if signed.author:
        made["performer"] = [{"reference": signed.author, "display": signed.author_name}]
        if not signed.author_name:
            del made["performer"][0]["display"]
    if not signed.subject:
        del made["subject"]
    if title:
        made["method"] = {"text": f"{title}, version {form.version}" if form.version else title}
    if signed.encounter:
        made["encounter"] = {"reference": signed.encounter}
    return made


def _raws(node: Node, tree: Tree) -> list[dict[str, Any]]:
    """The item and all above it, nearest first, and the form."""
    found, n = [], node
    while n is not None:
        found.append(n.item.raw)
        n = n.parent  # type: ignore[assignment]
    return [*found, tree.form.raw]


def _value(kind: str, value: Any) -> dict[str, Any]:
    """An answer as the value of an Observation."""
    if kind == "Coding":
        coding = {k: v for k, v in value.items() if k != "extension"}
        text = value.get("display")
        return {"valueCodeableConcept": {"coding": [coding], **({"text": text} if text else {})} if coding.get("code") else {"text": text or ""}}  # fmt: skip
    if kind == "Decimal":
        return {"valueQuantity": {"value": value}}
    if kind == "Date":
        return {"valueDateTime": value}
    if kind == "Uri":
        return {"valueString": value}
    return {f"value{kind}": value}


def _means(item: Item, value: Any) -> dict[str, Any]:
    """What a score means, as the Observation's interpretation."""
    band = next((b for b in bands_of(item) if b.holds(value)), None)
    if band is None:
        return {}
    concept: dict[str, Any] = {"text": band.text.plain}
    if band.code:
        concept["coding"] = [{"system": _INTERPRETATION, "code": band.code}]
    return {"interpretation": [concept]}


__all__ = ["Signed", "extract", "observations"]
