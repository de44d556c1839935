"""Every page, both languages, both looks, wide and narrow: no violation, nothing wider than the screen."""

from urllib.parse import urlencode

import pytest

from sammanhang.access.clients import register
from sammanhang.access.clients_registration import Registration
from sammanhang.care.requests.retyped import Counts, mark
from sammanhang.fhir.r4 import Coding, Meta, QuestionnaireResponse
from sammanhang.kernel import clock
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.region.organisations import named
from sammanhang.store.bulk import load
from sammanhang.work.tasks import instant

pytestmark = [pytest.mark.journey, pytest.mark.slow]
SVEA = "/patients/svea-andersson"
STAFF = (
    "/", "/patients", "/patients?q=andersson", "/patients?q=zzyzx", SVEA, f"{SVEA}/timeline", f"{SVEA}/medicines",
    f"{SVEA}/measurements", f"{SVEA}/results", f"{SVEA}/documents", f"{SVEA}/encounters", f"{SVEA}/problems",
    f"{SVEA}/hidden", f"{SVEA}/emergency", f"{SVEA}?print=1", "/patients/jonas-lindgren", "/nothing/here",
    "/apps", "/oauth/authorize?client_id=nobody",
)  # fmt: skip

ASKED = "/oauth/authorize?" + urlencode({
    "response_type": "code", "client_id": "axe", "redirect_uri": "https://app.example/done", "state": "s",
    "code_challenge": "A" * 43, "code_challenge_method": "S256",
})  # fmt: skip
PEOPLE = (
    ("Amira Haddad", "Centrum", False, STAFF),
    ("Linnea Engström", "", False, ("/",)),
    (
        "verksamhetschef södra torget",
        "",
        False,
        ("/lifts", "/lifts#193711042386", "/sessions", "/review/figures", "/followup/retyped"),
    ),
    ("Annika Sjöberg", "", False, ("/", "/review", "/review/figures", "/review/public")),
    ("Stina Berg", "", False, ("/", "/followup/retyped", "/followup/retyped?period=last")),
    (
        "David Wallin",
        "",
        False,
        (
            "/",
            "/admin/apps",
            "/admin/apps/new",
            "/admin/apps/axe",
            "/rules",
            "/preflight",
            "/preflight?run=1&only_faults=1",
            "/unlocked",
            "/lock",
        ),
    ),
    ("Karin Ek", "", False, ("/patients/svea-andersson/consents",)),
    ("Svea Andersson", "", True, ("/me", "/me/requests", "/me/log", "/me/consents", "/me/apps")),
    ("Jonas Lindgren", "", True, ("/me", "/me/family/greta-lindgren", "/me/family/svea-andersson")),
)
LOOKS = [
    (w, look, lang) for w in (1280, 390) for look in ("light", "dark") for lang in ("sv", "en")
]


@pytest.fixture(scope="session", autouse=True)
def app(town):
    """An app that anybody may let in, and start from the chart."""
    scopes = (
        "launch",
        "launch/patient",
        "launch/encounter",
        "openid",
        "offline_access",
        "patient/*.cruds",
        "user/*.rs",
    )
    there = ("https://app.example/done",)
    made = Registration(
        "Kurvan",
        scopes,
        "none",
        "Kurvbolaget",
        there,
        "https://app.example/launch",
        offered=("staff", "resident"),
        id="axe",
    )
    register(town, made)


@pytest.fixture(scope="session", autouse=True)
def figures(town):
    """Requests enough for figures that are told."""
    unit = named("Vårdcentralen Södra torget")
    owner = [Coding(system=PROVIDER, code=unit.provider), Coding(system=UNIT, code=unit.id)]
    sent = []
    for n in range(5):
        response = QuestionnaireResponse(
            id=f"axe-{n}", status="completed", authored=instant(clock.now()), meta=Meta(tag=owner),
            questionnaire="http://sammanhang.se/fhir/Questionnaire/vardbegaran-hemsjukvard",
        )  # fmt: skip
        mark(response, Counts(kept=240, changed=20, removed=10, retyped=3, typed=40))
        sent.append(response)
    load(town, sent)


@pytest.mark.parametrize(("width", "look", "language"), LOOKS)
def test_no_page_shuts_anybody_out(signed_in, violations, width, look, language):
    faults = []
    for name, unit, resident, addresses in PEOPLE:
        window = signed_in(
            name,
            unit,
            resident=resident,
            viewport={"width": width, "height": 844},
            color_scheme=look,
            bypass_csp=True,
        )
        page = window.new_page()
        page.goto(f"/settings/language/{language}")
        for address in addresses:
            page.goto(address)
            if "#" in address:  # a number to look for, which no address may hold
                page.fill("[name=number]", address.partition("#")[2])
                with page.expect_navigation():
                    page.press("[name=number]", "Enter")
            assert page.locator("html").get_attribute("lang") == language
            faults += [f"{address}: {fault}" for fault in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                faults.append(f"{address}: {wide} pixels wide")
        window.close()
    assert faults == []


@pytest.mark.parametrize(
    ("width", "look", "language"), [(1280, "light", "sv"), (390, "dark", "en")]
)
def test_the_question_an_app_asks_shuts_nobody_out(
    signed_in, violations, server, width, look, language
):
    """All its pages, by keyboard alone."""
    window = signed_in(
        "Amira Haddad", "Centrum", viewport={"width": width, "height": 844}, color_scheme=look, bypass_csp=True,
    )  # fmt: skip
    page = window.new_page()
    page.goto(f"/settings/language/{language}")
    faults = []

    def look_at(name):
        faults.extend(f"{name}: {fault}" for fault in violations(page))
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{name}: {wide} pixels wide")

    def enter(selector):
        page.focus(selector)
        with page.expect_navigation():
            page.keyboard.press("Enter")

    def search(who):
        page.fill("[name=q]", who)
        enter("[name=q]")

    scopes = "launch/encounter+openid+offline_access+patient/*.cruds+user/*.rs"
    page.goto(f"{ASKED}&aud={server}/fhir&scope={scopes}")
    look_at("patient")
    search("andersson")
    look_at("hits")
    search("greta lindgren")
    enter("[name=patient] >> nth=0")
    look_at("refused")
    enter("main .btn-main")
    search("svea andersson")
    enter("[name=patient] >> nth=0")
    look_at("encounter")
    enter("main .btn-main")
    look_at("consent")
    page.focus("main .btn-main")
    with page.expect_request("https://app.example/done?code=*"):
        page.keyboard.press("Enter")
    page = window.new_page()
    page.goto(SVEA)
    page.focus(".who-launch summary")
    page.keyboard.press("Enter")
    look_at("chart")
    window.close()
    assert faults == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_the_open_command_bar_and_menu_shut_nobody_out(signed_in, violations, look):
    window = signed_in("Amira Haddad", "Centrum", color_scheme=look, bypass_csp=True)
    page = window.new_page()
    page.goto(SVEA)
    page.keyboard.press("Control+k")
    page.wait_for_selector("#command-list [role=option]")
    page.keyboard.type("svea")
    page.wait_for_selector("#command-list >> text=19371104-2386")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#command", state="hidden")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#help", state="hidden")
    page.click(".me summary")
    assert violations(page) == []
    window.close()


def test_the_first_page_is_at_most_150_kilobytes(signed_in):
    window = signed_in("Amira Haddad", "Centrum")
    page = window.new_page()
    sizes: dict[str, int] = {}
    session = window.new_cdp_session(page)
    session.send("Network.enable")
    session.on(
        "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
    )
    page.goto(SVEA)
    page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes.values()) <= 150 * 1024
    window.close()
