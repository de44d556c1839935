"""A nurse finds her patient and reads: few clicks, few keys, no mouse needed."""

import pytest

pytestmark = pytest.mark.journey


def test_log_in_choose_assignment_and_open_sveas_chart_in_five_clicks(person):
    page = person.page
    page.goto("/login")
    page.fill("#q", "Amira Haddad")
    page.press("#q", "Enter")
    person.click("button[name=person]")
    person.click('button[name=assignment][aria-label*="Centrum"]')
    assert "Hemsjukvård Centrum" in page.inner_text(".me")
    person.click("text=Svea Andersson")
    page.wait_for_url("**/patients/svea-andersson")
    assert "Penicillin" in page.inner_text(".warn.deadly")
    assert person.clicks <= 3


def test_any_patient_is_found_by_keyboard_alone(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    person.press("Control+k")
    page.wait_for_selector("#command[open]")
    person.type("svea and")
    person.press("Enter")
    page.wait_for_url("**/patients/svea-andersson")
    person.press("5")
    page.wait_for_url("**/results")
    person.press("j", "Enter")
    page.wait_for_url(lambda url: "series=" in url)
    person.press("g", "s")
    page.wait_for_url(lambda url: url.endswith("/"))
    assert person.keys <= 15
    assert person.clicks == 0


def test_a_number_is_one_click_from_its_curve(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto("/patients/svea-andersson")
    person.click("#vitals >> xpath=../.. >> text=Kroppsvikt")
    page.wait_for_selector(".uplot canvas")
    assert page.locator("#points [data-value]").count() > 3
    assert person.clicks == 1


def test_a_locked_record_opens_with_a_reason_in_three_clicks(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto("/patients?q=greta+lindgren")
    person.click("tr[data-item] a")
    assert "R7" in page.inner_text("main")
    person.click("label.choice")
    person.click("main .btn-main")
    page.wait_for_url("**/patients/greta-lindgren")
    assert "Greta Lindgren" in page.inner_text(".who")
    assert person.clicks <= 3


def test_single_keys_can_be_turned_off(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto("/patients/svea-andersson")
    person.press("?")
    page.wait_for_selector("#help[open]")
    person.click("#help a.btn")
    person.press("2")
    page.wait_for_timeout(200)
    assert page.url.endswith("/patients/svea-andersson")
    person.press("Control+k")
    page.wait_for_selector("#command[open]")


def test_the_chart_is_read_without_javascript(chromium, server, enter):
    context = chromium.new_context(base_url=server, java_script_enabled=False)
    page = context.new_page()
    enter(page, "Amira Haddad", "Centrum")
    page.goto("/patients?q=svea+andersson")
    page.locator("tr[data-item] a").first.click()
    assert "Penicillin" in page.inner_text(".warn.deadly")
    page.locator(".tabs a", has_text="Provsvar").click()
    assert "5,4" in page.inner_text("main")
    context.close()


def test_in_danger_who_blocked_is_told_and_asked_and_the_chart_says_so(person):
    """The unconscious patient with a block at another care provider (SVOD 3:5)."""
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto("/patients/svea-andersson")
    person.click("text=Vad kan jag göra?")
    person.click("main >> text=Nödöppning")
    person.click("label.choice >> text=Fara för patientens liv")
    person.click("label.choice >> text=Patienten är medvetslös")
    page.fill("textarea", "Hittad medvetslös i hemmet")
    person.click("main .btn-main")
    page.wait_for_selector("text=Nödöppning pågår till")
    assert person.clicks <= 5
    assert "spärrat hos vårdgivaren" in page.inner_text("main")
    person.click("main >> text=Begär att spärren hävs")
    page.wait_for_selector("text=Vårdgivaren är tillfrågad")
    person.click("main >> text=Till journalen")
    assert "Allt du läser granskas" in page.inner_text(".emergency")
    assert "spärrade uppgifter" in page.inner_text("main")
    page.click("text=Öppna mer eller avsluta")
    page.click("main >> text=Avsluta nödöppningen")
    page.wait_for_url("**/patients/svea-andersson")
    assert page.locator(".emergency").count() == 0


def test_the_father_of_a_child_reads_her_record_in_one_click(person):
    person.log_in("Jonas Lindgren", resident=True)
    page = person.page
    page.goto("/me")
    person.click("text=Greta")
    page.wait_for_url("**/me/family/greta-lindgren")
    assert "Journal för Greta" in page.inner_text("h1")
    assert person.clicks == 1


def test_a_resident_finds_out_who_read_and_sees_her_consents(person):
    person.log_in("Svea Andersson", resident=True)
    page = person.page
    page.goto("/me")
    person.click("text=Samtycken och spärrar")
    assert "Det du har sagt ja till" in page.inner_text("main")
    page.goto("/me")
    person.click("text=Vem har läst min journal")
    assert "de senaste 12 månaderna" in page.inner_text("main")
    assert person.clicks == 2
