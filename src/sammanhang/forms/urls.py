"""The extensions a form may carry: their addresses, and what is done with each (printed into docs/reference/forms.md).

Sources: FHIR R4 registry (http://hl7.org/fhir/R4/extensibility-registry.html), Structured Data Capture 3.0 and 4.0
(http://hl7.org/fhir/uv/sdc/).
"""

from __future__ import annotations

from functools import cache
from typing import Any

HL7 = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
OWN = "http://sammanhang.se/fhir/StructureDefinition/"

# What an answer carries that FHIR has no place for.
AS_TYPED = OWN + "answer-as-typed"
SOURCE = OWN + "answer-source"
# The draft of one thing (a care request, a plan) is told from others by this.
ABOUT = OWN + "response-about"

SUPPORTED: dict[str, tuple[str, ...]] = {
    "looks": (
        HL7 + "translation", HL7 + "rendering-xhtml", HL7 + "rendering-markdown",
        HL7 + "questionnaire-itemControl", HL7 + "questionnaire-choiceOrientation",
        HL7 + "questionnaire-hidden", HL7 + "questionnaire-displayCategory",
        HL7 + "questionnaire-supportLink", HL7 + "questionnaire-optionPrefix",
        HL7 + "questionnaire-usageMode", HL7 + "questionnaire-sliderStepValue", HL7 + "entryFormat",
        SDC + "sdc-questionnaire-shortText", SDC + "sdc-questionnaire-openLabel",
    ),
    "limits": (
        HL7 + "minValue", HL7 + "maxValue", HL7 + "minLength", HL7 + "maxDecimalPlaces", HL7 + "regex",
        HL7 + "questionnaire-minOccurs", HL7 + "questionnaire-maxOccurs", HL7 + "questionnaire-unit",
        HL7 + "questionnaire-unitOption", HL7 + "questionnaire-unitValueSet", HL7 + "questionnaire-optionExclusive",
        HL7 + "questionnaire-referenceResource", HL7 + "questionnaire-constraint", HL7 + "targetConstraint",
        HL7 + "maxSize", HL7 + "mimeType", SDC + "sdc-questionnaire-minQuantity", SDC + "sdc-questionnaire-maxQuantity",
        SDC + "sdc-questionnaire-unitOpen",
    ),
    "expressions": (
        HL7 + "variable", HL7 + "cqf-expression", HL7 + "cqf-calculatedValue",
        SDC + "sdc-questionnaire-calculatedExpression", SDC + "sdc-questionnaire-initialExpression",
        SDC + "sdc-questionnaire-enableWhenExpression", SDC + "sdc-questionnaire-answerExpression",
        SDC + "sdc-questionnaire-candidateExpression", SDC + "sdc-questionnaire-answerOptionsToggleExpression",
    ),
    "scores": (
        HL7 + "ordinalValue", HL7 + "itemWeight", OWN + "score-band", OWN + "score-highest", OWN + "score-flag",
    ),
    "prefill": (
        SDC + "sdc-questionnaire-launchContext", SDC + "sdc-questionnaire-observationLinkPeriod",
        SDC + "sdc-questionnaire-itemPopulationContext", SDC + "sdc-questionnaire-sourceQueries",
    ),
    "extraction": (
        SDC + "sdc-questionnaire-observationExtract", SDC + "sdc-questionnaire-observation-extract-category",
        SDC + "sdc-questionnaire-observationExtractCategory", SDC + "sdc-questionnaire-itemExtractionContext",
        SDC + "sdc-questionnaire-definitionExtract", SDC + "sdc-questionnaire-definitionExtractValue",
        SDC + "sdc-questionnaire-templateExtract", SDC + "sdc-questionnaire-templateExtractBundle",
        SDC + "sdc-questionnaire-templateExtractContext", SDC + "sdc-questionnaire-templateExtractValue",
        SDC + "sdc-questionnaire-extractAllocateId",
    ),
}  # fmt: skip

# Read and let be: they change nothing for who fills a form in here, or ask for what a page does anyway.
HARMLESS: tuple[str, ...] = (
    SDC + "sdc-questionnaire-optionalDisplay", SDC + "sdc-questionnaire-collapsible", HL7 + "cqf-library",
    SDC + "sdc-questionnaire-choiceColumn", SDC + "sdc-questionnaire-contextExpression", HL7 + "rendering-style", HL7 + "rendering-styleSensitive", HL7 + "designNote", HL7 + "preferredTerminologyServer",
    HL7 + "questionnaire-signatureRequired", HL7 + "questionnaire-studyprotocolIssues", HL7 + "data-absent-reason",
    HL7 + "terminology-server", HL7 + "questionnaire-fhirType", HL7 + "questionnaire-baseType", HL7 + "structuredefinition-wg",
    HL7 + "questionnaire-preferredTerminologyServer", HL7 + "valueset-label", HL7 + "codesystem-label",
    HL7 + "11179-permitted-value-conceptmap", HL7 + "artifact-author", HL7 + "questionnaire-derivationType",
    SDC + "sdc-questionnaire-preferredTerminologyServer", SDC + "sdc-questionnaire-keyboard",
    SDC + "sdc-questionnaire-width", SDC + "sdc-questionnaire-columnCount", SDC + "sdc-questionnaire-entryMode",
    SDC + "sdc-questionnaire-performerType", SDC + "sdc-questionnaire-isSubject",
    SDC + "sdc-questionnaire-assemble-expectation", SDC + "sdc-questionnaire-assembledFrom",
    SDC + "sdc-questionnaire-assembleContext", SDC + "sdc-questionnaire-endpoint",
    SDC + "sdc-questionnaire-itemAnswerMedia", SDC + "sdc-questionnaire-itemMedia",
)  # fmt: skip


@cache
def known() -> frozenset[str]:
    """Every extension that is supported or harmless."""
    return frozenset(u for some in SUPPORTED.values() for u in some) | frozenset(HARMLESS)


def short(url: str) -> str:
    """The last part of an address, without `questionnaire-` before it: `minValue`, `calculatedExpression`."""
    name = url.rsplit("/", 1)[-1]
    return name.removeprefix("sdc-").removeprefix("questionnaire-")


def extensions(element: Any, url: str) -> list[dict[str, Any]]:
    """The extensions of that address on a JSON element, in order."""
    if not isinstance(element, dict):
        return []
    return [e for e in element.get("extension") or () if e.get("url") == url]


def extension(element: Any, *urls: str) -> dict[str, Any] | None:
    """The first extension of any of these addresses; None without."""
    if isinstance(element, dict):
        for e in element.get("extension") or ():
            if e.get("url") in urls:
                found: dict[str, Any] = e
                return found
    return None


def value_of(element: Any) -> Any:
    """The `value[x]` of a JSON element, whatever its type; None without."""
    if isinstance(element, dict):
        for key, value in element.items():
            if key.startswith("value") and key != "valueSet":
                return value
    return None


def kind_of(element: Any) -> str:
    """The type in the name of `value[x]`: `Coding`; empty without."""
    if isinstance(element, dict):
        for key in element:
            if key.startswith("value") and key != "valueSet":
                return key.removeprefix("value")
    return ""


def said(element: Any, *urls: str) -> Any:
    """The value of the first extension of any of these addresses; None without."""
    return value_of(extension(element, *urls))
