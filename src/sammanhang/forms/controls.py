"""Which control a question is asked with, and what stands in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from sammanhang.kernel.i18n import _

from .answers import OTHER, listed
from .options import SHOWN, Option, key_of, search
from .questionnaire import Item, Limit, When
from .tree import Answer, Node, Tree
from .values import same, typed
from .words import Words

# More options than this in a list that folds out, unless the form asks for something else.
MOST_ROWS = 9
_ROWS = ("gtable", "htable", "grid", "table", "inline", "horizontal", "data-controls")
_LINES = {
    "string": "line", "text": "lines", "url": "line", "integer": "number", "decimal": "number", "quantity": "quantity",
    "date": "moment", "dateTime": "moment", "time": "moment", "reference": "line", "attachment": "file",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """An option on the page: what its field holds, its words, safe markup, whether it is chosen, and `alone`
    when nothing else may be chosen with it; `digit` the key that chooses it."""

    key: str
    label: str
    html: Markup
    prefix: str
    chosen: bool
    alone: bool
    digit: str = ""


def control_of(item: Item, node: Node, tree: Tree) -> str:
    """How a question is asked."""
    if not item.question:
        return ""
    if item.read_only or "calculated" in item.expressions:
        return "output"
    if item.type == "boolean":
        return "checks" if item.control == "check-box" else "radio"
    if item.chooses and (item.type != "quantity"):
        return _choosing(item, node, tree)
    if item.control == "slider" and item.type in ("integer", "decimal"):
        return "slider"
    if item.type == "string" and item.control in ("text-area", "textarea"):
        return "lines"
    return _LINES[item.type]


def _choosing(item: Item, node: Node, tree: Tree) -> str:
    options = offered(node, tree)
    if not options:
        return "line"
    looked_for = item.control in ("autocomplete", "lookup", "search")
    if len(options) > SHOWN or (len(options) > MOST_ROWS and looked_for):
        return "search" if item.control != "drop-down" else "select"
    if item.repeats:
        return "checks"
    if item.control == "drop-down" or (
        len(options) > MOST_ROWS and item.control not in ("radio-button", "radio")
    ):
        return "select"
    return "radio"


def layout_of(item: Item, node: Node) -> str:
    """How a group is laid out."""
    if item.type != "group":
        return "plain"
    if item.control in _ROWS:
        return "row"
    if item.control in ("tab-container", "tab", "page", "header", "footer"):
        return "section"
    return "plain"


def offered(node: Node, tree: Tree) -> list[Option]:
    """What can be chosen now: the item's options, or what an expression offers, less what is turned off."""
    told = node.offered or {}
    options: list[Option]
    if "options" in told:
        options = [
            Option(key_of(a.kind, a.value), a.kind, a.value, Words(typed(node.item.type, a.value)))
            for a in told["options"]
        ]
        options = list({o.key: o for o in options}.values())
    else:
        options = list(listed(node.item, tree.form))
    gone = told.get("gone", ())
    return [o for o in options if not any(same(o.value, g) for g in gone)] if gone else options


def choices_of(node: Node, tree: Tree, control: str, searched: str | None) -> tuple[Choice, ...]:
    """The options shown: all, or what is chosen and what a search found."""
    item = node.item
    chosen = [
        a for a in node.answers if a.value is not None and not (item.opens and a.kind == "String")
    ]
    if item.type == "boolean" and control in ("radio", "checks"):
        yes = [(True, _("Ja")), (False, _("Nej"))][: 1 if control == "checks" else 2]
        return _keyed([Choice(typed("boolean", v), word, Markup(), "", any(a.value is v for a in chosen), False) for v, word in yes])  # fmt: skip
    if control == "file":
        return tuple(_file(a, tree) for a in chosen)
    if control not in ("radio", "checks", "select", "search"):
        return ()
    options = offered(node, tree)
    if control == "search":
        found = search(tuple(options), searched) if searched else []
        mine = [o for o in options if _is_chosen(o, chosen)]
        options = [*mine, *(o for o in found if o not in mine)]
    made = [
        Choice(o.key, str(o.words), o.words.html, o.prefix, _is_chosen(o, chosen), o.exclusive)
        for o in options
    ]
    return _keyed([*made, *_not_listed(node, options, chosen)])


def _file(a: Answer, tree: Tree) -> Choice:
    """A file that is attached: its title, which leads to it where it lies in the record."""
    url, title = (
        str(a.value.get("url") or ""),
        str(a.value.get("title") or a.value.get("url") or _("Fil")),
    )
    subject = str((tree.head.get("subject") or {}).get("reference") or "")
    link = Markup()
    if url.startswith("Binary/") and subject.startswith("Patient/"):
        address = (
            f"/patients/{subject.removeprefix('Patient/')}/files/{url.removeprefix('Binary/')}"
        )
        link = Markup('<a href="{}">{}</a>').format(address, title)
    return Choice(url or title, title, link, "", True, False)


def _keyed(choices: list[Choice]) -> tuple[Choice, ...]:
    """With the key that chooses each: the digit before it when all have one, so that no key means two things."""
    digits = [c.prefix.rstrip(".) ") for c in choices]
    own = all(len(d) == 1 and d.isdigit() for d in digits) and len(set(digits)) == len(digits)
    if not own and any(d.isdigit() for d in digits):
        return tuple(choices)
    keys = digits if own else [str(n) if n < 10 else "" for n in range(1, len(choices) + 1)]
    return tuple(replace(c, digit=k) for c, k in zip(choices, keys, strict=True))


