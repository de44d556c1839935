"""FHIRPath by fhirpathpy: expressions parsed once, evaluated on plain JSON values.

What FHIR adds to FHIRPath and fhirpathpy does not have is added here: `resolve()` inside a resource and
its bundle, `hasValue()`, `htmlChecks()`, `conformsTo()` of base types, `%rootResource`, `%`vs-…`` and
`%`ext-…`` (http://hl7.org/fhir/R4/fhirpath.html). Evaluation shares no state between threads but the
parsed trees, which nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import msgspec
from fhirpathpy import apply_parsed_path
from fhirpathpy.engine.evaluators import evaluators
from fhirpathpy.engine.nodes import FP_DateTime, FP_Time, ResourceNode, TypeInfo
from fhirpathpy.models import models
from fhirpathpy.parser import parse

from .validation.path_functions import FUNCTIONS

# Set by the library only when a type is first asked for; without it types are guessed from values.
TypeInfo.model = models["r4"]  # type: ignore[assignment]

_TRACE = re.compile(r"\.trace\([^()]*\)")  # a debugging aid that prints; it never changes a result
_NAMED = re.compile(r"%[`\"'](vs|ext)-([^`\"']+)[`\"']")
_CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_BASES = {"vs": "http://hl7.org/fhir/ValueSet/", "ext": "http://hl7.org/fhir/StructureDefinition/"}
Resolver = Callable[[str], Any]


@lru_cache(maxsize=4096)
def parsed(expression: str) -> tuple[Any, dict[str, str]]:
    """(tree, constants it names); raises what the parser raises for a malformed expression."""
    source = _TRACE.sub("", expression)
    named = {f"{kind}-{name}": _BASES[kind] + name for kind, name in _NAMED.findall(source)}
    return parse(source), named


def compiled(expression: str) -> Callable[..., list[Any]]:
    """A function (value, environment) → list; raises for a malformed expression."""
    parsed(expression)
    return lambda value, environment=None: evaluate(expression, value, environment)


def evaluate(
    expression: str,
    value: Any,
    environment: dict[str, Any] | None = None,
    *,
    base: str | None = None,
    resolve: Resolver | None = None,
    more: dict[str, Any] | None = None,
    typed: bool = False,
) -> list[Any]:
    """The collection an expression gives on a JSON value; raises what fhirpathpy raises.

    `base` is the FHIR type or path of a value that is not a whole resource (`HumanName`,
    `Patient.contact`); `resolve` finds a resource by reference (without it only contained ones and
    those in the same bundle of `%resource` are found). `more` are functions of the caller's own, as in
    `path_functions.FUNCTIONS`; `typed` gives the items as fhirpathpy has them, to be the environment of others.
    """
    tree, named = parsed(expression)
    around = environment or {}
    functions = {**FUNCTIONS, **(more or {})}
    find = resolve or _inside(around.get("rootResource") or around.get("resource") or value)
    functions["resolve"] = {"fn": lambda items: _resolved(items, find), "arity": {0: []}}
    focus = value if base is None else ResourceNode.create_node(value, base)
    found = apply_parsed_path(
        focus,
        tree,
        {**_CONSTANTS, **named, **around},
        models["r4"],
        {"userInvocationTable": functions, "returnRawData": typed},
    )
    return list(found) if typed else [_json(f) for f in found]


def _json(value: Any) -> Any:
    """A date or time as its text: fhirpathpy's own words for one would add today's day to a month."""
    return value.asStr if isinstance(value, FP_DateTime | FP_Time) else value


def _number(ctx: Any, parent: Any, node: dict[str, Any]) -> list[int | Decimal]:
    """A number literal with the digits it was written with: `1.0` is a decimal, `1` an integer."""
    text = node["text"]
    return [Decimal(text) if "." in text else int(text)]


evaluators["NumberLiteral"] = _number


def truth(
    expression: str,
    value: Any,
    resource: Any,
    *,
    root: Any = None,
    base: str | None = None,
    resolve: Resolver | None = None,
) -> bool | None:
    """Whether an invariant is met by a JSON value; None when it cannot be evaluated here.

    Empty is not met, and one item that is not false is (http://hl7.org/fhir/R4/conformance-rules.html).
    """
    environment = {"resource": resource, "rootResource": root or resource, "context": value}
    try:
        result = evaluate(expression, value, environment, base=base, resolve=resolve)
    except Exception:
        return None
    return bool(result) and result[0] is not False


def holds(expression: str, v: Any, resource: Any) -> bool:
    """Whether an invariant is true of a decoded structure; one that cannot be evaluated counts as met."""
    value = v if isinstance(v, dict) else plain(v)
    whole = resource if isinstance(resource, dict) else plain(resource)
    base = None if isinstance(v, dict) else path_of(v.__class__)
    return truth(expression, value, whole, base=base) is not False


@cache
def path_of(structure: Any) -> str:
    """The path fhirpathpy knows a generated class by: `PatientContact` is `Patient.contact`."""
    return (structure.__doc__ or structure.__name__).removeprefix("FHIR R4 ").rstrip(".")


def plain(v: Any) -> Any:
    """A generated structure as plain JSON values."""
    return msgspec.to_builtins(v, builtin_types=(Decimal,))


# Functions FHIR adds


def _inside(root: Any) -> Resolver:
    """Finds what is contained in a resource, or stands in a bundle."""

    def find(reference: str) -> Any:
        from .validation.items import root_item

        return root_item(root).scope.resolve(reference) if isinstance(root, dict) else None

    return find


def _resolved(items: list[Any], find: Resolver) -> list[Any]:
    out = []
    for item in items:
        reference = item.get("reference") if isinstance(item, dict) else item
        found = find(reference) if isinstance(reference, str) else None
        if found is not None:
            out.append(found)
    return out
