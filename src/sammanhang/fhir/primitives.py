"""FHIR R4 primitive types as annotated Python types (http://hl7.org/fhir/R4/datatypes.html).

Decoding checks the pattern; that a day exists in its month is left to the second pass. Decimals are
`decimal.Decimal` with every digit kept; JSON strings are not numbers and are refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
Some = Annotated[list[T], Meta(min_length=1)]

_YEAR = r"(?!0000)[0-9]{4}"
_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9\-.]{1,64}\Z")]
String = Annotated[str, Meta(min_length=1)]
Markdown = String
Xhtml = String
Code = (
    String  # the pattern is looked up, not matched, in the second pass: see `checking.check_code`
)
Uri = String
Url = Uri
Canonical = Uri
Oid = Annotated[str, Meta(pattern=r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+\Z")]
Uuid = Annotated[
    str, Meta(pattern=r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
]
Base64Binary = Annotated[str, Meta(pattern=r"^\s*[0-9A-Za-z+/=][0-9A-Za-z+/=\s]*\Z")]
Date = Annotated[str, Meta(pattern=rf"^{_YEAR}(-{_DAY}|-(0[1-9]|1[0-2]))?\Z")]
DateTime = Annotated[str, Meta(pattern=rf"^{_YEAR}(-{_DAY}(T{_TIME}{_ZONE})?|-(0[1-9]|1[0-2]))?\Z")]
Instant = Annotated[str, Meta(pattern=rf"^{_YEAR}-{_DAY}T{_TIME}{_ZONE}\Z")]
Time = Annotated[str, Meta(pattern=rf"^{_TIME}\Z")]
Boolean = bool
Integer = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
PositiveInt = Annotated[int, Meta(ge=1, le=2**31 - 1)]
UnsignedInt = Annotated[int, Meta(ge=0, le=2**31 - 1)]

LONGEST_NUMBER = 60


# msgspec also takes the JSON string "72.50" for a Decimal, and any exponent; FHIR takes neither.
# `decode.suspicious` catches the first from the bytes, the second pass the other.
DecimalNumber = Decimal


def parse_number(text: str) -> Decimal:
    """A JSON number with a fraction or exponent, digit for digit.

    Raises ValueError beyond 60 characters or an exponent no measurement has: such a number is an
    attack on arithmetic, not a value.
    """
    if len(text) > LONGEST_NUMBER:
        raise ValueError("the number is too long")
    value = Decimal(text)
    if not -400 < value.adjusted() < 400:
        raise ValueError("the number is out of range")
    return value


class FhirStruct(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """Base of every generated class: unknown members refused, absent members None and left out."""
