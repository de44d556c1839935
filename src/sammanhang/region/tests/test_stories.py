"""Svea and Greta: the people whose stories later work plays."""

from __future__ import annotations

from base64 import b64decode
from datetime import date, timedelta

import pytest

from sammanhang.kernel.owner import PROVIDER
from sammanhang.region.days import TODAY
from sammanhang.region.numbers import TAKEN
from sammanhang.region.organisations import named
from sammanhang.region.staff import named_people, roster
from sammanhang.region.stories import cast, stories


@pytest.fixture(scope="module")
def told():
    return {f"{type(r).__name__}/{r.id}": r for r in stories(1, 300)}


def _of(told, kind, patient):
    return [
        r
        for key, r in told.items()
        if key.startswith(f"{kind}/")
        and (getattr(r, "subject", None) or r.patient).reference == f"Patient/{patient}"
    ]


def test_their_numbers_are_kept_from_other_residents():
    assert {who.identity for who in cast().values()} == TAKEN


def test_svea_has_the_illnesses_and_medicines_of_the_story(told):
    svea = told["Patient/svea-andersson"]
    assert svea.identifier[0].value == "193711042386"
    assert svea.contact[0].name.text == "Lars Andersson"
    codes = {c.code.coding[0].code for c in _of(told, "Condition", "svea-andersson")}
    assert {"I50.9", "I48.9", "E11.9", "M16.1"} <= codes
    active = [
        m.medicationCodeableConcept.text
        for m in _of(told, "MedicationRequest", "svea-andersson")
        if m.status == "active"
    ]
    assert len(active) == 7
    assert any(t.startswith("Apixaban 2,5 mg") for t in active)
    allergy = told["AllergyIntolerance/svea-andersson-penicillin"]
    assert (
        allergy.criticality == "high" and allergy.reaction[0].manifestation[0].text == "Anafylaxi"
    )


def test_svea_was_discharged_on_the_third_and_potassium_is_high(told):
    stay = told["Encounter/svea-andersson-vardtillfalle"]
    assert stay.status == "finished" and stay.period.end.startswith("2026-11-03")
    assert stay.serviceProvider.display == "Medicinavdelning 3 SÄS"
    latest = max(
        (o for o in _of(told, "Observation", "svea-andersson") if o.code.text == "P-Kalium"),
        key=lambda o: o.effectiveDateTime,
    )
    assert str(latest.valueQuantity.value) == "5.4"
    assert latest.interpretation[0].coding[0].code == "H"
    weights = sorted(
        (o.effectiveDateTime, o.valueQuantity.value)
        for o in _of(told, "Observation", "svea-andersson")
        if o.code.text == "Kroppsvikt"
    )
    assert str(weights[-1][1]) == "68.9"


def test_svea_is_enrolled_in_home_care_and_shares_with_the_municipality(told):
    unit = named("Hemsjukvård Centrum, Borås")
    episode = told["EpisodeOfCare/svea-andersson-hemsjukvard"]
    assert episode.status == "active"
    assert episode.managingOrganization.reference == f"Organization/{unit.id}"
    permit = told["Consent/svea-andersson-samtycke"]
    assert permit.provision.type == "permit"
    assert permit.provision.actor[0].reference.reference == f"Organization/{unit.provider}"
    assert told["Consent/svea-andersson-yttre-sparr"].provision.type == "deny"
    assert told["Appointment/svea-andersson-hembesok"].start.startswith("2026-11-24T10:00")


def test_greta_grows_is_vaccinated_and_called_to_the_health_talk(told):
    greta = told["Patient/greta-lindgren"]
    assert len(greta.contact) == 2
    assert sum(k.startswith("RelatedPerson/greta") for k in told) == 2
    heights = [
        float(o.valueQuantity.value)
        for o in sorted(
            _of(told, "Observation", "greta-lindgren"), key=lambda o: o.effectiveDateTime
        )
        if o.code.text == "Kroppslängd"
    ]
    assert heights == sorted(heights) and len(heights) > 15
    vaccines = [v.vaccineCode.text for v in _of(told, "Immunization", "greta-lindgren")]
    assert vaccines.count("MPR-vaccin") == 2 and "HPV-vaccin" not in vaccines
    board = named("Elevhälsans medicinska insats Centrum, Borås").provider
    notes = [
        n
        for n in _of(told, "DocumentReference", "greta-lindgren")
        if {t.system: t.code for t in n.meta.tag}[PROVIDER] == board
    ]
    assert any("ont i magen" in b64decode(n.content[0].attachment.data).decode() for n in notes)
    assert told["Appointment/greta-lindgren-halsosamtal"].start.startswith("2026-11-26")


def test_a_story_moves_with_today():
    later = TODAY + timedelta(days=30)
    moved = {f"{type(r).__name__}/{r.id}": r for r in stories(1, 300, today=later)}
    assert moved["Patient/svea-andersson"].birthDate == "1937-11-04"
    start = moved["Appointment/svea-andersson-hembesok"].start
    assert date.fromisoformat(start[:10]) == date(2026, 12, 24)


def test_staff_who_are_residents_bear_the_number_of_their_patient():
    for person in named_people().values():
        if person.number:
            assert cast()[person.id].identity == person.number
            assert cast()[person.id].name == f"{person.given} {person.family}"
    assert sum(bool(p.number) for p in named_people().values()) == 2


def test_who_came_this_month_has_written_nothing():
    here = roster(1, 300)
    assert "helena-lund-1" not in str(here)
