"""Every page, both languages, both looks, wide and narrow: no violation, nothing wider than the screen."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.slow]
AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text("utf-8")
RUN = (
    "axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',"
    " 'wcag22aa', 'best-practice']}})"
)
SVEA = "/patients/svea-andersson"
STAFF = (
    "/", "/patients", "/patients?q=andersson", "/patients?q=zzyzx", SVEA, f"{SVEA}/timeline", f"{SVEA}/medicines",
    f"{SVEA}/measurements", f"{SVEA}/results", f"{SVEA}/documents", f"{SVEA}/encounters", f"{SVEA}/problems",
    f"{SVEA}/hidden", f"{SVEA}/emergency", f"{SVEA}?print=1", "/patients/jonas-lindgren", "/nothing/here",
)  # fmt: skip
PEOPLE = (
    ("Amira Haddad", "Centrum", False, STAFF),
    ("Linnea Engström", "", False, ("/",)),
    ("verksamhetschef södra torget", "", False, ("/lifts?number=193711042386", "/sessions")),
    ("Annika Sjöberg", "", False, ("/review",)),
    (
        "David Wallin",
        "",
        False,
        ("/preflight", "/preflight?run=1&only_faults=1", "/unlocked", "/lock"),
    ),
    ("Svea Andersson", "", True, ("/me", "/me/log", "/me/consents")),
    ("Jonas Lindgren", "", True, ("/me", "/me/family/greta-lindgren", "/me/family/svea-andersson")),
)
LOOKS = [
    (w, look, lang) for w in (1280, 390) for look in ("light", "dark") for lang in ("sv", "en")
]


def violations(page) -> list[str]:
    # what is still fading in has not its own colour yet
    page.evaluate("Promise.all(document.getAnimations().map((a) => a.finished))")
    page.evaluate(AXE)
    found = page.evaluate(RUN)["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]


@pytest.mark.parametrize(("width", "look", "language"), LOOKS)
def test_no_page_shuts_anybody_out(signed_in, width, look, language):
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
            assert page.locator("html").get_attribute("lang") == language
            faults += [f"{address}: {fault}" for fault in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                faults.append(f"{address}: {wide} pixels wide")
        window.close()
    assert faults == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_the_open_command_bar_and_menu_shut_nobody_out(signed_in, look):
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
