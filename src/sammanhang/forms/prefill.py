"""Prefilling: fixed first values, expressions on the record, newest observations; each answer remembers its source.

Source: http://hl7.org/fhir/uv/sdc/populate.html (expression-based and observation-based population).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sammanhang.access.door import Record
from sammanhang.kernel import clock

from .calculating import answers_of, fitted, settle
from .contexts import KINDS, Given, Row, gather, observed
from .expressions import Evaluator, plain
from .expressions_of import QUERY, Expression
from .query import time_of
from .questionnaire import Form
from .sources import Source, source_of
from .tree import Answer, Node, Tree, fill_initial, structure, tree_of
from .urls import value_of
from .values import same, typed

# Rows of the record that are tried one by one to find which of them an answer came from.
MOST_TRIED = 60
_DAYS = {"d": 1, "wk": 7, "mo": 30.44, "a": 365.25, "h": 1 / 24}


@dataclass(frozen=True)
class Filled:
    """A prefilled response and where its answers came from, by linkId; `notes` say what could not be asked."""

    response: Any
    sources: dict[str, Source]
    contexts: dict[str, Any]
    notes: tuple[str, ...]


async def prefill(form: Form, record: Record) -> Filled:
    """A new response of the patient's, in progress, with everything the record and the form give beforehand."""
    given = await gather(form, record)
    tree = filled(form, given, subject=f"Patient/{record.patient_id}")
    return Filled(
        structure(tree.element(enabled_only=False)),
        sources_of(tree),
        given.contexts,
        (*given.notes, *tree.notes),
    )


def filled(form: Form, given: Given, subject: str = "") -> Tree:
    """An empty response filled with first values, expressions and observations; no I/O."""
    tree = tree_of(form, None)
    tree.head = {"status": "in-progress", "questionnaire": form.canonical}
    if subject:
        tree.head["subject"] = {"reference": subject}
    evaluator = Evaluator(tree, given.contexts)
    _populate(tree.nodes, tree, evaluator, given)
    tree.indexed()
    fill_initial(tree.nodes)
    evaluator.refresh()
    for node in list(tree.all()):
        if not node.item.question or node.answers:
            continue
        if "initial" in node.item.expressions:
            _express(node, evaluator, given)
        elif observed(node.item.raw) is not None:
            _observe(node, given)
        if node.answers:
            evaluator.refresh()
    tree.notes += [f"{text}: {why}" for text, why in evaluator.failed.items()]
    return settle(tree, given.contexts)


def _populate(nodes: list[Node], tree: Tree, evaluator: Evaluator, given: Given) -> None:
    """A row of a repeating group for each thing its population context gives."""
    for node in list(nodes):
        e = node.item.expressions.get("population")
        if e is None or not e.name:
            _populate(node.nodes, tree, evaluator, given)
            continue
        found = _collection(
            e, evaluator.ask(e, node) if e.language != QUERY else [given.contexts.get(e.name)]
        )
        if not node.item.many:
            evaluator.contexts.setdefault(e.name, found)
            _populate(node.nodes, tree, evaluator, given)
            continue
        rows = [node] if found else []
        for _more in found[1:]:
            rows.append(_row(node, tree, len(rows)))
        at = nodes.index(node)
        nodes[at + 1 : at + 1] = rows[1:]
        for row, thing in zip(rows, found, strict=False):
            evaluator.bound[id(row)] = {e.name: thing}
            given.rows.setdefault(e.name, [])


def _collection(e: Expression, found: list[Any]) -> list[Any]:
    made = []
    for f in found:
        if isinstance(f, dict) and f.get("resourceType") == "Bundle":
            made += [x["resource"] for x in f.get("entry") or () if x.get("resource")]
        elif f is not None:
            made.append(f)
    return made


def _row(node: Node, tree: Tree, n: int) -> Node:
    fresh = tree_of(tree.form, None, tree.prefix).first(node.item.link)
    assert fresh is not None
    name = f"{node.name.rpartition('[')[0]}[{n}]"
    for below in fresh.all():
        if below is not fresh:
            below.name = name + below.name.removeprefix(fresh.name)
    fresh.name, fresh.row, fresh.parent = name, n, node.parent
    return fresh


def _express(node: Node, evaluator: Evaluator, given: Given) -> None:
    e = node.item.expressions["initial"]
    found = evaluator.ask(e, node)
    made = answers_of(node.item, [_single(f) for f in found])
    names = _behind(e, node, evaluator)
    for a in made:
        source = _origin(a, e, node, names, evaluator, given)
        if source is not None:
            a.source = source.element()
    node.answers = made


