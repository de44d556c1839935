"""Earlier assessments: observations of instruments, newest first, and drafts of the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.indexing import coded, slot
from sammanhang.forms import Form
from sammanhang.forms.drafts import IN_PROGRESS
from sammanhang.forms.results import at_of, band_of, instruments, number_of
from sammanhang.web import show

ASSESSMENT = "http://sammanhang.se/fhir/CodeSystem/assessment"
_CATEGORY = coded("http://terminology.hl7.org/CodeSystem/observation-category", "survey")[1] ^ slot("Observation.category", "token")  # fmt: skip
MOST = 500
_WRONG = ("cancelled", "unknown")


@dataclass(frozen=True, slots=True)
class Assessed:
    """One earlier assessment.

    instrument  its name; `form` what the form is called, empty for one that is not here
    score       as it is read; `said` what it means, `level` ok, warning or critical
    at          when, as FHIR wrote it
    by, unit    who assessed, and whose record it stands in
    version     of the instrument, in words
    response    id of the response with the answers; empty without
    series      the curve's key on the chart
    voided      whether it was wrong and does not count
    """

    instrument: str
    form: str
    score: str
    said: str
    level: str
    at: str
    by: str
    unit: str
    version: str
    response: str
    series: str
    voided: bool


async def rows_of(record: Record) -> tuple[list[Stored], list[Stored]]:
    """(observations of assessments, drafts in progress), newest first; two queries."""
    observations = await record.resources("Observation", limit=MOST, tokens=[[_CATEGORY]])
    observations.sort(key=lambda r: (at_of(r), r.updated), reverse=True)
    drafts = await record.resources("QuestionnaireResponse", limit=50, tokens=[[IN_PROGRESS]])
    return observations, drafts


def assessed(rows: list[Stored], names: dict[int, str]) -> list[Assessed]:
    """Observations as lines of a list; those of other kinds than instruments are left out, voided ones told."""
    forms = {c.get("code"): f for f in instruments() for c in f.codes}
    made = []
    for row in rows:
        o = row.resource
        code = next((c.code for c in o.code.coding or () if c.system == ASSESSMENT), None)
        if code is None or o.status in _WRONG:
            continue
        made.append(_one(row, o, code, forms.get(code), names))
    return made


def _one(row: Stored, o: Any, code: str, form: Form | None, names: dict[int, str]) -> Assessed:
    concept = o.valueCodeableConcept
    number = number_of(o)
    score = show.number(number) if number is not None else ""
    if concept is not None:
        score = concept.text or next((c.display or c.code or "" for c in concept.coding or ()), "")
    band = band_of(form, o)
    said = (
        str(band.text)
        if band is not None
        else next((i.text or "" for i in o.interpretation or ()), "")
    )
    response = next((r.reference or "" for r in o.derivedFrom or ()), "")
    version = (o.method.text or "").rpartition(", version ")[2] if o.method is not None else ""
    by = next((p.display or "" for p in o.performer or ()), "")
    title = str(form.title) if form is not None else o.code.text or code
    return Assessed(
        title, form.name if form is not None else "", score, said, band.level if band is not None else "ok",
        o.effectiveDateTime or "", by, names.get(row.unit or 0, "") or names.get(row.provider or 0, ""), version,
        response.removeprefix("QuestionnaireResponse/") if response.startswith("QuestionnaireResponse/") else "",
        f"{ASSESSMENT}|{code}", o.status == "entered-in-error",
    )  # fmt: skip
