"""From the fields of a page to a response: every answer read as its question's type, what cannot be read kept as typed.

Names: `form.<linkId>`, the same name several times for several answers, `form.<group>[0].<linkId>` in rows.
Beside an answer stand `<name>.unit`, `<name>.other` (words of one's own) and `<name>.search` (looking for a code).
`form.~do` is a button of the form itself, `form.~kept` what the page shows and does not ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from . import urls, values
from .calculating import settle
from .options import Option, chosen_value, key_of
from .questionnaire import VALUE, Form, Item
from .tree import PREFIX, Answer, Node, Tree, answer_of, fill_initial, structure, tree_of

OTHER = "~other"
DO, KEPT = "~do", "~kept"
# Rows one form may have of one thing; a page with more is somebody playing.
MOST_ROWS = 100
_REFERENCE = re.compile(r"^[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$")
Fields = Iterable[tuple[str, str]]


def read(
    form: Form, fields: Fields, prefix: str = PREFIX, *, before: Any = None, contexts: Any = None
) -> Any:
    """The QuestionnaireResponse that these fields make; `before` is the one the page showed.

    Buttons of the form itself (add a row, take one away, clear) have been done; calculated values are there.
    """
    return structure(
        read_tree(form, fields, prefix, before=before, contexts=contexts).element(
            enabled_only=False
        )
    )


def read_tree(
    form: Form, fields: Fields, prefix: str = PREFIX, *, before: Any = None, contexts: Any = None
) -> Tree:
    """As `read`, as a tree with what is enabled and calculated settled."""
    given: dict[str, list[str]] = {}
    for name, value in fields:
        if name.startswith(prefix):
            given.setdefault(name, []).append(value)
    was = tree_of(form, before, prefix)
    tree = Tree(form, [], {**was.head}, prefix=prefix)
    tree.head.setdefault("status", "in-progress")
    tree.head["questionnaire"] = form.canonical
    kept = _kept(given.get(f"{prefix}{KEPT}", [""])[-1])
    old = {n.name: n for n in was.all()}
    tree.nodes = _nodes(form.items, None, prefix, given, old, kept, form)
    tree.indexed()
    asked = acted(given_pairs(given), prefix)
    if asked is not None:
        tree = _do(tree, asked)
    return settle(tree, contexts)


def given_pairs(given: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(n, v) for n, some in given.items() for v in some]


def acted(fields: Fields, prefix: str = PREFIX) -> tuple[str, str] | None:
    """The button of the form that was pressed, (`add`, `form.group`), (`search`, `form.x`) …; None for none.

    A page that gets one shows itself again instead of sending anything.
    """
    told = next((v for n, v in fields if n == f"{prefix}{DO}" and ":" in v), None)
    if told is None:
        return None
    verb, _sign, name = told.partition(":")
    return verb, name


def _kept(text: str) -> dict[str, list[Answer]]:
    try:
        found = msgspec.json.decode(text or "{}")
        return {str(n): [answer_of(a) for a in some] for n, some in found.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def keep(nodes: Iterable[Node]) -> str:
    """What `form.~kept` holds: answers the page shows but has no field for, and where prefilled ones came from."""
    made: dict[str, Any] = {}
    for n in nodes:
        some = []
        for a in n.answers:
            if a.value is None or not (n.item.hidden or n.item.read_only or a.source or "calculated" in n.item.expressions or n.item.type == "attachment"):  # fmt: skip
                continue
            told: dict[str, Any] = {f"value{a.kind}": a.value}
            some.append({**told, "extension": [a.source]} if a.source else told)
        if some:
            made[n.name] = some
    return msgspec.json.encode(made, enc_hook=str).decode() if made else ""


def _nodes(
    items: tuple[Item, ...], parent: Node | None, prefix: str, given: dict[str, list[str]],
    old: dict[str, Node], kept: dict[str, list[Answer]], form: Form,
) -> list[Node]:  # fmt: skip
    made = []
    for item in items:
        names = _rows(item, prefix, given) if item.many else [(0, prefix + item.link)]
        for row, (_place, name) in enumerate(names):
            node = Node(item, name, parent, row)
            if item.question:
                node.answers = _answers(node, given, old.get(name), kept.get(name, []), form)
            inner = f"{name}." if item.many else prefix
            node.nodes = _nodes(item.items, node, inner, given, old, kept, form)
            made.append(node)
    return made


def _rows(item: Item, prefix: str, given: dict[str, list[str]]) -> list[tuple[int, str]]:
    """The rows of an item that the fields show, in order; at least as many as there must be."""
    start = f"{prefix}{item.link}["
    found = {
        int(number)
        for name in given
        if name.startswith(start) and (number := name[len(start) :].partition("]")[0]).isdigit()
        if int(number) < MOST_ROWS
    }
    rows = sorted(found)
    while len(rows) < max(1, item.occurs[0] or 1):
        rows.append((rows[-1] + 1) if rows else 0)
    return [(n, f"{start}{n}]") for n in rows]


def _answers(
    node: Node, given: dict[str, list[str]], old: Node | None, kept: list[Answer], form: Form
) -> list[Answer]:
    item = node.item
    if item.hidden or item.read_only:
        return list(old.answers) if old is not None and old.answered else kept
    made = [a for a in _read(node, given, form, [*(old.answers if old else ()), *kept]) if a.there]
    known = [*(old.answers if old is not None else ()), *kept]
    for (
        a
    ) in made:  # what was prefilled remembers what the record said, also when it was changed here
        a.source = next(
            (k.source for k in known if k.source and ((not item.many and not item.repeats) or values.same(k.value, a.value))),
            None,
        )  # fmt: skip
    return made


def _read(node: Node, given: dict[str, list[str]], form: Form, known: list[Answer]) -> list[Answer]:
    item = node.item
    told = [t for t in given.get(node.name, []) if t.strip()]
    if item.type == "attachment":
        return attachments(told, known)
    if item.type == "quantity":
        return _quantities(item, node.name, told, given)
    if item.chooses:
        return _chosen(item, node.name, told, given, form, known)
    made = []
    for text in told if item.repeats else told[-1:]:
        made.append(one(item, text))
    return made


def one(item: Item, text: str) -> Answer:
    """One typed text as an answer of an item."""
    text = text.replace("\r\n", "\n").strip()
    try:
        return Answer(VALUE[item.type], values.read(item.type, text))
    except values.Unreadable as wrong:
        return Answer(typed=text, wrong=wrong)


def attachments(told: list[str], known: list[Answer]) -> list[Answer]:
    """Those of the known files that are still on the page, by address or title."""
    return [
        a
        for a in known
        if isinstance(a.value, dict) and (a.value.get("url") or a.value.get("title")) in told
    ]


def _quantities(
    item: Item, name: str, told: list[str], given: dict[str, list[str]]
) -> list[Answer]:
    chosen = [u.strip() for u in given.get(f"{name}.unit", [])]
    made = []
    for n, text in enumerate(told):
        unit = chosen[n] if n < len(chosen) else chosen[-1] if chosen else ""
        try:
            number = values.read("quantity", text)
        except values.Unreadable as wrong:
            made.append(
                Answer(typed=f"{text} {unit}".strip() if item.open_unit else text, wrong=wrong)
            )
            continue
        made.append(Answer("Quantity", {"value": number, **_unit(item, unit)}))
    return made


def _unit(item: Item, chosen: str) -> dict[str, Any]:
    for u in item.units:
        named_so = chosen in (key_of("Coding", u), u.get("display"), u.get("code"))
        if (chosen and named_so) or (len(item.units) == 1 and not chosen):
            named = {
                "unit": u.get("display") or u.get("code"),
                "system": u.get("system"),
                "code": u.get("code"),
            }
            if not named["code"]:
                named["system"] = None
            return {k: v for k, v in named.items() if v}
    return {"unit": chosen} if chosen and (item.open_unit or not item.units) else {}


def _chosen(
    item: Item, name: str, told: list[str], given: dict[str, list[str]], form: Form, known: list[Answer]
) -> list[Answer]:  # fmt: skip
    """What was chosen among options, and words of one's own where those may be."""
    own = [t.strip() for t in given.get(f"{name}.other", []) if t.strip()]
    looked = [t.strip() for t in given.get(f"{name}.search", []) if t.strip()]
    made = [_choice(item, key, form, known) for key in told if key != OTHER]
    if not item.repeats:
        made = made[-1:]
    if item.opens and own and (OTHER in told or item.repeats or not made):
        made = [*(made if item.repeats else ()), *(Answer("String", t) for t in own[:MOST_ROWS])]
    elif looked and not made and looked != ["*"]:
        made = [Answer("String", looked[-1])] if item.opens else [Answer(typed=looked[-1])]
    seen: list[Answer] = []
    for a in made:
        if not any(a.value is not None and values.same(s.value, a.value) for s in seen):
            seen.append(a)
    return seen


