"""Where a prefilled answer came from, kept on the answer itself: the resource, when, which unit, and what it said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .urls import SOURCE, said


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of one prefilled answer.

    reference  `Observation/…`; empty when it was worked out from several
    at         when it was recorded or measured, as FHIR wrote it; may be empty
    where      the unit whose record it stands in, in words; may be empty
    was        the value as it would be typed
    what       what the resource is about, in its own words; may be empty
    """

    reference: str = ""
    at: str = ""
    where: str = ""
    was: str = ""
    what: str = ""

    def element(self) -> dict[str, Any]:
        """As an extension on the answer."""
        parts: list[dict[str, Any]] = []
        if self.reference:
            parts.append({"url": "reference", "valueReference": {"reference": self.reference}})
        if self.what:
            parts.append({"url": "what", "valueString": self.what})
        if self.at:
            parts.append({"url": "at", "valueDateTime": self.at})
        if self.where:
            parts.append({"url": "where", "valueString": self.where})
        parts.append({"url": "was", "valueString": self.was or "–"})
        return {"url": SOURCE, "extension": parts}


def source_of(element: dict[str, Any] | None) -> Source | None:
    """The source an extension says; None without."""
    if element is None:
        return None
    reference = said(element, "reference")
    return Source(
        str(reference.get("reference") or "") if isinstance(reference, dict) else "",
        str(said(element, "at") or ""), str(said(element, "where") or ""), str(said(element, "was") or ""),
        str(said(element, "what") or ""),
    )  # fmt: skip
