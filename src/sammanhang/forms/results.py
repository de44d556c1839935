"""What stored scores mean by today's forms, and which of them warn until a newer one says otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.fhir.decode import index
from sammanhang.fhir.indexing import coded, slot

from .library import known, of_content
from .questionnaire import Form, Item
from .scoring import HIGHEST, Band, bands_of
from .urls import OWN, said

FLAG = OWN + "score-flag"
RIGHT = ("final", "amended", "corrected", "preliminary")
_CODE = slot("Observation.code", "token")


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest score of an instrument whose scores warn.

    form, item  the instrument, and its item with the score
    row         the Observation; `at` when it was assessed
    score       as it is read: `4 av 11` without the words
    highest     the highest possible; empty when the form does not say
    band        what it means
    flag        code of the Flags that give way to it: system and code
    """

    form: Form
    item: Item
    row: Stored
    at: datetime
    score: Decimal
    highest: str
    band: Band
    flag: tuple[str, str]

    @property
    def warns(self) -> bool:
        return self.band.level != "ok"


def instruments() -> list[Form]:
    """The forms of content that give a score, by title."""
    found = [f for name in known() if (f := of_content(name)) is not None and any(bands_of(i) for i in f.index.values())]  # fmt: skip
    return sorted(found, key=lambda f: str(f.title))


def warning_tokens() -> list[int]:
    """What Observations of the scores that warn are found by (`Record.resources`)."""
    return [coded(*code)[1] ^ _CODE for _form, item, _flag in _warning() for code in _codes(item)]


def standing(rows: Iterable[Stored]) -> list[Standing]:
    """The newest score of each instrument that warns, of those in `rows`; wrong ones do not count."""
    given = [(r, r.resource) for r in rows if r.type == "Observation"]
    made = []
    for form, item, flag in _warning():
        codes = set(_codes(item))
        scores = [
            Standing(form, item, row, at_of(row), value, str(said(item.raw, HIGHEST) or ""), band, flag)
            for row, o in given
            if o.status in RIGHT
            and codes & {(c.system, c.code) for c in o.code.coding or ()}
            and (value := number_of(o)) is not None
            and (band := next((b for b in bands_of(item) if b.holds(value)), None)) is not None
        ]  # fmt: skip
        if scores:
            made.append(max(scores, key=lambda s: (s.at, s.row.updated)))
    return made


def at_of(row: Stored) -> datetime:
    """When something happened, or was written when it does not say."""
    span = index(row.resource).occurred
    return span[0] if span is not None else row.updated


def number_of(o: Any) -> Decimal | None:
    """The score of an Observation, written as a whole number or as a quantity; None for others."""
    if o.valueInteger is not None:
        return Decimal(o.valueInteger)
    if o.valueQuantity is not None and o.valueQuantity.value is not None:
        return Decimal(o.valueQuantity.value)
    return None


def band_of(form: Form | None, o: Any) -> Band | None:
    """What a stored score means by today's form: the words are in the reader's language."""
    value: Any = number_of(o)
    if value is None and o.valueCodeableConcept is not None:
        value = next(({"code": c.code} for c in o.valueCodeableConcept.coding or ()), None)
    if form is None or value is None:
        return None
    bands = (b for i in form.index.values() for b in bands_of(i))
    return next((b for b in bands if b.holds(value)), None)


def _warning() -> list[tuple[Form, Item, tuple[str, str]]]:
    found = [(f, i, said(i.raw, FLAG)) for f in instruments() for i in f.index.values()]
    return [(f, i, (c.get("system", ""), c.get("code", ""))) for f, i, c in found if isinstance(c, dict)]  # fmt: skip


def _codes(item: Item) -> list[tuple[str, str]]:
    return [(c.get("system", ""), c.get("code", "")) for c in item.codes]
