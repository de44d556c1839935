"""The generated region: valid, deterministic, complete in itself, like a real county in its proportions."""

from __future__ import annotations

import re
import tracemalloc
from base64 import b64decode
from collections import Counter
from datetime import date

import pytest

from sammanhang.fhir.decode import decode, encode
from sammanhang.fhir.r4 import CLASSES
from sammanhang.kernel.identifiers import is_test_number, parse, parse_hsa_id
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.region.content import table
from sammanhang.region.days import TODAY, moment, weekday
from sammanhang.region.directory import organisations
from sammanhang.region.generate import everything, residents
from sammanhang.region.organisations import region
from sammanhang.region.people import everyone
from sammanhang.region.staff import staff

TOTAL = 300
# About the care organisation or the population register, not written by a unit.
WITHOUT_OWNER = {"Organization", "Location", "HealthcareService", "Practitioner", "Patient"}
_REFERENCE = re.compile(rb'"reference":"([A-Za-z]+/[A-Za-z0-9.-]+)"')


@pytest.fixture(scope="module")
def whole():
    return list(everything(1, TOTAL))


def test_every_resource_validates(whole):
    for resource in whole:
        decode(encode(resource))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    once = [encode(r) for r in residents(7, TOTAL, 0, 60)]
    assert once == [encode(r) for r in residents(7, TOTAL, 0, 60)]
    assert once != [encode(r) for r in residents(8, TOTAL, 0, 60)]


def test_slices_are_independent_of_one_another():
    together = [encode(r) for r in residents(3, TOTAL, 0, 90)]
    apart = [encode(r) for cut in ((0, 31), (31, 62), (62, 90)) for r in residents(3, TOTAL, *cut)]
    assert apart == together


def test_a_slice_outside_the_region_is_refused():
    with pytest.raises(ValueError, match="not within"):
        next(residents(1, 10, 5, 11))


def test_ids_are_unique_and_references_resolve(whole):
    known = Counter(f"{type(r).__name__}/{r.id}" for r in whole)
    assert [key for key, count in known.items() if count > 1] == []
    wanted = {found.decode() for r in whole for found in _REFERENCE.findall(encode(r))}
    assert wanted - known.keys() == set()


def test_each_patient_comes_before_what_belongs_to_it(whole):
    seen = set()
    for resource in whole:
        if type(resource).__name__ == "Patient":
            seen.add(f"Patient/{resource.id}")
        subject = getattr(resource, "subject", None) or getattr(resource, "patient", None)
        if subject is not None:
            assert subject.reference in seen


def test_every_clinical_resource_says_whose_it_is(whole):
    units = region().all
    for resource in whole:
        tags = {tag.system: tag.code for tag in resource.meta.tag or ()} if resource.meta else {}
        if type(resource).__name__ in WITHOUT_OWNER:
            assert not {UNIT, PROVIDER} & set(tags)
            continue
        unit, provider = units[tags[UNIT]], units[tags[PROVIDER]]
        assert unit.provider == provider.id
        assert provider.kind in ("provider", "board")


def test_identity_numbers_are_test_numbers_and_unique(whole):
    patients = [r for r in whole if type(r).__name__ == "Patient"]
    values = [p.identifier[0].value for p in patients]
    assert len(values) == len(set(values))
    for patient in patients:
        number = parse(patient.identifier[0].value)
        assert is_test_number(number.value)
        assert patient.identifier[0].system == number.system
        assert number.birth_date == date.fromisoformat(patient.birthDate)
        assert number.sex in (None, patient.gender)
        assert {c.code for c in patient.meta.security} >= {"HTEST"}


def test_numbers_stay_unique_when_the_test_series_has_run_out():
    # Residents far up in a region of 1.8 million live in the reserve series.
    now = TODAY.toordinal()
    numbers = [
        w.identity for at in (0, 500_000, 1_700_000) for w in everyone(1, at, at + 4000, now)
    ]
    assert len(numbers) == len(set(numbers)) == 12_000
    assert all(is_test_number(n) for n in numbers)


def test_protected_identities_tell_no_address(whole):
    patients = [w for w in residents(1, 2000) if type(w).__name__ == "Patient"]
    labels = {"sekretessmarkering", "skyddadFolkbokforing"}
    protected = [p for p in patients if labels & {c.code for c in p.meta.security}]
    assert 0.002 < len(protected) / len(patients) < 0.03
    for patient in protected:
        assert patient.telecom is None and patient.contact is None
        assert all(a.city == "GÖTEBORG" and "Box 2820" in a.line for a in patient.address or ())


