"""Bytes → every fault: reading, walking, and the generated second pass on what the walk has mended."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from sammanhang.fhir.tables import shipped
from sammanhang.kernel.errors import Issue

from ..checking import Context
from .paths import steps
from .primitives import kind_en, kind_sv
from .reading import read, too_deep
from .shapes import CORE
from .walking import Walk

_KEY = re.compile(r"^Rule (\S+) is broken")
# What an expression says that makes it depend on more than the members it names.
_WIDE = ("descendants", "children", "%resource", "%rootResource", "resolve", "$this", "%context")


def explain(body: bytes, kind: str | None) -> list[Issue]:
    """Every fault of the bytes as a resource (of type `kind` when given); empty when there is none.

    Never raises, and takes time linear in the size of the bytes.
    """
    value, issues = read(body)
    return issues or explain_value(value, kind)


def explain_value(value: Any, kind: str | None = None) -> list[Issue]:
    """The same for JSON values already read (`reading.read`)."""
    if not isinstance(value, dict):
        return [
            Issue(
                "invalid",
                kind or "Resource",
                f"En resurs är ett JSON-objekt, inte {kind_sv(value)}.",
                f"A resource is a JSON object, not {kind_en(value)}.",
            )
        ]
    walk = Walk()
    known = walk.kind(value.get("resourceType"), kind or "Resource", "invalid")
    if known is None:
        return walk.issues
    if kind is not None and known != kind:
        return [
            Issue(
                "invalid",
                kind,
                f"Här ska stå en {kind}, inte en {known}.",
                f"A {kind} belongs here, not a {known}.",
            )
        ]
    try:
        copy = walk.resource(value, known)
        walk.issues += _second_pass(value, copy, known, walk)
    except RecursionError:
        walk.issues.append(too_deep(known))
    return list(dict.fromkeys(walk.issues))


def _second_pass(raw: dict[str, Any], copy: dict[str, Any], kind: str, walk: Walk) -> list[Issue]:
    """What the generated checks find in the mended copy and would find in the resource too."""
    from .. import decode

    try:
        resource = decode.typed_decoder(kind).decode(decode.encode(copy))
    except (msgspec.MsgspecError, ValueError) as e:
        # The walk knows every fault the types refuse (the tests hold it to that); should the two
        # ever differ, the types decide and their words are better than none.
        if walk.issues:
            return []
        return [Issue("structure", kind, f"Resursen kunde inte läsas: {e}", str(e))]
    ctx = Context(resource)
    from ..r4 import CHECKS

    CHECKS[kind](resource, kind, ctx)
    if not walk.mended:
        return ctx.issues
    mended = _Mended(walk.mended, raw)
    return [i for i in ctx.issues if not mended.explains(i)]


def _fragments(raw: Any) -> set[str]:
    """Every text in the body that points inside a resource (`#x`)."""
    found: set[str] = set()
    todo = [raw]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, str) and value.startswith("#"):
            found.add(value)
    return found


def _id_at(raw: Any, expression: str) -> Any:
    """The id of the object at a place without choices, such as `Bundle.entry[0].resource`."""
    for name, index in re.findall(r"\.(\w+)(?:\[(\d+)\])?", expression):
        raw = raw.get(name) if isinstance(raw, dict) else None
        if index and isinstance(raw, list):
            raw = raw[int(index)] if int(index) < len(raw) else None
    return raw.get("id") if isinstance(raw, dict) else None


class _Mended:
    """Where a copy differs from its original, asked whether a fault of the copy comes from that."""

    def __init__(self, places: list[str], raw: dict[str, Any]) -> None:
        self.places = set(places)
        self.raw = raw
        self.fragments: set[str] | None = None
        self.below: dict[str, set[str]] = {}
        self.contained: set[str] = set()
        for place in self.places:
            self.below.setdefault(re.sub(r"\[\d+\]$", "", place), set())
            parts = steps(place)
            for n in range(1, len(parts)):
                name = parts[n].split("[")[0].split(".")[0]
                above = ".".join(parts[:n])
                self.below.setdefault(above, set()).add(name)
                if name == "contained":
                    self.contained.add(above)
                # A list that was mended as a whole is named without index.
                self.below.setdefault(above.rpartition("[")[0] or above, set()).add(name)

    def explains(self, issue: Issue) -> bool:
        """Whether an issue found in the copy may come from the mending alone."""
        parts = steps(issue.expression)
        for n in range(1, len(parts) + 1):
            place = ".".join(parts[:n])
            if place in self.places or re.sub(r"\[\d+\]$", "", place) in self.places:
                return True
        key = _KEY.match(issue.en)
        if key is None or issue.code != "invariant":
            return issue.expression in self.below
        if key[1] == "dom-3":  # the reference may have stood in what was left out
            if self.fragments is None:
                self.fragments = _fragments(self.raw)
            return not {"#", f"#{_id_at(self.raw, issue.expression)}"}.isdisjoint(self.fragments)
        if key[1] == "ref-1":
            return any(issue.expression.startswith(root) for root in self.contained)
        names = self.below.get(issue.expression)
        if not names:
            return False
        text = invariants().get(key[1])
        return text is None or any(w in text for w in _WIDE) or any(n in text for n in names)


@cache
def invariants() -> dict[str, str]:
    """Key → expression of every error-level invariant of the base types."""
    out: dict[str, str] = {}
    for url, sd in shipped("structures").items():
        if url.startswith(CORE) and sd.get("derivation") != "constraint":
            for e in sd["elements"]:
                for c in e.get("constraint", ()):
                    out.setdefault(c["key"], c.get("expression", ""))
    return out
