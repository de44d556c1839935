"""Forms made in a line, for tests."""

from __future__ import annotations

from typing import Any

from sammanhang.forms import form_of
from sammanhang.forms.questionnaire import Form
from sammanhang.web.rendering import ENVIRONMENT

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
HL7 = "http://hl7.org/fhir/StructureDefinition/"
PAGE = ENVIRONMENT.from_string(
    '{% from "forms/form.html" import form_fields %}{{ form_fields(page) }}'
)


def form(*items: dict[str, Any], **more: Any) -> Form:
    """A form of these items."""
    return form_of({"resourceType": "Questionnaire", "status": "active", "url": "http://e.se/f", "version": "1", "item": list(items), **more})  # fmt: skip


def item(link: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"linkId": link, "type": kind, "text": f"Fråga {link}", **more}


def options(*codes: str, **weights: float) -> list[dict[str, Any]]:
    made = []
    for c in codes:
        coding: dict[str, Any] = {"system": "s", "code": c, "display": c.capitalize()}
        if c in weights:
            coding["extension"] = [{"url": HL7 + "itemWeight", "valueDecimal": weights[c]}]
        made.append({"valueCoding": coding})
    return made


def path(kind: str, text: str, name: str = "") -> dict[str, Any]:
    """An expression as an extension: `calculatedExpression`, `variable` …"""
    url = HL7 + kind if kind == "variable" else SDC + kind
    told = {"language": "text/fhirpath", "expression": text}
    return {"url": url, "valueExpression": {**told, **({"name": name} if name else {})}}
