"""Identity numbers: every form people write, and nothing that is wrong."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personnummer import personnummer

from sammanhang.kernel import identifiers as ids

TODAY = date(2026, 11, 22)

# The numbers of HL7 Sweden's base-profile examples: value, kind, birth date, sex.
EXAMPLES = [
    ("195009072553", "personnummer", date(1950, 9, 7), "male"),
    ("189002029800", "personnummer", date(1890, 2, 2), "female"),
    ("189602029812", "personnummer", date(1896, 2, 2), "male"),
    ("196101182803", "personnummer", date(1961, 1, 18), "female"),
    ("196109732393", "samordningsnummer", date(1961, 9, 13), "male"),
    ("199002222397", "personnummer", date(1990, 2, 22), "male"),
    ("200001252386", "personnummer", date(2000, 1, 25), "female"),
    ("200302022389", "personnummer", date(2003, 2, 2), "female"),
    ("20210325K069", "reservnummer", date(2021, 3, 25), None),
    ("98240301AA06", "reservnummer", date(2024, 3, 1), None),
]


@pytest.mark.parametrize(("value", "kind", "born", "sex"), EXAMPLES)
def test_reads_the_numbers_of_hl7_sweden(value, kind, born, sex):
    number = ids.parse(value)
    assert (number.value, number.kind, number.birth_date, number.sex) == (value, kind, born, sex)
    assert number.system == ids.SYSTEM[kind]


@pytest.mark.parametrize(
    "written",
    [
        "193711042386",
        "19371104-2386",
        "1937 11 04-2386",
        " 19371104 2386 ",
        "371104-2386",
        "3711042386",
        "19371104–2386",
    ],
)
def test_reads_every_common_form(written):
    number = ids.parse(written, TODAY)
    assert number.value == "193711042386"
    assert number.display == "19371104-2386"
    assert number.is_test


def test_ten_digits_mean_the_youngest_person_already_born():
    tomorrow = ids.make_personnummer("19261123", "238")
    assert ids.parse(tomorrow[2:8] + "-" + tomorrow[8:], TODAY).birth_date == date(1926, 11, 23)
    today = ids.make_personnummer("20261122", "238")
    assert ids.parse(today[2:], TODAY).birth_date == TODAY


def test_plus_means_a_hundred_years_earlier():
    assert ids.parse("121212+1212", TODAY).value == "191212121212"
    assert ids.parse("191212121212").short(TODAY) == "121212+1212"
    assert ids.parse("193711042386").short(TODAY) == "371104-2386"


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "193711042387", "193713042386", "20230229-2389", "1937110423", "19371104238",
     "193711040003", "1937-11-04-2386-1", "20210325k06", "16232100-0131"],
)  # fmt: skip
def test_refuses_what_is_no_number(wrong):
    with pytest.raises(ids.BadNumber):
        ids.parse(wrong, TODAY)
    assert ids.try_parse(wrong, TODAY) is None


def test_reserve_numbers_are_read_in_lower_case_and_with_hyphen():
    assert ids.parse("20210325-k069").value == "20210325K069"


def test_only_test_series_are_test_numbers():
    assert ids.is_test_number("19371104-2386")
    assert ids.is_test_number("20210325T001")
    assert not ids.is_test_number("195009072553")
    assert not ids.is_test_number("20210325K069")
    assert not ids.is_test_number("nonsense")


@given(
    born=st.dates(min_value=date(1900, 1, 1), max_value=date(2026, 11, 22)),
    serial=st.integers(1, 999),
    coordination=st.booleans(),
)
def test_agrees_with_the_personnummer_library(born, serial, coordination):
    day = f"{born:%Y%m}{born.day + 60 * coordination:02d}"
    made = ids.make_personnummer(day, f"{serial:03d}")
    assert personnummer.valid(made)
    number = ids.parse(made)
    theirs = personnummer.parse(made)
    assert number.birth_date == theirs.get_date() == born
    assert (number.sex == "male") == theirs.is_male()
    assert ids.parse(number.short(TODAY), TODAY).value == made


@pytest.mark.asvs("v5.0.0-2.2.1")
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text):
    number = ids.try_parse(text)
    assert number is None or len(number.value) == 12


def test_organisation_numbers():
    assert ids.parse_organisation_number("232100-0131") == "2321000131"
    assert ids.parse_organisation_number("162321000131") == "2321000131"
    assert ids.show_organisation_number("2321000131") == "232100-0131"
    for wrong in ("232100-0132", "193711-0423", "23210001", "abc"):
        with pytest.raises(ids.BadNumber):
            ids.parse_organisation_number(wrong)


def test_hsa_ids():
    assert ids.parse_hsa_id("se2321000131-e000000000001") == "SE2321000131-E000000000001"
    assert ids.hsa_id("2321000131", "P000000123456") == "SE2321000131-P000000123456"
    for wrong in ("SE2321000131", "SE2321000132-E1", "NO2321000131-E1", "SE2321000131-"):
        with pytest.raises(ids.BadNumber):
            ids.parse_hsa_id(wrong)


def test_oids_and_uris_map_both_ways():
    for oid, uri in ids.OID_TABLE:
        assert ids.oid_of(uri) is not None
        assert ids.oid_of(ids.uri_of(oid)) in (oid, ids.oid_of(uri))
    assert ids.uri_of("1.2.752.129.2.1.3.1") == ids.PERSONNUMMER
    assert ids.oid_of(ids.PERSONNUMMER) == "1.2.752.129.2.1.3.1"
    assert ids.uri_of("urn:oid:1.2.3") == "urn:oid:1.2.3"
    assert ids.oid_of("http://example.org/unknown") is None
