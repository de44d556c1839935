"""What the chart fetches: few queries, each by the record's own predicates.

The SQL itself is `Record.resources`: the chart asks for types, and the door says which rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.indexing import coded, slot
from sammanhang.forms.results import warning_tokens

# What stands beside every page of the chart, apart from the patient.
BESIDE = (
    "AllergyIntolerance",
    "Flag",
    "RelatedPerson",
    "CareTeam",
    "EpisodeOfCare",
    "Consent",
    "Appointment",
)
_OPEN = [
    coded("http://hl7.org/fhir/encounter-status", status)[1] ^ slot("Encounter.status", "token")
    for status in ("arrived", "triaged", "in-progress", "onleave")
]


# Open encounters and assessments that warn: the newest.
MOST = 200


async def beside(record: Record) -> list[Stored]:
    """What the left column is made of: two queries."""
    rows = await record.resources(*BESIDE, limit=1000)
    tokens = [[*_OPEN, *warning_tokens()]]
    return rows + await record.resources("Encounter", "Observation", limit=MOST, tokens=tokens)


def kinds(rows: Iterable[Stored], *types: str) -> list[Stored]:
    """The rows of these types, in the order they came."""
    return [row for row in rows if row.type in types]
