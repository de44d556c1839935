"""Codes against value sets (http://hl7.org/fhir/R4/terminologies.html#strength)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .definitions import Definitions
from .items import Item
from .reading import shown
from .shapes import CORE

Coded = tuple[str | None, str]
CODED = ("code", "Coding", "CodeableConcept", "Quantity", "uri", "string", "CodeableReference")
# (severity, issue code, Swedish, English)
Finding = tuple[str, str, str, str]


def codes(item: Item) -> Iterator[Coded]:
    """(system, code) of everything coded in an item; a plain code has no system."""
    value = item.value
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        if item.type == "CodeableConcept":
            for coding in value.get("coding", ()) if isinstance(value.get("coding"), list) else ():
                if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                    yield _system(coding), coding["code"]
        elif isinstance(value.get("code"), str):
            yield _system(value), value["code"]


def _system(coding: dict[str, Any]) -> str:
    system = coding.get("system")
    return system if isinstance(system, str) else ""


def check(item: Item, binding: dict[str, Any], definitions: Definitions) -> Iterator[Finding]:
    """What is wrong with an item under a binding; nothing for strength `example`."""
    if item.type not in CODED:
        return
    strength, valueset = binding.get("strength"), binding.get("valueSet")
    if not isinstance(valueset, str):
        return
    given = list(codes(item))
    if strength == "required":
        yield from _required(item, given, valueset, definitions)
    elif strength in ("extensible", "preferred"):
        yield from _wished(given, valueset, definitions, strength)
        widest = binding.get("maxValueSet")
        if isinstance(widest, str):
            yield from _required(item, given, widest, definitions, given_only=True)


def _required(
    item: Item,
    given: list[Coded],
    valueset: str,
    definitions: Definitions,
    given_only: bool = False,
) -> Iterator[Finding]:
    answers = [definitions.contains(valueset, s, c) for s, c in given]
    if True in answers:
        return
    if not given:
        if given_only or (isinstance(item.value, dict) and item.value.get("extension")):
            return
        if item.value is None and not (item.type == "code" and _said_absent(item)):
            return
        yield (
            "error",
            "code-invalid",
            f"En kod ur {valueset} krävs.",
            f"A code from {valueset} is required.",
        )
    elif None in answers:
        if not definitions.knows(valueset):
            yield (
                "warning",
                "not-found",
                f"Värdemängden {valueset} är okänd här; koden har inte kontrollerats.",
                f"The value set {valueset} is not known here; the code has not been checked.",
            )
    else:
        named = ", ".join(_written(g) for g in given[:3])
        yield (
            "error",
            "code-invalid",
            f"{named} finns inte i den värdemängd som krävs ({valueset}).",
            f"{named} is not in the required value set ({valueset}).",
        )


def _said_absent(item: Item) -> bool:
    """Whether the value is said to be absent: a required code may not be, its set has codes for that."""
    extensions = (item.beside or {}).get("extension")
    return isinstance(extensions, list) and any(
        isinstance(x, dict) and x.get("url") == CORE + "data-absent-reason" for x in extensions
    )


def _wished(
    given: list[Coded], valueset: str, definitions: Definitions, strength: str
) -> Iterator[Finding]:
    members = definitions.members(valueset)
    if not members or any(g in members for g in given):
        return
    systems = {s for s, _ in members}
    for system, code in given:
        outside = code not in {c for _, c in members} if system is None else system in systems
        if outside:
            word_sv = "bör användas" if strength == "extensible" else "rekommenderas"
            word_en = "should be used" if strength == "extensible" else "is preferred"
            yield (
                "warning",
                "code-invalid",
                f"{_written((system, code))} finns inte i {valueset}, som {word_sv}.",
                f"{_written((system, code))} is not in {valueset}, which {word_en}.",
            )
            return


def _written(coded: Coded) -> str:
    system, code = coded
    return f"”{shown(code)}”" if system is None else f"{shown(system, 100) or '?'}|{shown(code)}"
