"""A form: a FHIR Questionnaire read once into items that know their limits, options and expressions.

Everything that differs from item to item is decided here, from the resource and its extensions
(`urls.py`), so that filling in, checking and showing never read an extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from . import urls
from .expressions_of import Constraint, Expression, constraints_of, expressions_of, variables_of
from .options import Option, ValueSets, options_of
from .urls import HL7, SDC, extension, extensions, said, value_of
from .words import Words, words_of

TYPES = (
    "group", "display", "boolean", "decimal", "integer", "date", "dateTime", "time", "string", "text",
    "url", "choice", "open-choice", "attachment", "reference", "quantity",
)  # fmt: skip
# What R5 and the backport call them.
_R5 = {"coding": "choice", "question": "string"}
VALUE = {
    "boolean": "Boolean", "decimal": "Decimal", "integer": "Integer", "date": "Date",
    "dateTime": "DateTime", "time": "Time", "string": "String", "text": "String", "url": "Uri",
    "choice": "Coding", "open-choice": "Coding", "attachment": "Attachment", "reference": "Reference",
    "quantity": "Quantity",
}  # fmt: skip
"""The `value[x]` an answer of each type has; an open choice may also have a String."""
ASIDE = ("help", "prompt", "unit", "lower", "upper", "flyover", "legal")
"""Controls of a display below a question: said beside it, not as a text of its own."""


@dataclass(frozen=True, slots=True)
class When:
    """One condition of `enableWhen`: another question, an operator, and the answer it is held against."""

    question: str
    operator: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Limit:
    """A smallest or largest value: fixed, or an expression that gives it."""

    value: Any = None
    expression: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One item of a form. `path` are the linkIds above it, outermost first.

    control     the code of its itemControl; empty without
    occurs      fewest and most answers (None: any number), when they are said
    units       what a quantity may be in; `unit` the one it is in when there is no choice
    open_unit   how a unit that is not listed may be written: "" not at all, `optionsOrString` or `optionsOrType`
    beside      help, prompt, unit … said beside the question: kind and words
    expressions by kind: calculated, initial, enable, answer, candidate, text, required, readOnly …
    codes       what the question asks, as Coding
    raw         the item as it stands in the resource
    """

    link: str
    type: str
    path: tuple[str, ...]
    text: Words
    prefix: Words
    short: Words
    control: str
    horizontal: bool
    required: bool
    repeats: bool
    read_only: bool
    hidden: bool
    occurs: tuple[int | None, int | None]
    min_length: int | None
    max_length: int | None
    max_decimals: int | None
    max_size: Decimal | None
    mime: tuple[str, ...]
    regex: str
    regex_said: str
    entry_format: str
    low: Limit | None
    high: Limit | None
    step: Decimal | None
    units: tuple[dict[str, Any], ...]
    open_unit: str
    options: tuple[Option, ...]
    value_set: str
    open_label: str
    targets: tuple[str, ...]
    initial: tuple[tuple[str, Any], ...]
    when: tuple[When, ...]
    behavior: str
    protected: bool
    expressions: dict[str, Expression]
    variables: tuple[Expression, ...]
    constraints: tuple[Constraint, ...]
    toggles: tuple[tuple[tuple[Any, ...], Expression], ...]
    beside: tuple[tuple[str, Words], ...]
    support: tuple[str, ...]
    codes: tuple[dict[str, Any], ...]
    usage: str
    weight: Decimal | None
    items: tuple[Item, ...]
    raw: dict[str, Any] = field(repr=False)

    @property
    def question(self) -> bool:
        return self.type not in ("group", "display")

    @property
    def many(self) -> bool:
        """Whether it has rows of its own that are added and taken away: a repeating group, or a repeating
        question with others below it."""
        return self.repeats and (self.type == "group" or bool(self.items))

    @property
    def opens(self) -> bool:
        """Whether an answer may be other words than the options."""
        return self.type == "open-choice"

    @property
    def chooses(self) -> bool:
        """Whether it is answered by choosing among what is listed."""
        return self.type in ("choice", "open-choice", "reference") or bool(
            self.options or self.value_set
        )


@dataclass(frozen=True, eq=False)
class Form:
    """A questionnaire ready to be filled in.

    name       what content calls it; empty for one from elsewhere
    canonical  `url|version`
    items      the outermost items; `index` every item by linkId, `order` in the order of the form
    contexts   launch contexts it declares: name and types
    faults     what is wrong with the resource, in words; an item that is left out is said here
    lacks      extensions it carries that are not supported
    """

    name: str
    url: str
    version: str
    title: Words
    description: Words
    copyright: str
    items: tuple[Item, ...]
    index: dict[str, Item]
    variables: tuple[Expression, ...]
    constraints: tuple[Constraint, ...]
    contexts: tuple[tuple[str, tuple[str, ...]], ...]
    sets: ValueSets
    faults: tuple[str, ...]
    lacks: tuple[str, ...]
    raw: dict[str, Any] = field(repr=False)
    order: dict[str, int] = field(repr=False)

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url

    @property
    def codes(self) -> list[dict[str, Any]]:
        return list(self.raw.get("code") or ())

    def above(self, link: str) -> tuple[Item, ...]:
        """The items that stand above one, outermost first."""
        return tuple(self.index[p] for p in self.index[link].path)


