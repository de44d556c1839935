"""Identity numbers of people and organisations in Swedish care: read, check, write.

A person is known by a personnummer, a samordningsnummer (day of birth + 60) or a reserve number
(letters in it, no check digit). They are stored as 12 characters without separator and shown as
`YYYYMMDD-NNNN`. Organisations and staff are known by an organisationsnummer or an HSA-id.

Sources: folkbokföringslagen (1991:481) 18 §, SKV 704 and 707 for the numbers; HL7 Sweden base
profiles 1.1.0 for the identifier systems; the OIDs of the RIV-TA contracts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sammanhang.kernel import clock

Kind = Literal["personnummer", "samordningsnummer", "reservnummer"]
Sex = Literal["female", "male"]

PERSONNUMMER = "http://electronichealth.se/identifier/personnummer"
SAMORDNINGSNUMMER = "http://electronichealth.se/identifier/samordningsnummer"
RESERVNUMMER = "http://electronichealth.se/identifier/nationelltReservnummer"
LMA_NUMMER = "http://electronichealth.se/identifier/LMA-nummer"
RESERVNUMMER_STOCKHOLM = "urn:oid:1.2.752.97.3.1.3"
HSA_ID = "urn:oid:1.2.752.29.4.19"
HSA_ID_RIVTA = "urn:oid:1.2.752.129.2.1.4.1"
ORGANISATIONSNUMMER = "urn:oid:2.5.4.97"
LEGITIMATIONSNUMMER = "urn:oid:1.2.752.116.3.1.1"
FORSKRIVARKOD = "urn:oid:1.2.752.116.3.1.2"

SYSTEM: dict[Kind, str] = {
    "personnummer": PERSONNUMMER,
    "samordningsnummer": SAMORDNINGSNUMMER,
    "reservnummer": RESERVNUMMER,
}
"""The FHIR identifier system of each kind of personal number."""

# (OID, the URI a FHIR resource carries). For an OID with several rows the first is what we write;
# the others are read. The URIs are names: electronichealth.se need not answer.
OID_TABLE: tuple[tuple[str, str], ...] = (
    ("1.2.752.129.2.1.3.1", PERSONNUMMER),
    ("1.2.752.129.2.1.3.3", SAMORDNINGSNUMMER),
    ("1.2.752.97.3.1.3", RESERVNUMMER_STOCKHOLM),
    ("1.2.752.29.4.19", HSA_ID),
    ("1.2.752.129.2.1.4.1", HSA_ID_RIVTA),
    ("2.5.4.97", ORGANISATIONSNUMMER),
    ("1.2.752.116.3.1.1", LEGITIMATIONSNUMMER),
    ("1.2.752.116.3.1.2", FORSKRIVARKOD),
    ("1.2.752.116.1.1.1.1.3", "https://www.icd10.se/"),
    ("1.2.752.116.1.1.1.1.3", "http://hl7.org/fhir/sid/icd-10-se"),
    ("1.2.752.116.1.3.2.1.4", "urn:oid:1.2.752.116.1.3.2.1.4"),
    ("1.2.752.129.2.2.3.1.1", "http://www.whocc.no/atc"),
    ("2.16.840.1.113883.6.73", "http://www.whocc.no/atc"),
    ("1.2.752.129.2.1.5.1", "urn:oid:1.2.752.129.2.1.5.1"),
    ("1.2.752.129.2.1.5.2", "urn:oid:1.2.752.129.2.1.5.2"),
    ("1.2.752.108.1", "urn:oid:1.2.752.108.1"),
    ("1.2.752.116.2.1.1", "http://snomed.info/sct"),
    ("1.2.752.129.2.2.1.1", "urn:oid:1.2.752.129.2.2.1.1"),
    ("1.2.752.129.2.2.1.3", "urn:oid:1.2.752.129.2.2.1.3"),
    ("1.2.752.129.2.2.1.4", "urn:oid:1.2.752.129.2.2.1.4"),
    ("1.2.752.129.2.2.1.17", "urn:oid:1.2.752.129.2.2.1.17"),
    ("1.2.752.129.2.2.1.18", "urn:oid:1.2.752.129.2.2.1.18"),
)
_URI_OF_OID: dict[str, str] = {}
_OID_OF_URI: dict[str, str] = {}
for _oid, _uri in OID_TABLE:
    _URI_OF_OID.setdefault(_oid, _uri)
    _OID_OF_URI.setdefault(_uri, _oid)

# The last three digits before the check digit in Skatteverket's open series of test numbers
# (data set b4de7df7-63c0-4e7e-bb59-1f156a591763): no person is given them.
TEST_SERIALS = frozenset({"238", "239", "980", "981"})
# Reserve numbers this project makes itself: birth date, one of these letters, three digits.
TEST_RESERVE_LETTERS = "TUVXYZ"

_TWELVE = re.compile(r"(\d{8})-?(\d{4})")
_TEN = re.compile(r"(\d{6})([-+]?)(\d{4})")
_RESERVE = re.compile(r"\d{8}(?=[0-9A-Z]{0,3}[A-Z])[0-9A-Z]{4}")
_TEST_RESERVE = re.compile(rf"\d{{8}}[{TEST_RESERVE_LETTERS}]\d{{3}}")
_HSA = re.compile(r"SE(\d{10})-([0-9A-Z]{1,31})")
_SPACES = re.compile(r"\s+")


class BadNumber(ValueError):
    """The text is not a valid number of its kind; the message says which rule it breaks."""


def luhn(digits: str) -> int:
    """The check digit that follows `digits` (weights 2, 1, 2, 1 … from the first)."""
    total = 0
    for place, digit in enumerate(digits):
        product = int(digit) * (2 - place % 2)
        total += product - 9 if product > 9 else product
    return -total % 10


@dataclass(frozen=True, slots=True)
class PersonalNumber:
    """A checked personal number; `value` is its 12 characters."""

    kind: Kind
    value: str

    @property
    def system(self) -> str:
        """The FHIR identifier system."""
        return SYSTEM[self.kind]

    @property
    def display(self) -> str:
        """`YYYYMMDD-NNNN`, as people read it."""
        return f"{self.value[:8]}-{self.value[8:]}"

    def short(self, today: date | None = None) -> str:
        """`YYMMDD-NNNN`, with `+` from the year the person turns 100."""
        year = (today or clock.today()).year
        born = self.birth_date
        sign = "+" if born is not None and year - born.year >= 100 else "-"
        return f"{self.value[2:8]}{sign}{self.value[8:]}"

    @property
    def birth_date(self) -> date | None:
        """The date of birth in the number; None where a reserve number's digits are no date."""
        year, month, day = int(self.value[:4]), int(self.value[4:6]), int(self.value[6:8])
        if self.kind == "samordningsnummer":
            day -= 60
        if self.kind == "reservnummer" and self.value.startswith(("98", "99")):
            # National and Stockholm series put a marker where the century would be.
            short = int(self.value[2:4])
            year = 2000 + short if 2000 + short <= clock.today().year else 1900 + short
        try:
            return date(year, month, day)
        except ValueError:
            return None

    @property
    def sex(self) -> Sex | None:
        """The legal sex in the number; None for a reserve number, which does not say."""
        if self.kind == "reservnummer":
            return None
        return "male" if int(self.value[10]) % 2 else "female"

    @property
    def is_test(self) -> bool:
        """Whether the number is from a series that no real person has."""
        if self.kind == "reservnummer":
            return _TEST_RESERVE.fullmatch(self.value) is not None
        return self.value[8:11] in TEST_SERIALS


