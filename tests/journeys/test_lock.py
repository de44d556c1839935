"""The lock screen: nothing can be read under it, nothing typed is lost, and only its own person opens it."""

import re
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.journey, pytest.mark.slow]
FORM = "/patients/svea-andersson/emergency"
TYPED = "Larmade kl 3, svarar inte på tilltal"
AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text("utf-8")


@pytest.fixture
def nurse(person):
    """Amira in home care, in the middle of writing, with another tab open."""
    person.log_in("Amira Haddad", "Centrum")
    person.page.goto(FORM)
    person.page.fill("textarea", TYPED)
    person.page.locator("body").press("Tab")
    return person


def look(page):
    """What the browser does when one comes back to a tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def away(town, seconds):
    with psycopg.connect(town, autocommit=True) as connection:
        connection.execute(
            "UPDATE access.session SET last_seen = now() - make_interval(secs => %s)"
            " WHERE person = 'Practitioner/amira-haddad'",
            (seconds,),
        )


def unlock(page, name):
    """In the small window, at the provider."""
    with page.expect_popup() as opened:
        page.click("#lock-open")
    window = opened.value
    window.wait_for_selector("#q")
    window.fill("#q", name)
    window.press("#q", "Enter")
    window.locator("button[name=person]").first.click()


def shut(page):
    expect(page.locator("#lock")).to_be_visible()
    assert page.title() == "Skärmen är låst"
    for part in ("main", "header.top", "textarea"):
        expect(page.locator(part).first).to_be_hidden()
    assert page.evaluate("document.querySelector('main').inert") is True
    assert page.evaluate("document.body.innerText").count(TYPED) == 0


def test_one_locks_by_key_and_goes_on_writing_where_one_was(nurse):
    page = nurse.page
    other = page.context.new_page()
    other.goto("/patients")
    page.bring_to_front()
    title = page.title()
    page.evaluate("document.activeElement.blur()")
    nurse.press("g", "l")
    shut(page)
    assert page.evaluate("document.activeElement.id") == "lock-open"
    expect(other.locator("#lock")).to_be_visible()
    # The server reads nothing either, whoever asks it past the page.
    asked = page.evaluate("fetch('/patients?q=svea').then((a) => a.url)")
    assert "/locked" in asked
    # By keyboard one gets no further than the lock.
    for _ in range(6):
        page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || document.querySelector('#lock').contains(document.activeElement)"
        assert page.evaluate(inside)
    unlock(page, "Amira Haddad")
    expect(page.locator("#lock")).to_be_hidden()
    expect(other.locator("#lock")).to_be_hidden()
    assert page.title() == title
    assert page.input_value("textarea") == TYPED
    # The form that stood there is taken, with a token of the new log-in: the page says what is missing.
    page.evaluate("for (const e of document.querySelectorAll('[required]')) e.required = false")
    page.locator("form:has(textarea) button").first.click()
    expect(page.locator("main")).to_contain_text("Välj fara")
    assert page.input_value("textarea") == TYPED


def test_a_screen_nobody_touches_says_so_and_then_locks(nurse, town):
    page = nurse.page
    away(town, 9 * 60 + 25)
    look(page)
    expect(page.locator("#lock-soon")).to_be_visible()
    # Somebody is there after all.
    page.keyboard.press("Shift")
    expect(page.locator("#lock-soon")).to_be_hidden()
    away(town, 11 * 60)
    look(page)
    shut(page)
    # What came from elsewhere on the page locks it too.
    unlock(page, "Amira Haddad")
    expect(page.locator("#lock")).to_be_hidden()
    away(town, 11 * 60)
    page.keyboard.press("Control+k")
    shut(page)


def test_another_person_gets_their_own_and_the_page_is_gone(nurse, town):
    page = nurse.page
    away(town, 45 * 60)
    look(page)
    shut(page)
    unlock(page, "Karin Ek")
    page.wait_for_url(re.compile(r"/$"))
    expect(page.locator(".me summary")).to_contain_text("Karin Ek")
    assert TYPED not in page.content()
    page.go_back()
    page.wait_for_load_state()
    assert TYPED not in page.content()


def test_the_menu_locks_and_one_may_log_out_from_there(nurse):
    page = nurse.page
    nurse.click(".me summary")
    nurse.click("form[data-lock] button")
    shut(page)
    page.click("#lock form button")
    page.wait_for_load_state()
    expect(page.locator("h1")).to_have_text("Du är utloggad")


def test_another_tabs_switch_is_told_and_takes_two_clicks(nurse):
    page = nurse.page
    other = page.context.new_page()
    other.goto("/patients")
    before = nurse.clicks
    other.click(".me summary")
    other.locator("#assignments button", has_text="Brämhult").click()
    nurse.clicks += 2
    assert nurse.clicks - before <= 2
    expect(other.locator(".me summary")).to_contain_text("Brämhult")
    assert other.url.endswith("/patients")
    page.bring_to_front()
    look(page)
    expect(page.locator("#lock-moved")).to_contain_text("Hemsjukvård Brämhult")
    # By keyboard alone as well.
    other.bring_to_front()
    other.evaluate("document.activeElement.blur()")
    other.keyboard.press("g")
    other.keyboard.press("u")
    other.wait_for_url(re.compile("/login/assignment"))
    # The one in force has the focus; the other is a Tab away.
    expect(other.locator("button[name=assignment]").first).to_be_focused()
    other.keyboard.press("Tab")
    other.keyboard.press("Enter")
    expect(other.locator(".me summary")).to_contain_text("Centrum")
    assert other.url.endswith("/patients")


def test_a_resident_locks_too(person):
    person.log_in("Svea Andersson", resident=True)
    page = person.page
    page.goto("/me")
    page.locator("form[data-lock] button").click()
    expect(page.locator("#lock")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    unlock(page, "Svea Andersson")
    expect(page.locator("#lock")).to_be_hidden()
    expect(page.locator("main")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("look_", ["light", "dark"])
def test_the_lock_shuts_out_only_readers_of_the_page(signed_in, width, look_):
    window = signed_in(
        "Karin Ek", viewport={"width": width, "height": 844}, color_scheme=look_, bypass_csp=True
    )
    page = window.new_page()
    page.goto("/patients")
    page.evaluate("document.getElementById('lock-soon').hidden = false")
    page.evaluate(AXE)
    assert page.evaluate("axe.run(document).then((r) => r.violations.map((v) => v.id))") == []
    page.route("**/lock", lambda route: route.fulfill(status=204))
    page.click(".me summary")
    page.locator("form[data-lock] button").click()
    expect(page.locator("#lock")).to_be_visible()
    assert page.evaluate("axe.run(document).then((r) => r.violations.map((v) => v.id))") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    window.close()
