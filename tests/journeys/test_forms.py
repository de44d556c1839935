"""A form by keyboard alone, without JavaScript, through a lock and a reload; and the page agrees with the server."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sammanhang.fhir.decode import raw
from sammanhang.forms import answers, form_of, view
from sammanhang.kernel.content import FOLDER
from sammanhang.web.rendering import ENVIRONMENT

pytestmark = [pytest.mark.journey, pytest.mark.slow]
SVEA = "/patients/svea-andersson"
DOWNTON = f"{SVEA}/assessments/downton"
SCRIPT = Path(__file__).parents[2] / "src/sammanhang/forms/static/forms.js"
OTHERS = Path(__file__).parents[1] / "conformance" / "questionnaires"


def saved(page):
    expect(page.locator("#ff-saved")).to_have_text(
        re.compile(r"Utkast sparat \d\d:\d\d"), timeout=8000
    )


def choose(person, key):
    """Into the next question by Tab, and the key of the answer."""
    person.press("Tab", key)


def test_downton_is_filled_in_and_signed_by_keyboard_alone(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto(DOWNTON)
    for known in ("fall-ja", "diuretika", "horsel"):  # from the record
        expect(page.locator(f"input[value$='{known}']")).to_be_checked()
    page.locator("input[value$='orienterad'] >> nth=0").focus()
    person.press("1")
    page.locator("input[value$='gang-saker']").focus()
    person.press("2")  # unsafely
    expect(page.locator("input[value$='gang-osaker']")).to_be_checked()
    expect(page.locator("#ff-scores")).to_contain_text("Downton 5", timeout=8000)
    expect(page.locator("#ff-scores")).to_contain_text("Risk för fall")
    saved(page)
    with page.expect_navigation(url="**/signed/**"):
        person.press("Control+Enter")
    assert "Risk för fall" in page.inner_text("main")
    assert person.clicks == 0 and person.keys <= 6


def test_a_draft_survives_a_reload_and_a_lock(person):
    person.log_in("Amira Haddad", "Centrum")
    page = person.page
    page.goto(f"{SVEA}/assessments/katz")
    page.locator("input[value$='badning-beroende']").check()
    page.fill("textarea", "Får hjälp i duschen")
    saved(page)
    page.reload()
    expect(page.locator("input[value$='badning-beroende']")).to_be_checked()
    expect(page.locator("textarea")).to_have_value("Får hjälp i duschen")
    page.fill("textarea", "Får hjälp i duschen varje dag")
    page.locator("main h1").click()
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.locator("#lock")).to_be_visible()
    with page.expect_popup() as opened:
        page.click("#lock-open")
    window = opened.value
    window.wait_for_selector("#q")
    window.fill("#q", "Amira Haddad")
    window.press("#q", "Enter")
    window.locator("button[name=person]").first.click()
    expect(page.locator("#lock")).to_be_hidden(timeout=10000)
    expect(page.locator("textarea")).to_have_value("Får hjälp i duschen varje dag")
    page.locator("input[value$='foda-oberoende']").check()
    saved(page)
    page.goto(f"{SVEA}/assessments/katz")
    expect(page.locator("textarea")).to_have_value("Får hjälp i duschen varje dag")


def test_the_same_form_works_without_javascript(chromium, server, enter):
    context = chromium.new_context(base_url=server, java_script_enabled=False)
    page = context.new_page()
    enter(page, "Amira Haddad", "Centrum")
    page.goto(f"{SVEA}/assessments/norton")
    names = (
        "psykiskt",
        "aktivitet",
        "rorlighet",
        "foda",
        "vatska",
        "inkontinens",
        "allmantillstand",
    )
    for name in names[:6]:
        page.locator(f"input[value$='{name}-3']").check()
    page.click("text=Signera bedömningen")
    page.wait_for_load_state()
    assert "1 sak behöver rättas" in page.inner_text(
        "main"
    ) and "Allmäntillstånd" in page.inner_text("#ff-wrong")
    for name in names[:6]:
        assert page.locator(f"input[value$='{name}-3']").is_checked()
    page.locator("input[value$='allmantillstand-2']").check()
    page.click("text=Signera bedömningen")
    page.wait_for_url("**/signed/**")
    assert "20" in page.inner_text(".as-result") and "Ökad risk för trycksår" in page.inner_text(
        "main"
    )
    context.close()


@pytest.mark.parametrize(("width", "look", "language"), [(1280, "light", "sv"), (390, "dark", "en"), (1280, "dark", "en"), (390, "light", "sv")])  # fmt: skip
def test_no_form_shuts_anybody_out(signed_in, violations, width, look, language):
    window = signed_in(
        "Amira Haddad",
        "Centrum",
        viewport={"width": width, "height": 844},
        color_scheme=look,
        bypass_csp=True,
    )
    page = window.new_page()
    page.goto(f"/settings/language/{language}")
    faults = []
    for name in ("downton", "norton", "katz", ""):
        page.goto(f"{SVEA}/assessments/{name}".rstrip("/"))
        faults += [f"{name}: {f}" for f in violations(page)]
        if name:
            page.locator("[data-main]").click()
            page.wait_for_load_state()
            faults += [f"{name}, with faults: {f}" for f in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{name}: {wide} pixels wide")
    window.close()
    assert faults == []


@pytest.mark.parametrize("width", [1280, 390])
def test_questionnaires_of_others_shut_nobody_out(chromium, violations, width):
    """Every kind of control there is, with our styles: axe finds nothing, nothing is wider than the screen."""
    source = Path(__file__).parents[2] / "src/sammanhang"
    styles = "".join((source / p).read_text("utf-8") for p in ("web/static/tokens.css", "web/static/app.css", "forms/static/forms.css"))  # fmt: skip
    template = ENVIRONMENT.from_string(
        '<!doctype html><html lang="sv"><title>Formulär</title><body><main class="page narrow"><h1>Formulär</h1><form>'
        '<input type="hidden" name="csrf">{% from "forms/form.html" import form_fields %}{{ form_fields(page) }}</form></main>'
    )
    page = chromium.new_context(viewport={"width": width, "height": 844}).new_page()
    faults = []
    for path in sorted(OTHERS.rglob("*.json")):
        page.set_content(template.render(page=view(form_of(raw(path.read_bytes())), None)))
        page.add_style_tag(content=styles)
        page.add_script_tag(content=SCRIPT.read_text("utf-8"))
        faults += [f"{path.name}: {fault}" for fault in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{path.name}: {wide} pixels wide")
    page.context.close()
    assert faults == []


def pages():
    """Forms with conditions, ours and others'."""
    found = [p for p in sorted(OTHERS.rglob("*.json")) if b'"enableWhen"' in p.read_bytes()]
    return [p for p in found if not form_of(raw(p.read_bytes())).faults]


