"""Every page, both languages, both looks, wide and narrow: no violation, nothing wider than the screen."""

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.slow]
SVEA = "/patients/svea-andersson"
STAFF = (
    "/", "/patients", "/patients?q=andersson", "/patients?q=zzyzx", SVEA, f"{SVEA}/timeline", f"{SVEA}/medicines",
    f"{SVEA}/measurements", f"{SVEA}/results", f"{SVEA}/documents", f"{SVEA}/encounters", f"{SVEA}/problems",
    f"{SVEA}/hidden", f"{SVEA}/emergency", f"{SVEA}?print=1", "/patients/jonas-lindgren", "/nothing/here",
)  # fmt: skip
PEOPLE = (
    ("Amira Haddad", "Centrum", False, STAFF),
    ("Linnea Engström", "", False, ("/",)),
    (
        "verksamhetschef södra torget",
        "",
        False,
        ("/lifts", "/lifts#193711042386", "/sessions", "/review/figures"),
    ),
    ("Annika Sjöberg", "", False, ("/", "/review", "/review/figures", "/review/public")),
    (
        "David Wallin",
        "",
        False,
        ("/rules", "/preflight", "/preflight?run=1&only_faults=1", "/unlocked", "/lock"),
    ),
    ("Karin Ek", "", False, ("/patients/svea-andersson/consents",)),
    ("Svea Andersson", "", True, ("/me", "/me/log", "/me/consents")),
    ("Jonas Lindgren", "", True, ("/me", "/me/family/greta-lindgren", "/me/family/svea-andersson")),
)
LOOKS = [
    (w, look, lang) for w in (1280, 390) for look in ("light", "dark") for lang in ("sv", "en")
]


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
