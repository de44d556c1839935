"""Whether a JSON value is a value of a FHIR primitive (http://hl7.org/fhir/R4/datatypes.html#primitive).

The patterns are those of the fast path (`fhir.primitives`), so that the two never differ; what is added
is the sentence that tells what is wrong.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from ..checking import _CODE, _URI
from .reading import Outrageous, shown

_YEAR = r"(?!0000)[0-9]{4}"
_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
PATTERNS = {
    "id": re.compile(r"[A-Za-z0-9\-.]{1,64}\Z"),
    "code": _CODE,
    "uri": _URI,
    "url": _URI,
    "canonical": _URI,
    "oid": re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+\Z"),
    "uuid": re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"),
    # One symbol somewhere and nothing but symbols and white space: linear on any input.
    "base64Binary": re.compile(r"\s*[0-9A-Za-z+/=][0-9A-Za-z+/=\s]*\Z"),
    "date": re.compile(rf"{_YEAR}(-{_DAY}|-(0[1-9]|1[0-2]))?\Z"),
    "dateTime": re.compile(rf"{_YEAR}(-{_DAY}(T{_TIME}{_ZONE})?|-(0[1-9]|1[0-2]))?\Z"),
    "instant": re.compile(rf"{_YEAR}-{_DAY}T{_TIME}{_ZONE}\Z"),
    "time": re.compile(rf"{_TIME}\Z"),
}
_WANTED = {
    "id": (
        "bokstäver, siffror, bindestreck och punkt, högst 64",
        "letters, digits, - and ., at most 64",
    ),
    "code": (
        "inget blanksteg först, sist eller två i rad",
        "no white space first, last or twice in a row",
    ),
    "uri": ("en URI utan blanksteg", "a URI without white space"),
    "url": ("en URL utan blanksteg", "a URL without white space"),
    "canonical": ("en kanonisk adress utan blanksteg", "a canonical address without white space"),
    "oid": ("urn:oid: följt av en OID", "urn:oid: and an OID"),
    "uuid": ("urn:uuid: följt av ett UUID med små bokstäver", "urn:uuid: and a UUID in lower case"),
    "base64Binary": ("text kodad med base64", "base64-encoded content"),
    "date": ("ÅÅÅÅ, ÅÅÅÅ-MM eller ÅÅÅÅ-MM-DD", "YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": (
        "ett datum, eller datum och tid med sekunder och tidszon",
        "a date, or a date and time with seconds and time zone",
    ),
    "instant": (
        "datum och tid med sekunder och tidszon",
        "a date and time with seconds and time zone",
    ),
    "time": ("TT:MM:SS", "hh:mm:ss"),
}
_NUMBERS = {
    "integer": (-(2**31), 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
}
DATES = ("date", "dateTime", "instant")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SV = {
    dict: "ett objekt",
    list: "en lista",
    str: "en text",
    bool: "true eller false",
    type(None): "null",
}
_EN = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}

Fault = tuple[str, str, str]  # issue code, Swedish, English


def kind_sv(value: Any) -> str:
    """What sort of JSON value this is, in Swedish."""
    return next((w for t, w in _SV.items() if isinstance(value, t)), "ett tal")


def kind_en(value: Any) -> str:
    """What sort of JSON value this is, in English."""
    return next((w for t, w in _EN.items() if isinstance(value, t)), "a number")


def fault(value: Any, code: str) -> Fault | None:
    """What is wrong with a JSON value as the FHIR primitive `code`; None when nothing is."""
    if code == "boolean":
        return (
            None if isinstance(value, bool) else _wrong(value, "true eller false", "true or false")
        )
    if code in _NUMBERS or code == "decimal":
        return _number_fault(value, code)
    if not isinstance(value, str):
        return _wrong(value, "en text inom citattecken", "a text in quotation marks")
    return _text_fault(value, code)


def _wrong(value: Any, sv: str, en: str) -> Fault:
    return (
        "structure",
        f"Här ska stå {sv}, inte {kind_sv(value)}.",
        f"{en[0].upper()}{en[1:]} belongs here, not {kind_en(value)}.",
    )


def _number_fault(value: Any, code: str) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | Outrageous):
        if isinstance(value, str):
            return (
                "structure",
                f"”{shown(value)}” ska vara ett tal, inte en text: skriv det utan citattecken.",
                f"'{shown(value)}' must be a number, not a text: write it without quotation marks.",
            )
        return _wrong(value, "ett tal", "a number")
    unreasonable = "value", "Talet är orimligt stort eller litet.", "The number is out of range."
    if isinstance(value, Outrageous):
        return unreasonable
    if code == "decimal":
        return None if -400 < Decimal(value).adjusted() < 400 else unreasonable
    low, high = _NUMBERS[code]
    if isinstance(value, Decimal):  # 2.0 and 2e0 are not integers in FHIR's JSON
        return (
            "value",
            f"{shown(str(value))} ska vara ett heltal, skrivet utan decimaler.",
            f"{shown(str(value))} must be a whole number, written without decimals.",
        )
    if not low <= value <= high:
        return (
            "value",
            f"{value} ska vara ett heltal mellan {low} och {high}.",
            f"{value} must be a whole number between {low} and {high}.",
        )
    return None


def _text_fault(value: str, code: str) -> Fault | None:
    if not value:
        return (
            "value",
            "Texten är tom; utelämna den i stället.",
            "The text is empty; leave it out instead.",
        )
    if _SURROGATE.search(value):
        return (
            "value",
            "Texten innehåller ett halvt tecken.",
            "The text holds half a character (a lone surrogate).",
        )
    found = _CONTROL.search(value)
    if found:
        return (
            "value",
            f"Texten innehåller ett styrtecken (U+{ord(found[0]):04X}).",
            f"The text holds a control character (U+{ord(found[0]):04X}).",
        )
    pattern = PATTERNS.get(code)
    if pattern is None:
        return None
    if pattern.match(value) is None:
        sv, en = _WANTED[code]
        if code == "dateTime" and PATTERNS["dateTime"].match(value + "Z"):
            sv, en = (
                "en tidszon efter tiden (Z eller +01:00)",
                "a time zone after the time (Z or +01:00)",
            )
        return (
            "value",
            f"”{shown(value)}” är inte en giltig {code}: här ska stå {sv}.",
            f"'{shown(value)}' is not a valid {code}: expected {en}.",
        )
    if code in DATES and value[8:10] > "28":
        try:
            date(int(value[:4]), int(value[5:7]), int(value[8:10]))
        except ValueError:
            return (
                "value",
                f"{value[:10]} finns inte i kalendern.",
                f"{value[:10]} is not a real date.",
            )
    return None
