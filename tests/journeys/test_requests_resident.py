"""Svea and Jonas read what happens with care requests: in plain words, at most two clicks after log-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from sammanhang.access.services import Services
from sammanhang.care.requests import receiving, sending
from sammanhang.care.requests.receiving import FirstVisit
from sammanhang.care.requests.sending import Written
from sammanhang.kernel import clock
from sammanhang.kernel.settings import Settings
from sammanhang.region.organisations import named
from sammanhang.work.testing import BASE, somebody

from .conftest import Person, log_in, serving

pytestmark = pytest.mark.journey
SVEA, GRETA = "svea-andersson", "greta-lindgren"
CENTRUM = named("Hemsjukvård Centrum, Borås").id


@pytest.fixture(scope="module")
def requests(own_town: str) -> dict[str, str]:
    """Svea's requests in several states and one of Greta's, by state."""

    async def make() -> dict[str, str]:
        services = Services.make(Settings(base_url=BASE), own_town)
        await services.open()

        async def at(who: str, unit: str = "", patient: str = SVEA) -> Any:
            return await services.doors.open_record(await somebody(services, who, unit), patient)

        async def sent(kind: str, patient: str = SVEA) -> str:
            to = "" if patient == GRETA else CENTRUM
            words = Written(kind, to, "urgent", "Yrsel, två fall, hjärtsvikt", "Vägning och läkemedel", ground="samtycke")  # fmt: skip
            return await sending.send(await at("karin-ek", patient=patient), "", words)

        made = {"planned": await sent("hemsjukvard")}
        await receiving.receive(await at("amira-haddad", "Centrum"), made["planned"])
        await receiving.accept(await at("amira-haddad", "Centrum"), made["planned"], "Välkommen")
        at_ten = (clock.now() + timedelta(days=1)).replace(hour=9, minute=0)
        await receiving.plan(await at("amira-haddad", "Centrum"), made["planned"], FirstVisit(at_ten, 60))  # fmt: skip
        made["rejected"] = await sent("hjalpmedel")
        await receiving.reject(await at("amira-haddad", "Centrum"), made["rejected"], "Kan hämtas på vårdcentralen")  # fmt: skip
        made["more-information"] = await sent("bedomning")
        await receiving.ask(await at("amira-haddad", "Centrum"), made["more-information"], "Nyckel?")  # fmt: skip
        made["sent"] = await sent("rehabilitering")
        await services.doors.declare(await somebody(services, "karin-ek"), GRETA, "new-contact")
        made["greta"] = await sent("region-till-elevhalsa", GRETA)
        await services.close()
        return made

    with ThreadPoolExecutor(1) as aside:  # the browser's own loop runs in this thread
        return aside.submit(lambda: asyncio.run(make())).result()


@pytest.fixture(scope="module")
def server(own_town: str, requests: dict[str, str]) -> Iterator[str]:
    yield from serving(own_town)


@pytest.fixture(params=[1280, 390])
def meet(
    chromium: Browser, server: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Person]]:
    """A resident logged in, at a wide screen and at a telephone."""
    windows = []

    def somebody(name: str, **look: Any) -> Person:
        size = {"width": request.param, "height": 844}
        context = chromium.new_context(base_url=server, locale="sv-SE", viewport=size, bypass_csp=True, **look)  # fmt: skip
        windows.append(context)
        someone = Person(context.new_page())
        log_in(someone.page, name, resident=True)
        return someone

    yield somebody
    for context in windows:
        context.close()


def text(page: Page) -> str:
    return page.inner_text("main")


def fits(page: Page, violations: Callable[[Page], list[str]]) -> None:
    """Nothing wider than the screen, nothing that shuts anybody out."""
    assert violations(page) == []
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]


def test_svea_reads_what_was_decided_by_whom_and_what_happens_next(
    meet, violations, requests
) -> None:
    svea = meet("Svea Andersson")
    page = svea.page
    first = page.locator("main section").first.inner_text()
    assert "Nästa steg" in first and "Hemsjukvården i Borås kommer hem till dig" in first
    fits(page, violations)
    svea.click(f"a[href='/me/requests/{requests['planned']}']")
    page.wait_for_url("**/requests/*")
    said = text(page)
    for words in ("Beslut: ja", "Amira Haddad, sjuksköterska, Hemsjukvård Centrum, Borås", "Välkommen", "Yrsel, två fall"):  # fmt: skip
        assert words in said, words
    assert page.locator("[aria-current=step]").inner_text().startswith("Nu")
    assert page.locator("main a[href^='tel:']").first.bounding_box()["height"] >= 56
    fits(page, violations)
    assert svea.clicks <= 2


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("rejected", ("Svaret är nej", "Kan hämtas på vårdcentralen", "patientnämnden")),
        ("more-information", ("En fråga väntar på svar",)),
        ("sent", ("Skickad", "Hemsjukvården i Borås svarar senast")),
    ],
)
def test_she_understands_the_unhappy_ways_too(meet, violations, requests, state, said) -> None:
    svea = meet("Svea Andersson", color_scheme="dark")
    svea.click(f"#going ~ a[href='/me/requests/{requests[state]}'], section a[href='/me/requests/{requests[state]}']")  # fmt: skip
    svea.page.wait_for_url("**/requests/*")
    for words in said:
        assert words in text(svea.page), words
    assert "Nyckel?" not in text(svea.page)
    fits(svea.page, violations)
    assert svea.clicks <= 2


def test_a_father_reads_of_his_childs_request_in_two_clicks(meet, violations, requests) -> None:
    jonas = meet("Jonas Lindgren")
    jonas.click("text=Greta")
    jonas.page.wait_for_url(f"**/me/family/{GRETA}")
    jonas.click(f"a[href='/me/family/{GRETA}/requests/{requests['greta']}']")
    jonas.page.wait_for_url("**/requests/*")
    assert "åt Greta" in text(jonas.page)
    fits(jonas.page, violations)
    assert jonas.clicks <= 2


def test_it_is_read_without_scripts_in_english_and_at_twice_the_size(meet, requests) -> None:
    svea = meet("Svea Andersson", java_script_enabled=False)
    page = svea.page
    page.goto("/settings/language/en")
    page.goto(f"/me/requests/{requests['planned']}")
    assert "Home care in Borås comes home to you" in text(page)
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"] // 2, "height": size["height"] // 2})
    box = page.locator("html").bounding_box()
    assert box is not None and box["width"] <= max(size["width"] // 2, 320)
