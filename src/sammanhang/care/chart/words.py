"""FHIR elements as the words and times a reader needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.fhir.dates import bounds
from sammanhang.web import show

_RELATION = re.compile(r"\s*\((?:mor|far)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row of the record comes from.

    unit      name of the unit that wrote it, else of its care provider
    provider  name of the care provider
    """

    unit: str
    provider: str

    @property
    def both(self) -> str:
        """Unit and care provider, for the sentence shown on hover and to screen readers."""
        return self.unit if self.unit == self.provider else f"{self.unit}, {self.provider}"


Names = dict[int, str]


def source(row: Stored, names: Names) -> Source:
    """Who wrote a row, in words."""
    provider = names.get(row.provider or 0, "")
    return Source(names.get(row.unit or 0, "") or provider, provider)


def text(concept: Any) -> str:
    """The words of a CodeableConcept: its own text, else a display, else the code."""
    if concept is None:
        return ""
    if concept.text:
        return str(concept.text)
    for coding in concept.coding or ():
        if coding.display:
            return str(coding.display)
    return next((str(c.code) for c in concept.coding or () if c.code), "")


def texts(concepts: Any) -> str:
    """The words of several concepts, with commas between."""
    return ", ".join(dict.fromkeys(t for t in map(text, concepts or ()) if t))


def code(concept: Any, *systems: str) -> str:
    """The first code of the concept, of one of these systems when some are given."""
    for coding in (concept.coding if concept is not None else None) or ():
        if coding.code and (not systems or coding.system in systems):
            return str(coding.code)
    return ""


def key(concept: Any) -> str:
    """What tells whether two concepts are the same: system and code, else the words."""
    for coding in (concept.coding if concept is not None else None) or ():
        if coding.code:
            return f"{coding.system or ''}|{coding.code}"
    return text(concept)


def display(reference: Any) -> str:
    """The name a reference carries, as written when the row was."""
    return (reference.display or "") if reference is not None else ""


def displays(references: Any) -> str:
    """The names of several references."""
    return ", ".join(dict.fromkeys(d for d in map(display, references or ()) if d))


def notes(annotations: Any) -> str:
    """The texts of annotations, a line each."""
    return "\n".join(a.text for a in annotations or () if a.text)


def phone(telecom: Any) -> str:
    """The first phone number; a mobile before a fixed one."""
    numbers = [t for t in telecom or () if t.system == "phone" and t.value and t.use != "old"]
    numbers.sort(key=lambda t: t.use != "mobile")
    return str(numbers[0].value) if numbers else ""


def quantity(q: Any) -> str:
    """`5,4 mmol/L`, `> 90 mL/min`."""
    if q is None or q.value is None:
        return ""
    return f"{q.comparator + ' ' if q.comparator else ''}{show.number(q.value)} {q.unit or q.code or ''}".strip()


def moment(value: str | None) -> float:
    """A FHIR date or time as seconds, to sort and to draw by; 0 when absent."""
    return bounds(value)[0].timestamp() if value else 0.0


def when(resource: Any) -> str | None:
    """The clinical time of a resource as it was written: the start, for what lasts."""
    for name in (
        "effectiveDateTime", "effectiveInstant", "occurrenceDateTime", "performedDateTime", "onsetDateTime",
        "authoredOn", "start", "date", "recordedDate", "issued", "created", "dateAsserted", "sent",
    ):  # fmt: skip
        value = getattr(resource, name, None)
        if isinstance(value, str):
            return value
    for name in ("effectivePeriod", "period", "occurrencePeriod", "performedPeriod", "onsetPeriod"):
        period = getattr(resource, name, None)
        if period is not None:
            return period.start or period.end  # type: ignore[no-any-return]
    return None


def relation(concepts: Any) -> str:
    """`son`, `vårdnadshavare`: one word for who somebody is to the patient."""
    words = texts((concepts or ())[:1])
    return _RELATION.sub("", words).lower()
