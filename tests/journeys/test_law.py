"""The law at the door, as people meet it: who sees what, who is refused and why, and what they can do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from .conftest import Person, log_in
from .own_region import *  # noqa: F403

pytestmark = pytest.mark.journey
VERA, SVEA, BERTIL = "/patients/vera-strom", "/patients/svea-andersson", "/patients/bertil-holm"


@pytest.fixture
def meet(chromium: Browser, server: str) -> Iterator[Callable[..., Person]]:
    """Somebody logged in at a browser of their own."""
    windows = []

    def somebody(name: str, unit: str = "", *, resident: bool = False) -> Person:
        context = chromium.new_context(base_url=server, locale="sv-SE", viewport={"width": 1280, "height": 900})  # fmt: skip
        windows.append(context)
        someone = Person(context.new_page())
        log_in(someone.page, name, unit, resident=resident)
        return someone

    yield somebody
    for context in windows:
        context.close()


def text(page: Page) -> str:
    return page.inner_text("main")


def test_the_ward_nurse_opens_her_patient_in_one_click(meet) -> None:
    johanna = meet("Johanna Lindqvist")
    johanna.click("text=Bertil Holm")
    johanna.page.wait_for_url(f"**{BERTIL}")
    assert "KOL" in text(johanna.page)
    assert johanna.clicks == 1


def test_the_same_nurse_on_a_strangers_record_is_told_why_and_how(meet) -> None:
    """Svea has data at the region, the ward no relation: a reason opens it, and it is the region's data only."""
    johanna = meet("Johanna Lindqvist")
    page = johanna.page
    page.goto("/patients/ingrid-lund")
    assert "Din enhet har ingen pågående vårdrelation med patienten." in text(page)
    assert "Regel R3" in text(page) and "loggat" in text(page)
    johanna.click("label.choice >> text=Jag är rådfrågad om patienten")
    johanna.click("main .btn-main")
    page.wait_for_url("**/patients/ingrid-lund")
    assert "Ingrid Lund" in page.inner_text(".who")
    assert johanna.clicks == 2
    page.goto("/patients/finns-inte")
    absent = re.sub(r"\s+", " ", text(page))
    assert "Din vårdgivare har ingen patientrelation med personen." in absent


def test_the_health_centre_doctor_reads_the_municipalitys_notes_with_consent_and_not_without(
    meet,
) -> None:
    karin = meet("Karin Ek")
    page = karin.page
    page.goto(f"{SVEA}/documents")
    assert "Hemsjukvård Centrum" not in text(page)
    assert "Patientens samtycke behövs" in text(page)
    karin.click("text=Vad kan jag göra?")
    karin.click("text=Registrera samtycke")
    karin.click("text=Personen har först fått veta vad det innebär")
    karin.click("main button.btn-main")
    page.wait_for_url(f"**{SVEA}")
    assert karin.clicks == 4
    page.goto(f"{SVEA}/documents")
    assert "Hemsjukvård Centrum" in text(page)
    page.goto(f"{SVEA}/consents")
    line = page.locator(".visit", has_text="Vårdcentralen").or_(page.locator(".visit", has_text="Västra Götalandsregionen"))  # fmt: skip
    assert "frågat av Karin Ek" in text(page)
    line.locator("button").first.click()
    page.wait_for_load_state()
    page.goto(f"{SVEA}/documents")
    assert "Hemsjukvård Centrum" not in text(page)


def test_the_unconscious_patient_opens_in_two_steps_for_the_emergency_doctor(meet) -> None:
    """Svea comes in unconscious; the doctor declares why, sees who has data, and opens what is needed."""
    tomas = meet("Tomas Ryd")
    page = tomas.page
    page.goto(SVEA)
    if "Regel R3" in text(page):
        tomas.click("label.choice >> text=Patienten söker vård här nu")
        tomas.click("main .btn-main")
    page.goto(f"{SVEA}/hidden")
    tomas.click("text=Nödöppning")
    assert "Borås" not in text(page)
    page.click("label.choice >> text=Fara för patientens liv")
    page.click("label.choice >> text=medvetslös")
    page.fill("textarea[name=said]", "Hittad medvetslös hemma, oklara läkemedel")
    page.click("main .btn-main")
    page.wait_for_selector("text=Nödöppning pågår")
    assert "Vård- och äldrenämnden" in text(page)
    page.locator(".visit", has_text="Vård- och äldrenämnden").locator("button").click()
    page.wait_for_selector("text=Öppnat")
    page.goto(f"{SVEA}/documents")
    assert "Nödöppning pågår" in text(page) and "Hemsjukvård Centrum" in text(page)
    # another provider's block is not broken: its owner is asked
    page.goto(f"{SVEA}/emergency")
    assert "Begär att spärren hävs" in text(page)
    page.click("text=Avsluta nödöppningen")
    page.goto(f"{SVEA}/documents")
    assert "Hemsjukvård Centrum" not in text(page)


