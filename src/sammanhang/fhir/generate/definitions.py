"""The official definitions, read into the few facts the generator needs."""

from __future__ import annotations

import json
import keyword
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

CORE = "http://hl7.org/fhir/StructureDefinition/"
PRIMITIVES = {
    "boolean", "integer", "markdown", "string", "time", "uuid", "oid", "canonical", "xhtml",
    "dateTime", "code", "instant", "decimal", "id", "positiveInt", "date", "base64Binary", "url",
    "uri", "unsignedInt",
}  # fmt: skip
ABSTRACT = ("Element", "BackboneElement", "Resource", "DomainResource")
SYSTEM_TYPES = {
    "String": "string",
    "Boolean": "boolean",
    "Integer": "integer",
    "Decimal": "decimal",
}


@dataclass
class TypeRef:
    """One type an element may have: its FHIR code and, for references, the allowed targets."""

    code: str
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass
class Field:
    """One element of a structure, or one type of a choice element."""

    name: str
    path: str
    types: list[TypeRef]
    min: int
    many: bool
    choice: bool
    binding: tuple[str, str] | None
    constraints: list[dict[str, str]]
    content: str | None = None
    summary: bool = False

    @property
    def attributes(self) -> list[tuple[str, TypeRef]]:
        """(JSON name, type) of each property this element becomes."""
        if not self.choice:
            return [(self.name, self.types[0])]
        return [(self.name + t.code[0].upper() + t.code[1:], t) for t in self.types]


@dataclass
class Structure:
    """A class to generate: a datatype, a resource, or a backbone element inside one."""

    name: str
    path: str
    base: str | None
    kind: str  # "datatype" | "resource" | "backbone" | "abstract"
    fields: list[Field] = field(default_factory=list)
    constraints: list[dict[str, str]] = field(default_factory=list)
    owner: str = ""

    def field(self, name: str) -> Field | None:
        """The element of that name, without `[x]`; None when there is none."""
        return next((f for f in self.fields if f.name == name), None)


def python_name(name: str) -> str:
    """The attribute name for a JSON property (`class` → `class_`)."""
    return name + "_" if keyword.iskeyword(name) else name


