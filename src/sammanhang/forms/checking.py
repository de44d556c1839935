"""The one check of a response against its form: for the page, for what is signed, and for what comes over the API.

Each fault names the item (`Issue.expression`: its linkId, with the row before it where it stands in one) and says
in Swedish and English what to do. What is not asked is not checked, unless `strict` asks for that too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sammanhang.kernel.errors import Issue

from .answers import listed
from .calculating import limit_of, settle
from .expressions import Contexts, Evaluator
from .questionnaire import VALUE, Form
from .tree import Node, Tree, tree_of
from .values import Unreadable, compare, read, same

_KINDS = {
    "text": {"String"}, "open-choice": {"Coding", "String"}, "decimal": {"Decimal", "Integer"},
    "date": {"Date"}, "dateTime": {"DateTime", "Date"}, "url": {"Uri"},
}  # fmt: skip
# A hostile pattern must not hold the server: longer patterns and texts are not tried.
MOST_PATTERN, MOST_TEXT = 500, 10_000


def check(
    form: Form, response: Any, *, contexts: Contexts | None = None, strict: bool = False
) -> list[Issue]:
    """Every fault of a response (a structure or plain values), in the order of the form.

    `strict` also finds what the form does not ask for: answers to questions whose conditions are not met.
    """
    return check_tree(settle(tree_of(form, response), contexts), contexts, strict=strict)


def check_tree(
    tree: Tree, contexts: Contexts | None = None, *, strict: bool = False
) -> list[Issue]:
    """As `check`, of a tree that is settled."""
    form = tree.form
    evaluator = Evaluator(tree, contexts) if _asks(form) else None
    faults = [
        Issue(
            "structure", link, "Frågan finns inte i formuläret.", "The form has no such question."
        )
        for link in tree.strangers
    ]
    for node in tree.all():
        if node.enabled:
            faults += _node(node, tree, evaluator)
        elif strict and node.filled and (node.parent is None or node.parent.enabled):
            faults.append(_issue(node, tree, "business-rule", "Frågan ska inte besvaras: dess villkor är inte uppfyllt.", "The question is not to be answered: its condition is not met."))  # fmt: skip
    faults += _rows(tree)
    if evaluator is not None:
        faults += _constraints(tree, evaluator)
    return faults


def _asks(form: Form) -> bool:
    return bool(form.constraints) or any(
        i.constraints or (i.low and i.low.expression) or (i.high and i.high.expression)
        for i in form.index.values()
    )


def _issue(node: Node, tree: Tree, code: str, sv: str, en: str, severity: str = "error") -> Issue:
    return Issue(code, node.name.removeprefix(tree.prefix), sv, en, severity)


def _node(node: Node, tree: Tree, evaluator: Evaluator | None) -> Iterator[Issue]:
    item = node.item
    if item.type == "display":
        if node.answered:
            yield _issue(
                node, tree, "structure", "En text kan inte besvaras.", "A text cannot be answered."
            )
        return
    if node.required and not node.filled and not (item.many and node.row):
        yield _required(node, tree)
        return
    if item.type == "group":
        if node.answered:
            yield _issue(
                node,
                tree,
                "structure",
                "En grupp har inga egna svar.",
                "A group has no answers of its own.",
            )
        return
    yield from _count(node, tree)
    for a in node.answers:
        if a.value is None:
            wrong = a.wrong or _why(node, a.typed or "")
            yield _issue(node, tree, "value", wrong.sv, wrong.en)
        elif a.kind not in _KINDS.get(item.type, {VALUE[item.type]}) and not _listed_kind(
            node, a.kind
        ):
            yield _issue(node, tree, "structure", f"Svaret ska vara av typen {VALUE[item.type]}, inte {a.kind}.", f"The answer is to be a {VALUE[item.type]}, not a {a.kind}.")  # fmt: skip
        else:
            yield from _value(node, tree, a.kind, a.value, evaluator)


def _required(node: Node, tree: Tree) -> Issue:
    if node.item.type == "group":
        return _issue(node, tree, "required", "Minst en fråga här behöver ett svar.", "At least one question here needs an answer.")  # fmt: skip
    if node.item.chooses or node.item.type == "boolean":
        return _issue(node, tree, "required", "Välj ett svar.", "Choose an answer.")
    return _issue(node, tree, "required", "Fyll i ett svar.", "Fill in an answer.")


def _listed_kind(node: Node, kind: str) -> bool:
    return any(o.kind == kind for o in node.item.options)


def _why(node: Node, typed: str) -> Unreadable:
    """Why a text that was kept as typed is not an answer."""
    if node.item.chooses:
        return Unreadable(f"”{typed}” finns inte bland alternativen. Välj ett av dem.", f"“{typed}” is not among the options. Choose one of them.")  # fmt: skip
    try:
        read(node.item.type, typed)
    except Unreadable as wrong:
        return wrong
    return Unreadable("Svaret kan inte läsas.", "The answer cannot be read.")


def _count(node: Node, tree: Tree) -> Iterator[Issue]:
    item, n = node.item, len([a for a in node.answers if a.there])
    if item.many:
        return
    low, high = item.occurs
    if n > 1 and not item.repeats:
        yield _issue(
            node,
            tree,
            "structure",
            "Frågan har bara ett svar.",
            "The question has one answer only.",
        )
    if (low and 0 < n < low) or (low and not n and node.required):
        yield _issue(
            node, tree, "required", f"Ge minst {low} svar.", f"Give at least {low} answers."
        )
    if high is not None and n > high:
        yield _issue(
            node, tree, "structure", f"Ge högst {high} svar.", f"Give at most {high} answers."
        )


def _rows(tree: Tree) -> Iterator[Issue]:
    """Too many or too few rows of what repeats."""
    seen: dict[tuple[int, str], list[Node]] = {}
    for node in tree.all():
        if node.item.many and node.enabled:
            seen.setdefault((id(node.parent), node.item.link), []).append(node)
    for rows in seen.values():
        low, high = rows[0].item.occurs
        filled = [r for r in rows if r.filled]
        if low and filled and len(filled) < low:
            yield _issue(
                rows[-1],
                tree,
                "required",
                f"Fyll i minst {low} rader.",
                f"Fill in at least {low} rows.",
            )
        if high is not None and len(filled) > high:
            yield _issue(
                rows[high], tree, "structure", f"Högst {high} rader.", f"At most {high} rows."
            )


def _value(
    node: Node, tree: Tree, kind: str, value: Any, evaluator: Evaluator | None
) -> Iterator[Issue]:
    item = node.item
    if item.options or item.value_set:
        yield from _among(node, tree, kind, value)
    if isinstance(value, str) and item.type in ("string", "text", "url", "open-choice"):
        yield from _text(node, tree, value)
    if item.max_decimals is not None and _decimals(value) > item.max_decimals:
        d = item.max_decimals
        yield _issue(node, tree, "value", f"Högst {d} decimaler." if d else "Skriv ett helt tal.", f"At most {d} decimals." if d else "Write a whole number.")  # fmt: skip
    if item.type == "quantity" and isinstance(value, dict):
        yield from _unit(node, tree, value)
    for which in ("low", "high"):
        limit = limit_of(node, which, evaluator)
        if limit is None:
            continue
        c = compare(value, limit)
        if c is not None and (c < 0 if which == "low" else c > 0):
            yield _beyond(node, tree, which, limit)
    if item.type == "attachment" and isinstance(value, dict):
        yield from _file(node, tree, value)


def _decimals(value: Any) -> int:
    """How many decimals a number or quantity has, zeros at the end not counted."""
    value = value.get("value") if isinstance(value, dict) else value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return 0
    return max(0, -int(Decimal(value).normalize().as_tuple().exponent))


def _among(node: Node, tree: Tree, kind: str, value: Any) -> Iterator[Issue]:
    item = node.item
    options = listed(item, tree.form)
    if not options and item.value_set:
        return  # a value set that is not here cannot be held against
    if kind == "String" and item.opens:
        return
    chosen = next((o for o in options if same(o.value, value)), None)
    if chosen is None and not (item.opens and isinstance(value, dict) and not value.get("code")):
        yield _issue(
            node, tree, "code-invalid", "Välj ett av alternativen.", "Choose one of the options."
        )
    elif chosen is not None and chosen.exclusive and len(node.values) > 1:
        said = chosen.words.in_language("sv"), chosen.words.in_language("en")
        yield _issue(node, tree, "business-rule", f"”{said[0]}” kan inte väljas tillsammans med något annat.", f"“{said[1]}” cannot be chosen together with anything else.")  # fmt: skip
    gone = (node.offered or {}).get("gone", ())
    if chosen is not None and any(same(g, chosen.value) for g in gone):
        yield _issue(node, tree, "code-invalid", "Det alternativet kan inte väljas nu.", "That option cannot be chosen now.")  # fmt: skip


@lru_cache(maxsize=512)
def pattern(regex: str) -> re.Pattern[str] | None:
    """A form's pattern; None for one that cannot be used."""
    if len(regex) > MOST_PATTERN:
        return None
    try:
        return re.compile(regex)
    except re.error:
        return None


