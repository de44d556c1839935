"""Nothing known is typed again (M67): how the answers of a sent request's form came about, counted and kept.

The counts stand in the trace entry of the sending and as the extension `answer-counts` on the
QuestionnaireResponse, and are summed by unit and form with `retyped` for follow-up (`followup`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sammanhang import forms
from sammanhang.access.actor import Actor
from sammanhang.access.door import Record, predicate
from sammanhang.access.services import Services
from sammanhang.fhir.decode import encode, raw
from sammanhang.fhir.r4 import Extension
from sammanhang.forms import Form
from sammanhang.forms.values import typed
from sammanhang.kernel.content import content
from sammanhang.store.types import NUMBER
from sammanhang.work.commands import head_functions, in_functions

from .errors import NotYourFigures
from .queries import SQL

COUNTS = "http://sammanhang.se/fhir/StructureDefinition/answer-counts"
_SOURCE = "http://sammanhang.se/fhir/StructureDefinition/answer-source"
Told = Mapping[str, tuple[tuple[str, ...], str | None]]
"""Answers by linkId: what was answered, and what the record said when it filled it in (None when it did not)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How the answers came about.

    kept        filled in from the record and left as they were
    changed     filled in from the record and written over
    removed     filled in from the record and emptied
    retyped     typed by hand though the record had an answer
    typed       typed by hand; the record had none
    duplicates  open requests of the same kind for the patient when it was sent
    """

    kept: int = 0
    changed: int = 0
    removed: int = 0
    retyped: int = 0
    typed: int = 0
    duplicates: int = 0

    @property
    def prefilled(self) -> int:
        """How many answers the record gave."""
        return self.kept + self.changed + self.removed


async def count(record: Record, form: Form, response: Any, duplicates: int) -> Counts:
    """The counts of a response about to be sent, held against what the record would fill in now; three queries."""
    known = told_of((await forms.prefill(form, record)).response)
    return compare(told_of(response), known, duplicates)


def compare(answers: Told, known: Told, duplicates: int = 0) -> Counts:
    """Counts answer by answer; `known` is what the record fills in by itself."""
    kept = changed = retyped = typed = 0
    for link, (said, was) in answers.items():
        if was is not None:
            kept, changed = (kept + 1, changed) if was in ("–", *said) else (kept, changed + 1)
        elif link in known:
            retyped += 1
        else:
            typed += 1
    removed = sum(link not in answers for link in known)
    return Counts(kept, changed, removed, retyped, typed, duplicates)


def told_of(response: Any) -> Told:
    """The answered questions of a response."""
    found: dict[str, tuple[tuple[str, ...], str | None]] = {}
    _collect(raw(encode(response)).get("item") or (), found)
    return found


def _collect(items: Any, found: dict[str, tuple[tuple[str, ...], str | None]]) -> None:
    for item in items:
        answers = item.get("answer") or ()
        if answers:
            was = next((w for a in answers if (w := _was(a)) is not None), None)
            found[item["linkId"]] = (tuple(_said(a) for a in answers), was)
        _collect(item.get("item") or (), found)
        for a in answers:
            _collect(a.get("item") or (), found)


def _was(answer: Any) -> str | None:
    source = next((e for e in answer.get("extension") or () if e.get("url") == _SOURCE), None)
    parts = (source or {}).get("extension") or ()
    return next((str(p.get("valueString", "")) for p in parts if p.get("url") == "was"), None)


def _said(answer: Any) -> str:
    """An answer as the record's own saying of it is written (`forms.values.typed`)."""
    for name, value in answer.items():
        if name.startswith("value"):
            kind = name.removeprefix("value")
            return typed({"Coding": "choice"}.get(kind, kind[0].lower() + kind[1:]), value)
    return ""


def mark(response: Any, counts: Counts) -> None:
    """Puts the counts on a response."""
    parts = [Extension(url=k, valueInteger=v) for k, v in asdict(counts).items()]
    others = [e for e in response.extension or () if e.url != COUNTS]
    response.extension = [*others, Extension(url=COUNTS, extension=parts)]


@dataclass(frozen=True, slots=True)
class Retyped:
    """One unit's sums for one form: HSA-id, the form's canonical address, how many were sent, and their counts."""

    unit: str
    form: str
    sent: int
    counts: Counts


def whose(actor: Actor) -> str:
    """HSA-id of the unit whose figures the actor sees: a head's own; empty for all of the care provider's, which who
    works with statistics sees (R38). Raises `NotYourFigures`."""
    role = actor.assignment.role if actor.assignment is not None else ""
    if content("rules/roles")["roles"].get(role, {}).get("statistics"):
        return ""
    if actor.assignment is None or head_functions().isdisjoint(in_functions(role)):
        raise NotYourFigures
    return actor.assignment.unit


async def retyped(
    services: Services, actor: Actor, since: datetime, until: datetime
) -> list[Retyped]:
    """The sums the actor may count (`whose`), by unit and form; one query. None of them may be shown under the
    smallest count that is told (R38).

    Raises `NotYourFigures`, and `Refused` below the level of assurance (R1).
    """
    unit = whose(actor)
    scope = await services.doors.statistics_scope(actor)
    wall, args = predicate(scope, "r")
    async with services.database.reading(scope) as connection:
        services.database.queries += 1
        sql = SQL["retyped"].format(wall=wall)
        rows = await connection.fetch(
            sql, (NUMBER["QuestionnaireResponse"], since, until, *args, COUNTS, unit, unit)
        )
    return [Retyped(r[0] or "", r[1] or "", r[2], Counts(*r[3:])) for r in rows]
