"""Figure 3: which functions a municipality has, by the package it has chosen (content/rules/packages)."""

from __future__ import annotations

from typing import Any, Literal

from sammanhang.access.actor import Actor
from sammanhang.kernel.content import content

from .decision import Decision, Facts, deny

RULE = "M24"
Level = Literal["none", "part", "read", "full"]


def package_of(provider: str) -> str | None:
    """The package of the municipality a board belongs to; None for who is no municipality's.

    Boards of a municipality share its organisation number, which their HSA-ids hold.
    """
    rules = content("rules/packages")
    if not provider.startswith(rules["series"]):
        return None
    return rules["municipalities"].get(provider[2:12], rules["default"])  # type: ignore[no-any-return]


def level(provider: str, function: str) -> Level:
    """What the municipality of a board has of a function; everything for who is no municipality's."""
    package = package_of(provider)
    if package is None:
        return "full"
    found: Level = content("rules/packages")["functions"][function]["levels"][package]
    return found


def function_of(resource: Any) -> str | None:
    """The function a resource is written in: by its type, and for plans by the kind; None for none."""
    name = type(resource).__name__
    kinds = {f"{name}|{code}" for code in codes(resource)}
    general = None
    for function, row in content("rules/packages")["functions"].items():
        writes = row.get("writes", ())
        if kinds.intersection(writes):
            return str(function)
        if name in writes:
            general = function
    return general


def codes(resource: Any) -> set[str]:
    """The codes of a resource's category, in small letters, of whatever code system."""
    category = getattr(resource, "category", None) or ()
    listed = category if isinstance(category, list | tuple) else [category]
    return {
        coding.code.lower()
        for concept in listed
        for coding in getattr(concept, "coding", None) or ()
        if coding.code
    }


def m24(actor: Actor, facts: Facts) -> Decision | None:
    """M24: staff of a municipality without a package have the earlier system, not this one (figure 3)."""
    if actor.assignment is None or package_of(actor.assignment.provider) != "samsa":
        return None
    return deny(
        RULE,
        "Din kommun har inget avtal om det gemensamma vårdinformationsstödet.",
        "Your municipality has no agreement on the common care-information system.",
    )


def may_write_function(provider: str, resource: Any) -> Decision | None:
    """M24: the refusal when the writer's municipality may not write what the resource is; else None."""
    function = function_of(resource)
    if function is None or level(provider, function) == "full":
        return None
    rules = content("rules/packages")
    row, package = rules["functions"][function], package_of(provider)
    said = rules["levels"][level(provider, function)]
    return deny(
        RULE,
        f"{row['sv']} {said['sv']} i er kommuns paket ({package}) och kan inte skrivas.",
        f"{row['en']} is {said['en']} in your municipality's package ({package}) and cannot be written.",
    )