def _text(node: Node, tree: Tree, value: str) -> Iterator[Issue]:
    item = node.item
    if item.max_length is not None and len(value) > item.max_length:
        over = len(value) - item.max_length
        yield _issue(node, tree, "too-long", f"Högst {item.max_length} tecken; texten är {over} för lång.", f"At most {item.max_length} characters; the text is {over} too long.")  # fmt: skip
    if item.min_length is not None and len(value) < item.min_length:
        yield _issue(
            node,
            tree,
            "value",
            f"Minst {item.min_length} tecken.",
            f"At least {item.min_length} characters.",
        )
    if item.regex and len(value) <= MOST_TEXT:
        found = pattern(item.regex)
        if found is not None and not found.fullmatch(value):
            how = item.regex_said
            yield _issue(node, tree, "value", f"Skriv på formen {how}." if how else "Texten har inte den form som ska vara.", f"Write it as {how}." if how else "The text is not of the form asked for.")  # fmt: skip


def _unit(node: Node, tree: Tree, value: dict[str, Any]) -> Iterator[Issue]:
    units = node.item.units
    if value.get("value") is None:
        yield _issue(node, tree, "value", "Skriv ett tal.", "Write a number.")
    if not units or node.item.open_unit:
        return
    mine = value.get("code") or value.get("unit")
    if not mine:
        yield _issue(node, tree, "value", "Välj en enhet.", "Choose a unit.")
    elif not any(mine in (u.get("code"), u.get("display")) for u in units):
        names = ", ".join(str(u.get("display") or u.get("code")) for u in units)
        yield _issue(
            node, tree, "code-invalid", f"Enheten ska vara {names}.", f"The unit is to be {names}."
        )