def form_of(questionnaire: dict[str, Any], name: str = "", sets: ValueSets | None = None) -> Form:
    """A Questionnaire as plain JSON values → a form. Never raises for what is odd in it: `Form.faults` says it."""
    faults: list[str] = []
    known = (sets or ValueSets()).within(questionnaire)
    index: dict[str, Item] = {}
    items = _items(questionnaire.get("item"), (), index, known, faults)
    for item in list(index.values()):
        for when in item.when:
            if when.question not in index:
                faults.append(
                    f"{item.link}: enableWhen asks for {when.question}, which is not there"
                )
    return Form(
        name=name,
        url=questionnaire.get("url") or (f"Questionnaire/{questionnaire.get('id', '')}"),
        version=str(questionnaire.get("version") or ""),
        title=words_of(questionnaire, "title"),
        description=words_of(questionnaire, "description"),
        copyright=questionnaire.get("copyright") or "",
        items=items,
        index=index,
        variables=variables_of(questionnaire, faults, ""),
        constraints=constraints_of(questionnaire, faults, ""),
        contexts=_contexts(questionnaire),
        sets=known,
        faults=tuple(faults),
        lacks=tuple(sorted(_unknown(questionnaire))),
        raw=questionnaire,
        order={link: n for n, link in enumerate(index)},
    )


def _items(
    found: Any, path: tuple[str, ...], index: dict[str, Item], sets: ValueSets, faults: list[str]
) -> tuple[Item, ...]:
    made = []
    for raw in found or ():
        link, kind = str(raw.get("linkId") or ""), raw.get("type")
        kind = _R5.get(kind, kind)
        if not link or link in index:
            faults.append(f"{link or '?'}: the linkId is missing or used twice")
            continue
        if kind not in TYPES:
            faults.append(f"{link}: there is no item type {kind}")
            continue
        index[link] = None  # type: ignore[assignment]  # its place in the order, before those below it
        item = index[link] = _item(raw, link, kind, path, index, sets, faults)
        made.append(item)
    return tuple(made)


def _item(
    raw: dict[str, Any], link: str, kind: str, path: tuple[str, ...], index: dict[str, Item],
    sets: ValueSets, faults: list[str],
) -> Item:  # fmt: skip
    control = _control(raw)
    if kind == "choice" and raw.get("answerConstraint") == "optionsOrString":
        kind = "open-choice"
    aside, below = _split(raw.get("item") or (), kind)
    regex = said(raw, HL7 + "regex") or ""
    return Item(
        link=link, type=kind, path=path,
        text=words_of(raw, "text"), prefix=words_of(raw, "prefix"),
        short=_short(raw), control=control,
        horizontal=said(raw, HL7 + "questionnaire-choiceOrientation") == "horizontal",
        required=bool(raw.get("required")), repeats=bool(raw.get("repeats")),
        read_only=bool(raw.get("readOnly")), hidden=bool(said(raw, HL7 + "questionnaire-hidden")),
        occurs=(said(raw, HL7 + "questionnaire-minOccurs"), said(raw, HL7 + "questionnaire-maxOccurs")),
        min_length=said(raw, HL7 + "minLength"), max_length=raw.get("maxLength"),
        max_decimals=said(raw, HL7 + "maxDecimalPlaces"), max_size=said(raw, HL7 + "maxSize"),
        mime=tuple(value_of(e) for e in extensions(raw, HL7 + "mimeType")),
        regex=regex, regex_said=said(raw, HL7 + "entryFormat") or "",
        entry_format=said(raw, HL7 + "entryFormat") or "",
        low=_limit(raw, faults, link, HL7 + "minValue", SDC + "sdc-questionnaire-minQuantity"),
        high=_limit(raw, faults, link, HL7 + "maxValue", SDC + "sdc-questionnaire-maxQuantity"),
        step=_decimal(said(raw, HL7 + "questionnaire-sliderStepValue")),
        units=_units(raw, kind, sets),
        open_unit=said(raw, SDC + "sdc-questionnaire-unitOpen") or "",
        options=options_of(raw, sets), value_set=str(raw.get("answerValueSet") or ""),
        open_label=said(raw, SDC + "sdc-questionnaire-openLabel") or "",
        targets=tuple(str(value_of(e)) for e in extensions(raw, HL7 + "questionnaire-referenceResource")),
        initial=_initial(raw), when=_when(raw), behavior=raw.get("enableBehavior") or "all",
        protected=raw.get("disabledDisplay") == "protected",
        expressions=expressions_of(raw, faults, link), variables=variables_of(raw, faults, link),
        constraints=constraints_of(raw, faults, link), toggles=_toggles(raw, faults, link),
        beside=tuple((_control(b), words_of(b, "text")) for b in aside),
        support=tuple(str(value_of(e)) for e in extensions(raw, HL7 + "questionnaire-supportLink")),
        codes=tuple(raw.get("code") or ()), usage=said(raw, HL7 + "questionnaire-usageMode") or "",
        weight=_decimal(said(raw, HL7 + "itemWeight", HL7 + "ordinalValue")),
        items=_items(below, (*path, link), index, sets, faults), raw=raw,
    )  # fmt: skip


