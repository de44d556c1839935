"""What a score means: bands of points (or steps) with their words and what is suggested, read from the form.

A band is content: an extension on the item that holds the score, with `low` and `high` or `value`, a text, how
serious it is, and the action it suggests. A score with an answer missing is no score.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .questionnaire import Item
from .tree import Node, Tree
from .urls import OWN, extension, extensions, said
from .values import typed
from .words import Words, words_of

BAND = OWN + "score-band"
HIGHEST = OWN + "score-highest"


@dataclass(frozen=True, slots=True)
class Band:
    """Part of a scale.

    low, high  the points it goes from and to, both included; None where it has no end
    value      the step it stands for, where the score is not a number
    text       what it means
    level      ok, warning or critical
    action     what is suggested; may be empty
    code       HL7 ObservationInterpretation: N, A, H …
    """

    low: Decimal | None
    high: Decimal | None
    value: str
    text: Words
    level: str
    action: Words
    code: str

    def holds(self, score: Any) -> bool:
        """Whether a score falls in this band."""
        if self.value:
            told = score.get("code") if isinstance(score, dict) else score
            return str(told) == self.value
        if isinstance(score, bool) or not isinstance(score, int | Decimal):
            return False
        return (self.low is None or score >= self.low) and (self.high is None or score <= self.high)


@dataclass(frozen=True, slots=True)
class Score:
    """A score as it stands: the item, the value (None while something is missing), its band, and the highest possible."""

    item: Item
    value: Any
    band: Band | None
    highest: str
    missing: int

    @property
    def text(self) -> str:
        """`4`, `C`; empty while something is missing."""
        return typed(self.item.type, self.value) if self.value is not None else ""


def bands_of(item: Item) -> tuple[Band, ...]:
    """The bands of the score an item holds; none for other items."""
    made = []
    for e in extensions(item.raw, BAND):
        low, high = said(e, "low"), said(e, "high")
        made.append(
            Band(
                Decimal(str(low)) if low is not None else None,
                Decimal(str(high)) if high is not None else None,
                str(said(e, "value") or ""), _words(e, "text"), str(said(e, "level") or "ok"),
                _words(e, "action"), str(said(e, "code") or ""),
            )
        )  # fmt: skip
    return tuple(made)


def _words(e: dict[str, Any], name: str) -> Words:
    found = extension(e, name)
    return words_of(found, "valueString") if found else Words("")


def scores(tree: Tree) -> list[Score]:
    """Every score of a settled response, in the order of the form."""
    made = []
    for link, item in tree.form.index.items():
        bands = bands_of(item)
        node = tree.first(link) if bands else None
        if node is None or not node.enabled:
            continue
        value = node.values[0] if node.values else None
        band = next((b for b in bands if value is not None and b.holds(value)), None)
        missing = len(left(tree)) if value is None else 0
        made.append(Score(item, value, band, str(said(item.raw, HIGHEST) or ""), missing))
    return made


def left(tree: Tree) -> list[Node]:
    """Questions that must be answered and are not, in the order of the form."""
    return [
        n for n in tree.all()
        if n.enabled and n.required and not n.filled and not (n.item.many and n.row) and not n.item.hidden
        and not _above_left(n)
    ]  # fmt: skip


def _above_left(node: Node) -> bool:
    """Whether a group above is wholly unanswered and not itself required: then what is in it is not asked for yet."""
    above = node.parent
    while above is not None:
        if above.item.many and above.row and not above.filled:
            return True
        above = above.parent
    return False