def test_the_population_is_like_the_county():
    people = list(everyone(1, 0, 20_000, TODAY.toordinal()))
    share = {
        c: sum(p.town.code == c for p in people) / len(people) for c in ("1480", "1490", "1438")
    }
    assert 0.30 < share["1480"] < 0.38
    assert 0.05 < share["1490"] < 0.08
    assert share["1438"] < 0.01
    ages = [(TODAY.toordinal() - p.born) / 365.25 for p in people]
    assert 0.17 < sum(a < 18 for a in ages) / len(ages) < 0.24
    assert 0.17 < sum(a >= 65 for a in ages) / len(ages) < 0.24
    assert 0.48 < sum(p.female for p in people) / len(people) < 0.52
    assert all(p.born <= TODAY.toordinal() for p in people)
    children = [p for p, a in zip(people, ages, strict=True) if a < 17]
    assert sum(bool(c.guardians) for c in children) / len(children) > 0.97
    assert all(19 < (c.born - g.born) / 365.25 < 57 for c in children for g in c.guardians)


def test_all_49_municipalities_have_their_boards_as_providers_of_their_own():
    towns = region().municipalities
    assert len(towns) == 49
    for town in towns.values():
        owners = {u.provider for u in (town.home_care[0], town.school_health[0], town.aid[0])}
        assert len(owners) == 3
        assert town.health_centres and town.schools and town.family_care
    for organisation in organisations():
        if type(organisation).__name__ == "Organization":
            assert parse_hsa_id(organisation.id) == organisation.id


def test_staff_in_all_roles_some_of_whom_have_left():
    roles = [r for r in staff(1, TOTAL) if type(r).__name__ == "PractitionerRole"]
    assert {r.code[0].coding[0].code for r in roles} == set(table("staff")["roles"])
    ended = [r for r in roles if not r.active]
    assert 0.01 < len(ended) / len(roles) < 0.1
    assert all(r.period.end and r.period.start < r.period.end for r in ended)


def test_a_unit_cares_for_somebody_now_and_values_make_sense():
    everything_ = list(residents(1, 2000))
    kinds = Counter(type(r).__name__ for r in everything_)
    assert kinds["Patient"] == 2000 and set(kinds) <= set(CLASSES)
    assert 25 < len(everything_) / 2000 < 60
    inpatients = [
        r
        for r in everything_
        if type(r).__name__ == "Encounter" and r.status == "in-progress" and r.class_.code == "IMP"
    ]
    assert inpatients
    hba1c: dict[bool, list[float]] = {True: [], False: []}
    diabetic = {
        r.subject.reference
        for r in everything_
        if type(r).__name__ == "Condition" and r.code.coding[0].code in ("E11.9", "E10.9")
    }
    for r in everything_:
        if type(r).__name__ == "Observation" and r.code.text == "B-HbA1c":
            hba1c[r.subject.reference in diabetic].append(float(r.valueQuantity.value))
    assert sum(hba1c[True]) / len(hba1c[True]) > 46
    # Nobody is measured after death or before birth, and no event but appointments lies ahead.
    for r in everything_:
        when = getattr(r, "effectiveDateTime", None) or getattr(r, "occurrenceDateTime", None)
        assert when is None or when[:10] <= TODAY.isoformat()


def test_notes_are_swedish_text(whole):
    notes = [r for r in whole if type(r).__name__ == "DocumentReference"]
    text = b64decode(notes[0].content[0].attachment.data).decode()
    assert len(text) > 20 and "{" not in text
    assert all(b"{" not in b64decode(n.content[0].attachment.data) for n in notes)


def test_memory_stays_flat():
    for _ in residents(1, 500, 0, 100):
        pass
    tracemalloc.start()
    for _ in residents(1, 500, 100, 150):
        pass
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    for _ in residents(1, 500, 150, 450):
        pass
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 12_000_000
    assert after - before < 6_000_000


def test_swedish_time():
    assert moment(date(2026, 7, 1).toordinal(), 600) == "2026-07-01T10:00:00+02:00"
    assert moment(date(2026, 11, 22).toordinal(), 1500) == "2026-11-23T01:00:00+01:00"
    assert date.fromordinal(weekday(date(2026, 11, 22).toordinal())).isoweekday() == 1
