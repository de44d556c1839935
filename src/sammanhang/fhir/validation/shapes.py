"""What each FHIR type may hold, read from the official snapshots when first asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from sammanhang.fhir.tables import shipped

CORE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM = "http://hl7.org/fhirpath/System."
BACKBONES = ("BackboneElement", "Element")
# Beyond this many codes the generated types leave a bound code to terminology (generate.models.Codes).
ENUMERABLE = 700


@dataclass(frozen=True)
class Member:
    """One JSON member an object may have."""

    name: str  # the JSON name, "valueQuantity"
    element: str  # the element's name, "value"
    type: str  # the FHIR type code
    shape: str | None  # key of the shape of its objects; None for primitives
    many: bool
    primitive: bool
    targets: frozenset[str] | None = None
    binding: tuple[str, str] | None = None
    simple_quantity: bool = False


@dataclass
class Element:
    """One element of a shape: all the JSON members it may become, and how many are needed."""

    name: str
    min: int
    choice: bool
    members: list[Member]


@dataclass
class Shape:
    """What the objects of a type, or of a backbone element, may hold."""

    path: str
    resource: bool
    elements: list[Element] = field(default_factory=list)
    constraints: list[dict[str, str]] = field(default_factory=list)

    @cached_property
    def members(self) -> dict[str, tuple[Member, Element]]:
        """JSON name → member and element; `_name` siblings are not among them."""
        return {m.name: (m, e) for e in self.elements for m in e.members}


def is_primitive(code: str) -> bool:
    """Whether a type code names a FHIR primitive."""
    sd = shipped("structures").get(CORE + code)
    return sd is not None and sd["kind"] == "primitive-type"


def resource_types() -> frozenset[str]:
    """Names of all concrete resource types."""
    from ..r4 import TYPE_NAMES

    return TYPE_NAMES


def type_of(t: dict[str, Any], path: str) -> str:
    """The FHIR type code of a type in a snapshot, with FHIRPath's system types by their FHIR names."""
    code: str = t["code"]
    if not code.startswith(SYSTEM):
        return code
    if path == "Extension.url":
        return "uri"
    if path.endswith(".id") and path.count(".") == 1 and path.split(".")[0] in resource_types():
        return "id"
    name = code.removeprefix(SYSTEM)
    return name[0].lower() + name[1:]


@cache
def shape(path: str) -> Shape | None:
    """The shape of a type (`Patient`) or backbone element (`Patient.contact`); None when unknown."""
    found = _shapes(path.split(".")[0])
    return found.get(path) if found else None


@cache
def _shapes(name: str) -> dict[str, Shape] | None:
    sd = shipped("structures").get(CORE + name)
    if sd is None or sd["kind"] not in ("resource", "complex-type"):
        return None
    out: dict[str, Shape] = {}
    for e in sd["elements"]:
        path: str = e["path"]
        parent, _, leaf = path.rpartition(".")
        if not parent:
            out[path] = Shape(path, sd["kind"] == "resource", [], e.get("constraint", []))
            continue
        if e["max"] == "0":
            continue
        types = e.get("type", [])
        choice = leaf.endswith("[x]")
        base = leaf.removesuffix("[x]")
        reference = e.get("contentReference")
        many = e["max"] == "*" or int(e["max"]) > 1
        members = []
        if reference:
            target = reference.split("#")[1]
            members.append(Member(base, base, "BackboneElement", target, many, False))
        for t in types:
            code = type_of(t, path)
            inner = code in BACKBONES
            if inner:
                out.setdefault(path, Shape(path, False, [], e.get("constraint", [])))
            primitive = is_primitive(code)
            targets = frozenset(p.rsplit("/", 1)[-1] for p in t.get("targetProfile", ()))
            binding = e.get("binding")
            members.append(
                Member(
                    name=base + code[0].upper() + code[1:] if choice else base,
                    element=base,
                    type=code,
                    shape=None if primitive else path if inner else code,
                    many=many,
                    primitive=primitive,
                    targets=None if not targets or "Resource" in targets else targets,
                    binding=(binding["strength"], binding["valueSet"].split("|")[0])
                    if binding
                    else None,
                    simple_quantity=CORE + "SimpleQuantity" in t.get("profile", ()),
                )
            )
        out[parent].elements.append(Element(base, e["min"], choice, members))
    return out


@cache
def bound_codes(url: str) -> frozenset[tuple[str, str]] | None:
    """(system, code) of a value set that the generated types enumerate; None for others."""
    grouped = shipped("valuesets").get(url)
    if not grouped:
        return None
    members = frozenset((s, c) for s, codes in grouped.items() for c in codes)
    return members if 0 < len(members) <= ENUMERABLE else None


@cache
def bound_plain(url: str) -> frozenset[str] | None:
    """The codes alone, for an element of type `code`."""
    members = bound_codes(url)
    return None if members is None else frozenset(c for _, c in members)
