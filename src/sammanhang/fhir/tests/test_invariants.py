"""The translated invariants say what fhirpathpy says of the official expressions.

Every error-level invariant of the base types is asked twice of official examples, whole ones and ones
with members taken away: once by the generated second pass, once by fhirpathpy on the plain JSON. Where
the two have to differ, the table below tells why.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from sammanhang.fhir import decode, fhirpath
from sammanhang.fhir.checking import expression
from sammanhang.fhir.validation.definitions import Definitions
from sammanhang.fhir.validation.elements import Node
from sammanhang.fhir.validation.items import Item, root_item
from sammanhang.fhir.validation.profiles import Validation, Way, _base, _members

from . import examples

# Invariants for which fhirpathpy, not the translation, departs from the specification or HL7's reading.
DIFFERING = {
    "bdl-8": "the negation of an empty collection: no fullUrl is no fault",
    "ref-1": "as bdl-8: a reference by identifier alone is no fault",
    "bdl-11": "a type that is absent is told once, as required",
    "bdl-12": "as bdl-11",
    "dom-2": "told at the contained resource, where it is, and not at the one that contains it",
    "dom-3": "as dom-2; fhirpathpy does not know `as(canonical)` of several items",
    "dom-4": "as dom-2",
    "dom-5": "as dom-2",
    "ras-2": "a probability that is absent, or a range, is no fault",
    "que-1": "a type that is absent is told once, as required",
    "que-7": "fhirpathpy does not take a FHIR boolean for a `Boolean`",
    "txt-1": "`htmlChecks()` is both txt-1 and txt-2; one fault is told once",
    "txt-2": "as txt-1",
}


class Asked(Validation):
    """Goes through a resource by its types and asks fhirpathpy every error-level invariant."""

    def __init__(self) -> None:
        super().__init__(DEFINITIONS)
        self.broken: set[tuple[str, str]] = set()
        self.asked: set[str] = set()

    def base(self, item: Item) -> None:
        root = self.definitions.type_tree(str(item.type))
        if root is not None:
            self._check(root, item, Way(root, str(item.type), True))

    def _binding(self, node: Node, item: Item) -> None:
        pass

    def _constraints(self, node: Node, item: Item, way: Way) -> None:
        for c in node.definition.get("constraint", ()):
            if c.get("severity") != "error" or not c.get("expression") or c["key"] == "ele-1":
                continue
            focus: Any = item.value if item.value is not None else item.beside
            whole = item.at == item.type or "resourceType" in _members(focus)
            met = fhirpath.truth(
                c["expression"], focus, item.scope.resource, root=item.scope.root,
                base=None if whole else _base(node, item), resolve=item.scope.resolve,
            )  # fmt: skip
            if met is not None:
                self.asked.add(c["key"])
            if met is False:
                self.broken.add((c["key"], expression(item.at)))


DEFINITIONS = Definitions()


def _translated(resource: Any) -> set[tuple[str, str]]:
    found = (i for i in decode.second_pass(resource) if i.code == "invariant")
    return {(i.en.split()[1], i.expression) for i in found}


def _compare(value: Any) -> tuple[list[str], set[str]]:
    """(differences, keys asked) for one resource; nothing for one its types refuse."""
    body = examples.write(value)
    try:
        resource = decode.typed_decoder(value["resourceType"]).decode(body)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return [], set()
    asked = Asked()
    asked.base(root_item(decode.raw(body)))
    ours = {(k, e) for k, e in _translated(resource) if k in asked.asked}
    differences = [
        f"{key} at {place}: {'translated' if (key, place) in ours else 'fhirpathpy'} says broken"
        for key, place in ours ^ asked.broken
        if key not in DIFFERING
    ]
    return differences, asked.asked


def _thinned(value: Any, rng: random.Random) -> Any:
    """The resource without one or two of its members: what makes invariants break."""
    for _ in range(rng.choice([1, 2])):
        found = [
            (c, k) for c, k in examples.places(value) if isinstance(c, dict) and k != "resourceType"
        ]
        if found:
            container, key = rng.choice(found)
            del container[key]
    return value


def _run(every: int, times: int) -> tuple[list[str], set[str]]:
    rng = random.Random(4)
    differences: list[str] = []
    asked: set[str] = set()
    for path in examples.files(20_000)[::every]:
        for n in range(times):
            value = examples.read(path)
            found, keys = _compare(_thinned(value, rng) if n else value)
            differences += [f"{path.name}: {d}" for d in found]
            asked |= keys
    return differences, asked


@examples.here
def test_translated_invariants_agree_with_fhirpathpy_on_a_few_examples() -> None:
    differences, _ = _run(every=200, times=2)
    assert differences == []


@examples.here
@pytest.mark.slow
def test_translated_invariants_agree_with_fhirpathpy() -> None:
    differences, asked = _run(every=24, times=2)
    assert differences == []
    assert len(asked) > 90
