"""A value in a resource together with its place, its FHIR type and the resource it stands in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sammanhang.fhir.tables import shipped

from ..checking import Path, expression, reference_type
from .shapes import CORE


@dataclass(frozen=True)
class Scope:
    """The resource an item stands in, the outermost resource around it, and the bundle if any."""

    resource: dict[str, Any]
    root: dict[str, Any]
    bundle: dict[str, Any] | None = None

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """The resource a reference means, when it is contained or in the bundle; None otherwise."""
        if reference == "#":
            return self.root
        if reference.startswith("#"):
            inside = _objects(self.root.get("contained"))
            return next((r for r in inside if r.get("id") == reference[1:]), None)
        if self.bundle is None:
            return None
        base = reference.split("/_history/")[0]
        for entry in _objects(self.bundle.get("entry")):
            url, r = entry.get("fullUrl"), entry.get("resource")
            if not isinstance(r, dict):
                continue
            if url == base or (
                isinstance(url, str) and "://" not in base and url.endswith("/" + base)
            ):
                return r
            if url is None and base == f"{r.get('resourceType')}/{r.get('id')}":
                return r
        return None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


@dataclass
class Item:
    """One value: an object, or a primitive with what stands beside it under `_name`."""

    value: Any
    type: str | None
    at: Path
    scope: Scope = field(repr=False)
    beside: dict[str, Any] | None = None

    @property
    def expression(self) -> str:
        return expression(self.at)

    def named(self, name: str, type_code: str | None) -> list[Item]:
        """The values of one JSON member."""
        if not isinstance(self.value, dict):
            if not isinstance(self.beside, dict) or name not in ("extension", "id"):
                return []
            return Item(self.beside, "Element", self.at, self.scope).named(name, type_code)
        values, beside = self.value.get(name), self.value.get("_" + name)
        if values is None and beside is None:
            return []
        at = (self.at, name)
        if isinstance(values, list) or isinstance(beside, list):
            values = values if isinstance(values, list) else []
            others = beside if isinstance(beside, list) else []
            out = []
            for i in range(max(len(values), len(others))):
                value = values[i] if i < len(values) else None
                other = others[i] if i < len(others) else None
                out.append(self._item(value, type_code, (*at, i), other))
            return out
        return [self._item(values, type_code, at, beside)]

    def _item(self, value: Any, type_code: str | None, at: Path, beside: Any) -> Item:
        scope = self.scope
        if isinstance(value, dict) and isinstance(value.get("resourceType"), str):
            type_code = value["resourceType"]
            holder = self.scope.resource
            if at[-2 if isinstance(at[-1], int) else -1] == "contained":
                scope = Scope(value, holder, scope.bundle)
            else:
                bundle = holder if holder.get("resourceType") == "Bundle" else scope.bundle
                scope = Scope(value, value, bundle)
        return Item(value, type_code, at, scope, beside if isinstance(beside, dict) else None)

    def choice(self, base: str) -> list[Item]:
        """The values of a choice element, of whatever type was given."""
        if not isinstance(self.value, dict):
            return []
        out: list[Item] = []
        seen = set()
        for key in self.value:
            name = key.removeprefix("_")
            if name.startswith(base) and len(name) > len(base) and name not in seen:
                code = suffix_type(name[len(base) :])
                if code is not None:
                    seen.add(name)
                    out += self.named(name, code)
        return out

    def target_type(self) -> str | None:
        """The resource type a Reference item points to; None when it does not say."""
        if not isinstance(self.value, dict):
            return None
        reference, named = self.value.get("reference"), self.value.get("type")
        if isinstance(reference, str):
            found = self.scope.resolve(reference)
            if found is not None:
                return found.get("resourceType")
            if not reference.startswith("#"):
                kind = reference_type(reference)
                if kind:
                    return kind
        return named if isinstance(named, str) and "/" not in named else None


@lru_cache(maxsize=4096)
def suffix_type(suffix: str) -> str | None:
    """The type a choice's JSON name ends with: `Quantity`, `DateTime` → dateTime; None when none."""
    structures = shipped("structures")
    lower = suffix[0].lower() + suffix[1:]
    sd = structures.get(CORE + lower)
    if sd is not None and sd["kind"] == "primitive-type":
        return lower
    sd = structures.get(CORE + suffix)
    if sd is not None and sd["kind"] == "complex-type" and sd.get("derivation") == "specialization":
        return suffix
    return None


def root_item(resource: dict[str, Any]) -> Item:
    """The item of a whole resource."""
    kind = str(resource.get("resourceType"))
    bundle = resource if kind == "Bundle" else None
    return Item(resource, kind, kind, Scope(resource, resource, bundle))