def test_the_blocked_psychiatric_note_is_said_to_exist_and_no_more(meet) -> None:
    johanna = meet("Johanna Lindqvist")
    page = johanna.page
    page.goto(f"{VERA}/documents")
    assert "Inskrivningsanteckning" in text(page)
    assert "Det finns spärrade uppgifter på en annan enhet hos din vårdgivare." in text(page)
    everything = page.content()
    for secret in ("Litium", "depression", "Psykiatri", "psykiatri"):
        assert secret not in everything, secret
    page.goto(f"{VERA}/documents?document=vera-strom-psykiatri")
    assert "Litium" not in page.content()


def test_the_father_of_a_child_of_twelve_reads_and_of_thirteen_does_not(meet, town: str) -> None:
    anton = meet("Anton Berglund", resident=True)
    page = anton.page
    anton.click("text=Elis")
    page.wait_for_url("**/me/family/elis-berglund")
    assert "Akut faryngit" in text(page)
    page.goto("/me/family/saga-berglund")
    refused = text(page)
    assert "13 år" in refused and "faryngit" not in refused
    # a year later: the same child has turned 13
    today = date.today()
    born = f"{today.year - 13}-{today.month:02d}-{min(today.day, 28):02d}"
    with psycopg.connect(town) as connection:
        changed = connection.execute(
            "UPDATE store.patient SET body = convert_to(replace(convert_from(body, 'UTF8'), '2014-08-19', %s), 'UTF8')"
            " WHERE id = 'elis-berglund'",
            (born,),
        )
    assert changed.rowcount == 1
    page.goto("/me/family/elis-berglund")
    assert "13 år" in text(page) and "faryngit" not in text(page)


def test_the_care_administrator_reads_with_consent_and_an_enquiry_and_the_school_never(
    meet,
) -> None:
    mikael = meet("Mikael Strand")
    page = mikael.page
    page.goto("/patients/asta-noren")
    assert "Asta Norén" in page.inner_text(".who")
    page.goto("/patients/asta-noren/documents")
    assert text(page).strip()
    page.goto(SVEA)
    assert "Regel R16" in text(page)
    assert "samtyckt" in text(page) or "insats" in text(page)
    for name in ("skolkurator parkskolan", "rektor parkskolan"):
        school = meet(name)
        school.page.goto("/patients/greta-lindgren")
        assert "Regel R17" in text(school.page), name


def test_a_protected_identity_is_masked_everywhere(meet) -> None:
    amira = meet("Amira Haddad", "Centrum")
    page = amira.page
    for path in (
        "/",
        "/patients/mona-lind",
        "/patients/mona-lind?print=1",
        "/patients/mona-lind/documents",
    ):
        page.goto(path)
        everything = page.content()
        assert "Skyddad uppgift" in everything, path
        for secret in ("Mona Lind", "Dolda vägen", "070-000 00 62"):
            assert secret not in everything, (path, secret)
    page.goto("/patients?q=mona+lind")
    assert "mona-lind" not in page.content()


def test_the_resident_finds_out_who_has_read_and_takes_her_consent_back(meet) -> None:
    """Bertil has consented to home care; Amira reads what the ward wrote; he sees that and says no."""
    amira = meet("Amira Haddad", "Centrum")
    amira.page.goto(f"{BERTIL}/documents")
    assert "Inskrivningsanteckning" in text(amira.page)
    bertil = meet("Bertil Holm", resident=True)
    page = bertil.page
    bertil.click("text=Vem har läst")
    assert "Hemsjukvård Centrum" in text(page) and "Amira" not in text(page)
    page.goto("/me")
    bertil.click("text=Samtycken")
    bertil.click("button:has-text('Ta tillbaka')")
    page.wait_for_load_state()
    assert "Ta tillbaka" not in text(page)
    assert bertil.clicks <= 3
    amira.page.goto(f"{BERTIL}/documents")
    assert "Inskrivningsanteckning" not in text(amira.page)
    assert "Patientens samtycke behövs" in text(amira.page)
