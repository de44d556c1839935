"""Every search parameter this server offers, from the table generated with the models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sammanhang.fhir.indexing import slot
from sammanhang.fhir.tables import shipped


@dataclass(frozen=True, slots=True)
class Slot:
    """An indexed path a parameter stands for; `number` is the slot's number under `kind`."""

    name: str
    jsonpath: str
    types: tuple[str, ...]
    many: bool
    number: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one resource type.

    `principal` tells that its first value stands on the row as `occurred`. `parts` are a composite's
    ways to be met: each a list of (kind, slots) that must all hold, or a (slot, kinds) for values
    that must stand in the same element.
    """

    code: str
    kind: str
    slots: tuple[Slot, ...] = ()
    targets: tuple[str, ...] = ()
    principal: bool = False
    parts: tuple[Any, ...] = ()


COMMON_KINDS = {
    "_id": "token", "_lastUpdated": "date", "_tag": "token", "_profile": "uri",
    "_security": "token", "_source": "uri",
}  # fmt: skip
_META = {
    "_tag": ("Resource.meta.tag", "$.meta.tag", "Coding"),
    "_security": ("Resource.meta.security", "$.meta.security", "Coding"),
    "_profile": ("Resource.meta.profile", "$.meta.profile", "canonical"),
    "_source": ("Resource.meta.source", "$.meta.source", "uri"),
}


def _slot(item: list[Any], kind: str) -> Slot:
    return Slot(item[0], item[1], tuple(item[2]), item[3], slot(item[0], kind))


@cache
def parameter(type_name: str, code: str) -> Parameter | None:
    """The parameter `code` of a resource type (or of all types, for the common ones); None if none."""
    if code in COMMON_KINDS:
        kind = COMMON_KINDS[code]
        slots: tuple[Slot, ...] = ()
        if code in _META:
            name, path, fhir = _META[code]
            slots = (Slot(name, path, (fhir,), True, slot(name, kind)),)
        return Parameter(code, kind, slots)
    raw = shipped("search")["parameters"].get(type_name, {}).get(code)
    if raw is None:
        return None
    if raw["type"] == "composite":
        parts: list[Any] = []
        for p in raw["parts"]:
            if "components" in p:
                parts.append(
                    tuple(
                        (c["type"], tuple(_slot(s, c["type"]) for s in c["slots"]))
                        for c in p["components"]
                    )
                )
            else:
                parts.append((slot(p["slot"], "composite"), tuple(p["kinds"])))
        return Parameter(code, "composite", parts=tuple(parts))
    return Parameter(
        code,
        raw["type"],
        tuple(_slot(s, raw["type"]) for s in raw["slots"]),
        tuple(raw.get("targets", ())),
        bool(raw.get("principal")),
    )


@cache
def offered(type_name: str) -> tuple[str, ...]:
    """Codes of every parameter of a type, sorted; the common ones first."""
    return (*COMMON_KINDS, *sorted(shipped("search")["parameters"].get(type_name, {})))


@cache
def record_slot(type_name: str) -> str | None:
    """The reference whose patient is the row's `patient`, when it cannot repeat."""
    found: str | None = shipped("search")["record"].get(type_name)
    return found


@cache
def compartment(type_name: str) -> tuple[str, ...]:
    """The parameters that put a type in a patient's compartment; `{def}` for Patient itself."""
    return tuple(shipped("search")["compartment"].get(type_name, ()))