def _beyond(node: Node, tree: Tree, which: str, limit: Any) -> Issue:
    unit = limit.get("unit") or limit.get("code") or "" if isinstance(limit, dict) else ""
    plain = limit.get("value") if isinstance(limit, dict) else limit
    text = f"{plain:f}" if isinstance(plain, Decimal) else str(plain)
    sv = text.replace(".", ",") if not isinstance(plain, str) else text
    sv, en = f"{sv} {unit}".strip(), f"{text} {unit}".strip()
    if isinstance(plain, str):
        first = which == "low"
        return _issue(node, tree, "value", f"Tidigast {sv}." if first else f"Senast {sv}.", f"Earliest {en}." if first else f"Latest {en}.")  # fmt: skip
    if which == "low":
        return _issue(node, tree, "value", f"Lägst {sv}.", f"At least {en}.")
    return _issue(node, tree, "value", f"Högst {sv}.", f"At most {en}.")


def _file(node: Node, tree: Tree, value: dict[str, Any]) -> Iterator[Issue]:
    item = node.item
    if item.mime and value.get("contentType") and value["contentType"] not in item.mime:
        kinds = ", ".join(item.mime)
        yield _issue(
            node,
            tree,
            "value",
            f"Filen ska vara av typen {kinds}.",
            f"The file is to be of type {kinds}.",
        )
    if (
        item.max_size is not None
        and value.get("size")
        and value["size"] > item.max_size * 1024 * 1024
    ):
        most = f"{item.max_size:f}"
        yield _issue(node, tree, "too-long", f"Filen får vara högst {most.replace('.', ',')} MB.", f"The file may be at most {most} MB.")  # fmt: skip


def _constraints(tree: Tree, evaluator: Evaluator) -> Iterator[Issue]:
    for c in tree.form.constraints:
        if evaluator.true(c.expression, None) is False:
            place = c.requirements[0] if c.requirements else ""
            node = tree.first(place)
            where = node.name.removeprefix(tree.prefix) if node is not None else place
            yield Issue(
                "invariant",
                where,
                c.others.get("sv", c.human),
                c.others.get("en", c.human),
                c.severity,
            )
    for node in tree.all():
        if not node.enabled or not node.filled:
            continue
        for c in node.item.constraints:
            if evaluator.true(c.expression, node) is False:
                yield _issue(node, tree, "invariant", c.others.get("sv", c.human), c.others.get("en", c.human), c.severity)  # fmt: skip
