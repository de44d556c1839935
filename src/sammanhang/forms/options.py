"""What a question may be answered with: its own options, or the members of a value set.

A value set is found, in this order: contained in the questionnaire, in `content/valuesets`, among those handed
in (the record's), among the official ones shipped with the models. Displays of official codes are English.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sammanhang.fhir.tables import shipped
from sammanhang.kernel.content import content, names

from .urls import HL7, kind_of, said, value_of
from .words import Words, words_of

MANY = 15
"""More members than this are searched for, not listed."""
SHOWN = 20
"""Hits of a search shown at once."""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be chosen.

    key        what a form field holds for it; one for each option of a question
    kind       Coding, String, Integer, Date, Time or Reference
    value      as FHIR has it
    words      what is shown
    weight     points it gives; None without
    exclusive  nothing else may be chosen beside it
    prefix     `A`, `1` … shown before it
    """

    key: str
    kind: str
    value: Any
    words: Words
    weight: Decimal | None = None
    exclusive: bool = False
    prefix: str = ""


def key_of(kind: str, value: Any) -> str:
    """What a form field holds for a value: `system|code`, the text, the number, the reference."""
    if kind == "Coding" and isinstance(value, dict):
        if value.get("code"):
            return f"{value.get('system') or ''}|{value['code']}"
        return str(value.get("display") or "")
    if isinstance(value, dict):
        return str(value.get("reference") or value.get("display") or "")
    return str(value)


def chosen_value(o: Option) -> Any:
    """An option's value as an answer has it: without the extensions that belong to the questionnaire."""
    if not isinstance(o.value, dict):
        return o.value
    return {
        k: v for k, v in o.value.items() if k not in ("extension", "_display", "id", "userSelected")
    }


def options_of(raw: dict[str, Any], sets: ValueSets) -> tuple[Option, ...]:
    """The options of an item: its answerOption, else its value set when that is small enough to list."""
    if raw.get("answerOption"):
        return tuple(_option(o) for o in raw["answerOption"])
    if raw.get("answerValueSet"):
        found = sets.expand(str(raw["answerValueSet"]))
        if found is not None and len(found) <= MANY:
            return found
    return ()


def _option(raw: dict[str, Any]) -> Option:
    kind, value = kind_of(raw), value_of(raw)
    if isinstance(value, dict):
        name = "display" if value.get("display") else "code" if value.get("code") else "reference"
        words = words_of(value, name)
        weight = said(value, HL7 + "itemWeight", HL7 + "ordinalValue")
    else:
        words = words_of(raw, f"value{kind}")
        weight = None
    if weight is None:
        weight = said(raw, HL7 + "itemWeight", HL7 + "ordinalValue")
    if weight is None and f"_value{kind}" in raw:
        weight = said(raw[f"_value{kind}"], HL7 + "itemWeight", HL7 + "ordinalValue")
    return Option(
        key_of(kind, value), kind, value, words,
        Decimal(str(weight)) if weight is not None else None,
        bool(said(raw, HL7 + "questionnaire-optionExclusive")),
        str(said(raw, HL7 + "questionnaire-optionPrefix") or ""),
    )  # fmt: skip


