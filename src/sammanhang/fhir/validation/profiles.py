"""A resource against snapshots: cardinality, values, types, bindings, references, slices, constraints.

Two ways of going through a resource use the same checks. `base` follows the types all the way down and
adds what the fast path does not judge: warnings, extensible bindings, extensions, rules in words, and
the profiles a resource claims. `against` follows one profile's snapshot and asks everything of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.kernel.errors import Issue

from .. import fhirpath
from ..checking import Path, expression
from . import bindings, rules
from .definitions import Definitions
from .elements import Node
from .explaining import invariants
from .extensions import check_extension
from .items import Item
from .reading import shown
from .slicing import Slicer
from .values import beyond, fits, is_fixed

DEEPEST = 12  # profiles that lead to profiles; beyond it two profiles lead to each other
ANY_RESOURCE = {"Resource", "DomainResource"}


@dataclass(frozen=True)
class Way:
    """Where a check is: the snapshot's root, the element's path from its resource, and how it goes on."""

    root: Node
    place: str
    deep: bool
    source: str = ""

    def to(self, name: str) -> Way:
        return Way(self.root, f"{self.place}.{name}", self.deep, self.source)


class Validation:
    """One validation: its definitions, and the issues found so far."""

    def __init__(
        self, definitions: Definitions, unknown_extensions: str = "warning", depth: int = 0
    ) -> None:
        self.definitions = definitions
        self.unknown_extensions = unknown_extensions
        self.issues: list[Issue] = []
        self._depth = depth
        self._slicer = Slicer(definitions, self.conforms)
        self._known: dict[tuple[int, str], bool] = {}

    # The two ways

    def base(self, item: Item) -> None:
        """What a resource's own types say beyond the fast path, and the profiles it claims."""
        root = self.definitions.type_tree(str(item.type))
        if root is None:
            return
        self._check(root, item, Way(root, str(item.type), True))
        rules.check_resource(item, self)
        meta = item.value.get("meta") if isinstance(item.value, dict) else None
        claims = meta.get("profile") if isinstance(meta, dict) else None
        for url in claims if isinstance(claims, list) else ():
            if isinstance(url, str):
                self.claim(item, url)

    def claim(self, item: Item, url: str, severity: str = "warning") -> None:
        """A profile the resource says it keeps, or is asked to keep; an unknown one is told as such."""
        sd = self.definitions.structure(url)
        if sd is None:
            self.add(
                "not-found",
                item.at,
                f"Profilen {shown(url, 200)} är okänd här; den har inte kontrollerats.",
                f"The profile {shown(url, 200)} is not known here; it has not been checked.",
                severity,
            )
            return
        kind = self.definitions.type_of(url)
        if kind not in (item.type, *ANY_RESOURCE):
            self.add(
                "structure",
                item.at,
                f"Profilen {shown(url, 200)} gäller {kind}, inte {item.type}.",
                f"The profile {shown(url, 200)} is for {kind}, not {item.type}.",
            )
            return
        self.against(item, url)

    def against(self, item: Item, url: str) -> None:
        """One profile, all of it."""
        root = self.definitions.tree(url)
        if root is None or self._depth > DEEPEST:
            return
        self._depth += 1
        self._check(root, item, Way(root, str(item.type), False, url))
        self._depth -= 1

    def conforms(self, item: Item, url: str) -> bool:
        """Whether an item keeps a profile, without telling why not; an unknown profile is kept."""
        key = (id(item.value), url)
        if key not in self._known:
            self._known[key] = True  # while it is being asked: two profiles may lead to each other
            inner = Validation(self.definitions, self.unknown_extensions, self._depth + 1)
            inner._known = self._known
            kind = self.definitions.type_of(url)
            if kind is not None and kind not in (item.type, *ANY_RESOURCE):
                self._known[key] = False
            else:
                inner.against(item, url)
                self._known[key] = not any(i.severity == "error" for i in inner.issues)
        return self._known[key]

    def add(self, code: str, at: Path, sv: str, en: str, severity: str = "error") -> None:
        self.issues.append(Issue(code, expression(at), sv, en, severity))

    # One item

    def _check(self, node: Node, item: Item, way: Way) -> None:
        if item.type is not None and item.type[:1].isupper() and not isinstance(item.value, dict):
            return  # not the object it should be: told by the walk
        if not way.deep:
            self._values(node, item)
            self._types(node, item)
        self._binding(node, item)
        self._constraints(node, item, way)
        same = _referenced(node, way)
        if same is not None:
            self._constraints(same, item, way)
        if way.deep:
            rules.check_element(item, self)
        if way.deep and "resourceType" in _members(item.value) and way.place != item.type:
            self.base(item)  # a resource inside this one is asked as one of its own
            return
        self._children(node, item, way)

    def _children(self, node: Node, item: Item, way: Way) -> None:
        source = node
        if not node.children:
            same = _referenced(node, way)
            if same is not None:
                source = same
            elif (
                way.deep
                and item.type is not None
                and (root := self.definitions.type_tree(item.type))
            ):
                source = root
                self._constraints(root, item, way)  # those of the type; the element has its own
                way = Way(root, way.place, True)
            else:
                return
        for child in source.children.values():
            items = (
                item.choice(child.base)
                if child.choice
                else item.named(child.name, _only_type(child))
            )
            if not way.deep:
                self._count(child, items, (item.at, child.name), child.name)
            for each in items:
                self._check(child, each, way.to(child.base))
                if each.type == "Extension" and way.deep:
                    paths = (node.definition.get("path"), source.definition.get("path"))
                    names = {way.place, *(str(p).removesuffix("[x]") for p in paths)}
                    check_extension(self, each, item, names, child.name == "modifierExtension")
            if child.slices and not way.deep:
                self._slices(child, items, item, way)

    def _count(self, node: Node, items: list[Item], at: Path, name: str) -> None:
        n = len(items)
        if n < node.min:
            if node.min == 1:
                sv, en = f"”{name}” måste anges.", f"'{name}' is required."
            else:
                sv = f"”{name}” måste anges minst {node.min} gånger, här {n}."
                en = f"'{name}' is required at least {node.min} times, here {n}."
            self.add("required", at, sv, en)
        elif node.max is not None and n > node.max:
            if node.max == 0:
                sv, en = (
                    f"”{name}” får inte anges enligt profilen.",
                    f"'{name}' may not be given in this profile.",
                )
            else:
                sv = f"”{name}” får anges högst {node.max} gånger, här {n}."
                en = f"'{name}' may be given at most {node.max} times, here {n}."
            self.add("structure", at, sv, en)

    def _values(self, node: Node, item: Item) -> None:
        fixed, pattern = node.value("fixed"), node.value("pattern")
        if fixed is not None and not is_fixed(item.value, fixed[1]):
            wanted = shown(str(fixed[1]), 200)
            self.add(
                "value", item.at, f"Värdet måste vara {wanted}.", f"The value must be {wanted}."
            )
        if pattern is not None and not fits(item.value, pattern[1]):
            wanted = shown(str(pattern[1]), 200)
            self.add(
                "value",
                item.at,
                f"Värdet måste innehålla {wanted}.",
                f"The value must hold {wanted}.",
            )
        longest = node.definition.get("maxLength")
        if isinstance(longest, int) and isinstance(item.value, str) and len(item.value) > longest:
            self.add(
                "too-long",
                item.at,
                f"Texten får ha högst {longest} tecken, här {len(item.value)}.",
                f"The text may have at most {longest} characters, here {len(item.value)}.",
            )
        for prefix, sv, en in (("minValue", "minst", "at least"), ("maxValue", "högst", "at most")):
            limit = node.value(prefix)
            if limit is not None and beyond(item.value, *limit):
                bound = shown(str(limit[1]), 100)
                self.add(
                    "value",
                    item.at,
                    f"Värdet ska vara {sv} {bound}.",
                    f"The value must be {en} {bound}.",
                )

    def _types(self, node: Node, item: Item) -> None:
        types = [t for t in node.types if t.get("code") == item.type]
        codes = [str(t.get("code")) for t in node.types]
        resource = isinstance(item.value, dict) and "resourceType" in item.value
        if resource:
            types = types or [t for t in node.types if t.get("code") in ANY_RESOURCE]
        if not types:
            if codes and (node.choice or resource) and item.type is not None:
                listed = ", ".join(codes)
                self.add(
                    "structure",
                    item.at,
                    f"Typen {item.type} är inte tillåten här; tillåtna: {listed}.",
                    f"The type {item.type} is not allowed here; allowed: {listed}.",
                )
            return
        profiles = [u for t in types for u in t.get("profile", ()) if self.definitions.structure(u)]
        if len(profiles) == 1:
            self.against(item, profiles[0])
        elif profiles and not any(self.conforms(item, u) for u in profiles):
            listed = ", ".join(profiles)
            self.add(
                "structure",
                item.at,
                f"Följer ingen av de tillåtna profilerna: {listed}.",
                f"Keeps none of the allowed profiles: {listed}.",
            )
        if item.type == "Reference":
            self._target(types, item)

    def _target(self, types: list[dict[str, Any]], item: Item) -> None:
        urls = [u for t in types for u in t.get("targetProfile", ())]
        kind = item.target_type()
        allowed = {self.definitions.type_of(u) or u.rsplit("/", 1)[-1] for u in urls}
        if not urls or kind is None or allowed & ANY_RESOURCE:
            return
        if kind not in allowed:
            listed = ", ".join(sorted(allowed))
            self.add(
                "structure",
                item.at,
                f"Referensen får inte peka på {kind}; tillåtna typer: {listed}.",
                f"The reference may not point to {kind}; allowed types: {listed}.",
            )
            return
        reference = item.value.get("reference")
        target = item.scope.resolve(reference) if isinstance(reference, str) else None
        if target is None or self._depth > DEEPEST:
            return
        inside = Item(target, kind, kind, item.scope)
        mine = [u for u in urls if self.definitions.type_of(u) == kind]
        if mine and not any(self.conforms(inside, u) for u in mine):
            listed = ", ".join(mine)
            self.add(
                "structure",
                item.at,
                f"Det referensen pekar på följer ingen av profilerna {listed}.",
                f"What the reference points to keeps none of the profiles {listed}.",
            )

    def _binding(self, node: Node, item: Item) -> None:
        binding = node.definition.get("binding")
        if binding:
            for severity, code, sv, en in bindings.check(item, binding, self.definitions):
                self.add(code, item.at, sv, en, severity)

    def _constraints(self, node: Node, item: Item, way: Way) -> None:
        for c in node.definition.get("constraint", ()):
            text, severity = c.get("expression"), c.get("severity", "error")
            if not text or (severity == "error" and invariants().get(c["key"]) == text):
                continue  # the second pass has asked it
            scope = item.scope
            focus: Any = item.value if item.value is not None else item.beside
            base = (
                None
                if item.at == item.type or "resourceType" in _members(focus)
                else _base(node, item)
            )
            met = fhirpath.truth(
                text, focus, scope.resource, root=scope.root, base=base, resolve=scope.resolve
            )
            if met:
                continue
            human = c.get("human") or text
            if met is None:
                self.add(
                    "not-supported",
                    item.at,
                    f"Regeln {c['key']} kan inte prövas här: {human}",
                    f"Rule {c['key']} cannot be evaluated here: {human}",
                    "information",
                )
            else:
                self.add(
                    "invariant",
                    item.at,
                    f"Regeln {c['key']} är bruten: {human}",
                    f"Rule {c['key']} is broken: {human}",
                    severity,
                )

    # Slices

    def _slices(self, whole: Node, items: list[Item], parent: Item, way: Way) -> None:
        slicing = whole.definition.get("slicing", {})
        pieces = list(whole.slices.values())
        placed: list[int | None] = []
        for item in items:
            found = (i for i, p in enumerate(pieces) if self._slicer.belongs(item, whole, p))
            placed.append(next(found, None))
        for i, piece in enumerate(pieces):
            mine = [item for item, p in zip(items, placed, strict=True) if p == i]
            self._count(piece, mine, (parent.at, whole.name), f"{whole.base}:{piece.slice}")
            for item in mine:
                self._check(piece, item, way.to(whole.base))
            if piece.slices:
                self._slices(piece, mine, parent, way)
        rule = slicing.get("rules", "open")
        last = max((n for n, p in enumerate(placed) if p is not None), default=-1)
        for n, (item, p) in enumerate(zip(items, placed, strict=True)):
            if p is None and (rule == "closed" or (rule == "openAtEnd" and n < last)):
                names = ", ".join(str(piece.slice) for piece in pieces)
                self.add(
                    "structure",
                    item.at,
                    f"Hör inte till någon av de tillåtna delarna ({names}).",
                    f"Belongs to none of the allowed slices ({names}).",
                )
        order = [p for p in placed if p is not None]
        if slicing.get("ordered") and order != sorted(order):
            self.add(
                "structure",
                (parent.at, whole.name),
                "Delarna står inte i den ordning profilen kräver.",
                "The slices do not stand in the order the profile requires.",
            )


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _only_type(node: Node) -> str | None:
    codes = [str(t.get("code")) for t in node.types]
    if len(codes) != 1:
        return None
    return "string" if codes[0].startswith("http://hl7.org/fhirpath/") else codes[0]


def _base(node: Node, item: Item) -> str | None:
    """What fhirpathpy must know of an item to find its choices: its type, or its path in the resource."""
    if item.type in ("BackboneElement", "Element", None):
        return str(node.definition.get("path"))
    return item.type


def _referenced(node: Node, way: Way) -> Node | None:
    """The element a `contentReference` says this one is like (`Questionnaire.item.item`)."""
    reference = node.definition.get("contentReference")
    return _at(way.root, str(reference).split("#")[-1]) if reference else None


def _at(root: Node, path: str) -> Node | None:
    node: Node | None = root
    for part in path.split(".")[1:]:
        node = node.child(part) if node else None
    return node
