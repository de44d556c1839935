"""JSON bytes → values, and every way in which bytes may fail to be the JSON that FHIR wants.

Numbers keep their digits (`Decimal`), a repeated member is remembered on its object, and nothing here
raises for any input: what is wrong comes back as issues (RFC 8259, http://hl7.org/fhir/R4/json.html).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from sammanhang.kernel.errors import Issue

# The standard library's own words for what it missed, as sentences (Swedish, English).
_EXPECTED = {
    "Expecting property name enclosed in double quotes": (
        "ett namn inom citattecken väntades",
        "a member name in double quotes was expected",
    ),
    "Expecting ':' delimiter": ("ett kolon väntades", "a colon was expected"),
    "Expecting ',' delimiter": (
        "ett komma eller en avslutande klammer väntades",
        "a comma or a closing bracket was expected",
    ),
    "Expecting value": ("ett värde väntades", "a value was expected"),
    "Illegal trailing comma before end of object": (
        "ett komma står före avslutande klammer",
        "a comma stands before the closing bracket",
    ),
    "Illegal trailing comma before end of array": (
        "ett komma står före avslutande klammer",
        "a comma stands before the closing bracket",
    ),
    "Extra data": (
        "inget mer väntades efter resursen",
        "nothing more was expected after the resource",
    ),
    "Unterminated string starting at": ("texten avslutas aldrig", "the text is never closed"),
    "Invalid control character at": (
        "ett styrtecken måste skrivas med omvänt snedstreck",
        "a control character must be written with a backslash",
    ),
    "Invalid \\escape": ("tecknet efter omvänt snedstreck är fel", "the escape is not valid"),
    "Invalid \\uXXXX escape": (
        "fyra hexadecimala siffror väntades",
        "four hexadecimal digits were expected",
    ),
}


class Repeated(dict[str, Any]):
    """An object in which some member stood more than once; the last one is kept."""

    names: tuple[str, ...] = ()


class Outrageous:
    """A number no measurement has, kept as its text only: its arithmetic would be an attack."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text[:40] + ("…" if len(self.text) > 40 else "")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) == len(pairs):
        return out
    seen: set[str] = set()
    twice = [k for k, _ in pairs if k in seen or seen.add(k)]  # type: ignore[func-returns-value]
    found = Repeated(out)
    found.names = tuple(dict.fromkeys(twice))
    return found


def _fraction(text: str) -> Decimal | Outrageous:
    try:
        value = Decimal(text)
    except ArithmeticError:
        return Outrageous(text)
    return value if -400 < value.adjusted() < 400 else Outrageous(text)


def _whole(text: str) -> int | Outrageous:
    return int(text) if len(text) <= 400 else Outrageous(text)


def _constant(text: str) -> Any:
    raise json.JSONDecodeError("Expecting value", text, 0)


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_fraction, parse_int=_whole, parse_constant=_constant
)


def read(body: bytes) -> tuple[Any, list[Issue]]:
    """(value, issues): issues only when the bytes are not JSON, and the value is then None."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as e:
        line, column = body.count(b"\n", 0, e.start) + 1, e.start - body.rfind(b"\n", 0, e.start)
        return None, [
            Issue(
                "invalid",
                "",
                f"Texten är inte UTF-8: ogiltig byte 0x{body[e.start]:02x} på rad {line}, position {column}.",
                f"The text is not UTF-8: invalid byte 0x{body[e.start]:02x} at line {line}, column {column}.",
            )
        ]
    if text.startswith("\ufeff"):
        return None, [
            Issue(
                "invalid",
                "",
                "Texten börjar med ett byteordningsmärke (BOM); JSON får inte ha det.",
                "The text begins with a byte order mark (BOM); JSON may not.",
            )
        ]
    try:
        return _decoder.decode(text), []
    except json.JSONDecodeError as e:
        return None, [_not_json(text, e)]
    except RecursionError:
        return None, [too_deep("")]


def shown(value: str, longest: int = 60) -> str:
    """A text from outside, safe and short enough to stand in a message or an expression."""
    cut = value[:longest]
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)
    return safe + "…" if len(value) > longest else safe


def too_deep(expression: str) -> Issue:
    """The fault of JSON that nests beyond what any resource needs."""
    return Issue(
        "too-long",
        expression,
        "JSON-texten är för djupt nästlad.",
        "The JSON nests too deep.",
    )


def _not_json(text: str, e: json.JSONDecodeError) -> Issue:
    message = e.msg.split(":")[0] if e.msg.startswith("Invalid \\escape") else e.msg
    sv, en = _EXPECTED.get(message, ("något annat väntades", "something else was expected"))
    position, line, column = e.pos, e.lineno, e.colno
    if e.doc is not text:  # NaN and Infinity: found by the constant hook, which knows no position
        position = min((p for p in (text.find(e.doc),) if p >= 0), default=0)
        line = text.count("\n", 0, position) + 1
        column = position - text.rfind("\n", 0, position)
    if not text.strip():
        return Issue("invalid", "", "Innehållet är tomt.", "The body is empty.")
    if position >= len(text):
        return Issue(
            "invalid",
            "",
            f"Texten är inte JSON: den slutar för tidigt, på rad {line}, position {column}; {sv}.",
            f"The text is not JSON: it ends too early, at line {line}, column {column}; {en}.",
        )
    found = shown(text[position : position + 20].split("\n")[0])
    if found[:2] in ("//", "/*") or found[:1] == "#":
        sv, en = "kommentarer får inte finnas i JSON", "JSON has no comments"
    return Issue(
        "invalid",
        "",
        f"Texten är inte JSON: fel på rad {line}, position {column}, vid ”{found}”: {sv}.",
        f"The text is not JSON: error at line {line}, column {column}, near '{found}': {en}.",
    )
