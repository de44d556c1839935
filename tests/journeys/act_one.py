"""Svea, act one, as those in it play it: the script that the journey test and `python -m benchmarks act_one` run.

Karin Ek at the health centre writes the request; Amira Haddad in Borås' home care gets it, asks, is answered, takes
it on, enrols Svea and plans the first visit; Svea reads what was decided. Each step is counted by the recorder.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, expect

from .conftest import Person, log_in, somebody
from .recorder import Recorder

SVEA = "svea-andersson"
REASON = "Yrsel och två fall hemma sedan september. Upp 2,1 kg på två veckor. Bor ensam."
WISH = "Vägning och läkemedelsövervakning hemma, bedömning av fallrisk i bostaden."
QUESTION = "Vem följer upp kalium 5,4?"
REPLY = "Jag. Nya prover den 25 november."
HOME_CARE = "Hemsjukvård Centrum, Borås"
NEWS = 10_000
"""How long something that comes by itself is waited for, in milliseconds; that it takes less is measured, not asserted."""


@dataclass
class Stage:
    """A server at an address, and the windows of those in the play."""

    chromium: Browser
    address: str
    look: dict[str, object]

    def __post_init__(self) -> None:
        self.open: list[BrowserContext] = []
        self.people: list[Person] = []

    def enter(self, name: str, unit: str = "", *, resident: bool = False) -> Person:
        """Somebody logs in at a window of their own."""
        context = self.chromium.new_context(
            base_url=self.address, locale="sv-SE",
            **{"viewport": {"width": 1280, "height": 900}, **self.look},
        )  # fmt: skip
        self.open.append(context)
        someone = somebody(context)
        self.people.append(someone)
        log_in(someone.page, name, unit, resident=resident)
        return someone

    def close(self) -> list[str]:
        """Everybody leaves; what went wrong in their pages' scripts."""
        for context in self.open:
            context.close()
        return [fault for someone in self.people for fault in someone.faults]


def find_svea(karin: Person) -> None:
    """From the start page to Svea's chart, by the command bar."""
    karin.press("Control+k")
    karin.type("svea a")
    karin.page.locator("#command-list [role=option]", has_text="Svea Andersson").wait_for()
    karin.press("Enter")
    karin.page.wait_for_url(f"**/patients/{SVEA}")
    karin.page.wait_for_load_state()


def write(karin: Person, priority: str = "urgent", reason: str = REASON) -> None:
    """From the chart to a request that is ready to be sent."""
    karin.click(f'a[href="/patients/{SVEA}/requests/new"]')
    karin.click('a[href="?kind=hemsjukvard"]')
    karin.type(reason)  # the first field has the focus
    karin.press("Tab")
    karin.type(WISH)
    karin.click(f'label:has(input[name=priority][value="{priority}"])')
    karin.click('label:has(input[name=ground][value="samtycke"])')
    karin.click("label:has(input[name='form.ta-sig-till-mottagning'][value$='|nej'])")
    karin.click("label:has(input[name='form.insatser'][value$='|lakemedel'])")


def send(karin: Person) -> str:
    """Sends what is written; the address of the request."""
    with karin.page.expect_navigation(url=re.compile(r"/requests/[0-9a-f-]{36}")):
        karin.press("Control+Enter")
    return karin.page.url.removeprefix(karin.page.evaluate("location.origin")).partition("?")[0]


def arrives(amira: Person) -> float:
    """What is new shows by itself at her open list; how many milliseconds that took after it had been sent."""
    began = time.monotonic()
    amira.page.locator("[data-news]:not([hidden])").wait_for(timeout=NEWS)
    return (time.monotonic() - began) * 1000


def act(someone: Person, verb: str, text: str = "") -> None:
    """One verb on a request that is open: its button, with the words it asks for."""
    form = f"form:has(input[name=do][value={verb}])"
    if text:
        if not someone.page.locator(f"{form} textarea").is_visible():
            someone.click(f"details:has({form}) > summary")
        someone.click(f"{form} textarea")
        someone.type(text)
    with someone.page.expect_navigation():
        someone.click(f"{form} button")


def state(someone: Person, says: str) -> None:
    """The open request comes to say this by itself."""
    expect(someone.page.locator(".now-state")).to_contain_text(says, timeout=NEWS)


def play(stage: Stage, recorder: Recorder, picture: Callable[[Person, str], None] | None = None) -> str:  # fmt: skip
    """The happy way, from the physician's start page to what Svea reads. Returns the address of the request."""
    show = picture or (lambda person, name: None)
    karin = stage.enter("Karin Ek")
    amira = stage.enter("Amira Haddad", "Centrum")
    amira.page.goto("/work")
    amira.page.wait_for_load_state()
    with recorder.step(karin, "Karin", "finner Svea"):
        find_svea(karin)
    show(karin, "chart")
    with recorder.step(karin, "Karin", "skriver och skickar begäran"):
        write(karin)
        show(karin, "compose")
        address = send(karin)
    show(karin, "sent")
    recorder.waited_ms["till den öppna arbetslistan"] = arrives(amira)
    show(amira, "news")
    with recorder.step(amira, "Amira", "öppnar begäran ur listan"):
        amira.click("[data-news]")
        amira.click(f'[data-task] a[href^="/work/"], [data-task] a[href="{address}"]')
        if not amira.page.url.endswith(address):
            amira.click(f'main a[href="{address}"]')
    show(amira, "request")
    with recorder.step(amira, "Amira", "ställer en fråga"):
        act(amira, "ask", QUESTION)
    state(karin, "Väntar på svar på fråga")
    with recorder.step(karin, "Karin", "svarar"):
        act(karin, "reply", REPLY)
    began = time.monotonic()
    state(amira, "Mottagen")
    recorder.waited_ms["till den öppna begäran"] = (time.monotonic() - began) * 1000
    with recorder.step(amira, "Amira", "accepterar"):
        act(amira, "accept")
    show(amira, "accepted")
    with recorder.step(amira, "Amira", "skriver in och bokar första besöket"):
        act(amira, "plan")
    show(amira, "planned")
    with recorder.step(amira, "Amira", "finner uppgiften på sin lista"):
        amira.click('nav.main a[href="/work"]')
        expect(amira.page.locator("[data-task]", has_text="Första hembesök")).to_contain_text("Svea Andersson")  # fmt: skip
    show(amira, "worklist")
    return address