def parse(text: str, today: date | None = None) -> PersonalNumber:
    """The personal number that `text` writes, in any common form.

    Twelve digits with or without hyphen and with spaces anywhere (`1937 11 04-2386`), ten digits
    with `-`, `+` or nothing, and reserve numbers in either case. Ten digits mean the youngest person
    born by `today` they can mean; `+` a person who turns at least 100 this year.
    Raises `BadNumber`.
    """
    written = _SPACES.sub("", text).replace("–", "-").replace("−", "-").upper()
    match = _TWELVE.fullmatch(written)
    if match:
        return _checked(match[1] + match[2])
    match = _TEN.fullmatch(written)
    if match:
        return _checked(_century(match[1], match[2], today or clock.today()) + match[1] + match[3])
    bare = written.replace("-", "")
    if _RESERVE.fullmatch(bare):
        return PersonalNumber("reservnummer", bare)
    raise BadNumber(f"{text!r} is not written as a personal number.")


def try_parse(text: str, today: date | None = None) -> PersonalNumber | None:
    """As `parse`, or None when the text is no personal number."""
    try:
        return parse(text, today)
    except BadNumber:
        return None


def is_test_number(text: str) -> bool:
    """Whether `text` is a personal number from the test series (or our marked reserve series)."""
    number = try_parse(text)
    return number is not None and number.is_test


