"""The compact definitions kept beside the models: snapshots, value sets, search parameters."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from ..units import work_out
from .definitions import CORE, Definitions
from .indexes import Indexes

# What the profile validator needs of an ElementDefinition; texts and mappings are left out.
KEEP = (
    "id", "path", "sliceName", "slicing", "min", "max", "contentReference", "isSummary", "maxLength",
)  # fmt: skip


def _element(e: dict[str, Any]) -> dict[str, Any]:
    out = {k: e[k] for k in KEEP if k in e}
    if "type" in e:
        out["type"] = [
            {k: v for k, v in t.items() if k in ("code", "profile", "targetProfile", "aggregation")}
            for t in e["type"]
        ]
    for k, v in e.items():
        if k.startswith(("fixed", "pattern", "minValue", "maxValue")):
            out[k] = v
    if "binding" in e and "valueSet" in e["binding"]:
        out["binding"] = {k: e["binding"][k] for k in ("strength", "valueSet")}
        for x in e["binding"].get("extension", []):
            if x["url"].endswith("elementdefinition-maxValueSet"):
                out["binding"]["maxValueSet"] = x.get("valueCanonical")
    constraints = [
        {k: c[k] for k in ("key", "severity", "human", "expression") if k in c}
        for c in e.get("constraint", [])
    ]
    if constraints:
        out["constraint"] = constraints
    return out


def compact(sd: dict[str, Any]) -> dict[str, Any]:
    """A StructureDefinition with only what validation reads."""
    out: dict[str, Any] = {
        k: sd[k]
        for k in (
            "url",
            "name",
            "kind",
            "abstract",
            "type",
            "baseDefinition",
            "derivation",
            "context",
        )
        if k in sd
    }
    out["elements"] = [_element(e) for e in sd["snapshot"]["element"]]
    return out


def _write(path: Path, doc: Any) -> None:
    data = json.dumps(doc, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0))


def write_tables(d: Definitions, indexes: Indexes, target: Path) -> None:
    """Writes structures.json.gz, valuesets, codesystems, units and search."""
    profiles = {sd["url"]: compact(sd) for sd in d.profiles}
    for path in sorted(d.folder.glob("StructureDefinition-*.json")):
        sd = json.loads(path.read_text("utf-8"))
        if "snapshot" in sd and sd["url"].startswith(CORE):
            profiles.setdefault(sd["url"], compact(sd))
    _write(target / "structures.json.gz", profiles)
    valuesets: dict[str, Any] = {}
    for url in sorted(d.valuesets):
        members = d.expand(url)
        if members is None:
            valuesets[url] = None
        elif len(members) <= 3000:
            grouped: dict[str, list[str]] = {}
            for system, code in sorted(members):
                grouped.setdefault(system, []).append(code)
            valuesets[url] = grouped
    _write(target / "valuesets.json.gz", valuesets)
    units = {
        c["code"]: found
        for include in d.valuesets["http://hl7.org/fhir/ValueSet/ucum-common"]["compose"]["include"]
        for c in include.get("concept", [])
        if (found := work_out(c["code"])) is not None
    }
    _write(target / "units.json.gz", units)
    codesystems: dict[str, Any] = {}
    for url, cs in sorted(d.codesystems.items()):
        if cs.get("content") != "complete" or not url.startswith(
            ("http://hl7.org/fhir", "http://terminology.hl7.org")
        ):
            continue
        concepts: dict[str, list[Any]] = {}

        def walk(items: list[dict[str, Any]], above: str | None, out: dict[str, list[Any]]) -> None:
            for c in items:
                parents = [above] if above else []
                parents += [
                    p["valueCode"]
                    for p in c.get("property", [])
                    if p["code"] in ("subsumedBy", "parent") and "valueCode" in p
                ]
                out[c["code"]] = [c.get("display"), parents] if parents else [c.get("display")]
                walk(c.get("concept", []), c["code"], out)

        walk(cs.get("concept", []), None, concepts)
        codesystems[url] = {"concepts": concepts, "caseSensitive": cs.get("caseSensitive", True)}
    _write(target / "codesystems.json.gz", codesystems)
    _write(
        target / "search.json.gz",
        {
            "parameters": indexes.parameters,
            "compartment": indexes.compartment,
            "record": indexes.record,
        },
    )