def _choice(item: Item, key: str, form: Form, known: list[Answer]) -> Answer:
    for o in listed(item, form):
        if o.key == key:
            return Answer(o.kind, chosen_value(o))
    for a in known:  # what an expression offered, or was prefilled
        if a.value is not None and key_of(a.kind, a.value) == key:
            return Answer(a.kind, a.value)
    if item.type == "reference":
        return Answer(
            "Reference", {"reference": key} if _REFERENCE.match(key) else {"display": key}
        )
    unlisted = item.value_set and form.sets.expand(item.value_set) is None
    offered = {"answer", "candidate"} & set(item.expressions)
    if unlisted or offered or not (item.options or item.value_set):
        if item.type not in ("choice", "open-choice"):
            return one(item, key)
        system, sign, code = key.rpartition("|")
        if sign and code:
            return Answer("Coding", {"system": system, "code": code} if system else {"code": code})
        return Answer("String", key) if item.opens else Answer("Coding", {"display": key})
    return Answer(typed=key)


def listed(item: Item, form: Form) -> Sequence[Option]:
    """Everything that may be chosen, also where it is too much to show at once."""
    if item.options:
        return item.options
    return (form.sets.expand(item.value_set) if item.value_set else None) or ()


def _do(tree: Tree, asked: tuple[str, str]) -> Tree:
    """Adds a row, takes one away, or clears an answer; anything else is left as it is."""
    verb, name = asked
    for node in tree.all():
        beside = node.parent.nodes if node.parent is not None else tree.nodes
        if verb == "add" and node.item.many and node.name.rpartition("[")[0] == name:
            rows = [n for n in beside if n.item is node.item]
            if len(rows) < min(node.item.occurs[1] or MOST_ROWS, MOST_ROWS):
                return _with_row(tree, node, beside)
            return tree
        if node.name != name:
            continue
        if verb == "remove":
            rows = [n for n in beside if n.item is node.item]
            if len(rows) > 1:
                beside.remove(node)
            else:
                _empty(node)
            return tree_of(tree.form, tree.element(enabled_only=False), tree.prefix)
        if verb == "clear":
            _empty(node)
            return tree
    return tree


def _with_row(tree: Tree, node: Node, beside: list[Node]) -> Tree:
    """A new row last; rows that are still empty stay."""
    rows = [n for n in beside if n.item is node.item]
    last = rows[-1]
    fresh = tree_of(tree.form, None, tree.prefix).first(node.item.link)
    assert fresh is not None
    name = f"{last.name.rpartition('[')[0]}[{last.row + 1}]"
    _rename(fresh, fresh.name, name)
    fresh.parent, fresh.row = last.parent, last.row + 1
    fill_initial([fresh])
    beside.insert(beside.index(last) + 1, fresh)
    return tree.indexed()


def _rename(node: Node, before: str, after: str) -> None:
    for n in node.all():
        n.name = after + n.name.removeprefix(before)


def _empty(node: Node) -> None:
    for n in node.all():
        n.answers = []


__all__ = ["DO", "KEPT", "OTHER", "acted", "keep", "listed", "read", "read_tree", "urls"]
