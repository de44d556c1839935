"""Which slice of an element an item belongs to (http://hl7.org/fhir/R4/profiling.html#slicing).

A discriminator says where to look and how to tell: by value, pattern, existence, type or profile. What
a slice demands there is read from its own snapshot, or from the profile of its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .definitions import Definitions
from .elements import Node
from .items import Item
from .shapes import CORE
from .values import fits, is_fixed

_STEP = re.compile(r"^(\w+)(?:\('?([^']*)'?\))?$")
Conforms = Callable[[Item, str], bool]
BY_TYPE = [{"type": "type", "path": "$this"}]


class Slicer:
    """Tells slices apart; `conforms` answers whether an item meets a profile."""

    def __init__(self, definitions: Definitions, conforms: Conforms) -> None:
        self._definitions = definitions
        self._conforms = conforms

    def belongs(self, item: Item, whole: Node, piece: Node) -> bool:
        """Whether an item is in a slice: every discriminator says so, and there is at least one."""
        slicing = whole.definition.get("slicing", {})
        discriminators = slicing.get("discriminator") or (BY_TYPE if whole.choice else [])
        return bool(discriminators) and all(
            self._matches(item, piece, str(d.get("type")), str(d.get("path", "$this")))
            for d in discriminators
        )

    def _matches(self, item: Item, piece: Node, kind: str, path: str) -> bool:
        steps = _steps(path)
        nodes = self._nodes(piece, steps)
        if kind in ("value", "pattern"):
            return self._by_value(item, nodes, steps)
        if nodes is None:
            return False
        node, found = nodes[-1][0], self._follow(item, steps)
        if kind == "exists":
            if node.max == 0:
                return not found
            return bool(found) or node.min == 0
        if kind == "type":
            wanted = self._types(node, steps)
            return bool(found) and all(self._type(i, steps) in wanted for i in found)
        if kind == "profile":
            urls = self._profiles(node, steps)
            return bool(found) and all(any(self._conforms(i, u) for u in urls) for i in found)
        return False

    # Value and pattern

    def _by_value(
        self, item: Item, nodes: list[tuple[Node, list[str]]] | None, steps: list[str]
    ) -> bool:
        """The first demand on the way down to the discriminated element, or those just below it."""
        urls = _type_profiles(nodes[0][0]) if nodes else []
        if urls and steps == ["url"]:  # an extension is told by its url, known here or not
            return isinstance(item.value, dict) and item.value.get("url") in {
                u.split("|")[0] for u in urls
            }
        if nodes is None:
            return False
        for node, walked in nodes:
            demand = self._demand(node)
            if demand is not None:
                return any(demand(i) for i in self._follow(item, walked))
        last, walked = nodes[-1]
        below = list(self._demands_below(last, walked))
        return bool(below) and all(
            any(demand(i) for i in self._follow(item, path)) for demand, path in below
        )

    def _demand(self, node: Node) -> Callable[[Item], bool] | None:
        fixed, pattern = node.value("fixed"), node.value("pattern")
        if fixed is not None:
            wanted = fixed[1]
            return lambda i: is_fixed(i.value, wanted)
        if pattern is not None:
            shape = pattern[1]
            return lambda i: fits(i.value, shape)
        binding = node.definition.get("binding", {})
        if binding.get("strength") == "required" and not node.children:
            return lambda i: self._bound(i, binding["valueSet"])
        return None

    def _bound(self, item: Item, valueset: str) -> bool:
        from .bindings import codes

        return any(self._definitions.contains(valueset, s, c) for s, c in codes(item))

    def _demands_below(self, node: Node, walked: list[str]) -> Any:
        for child in node.children.values():
            demand = self._demand(child) if child.min else None
            path = [*walked, child.base]
            if demand is not None:
                yield demand, path
            elif child.min:
                yield from self._demands_below(child, path)

    # Paths

    def _nodes(self, piece: Node, steps: list[str]) -> list[tuple[Node, list[str]]] | None:
        """The nodes on the way, each with the steps walked to it; None when the way is not there."""
        out: list[tuple[Node, list[str]]] = [(piece, [])]
        node = piece
        walked: list[str] = []
        for step in steps:
            walked = [*walked, step]
            if step == "resolve()" or step.startswith("ofType("):
                out.append((node, walked))
                continue
            following = self._child(node, step)
            if following is None:
                return None
            node = following
            out.append((node, walked))
        return out

    def _child(self, node: Node, step: str) -> Node | None:
        name, argument = _parse(step)
        if name == "extension" and argument is not None:
            extensions = node.child("extension")
            for piece in extensions.slices.values() if extensions else ():
                if any(url.split("|")[0] == argument for url in _type_profiles(piece)):
                    return piece
            return None
        found = node.child(name)
        if found is None:
            for url in _type_profiles(node):
                root = self._definitions.tree(url)
                found = root.child(name) if root else None
                if found is not None:
                    return found
            for t in node.types:
                root = self._definitions.type_tree(str(t.get("code")))
                found = root.child(name) if root else None
                if found is not None:
                    return found
        return found

    def _follow(self, item: Item, steps: list[str]) -> list[Item]:
        items = [item]
        for step in steps:
            name, argument = _parse(step)
            following: list[Item] = []
            for i in items:
                if step == "resolve()":
                    following += _resolved(i)
                elif name == "ofType":
                    following += [i] if i.type == argument else []
                elif name == "extension" and argument is not None:
                    following += [
                        x
                        for x in i.named("extension", "Extension")
                        if isinstance(x.value, dict) and x.value.get("url") == argument
                    ]
                else:
                    found = i.named(name, self._type_under(i, name))
                    following += found or i.choice(name)
            items = following
        return items

    def _type_under(self, item: Item, name: str) -> str | None:
        root = self._definitions.type_tree(item.type) if item.type else None
        child = root.child(name) if root else None
        return str(child.types[0].get("code")) if child and len(child.types) == 1 else None

    # Types and profiles

    def _types(self, node: Node, steps: list[str]) -> set[str]:
        if steps and steps[-1] == "resolve()":
            urls = [u for t in node.types for u in t.get("targetProfile", ())]
            return {self._definitions.type_of(u) or u.rsplit("/", 1)[-1] for u in urls}
        return {str(t.get("code")) for t in node.types}

    @staticmethod
    def _type(item: Item, steps: list[str]) -> str | None:
        if item.type == "Reference" and steps and steps[-1] == "resolve()":
            return item.target_type()
        return item.type

    @staticmethod
    def _profiles(node: Node, steps: list[str]) -> list[str]:
        if steps and steps[-1] == "resolve()":
            return [u for t in node.types for u in t.get("targetProfile", ())]
        return _type_profiles(node) or [CORE + str(t.get("code")) for t in node.types]


def _type_profiles(node: Node) -> list[str]:
    return [u for t in node.types for u in t.get("profile", ())]


def _resolved(item: Item) -> list[Item]:
    """The resource a reference means; the reference itself when it only tells the type."""
    reference = item.value.get("reference") if isinstance(item.value, dict) else item.value
    found = item.scope.resolve(reference) if isinstance(reference, str) else None
    if found is not None:
        return [Item(found, found.get("resourceType"), item.at, item.scope)]
    return [item] if item.target_type() else []


def _steps(path: str) -> list[str]:
    """A discriminator path in steps, casts as `ofType(X)`: `(value as Quantity).code` and the like."""
    if path in ("$this", ""):
        return []
    path = re.sub(r"\(?(\w+) as (\w+)\)?", r"\1.ofType(\2)", path.removeprefix("$this."))
    return re.findall(r"\w+\('[^']*'\)|\w+\([^()]*\)|\w+", path)


def _parse(step: str) -> tuple[str, str | None]:
    found = _STEP.match(step)
    return (found[1], found[2]) if found else (step, None)
