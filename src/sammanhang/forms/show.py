"""A response as what a page shows: every field with its label, control, options, faults and source.

`view` gives a `FormView`; the template `forms/form.html` turns it into HTML that works without JavaScript.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from sammanhang.kernel.errors import Issue
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show as looks

from . import controls
from .answers import KEPT, keep
from .calculating import settle
from .contexts import LABELS
from .controls import Choice
from .expressions import Contexts
from .questionnaire import Form, Item
from .scoring import Score, bands_of, left, scores
from .sources import Source, source_of
from .tree import PREFIX, Node, Tree, tree_of
from .values import typed


@dataclass(frozen=True, slots=True)
class FieldView:
    """One item on the page.

    name, id   of its field, and of the element that holds it
    kind       group, text (a display) or question
    control    how it is asked: radio, checks, select, search, line, lines, number, slider, file, output …
    layout     of a group: plain, row (a table's line), inline, section
    label      in words; `html` the same with markup, safe; `heading` its level when it is a group
    helps      said beside it: kind, words, safe markup
    enabled    whether it is asked, when what stands above it is; `when` what the page's script needs to know to tell at once
    choices    what can be chosen; `own` and `own_label` words of one's own, where those may be
    typed      what stands in its fields; `units` and `unit` beside
    hint       limits and forms in words
    faults     what is wrong; `source` where a prefilled answer came from
    row, rows  of what repeats: this one (from 1), and how many; `add` and `remove` the buttons' values
    fields     what stands below it
    """

    name: str
    id: str
    kind: str
    control: str
    layout: str
    prefix: str
    label: str
    html: Markup
    heading: int
    helps: tuple[tuple[str, str, Markup], ...]
    support: tuple[str, ...]
    enabled: bool
    when: str
    required: bool
    repeats: bool
    choices: tuple[Choice, ...]
    own: tuple[str, ...]
    own_label: str
    horizontal: bool
    typed: tuple[str, ...]
    units: tuple[tuple[str, str], ...]
    unit: tuple[str, ...]
    free_unit: bool
    lead: str
    low: str
    high: str
    step: str
    hint: str
    max_length: int | None
    faults: tuple[str, ...]
    source: str
    clear: bool
    row: int
    rows: int
    add: str
    remove: str
    link: str
    fields: tuple[FieldView, ...] = ()

    @property
    def inline_hint(self) -> str:
        """ids of what describes the field, for aria-describedby."""
        return " ".join(
            f"{self.id}-{part}" for part, there in (("help", self.helps or self.hint), ("source", self.source), ("faults", self.faults)) if there
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScoreView:
    """A score as one goes: its name, value, the highest possible, its band in words, and how serious that is."""

    id: str
    name: str
    value: str
    highest: str
    said: str
    level: str
    action: str
    missing: int


@dataclass(frozen=True, slots=True)
class FormView:
    """A form on a page.

    form      what it is called in addresses
    fields    its items
    kept      what the page shows and has no field for
    scores    scores as one goes
    left      what must be answered and is not: label and id
    wrong     faults: label, id and sentence
    save      address drafts are saved at; empty when they are not
    saved     when it was last saved, in words
    search    address options are looked for at
    marks     hidden fields of the draft: name and value
    files     whether files may come with it: the page's <form> then says enctype="multipart/form-data"
    """

    form: str
    title: str
    description: str
    copyright: str
    prefix: str
    fields: tuple[FieldView, ...]
    kept: str
    scores: tuple[ScoreView, ...]
    left: tuple[tuple[str, str], ...]
    wrong: tuple[tuple[str, str, str], ...]
    save: str = ""
    saved: str = ""
    search: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    files: bool = False


@dataclass
class _Look:
    """What showing a node needs to know."""

    tree: Tree
    faults: dict[str, list[Issue]]
    sources: Mapping[str, Source]
    searched: Mapping[str, str]
    when: dict[str, str] = field(default_factory=dict)


def view(
    form: Form, response: Any, *, sources: Mapping[str, Source] | None = None,
    faults: Iterable[Issue] = (), prefix: str = PREFIX, contexts: Contexts | None = None,
    searched: Mapping[str, str] | None = None, save: str = "", saved: str = "",
    marks: Sequence[tuple[str, str]] = (),
) -> FormView:  # fmt: skip
    """The page's view of a response. `sources` by linkId, beside those the answers carry themselves;
    `searched` what was looked for in which field, without a script."""
    tree = settle(tree_of(form, response, prefix), contexts)
    return view_tree(
        tree, sources=sources, faults=faults, searched=searched, save=save, saved=saved, marks=marks
    )


def view_tree(
    tree: Tree, *, sources: Mapping[str, Source] | None = None, faults: Iterable[Issue] = (),
    searched: Mapping[str, str] | None = None, save: str = "", saved: str = "",
    marks: Sequence[tuple[str, str]] = (),
) -> FormView:  # fmt: skip
    """As `view`, of a tree that is settled."""
    by: dict[str, list[Issue]] = {}
    for f in faults:
        by.setdefault(f.expression, []).append(f)
    look = _Look(tree, by, sources or {}, searched or {})
    names = {n.name: n for n in tree.all()}
    wrong = []
    for place, some in by.items():
        node = names.get(tree.prefix + place)
        for f in some:
            label = label_of(node) if node is not None else place
            wrong.append((label, _id(node.name) if node is not None else "", either(f.sv, f.en)))
    form = tree.form
    return FormView(
        form=form.name or form.url, title=str(form.title), description=str(form.description), copyright=form.copyright,
        prefix=tree.prefix, fields=_fields(tree.nodes, look, 3), kept=keep(tree.all()),
        scores=tuple(_score(s, tree) for s in scores(tree)),
        left=tuple((label_of(n), _id(n.name)) for n in left(tree)), wrong=tuple(wrong), save=save, saved=saved,
        files=any(i.type == "attachment" for i in form.index.values()),
        search=f"/forms/{form.name}/options" if form.name else "", marks=tuple(marks),
    )  # fmt: skip


def _id(name: str) -> str:
    """A field's name as the id of an element."""
    return "f-" + re.sub(r"[^A-Za-z0-9-]", lambda m: f"_{ord(m[0]):x}_", name)


def label_of(node: Node) -> str:
    """What an item is called in a list of what is missing or wrong."""
    item = node.item
    text = str(item.short) or node.text or str(item.text)
    if not text and node.parent is not None:
        text = label_of(node.parent)
    return (text or item.link).rstrip(":")


def _fields(nodes: list[Node], look: _Look, heading: int) -> tuple[FieldView, ...]:
    made = []
    for node in nodes:
        if node.item.hidden or node.item.usage == "capture-none" or bands_of(node.item):
            continue
        rows = [n for n in nodes if n.item is node.item] if node.item.many else [node]
        made.append(_field(node, rows, look, heading))
    return tuple(made)


def _field(node: Node, rows: list[Node], look: _Look, heading: int) -> FieldView:
    item, tree = node.item, look.tree
    control = controls.control_of(item, node, tree)
    faults = look.faults.get(node.name.removeprefix(tree.prefix), [])
    last = rows[-1] is node
    most = item.occurs[1]
    own = tuple(str(a.value) for a in node.answers if a.kind == "String") if item.opens else ()
    source = _source(node, look)
    can_add = item.many and last and (most is None or len(rows) < most)
    return FieldView(
        name=node.name, id=_id(node.name),
        kind="group" if item.type == "group" else "text" if item.type == "display" else "question",
        control=control, layout=controls.layout_of(item, node), prefix=str(item.prefix),
        label=node.text or str(item.text), html=Markup() if node.text else item.text.html, heading=min(heading, 6),
        helps=tuple((kind, str(w), w.html) for kind, w in item.beside if kind not in ("unit",)), support=item.support,
        enabled=node.met, when=_when(node, tree), required=node.required, repeats=item.repeats,
        choices=controls.choices_of(node, tree, control, look.searched.get(node.name)),
        own=own, own_label=item.open_label or (_("Annat") if item.opens else ""), horizontal=item.horizontal,
        typed=controls.typed_of(node, control), units=controls.units_of(item),
        unit=controls.chosen_units(node), free_unit=controls.free_unit(item), lead=controls.lead_of(item),
        low=controls.edge(item.low), high=controls.edge(item.high),
        step=typed("decimal", item.step).replace(",", ".") if item.step is not None else "",
        hint=controls.hint_of(item), max_length=item.max_length,
        faults=tuple(dict.fromkeys(either(f.sv, f.en) for f in faults)), source=source,
        clear=control == "radio" and node.answered, row=node.row + 1 if item.many else 0, rows=len(rows),
        add=f"add:{node.name.rpartition('[')[0]}" if can_add else "",
        remove=f"remove:{node.name}" if item.many and (len(rows) > 1 or node.filled) else "", link=item.link,
        fields=_fields(node.nodes, look, heading + 1),
    )  # fmt: skip


def _source(node: Node, look: _Look) -> str:
    """Where prefilled answers came from, in words; that one was changed here, when it was."""
    found = [s for a in node.answers if (s := source_of(a.source)) is not None]
    if not found and node.item.link in look.sources:
        found = [look.sources[node.item.link]]
    if not found or not node.answered:
        return ""
    first = found[0]
    if len(found) == 1 and first.was not in ("", "–") and not node.item.repeats:
        now = next(
            (
                typed(node.item.type, a.value) if a.value is not None else a.typed
                for a in node.answers
            ),
            "",
        )
        if now != first.was:
            where = _where(first)
            if where:
                return _("Ändrat här. Journalen säger %(was)s (%(where)s).") % {
                    "was": first.was,
                    "where": where,
                }
            return _("Ändrat här. Journalen säger %(was)s.") % {"was": first.was}
    where = "; ".join(dict.fromkeys(_where(s) for s in found[:4]))
    return _("Från journalen: %(where)s") % {"where": where} if where else _("Från journalen")


def _where(s: Source) -> str:
    where = _(LABELS[s.where]) if s.where in LABELS else s.where
    return ", ".join(t for t in (s.what, looks.plain_day(s.at) if s.at else "", where) if t)


def _score(s: Score, tree: Tree) -> ScoreView:
    node = tree.first(s.item.link)
    assert node is not None
    if s.value is None:
        said, level, action = _("Ofullständig"), "none", ""
    elif s.band is None:
        said, level, action = "", "ok", ""
    else:
        said, level, action = str(s.band.text), s.band.level, str(s.band.action)
    return ScoreView(_id(node.name) + "-score", str(s.item.short) or str(s.item.text), s.text, s.highest, said, level, action, s.missing)  # fmt: skip


def _when(node: Node, tree: Tree) -> str:
    """The item's plain conditions for the page's script; empty where only the server can tell."""
    item = node.item
    if not item.when or "enable" in item.expressions:
        return ""
    tests = []
    for w in item.when:
        near = tree.near(node, w.question) if w.question in tree.by_link else []
        held = controls.held_against(w, near)
        if held is None:
            return ""
        tests.append({"names": [n.name for n in near], "op": w.operator, **held})
    return json.dumps({"any": item.behavior == "any", "tests": tests}, ensure_ascii=False)


def fields_of(item: Item) -> int:
    """How many items stand in and below one."""
    return 1 + sum(fields_of(i) for i in item.items)


__all__ = ["KEPT", "FieldView", "FormView", "ScoreView", "label_of", "view", "view_tree"]