class Definitions:
    """All official R4 definitions in a folder of JSON files, one resource each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.structures: dict[str, Structure] = {}
        self.by_path: dict[str, Structure] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self.valuesets: dict[str, dict[str, Any]] = {}
        self.codesystems: dict[str, dict[str, Any]] = {}
        self.profiles: list[dict[str, Any]] = []
        for path in sorted(folder.glob("StructureDefinition-*.json")):
            sd = json.loads(path.read_text("utf-8"))
            if "snapshot" not in sd:
                continue
            if sd.get("derivation") == "constraint":
                self.profiles.append(sd)
            elif sd["kind"] in ("resource", "complex-type") and sd["url"].startswith(CORE):
                self.raw[sd["id"]] = sd
        self.raw = {k: v for k, v in self.raw.items() if v["type"] == k}
        for kind, store in (("ValueSet", self.valuesets), ("CodeSystem", self.codesystems)):
            for path in sorted(folder.glob(f"{kind}-*.json")):
                doc = json.loads(path.read_text("utf-8"))
                if "url" in doc:
                    store.setdefault(doc["url"], doc)
        for name in self.raw:
            self._read(name)

    @property
    def resources(self) -> list[str]:
        """Names of the concrete resource types, sorted."""
        return sorted(n for n, s in self.structures.items() if s.kind == "resource")

    @property
    def datatypes(self) -> list[str]:
        """Names of the concrete complex datatypes, sorted."""
        return sorted(n for n, s in self.structures.items() if s.kind == "datatype")

    def _read(self, name: str) -> None:
        sd = self.raw[name]
        base = (sd.get("baseDefinition") or "").rsplit("/", 1)[-1] or None
        kind = (
            "abstract"
            if name in ABSTRACT
            else "resource"
            if sd["kind"] == "resource"
            else "datatype"
        )
        elements = sd["snapshot"]["element"]
        stack: dict[str, Structure] = {}
        for element in elements:
            path: str = element["path"]
            parent, _, leaf = path.rpartition(".")
            constraints = [
                {"key": c["key"], "human": c["human"], "expression": c.get("expression", "")}
                for c in element.get("constraint", [])
                if c["severity"] == "error" and c["key"] not in ("ele-1", "ext-1")
            ]
            if not parent:
                stack[path] = Structure(name, path, base, kind, constraints=constraints, owner=name)
                continue
            types = [self._type(t, path) for t in element.get("type", [])]
            content = element.get("contentReference")
            f = Field(
                name=leaf.removesuffix("[x]"),
                path=path,
                types=types,
                min=element["min"],
                many=element["max"] == "*" or int(element["max"]) > 1,
                choice=leaf.endswith("[x]"),
                binding=self._binding(element),
                constraints=constraints,
                content=content[1:] if content else None,
                summary=bool(element.get("isSummary")),
            )
            if element["max"] == "0":
                continue
            stack[parent].fields.append(f)
            if types and types[0].code in ("BackboneElement", "Element") and not content:
                child = "".join(p[0].upper() + p[1:] for p in path.split("."))
                stack[path] = Structure(
                    child, path, types[0].code, "backbone", constraints=constraints, owner=name
                )
                f.types = [TypeRef(child)]
                f.constraints = []
        for structure in stack.values():
            self.by_path[structure.path] = structure
            self.structures[structure.name] = structure
        for structure in stack.values():
            for f in structure.fields:
                if f.content:
                    f.types = [TypeRef(self.by_path[f.content].name)]

    @staticmethod
    def _type(t: dict[str, Any], path: str) -> TypeRef:
        code = t["code"]
        if code.startswith("http://hl7.org/fhirpath/System."):
            code = SYSTEM_TYPES[code.rsplit(".", 1)[-1]]
            for extension in t.get("extension", []):
                if extension["url"].endswith("structuredefinition-fhir-type"):
                    code = extension.get("valueUrl") or extension.get("valueUri") or code
            if path == "Extension.url":
                code = "uri"
        targets = tuple(sorted(p.rsplit("/", 1)[-1] for p in t.get("targetProfile", [])))
        return TypeRef(code, targets, tuple(t.get("profile", [])))

    @staticmethod
    def _binding(element: dict[str, Any]) -> tuple[str, str] | None:
        binding = element.get("binding")
        if not binding or "valueSet" not in binding:
            return None
        return binding["strength"], binding["valueSet"].split("|")[0]

    def own_fields(self, structure: Structure) -> list[Field]:
        """The fields a structure adds to its base class."""
        if not structure.base or structure.base not in self.structures:
            return structure.fields
        inherited = {f.name for f in self.structures[structure.base].fields}
        return [f for f in structure.fields if f.name not in inherited]

    @cache  # noqa: B019  (one instance, lives as long as the generator)
    def expand(self, url: str) -> frozenset[tuple[str, str]] | None:
        """(system, code) of every member of a value set; None when it cannot be enumerated."""
        vs = self.valuesets.get(url)
        if vs is None or "compose" not in vs:
            return None
        members: set[tuple[str, str]] = set()
        for include in vs["compose"].get("include", []):
            part = self._include(include)
            if part is None:
                return None
            members |= part
        for exclude in vs["compose"].get("exclude", []):
            part = self._include(exclude)
            if part is None:
                return None
            members -= part
        return frozenset(members)

    def _include(self, include: dict[str, Any]) -> set[tuple[str, str]] | None:
        sets: list[set[tuple[str, str]]] = []
        for url in include.get("valueSet", []):
            nested = self.expand(url.split("|")[0])
            if nested is None:
                return None
            sets.append(set(nested))
        system = include.get("system")
        if system and "concept" in include:
            sets.append({(system, c["code"]) for c in include["concept"]})
        elif system:
            codes = self._codes(system, include.get("filter", []))
            if codes is None:
                return None
            sets.append({(system, c) for c in codes})
        return set.intersection(*sets) if sets else None

    def _codes(self, system: str, filters: list[dict[str, str]]) -> set[str] | None:
        cs = self.codesystems.get(system)
        if cs is None or cs.get("content") != "complete" or not cs.get("concept"):
            return None
        parents: dict[str, set[str]] = {}
        properties: dict[str, dict[str, Any]] = {}

        def walk(concepts: list[dict[str, Any]], above: set[str]) -> None:
            for c in concepts:
                mine = set(above)
                values: dict[str, Any] = {}
                for p in c.get("property", []):
                    value = next((v for k, v in p.items() if k.startswith("value")), None)
                    if p["code"] in ("subsumedBy", "parent") and value is not None:
                        mine.add(value)
                    values[p["code"]] = value
                parents.setdefault(c["code"], set()).update(mine)
                properties[c["code"]] = values
                walk(c.get("concept", []), {c["code"]})

        walk(cs["concept"], set())

        def is_a(code: str, root: str) -> bool:
            seen: set[str] = set()
            todo = [code]
            while todo:
                current = todo.pop()
                if current == root:
                    return True
                if current not in seen:
                    seen.add(current)
                    todo.extend(parents.get(current, ()))
            return False

        codes = set(parents)
        for f in filters:
            if f["op"] in ("is-a", "descendent-of") and f["property"] in ("concept", "code"):
                codes = {
                    c
                    for c in codes
                    if is_a(c, f["value"]) and (f["op"] == "is-a" or c != f["value"])
                }
            elif f["op"] == "=":
                codes = {c for c in codes if str(properties[c].get(f["property"])) == f["value"]}
            else:
                return None
        return codes

    def search_parameters(self) -> list[dict[str, Any]]:
        """The base specification's search parameters (those on extensions are not among them)."""
        found = []
        for path in sorted(self.folder.glob("SearchParameter-*.json")):
            sp = json.loads(path.read_text("utf-8"))
            if "base" in sp and "extension(" not in sp.get("expression", ""):
                found.append(sp)
        return found

    def patient_compartment(self) -> dict[str, list[str]]:
        """Type → the search parameters that put a resource in a patient's compartment."""
        doc = json.loads((self.folder / "CompartmentDefinition-patient.json").read_text("utf-8"))
        return {r["code"]: r.get("param", []) for r in doc["resource"]}
