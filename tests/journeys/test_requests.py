"""A care request from chart to answer in a real browser: few clicks, no mouse needed, nothing typed is lost."""

from __future__ import annotations

from itertools import count

import pytest
from playwright.sync_api import expect

from .own_region import *  # noqa: F403

pytestmark = [pytest.mark.journey, pytest.mark.slow]


SVEA = "/patients/svea-andersson"
NEW = f"{SVEA}/requests/new?kind=hemsjukvard"


WISHES = count(1)  # the very same is not sent twice


def fill(page, reason="Yrsel, två fall") -> None:
    page.fill("#reason", reason)
    page.fill("#question", f"Vägning tre gånger i veckan ({next(WISHES)})")
    page.check("input[name=priority][value=urgent]")
    page.check("input[name=ground][value=samtycke]")
    page.locator('input[name="form.ta-sig-till-mottagning"]').first.check()


def send(page, reason="Yrsel, två fall") -> str:
    page.goto(NEW)
    fill(page, reason)
    with page.expect_navigation():
        page.click("button[value=send]")
    return page.evaluate("location.pathname")


def test_from_chart_to_sent_in_eight_clicks_beyond_typing(person):
    person.log_in("Karin Ek")
    page = person.page
    page.goto(SVEA)
    person.click(f'a[href="{SVEA}/requests/new"]')
    person.click("text=Inskrivning i kommunens hemsjukvård")
    page.wait_for_selector("#reason")
    person.type("Yrsel, två fall")
    person.press("Tab")
    person.type("Vägning")
    person.click("label:has(input[name=priority][value=urgent])")
    person.click("label:has(input[name=ground][value=samtycke])")
    person.click('label:has(input[name="form.ta-sig-till-mottagning"])')
    with page.expect_navigation():
        page.click("button[value=send]")
        person.clicks += 1
    assert "Skickat till Hemsjukvård Centrum, Borås." in page.inner_text(".done-line")
    assert person.clicks <= 8


def test_a_request_is_written_and_sent_by_keyboard_alone(person):
    person.log_in("Karin Ek")
    page = person.page
    page.goto(f"{SVEA}/requests/new")
    person.press("j", "Enter")
    page.wait_for_selector("#reason")
    assert page.evaluate("document.activeElement.id") == "reason"
    person.type("Yrsel")
    person.press("Tab")
    person.type("Vägning")
    person.press("Tab", "Space")  # the first priority
    person.press("ArrowRight", "ArrowRight")
    person.press("Tab", "Tab", "Space")  # past the receiver, to the ground
    page.wait_for_timeout(50)
    for _n in range(12):
        if page.evaluate("document.activeElement.name") == "form.ta-sig-till-mottagning":
            break
        person.press("Tab")
    person.press("1")
    with page.expect_navigation():
        person.press("Control+Enter")
    assert "Inom en vecka" in page.inner_text(".now")
    assert "Nej, inte utan stort stöd" in page.inner_text(".written")
    person.press("g", "v")
    page.wait_for_url("**/requests")
    with page.expect_navigation():
        person.press("2")
    assert "view=them" in page.url
    person.press("j", "Enter")
    page.wait_for_url("**/patients/*/requests/*")
    assert person.clicks == 0


def test_what_is_known_is_text_until_one_comes_to_it_and_send_stays_in_sight(person):
    person.log_in("Karin Ek")
    page = person.page
    page.goto(NEW)
    known = page.locator('[name="form.boende"]')
    assert known.evaluate("e => getComputedStyle(e).borderTopColor") == "rgba(0, 0, 0, 0)"
    known.focus()
    assert known.evaluate("e => getComputedStyle(e).borderTopColor") != "rgba(0, 0, 0, 0)"
    for y in (0, 900, 5000):
        page.evaluate(f"window.scrollTo(0, {y})")
        box = page.locator("button[value=send]").bounding_box()
        assert box is not None and box["y"] > 0 and box["y"] + box["height"] <= 900


def test_a_draft_survives_reload_and_the_lock(person):
    person.log_in("Karin Ek")
    page = person.page
    page.goto(NEW)
    with page.expect_response("**/requests/draft"):
        page.fill("#reason", "Halvt skrivet")
    page.goto("/requests?box=outgoing&view=drafts")
    page.click("text=Svea Andersson >> nth=0")
    page.wait_for_selector("#reason")
    assert page.input_value("#reason") == "Halvt skrivet"
    page.evaluate("document.dispatchEvent(new Event('sammanhang:lock'))")
    page.wait_for_selector("#lock:not([hidden])")
    assert not page.is_visible("#reason")
    page.evaluate("document.getElementById('reason').value = 'Skrivet före låset'")
    assert page.input_value("#reason") == "Skrivet före låset"


