"""A consent is recorded once and seen everywhere; it is taken back in one click, by staff or by the patient."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from sammanhang.kernel import clock

NISSE = "/patients/nisse-nod"
SAID = {"do": "record", "kind": "sammanhallen-dokumentation", "how": "muntligt", "who": "patient", "informed": "yes"}  # fmt: skip


@pytest.fixture
def town(own_town):
    """These tests leave consents behind, so they have a region of their own."""
    return own_town


def ids(page) -> list[str]:
    return re.findall(r'name="consent" value="([^"]+)"', page.text)


async def withdraw_all(browser) -> None:
    page = await browser.get(f"{NISSE}/consents")
    for id in ids(page):
        await browser.post(f"{NISSE}/consents", {"do": "withdraw", "consent": id}, page)


async def test_what_another_wrote_is_read_once_the_patient_has_said_yes(amira):
    hidden = await amira.get(f"{NISSE}/hidden")
    assert f"{NISSE}/consents?kind=sammanhallen-dokumentation" in hidden.text
    page = await amira.get(f"{NISSE}/consents?kind=sammanhallen-dokumentation")
    assert re.search(r'value="sammanhallen-dokumentation" required checked', page.text)
    chart = await amira.post(f"{NISSE}/consents", SAID | {"until": "90"}, page)
    assert chart.url.path == NISSE
    assert "Samtycke finns" in chart.text and "/hidden#no-consent" not in chart.text
    everything = await amira.get(f"{NISSE}/hidden")
    assert "Allt som finns i journalen" in everything.text

    page = await amira.get(f"{NISSE}/consents")
    said = " ".join(page.text.split())
    assert "frågat av Amira Haddad" in said and "Patienten, Muntligt, på plats" in said
    last = clock.today() + timedelta(days=90)
    assert f"till och med {last}" in said
    page = await amira.post(f"{NISSE}/consents", {"do": "withdraw", "consent": ids(page)[0]}, page)
    assert ids(page) == []
    assert "/hidden#no-consent" in (await amira.get(NISSE)).text


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"informed": ""}, "Personen ska först få veta"),
        ({"kind": ""}, "Välj vad som ska registreras"),
        ({"how": "telepati"}, "Välj hur det sades"),
        ({"who": "grannen"}, "Välj vem som sa det"),
        ({"until": "day", "day": "i morgon"}, "Skriv dagen som"),
        ({"until": "day", "day": "2020-01-01"}, "Sista dagen har redan varit"),
        ({"until": "9999"}, "Sista dagen ligger för långt fram"),
    ],
)
async def test_what_is_missing_is_said_and_nothing_is_stored(amira, more, says):
    page = await amira.get(f"{NISSE}/consents")
    wrong = await amira.post(f"{NISSE}/consents", SAID | more, page)
    assert wrong.status_code == 400 and says in wrong.text
    assert ids(await amira.get(f"{NISSE}/consents")) == []


async def test_an_assignment_records_what_it_may_and_no_more(amira):
    page = await amira.get(f"{NISSE}/consents")
    assert 'value="sip"' in page.text
    for kind in ("beslutsoformogen", "forlangd-vardnadshavare", "mognad-sparr", "nonsens"):
        assert f'value="{kind}"' not in page.text
        refused = await amira.post(f"{NISSE}/consents", SAID | {"kind": kind}, page)
        assert refused.status_code == 403, kind
    assert ids(await amira.get(f"{NISSE}/consents")) == []


async def test_a_guardian_sets_no_block_through_staff_either(amira):
    page = await amira.get(f"{NISSE}/consents")
    form = SAID | {"kind": "inre-sparr", "who": "guardian"}
    assert (await amira.post(f"{NISSE}/consents", form, page)).status_code == 403
    page = await amira.post(f"{NISSE}/consents", form | {"who": "patient"}, page)
    assert page.status_code == 200 and len(ids(page)) == 1
    await withdraw_all(amira)


async def test_the_patient_sees_it_and_takes_it_back(amira, as_, services):
    from sammanhang.access import consents
    from sammanhang.access.actor import Actor

    page = await amira.get(f"{NISSE}/consents")
    await amira.post(f"{NISSE}/consents", SAID | {"kind": "sip"}, page)
    (found,) = await consents.held(services.doors, "nisse-nod")
    assert (found.kind, found.how, found.who) == ("sip", "muntligt", "patient")
    assert found.asked_by.startswith("PractitionerRole/")
    nisse = Actor("resident", "Patient/nisse-nod", "Nisse", 3)
    await consents.end(services.doors, nisse, "nisse-nod", found.id)
    assert await consents.held(services.doors, "nisse-nod") == []


async def test_another_providers_consents_are_not_taken_back_here(amira):
    page = await amira.get(f"{NISSE}/consents")
    gone = await amira.post(f"{NISSE}/consents", {"do": "withdraw", "consent": "finns-inte"}, page)
    assert gone.status_code == 404
