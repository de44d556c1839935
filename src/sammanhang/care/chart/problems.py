"""Health problems: what the patient lives with now, and what is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show

from .words import Names, Source, code, display, key, moment, notes, source, text

VERIFICATION = {
    "unconfirmed": N_("ej bekräftad"), "provisional": N_("preliminär"), "differential": N_("möjlig"),
}  # fmt: skip
OVER = ("inactive", "remission", "resolved")
WRONG = ("refuted", "entered-in-error")


@dataclass(frozen=True, slots=True)
class Problem:
    """One health problem.

    name     in words
    code     its code, as ICD-10-SE writes it
    began    since when, as precisely as known
    ended    until when; None while it lasts
    lasting  on the problem list, not only the reason of one visit
    doubt    a word when the diagnosis is not certain
    note     what was written about it
    by       who recorded it
    source   unit and care provider
    """

    name: str
    code: str
    began: str | None
    ended: str | None
    lasting: bool
    doubt: str
    note: str
    by: str
    source: Source

    @property
    def year(self) -> str:
        """The year it began, for lists."""
        return (self.began or "")[:4]


@dataclass(frozen=True, slots=True)
class Problems:
    """Problems now (lasting ones), visits' diagnoses and what is over; newest first."""

    now: list[Problem]
    visits: list[Problem]
    over: list[Problem]


def problems_of(rows: list[Stored], names: Names) -> Problems:
    """Conditions in order; the same lasting problem written at several units stands once, the newest."""
    now: dict[str, Problem] = {}
    visits: list[Problem] = []
    over: list[Problem] = []
    for row in rows:
        c = row.resource
        if code(c.verificationStatus) in WRONG:
            continue
        problem = _problem(row, c, names)
        lasting = problem.lasting
        if code(c.clinicalStatus) in OVER or problem.ended:
            (over if lasting else visits).append(problem)
        elif lasting:
            now.setdefault(key(c.code), problem)
        else:
            visits.append(problem)
    return Problems(sorted(now.values(), key=lambda p: -moment(p.began)), visits, over)


def _problem(row: Stored, c: Any, names: Names) -> Problem:
    certain = code(c.verificationStatus)
    categories = {code(category) for category in c.category or ()}
    began = c.onsetDateTime or (c.onsetPeriod.start if c.onsetPeriod is not None else None)
    ended = c.abatementDateTime
    if ended is None and c.abatementPeriod is not None:
        ended = c.abatementPeriod.end
    return Problem(
        name=text(c.code) or _("Utan namn"),
        code=code(c.code),
        began=began or c.recordedDate,
        ended=show.day(ended) if ended else None,
        lasting="encounter-diagnosis" not in categories or "problem-list-item" in categories,
        doubt=_(VERIFICATION[certain]) if certain in VERIFICATION else "",
        note=notes(c.note),
        by=display(c.recorder),
        source=source(row, names),
    )
