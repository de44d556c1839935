"""Svea, act one, as those in it play it: the script that the journey test and `python -m benchmarks act_one` run.

Karin Ek at the health centre writes the request; Amira Haddad in Borås' home care gets it, asks, is answered, takes
it on, enrols Svea and plans the first visit; Svea reads what was decided. Each step is counted by the recorder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Request, expect

from .conftest import Person, log_in, somebody
from .recorder import Recorder, weight

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
    """A server at an address, and the windows of those in the play; each person logs in once (`known`)."""

    chromium: Browser
    address: str
    look: dict[str, Any] = field(default_factory=dict)
    known: dict[tuple[str, str], Any] = field(default_factory=dict)
    open: list[BrowserContext] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def enter(self, name: str, unit: str = "", *, resident: bool = False) -> Person:
        """Somebody at the start page of a window of their own, logged in."""
        context = self.chromium.new_context(
            base_url=self.address, locale="sv-SE", storage_state=self.known.get((name, unit)),
            **{"viewport": {"width": 1280, "height": 900}, **self.look},
        )  # fmt: skip
        self.open.append(context)
        someone = somebody(context)
        self.people.append(someone)
        if (name, unit) in self.known:
            someone.page.goto("/")
        else:
            log_in(someone.page, name, unit, resident=resident)
            self.known[(name, unit)] = context.storage_state()
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


_written = count()


def write(karin: Person, priority: str = "urgent", reason: str = REASON) -> None:
    """From the chart to a request that is ready to be sent. No two have the very same words: Karin would be asked
    whether she means it."""
    karin.click(f'a[href="/patients/{SVEA}/requests/new"]')
    karin.click('a[href="?kind=hemsjukvard"]')
    karin.type(reason)  # the first field has the focus
    karin.press("Tab")
    karin.type(f"{WISH} {next(_written):02}")
    karin.click(f'label:has(input[name=priority][value="{priority}"])')
    karin.click('label:has(input[name=ground][value="samtycke"])')
    karin.click("label:has(input[name='form.ta-sig-till-mottagning'][value$='|nej'])")
    karin.click("label:has(input[name='form.insatser'][value$='|lakemedel'])")


def send(karin: Person) -> tuple[str, float]:
    """Sends what is written: the address of the request, and when the server said that it was sent (ms, Unix time)."""
    with (
        karin.page.expect_request_finished(lambda r: r.url.endswith("/requests/send")) as sent,
        karin.page.expect_navigation(url=re.compile(r"/requests/[0-9a-f-]{36}")),
    ):
        karin.press("Control+Enter")
    timing = sent.value.timing
    return address_of(karin), timing["startTime"] + timing["responseStart"]


def address_of(someone: Person) -> str:
    """The path of the page that is open."""
    return str(someone.page.evaluate("location.pathname"))


COMES = """const list = document.querySelector('main'), rows = () => list.querySelectorAll('[data-task]').length;
  const before = rows(), look = () => { const news = list.querySelector('[data-news]');
    if (window.came === undefined && (rows() > before || (news && !news.hidden))) window.came = Date.now(); };
  window.came = undefined;
  new MutationObserver(look).observe(list, { subtree: true, childList: true, attributes: true });"""


def listens(someone: Person) -> None:
    """From now on their open list notes when something new shows in it."""
    someone.page.evaluate(f"() => {{ {COMES} }}")


def came(someone: Person, since: float) -> float:
    """What is new has shown in the open list by itself; how many milliseconds after `since`."""
    for _look in range(NEWS // 50):  # no wait_for_function: the pages forbid eval
        at = someone.page.evaluate("window.came")
        if at is not None:
            return float(at) - since
        someone.page.wait_for_timeout(50)
    raise AssertionError("nothing new has come to the list")


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


def sends(stage: Stage, priority: str = "urgent") -> tuple[Person, str]:
    """Karin Ek sends a request for Svea, uncounted: she, and the address of the request."""
    karin = stage.enter("Karin Ek")
    karin.page.goto(f"/patients/{SVEA}")
    write(karin, priority)
    return karin, send(karin)[0]


Picture = Callable[[Person, str], None]


def play(stage: Stage, recorder: Recorder, picture: Picture = lambda person, name: None) -> str:
    """The happy way, from the physician's start page to what Svea reads. Returns the address of the request."""
    karin, amira = stage.enter("Karin Ek"), stage.enter("Amira Haddad", "Centrum")
    amira.page.goto("/work")
    listens(amira)
    with recorder.step(karin, "Karin", "finds Svea"):
        find_svea(karin)
    picture(karin, "chart")
    with recorder.step(karin, "Karin", "writes the request and sends it"):
        write(karin)
        picture(karin, "compose")
        address, sent = send(karin)
    picture(karin, "sent")
    recorder.waited_ms["the open worklist shows the request"] = came(amira, sent)
    with recorder.step(amira, "Amira", "opens the request from the list"):
        amira.click(f'[data-task] a[data-go][href="{address}"]')
    picture(amira, "request")
    with recorder.step(amira, "Amira", "asks a question"):
        act(amira, "ask", QUESTION)
    state(karin, "Väntar på svar på fråga")
    with recorder.step(karin, "Karin", "answers it"):
        act(karin, "reply", REPLY)
    state(amira, "Mottagen")
    with recorder.step(amira, "Amira", "accepts"):
        act(amira, "accept")
    picture(amira, "accepted")
    with recorder.step(amira, "Amira", "enrols Svea and books the first visit"):
        act(amira, "plan")
    picture(amira, "planned")
    with recorder.step(amira, "Amira", "finds Svea on her list"):
        amira.click('nav.main a[href="/work"]')
    expect(todo(amira)).to_contain_text("Svea Andersson")
    picture(amira, "worklist")
    svea = stage.enter("Svea Andersson", resident=True)
    picture(svea, "me")
    with recorder.step(svea, "Svea", "reads what was decided"):
        svea.click(f'a[href="/me/requests/{address.rpartition("/")[2]}"]')
    picture(svea, "decided")
    return address


