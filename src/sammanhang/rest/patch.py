"""JSON Patch (RFC 6902, by `jsonpatch`) and FHIRPath Patch (http://hl7.org/fhir/R4/fhirpatch.html)."""

from __future__ import annotations

import re
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from sammanhang.fhir.decode import raw
from sammanhang.fhir.fhirpath import evaluate
from sammanhang.fhir.tables import shipped
from sammanhang.kernel.errors import Invalid, TooLarge, Unprocessable

MOST_OPERATIONS = 1000
MAY_GROW = 4 * 1024 * 1024  # what copying within a resource may add, in bytes
_encoder = msgspec.json.Encoder(decimal_format="number")
Place = tuple[Any, Any]  # a container and the key or index of the value in it


def apply(document: dict[str, Any], patch: bytes, kind: str) -> dict[str, Any]:
    """The document after a patch. Raises `Invalid` for a malformed patch, `Unprocessable` when it
    does not fit the document; the document given may then be half changed and must be dropped."""
    try:
        instructions = raw(patch)
    except (ValueError, RecursionError) as e:
        raise Invalid(f"The patch is not JSON: {e}", f"Ändringen är inte JSON: {e}") from None
    if kind == "application/json-patch+json" or isinstance(instructions, list):
        return json_patch(document, instructions)
    if isinstance(instructions, dict) and instructions.get("resourceType") == "Parameters":
        try:
            return fhirpath_patch(document, instructions)
        except (TypeError, KeyError, ValueError, AttributeError, IndexError, RecursionError) as e:
            raise _bad(
                f"Ändringen går inte att göra: {e}", f"The patch does not fit: {e}"
            ) from None
    raise Invalid(
        "A patch is a JSON Patch list or a Parameters resource.",
        "En ändring är en JSON Patch-lista eller en Parameters-resurs.",
    )


