"""What a search answers: a page of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

COLUMNS = "r.type, r.id, r.version, r.updated, r.self, r.patient, r.body"


@dataclass(slots=True)
class Hit:
    """One row of an answer. `mode` is match or include."""

    type: str
    id: str
    version: int
    updated: datetime
    self: int
    patient: int | None
    body: bytes
    mode: str = "match"


@dataclass
class Page:
    """An answer: matches, included rows, total when known, cursor of the next page."""

    hits: list[Hit] = field(default_factory=list)
    total: int | None = None
    next: str | None = None
