"""A nurse assesses Svea: the score as she goes, a draft that waits, and a signed result on the chart."""

from __future__ import annotations

import html
import re
from decimal import Decimal

import pytest

from sammanhang.access.actor import Actor
from sammanhang.access.writing import Changes, owner_of
from sammanhang.care.assessments.commands import derived_from
from sammanhang.fhir.r4 import (
    CodeableConcept,
    Coding,
    Flag,
    Observation,
    Period,
    Quantity,
    Reference,
)
from sammanhang.forms import find, prefill

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

SVEA = "/patients/svea-andersson"
DOWNTON = f"{SVEA}/assessments/downton"
CODES = "http://sammanhang.se/fhir/CodeSystem/downton"
FULL = [
    ("form.tidigare-fall", f"{CODES}|fall-ja"), ("form.lakemedel", f"{CODES}|diuretika"),
    ("form.lakemedel", f"{CODES}|antihypertensiva"), ("form.sinnen", f"{CODES}|inga-nedsattningar"),
    ("form.orientering", f"{CODES}|orienterad"), ("form.gang", f"{CODES}|gang-osaker"),
]  # fmt: skip

LOW = [
    ("form.tidigare-fall", f"{CODES}|fall-nej"), ("form.lakemedel", f"{CODES}|inga-lakemedel"),
    ("form.sinnen", f"{CODES}|inga-nedsattningar"), ("form.orientering", f"{CODES}|orienterad"),
    ("form.gang", f"{CODES}|gang-osaker"),
]  # fmt: skip


@pytest.fixture
def town(own_town):
    """These tests write, so they have a region of their own."""
    return own_town


@pytest.fixture
async def amira(as_):
    """A nurse of home care with Svea in her care."""
    return await as_("Amira Haddad", "Centrum")


def hidden(page) -> list[tuple[str, str]]:
    """The hidden fields of the form on a page."""
    form = (
        page.text[page.text.index('class="as-form"') :]
        if 'class="as-form"' in page.text
        else page.text
    )
    return [
        (n, html.unescape(v))
        for n, v in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    ]


async def send(browser, address, page, fields):
    """Posts a form with its hidden fields, every name as often as it stands."""
    from urllib.parse import urlencode

    return await browser.client.post(
        address,
        content=urlencode([*hidden(page), *fields]),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )


async def test_what_the_medication_list_says_is_filled_in_with_its_source(amira):
    page = await amira.get(DOWNTON)
    assert page.status_code == 200
    said = " ".join(page.text.split())
    assert re.search(r'value="[^"]*\|diuretika"[^>]* checked', said)
    assert "Från journalen: " in said and "Furosemid" in said
    assert re.search(r'value="[^"]*\|fall-ja"[^>]* checked', said) and "Upprepade fall" in said
    assert re.search(r'value="[^"]*\|horsel"[^>]* checked', said) and "Hörselnedsättning" in said
    assert "Ofullständig" in said and "2 frågor kvar" in said
    assert amira.queries <= 12


async def test_what_is_missing_is_said_with_a_way_to_it_and_nothing_typed_is_lost(amira):
    page = await amira.get(DOWNTON)
    page = await send(
        amira, DOWNTON, page, [*FULL[:3], ("form.kommentar", "Ramlade i badrummet"), ("do", "sign")]
    )
    assert page.status_code == 422
    assert 'href="#f-form_2e_gang"' in page.text and "Ramlade i badrummet" in page.text
    assert "Välj ett svar." in page.text
    page = await amira.get(DOWNTON)  # kept as a draft
    assert "Ramlade i badrummet" in page.text and "Utkast sparat" in page.text
    page = await send(amira, DOWNTON, page, [("do", "discard")])
    assert page.url.path == f"{SVEA}/assessments"
    assert "Ramlade i badrummet" not in (await amira.get(DOWNTON)).text


async def test_signed_it_is_a_score_with_who_when_version_and_what_it_means(amira, services):
    page = await signed(amira)
    assert page.status_code == 200 and "/assessments/signed/" in page.url.path
    said = " ".join(page.text.split())
    assert "Risk för fall" in said and "fallpreventiv plan" in said
    assert "Amira Haddad" in said and "version 1.0.0" in said
    assert "Osäkert" in said
    listed = await amira.get(f"{SVEA}/assessments")
    assert "Amira Haddad" in listed.text and "version 1.0.0" in listed.text
    chart = await amira.get(SVEA)
    assert f"{SVEA}/assessments" in chart.text


