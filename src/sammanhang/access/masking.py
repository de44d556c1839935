"""R29: a resource without the names of people with protected identity, wherever it goes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sammanhang.fhir.decode import raw

WORDS = "Skyddad uppgift"
_REFERENCE = re.compile(rb'"reference":"[^"]*?\bPatient/([A-Za-z0-9.-]{1,64})')
_OBJECT = re.compile(rb'(\{[^{}]*"reference":"[^"]*?\bPatient/([A-Za-z0-9.-]{1,64})[^{}]*\})')


def named(type_name: str, body: bytes) -> set[str]:
    """Ids of the patients whose names may stand in a resource."""
    if type_name == "Patient":
        return set()
    if type_name == "RelatedPerson" or b'"div"' in body:
        return {m.decode() for m in _REFERENCE.findall(body)}
    if b'"display"' not in body:
        return set()
    simple = _OBJECT.findall(body)
    if len(simple) != len(_REFERENCE.findall(body)):  # a reference with an identifier in it
        return {m.decode() for m in _REFERENCE.findall(body)}
    return {id.decode() for whole, id in simple if b'"display"' in whole}


def without_names(type_name: str, body: bytes, people: Mapping[str, frozenset[str]]) -> bytes:
    """A resource without the names of protected people."""
    document = raw(body)
    names = {part for id in people for part in people[id]}
    _mask(document, people)
    if type_name == "RelatedPerson":
        document["name"] = [{"text": WORDS}]
        for field in ("telecom", "address", "photo", "text", "contained"):
            document.pop(field, None)
    narrative = document.get("text")
    if isinstance(narrative, dict) and any(n in str(narrative.get("div", "")) for n in names):
        del document["text"]
    return msgspec.json.Encoder(decimal_format="number").encode(document)


def _mask(node: Any, people: Mapping[str, frozenset[str]]) -> None:
    if isinstance(node, list):
        for item in node:
            _mask(item, people)
    elif isinstance(node, dict):
        reference = node.get("reference")
        if "display" in node and isinstance(reference, str):
            kind, _, id = reference.partition("/_history")[0].rpartition("/")
            if kind.endswith("Patient") and id in people:
                node["display"] = WORDS
        for item in node.values():
            _mask(item, people)
