"""Staff write to a resident from the chart; the resident reads and answers: few clicks, by keyboard, in both widths."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import somebody
from .own_region import *  # noqa: F403

pytestmark = [pytest.mark.journey, pytest.mark.slow]

CHART = "/patients/svea-andersson"


def test_from_the_chart_to_an_answer_without_the_mouse(signed_in):
    karin = somebody(signed_in("Karin Ek"))
    karin.page.goto(CHART)
    karin.press("m")
    karin.page.wait_for_url("**/messages")
    expect(karin.page.locator("input[name=topic]")).to_be_focused()
    karin.type("Ditt besök på måndag")
    karin.press("Tab")
    karin.type("Ta med din läkemedelslista.")
    karin.press("Control+Enter")
    karin.page.wait_for_url("**done=write")
    address = re.sub(r"\?.*", "", karin.page.url)
    assert karin.clicks == 0 and karin.keys - karin.letters == 3

    svea = somebody(signed_in("Svea Andersson", resident=True))
    svea.page.goto("/me")
    svea.click("section[aria-labelledby=news] a")
    expect(svea.page.locator("main h1")).to_have_text("Ditt besök på måndag")
    svea.page.fill("textarea", "Jag kommer.")
    svea.click("text=Skicka svaret")
    expect(svea.page.locator(".next")).to_contain_text("svarar senast")
    assert svea.clicks == 2

    karin.page.goto(address)
    expect(karin.page.locator(".ms-said")).to_contain_text("Jag kommer.")
    karin.page.fill("textarea", "Bra!")
    karin.click("text=Skicka")
    expect(karin.page.locator(".ms-done")).to_have_text("✓ Svaret är skickat.")
    assert karin.faults == [] and svea.faults == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["sv", "en"])
def test_no_violation_and_nothing_wider_than_the_screen(signed_in, violations, width, language):
    look = {"viewport": {"width": width, "height": 844}}
    staff = signed_in("Karin Ek", **look).new_page()
    staff.goto(f"/settings/language/{language}")
    staff.goto(f"{CHART}/messages")
    staff.fill("input[name=topic]", "Ett långt ord: " + "x" * 60)
    staff.fill("textarea", "Hej " + "y" * 200)
    staff.locator("main form button").click()
    staff.wait_for_url("**done=write")
    id = re.sub(r"\?.*", "", staff.url).rpartition("/")[2]
    svea = signed_in("Svea Andersson", resident=True, **look).new_page()
    svea.goto(f"/settings/language/{language}")
    faults = []
    for page, addresses in (
        (staff, (f"{CHART}/messages", f"{CHART}/messages/{id}")),
        (svea, ("/me", "/me/messages", f"/me/messages/{id}")),
    ):
        for address in addresses:
            page.goto(address)
            faults += [f"{address}: {v}" for v in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                faults.append(f"{address}: {wide} wide")
    assert not faults, "\n".join(faults)