def _is_chosen(o: Option, chosen: list[Answer]) -> bool:
    return any(same(o.value, a.value) for a in chosen)


def _not_listed(node: Node, options: list[Option], chosen: list[Answer]) -> list[Choice]:
    """Answers that are no longer, or never were, among the options: they are shown, so that nothing is lost."""
    made = []
    for a in chosen:
        if not any(same(o.value, a.value) for o in options):
            made.append(
                Choice(
                    key_of(a.kind, a.value),
                    typed(node.item.type, a.value),
                    Markup(),
                    "",
                    True,
                    False,
                )
            )
    return made


def typed_of(node: Node, control: str) -> tuple[str, ...]:
    """What stands in its text fields, with one more that is empty where more answers may be given."""
    item = node.item
    if control in ("radio", "checks", "select"):
        return tuple(a.typed for a in node.answers if a.typed is not None)
    if control == "search":
        return tuple(a.typed for a in node.answers if a.typed is not None) or ("",)
    texts = [
        a.typed if a.typed is not None else _said(item, a.value) for a in node.answers if a.there
    ]
    if control in ("output", "file"):
        return tuple(texts)
    if not texts or (
        item.repeats and not item.items and (item.occurs[1] is None or len(texts) < item.occurs[1])
    ):
        texts.append("")
    return tuple(texts)


def _said(item: Item, value: Any) -> str:
    text = typed(item.type, value)
    if item.type == "boolean" and text:
        return _("Ja") if value else _("Nej")
    return text


def units_of(item: Item) -> tuple[tuple[str, str], ...]:
    """Units that can be chosen: key and words; empty when there is one or none."""
    if len(item.units) < 2:
        return ()
    return tuple(
        (key_of("Coding", u), str(u.get("display") or u.get("code") or "")) for u in item.units
    )


def chosen_units(node: Node) -> tuple[str, ...]:
    """For each quantity, the key of its unit, or the unit as it was written."""
    made = []
    for a in node.answers:
        if node.item.type != "quantity" or not a.there:
            continue
        value = a.value if isinstance(a.value, dict) else {}
        listed_ = next((u for u in node.item.units if (u.get("code") and u.get("code") == value.get("code")) or (u.get("display") and u.get("display") == value.get("unit"))), None)  # fmt: skip
        made.append(key_of("Coding", listed_) if listed_ is not None and len(node.item.units) > 1 and not free_unit(node.item) else str(value.get("unit") or ""))  # fmt: skip
    return tuple(made)


def free_unit(item: Item) -> bool:
    """Whether the unit is written in words: none is said, or others than the listed may be."""
    return item.type == "quantity" and (
        not item.units or item.open_unit in ("optionsOrString", "optionsOrType")
    )


def lead_of(item: Item) -> str:
    """The one unit beside a number, or what a display beside it says."""
    beside = next((str(w) for kind, w in item.beside if kind == "unit"), "")
    if beside or len(item.units) != 1 or free_unit(item):
        return beside
    return str(item.units[0].get("display") or item.units[0].get("code") or "")


def edge(limit: Limit | None) -> str:
    """A fixed limit as the page's script reads it; empty without."""
    if limit is None or limit.expression is not None or limit.value is None:
        return ""
    value = limit.value.get("value") if isinstance(limit.value, dict) else limit.value
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def hint_of(item: Item) -> str:
    """The form an answer has, in words: what limits say, where the form itself says nothing."""
    if item.entry_format:
        return item.entry_format
    if item.type in ("date", "dateTime", "time") and not item.chooses:
        return {"date": _("ÅÅÅÅ-MM-DD"), "dateTime": _("ÅÅÅÅ-MM-DD TT:MM"), "time": _("TT:MM")}[
            item.type
        ]
    low, high = _limit(item.low), _limit(item.high)
    if item.control == "slider" or item.chooses:
        return ""
    if low and high:
        return _("%(low)s–%(high)s") % {"low": low, "high": high}
    if low or high:
        return _("minst %(low)s") % {"low": low} if low else _("högst %(high)s") % {"high": high}
    return ""


def _limit(limit: Limit | None) -> str:
    if limit is None or limit.expression is not None or limit.value is None:
        return ""
    value = limit.value
    if isinstance(value, dict):
        return f"{typed('decimal', value.get('value'))} {value.get('unit') or value.get('code') or ''}".strip()
    return typed("decimal" if not isinstance(value, str) else "date", value)


def held_against(when: When, near: list[Node]) -> dict[str, Any] | None:
    """What the page's script holds answers against: a key, a number or yes and no; None when it cannot tell."""
    if any(
        n.item.hidden or n.item.read_only or n.item.expressions.keys() & {"calculated"}
        for n in near
    ):
        return None
    if any(n.item.type in ("quantity", "dateTime", "time", "date", "attachment") for n in near) and when.operator != "exists":  # fmt: skip
        return None
    if when.operator == "exists":
        return {"value": when.value is not False}
    if when.kind in ("Integer", "Decimal"):
        return {"value": float(when.value), "number": True}
    if when.operator not in ("=", "!="):
        return None
    if when.kind == "Coding":
        for n in near:  # the key its option has, whether or not the condition names the system
            for o in n.item.options:
                if same(o.value, when.value):
                    return {"value": o.key}
        return {"value": key_of("Coding", when.value)}
    if when.kind == "Boolean":
        return {"value": "true" if when.value else "false"}
    return {"value": str(when.value)} if when.kind == "String" else None


__all__ = ["OTHER", "Choice", "control_of", "layout_of", "offered"]