async def test_the_stored_observation_carries_all_of_it(amira, services):
    page = await signed(amira)
    id = page.url.path.rpartition("/")[2]
    record = await hers(services)
    rows = await record.resources("Observation", "QuestionnaireResponse", limit=500)
    response = next(r.resource for r in rows if r.id == id)
    assert response.status == "completed" and response.questionnaire.endswith("/downton|1.0.0")
    o = next(r.resource for r in rows if r.type == "Observation" and r.resource.derivedFrom and r.resource.derivedFrom[0].reference == f"QuestionnaireResponse/{id}")  # fmt: skip
    assert o.valueInteger == 4 and o.status == "final"
    assert o.code.coding[0].code == "downton" and o.category[0].coding[0].code == "survey"
    assert (
        o.interpretation[0].text == "Risk för fall"
        and o.method.text == "Downton fallriskindex, version 1.0.0"
    )
    assert (
        o.performer[0].reference.startswith("PractitionerRole/")
        and "Amira Haddad" in o.performer[0].display
    )


async def test_what_goes_against_the_record_is_said_before_it_is_signed(amira):
    page = await send(amira, DOWNTON, await amira.get(DOWNTON), [*LOW, ("do", "sign")])
    said = " ".join(page.text.split())
    assert page.status_code == 422 and page.url.path == DOWNTON and "Inte signerad än" in said
    assert re.search(r"Journalen säger: Vätskedrivande \(diuretika\): Furosemid[^<]*;", said)
    assert "Du har svarat: Inget av dessa" in said and "Upprepade fall" in said
    # Other answers, other remarks: those have not been seen.
    other = [*LOW[:1], *FULL[1:3], *LOW[2:]]
    page = await send(amira, DOWNTON, page, [*other, ("do", "sign")])
    assert page.status_code == 422 and "Furosemid 40 mg" not in page.text.partition("<form")[0]
    right = [*FULL[:3], ("form.sinnen", f"{CODES}|horsel"), *FULL[4:]]
    page = await send(amira, DOWNTON, await amira.get(DOWNTON), [*right, ("do", "sign")])
    assert "/signed/" in page.url.path


async def hers(services):
    """Svea's record, as she sees it herself."""
    svea = Actor("resident", "Patient/svea-andersson", "Svea Andersson", 3)
    return await services.doors.open_record(svea, "svea-andersson")


async def signed(browser, fields=FULL):
    """A signed Downton, with its remarks seen; the page that came."""
    page = await send(browser, DOWNTON, await browser.get(DOWNTON), [*fields, ("do", "sign")])
    assert page.status_code == 422 and "Signera ändå" in page.text
    page = await send(browser, DOWNTON, page, [*fields, ("do", "sign")])
    assert "/signed/" in page.url.path
    return page


async def warnings(browser) -> str:
    """The warnings of the chart's left column."""
    text = (await browser.get(SVEA)).text
    return " ".join(re.findall(r'<li class="warn.*?</li>', text, re.S))


async def test_the_charts_warning_is_that_of_the_newest_assessment(amira):
    await signed(amira)
    assert "Risk för fall, 4 av 11" in await warnings(amira)
    await signed(amira, LOW)
    assert "Risk för fall" not in await warnings(amira)
    await signed(amira, [*FULL[:-1], ("form.gang", f"{CODES}|gang-saker")])
    said = await warnings(amira)
    assert "Risk för fall, 3 av 11" in said and said.count("Risk för fall") == 1


async def test_an_assessment_that_came_over_the_api_warns_and_an_older_flag_gives_way(
    amira, services
):
    def coding(system, code):
        return CodeableConcept(
            coding=[Coding(system=f"http://sammanhang.se/fhir/CodeSystem/{system}", code=code)],
            text=code,
        )

    first = await (await hers(services)).find("Observation", "svea-andersson-downton")
    owner = owner_of(first.resource)
    assert owner is not None
    changes = Changes.by_system(services.doors, Actor("system", "Device/x", "x", 4), "svea-andersson", owner)  # fmt: skip
    svea, at = Reference(reference="Patient/svea-andersson"), "2026-11-21T08:00:00+01:00"
    changes.create(Observation(status="final", code=coding("assessment", "norton"), subject=svea, effectiveDateTime=at, valueQuantity=Quantity(value=Decimal(17))))  # fmt: skip
    for code, start in (("trycksar", "2026-11-20"), ("smitta", "2026-11-20")):
        changes.create(Flag(status="active", code=coding("flag", code), subject=svea, period=Period(start=start)))  # fmt: skip
    await changes.commit("test")
    said = await warnings(amira)
    assert "Ökad risk för trycksår, 17 av 28" in said and "2026-11-21" in said
    assert "smitta" in said and ">trycksar<" not in said


