"""A real server on a small region, and a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from sammanhang.web.testing import own_town, town  # noqa: F401

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    (
        p
        for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
        if Path(p).exists()
    ),
    None,
)
JOBS = [sys.executable, "-m", "sammanhang.operate.jobs"]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]


@pytest.fixture(scope="session")
def server(town: str) -> Iterator[str]:  # noqa: F811
    """The address of a server on the small region."""
    yield from serving(town)


def serving(dsn: str, *, jobs: bool = False, content: Path | None = None) -> Iterator[str]:
    """A server on a database, with the process of the jobs when asked for: its address, and its end.

    `content` is a region's own folder of content.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "SAMMANHANG_DATABASE_URL": dsn, "SAMMANHANG_PORT": str(port),
        "PYTHONPATH": str(ROOT / "src"),
        **({"SAMMANHANG_CONTENT_FOLDER": str(content)} if content is not None else {}),
    }  # fmt: skip
    program = [sys.executable, "-m", "uvicorn", "sammanhang.web.app:create_app", "--factory"]
    started = subprocess.Popen(
        [*program, "--port", str(port), "--log-level", "warning"], cwd=ROOT, env=environment
    )
    address = f"http://127.0.0.1:{port}"
    patience = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                break
        except OSError:
            if time.monotonic() > patience or started.poll() is not None:
                started.kill()
                raise
            time.sleep(0.1)
    beside = [subprocess.Popen(JOBS, cwd=ROOT, env=environment)] if jobs else []
    try:
        yield address
    finally:
        for process in (started, *beside):
            process.terminate()
        for process in (started, *beside):
            process.wait(15)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of the distribution."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; `make test` installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Person:
    """Somebody at a browser: what they click and press is counted; `letters` is how many of the keys wrote text."""

    page: Page
    clicks: int = 0
    keys: int = 0
    letters: int = 0
    faults: list[str] = field(default_factory=list)

    def log_in(self, name: str, unit: str = "", *, resident: bool = False) -> None:
        """Through the log-in pages; not counted."""
        log_in(self.page, name, unit, resident=resident)

    def click(self, selector: str) -> None:
        self.page.locator(selector).first.click()
        self.page.wait_for_load_state()
        self.clicks += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.keys += len(text)
        self.letters += len(text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1


@pytest.fixture
def person(chromium: Browser, server: str) -> Iterator[Person]:
    """Somebody not logged in, in Swedish, at a screen of 1280 pixels; a script's fault fails the test."""
    context = chromium.new_context(
        base_url=server, viewport={"width": 1280, "height": 900}, locale="sv-SE"
    )
    someone = somebody(context)
    yield someone
    context.close()
    assert someone.faults == []


# What htmx says when a page is left while it asks for a part of it.
LEFT = ("htmx:sendAbort", "htmx:afterRequest")


def somebody(context: BrowserContext) -> Person:
    """Somebody at a new page of a browser window, whose scripts' faults are kept."""
    someone = Person(context.new_page())
    someone.page.on("pageerror", lambda error: someone.faults.append(str(error)))
    someone.page.on(
        "console",
        lambda m: (
            someone.faults.append(m.text)
            if m.type == "error" and "status of" not in m.text and not m.text.startswith(LEFT)
            else None
        ),
    )
    return someone


def log_in(page: Page, name: str, unit: str = "", *, resident: bool = False) -> None:
    """Through the log-in pages, as people do."""
    page.goto("/login")
    page.fill("#q", name)
    page.press("#q", "Enter")
    kind = "Patient" if resident else "Practitioner"
    page.locator(f'button[name=person][value^="{kind}/"]').first.click()
    page.wait_for_load_state()
    if page.url.endswith("/login/assignment") or "/login/assignment?" in page.url:
        page.locator(f'button[name=assignment][aria-label*="{unit}"]').first.click()
        page.wait_for_load_state()


@pytest.fixture
def enter() -> Callable[..., None]:
    """Logs somebody in on a page of the test's own."""
    return log_in


STALE = 120.0  # seconds since a window was opened; one test is done well before its screen locks


@pytest.fixture(scope="session")
def signed_in(chromium: Browser, server: str) -> Callable[..., BrowserContext]:
    """A browser window where somebody is already logged in; each person logs in once."""
    return windows(chromium, server)


def windows(chromium: Browser, server: str) -> Callable[..., BrowserContext]:
    """As `signed_in`, on a server of one's own."""
    states: dict[tuple[str, str], object] = {}
    used: dict[tuple[str, str], float] = {}

    def window(
        name: str, unit: str = "", *, resident: bool = False, **look: object
    ) -> BrowserContext:
        # a session nobody used for a while is locked, as at a ward
        if time.monotonic() - used.get((name, unit), float("-inf")) > STALE:
            context = chromium.new_context(base_url=server, locale="sv-SE")
            log_in(context.new_page(), name, unit, resident=resident)
            states[(name, unit)] = context.storage_state()
            context.close()
        used[(name, unit)] = time.monotonic()
        return chromium.new_context(
            base_url=server,
            locale="sv-SE",
            storage_state=states[(name, unit)],
            **look,  # type: ignore[arg-type]
        )

    return window


AXE = ROOT / "node_modules/axe-core/axe.min.js"
RUN = (
    "axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',"
    " 'wcag22aa', 'best-practice']}})"
)


@pytest.fixture(scope="session")
def violations() -> Callable[[Page], list[str]]:
    """What axe finds on a page, a line each."""
    code = AXE.read_text("utf-8")

    def found(page: Page) -> list[str]:
        # what is still fading in has not its own colour yet
        page.evaluate("Promise.all(document.getAnimations().map((a) => a.finished))")
        page.evaluate(code)
        faults = page.evaluate(RUN)["violations"]
        return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in faults]

    return found
