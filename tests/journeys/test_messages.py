"""Staff write to a resident from the chart; the resident reads and answers: few clicks, by keyboard, in both widths."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from sammanhang.kernel.content import content

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
    expect(karin.page.locator(".ms-done")).to_be_visible()
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
    karin.page.context.close()  # an open page listens, and the server waits for it


def test_what_the_resident_does_shows_and_what_one_writes_stays(signed_in):
    """Karin has the conversation open, first idle, then writing, while Svea reads and answers."""
    karin, svea = signed_in("Karin Ek").new_page(), signed_in("Svea Andersson", resident=True).new_page()  # fmt: skip
    karin.goto(f"{CHART}/messages")
    karin.fill("input[name=topic]", "Följs åt")
    karin.fill("textarea", "Hur mår du?")
    karin.locator("main form button").click()
    expect(karin.locator(".ms-said")).to_contain_text("Inte läst")
    karin.mouse.move(5, 5)
    svea.goto("/me")
    svea.click("text=Följs åt")
    expect(svea.locator("main h1")).to_have_text("Följs åt")
    expect(karin.locator(".ms-said")).to_contain_text("Läst ")
    karin.fill("textarea", "Ring oss om")
    karin.evaluate("document.querySelector('textarea').setSelectionRange(4, 4)")
    svea.fill("textarea", "Bättre.")
    svea.click("text=Skicka svaret")
    expect(karin.locator("#newer")).to_be_visible()
    assert "Bättre." not in karin.inner_text(".ms-said")
    karin.click("#newer button")
    expect(karin.locator(".ms-said")).to_contain_text("Bättre.")
    expect(karin.locator("#live .note")).to_contain_text("Att svara på senast")
    assert karin.input_value("textarea") == "Ring oss om"
    karin.locator("textarea").press("Control+Enter")
    expect(karin.locator(".ms-done")).to_be_visible()
    assert karin.inner_text(".ms-said").count("Ring oss om") == 1
    karin.context.close()
    svea.context.close()


def test_what_could_not_be_sent_stays_when_the_page_renews(signed_in):
    """It was too long: what one wrote is in the page that says so, and stays there."""
    karin = signed_in("Karin Ek").new_page()
    karin.goto(f"{CHART}/messages")
    karin.fill("input[name=topic]", "Stannar kvar")
    karin.fill("textarea", "Hej")
    karin.locator("main form button").click()
    expect(karin.locator(".ms-done")).to_be_visible()
    karin.evaluate("document.querySelector('textarea').removeAttribute('maxlength')")
    karin.fill("textarea", "x" * (content("messages/rules")["longest"] + 1))
    karin.locator("#live form button").click()
    expect(karin.locator("[role=alert]")).to_be_visible()
    karin.mouse.move(5, 5)
    karin.evaluate("document.querySelector('[data-state]').dataset.state = 'old'; document.activeElement.blur()")  # fmt: skip
    karin.evaluate("document.dispatchEvent(new Event('sammanhang:changed'))")
    karin.click("#newer button")
    assert karin.input_value("textarea").count("x") > 1000
    karin.context.close()


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
    expect(staff.locator(".ms-done")).to_be_visible()
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
    staff.context.close()
    assert not faults, "\n".join(faults)