async def voided(browser, address, reason="Fel patient"):
    return await browser.post(address, {"reason": reason}, await browser.get(DOWNTON))


async def test_a_voided_assessment_says_who_and_why_and_counts_nowhere(amira, services):
    await signed(amira)
    page = await signed(amira, [*FULL[:-1], ("form.gang", f"{CODES}|gang-saker")])
    id = page.url.path.rpartition("/")[2]
    assert "Risk för fall, 3 av 11" in await warnings(amira)
    empty = await voided(amira, page.url.path, " ")
    assert empty.status_code == 400 and "Skriv något först" in empty.text
    page = await voided(amira, page.url.path)
    said = " ".join(page.text.split())
    assert page.status_code == 200 and "Makulerad: räknas inte" in said and "Fel patient" in said
    assert (
        "av Amira Haddad" in said and "Makulera bedömningen" not in said and "Osäkert" not in said
    )
    assert "Risk för fall, 4 av 11" in await warnings(amira)  # the one before counts again
    listed = (await amira.get(f"{SVEA}/assessments")).text
    assert '<s class="tab-num">3</s>' in listed and "makulerad" in listed
    assert "Senast: 4" in (await amira.get(DOWNTON)).text
    record = await hers(services)
    response = await record.find("QuestionnaireResponse", id)
    (score,) = await derived_from(record, id)
    assert response.resource.status == score.resource.status == "entered-in-error"
    form = await find(services.database, "vardbegaran-hemsjukvard")
    known = {o["id"] for o in (await prefill(form, record)).contexts["observations"]}
    assert "svea-andersson-downton" in known and score.id not in known
    again = await voided(amira, page.url.path)
    assert again.status_code == 409 and "redan makulerad" in again.text
    assert (await record.find("QuestionnaireResponse", id)).version == response.version


async def test_only_the_unit_that_signed_may_void(as_):
    karin = await as_("Karin Ek")
    page = await signed(karin)
    assert "Makulera bedömningen" in page.text
    amira = await as_("Amira Haddad", "Centrum")
    seen = await amira.get(page.url.path)
    assert seen.status_code == 200 and "Makulera" not in seen.text
    assert (await voided(amira, page.url.path)).status_code == 403
    assert "Makulerad" not in (await amira.get(page.url.path)).text


async def test_a_draft_is_saved_as_one_types_and_says_what_the_server_makes_of_it(amira):
    page = await amira.get(f"{SVEA}/assessments/norton")
    system = "http://sammanhang.se/fhir/CodeSystem/norton"
    names = (
        "psykiskt",
        "aktivitet",
        "rorlighet",
        "foda",
        "vatska",
        "inkontinens",
        "allmantillstand",
    )
    some = [(f"form.{n}", f"{system}|{n}-3") for n in names[:6]]
    part = await send(amira, f"{SVEA}/forms/draft", page, some)
    assert part.status_code == 200 and "Utkast sparat" in part.text
    assert "<html" not in part.text and "Ofullständig" in part.text
    part = await send(amira, f"{SVEA}/forms/draft", part, [*some, ("form.allmantillstand", f"{system}|allmantillstand-2"), ("csrf", dict(hidden(page))["csrf"])])  # fmt: skip
    assert "Ökad risk för trycksår" in part.text
    again = await amira.get(f"{SVEA}/assessments/norton")
    assert (
        re.search(r'value="[^"]*allmantillstand-2" *checked', again.text)
        or "allmantillstand-2" in again.text
    )
    assert 'class="tag info"' in (await amira.get(f"{SVEA}/assessments")).text


async def test_a_draft_that_was_signed_meanwhile_is_not_begun_again(amira):
    page = await amira.get(DOWNTON)
    first = await send(amira, f"{SVEA}/forms/draft", page, FULL)
    csrf = ("csrf", dict(hidden(page))["csrf"])
    await signed(amira)
    late = await send(amira, f"{SVEA}/forms/draft", first, [*FULL, csrf])
    assert late.status_code == 409 and "signerats eller kastats" in late.text
    assert (
        'class="tag info"'
        not in (await amira.get(f"{SVEA}/assessments")).text.partition("norton")[0]
    )


async def test_an_unknown_instrument_and_an_assessment_that_is_not_there_look_the_same(amira):
    assert (await amira.get(f"{SVEA}/assessments/finns-inte")).status_code == 404
    assert (await amira.get(f"{SVEA}/assessments/signed/finns-inte")).status_code == 404