def todo(nurse: Person, what: str = "Första hembesök") -> Locator:
    """The row of the visit in the nurse's list."""
    return nurse.page.locator("[data-task]", has_text=what).first


@dataclass(frozen=True, slots=True)
class Weight:
    """What a page weighs when nothing of it is in the browser yet, and its scripts, in compressed kilobytes.

    `letters` is the font of letters beyond Swedish (the ć of Petrović), which the browser fetches when a name on the
    page has one, once; it is not in `kilobytes`.
    """

    page: str
    kilobytes: float
    scripts: float
    letters: float


def weigh(stage: Stage, address: str) -> list[Weight]:
    """The pages of the act, each in a browser that has seen none of it; for people who are known to the stage."""
    svea = f"/patients/{SVEA}"
    pages = (
        ("worklist", ("Amira Haddad", "Centrum"), "/work"),
        ("list of requests", ("Amira Haddad", "Centrum"), "/requests"),
        ("choosing a kind of request", ("Karin Ek", ""), f"{svea}/requests/new"),
        ("writing a request", ("Karin Ek", ""), f"{svea}/requests/new?kind=hemsjukvard"),
        ("a request", ("Amira Haddad", "Centrum"), address),
        ("the resident's request", ("Svea Andersson", ""), f"/me/requests/{address.rpartition('/')[2]}"),
    )  # fmt: skip
    found = []
    for name, who, page in pages:
        context = stage.chromium.new_context(base_url=stage.address, storage_state=stage.known[who])
        window, done = context.new_page(), list[Request]()
        window.on("requestfinished", lambda r, done=done: done.append(r))
        window.goto(page)
        window.wait_for_timeout(500)
        letters = sum(weight(r) for r in done if "latin-ext" in r.url)
        scripts = sum(weight(r) for r in done if r.resource_type == "script")
        whole = sum(map(weight, done)) - letters
        found.append(Weight(name, whole / 1024, scripts / 1024, letters / 1024))
        context.close()
    return found
