"""Extensions against their definitions: known or not, where they may stand, modifiers, contents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sammanhang.fhir.tables import shipped

from .items import Item
from .reading import shown
from .shapes import CORE

if TYPE_CHECKING:
    from .profiles import Validation

# http://hl7.org/fhir/R4/versions.html#extensions
_OTHER_VERSION = re.compile(
    r"^http://hl7\.org/fhir/\d\.\d/StructureDefinition/extension-[A-Za-z.\[\]-]+$"
)
DEFINITIONS = {
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "SearchParameter",
    "OperationDefinition",
}


def check_extension(
    validation: Validation, item: Item, holder: Item, names: set[str], modifier: bool
) -> None:
    """One extension on `holder`, whose element goes by `names` (its path in resource and in type)."""
    url = item.value.get("url") if isinstance(item.value, dict) else None
    if not isinstance(url, str):
        return  # told by the walk
    sd = validation.definitions.structure(url)
    if sd is None:
        if holder.type != "Extension":
            _unknown(validation, item, url)
        return
    if sd.get("type") != "Extension":
        validation.add(
            "structure",
            item.at,
            f"{shown(url, 200)} är inte ett tillägg.",
            f"{shown(url, 200)} is not an extension.",
        )
        return
    if not _may_stand(sd.get("context"), holder, names):
        listed = ", ".join(str(c.get("expression")) for c in sd["context"])
        validation.add(
            "structure",
            item.at,
            f"Tillägget {shown(url, 200)} får inte stå här; tillåtna platser: {listed}.",
            f"The extension {shown(url, 200)} may not stand here; allowed places: {listed}.",
            "warning" if _core_use(url, item) else "error",
        )
    changes = sd["elements"][0].get("isModifier")
    if changes is not None and bool(changes) != modifier:
        place = "modifierExtension" if changes else "extension"
        validation.add(
            "structure",
            item.at,
            f"Tillägget {shown(url, 200)} ska stå i {place}.",
            f"The extension {shown(url, 200)} belongs in {place}.",
        )
    validation.against(item, url)


def _core_use(url: str, item: Item) -> bool:
    """HL7's own definitions misplace HL7's own extensions (R4: `structuredefinition-fhir-type`)."""
    return url.startswith(CORE) and item.scope.resource.get("resourceType") in DEFINITIONS


def _unknown(validation: Validation, item: Item, url: str) -> None:
    if _OTHER_VERSION.match(
        url
    ):  # an element of another FHIR version: allowed without a definition
        return
    if "://" not in url and not url.startswith("urn:"):
        validation.add(
            "structure",
            item.at,
            f"Tilläggets url ”{shown(url, 200)}” måste vara absolut.",
            f"The url '{shown(url, 200)}' of an extension must be absolute.",
        )
        return
    validation.add(
        "structure" if validation.unknown_extensions == "error" else "not-found",
        item.at,
        f"Tillägget {shown(url, 200)} är okänt här; det har inte kontrollerats.",
        f"The extension {shown(url, 200)} is not known here; it has not been checked.",
        validation.unknown_extensions,
    )


def _may_stand(context: Any, holder: Item, names: set[str]) -> bool:
    """Whether some context of the definition allows the place (http://hl7.org/fhir/R4/extensibility.html)."""
    if not isinstance(context, list) or not context:
        return True
    kinds = {str(holder.type), *_ancestors(str(holder.type))}
    for c in context:
        where = str(c.get("expression", ""))
        if c.get("type") == "fhirpath":
            return True
        if c.get("type") == "extension":
            if holder.type == "Extension" and holder.value.get("url") == where:
                return True
            continue
        place = where.split("#")[-1].removesuffix("[x]")
        if place in kinds or place in names or place == "Element":
            return True
        if place in _ancestor_paths(names):
            return True
    return False


def _ancestors(code: str) -> list[str]:
    out = []
    sd = shipped("structures").get(CORE + code)
    while sd is not None and sd.get("baseDefinition"):
        out.append(sd["baseDefinition"].rsplit("/", 1)[-1])
        sd = shipped("structures").get(sd["baseDefinition"])
    return out


def _ancestor_paths(names: set[str]) -> set[str]:
    """The same places told by the type an element's resource derives from: `DomainResource.text`."""
    out = set()
    for name in names:
        first, dot, rest = name.partition(".")
        if dot:
            out |= {f"{above}.{rest}" for above in _ancestors(first)}
    return out
