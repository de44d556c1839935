"""Search by value: dates, numbers, quantities, strings, tokens and URIs, with known answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from sammanhang.rest.tests.api import Api, observation, patient

UCUM = "http://unitsofmeasure.org"


def dated(id: str, value: Any) -> dict[str, Any]:
    kind = "effectiveDateTime" if isinstance(value, str) else "effectivePeriod"
    return observation(id, code="dates", **{kind: value})


DATES: list[dict[str, Any]] = [
    dated("year", "2020"),
    dated("month", "2020-05"),
    dated("day", "2020-05-17"),
    dated("minute", "2020-05-17T10:30:00+02:00"),
    dated("zulu", "2020-05-17T23:30:00Z"),  # 18 May in Stockholm
    dated("fraction", "2020-05-17T10:30:00.500+02:00"),
    dated("spring", {"start": "2020-03-01", "end": "2020-05-31"}),
    dated("open", {"start": "2020-05-10"}),
    dated("until", {"end": "2020-05-10"}),
    dated("later", "2021-06-01"),
]


def measured(id: str, what: str, **quantity: Any) -> dict[str, Any]:
    unit = {"system": UCUM, "code": quantity.pop("code")} if "code" in quantity else {}
    return observation(id, code=what, valueQuantity=quantity | unit)


QUANTITIES: list[dict[str, Any]] = [
    measured("mg5400", "mass", value=5400, code="mg", unit="milligram"),
    measured("g5", "mass", value=5.4, code="g", unit="g"),
    measured("g6", "mass", value=6, code="g", unit="g"),
    measured("less5", "mass", value=5, code="g", comparator="<", unit="g"),
    measured("more7", "mass", value=7, code="g", comparator=">", unit="g"),
    measured("pound", "mass", value=5, unit="pound"),
    measured("own", "mass", value=5.4, unit="x") | {"valueQuantity": {"value": 5.4, "system": "http://own", "code": "x"}},
    measured("fever", "heat", value=101.3, code="[degF]"),
    measured("normal", "heat", value=37.0, code="Cel"),
    measured("cold", "heat", value=0, code="Cel"),
    measured("ph", "acid", value=7.4, code="[pH]"),
]  # fmt: skip

PEOPLE: list[dict[str, Any]] = [
    patient("anna", "Åkesson", identifier=[{"system": "http://id", "value": "1"}]) | {"gender": "female"},
    patient("asa", "Akeson") | {"name": [{"family": "Lind", "given": ["Åsa", "Maria"]}]},
    patient("rene", "René-Müller", address=[{"city": "Göteborg", "line": ["Kungsgatan 1"]}]),
    patient("percent", "100%_sure"),
    patient("slash", "back\\slash"),
    patient("quote", "O'Hara"),
    patient("comma", "Berg, Dahl"),
    patient("spaces", "von   der  Leyen"),
    patient("long", "x" * 1500),
    patient("tel", "Tel", telecom=[{"system": "phone", "value": "031-1"}, {"system": "email", "value": "a@b.se"}]),
    patient("mr", "Mr", identifier=[
        {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}],
                  "text": "Journalnummer"}, "system": "http://mr", "value": "77"}]),
    patient("nosystem", "None", identifier=[{"value": "1"}]),
    patient("alive", "Alive", active=True, deceasedBoolean=False),
    patient("dead", "Dead", active=False, deceasedDateTime="2020-01-01"),
]  # fmt: skip

CODED: list[dict[str, Any]] = [
    observation("c1", code="a"),
    observation("c2", code="b", category=[{"coding": [{"system": "http://x|y", "code": "p,q$r|s"}]}]),
    observation("c3", code="c") | {"code": {"text": "Blodtryck sittande"}},
    observation("c4", code="d") | {"code": {"coding": [{"system": "http://s", "code": "d", "display": "Puls"}]}},
    observation("c5", code="e", status="preliminary"),
]  # fmt: skip

OTHERS: list[dict[str, Any]] = [
    {"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://ex.org/vs/a"},
    {"resourceType": "ValueSet", "id": "v2", "status": "draft", "url": "http://ex.org/vs/a/b"},
    {"resourceType": "ValueSet", "id": "v3", "status": "draft", "url": "http://ex.org/vs/ab"},
    {"resourceType": "ValueSet", "id": "v4", "status": "draft", "url": "http://ex.org/vs_a/%/b"},
    {"resourceType": "RiskAssessment", "id": "r1", "status": "final", "subject": {"reference": "Patient/anna"},
     "prediction": [{"probabilityDecimal": 0.5}]},
    {"resourceType": "RiskAssessment", "id": "r2", "status": "final", "subject": {"reference": "Patient/anna"},
     "prediction": [{"probabilityDecimal": 0.52}]},
    {"resourceType": "RiskAssessment", "id": "r3", "status": "final", "subject": {"reference": "Patient/anna"},
     "prediction": [{"probabilityDecimal": 0.9}]},
    {"resourceType": "Encounter", "id": "amb", "status": "finished",
     "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}},
    {"resourceType": "Encounter", "id": "imp", "status": "finished",
     "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ACUTE"}},
]  # fmt: skip


@pytest_asyncio.fixture
async def known(fhir: Api) -> Api:
    """The API with the resources above stored once."""
    if (await fhir.get("Patient/anna")).status == 404:
        await fhir.store(*DATES, *QUANTITIES, *PEOPLE, *CODED, *OTHERS)
    return fhir


async def found(fhir: Api, type_name: str, query: str) -> set[str]:
    return set(await fhir.search(f"{type_name}?{query}&_count=100"))


# dates: the value's interval against the search's interval

MAY17 = {"minute", "fraction", "day"}


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2020", "year month day minute zulu fraction spring"),
        ("2020-05", "month day minute zulu fraction"),
        ("2020-05-17", "day minute fraction"),
        ("2020-05-18", "zulu"),
        ("2020-05-17T10:30:00%2B02:00", "minute fraction"),
        ("2020-05-17T08:30:00Z", "minute fraction"),
        ("2020-05-17T08:30Z", "minute fraction"),
        ("2020-05-17T10:30:00.5%2B02:00", "fraction"),
        ("2020-05-17T10:30:00+02:00", "minute fraction"),  # a plus not encoded
        ("eq2021-06-01", "later"),
        ("ne2020", "open until later"),
        ("gt2020-05-17", "year month zulu spring open later"),
        ("lt2020-05-17", "year month spring open until"),
        ("ge2020-05-17", "year month day minute zulu fraction spring open later"),
        ("le2020-05-17", "year month day minute fraction spring open until"),
        ("sa2020-05-17", "zulu later"),
        ("eb2020-05-17", "until"),
        ("sa2020", "later"),
        ("eb2020-03-01", ""),
        ("gt2021-06-01", "open"),
        ("lt2020", "until"),
        ("2021-06-01,2020-05-18", "zulu later"),
    ],
)
async def test_dates_compare_as_intervals(known: Api, date: str, expected: str) -> None:
    assert await found(known, "Observation", f"code=dates&date={date}") == {*expected.split()}


async def test_two_dates_make_a_span(known: Api) -> None:
    query = "code=dates&date=ge2020-05-17T00:00:00Z&date=lt2020-05-19&date=sa2020-05-11"
    assert await found(known, "Observation", query) == MAY17 | {"zulu"}


async def test_approximately_is_nearness_in_time(known: Api) -> None:
    near = await found(known, "Observation", "code=dates&date=ap2021-06-05")
    assert "later" in near and "until" not in near


async def test_a_birth_date_is_searched_by_any_precision(known: Api) -> None:
    await known.store(patient("born", birthDate="1950-03"))
    for date, hit in (
        ("1950", True),
        ("1950-03", True),
        ("1950-03-01", False),
        ("lt1951", True),
        ("gt1951", False),
    ):
        assert ("born" in await found(known, "Patient", f"birthdate={date}")) is hit, date


@pytest.mark.parametrize(
    "date",
    ["yesterday", "2020-13", "2020-02-30", "202", "2_20", "2020-5-1", "2020-05-17T10", "xx2020", "ge",
     "2020-05-17T25:00Z", "٢٠٢٠", "+202", "0000", "2020-05-17T10:30:00+99:00", "2020-W01-1", "2020-05-17Z"],
)  # fmt: skip
async def test_what_is_no_date_is_refused(known: Api, date: str) -> None:
    for p in ("Observation?date", "Patient?birthdate", "Patient?_lastUpdated"):
        reply = await known.get(f"{p}={quote(date)}")
        assert reply.status == 400, reply


async def test_the_ends_of_the_calendar_are_dates_too(known: Api) -> None:
    for date in (
        "0001",
        "9999",
        "9999-12",
        "9999-12-31",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ):
        for prefix in ("", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"):
            reply = await known.get(f"Observation?date={prefix}{date}&_lastUpdated={prefix}{date}")
            assert reply.status == 200, (prefix, date, reply)


async def test_last_updated_is_an_instant(known: Api) -> None:
    at = (await known.get("Patient/anna")).json["meta"]["lastUpdated"]
    for prefix, hit in (("", True), ("eq", True), ("ge", True), ("le", True), ("ap", True),
                        ("gt", False), ("lt", False), ("sa", False), ("eb", False), ("ne", False)):  # fmt: skip
        assert ("anna" in await found(known, "Patient", f"_lastUpdated={prefix}{at}")) is hit, (
            prefix
        )
    day = at[:10]
    for prefix, hit in (("", True), ("gt", False), ("lt", False), ("ge", True), ("le", True)):
        reply = await found(known, "Patient", f"_lastUpdated={prefix}{day}")
        assert ("anna" in reply) is hit or at[11:13] > "22", prefix


# quantities


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"5400|{UCUM}|mg", "mg5400 g5"),
        (f"5.4|{UCUM}|g", "mg5400 g5"),
        (f"0.0054|{UCUM}|kg", "mg5400 g5"),
        (f"ge5.4|{UCUM}|g", "mg5400 g5 g6 more7"),
        (f"le5.4|{UCUM}|g", "mg5400 g5 less5"),
        (f"gt5.4|{UCUM}|g", "g6 more7"),
        (f"lt5.4|{UCUM}|g", "less5"),
        (f"ne5.4|{UCUM}|g", "g6 less5 more7"),
        (f"sa5.4|{UCUM}|g", "g6 more7"),
        (f"eb5.4|{UCUM}|g", "less5"),
        (f"gt6000|{UCUM}|mg", "more7"),
        (f"lt4|{UCUM}|g", "less5"),
        (f"ap5.5|{UCUM}|g", "mg5400 g5 g6 less5"),
        ("5.4", "g5 own"),
        ("5.4||g", "g5"),
        ("5||pound", "pound"),
        ("5.4|http://own|x", "own"),
        (f"5.4|{UCUM}|mL", ""),
        (f"5400|{UCUM}|mg,6|{UCUM}|g", "mg5400 g5 g6"),
    ],
)
async def test_quantities_compare_in_canonical_units(known: Api, value: str, expected: str) -> None:
    assert await found(known, "Observation", f"code=mass&value-quantity={value}") == {
        *expected.split()
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"38.5|{UCUM}|Cel", "fever"),
        (f"gt37|{UCUM}|Cel", "fever"),
        (f"98.6|{UCUM}|[degF]", "normal"),
        (f"32|{UCUM}|[degF]", "cold"),
        (f"lt310|{UCUM}|K", "cold"),
        (f"ge37.0|{UCUM}|Cel", "fever normal"),
        (f"le98.6|{UCUM}|[degF]", "normal cold"),
    ],
)
async def test_temperatures_convert_with_their_offset(
    known: Api, value: str, expected: str
) -> None:
    assert await found(known, "Observation", f"code=heat&value-quantity={value}") == {
        *expected.split()
    }


@pytest.mark.parametrize(
    "value",
    ["x", "5|g", "|http://x|g", "5|a|b|c", "1e999|a|b", "NaN", "inf", "0x10", "1_000", "--5"],
)
async def test_what_is_no_quantity_is_refused(known: Api, value: str) -> None:
    assert (await known.get(f"Observation?value-quantity={value}")).status == 400


# numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.5", "r1 r2"), ("0.50", "r1"), ("0.52", "r2"), ("gt0.5", "r2 r3"), ("lt0.52", "r1"),
        ("ge0.52", "r2 r3"), ("le0.52", "r1 r2"), ("ne0.50", "r2 r3"), ("5e-1", "r1 r2"), ("1", "r1 r2 r3"),
        ("ap0.5", "r1 r2"), ("sa0.52", "r3"), ("eb0.52", "r1"), ("-0.5", ""), ("0.9,0.50", "r1 r3"),
    ],
)  # fmt: skip
async def test_numbers_have_the_precision_they_are_written_with(
    known: Api, value: str, expected: str
) -> None:
    assert await found(known, "RiskAssessment", f"probability={value}") == {*expected.split()}


# strings


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("family=åkesson", "anna"), ("family=AKES", "anna"), ("family=akesson", "anna"),
        ("family:exact=Åkesson", "anna"), ("family:exact=åkesson", ""), ("family:contains=KESS", "anna"),
        ("given=asa", "asa"), ("given=maria", "asa"), ("name=lind", "asa"), ("name=ari", ""),
        ("name:contains=ARI", "asa"), ("family=rene", "rene"), ("family=René-mu", "rene"),
        ("family:contains=müller", "rene"), ("address-city=goteborg", "rene"), ("address=kungsg", "rene"),
        ("family=100%25", "percent"), ("family=100_", ""), ("family:contains=%25_s", "percent"),
        ("family:contains=_", "percent"), ("family=%25", ""), ("family=back%5C%5C", "slash"),
        ("family=back%5Cslash", "slash"), ("family:contains=%5C%5Csl", "slash"), ("family=o'h", "quote"),
        ("family=berg%5C, dahl", "comma"), ("family=berg,lind", "asa comma"), ("family:exact=Berg%5C, Dahl", "comma"),
        ("family=von der", "spaces"), ("family=von%20%20der leyen", "spaces"), ("family:exact=von   der  Leyen", "spaces"),
        ("family=von der leyenx", ""), ("phonetic=lind", "asa"),
    ],
)  # fmt: skip
async def test_strings_match_as_people_write_them(known: Api, query: str, expected: str) -> None:
    assert await found(known, "Patient", query.replace(" ", "%20")) == {*expected.split()}


async def test_long_strings_are_found_by_what_is_kept_of_them(known: Api) -> None:
    for n in (50, 999, 1000, 1500):
        assert await found(known, "Patient", f"family={'x' * n}") == {"long"}, n
    assert await found(known, "Patient", f"family:exact={'x' * 1500}") == {"long"}
    assert await found(known, "Patient", f"family:exact={'x' * 50}") == set()


# tokens


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("identifier=1", "anna nosystem"), ("identifier=http://id|1", "anna"), ("identifier=|1", "nosystem"),
        ("identifier=http://id|", "anna"), ("identifier=http://other|1", ""), ("identifier=77", "mr"),
        ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|77", "mr"),
        ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|78", ""),
        ("identifier:text=journal", "mr"), ("gender=female", "anna"),
        ("gender=http://hl7.org/fhir/administrative-gender|female", "anna"),
        ("active=true", "alive"), ("active=false", "dead"), ("deceased=true", "dead"),
        ("phone=031-1", "tel"), ("email=a@b.se", "tel"), ("phone=a@b.se", ""), ("telecom=a@b.se", "tel"),
        ("identifier=http://id|1,http://mr|77", "anna mr"), ("gender:missing=false", "anna"),
        ("identifier:missing=false", "anna mr nosystem"),
        ("gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "anna"),
    ],
)  # fmt: skip
async def test_tokens_match_in_all_their_forms(known: Api, query: str, expected: str) -> None:
    assert await found(known, "Patient", query) == {*expected.split()}


async def test_not_finds_those_without_the_value_too(known: Api) -> None:
    everyone = await found(known, "Patient", "")
    assert await found(known, "Patient", "gender:not=female") == everyone - {"anna"}
    assert await found(known, "Patient", "gender:missing=true") == everyone - {"anna"}
    assert await found(known, "Patient", "identifier:not=1,77") == everyone - {
        "anna",
        "nosystem",
        "mr",
    }
    assert await found(known, "Patient", "gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender") == everyone - {"anna"}  # fmt: skip
    assert await found(known, "Patient", "deceased=false") == everyone - {"dead"}
    assert await found(known, "Patient", "_id:not=anna") == everyone - {"anna"}
    many = ",".join(["http://id|1", *(f"http://id|{n}" for n in range(2, 30))])
    assert await found(known, "Patient", f"identifier:not={many}") == everyone - {"anna"}


async def test_codes_match_with_their_marks_escaped(known: Api) -> None:
    for form in (r"http://x%5C|y|p%5C,q%5C$r%5C|s", r"p%5C,q%5C$r%5C|s", r"http://x%5C|y|"):
        assert await found(known, "Observation", f"category={form}") == {"c2"}, form
    assert await found(known, "Observation", "category=p,q") == set()


async def test_text_searches_what_people_wrote(known: Api) -> None:
    assert await found(known, "Observation", "code:text=blodtryck") == {"c3"}
    assert await found(known, "Observation", "code:text=PULS") == {"c4"}
    for text in ("blödtryck", "BLODTRYCK", "blòdt"):
        assert await found(known, "Observation", f"code:text={text}") == {"c3"}, text
    assert await found(known, "Observation", "code:text=sittande") == set()
    assert await found(known, "Observation", "code:text=.*") == set()


async def test_above_and_below_follow_the_code_system(known: Api) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert await found(known, "Encounter", f"class:below={system}|IMP") == {"imp"}
    assert await found(known, "Encounter", f"class:above={system}|ACUTE") == {"imp"}
    assert await found(known, "Encounter", f"class:below={system}|AMB") == {"amb"}
    assert (await known.get("Encounter?class:below=http://unknown|x")).status == 400
    assert (await known.get("Encounter?class:in=http://unknown")).status == 400


# uris


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("url=http://ex.org/vs/a", "v1"), ("url=http://ex.org/vs", ""), ("url=HTTP://ex.org/vs/a", ""),
        ("url:below=http://ex.org/vs", "v1 v2 v3"), ("url:below=http://ex.org/vs/a", "v1 v2"),
        ("url:below=http://ex.org/vs/", "v1 v2 v3"), ("url:below=http://ex.org/vs_a", "v4"),
        ("url:above=http://ex.org/vs/a/b/c", "v1 v2"), ("url:above=http://ex.org/vs/ab", "v3"),
        ("url=http://ex.org/vs/a,http://ex.org/vs/ab", "v1 v3"), ("url:missing=true", ""),
        ("url=http://ex.org/vs_a/%25/b", "v4"),
    ],
)  # fmt: skip
async def test_uris_match_whole_or_by_their_path(known: Api, query: str, expected: str) -> None:
    assert await found(known, "ValueSet", query) == {*expected.split()}


async def test_two_hundred_values_are_one_question(known: Api) -> None:
    many = [f"u{n}" for n in range(200)]
    assert await found(known, "Patient", f"_id={','.join([*many, 'anna'])}") == {"anna"}
    assert await found(known, "Patient", f"identifier={','.join([*many, '77'])}") == {"mr"}
    assert await found(known, "Patient", f"family={','.join([*many, 'lind'])}") == {"asa"}
    assert await found(known, "Observation", f"patient=anna&code={','.join([*many, 'a'])}") == set()
    dates = ",".join(f"1{n:03}" for n in range(200))
    assert await found(known, "Observation", f"date={dates}") == set()
    assert (await known.get(f"Patient?_id={','.join(f'u{n}' for n in range(501))}")).status == 400


async def test_value_sets_of_the_record_can_be_searched_by(known: Api) -> None:
    """`:in` with a value set, and a code system it draws on, that were loaded and not shipped."""
    codes = "http://ex.org/own-codes"
    await known.store(
        {
            "resourceType": "CodeSystem", "id": "own-codes", "url": codes, "status": "active", "content": "complete",
            "concept": [{"code": "one"}, {"code": "two"}],
        },
        {
            "resourceType": "ValueSet", "id": "own", "url": "http://ex.org/own", "status": "active",
            "compose": {"include": [{"system": codes}, {"system": "http://ex.org/more", "concept": [{"code": "three"}]}]},
        },
        {
            "resourceType": "ValueSet", "id": "endless", "url": "http://ex.org/endless", "status": "active",
            "compose": {"include": [{"system": "http://ex.org/nowhere"}]},
        },
        *(
            {
                "resourceType": "Basic", "id": f"own-{code}", "code": {"coding": [{"system": system, "code": code}]},
            }
            for system, code in ((codes, "two"), ("http://ex.org/more", "three"), (codes, "four"), ("http://x", "one"))
        ),
    )  # fmt: skip
    inside = {"own-two", "own-three"}
    for name in (
        "http://ex.org/own",
        "ValueSet/own",
        "http://127.0.0.1:8000/fhir/ValueSet/own",
        "http://ex.org/own%7C1.0",
    ):
        assert await found(known, "Basic", f"code:in={name}") == inside, name
    outside = await found(known, "Basic", "code:not-in=http://ex.org/own")
    assert {"own-four", "own-one"} <= outside and not inside & outside
    for name in ("http://ex.org/endless", "ValueSet/endless", "ValueSet/absent", "http://ex.org/x"):
        reply = await known.get(f"Basic?code:in={name}")
        assert reply.status == 400 and "cannot be enumerated" in reply.words, reply