def _single(value: Any) -> Any:
    """A resource's or element's own value, when an expression stopped short of it."""
    if isinstance(value, dict) and value.get("resourceType") == "Observation":
        return value_of(value)
    return value


def _behind(e: Expression, node: Node, evaluator: Evaluator) -> set[str]:
    """The collections of the record an expression asks, through variables too."""
    scope = {v.name: v for v in evaluator.tree.form.variables}
    above: Node | None = node
    while above is not None:
        for v in above.item.variables:
            scope.setdefault(v.name, v)
        above = above.parent
    found: set[str] = set()
    todo = [e]
    while todo:
        for name in todo.pop().names:
            if name in found:
                continue
            found.add(name)
            if name in scope:
                todo.append(scope[name])
    return found


def _origin(
    a: Answer, e: Expression, node: Node, names: set[str], evaluator: Evaluator, given: Given
) -> Source | None:
    """The row of the record that gives the answer by itself; else the collection it was worked out from."""
    was = typed(node.item.type, a.value)
    candidates = [(name, row) for name in sorted(names) for row in given.rows.get(name, ())]
    whole = dict(evaluator.contexts)
    try:
        for name, row in candidates[:MOST_TRIED]:
            alone = (
                row.resource
                if not isinstance(whole.get(name), dict)
                else _bundled(whole[name], row)
            )
            evaluator.contexts = {
                **whole,
                name: [alone] if isinstance(whole.get(name), list) else alone,
            }
            evaluator.refresh()
            found = [fitted(node.item, plain(_single(v))) for v in evaluator.ask(e, node)]
            if any(f is not None and same(f.value, a.value) for f in found):
                return source_from(row, given, was)
    finally:
        evaluator.contexts = whole
        evaluator.refresh()
    if candidates:
        newest = max((t for _n, r in candidates if (t := time_of(r.resource))), default="")
        return Source("", newest, f"#{candidates[0][0]}" if candidates[0][0] in KINDS else "", was)
    if names & {"patient", "subject"}:
        patient = given.contexts.get("patient") or {}
        return Source(f"Patient/{patient.get('id', '')}", "", "#patient", was)
    return None


def _bundled(bundle: dict[str, Any], row: Row) -> dict[str, Any]:
    if bundle.get("resourceType") != "Bundle":
        return row.resource
    return {**bundle, "entry": [{"resource": row.resource}]}


def source_from(row: Row, given: Given, was: str) -> Source:
    """A row of the record as the source of an answer."""
    where = given.units.get(row.stored.unit or 0) or given.units.get(row.stored.provider or 0) or ""
    at = time_of(row.resource) or ""
    return Source(f"{row.stored.type}/{row.stored.id}", at, where, was, _named(row.resource))


def _named(r: dict[str, Any]) -> str:
    """What a resource is about, in its own words."""
    for name in ("medicationCodeableConcept", "code", "vaccineCode", "type"):
        concept = r.get(name)
        concept = concept[0] if isinstance(concept, list) and concept else concept
        if isinstance(concept, dict):
            text = concept.get("text") or next((c.get("display") for c in concept.get("coding") or () if c.get("display")), "")  # fmt: skip
            if text:
                return str(text)
    return ""


def _observe(node: Node, given: Given) -> None:
    """The newest observation of the item's code, no older than its observationLinkPeriod."""
    period = observed(node.item.raw) or {}
    days = float(period.get("value") or 0) * _DAYS.get(
        str(period.get("code") or period.get("unit") or "d"), 1
    )
    since = (clock.today() - timedelta(days=days)).isoformat()
    codes = node.item.codes
    rows = [r for r in given.rows.get("observations", ()) if (time_of(r.resource) or "")[:10] >= since and _has(r.resource, codes)]  # fmt: skip
    rows.sort(key=lambda r: time_of(r.resource) or "", reverse=True)
    for row in rows[: None if node.item.repeats else 1]:
        a = fitted(node.item, value_of(row.resource))
        if a is not None:
            a.source = source_from(row, given, typed(node.item.type, a.value)).element()
            node.answers.append(a)


def _has(observation: dict[str, Any], codes: tuple[dict[str, Any], ...]) -> bool:
    there = (observation.get("code") or {}).get("coding") or ()
    return any(same(c, t) for c in codes for t in there if c.get("code") and t.get("code"))


def sources_of(tree: Tree) -> dict[str, Source]:
    """Where answers came from, by linkId; of several answers the first."""
    made: dict[str, Source] = {}
    for node in tree.all():
        for a in node.answers:
            found = source_of(a.source)
            if found is not None:
                made.setdefault(node.item.link, found)
    return made
