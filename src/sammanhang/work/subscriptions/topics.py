"""What a subscription can be told of: topics are content (content/topics), with their triggers and filters.

A filter is a search parameter with a value and holds for the version of the resource that the event made, not for
what it has become since: two changes in the same moment are both told of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from sammanhang.fhir.decode import index, raw, trusted
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.content import BadContent, content, names
from sammanhang.store.feed import TOLD, Happened, Key, Once
from sammanhang.store.search.parameters import parameter
from sammanhang.store.search.parse import split
from sammanhang.store.search.values import reference_hashes, token_hash


@dataclass(frozen=True, slots=True)
class Trigger:
    """What makes an event of a topic.

    resource      the type, and `interactions` what was done to it
    element, to   a reference that must be to one of these types; empty for none
    changed       elements of which one must differ from the version before; empty for every version. A deletion
                  ends them all
    """

    resource: str
    interactions: frozenset[str]
    element: str
    to: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    url      its canonical address
    filters  the parameters it may be filtered by
    context  elements whose references are told together with the focus
    sender   elements that say which unit it was sent by, the first that does: a unit, or something of a unit's
    """

    url: str
    title: dict[str, str] = field(compare=False)
    description: dict[str, str] = field(compare=False)
    triggers: tuple[Trigger, ...]
    filters: tuple[str, ...]
    context: tuple[str, ...]
    sender: tuple[str, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The types its events are about."""
        return tuple(dict.fromkeys(t.resource for t in self.triggers))


def topics() -> dict[str, Topic]:
    """Every topic in force, by its address. Raises `BadContent` for one that cannot be told of."""
    found = [_topic(name) for name in names("topics")]
    return {t.url: t for t in found}


def _topic(name: str) -> Topic:
    said = content(name)
    triggers = []
    for t in said["triggers"]:
        if t["resource"] not in TOLD:
            raise BadContent(
                f"content/{name}: the feed has no index of {t['resource']} (store.feed.TOLD)."
            )
        refers = t.get("refers") or {"element": "", "to": []}
        triggers.append(
            Trigger(t["resource"], frozenset(t["interactions"]), refers["element"], tuple(refers["to"]), tuple(t["changed"]))
        )  # fmt: skip
    for code in said["filters"]:
        for t in triggers:
            known = parameter(t.resource, code)
            if known is None or known.kind not in ("token", "reference"):
                raise BadContent(f"content/{name}: {t.resource} cannot be filtered by {code}.")
    return Topic(
        said["url"], said["title"], said["description"], tuple(triggers), tuple(said["filters"]),
        tuple(said["context"]), tuple(said["sender"]),
    )  # fmt: skip


class BadFilter(ValueError):
    """A filter that cannot be followed; `sv` and `en` say why."""

    def __init__(self, sv: str, en: str) -> None:
        super().__init__(en)
        self.sv, self.en = sv, en


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter ready to be asked: of each set one number must be among a version's search values."""

    type: str
    any_of: tuple[frozenset[int], ...]


@lru_cache(maxsize=4096)
def filter_of(text: str, topic: Topic, base: str) -> Filter:
    """`Task?status=requested&owner=Organization/x`, or without the type. Raises `BadFilter`."""
    kind, mark, query = text.partition("?")
    if not mark:
        kind, query = topic.types[0], text
    if kind not in topic.types:
        raise BadFilter(
            f"Ämnet handlar inte om {kind[:40]}.", f"The topic is not about {kind[:40]}."
        )
    pairs = parse_qsl(query, keep_blank_values=True)
    if not pairs:
        raise BadFilter(
            "Filtret är tomt; skriv parameter=värde.", "The filter is empty; write parameter=value."
        )
    return Filter(kind, tuple(_numbers(kind, code, value, topic, base) for code, value in pairs))


def _numbers(kind: str, code: str, value: str, topic: Topic, base: str) -> frozenset[int]:
    known = parameter(kind, code)
    if code not in topic.filters or known is None:
        offered = ", ".join(topic.filters)
        raise BadFilter(f"Det går inte att filtrera på {code[:40]}; välj bland {offered}.",
                        f"Filtering by {code[:40]} is not offered; choose among {offered}.")  # fmt: skip
    values = [v for v in split(value, ",") if v]
    if not values:
        raise BadFilter(f"{code} saknar värde.", f"{code} has no value.")
    hashes: list[int] = []
    for v in values:
        hashes += (
            reference_hashes(code, v, known.targets, base)
            if known.kind == "reference"
            else [token_hash(v)]
        )
    return frozenset(h ^ s.number for h in hashes for s in known.slots)


@dataclass
class Seen:
    """An event with what matching needs to know of it, found out once whatever the number of subscribers.

    Of a deletion it is the version that it ended.
    """

    event: Happened
    base: str
    resource: Any = field(init=False)
    tokens: frozenset[int] = field(init=False)
    patients: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        body = self.event.before if self.gone else self.event.body
        assert body is not None
        self.resource = trusted(body, self.event.type)
        ix = index(self.resource, self.base)
        self.tokens = frozenset(ix.tokens)
        self.patients = tuple(ix.patients)

    @property
    def gone(self) -> bool:
        """Whether the event is a deletion."""
        return self.event.method == "delete"

    @property
    def key(self) -> Key:
        return (self.event.type, self.event.self)

    @property
    def ended(self) -> Once:
        """The version that a deletion ended."""
        return (*self.key, self.event.version - 1)

    def triggers(self, topic: Topic) -> bool:
        """Whether the event is one of the topic's."""
        return any(self._by(t) for t in topic.triggers)

    def _by(self, t: Trigger) -> bool:
        if self.event.type != t.resource or self.event.method not in t.interactions:
            return False
        if t.element:
            reference = getattr(self.resource, t.element, None)
            target = getattr(reference, "reference", None) or ""
            kind = target.removeprefix(self.base).partition("/")[0]
            if (kind or getattr(reference, "type", None)) not in t.to:
                return False
        if self.gone or not t.changed or self.event.before is None:
            return True
        before, now = raw(self.event.before), raw(self.event.body or b"{}")
        return any(before.get(name) != now.get(name) for name in t.changed)

    def references(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """(type, id) of what these elements refer to among our own resources, in order."""
        found = []
        for name in names:
            value = getattr(self.resource, name, None)
            for r in value if isinstance(value, list) else [value] if value is not None else []:
                kind, _, id = (r.reference or "").removeprefix(self.base).partition("/")
                if kind in TYPE_NAMES and id:
                    found.append((kind, id.partition("/")[0]))
        return found

    def passes(self, filters: Iterable[Filter]) -> bool:
        """Whether the version the event made, or ended, is one the filters let through: all that speak of its type."""
        return all(
            not self.tokens.isdisjoint(one)
            for f in filters
            if f.type == self.event.type
            for one in f.any_of
        )
