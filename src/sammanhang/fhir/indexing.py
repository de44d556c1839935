"""Search values of a resource: what the generated `index_X(r, ix)` functions write into.

A token is a 64-bit number, `hash of the value XOR number of the slot`. The XOR is what lets SQL join:
the token for "subject is Patient/1" is `self(Patient/1) # slot(Observation.subject)`, so a chained
search needs no table of references. See docs/reference/indexes.md for every index with examples.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from .dates import BEGINNING, END, bounds
from .units import canonical

INFINITY = float("inf")


def hash64(text: str) -> int:
    """A signed 64-bit hash; the same in every process and for ever (it is stored)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def slot(name: str, kind: str) -> int:
    """The number of an indexed path, e.g. `slot("Observation.code", "token")`."""
    return hash64(f"slot|{kind}|{name}")


@lru_cache(maxsize=262144)
def self_hash(kind: str, id: str) -> int:
    """The number of a resource: hash of `Type/id`. The primary key of the resource tables."""
    return hash64(f"{kind}/{id}")


@lru_cache(maxsize=131072)
def coded(system: str | None, code: str) -> tuple[int, ...]:
    """Hashes a coded value is found by: `code`, `system|code`, `|code`, `system|`."""
    if system is None:
        return hash64(f"c|{code}"), hash64(f"n|{code}")
    return hash64(f"c|{code}"), hash64(f"s|{system}|{code}"), hash64(f"s|{system}|")


def identified(system: str | None, value: str) -> tuple[int, ...]:
    """As `coded`, for values that are different in every resource: nothing is cached."""
    if system is None:
        return hash64(f"c|{value}"), hash64(f"n|{value}")
    return hash64(f"c|{value}"), hash64(f"s|{system}|{value}"), _system(system)


