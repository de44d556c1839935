"""A log reviewer's work by keyboard, and a resident's question, in a browser; nobody is shut out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sammanhang.access.review.finding import find
from sammanhang.region.staff import named_people
from sammanhang.store.trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry, stamp

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture(scope="module")
def found(town):
    """Helena Lund in her mother's record, and Amira Haddad in that of Olle Nyström."""
    at = stamp(datetime.now(UTC) - timedelta(hours=1))
    with psycopg.connect(town, autocommit=True, options="-c role=sammanhang_writer") as connection:
        row = connection.execute(OPEN_CHAIN).fetchone()
        assert row is not None
        entries = []
        for who, patient in (("helena-lund", "ingrid-lund"), ("amira-haddad", "olle-nystrom")):
            held = named_people()[who].assignments[0]
            entries.append(
                Entry(
                    at=at, actor=f"Practitioner/{who}", action="open", patient=patient, assignment=held.id,
                    unit=held.unit.id, provider=held.unit.provider, rule="R2",
                )
            )  # fmt: skip
        connection.execute(INSERT_BLOCK, Chain(row[0], 0, row[1]).block(entries))
    find(town)


def test_a_resident_asks_about_an_access_in_three_clicks(found, person):
    person.log_in("Olle Nyström", resident=True)
    person.page.goto("/me")
    person.click("text=Vem har läst min journal")
    person.click("text=Fråga om det här besöket")
    person.page.fill("textarea", "Vem var det?")
    person.click("text=Skicka frågan")
    assert "Vårdgivaren granskar besöket" in person.page.content()
    assert person.clicks == 3


def test_a_case_is_found_opened_and_decided_by_keyboard_alone(found, person):
    person.log_in("Karl Östlund")
    person.page.goto("/review?pattern=same-address")
    person.press("j", "Enter")
    person.page.wait_for_url("**/review/cases/*")
    assert "Samma adress" in person.page.content()
    person.page.focus("[name=outcome]")
    person.press("Space")
    person.page.focus("[name=said]")
    person.type("Planerat hembesök")
    person.page.focus("text=Spara bedömningen")
    person.press("Enter")
    person.page.wait_for_url("**/review")
    assert "Ingrid Lund" not in person.page.content()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("look", "language"), [("light", "sv"), ("dark", "en")])
def test_the_queue_and_a_case_shut_nobody_out(found, signed_in, violations, width, look, language):
    window = signed_in(
        "Karl Östlund", viewport={"width": width, "height": 844}, color_scheme=look, bypass_csp=True
    )
    page = window.new_page()
    page.goto(f"/settings/language/{language}")
    page.goto("/review")
    addresses = ["/review", page.locator("[data-item] a").first.get_attribute("href")]
    faults = []
    for address in addresses:
        page.goto(address)
        faults += [f"{address}: {fault}" for fault in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{address}: {wide} pixels wide")
    window.close()
    assert faults == []