def _split(below: Any, kind: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(what is said beside the item, what stands below it)."""
    aside = [b for b in below if b.get("type") == "display" and _control(b) in ASIDE]
    return aside, [b for b in below if b not in aside]


def _control(raw: dict[str, Any]) -> str:
    concept = said(raw, HL7 + "questionnaire-itemControl")
    if isinstance(concept, dict):
        for coding in concept.get("coding") or ():
            if coding.get("code"):
                return str(coding["code"])
        return str(concept.get("text") or "").lower()
    category = said(raw, HL7 + "questionnaire-displayCategory")
    codes = (category.get("coding") or ()) if isinstance(category, dict) else ()
    return "help" if any(c.get("code") in ("instructions", "help") for c in codes) else ""


def _short(raw: dict[str, Any]) -> Words:
    found = extension(raw, SDC + "sdc-questionnaire-shortText")
    return words_of(found, "valueString") if found else Words("")


def _limit(raw: dict[str, Any], faults: list[str], link: str, *addresses: str) -> Limit | None:
    from .expressions_of import inner

    found = extension(raw, *addresses)
    if found is None:
        return None
    return Limit(
        value_of({k: v for k, v in found.items() if not k.startswith("_")}),
        inner(found, faults, link),
    )


def _decimal(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) else None


def _units(raw: dict[str, Any], kind: str, sets: ValueSets) -> tuple[dict[str, Any], ...]:
    """Units as Coding: those that may be chosen, else the one it is in."""
    several = [value_of(e) for e in extensions(raw, HL7 + "questionnaire-unitOption")]
    named = said(raw, HL7 + "questionnaire-unitValueSet")
    if named and not several:
        several = [o.value for o in sets.expand(str(named)) or () if isinstance(o.value, dict)]
    one = said(raw, HL7 + "questionnaire-unit")
    if one is None and kind == "quantity" and not several:
        initial = next((value_of(i) for i in raw.get("initial") or ()), None)
        if isinstance(initial, dict) and initial.get("unit"):
            one = {
                "system": initial.get("system"),
                "code": initial.get("code"),
                "display": initial["unit"],
            }
            one = {k: v for k, v in one.items() if v}
    return tuple(several) or ((one,) if one else ())


def _initial(raw: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    given = [(urls.kind_of(i), value_of(i)) for i in raw.get("initial") or ()]
    chosen = [
        (urls.kind_of(o), value_of(o))
        for o in raw.get("answerOption") or ()
        if o.get("initialSelected")
    ]
    return tuple(pair for pair in given or chosen if pair[1] is not None)


def _when(raw: dict[str, Any]) -> tuple[When, ...]:
    made = []
    for w in raw.get("enableWhen") or ():
        kind = next((k for k in w if k.startswith("answer")), "")
        made.append(
            When(
                str(w.get("question")),
                str(w.get("operator")),
                kind.removeprefix("answer"),
                w.get(kind),
            )
        )
    return tuple(made)


def _toggles(
    raw: dict[str, Any], faults: list[str], link: str
) -> tuple[tuple[tuple[Any, ...], Expression], ...]:
    """Options that are offered only while an expression is true (SDC answerOptionsToggleExpression)."""
    from .expressions_of import expression_of

    made = []
    for e in extensions(raw, SDC + "sdc-questionnaire-answerOptionsToggleExpression"):
        told = expression_of(said(e, "expression"), faults, link)
        if told is not None:
            made.append((tuple(value_of(o) for o in extensions(e, "option")), told))
    return tuple(made)


def _contexts(questionnaire: dict[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    made = []
    for e in extensions(questionnaire, SDC + "sdc-questionnaire-launchContext"):
        name = said(e, "name")
        name = name.get("code") if isinstance(name, dict) else name
        kinds = tuple(str(value_of(t)) for t in extensions(e, "type"))
        if name:
            made.append((str(name), kinds))
    return tuple(made)


def _unknown(element: Any) -> set[str]:
    """Addresses of extensions anywhere in a resource that are neither supported nor harmless."""
    found: set[str] = set()
    for url in _addresses(element):
        if url.startswith("http") and url not in urls.known():
            found.add(url)
    return found


def _addresses(element: Any) -> Iterator[str]:
    if isinstance(element, list):
        for e in element:
            yield from _addresses(e)
    elif isinstance(element, dict):
        for key, value in element.items():
            if key == "extension" or key == "modifierExtension":
                for e in value:
                    yield str(e.get("url"))
            if key != "contained":
                yield from _addresses(value)