@dataclass(frozen=True)
class ValueSets:
    """Value sets that can be listed, by address; those contained in a questionnaire by `#id`."""

    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)

    def within(self, questionnaire: dict[str, Any]) -> ValueSets:
        """The same and those the questionnaire brings with it."""
        more, systems = dict(self.more), dict(self.systems)
        for c in questionnaire.get("contained") or ():
            if c.get("resourceType") == "ValueSet":
                more[f"#{c.get('id')}"] = c
                if c.get("url"):
                    more[c["url"]] = c
            elif c.get("resourceType") == "CodeSystem" and c.get("url"):
                systems[c["url"]] = c
        return ValueSets(more, systems)

    def expand(self, canonical: str) -> tuple[Option, ...] | None:
        """Every member in order; None for one that is not here or cannot be listed."""
        address = canonical.partition("|")[0]
        own = self.more.get(canonical) or self.more.get(address)
        if own is None:
            own = _from_content(address)
        if own is not None:
            return self._expanded(own, ())
        return _official(address)

    def _expanded(
        self, value_set: dict[str, Any], seen: tuple[str, ...]
    ) -> tuple[Option, ...] | None:
        expansion = value_set.get("expansion")
        if expansion and expansion.get("contains"):
            return tuple(_members(expansion["contains"]))
        found: dict[str, Option] = {}
        for include in (value_set.get("compose") or {}).get("include") or ():
            some = self._included(include, seen)
            if some is None:
                return None
            found.update({o.key: o for o in some})
        for exclude in (value_set.get("compose") or {}).get("exclude") or ():
            for o in self._included(exclude, seen) or ():
                found.pop(o.key, None)
        return tuple(found.values()) if found else None

    def _included(self, include: dict[str, Any], seen: tuple[str, ...]) -> list[Option] | None:
        system = include.get("system") or ""
        if include.get("concept"):
            return [_coded({"system": system, **c}) for c in include["concept"]]
        if include.get("valueSet"):
            made: list[Option] = []
            for address in include["valueSet"]:
                if address in seen:
                    return None
                other = self.more.get(address) or _from_content(address.partition("|")[0])
                some = (
                    self._expanded(other, (*seen, address))
                    if other
                    else _official(address.partition("|")[0])
                )
                if some is None:
                    return None
                made += some
            return made
        if include.get("filter") or not system:
            return None
        return self._whole(system)

    def _whole(self, system: str) -> list[Option] | None:
        own = self.systems.get(system)
        if own is not None:
            return [_coded({"system": system, **c}) for c in _flat(own.get("concept"))]
        known = shipped("codesystems").get(system)
        if known is None:
            return None
        return [_coded({"system": system, "code": code, "display": row[0]}) for code, row in known["concepts"].items()]  # fmt: skip


def _flat(concepts: Any) -> list[dict[str, Any]]:
    made = []
    for c in concepts or ():
        made.append({k: v for k, v in c.items() if k != "concept"})
        made += _flat(c.get("concept"))
    return made


def _members(contains: Any) -> list[Option]:
    made = []
    for c in contains or ():
        if c.get("code") and not c.get("abstract"):
            made.append(_coded(c))
        made += _members(c.get("contains"))
    return made


def _coded(concept: dict[str, Any]) -> Option:
    system, code = concept.get("system") or "", concept.get("code") or ""
    value = {"system": system, "code": code, "display": concept.get("display") or code}
    value = {k: v for k, v in value.items() if v}
    weight = said(concept, HL7 + "itemWeight", HL7 + "ordinalValue")
    words = words_of(concept, "display") if concept.get("display") else Words(code)
    others = dict(words.others)
    for d in concept.get("designation") or ():
        if d.get("language") and d.get("value"):
            others[d["language"]] = d["value"]
    words = Words(words.plain, others, words.marked)
    return Option(key_of("Coding", value), "Coding", value, words, Decimal(str(weight)) if weight is not None else None)  # fmt: skip


@lru_cache(maxsize=256)
def _official(address: str) -> tuple[Option, ...] | None:
    """An official value set, with the displays of its code systems."""
    found = shipped("valuesets").get(address)
    if not found:
        return None
    made = []
    for system, codes in found.items():
        if codes is None:
            return None
        concepts = (shipped("codesystems").get(system) or {}).get("concepts", {})
        for code in codes:
            row = concepts.get(code) or [code]
            made.append(_coded({"system": system, "code": code, "display": row[0]}))
    return tuple(made)


def _from_content(address: str) -> dict[str, Any] | None:
    for name in names("valuesets"):
        found = content(name)
        if found.get("url") == address or name == f"valuesets/{address}":
            own: dict[str, Any] = found
            return own
    return None


def folded(text: str) -> str:
    """Lower case without accents other than Swedish letters' own."""
    kept = text.lower().replace("å", "\0a").replace("ä", "\0b").replace("ö", "\0c")
    plain = "".join(c for c in unicodedata.normalize("NFKD", kept) if not unicodedata.combining(c))
    return plain.replace("\0a", "å").replace("\0b", "ä").replace("\0c", "ö")


def search(options: tuple[Option, ...], text: str, limit: int = SHOWN) -> list[Option]:
    """Options with every typed word in them, or the code; those that begin with what was typed come first."""
    asked = folded(text).split()
    if not asked:
        return list(options[:limit])
    hits = []
    for n, o in enumerate(options):
        code = str(o.value.get("code") or "").lower() if isinstance(o.value, dict) else ""
        shown = folded(f"{o.words} {o.words.plain}")
        if code == text.strip().lower() or all(w in shown or w in code for w in asked):
            first = folded(str(o.words)).startswith(asked[0]) or code.startswith(asked[0])
            hits.append((code != text.strip().lower(), not first, n, o))
    return [o for *_rank, o in sorted(hits, key=lambda h: h[:3])[:limit]]