def json_patch(document: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Applies RFC 6902 operations, all or none."""
    if not isinstance(operations, list):
        raise Invalid("A JSON Patch is a list.", "En JSON Patch är en lista.")
    if len(operations) > MOST_OPERATIONS:
        raise Invalid(
            f"At most {MOST_OPERATIONS} operations.", f"Högst {MOST_OPERATIONS} operationer."
        )
    result: Any = document
    largest = MAY_GROW + 2 * len(_encoder.encode(document))
    try:
        for operation in operations:
            result = jsonpatch.JsonPatch([operation]).apply(result, in_place=True)
            # copies of copies double: a short patch must not fill the memory
            if operation.get("op") == "copy" and len(_encoder.encode(result)) > largest:
                raise TooLarge(
                    "The patch makes the resource too large.", "Ändringen blir för stor."
                )
    except jsonpatch.JsonPatchTestFailed as e:
        raise Unprocessable(
            f"A test in the patch failed: {e}", f"Ett test i ändringen föll: {e}"
        ) from None
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        TypeError,
        KeyError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as e:
        raise Unprocessable(
            f"The patch does not fit: {e}", f"Ändringen går inte att göra: {e}"
        ) from None
    if not isinstance(result, dict):
        raise Unprocessable("The patch removes the resource.", "Ändringen tar bort resursen.")
    return result


def _bad(sv: str, en: str) -> Unprocessable:
    return Unprocessable(en, sv)


def fhirpath_patch(document: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Applies the operations of a Parameters resource, in order."""
    for p in parameters.get("parameter", []):
        if p.get("name") != "operation":
            raise Invalid(
                f"Unknown parameter '{p.get('name')}'.", f"Okänd parameter ”{p.get('name')}”."
            )
        parts = {x.get("name"): x for x in p.get("part", [])}
        kind = _value(parts.get("type"))
        path = _value(parts.get("path"))
        if not isinstance(path, str):
            raise Invalid("An operation needs a path.", "En operation behöver en path.")
        if kind == "add":
            _add(document, path, _text(parts, "name"), _value(parts.get("value")))
        elif kind == "insert":
            _insert(document, path, int(_value(parts.get("index"))), _value(parts.get("value")))
        elif kind == "delete":
            _delete(document, path)
        elif kind == "replace":
            _replace(document, path, _value(parts.get("value")))
        elif kind == "move":
            _move(
                document,
                path,
                int(_value(parts.get("source"))),
                int(_value(parts.get("destination"))),
            )
        else:
            raise Invalid(f"Unknown operation '{kind}'.", f"Okänd operation ”{kind}”.")
    return document


def _text(parts: dict[str, Any], name: str) -> str:
    value = _value(parts.get(name))
    if not isinstance(value, str):
        raise Invalid(f"The operation needs '{name}'.", f"Operationen behöver ”{name}”.")
    return value


def _value(part: Any) -> Any:
    """The value of a part: value[x], a resource, or parts that build an anonymous element."""
    if part is None:
        return None
    for key, value in part.items():
        if key.startswith("value"):
            return value
    if "resource" in part:
        return part["resource"]
    if "part" in part:
        built: dict[str, Any] = {}
        for inner in part["part"]:
            name, value = inner["name"], _value(inner)
            if name in built:
                built[name] = [
                    *(built[name] if isinstance(built[name], list) else [built[name]]),
                    value,
                ]
            else:
                built[name] = value
        return built
    return None


_STEP = re.compile(r"^([A-Za-z_]\w*)(?:\[(\d+)\])?$")
_WHERE = re.compile(r"^where\((.*)\)$", re.DOTALL)


def _steps(path: str) -> list[str]:
    """A path cut at its outer dots."""
    steps, depth, quote, current = [], 0, False, ""
    for c in path:
        if c == "'":
            quote = not quote
        elif not quote and c in "([":
            depth += 1
        elif not quote and c in ")]":
            depth -= 1
        if c == "." and depth == 0 and not quote:
            steps.append(current)
            current = ""
        else:
            current += c
    return [*steps, current]


def places(document: dict[str, Any], path: str) -> list[Place]:
    """Where in the document a path points: containers and keys, so that the value can be changed."""
    root: dict[str, Any] = {"": document}
    found: list[Place] = [(root, "")]
    for i, step in enumerate(_steps(path)):
        if i == 0 and step in (document.get("resourceType"), "Resource", "DomainResource", "$this"):
            continue
        where = _WHERE.match(step)
        if where:
            found = [(c, k) for c, k in found if _meets(where[1], c[k], document)]
            continue
        if step in ("first()", "last()"):
            found = found[:1] if step == "first()" else found[-1:]
            continue
        cast = re.match(r"^(?:ofType|as)\((\w+)\)$", step)
        if cast:
            continue
        simple = _STEP.match(step)
        if simple is None:
            raise _bad(
                f"Stigen ”{path[:80]}” stöds inte.", f"The path '{path[:80]}' is not supported."
            )
        following: list[Place] = []
        for c, k in found:
            node = c[k]
            if not isinstance(node, dict):
                continue
            name = _member(node, simple[1])
            if name is None:
                continue
            child = node[name]
            if isinstance(child, list):
                following += [(child, n) for n in range(len(child))]
            else:
                following.append((node, name))
        found = following
        if simple[2] is not None:
            n = int(simple[2])
            found = found[n : n + 1]
    return found


# Functions that a condition has no need of and that a few letters can keep busy for hours.
_COSTLY = re.compile(r"\b(matches|matchesFull|replaceMatches|repeat|aggregate|resolve)\s*\(")
_LONGEST_CONDITION = 1000


def _meets(expression: str, value: Any, document: dict[str, Any]) -> bool:
    costly = _COSTLY.search(expression)
    if costly or len(expression) > _LONGEST_CONDITION:
        what = f"{costly[1]}()" if costly else f"{len(expression)} letters"
        raise _bad(
            f"Villkor i en stig får inte ha {what}.", f"A condition in a path may not have {what}."
        )
    try:
        return evaluate(expression, value, {"resource": document}) == [True]
    except Exception as e:  # whatever a malformed expression makes of the evaluator
        raise _bad(
            f"Villkoret ”{expression[:80]}” går inte att läsa.",
            f"The condition '{expression[:80]}' cannot be read.",
        ) from e


def _member(node: dict[str, Any], name: str) -> str | None:
    if name in node:
        return name
    choices = [k for k in node if k.startswith(name) and k[len(name) : len(name) + 1].isupper()]
    return choices[0] if len(choices) == 1 else None


def _one(document: dict[str, Any], path: str) -> Place:
    found = places(document, path)
    if len(found) != 1:
        raise _bad(
            f"Stigen ”{path[:80]}” pekar på {len(found)} ställen; den ska peka på ett.",
            f"The path '{path[:80]}' points to {len(found)} places; it must point to one.",
        )
    return found[0]


def _repeats(document: dict[str, Any], path: str, name: str, node: dict[str, Any]) -> bool:
    """Whether an element may repeat, from the definitions."""
    type_name = str(document.get("resourceType"))
    dotted = ".".join(m[1] for s in _steps(path) if (m := _STEP.match(s)) and m[1] != type_name)
    full = ".".join(x for x in (type_name, dotted, name) if x)
    kind = type_name
    rest = full.split(".")[1:]
    base = type_name
    structures = shipped("structures")
    for i, part in enumerate(rest):
        base = f"{base}.{part}"
        elements = structures["http://hl7.org/fhir/StructureDefinition/" + kind]["elements"]
        e = next(
            (x for x in elements if x["path"] in (base, base + "[x]")
             or (x["path"].endswith("[x]") and base.startswith(x["path"][:-3]))), None,
        )  # fmt: skip
        if e is None:
            return isinstance(node.get(name), list)
        if i == len(rest) - 1:
            return bool(e["max"] == "*")
        codes = [t["code"] for t in e.get("type", [])]
        if codes and codes[0] not in ("BackboneElement", "Element"):
            kind = base = codes[0]
    return False


def _add(document: dict[str, Any], path: str, name: str, value: Any) -> None:
    container, key = _one(document, path)
    node = container[key]
    if not isinstance(node, dict):
        raise _bad("Dit går det inte att lägga till.", "Nothing can be added there.")
    if isinstance(node.get(name), list):
        node[name].append(value)
    elif name in node:
        raise _bad(f"”{name}” finns redan.", f"'{name}' is there already.")
    else:
        node[name] = [value] if _repeats(document, path, name, node) else value


def _list(document: dict[str, Any], path: str) -> list[Any]:
    head, _, last = path.rpartition(".")
    container, key = _one(document, head or path)
    node = container[key]
    found = node.get(last) if isinstance(node, dict) else None
    if not isinstance(found, list):
        raise _bad(f"”{path[:80]}” är ingen lista.", f"'{path[:80]}' is not a list.")
    return found


def _insert(document: dict[str, Any], path: str, index: int, value: Any) -> None:
    target = _list(document, path)
    if not 0 <= index <= len(target):
        raise _bad("Platsen finns inte i listan.", "The index is outside the list.")
    target.insert(index, value)


def _delete(document: dict[str, Any], path: str) -> None:
    found = places(document, path)
    if not found:
        return
    if len(found) > 1:
        raise _bad("Stigen pekar på flera ställen.", "The path points to several places.")
    container, key = found[0]
    del container[key]
    _tidy(document)


def _tidy(node: Any) -> None:
    """Takes away lists and objects a deletion left empty: FHIR has no empty elements."""
    if isinstance(node, dict):
        for k in list(node):
            _tidy(node[k])
            if node[k] in ([], {}):
                del node[k]
    elif isinstance(node, list):
        for v in node:
            _tidy(v)


def _replace(document: dict[str, Any], path: str, value: Any) -> None:
    container, key = _one(document, path)
    container[key] = value


def _move(document: dict[str, Any], path: str, source: int, destination: int) -> None:
    target = _list(document, path)
    if not (0 <= source < len(target) and 0 <= destination < len(target)):
        raise _bad("Platsen finns inte i listan.", "The index is outside the list.")
    target.insert(destination, target.pop(source))
