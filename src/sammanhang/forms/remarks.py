"""Where answers go against the record: what it fills in by itself, and somebody took away or changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sammanhang.fhir.indexing import hash64
from sammanhang.web import show

from .drafts import Draft
from .prefill import prefill
from .questionnaire import Form, Item
from .reading import said
from .show import label_of
from .sources import source_of
from .tree import Answer, tree_of
from .values import same


@dataclass(frozen=True, slots=True)
class Remark:
    """One question: what the record says that was not answered, and what was answered, in words."""

    label: str
    record: tuple[str, ...]
    answered: tuple[str, ...]


async def remarks(draft: Draft) -> list[Remark]:
    """What the record says now and the draft does not; at most three queries."""
    known = await prefill(draft.form, draft.record)
    return differing(draft.form, known.response, draft.response)


def differing(form: Form, known: Any, response: Any) -> list[Remark]:
    """Question by question; `known` is what the record fills in. Rows of repeating groups are let be."""
    given = tree_of(form, response)
    made = []
    for node in tree_of(form, known).all():
        own = given.by_link.get(node.item.link, [])
        if len(own) != 1 or node.item.hidden or node.item.read_only:
            continue
        answers = [a for a in own[0].answers if a.there]
        lost = [
            a
            for a in node.answers
            if a.source is not None and not any(same(a.value, b.value) for b in answers)
        ]
        if lost:
            record = tuple(_told(node.item, a) for a in lost)
            made.append(Remark(label_of(node), record, tuple(said(node.item, a) for a in answers)))
    return made


def mark_of(found: Iterable[Remark]) -> str:
    """Tells these remarks from others; empty for none."""
    told = [f"{r.label}|{r.record}|{r.answered}" for r in found]
    return str(hash64("\n".join(told))) if told else ""


def _told(item: Item, a: Answer) -> str:
    """`Vätskedrivande: Furosemid 40 mg (2026-11-12, Vårdcentralen)`."""
    text, source = said(item, a), source_of(a.source)
    if source is None:
        return text
    if source.what and source.what != text:
        text = f"{text}: {source.what}"
    where = "" if source.where.startswith("#") else source.where
    when = ", ".join(filter(None, [show.day(source.at) if source.at else "", where]))
    return f"{text} ({when})" if when else text