def test_it_works_without_javascript(chromium, server, enter):
    context = chromium.new_context(base_url=server, java_script_enabled=False)
    page = context.new_page()
    enter(page, "Karin Ek")
    page.goto(NEW)
    fill(page, "Utan skript")
    page.click("button[value=save]")
    assert page.url.endswith("/edit") and page.input_value("#reason") == "Utan skript"
    page.fill("#reason", "")
    page.click("button[value=send]")
    assert "Skriv varför du skickar begäran." in page.inner_text("#wrong")
    page.fill("#reason", "Utan skript")
    page.click("button[value=send]")
    assert "Utan skript" in page.inner_text(".written") and "Ångra" in page.inner_text(".done-line")
    page.click("text=Ångra")
    page.fill("#act-withdraw textarea", "Fel patient")
    page.click("#act-withdraw button")
    assert "Begäran är återkallad." in page.inner_text(".done-line")
    page.goto("/requests?box=outgoing&view=ended")
    page.fill("[name=q]", "svea")
    page.click(".search button")
    assert "Återkallad" in page.inner_text("#rows")
    context.close()


CHANGED = "document.dispatchEvent(new Event('sammanhang:changed'))"


def test_what_the_other_side_does_shows_and_disturbs_nobody(signed_in):
    """Karin has the request open, first idle, then writing, then about to click, while Amira works."""
    karin = signed_in("Karin Ek").new_page()
    address = send(karin, "Följs åt")
    amira = signed_in("Amira Haddad", "Centrum").new_page()

    def does(verb: str, text: str = "") -> None:
        amira.goto(address)
        form = amira.locator(f"form:has(input[value={verb}])")
        if text:
            amira.click(f"#act-{verb} summary")
            form.locator("textarea").fill(text)
        with amira.expect_navigation():
            form.locator("button").click()

    karin.goto(address)
    karin.mouse.move(5, 5)
    does("receive")
    karin.evaluate(CHANGED)
    expect(karin.locator(".now-state")).to_contain_text("Mottagen")
    karin.click("#act-withdraw summary")
    karin.fill("#act-withdraw textarea", "Jag tar tillb")
    karin.mouse.move(5, 5)
    before = karin.locator("#act-withdraw button").bounding_box()
    does("ask", "Har hon nyckel?")
    karin.evaluate(CHANGED)
    expect(karin.locator("#newer")).to_be_visible()
    assert karin.locator("#act-withdraw button").bounding_box() == before
    assert karin.input_value("#act-withdraw textarea") == "Jag tar tillb"
    karin.click("#newer button")
    expect(karin.locator(".now-state")).to_contain_text("Väntar på svar")
    assert karin.input_value("#act-withdraw textarea") == "Jag tar tillb"
    does("accept")
    karin.evaluate(CHANGED)
    expect(karin.locator("#newer")).to_be_visible()
    karin.click("#newer button")
    expect(karin.locator(".now-state")).to_contain_text("Accepterad")
    assert "Jag tar tillb" in karin.inner_text(
        "#live aside"
    )  # it cannot be withdrawn; the words are there
    karin.reload()
    karin.hover("#act-write summary")
    does("start")
    karin.evaluate(CHANGED)
    expect(karin.locator("#newer")).to_be_visible()
    assert "Accepterad" in karin.inner_text(".now-state")
    karin.evaluate(CHANGED)  # the same once more is nothing new
    assert karin.locator("#newer").count() == 1
    karin.context.close()  # an open page listens, and the server waits for it
    amira.context.close()


def test_a_double_click_sends_once(signed_in):
    page = signed_in("Karin Ek").new_page()
    page.goto(NEW)
    fill(page)
    page.fill("#question", "Dubbelklick i webbläsaren")
    with page.expect_navigation():
        page.dblclick("button[value=send]")
    page.wait_for_selector(".now")
    page.goto("/requests?box=outgoing&view=them")
    page.fill("[name=q]", "Dubbelklick")
    expect(page.locator("#rows tr[data-item]")).to_have_count(1)
    page.context.close()


@pytest.mark.parametrize("language", ["sv", "en"])
@pytest.mark.parametrize(
    ("width", "look"), [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
)
def test_no_page_shuts_anybody_out(signed_in, violations, width, look, language):
    faults: list[str] = []

    def window(*who: str):
        made = signed_in(
            *who, viewport={"width": width, "height": 844}, color_scheme=look, bypass_csp=True
        )
        page = made.new_page()
        page.goto(f"/settings/language/{language}")
        return page

    def look_at(page, name: str) -> None:
        faults.extend(f"{name}: {fault}" for fault in violations(page))
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{name}: {wide} pixels wide")

    karin = window("Karin Ek")
    karin.goto(f"{SVEA}/requests/new")
    look_at(karin, "choose")
    karin.goto(NEW)
    look_at(karin, "compose")
    with karin.expect_navigation():
        karin.click("button[value=send]")
    look_at(karin, "compose with faults")
    address = send(karin, "Tillgänglighet")
    look_at(karin, "one, the sender's")
    for place in ("/requests", "/requests?box=outgoing&view=drafts", f"{address}?print=1"):
        karin.goto(place)
        look_at(karin, place)
    amira = window("Amira Haddad", "Centrum")
    amira.goto("/requests")
    look_at(amira, "list, the receiver's")
    amira.goto(address)
    for summary in amira.locator("#live details > summary").all():
        summary.click()
    look_at(amira, "one, the receiver's")
    with amira.expect_navigation():
        amira.locator("form:has(input[value=accept]) button").click()
    look_at(amira, "one, accepted")
    karin.context.close()
    amira.context.close()
    assert faults == [], "\n".join(faults)
