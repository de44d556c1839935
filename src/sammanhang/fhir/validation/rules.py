"""What the specification says in words, beyond types, invariants and bindings.

Each rule holds for any resource that meets it; none is about one case. The fast path does not run
these: a store takes such a resource, `$validate` tells about it. Where a rule is written: the page of
the datatype or resource it is about, http://hl7.org/fhir/R4/.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sammanhang.fhir.tables import shipped

from .items import Item
from .primitives import PATTERNS
from .reading import shown

if TYPE_CHECKING:
    from .profiles import Validation

_ABSOLUTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:\S")
_ONCE = ("self", "first", "last", "next", "previous", "prev")


def check_resource(item: Item, validation: Validation) -> None:
    """The rules about one whole resource (those inside it are asked in their turn)."""
    if isinstance(item.value, dict):
        rule = _BY_TYPE.get(str(item.type))
        if rule is not None:
            rule(item, validation)


def check_element(item: Item, validation: Validation) -> None:
    """The rules about one value of a datatype."""
    rule = _BY_DATATYPE.get(str(item.type))
    if rule is not None and item.value is not None:
        rule(item, validation)


# Datatypes


def _coding(item: Item, validation: Validation) -> None:
    system, code = item.value.get("system"), item.value.get("code")
    if not isinstance(system, str):
        return
    at = (item.at, "system")
    if not _ABSOLUTE.match(system):
        validation.add(
            "value",
            at,
            f"Kodsystemet ”{shown(system)}” måste vara en absolut adress.",
            f"The code system '{shown(system)}' must be an absolute address.",
        )
        return
    cs = validation.definitions.codesystem(system)
    if cs is None:
        if validation.definitions.knows(system):
            validation.add(
                "value",
                at,
                f"{shown(system, 200)} är en värdemängd, inte ett kodsystem.",
                f"{shown(system, 200)} is a value set, not a code system.",
            )
        return
    if not isinstance(code, str) or not cs.get("complete", True) or not cs["concepts"]:
        return
    known = cs["concepts"]
    if code in known or (not cs.get("caseSensitive", True) and _folded(code, known)):
        _display(item, known.get(code), validation)
        return
    validation.add(
        "code-invalid",
        (item.at, "code"),
        f"Koden ”{shown(code)}” finns inte i kodsystemet {shown(system, 200)}.",
        f"The code '{shown(code)}' is not in the code system {shown(system, 200)}.",
    )


def _folded(code: str, known: dict[str, Any]) -> bool:
    lower = code.casefold()
    return any(k.casefold() == lower for k in known)


def _display(item: Item, entry: list[Any] | None, validation: Validation) -> None:
    """A display that is not the code system's own: a warning, for it may be another language's."""
    given, own = item.value.get("display"), entry[0] if entry else None
    if not isinstance(given, str) or not own or _plain(given) == _plain(own):
        return
    validation.add(
        "value",
        (item.at, "display"),
        f"Texten ”{shown(given)}” är inte kodsystemets egen (”{shown(own)}”).",
        f"The display '{shown(given)}' is not the code system's own ('{shown(own)}').",
        "warning",
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _uri(item: Item, validation: Validation) -> None:
    for prefix, kind in (("urn:uuid:", "uuid"), ("urn:oid:", "oid")):
        if str(item.value).startswith(prefix) and not PATTERNS[kind].match(str(item.value)):
            validation.add(
                "value",
                item.at,
                f"”{shown(str(item.value))}” är inte ett giltigt {kind.upper()}.",
                f"'{shown(str(item.value))}' is not a valid {kind.upper()}.",
            )


def _attachment(item: Item, validation: Validation) -> None:
    data, size = item.value.get("data"), item.value.get("size")
    if not isinstance(data, str) or not isinstance(size, int) or isinstance(size, bool):
        return
    symbols = len(re.sub(r"[\s=]", "", data))
    actual = symbols * 3 // 4
    if size != actual:
        validation.add(
            "value",
            (item.at, "size"),
            f"Storleken anges till {size} byte, men innehållet har {actual}.",
            f"The size is given as {size} bytes, but the data has {actual}.",
        )


# Resources


def _bundle(item: Item, validation: Validation) -> None:
    bundle = item.value
    relations = Counter(link.value.get("relation") for link in _objects(item, "link"))
    seen: set[str] = set()
    for link in _objects(item, "link"):
        relation = link.value.get("relation")
        if relation in _ONCE and relations[relation] > 1 and relation in seen:
            validation.add(
                "structure",
                link.at,
                f"Länken ”{relation}” får finnas bara en gång.",
                f"The link '{relation}' may stand only once.",
            )
        seen.add(str(relation))
    for entry in _objects(item, "entry"):
        _entry(entry, bundle, validation)


def _entry(entry: Item, bundle: dict[str, Any], validation: Validation) -> None:
    url, resource, search = (entry.value.get(k) for k in ("fullUrl", "resource", "search"))
    if isinstance(url, str) and not _ABSOLUTE.match(url):
        validation.add(
            "value",
            (entry.at, "fullUrl"),
            f"fullUrl måste vara absolut, inte ”{shown(url)}”.",
            f"The fullUrl must be absolute, not '{shown(url)}'.",
        )
    if bundle.get("type") != "searchset" or not isinstance(resource, dict):
        return
    mode = search.get("mode") if isinstance(search, dict) else None
    if mode == "outcome" and resource.get("resourceType") != "OperationOutcome":
        validation.add(
            "structure",
            (entry.at, "resource"),
            f"Ett utfall av en sökning är en OperationOutcome, inte {shown(str(resource.get('resourceType')))}.",
            f"The outcome of a search is an OperationOutcome, not {shown(str(resource.get('resourceType')))}.",
        )
    elif mode != "outcome" and "id" not in resource:
        validation.add(
            "required",
            (entry.at, "resource"),
            "En sökträff måste ha ett id.",
            "A search result must have an id.",
        )


def _valueset(item: Item, validation: Validation) -> None:
    for compose in item.named("compose", "BackboneElement"):
        for name in ("include", "exclude"):
            for part in _objects(compose, name):
                system = part.value.get("system")
                if isinstance(system, str) and not _ABSOLUTE.match(system):
                    validation.add(
                        "value",
                        (part.at, "system"),
                        f"Kodsystemet ”{shown(system)}” måste vara en absolut adress.",
                        f"The code system '{shown(system)}' must be an absolute address.",
                    )


def _codesystem(item: Item, validation: Validation) -> None:
    declared: dict[str, Any] = {}
    uris: set[str] = set()
    for p in _objects(item, "property"):
        code, uri = p.value.get("code"), p.value.get("uri")
        if isinstance(code, str):
            if code in declared:
                _twice(p, "kod", "code", code, validation)
            declared.setdefault(code, p.value.get("type"))
        if isinstance(uri, str):
            if uri in uris:
                _twice(p, "uri", "uri", uri, validation)
            uris.add(uri)
    if not declared:
        return
    todo = list(_objects(item, "concept"))
    while todo:
        concept = todo.pop()
        todo += _objects(concept, "concept")
        for p in _objects(concept, "property"):
            wanted = declared.get(str(p.value.get("code")))
            given = next((v.type for v in p.choice("value")), None)
            if wanted is not None and given is not None and given != wanted:
                validation.add(
                    "business-rule",
                    p.at,
                    f"Egenskapen ”{shown(str(p.value.get('code')))}” är av typen {shown(str(wanted))}, inte {given}.",
                    f"The property '{shown(str(p.value.get('code')))}' has type {shown(str(wanted))}, not {given}.",
                )


def _twice(item: Item, sv: str, en: str, value: str, validation: Validation) -> None:
    validation.add(
        "business-rule",
        item.at,
        f"En egenskap med samma {sv} finns redan: {shown(value)}.",
        f"A property with the same {en} is already there: {shown(value)}.",
    )


def _search_parameter(item: Item, validation: Validation) -> None:
    """What a search parameter is derived from has the same type and covers its resource types."""
    source = item.value.get("derivedFrom")
    known = _parameters().get(str(source).split("|")[0]) if isinstance(source, str) else None
    if known is None:
        return
    kind, bases = known
    if item.value.get("type") != kind:
        validation.add(
            "business-rule",
            (item.at, "type"),
            f"{shown(str(source), 200)} har typen {kind}, inte {shown(str(item.value.get('type')))}.",
            f"{shown(str(source), 200)} has type {kind}, not {shown(str(item.value.get('type')))}.",
        )
    given = item.value.get("base")
    for base in given if isinstance(given, list) else ():
        if isinstance(base, str) and base not in bases:
            validation.add(
                "business-rule",
                (item.at, "base"),
                f"{shown(str(source), 200)} gäller inte {shown(base)}.",
                f"{shown(str(source), 200)} is not about {shown(base)}.",
            )


def _capability_statement(item: Item, validation: Validation) -> None:
    for rest in _objects(item, "rest"):
        for holder in (rest, *_objects(rest, "resource")):
            for p in _objects(holder, "searchParam"):
                source = p.value.get("definition")
                known = _parameters().get(source.split("|")[0]) if isinstance(source, str) else None
                if known is not None and p.value.get("type") != known[0]:
                    validation.add(
                        "business-rule",
                        (p.at, "type"),
                        f"{shown(str(source), 200)} har typen {known[0]}, inte {shown(str(p.value.get('type')))}.",
                        f"{shown(str(source), 200)} has type {known[0]}, not {shown(str(p.value.get('type')))}.",
                    )


def _parameters() -> dict[str, tuple[str, set[str]]]:
    """URL → (type, resource types) of the specification's search parameters on one resource type."""
    if not _PARAMETERS:
        for kind, params in shipped("search")["parameters"].items():
            for code, p in params.items():
                url = f"http://hl7.org/fhir/SearchParameter/{kind}-{code.lstrip('_')}"
                if isinstance(p, dict) and isinstance(p.get("type"), str):
                    _PARAMETERS[url] = (p["type"], {kind})
    return _PARAMETERS


_PARAMETERS: dict[str, tuple[str, set[str]]] = {}


def _objects(item: Item, name: str) -> Iterator[Item]:
    return (i for i in item.named(name, "BackboneElement") if isinstance(i.value, dict))


_BY_TYPE = {
    "Bundle": _bundle,
    "ValueSet": _valueset,
    "CodeSystem": _codesystem,
    "SearchParameter": _search_parameter,
    "CapabilityStatement": _capability_statement,
}
_BY_DATATYPE = {"Coding": _coding, "uri": _uri, "Attachment": _attachment}