def test_what_the_page_shows_at_once_is_what_the_server_says(chromium):
    """Random answers to forms with conditions: the script and the server ask the same questions."""
    template = ENVIRONMENT.from_string(
        '<!doctype html><body><form>{% from "forms/form.html" import form_fields %}{{ form_fields(page) }}</form></body>'
    )
    context = chromium.new_context()
    page = context.new_page()
    compared = told = 0
    forms = [form_of(raw(p.read_bytes())) for p in pages()]
    forms += [
        form_of(raw(p.read_bytes()))
        for p in sorted(FOLDER.glob("forms/*.json"))
        if ".cases" not in p.name
    ]
    for form in forms:
        page.set_content(template.render(page=view(form, None)))
        page.add_script_tag(content=SCRIPT.read_text("utf-8"))
        rng = random.Random(form.url)
        for _round in range(6):
            page.evaluate(ANSWER, rng.randrange(2**31))
            fields = page.evaluate("[...new FormData(document.forms[0])]")
            shown = page.evaluate(SHOWN)
            tree = answers.read_tree(form, [(n, v) for n, v in fields])
            for node in tree.all():
                item, chain = node.item, [node]
                while chain[-1].parent is not None:
                    chain.append(chain[-1].parent)
                if node.name not in shown or any("enable" in n.item.expressions for n in chain):
                    continue
                if any(n.item.when and not shown[n.name]["told"] for n in chain if n.name in shown):
                    continue  # only the server can tell, and its answer is what the page then shows
                assert shown[node.name]["asked"] == node.enabled, (form.url, item.link)
                compared += 1
                told += bool(item.when)
    context.close()
    assert compared > 300 and told > 40


SHOWN = """Object.fromEntries([...document.querySelectorAll('[data-field]')].map((f) =>
  [f.dataset.field, { asked: !f.hidden && !f.parentElement.closest('[data-field][hidden]'), told: f.dataset.when !== undefined }]))"""
ANSWER = """(seed) => {
  let s = seed; const next = (n) => { s = (s * 1103515245 + 12345) % 2147483648; return Math.floor(s / 65536) % n; };
  const fire = (f) => f.dispatchEvent(new Event('input', { bubbles: true }));
  const names = [...new Set([...document.querySelectorAll('input[name],select[name],textarea[name]')].map((f) => f.name))];
  for (const name of names) {
    const all = [...document.getElementsByName(name)], f = all[0];
    if (f.type === 'hidden' || f.type === 'file' || name.endsWith('.search') || name.endsWith('.other')) continue;
    if (f.type === 'radio' || f.type === 'checkbox') { const one = all[next(all.length)]; one.checked = next(4) > 0; fire(one); }
    else if (f.tagName === 'SELECT') { f.selectedIndex = next(f.options.length); fire(f); }
    else if (f.type !== 'range') { f.value = ['', '1', '3', '5', '10', 'ja', '2,5', '42'][next(8)]; fire(f); }
  }
}"""
