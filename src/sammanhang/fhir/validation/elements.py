"""A snapshot as a tree: elements under elements, slices beside the element they are cut from."""

from __future__ import annotations

from typing import Any


class Node:
    """One element of a snapshot, or one slice of it."""

    __slots__ = ("children", "definition", "name", "slice", "slices")

    def __init__(
        self, name: str, definition: dict[str, Any], slice_name: str | None = None
    ) -> None:
        self.name = name  # as in the id: "identifier", "value[x]"
        self.definition = definition
        self.slice = slice_name
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}

    @property
    def base(self) -> str:
        """The element's name without `[x]`."""
        return self.name.removesuffix("[x]")

    @property
    def choice(self) -> bool:
        return self.name.endswith("[x]")

    @property
    def min(self) -> int:
        return int(self.definition.get("min", 0))

    @property
    def max(self) -> int | None:
        """The most there may be; None for any number."""
        found = self.definition.get("max", "*")
        return None if found == "*" else int(found)

    @property
    def types(self) -> list[dict[str, Any]]:
        return self.definition.get("type", [])

    def value(self, prefix: str) -> tuple[str, Any] | None:
        """(member, value) of `fixed[x]`, `pattern[x]`, `minValue[x]` or `maxValue[x]`."""
        for key, value in self.definition.items():
            if key.startswith(prefix) and key != prefix and key[len(prefix)].isupper():
                return key, value
        return None

    def child(self, name: str) -> Node | None:
        """The child of that name, or the choice that it is a type of."""
        return self.children.get(name) or self.children.get(name + "[x]")


def tree(elements: list[dict[str, Any]]) -> Node:
    """The root of the tree; an element whose parent is not in the snapshot is left out."""
    root = Node(str(elements[0].get("path", "")), elements[0])
    for e in elements[1:]:
        parts = str(e.get("id") or e.get("path")).split(".")[1:]
        if not parts:
            continue
        node: Node | None = root
        for part in parts[:-1]:
            node = _step(node, part)
        if node is None:
            continue
        name, _, slice_name = parts[-1].partition(":")
        whole = node.children.get(name)
        if not slice_name:
            if whole is None:
                node.children[name] = Node(name, e)
            continue
        if whole is None:  # a slice whose element the snapshot does not list
            whole = node.children[name] = Node(
                name, {"min": 0, "max": "*", "type": e.get("type", [])}
            )
        holder = whole
        above = slice_name.rpartition("/")[0]  # a slice of a slice
        if above and above in whole.slices:
            holder = whole.slices[above]
        holder.slices[slice_name] = Node(name, e, slice_name)
    return root


def _step(node: Node | None, part: str) -> Node | None:
    if node is None:
        return None
    name, _, slice_name = part.partition(":")
    child = node.children.get(name)
    if child is None or not slice_name:
        return child
    if slice_name in child.slices:
        return child.slices[slice_name]
    for outer in child.slices.values():
        if slice_name in outer.slices:
            return outer.slices[slice_name]
    return None
