"""What is chosen from the record for a request: references, never copies. Each reader sees what the door lets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.kernel.i18n import N_, _
from sammanhang.web.parties import names_of

KINDS = (
    ("documents", N_("Dokument"), ("DocumentReference", "Composition"), 12),
    ("assessments", N_("Bedömningar"), ("Observation",), 8),
    ("problems", N_("Hälsoproblem"), ("Condition",), 12),
    ("medicines", N_("Läkemedel"), ("MedicationRequest",), 20),
)
TYPES = tuple(dict.fromkeys(t for _k, _n, types, _m in KINDS for t in types))


@dataclass(frozen=True, slots=True)
class Attached:
    """One thing of the record: reference, what it is, when, from which unit, and where it is read."""

    reference: str
    title: str
    at: str
    unit: str
    address: str


async def attached(record: Record, references: list[str]) -> list[Attached | None]:
    """The chosen things in order; None for one that this reader may not see. One query, none for none."""
    wanted = [r for r in references if r.partition("/")[0] in TYPES]
    if not wanted:
        return [None] * len(references)
    rows = await record.chosen(wanted)
    names = await names_of(record, rows)
    found = {f"{r.type}/{r.id}": line(r, names, record.patient_id) for r in rows}
    return [found.get(r) for r in references]


def line(row: Stored, names: dict[int, str], patient: str) -> Attached:
    """One thing as a line."""
    r = row.resource
    root = f"/patients/{patient}"
    where = {"DocumentReference": f"{root}/documents?read={row.type}/{row.id}", "Composition": f"{root}/documents?read={row.type}/{row.id}",
             "Observation": f"{root}/measurements", "Condition": f"{root}/problems"}.get(row.type, f"{root}/medicines")  # fmt: skip
    return Attached(
        f"{row.type}/{row.id}", _title(row.type, r), _when(r), names.get(row.unit or 0, ""), where
    )


def _title(kind: str, r: Any) -> str:
    if kind == "DocumentReference":
        return _words(r.type) or r.description or _("Dokument")
    if kind == "Composition":
        return r.title or _words(r.type) or _("Dokument")
    if kind == "MedicationRequest":
        return _words(r.medicationCodeableConcept) or _("Läkemedel")
    name = _words(r.code)
    if kind != "Observation":
        return name or _("Uppgift")
    value = (
        r.valueInteger
        if r.valueInteger is not None
        else (r.valueQuantity.value if r.valueQuantity is not None else None)
    )
    said = str(value) if value is not None else _words(r.valueCodeableConcept)
    return " ".join(filter(None, [name, said]))


def _words(concept: Any) -> str:
    if concept is None:
        return ""
    return concept.text or next((c.display for c in concept.coding or () if c.display), "") or ""


def _when(r: Any) -> str:
    for name in ("date", "effectiveDateTime", "onsetDateTime", "recordedDate", "authoredOn"):
        said = getattr(r, name, None)
        if said:
            return str(said)
    return ""