def make_personnummer(born: date | str, serial: str) -> str:
    """Twelve digits from a date of birth (`YYYYMMDD` when text) and a three-digit serial."""
    day = born if isinstance(born, str) else f"{born:%Y%m%d}"
    return f"{day}{serial}{luhn(day[2:] + serial)}"


def _checked(twelve: str) -> PersonalNumber:
    if luhn(twelve[2:11]) != int(twelve[11]):
        raise BadNumber(f"The check digit of {twelve} is wrong.")
    if twelve[8:11] == "000":
        raise BadNumber(f"{twelve} has the serial 000, which nobody is given.")
    kind: Kind = "samordningsnummer" if int(twelve[6:8]) > 60 else "personnummer"
    number = PersonalNumber(kind, twelve)
    if number.birth_date is None:
        raise BadNumber(f"{twelve} holds no date that exists.")
    return number


def _century(six: str, sign: str, today: date) -> str:
    """The first two digits of the year of ten written digits.

    The sign turns to `+` on the first of January of the year a person turns 100. Without it the day
    decides too: on 22 November 2026, 261123 is a person born in 1926. A day that is no date is left
    to the check that follows.
    """
    day = int(six[4:6])
    day = day - 60 if day > 60 else day
    year = today.year - (today.year - int(six[:2])) % 100
    if sign == "+" or (year, int(six[2:4]), day) > (today.year, today.month, today.day):
        year -= 100
    return f"{year // 100:02d}"


def parse_organisation_number(text: str) -> str:
    """Ten digits of an organisationsnummer (`232100-0131`, with or without `16` before it).

    Raises `BadNumber`. The third digit is at least 2, which no birth date has there.
    """
    bare = _SPACES.sub("", text).replace("-", "")
    if len(bare) == 12 and bare.startswith("16"):
        bare = bare[2:]
    if not re.fullmatch(r"\d\d[2-9]\d{7}", bare):
        raise BadNumber(f"{text!r} is not written as an organisation number.")
    if luhn(bare[:9]) != int(bare[9]):
        raise BadNumber(f"The check digit of the organisation number {text} is wrong.")
    return bare


def show_organisation_number(ten: str) -> str:
    """`NNNNNN-NNNN`."""
    return f"{ten[:6]}-{ten[6:]}"


def parse_hsa_id(text: str) -> str:
    """An HSA-id in its one form, upper case: `SE` + organisation number + `-` + suffix.

    Raises `BadNumber`.
    """
    written = _SPACES.sub("", text).upper()
    match = _HSA.fullmatch(written)
    if match is None:
        raise BadNumber(f"{text!r} is not written as an HSA-id.")
    parse_organisation_number(match[1])
    return written


def hsa_id(organisation_number: str, suffix: str) -> str:
    """An HSA-id; also fit to be the id of an `Organization`."""
    return parse_hsa_id(f"SE{organisation_number}-{suffix}")


def uri_of(oid: str) -> str:
    """The URI a FHIR resource carries for an OID: the one of the table, else `urn:oid:`."""
    bare = oid.removeprefix("urn:oid:")
    return _URI_OF_OID.get(bare, f"urn:oid:{bare}")


def oid_of(uri: str) -> str | None:
    """The OID of an identifier or code system; None for one without."""
    known = _OID_OF_URI.get(uri)
    if known is None and uri.startswith("urn:oid:"):
        return uri.removeprefix("urn:oid:")
    return known
