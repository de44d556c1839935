"""StructureDefinitions, value sets and code systems: the shipped ones, and those added at run time."""

from __future__ import annotations

from typing import Any

from sammanhang.fhir.tables import shipped

from .elements import Node, tree
from .expansion import ComposedValueSet
from .shapes import CORE

KEPT = (
    "id", "path", "sliceName", "slicing", "min", "max", "contentReference", "maxLength", "isModifier",
)  # fmt: skip
VALUES = ("fixed", "pattern", "minValue", "maxValue")


class Definitions:
    """What a validation stands on.

    `add` takes any StructureDefinition, ValueSet or CodeSystem as plain JSON values; what was added
    wins over what is shipped. One instance may be shared by threads as long as nobody adds meanwhile.
    """

    def __init__(self) -> None:
        self._structures: dict[str, dict[str, Any]] = {}
        self._valuesets: dict[str, ComposedValueSet] = {}
        self._codesystems: dict[str, dict[str, Any]] = {}
        self._trees: dict[str, Node] = {}
        self._known_members: dict[str, frozenset[tuple[str, str]] | None] = {}

    def add(self, resource: dict[str, Any]) -> bool:
        """Takes up a definition; False when it is of another type, or has nothing to validate by."""
        kind, url = resource.get("resourceType"), resource.get("url")
        if not isinstance(url, str):
            return False
        if kind == "StructureDefinition":
            if "element" not in resource.get("snapshot", {}):
                return False
            self._structures[url] = compact(resource)
            self._trees.pop(url, None)
        elif kind == "ValueSet":
            self._valuesets[url] = ComposedValueSet(resource, self)
        elif kind == "CodeSystem":
            if resource.get("content") == "supplement":
                return False
            self._codesystems[url] = _concepts(resource)
            for valueset in self._valuesets.values():
                valueset.forget()
        else:
            return False
        self._known_members.clear()
        return True

    def structure(self, url: str) -> dict[str, Any] | None:
        """A StructureDefinition by canonical URL, a version after `|` set aside; None when unknown."""
        url = url.split("|")[0]
        return self._structures.get(url) or shipped("structures").get(url)

    def tree(self, url: str) -> Node | None:
        """The snapshot of a StructureDefinition as a tree; None when unknown."""
        url = url.split("|")[0]
        found = self._trees.get(url)
        if found is None:
            sd = self.structure(url)
            if sd is None or not sd.get("elements"):
                return None
            found = self._trees[url] = tree(sd["elements"])
        return found

    def type_tree(self, code: str) -> Node | None:
        """The tree of a base type by its code; None when it is not a type."""
        return self.tree(CORE + code)

    def type_of(self, url: str) -> str | None:
        """The type a profile (or type) URL is about; None when unknown."""
        sd = self.structure(url)
        if sd is not None:
            return str(sd["type"]).rsplit("/", 1)[-1]
        return None

    def codesystem(self, url: str) -> dict[str, Any] | None:
        """{concepts: {code: [display, parents?]}, caseSensitive} of a code system known in full."""
        return self._codesystems.get(url) or shipped("codesystems").get(url)

    def knows(self, valueset: str) -> bool:
        """Whether a value set is known at all, enumerable or not."""
        url = valueset.split("|")[0]
        return url in self._valuesets or url in shipped("valuesets")

    def members(self, valueset: str) -> frozenset[tuple[str, str]] | None:
        """(system, code) of every member; None when the value set is unknown or cannot be listed."""
        url = valueset.split("|")[0]
        if url not in self._known_members:
            composed = self._valuesets.get(url)
            if composed is not None:
                self._known_members[url] = composed.members()
            else:
                grouped = shipped("valuesets").get(url)
                self._known_members[url] = (
                    frozenset((s, c) for s, codes in grouped.items() for c in codes)
                    if grouped
                    else None
                )
        return self._known_members[url]

    def contains(self, valueset: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set; with no system, whether any of its systems has the code.

        None when that cannot be told here: the value set, or a code system it draws on, is not known.
        """
        members = self.members(valueset)
        if members is not None:
            if system is None:
                return any(c == code for _, c in members)
            return (system, code) in members
        composed = self._valuesets.get(valueset.split("|")[0])
        return composed.contains(system, code) if composed else None


def compact(sd: dict[str, Any]) -> dict[str, Any]:
    """A StructureDefinition with only what validation reads, in the form of the shipped table."""
    kept = ("url", "name", "kind", "abstract", "type", "baseDefinition", "derivation", "context")
    out = {k: sd[k] for k in kept if k in sd}
    out["elements"] = [_element(e) for e in sd["snapshot"]["element"] if isinstance(e, dict)]
    return out


def _element(e: dict[str, Any]) -> dict[str, Any]:
    out = {k: e[k] for k in KEPT if k in e}
    if "type" in e:
        wanted = ("code", "profile", "targetProfile", "aggregation")
        out["type"] = [{k: v for k, v in t.items() if k in wanted} for t in e["type"]]
    out.update((k, v) for k, v in e.items() if k.startswith(VALUES))
    binding = e.get("binding", {})
    if "valueSet" in binding:
        out["binding"] = {k: binding[k] for k in ("strength", "valueSet") if k in binding}
        for x in binding.get("extension", ()):
            if x.get("url", "").endswith("elementdefinition-maxValueSet"):
                out["binding"]["maxValueSet"] = x.get("valueCanonical") or x.get("valueUri")
    if e.get("constraint"):
        kept = ("key", "severity", "human", "expression")
        out["constraint"] = [{k: c[k] for k in kept if k in c} for c in e["constraint"]]
    return out


def _concepts(cs: dict[str, Any]) -> dict[str, Any]:
    """A CodeSystem in the form of the shipped table, with the properties filters ask for."""
    concepts: dict[str, list[Any]] = {}
    properties: dict[str, dict[str, Any]] = {}
    todo: list[tuple[dict[str, Any], str | None]] = [(c, None) for c in cs.get("concept", ())]
    while todo:
        c, above = todo.pop()
        given = {
            p.get("code"): next((v for k, v in p.items() if k.startswith("value")), None)
            for p in c.get("property", ())
        }
        parents = [above] if above else []
        parents += [
            v for k, v in given.items() if k in ("subsumedBy", "parent") and isinstance(v, str)
        ]
        concepts[c["code"]] = [c.get("display"), parents] if parents else [c.get("display")]
        properties[c["code"]] = given
        todo += [(inner, c["code"]) for inner in c.get("concept", ())]
    return {
        "concepts": concepts,
        "properties": properties,
        "caseSensitive": cs.get("caseSensitive", True),
        "complete": cs.get("content") == "complete",
    }
