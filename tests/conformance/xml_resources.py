"""FHIR XML → JSON values, for cases whose input others wrote only in XML.

Enough for test inputs (attributes, repeated elements, primitive extensions, narrative, contained
resources); the product itself speaks JSON only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lxml import etree

from sammanhang.fhir.validation.shapes import Shape, shape

FHIR = "{http://hl7.org/fhir}"
XHTML = "{http://www.w3.org/1999/xhtml}"


def resource(data: bytes) -> dict[str, Any]:
    """A resource in XML as the JSON values of the same resource."""
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, remove_comments=True))
    return _resource(root)


def _resource(element: Any) -> dict[str, Any]:
    kind = etree.QName(element).localname
    found = shape(kind)
    assert found is not None, kind
    return {"resourceType": kind, **_object(element, found)}


def _object(element: Any, s: Shape) -> dict[str, Any]:
    out: dict[str, Any] = {k: v for k, v in element.attrib.items() if k in ("id", "url")}
    for child in element:
        name = etree.QName(child).localname
        member, _ = s.members[name]
        value, beside = _value(child, member)
        for key, part in ((name, value), ("_" + name, beside)):
            if member.many:
                if part is not None or key in out or key == name:
                    out.setdefault(key, []).append(part)
            elif part is not None:
                out[key] = part
    return out


def _value(child: Any, member: Any) -> tuple[Any, Any]:
    if child.tag == XHTML + "div":
        return etree.tostring(child, encoding="unicode", with_tail=False), None
    if member.shape == "Resource":
        return _resource(child[0]), None
    if not member.primitive:
        return _object(child, shape(member.shape)), None  # type: ignore[arg-type]
    extra = _object(child, shape("Element"))  # type: ignore[arg-type]
    return _primitive(child.get("value"), member.type), extra or None


def _primitive(text: str | None, code: str) -> Any:
    if text is None:
        return None
    if code == "boolean":
        return text == "true"
    if code in ("integer", "positiveInt", "unsignedInt"):
        return int(text)
    return Decimal(text) if code == "decimal" else text
