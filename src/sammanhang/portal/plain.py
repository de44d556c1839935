"""A resident's record in plain words: what it is called, how it is taken, whether it is as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import _
from sammanhang.web import show

OVER = ("inactive", "remission", "resolved")
NOW = ("active", "on-hold")
RESULTS = 6


@dataclass(frozen=True, slots=True)
class PlainMedicine:
    """A medicine: its name, how it is taken, and whether only when needed."""

    name: str
    dose: str
    needed: bool


@dataclass(frozen=True, slots=True)
class PlainResult:
    """A result: what, its value, the day, where, a sentence, and whether it is out of its range."""

    name: str
    value: str
    at: str
    where: str
    said: str
    out: bool


def problems_of(rows: list[Stored]) -> list[str]:
    """What the resident is treated for now, each once."""
    found: dict[str, None] = {}
    for row in rows:
        c = row.resource
        codes = _codes(c.clinicalStatus)
        lasting = "encounter-diagnosis" not in {
            code for cat in c.category or () for code in _codes(cat)
        }
        wrong = _codes(c.verificationStatus) & {"refuted", "entered-in-error"}
        if lasting and not wrong and not codes & set(OVER) and c.abatementDateTime is None:
            found[text(c.code)] = None
    return [name for name in found if name]


def medicines_of(rows: list[Stored]) -> list[PlainMedicine]:
    """What the resident takes now."""
    found: dict[tuple[str, str], PlainMedicine] = {}
    for row in rows:
        m = row.resource
        if m.status not in NOW:
            continue
        dosage = (m.dosageInstruction if row.type == "MedicationRequest" else m.dosage) or ()
        dose = "; ".join(d.text for d in dosage if d.text)
        needed = any(d.asNeededBoolean for d in dosage)
        name = text(m.medicationCodeableConcept) or (
            m.medicationReference.display or "" if m.medicationReference is not None else ""
        )
        if name:
            found.setdefault((name, dose), PlainMedicine(name, dose, needed))
    return sorted(found.values(), key=lambda m: (m.needed, m.name.lower()))


def results_of(rows: list[Stored], names: dict[int, str]) -> list[PlainResult]:
    """The newest result of each analysis, with a sentence that says what the number means."""
    found: dict[str, PlainResult] = {}
    for row in rows:
        o = row.resource
        kinds = {code for cat in o.category or () for code in _codes(cat)}
        q = o.valueQuantity
        if (
            "laboratory" not in kinds
            or o.status in ("cancelled", "entered-in-error")
            or not o.effectiveDateTime
        ):
            continue
        value = (
            f"{q.comparator + ' ' if q.comparator else ''}{show.number(q.value)} {q.unit or ''}".strip()
            if q is not None
            else text(o.valueCodeableConcept) or (o.valueString or "")
        )
        name = text(o.code)
        if not value or name in found:
            continue
        said, out = _said(o)
        found[name] = PlainResult(
            name, value, o.effectiveDateTime, names.get(row.unit or 0, ""), said, out
        )
        if len(found) == RESULTS:
            break
    return list(found.values())


def _said(o: Any) -> tuple[str, bool]:
    codes = {code for concept in o.interpretation or () for code in _codes(concept)}
    low, high = _limits(o)
    value = o.valueQuantity.value if o.valueQuantity is not None else None
    if codes & {"H", "HH", "HU"} or (
        not codes and value is not None and high is not None and value > high
    ):
        return _(
            "Högre än det vanliga. Det behöver inte vara farligt. Fråga din mottagning om du undrar."
        ), True
    if codes & {"L", "LL", "LU"} or (
        not codes and value is not None and low is not None and value < low
    ):
        return _(
            "Lägre än det vanliga. Det behöver inte vara farligt. Fråga din mottagning om du undrar."
        ), True
    if codes & {"N"} or (value is not None and (low is not None or high is not None)):
        return _("Som det brukar vara."), False
    return "", False


def _limits(o: Any) -> tuple[Any, Any]:
    for r in o.referenceRange or ():
        return (
            r.low.value if r.low is not None else None,
            r.high.value if r.high is not None else None,
        )
    return None, None


def text(concept: Any) -> str:
    """The words of a concept."""
    if concept is None:
        return ""
    return concept.text or next((c.display or c.code or "" for c in concept.coding or ()), "")


def texts(concepts: Any) -> str:
    """The words of several concepts."""
    return ", ".join(filter(None, map(text, concepts or ())))


def _codes(concept: Any) -> set[str]:
    return {c.code for c in (concept.coding if concept is not None else None) or () if c.code}
