"""The filled-in form of a request, question by question, for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sammanhang.access.door import Record
from sammanhang.kernel.i18n import _
from sammanhang.web import show

from . import request as fhir
from .request import Around


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its answers; `level` how deep it stands, a group has no answers."""

    text: str
    answers: tuple[str, ...]
    level: int


async def asked_of(record: Record, found: Around) -> tuple[Asked, ...]:
    """The form's questions that were answered, in order; none when there is no form."""
    reference = fhir.form_of(found.request)
    if not reference and found.forms:  # of a draft that has saved itself: the newest
        reference = f"QuestionnaireResponse/{found.forms[-1].id}"
    if not reference:
        return ()
    stored = next((s for s in found.forms if f"QuestionnaireResponse/{s.id}" == reference), None)
    if stored is None:
        stored = await record.find("QuestionnaireResponse", reference.partition("/")[2])
    return tuple(_lines(stored.resource.item or (), 0)) if stored is not None else ()


def _lines(items: Any, level: int) -> list[Asked]:
    lines: list[Asked] = []
    for item in items:
        below = _lines(
            [*(item.item or ()), *(i for a in item.answer or () for i in a.item or ())], level + 1
        )
        said = tuple(filter(None, (_said(a) for a in item.answer or ())))
        if said or below:
            lines += [Asked(item.text or item.linkId, said, level), *below]
    return lines


def _said(a: Any) -> str:
    if a.valueBoolean is not None:
        return _("Ja") if a.valueBoolean else _("Nej")
    if a.valueCoding is not None:
        return a.valueCoding.display or a.valueCoding.code or ""
    if a.valueQuantity is not None:
        return f"{show.number(a.valueQuantity.value)} {a.valueQuantity.unit or ''}".strip()
    for name in ("valueDecimal", "valueInteger"):
        if getattr(a, name) is not None:
            return show.number(getattr(a, name))
    if a.valueDate or a.valueDateTime:
        return show.when(a.valueDateTime) if a.valueDateTime else show.day(a.valueDate)
    if a.valueAttachment is not None:
        return a.valueAttachment.title or _("Bilaga")
    if a.valueReference is not None:
        return a.valueReference.display or a.valueReference.reference or ""
    return str(a.valueString or a.valueTime or a.valueUri or "")