@lru_cache(maxsize=4096)
def _system(system: str) -> int:
    return hash64(f"s|{system}|")


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """Text as string search compares it: lower case, without accents, single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())


# A b-tree row holds 2 704 bytes; two texts and their numbers must fit with room to spare.
LONGEST_TEXT = 1000


def cut(text: str) -> str:
    """The beginning of a text that an index row can hold, whole characters only."""
    if len(text) <= LONGEST_TEXT // 4:
        return text
    return text.encode()[:LONGEST_TEXT].decode(errors="ignore")


def mix(a: int, b: int) -> int:
    """Two hashes as one, order kept; for values that must stand together (composite parameters)."""
    x = ((a * 0x9E3779B97F4A7C15) ^ b) & 0xFFFFFFFFFFFFFFFF
    return x - (1 << 64) if x >= 1 << 63 else x


class Index:
    """The search values of one resource.

    tokens      list of 64-bit numbers, repeats possible
    strings     (slot, folded, as written)
    dates       (slot, low, high)         high is the first instant after
    quantities  (slot, low, high, unit, raw low, raw high, raw unit): first in canonical units,
                then as written; units are hashes, 0 for none
    patients    ids of the patients whose record it belongs to, the principal one first
    occurred    (low, high) of its principal clinical time, or None
    """

    __slots__ = (
        "_hold",
        "base",
        "dates",
        "occurred",
        "patients",
        "quantities",
        "strings",
        "tokens",
    )

    def __init__(self, base: str = "") -> None:
        self.base = base
        self.tokens: list[int] = []
        self.strings: list[tuple[int, str, str]] = []
        self.dates: list[tuple[int, datetime, datetime]] = []
        self.quantities: list[tuple[int, float, float, int, float, float, int]] = []
        self.patients: list[str] = []
        self.occurred: tuple[datetime, datetime] | None = None
        self._hold: Any = None

    # tokens

    def coding(self, s: int, v: Any) -> None:
        if v.code is not None:
            for h in coded(v.system, v.code):
                self.tokens.append(h ^ s)
        elif v.system is not None:
            self.tokens.append(_system(v.system) ^ s)

    def concept(self, s: int, v: Any) -> None:
        for c in v.coding or ():
            self.coding(s, c)

    def code(self, s: int, system: str | None, v: Any) -> None:
        for h in coded(system, str(v)):
            self.tokens.append(h ^ s)

    def boolean(self, s: int, v: bool) -> None:
        self.tokens.append(coded(None, "true" if v else "false")[0] ^ s)

    def present(self, s: int) -> None:
        self.tokens.append(coded(None, "true")[0] ^ s)

    def identifier(self, s: int, v: Any) -> None:
        if v.value is not None:
            for h in identified(v.system, v.value):
                self.tokens.append(h ^ s)
            if v.type is not None:
                for c in v.type.coding or ():
                    if c.code is not None:
                        self.tokens.append(hash64(f"t|{c.system or ''}|{c.code}|{v.value}") ^ s)
        elif v.system is not None:
            self.tokens.append(_system(v.system) ^ s)

    def contact(self, s: int, v: Any) -> None:
        if v.value is not None:
            for h in identified(v.system, v.value):
                self.tokens.append(h ^ s)

    # references

    def reference(self, s: int, v: Any) -> None:
        text = v.reference
        if text is not None and text[0] != "#":
            self.tokens.append(reference_hash(text, self.base) ^ s)
        if v.identifier is not None and v.identifier.value is not None:
            for h in identified(v.identifier.system, v.identifier.value):
                self.tokens.append(h ^ s ^ IDENTIFIER)

    def canonical(self, s: int, v: str) -> None:
        self.tokens.append(hash64(v) ^ s)
        if "|" in v:
            self.tokens.append(hash64(v.split("|")[0]) ^ s)

    def uri(self, s: int, v: str) -> None:
        self.tokens.append(hash64(v) ^ s)
        self.strings.append((s, cut(v), cut(v)))
        if "|" in v:
            self.tokens.append(hash64(v.split("|")[0]) ^ s)

    # texts

    def string(self, s: int, v: Any) -> None:
        text = cut(str(v))
        self.strings.append((s, cut(fold(text)), text))

    def human_name(self, s: int, v: Any) -> None:
        parts = [v.text, v.family, *(v.given or ()), *(v.prefix or ()), *(v.suffix or ())]
        for part in parts:
            if part is not None:
                self.string(s, part)

    def address(self, s: int, v: Any) -> None:
        parts = [v.text, *(v.line or ()), v.city, v.district, v.state, v.postalCode, v.country]
        for part in parts:
            if part is not None:
                self.string(s, part)

    # dates

    def moment(self, s: int, v: str) -> None:
        self.dates.append((s, *bounds(v)))

    def period(self, s: int, v: Any) -> None:
        if v.start is not None or v.end is not None:
            self.dates.append((s, *_period(v)))

    def timing(self, s: int, v: Any) -> None:
        span = _timing(v)
        if span is not None:
            self.dates.append((s, *span))

    def occurred_moment(self, s: int, v: str) -> None:
        self._occurred(s, bounds(v))

    def occurred_period(self, s: int, v: Any) -> None:
        if v.start is not None or v.end is not None:
            self._occurred(s, _period(v))

    def occurred_timing(self, s: int, v: Any) -> None:
        span = _timing(v)
        if span is not None:
            self._occurred(s, span)

    def _occurred(self, s: int, span: tuple[datetime, datetime]) -> None:
        if self.occurred is None:
            self.occurred = span
        else:  # a second value: the row keeps the first, the side table the others
            self.dates.append((s, *span))

    # numbers

    def quantity(self, s: int, v: Any) -> None:
        if v.value is None:
            return
        low = high = v.value
        if v.comparator is not None:
            if v.comparator[0] == "<":
                low = None
            else:
                high = None
        self._amount(s, low, high, v.system, v.code, v.unit)

    def range(self, s: int, v: Any) -> None:
        unit = v.low or v.high
        if unit is not None:
            low = v.low.value if v.low else None
            high = v.high.value if v.high else None
            self._amount(s, low, high, unit.system, unit.code, unit.unit)

    def money(self, s: int, v: Any) -> None:
        if v.value is not None:
            self._amount(s, v.value, v.value, "urn:iso:std:iso:4217", v.currency, v.currency)

    def number(self, s: int, v: Decimal | int) -> None:
        x = float(v)
        self.quantities.append((s, x, x, 0, x, x, 0))

    def _amount(
        self, s: int, low: Any, high: Any, system: str | None, code: str | None, unit: str | None
    ) -> None:
        factor, offset, h, raw = unit_hash(system, code or unit)
        bottom = -INFINITY if low is None else float(low)
        top = INFINITY if high is None else float(high)
        self.quantities.append(
            (s, bottom * factor + offset, top * factor + offset, h, bottom, top, raw)
        )

    # composites: component values that must come from the same element

    def begin(self) -> None:
        self._hold = (self.tokens, self.strings, self.dates, self.quantities)
        self.tokens, self.strings, self.dates, self.quantities = [], [], [], []

    def end(self, parts: list[tuple[Any, ...]]) -> bool:
        """Takes what was gathered since `begin` as the part before the others; whether any was."""
        part = (self.tokens, self.strings, self.dates, self.quantities)
        self.tokens, self.strings, self.dates, self.quantities = self._hold
        parts.insert(0, part)
        return bool(part[0] or part[1] or part[2] or part[3])

    def composite(self, s: int, parts: list[tuple[Any, ...]]) -> None:
        for token in parts[0][0]:
            for place, part in enumerate(parts[1:]):
                here = s ^ mix(token, place)
                for other in part[0]:
                    self.tokens.append(mix(here, other))
                for _, folded, text in part[1]:
                    self.strings.append((here, folded, text))
                for _, low, high in part[2]:
                    self.dates.append((here, low, high))
                for row in part[3]:
                    self.quantities.append((here ^ row[0], *row[1:]))

    # compartments

    def own_patient(self, r: Any) -> None:
        if r.id is not None:
            self.patients.append(r.id)

    def compartment(self, v: Any) -> None:
        text = v.reference
        if text is not None:
            if self.base and text.startswith(self.base):
                text = text[len(self.base) :]
            if text.startswith("Patient/"):
                id = text[8:].split("/", 1)[0]
                if id not in self.patients:
                    self.patients.append(id)


IDENTIFIER = hash64("modifier|identifier")


def reference_hash(text: str, base: str = "") -> int:
    """The hash of a reference's target: of `Type/id` when it is on this server, else of the text."""
    if base and text.startswith(base):
        text = text[len(base) :]
    if ":" not in text:
        kind, _, rest = text.partition("/")
        return self_hash(kind, rest.split("/", 1)[0])
    return hash64(text)


@lru_cache(maxsize=4096)
def unit_hash(system: str | None, unit: str | None) -> tuple[float, float, int, int]:
    """(factor, offset, hash, raw hash) that take a number to its canonical unit, or leave it."""
    if unit is None:
        return 1.0, 0.0, 0, 0
    raw = hash64(unit)
    if system == "http://unitsofmeasure.org":
        found = canonical(unit)
        if found is not None:
            factor, offset, name = found
            return factor, offset, hash64(f"ucum|{name}"), raw
    return 1.0, 0.0, hash64(f"{system or ''}|{unit}"), raw


def _period(v: Any) -> tuple[datetime, datetime]:
    low = bounds(v.start)[0] if v.start is not None else BEGINNING
    high = bounds(v.end)[1] if v.end is not None else END
    return low, high


def _timing(v: Any) -> tuple[datetime, datetime] | None:
    spans = [bounds(e) for e in v.event or () if e is not None]
    if v.repeat is not None and v.repeat.boundsPeriod is not None:
        spans.append(_period(v.repeat.boundsPeriod))
    if not spans:
        return None
    return min(s[0] for s in spans), max(s[1] for s in spans)
