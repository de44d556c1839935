"""A page's form as a browser would send it, so that a test changes only what a person would change."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from sammanhang.web.testing import Browser

Fields = list[tuple[str, str]]


class _Reader(HTMLParser):
    """Reads the form whose action ends as asked for."""

    def __init__(self, action: str, verb: str) -> None:
        super().__init__()
        self.action, self.verb = action, verb
        self.found: list[Fields] = []
        self._now: Fields | None = None
        self._area: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {k: v or "" for k, v in attrs}
        if tag == "form":
            self._now = [] if told.get("action", "").endswith(self.action) else None
        if self._now is None or (tag != "option" and not told.get("name")):
            return
        if tag == "input" and (told.get("type") not in ("checkbox", "radio") or "checked" in told):
            self._now.append((told["name"], told.get("value", "")))
        elif tag == "textarea":
            self._area = told["name"]
            self._now.append((told["name"], ""))
        elif tag == "select":
            self._select = told["name"]
            self._now.append((told["name"], ""))
        elif tag == "option" and self._select and (self._now[-1][1] == "" or "selected" in told):
            self._now[-1] = (self._select, told.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self._now is not None and self._area is not None:
            self._now[-1] = (self._area, self._now[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None
            if self._now:
                self._now[-1] = (self._now[-1][0], self._now[-1][1].removeprefix("\n"))
        elif tag == "select":
            self._select = None
        elif tag == "form" and self._now is not None:
            if not self.verb or ("do", self.verb) in self._now:
                self.found.append(self._now)
            self._now = None


def fields_of(page: httpx.Response, action: str, verb: str = "") -> Fields:
    """The fields of the page's form with that action; with `verb` the one that does that."""
    reader = _Reader(action, verb)
    reader.feed(page.text)
    assert reader.found, f"no form for {action} {verb} on {page.url}"
    return reader.found[0]


def changed(fields: Fields, **new: str | None) -> Fields:
    """The same with some fields set (`__` stands for `.` and `_` for `-` in a form's own), or left out (None)."""
    made = [(n, v) for n, v in fields if n not in new]
    return [*made, *((n, v) for n, v in new.items() if v is not None)]


async def post(
    browser: Browser, address: str, fields: Fields, *, part: bool = False
) -> httpx.Response:
    """Sends fields as they are; counts the database's queries."""
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        **({"hx-request": "true"} if part else {}),
    }
    before = browser.services.database.queries
    answer = await browser.client.post(address, content=urlencode(fields), headers=headers)
    browser.queries = browser.services.database.queries - before
    return answer


SVEA = "/patients/svea-andersson"
CAN = "http://sammanhang.se/fhir/CodeSystem/care-request-answer|nej"
GOOD = {
    "reason": "Yrsel, två fall senaste månaden", "question": "Vägning tre gånger i veckan", "priority": "urgent",
    "ground": "samtycke", "form.ta-sig-till-mottagning": CAN,
}  # fmt: skip


async def written(
    browser: Browser, kind: str = "hemsjukvard", patient: str = SVEA, **more: Any
) -> Fields:
    """A whole request as it stands on the page before it is sent."""
    page = await browser.get(f"{patient}/requests/new?kind={kind}")
    assert page.status_code == 200, page.text[:400]
    # the tests of a module share Svea, and many send the same words
    return changed(fields_of(page, "/requests/send"), **{"anyway": "yes", **GOOD, **more})


async def sent(browser: Browser, patient: str = SVEA, **more: Any) -> str:
    """Sends one; its address."""
    page = await post(
        browser,
        f"{patient}/requests/send",
        [*await written(browser, patient=patient, **more), ("do", "send")],
    )
    assert page.status_code == 200 and page.url.path.startswith(f"{patient}/requests/0"), page.text[
        :600
    ]
    return page.url.path


async def does(browser: Browser, address: str, verb: str, **more: str) -> httpx.Response:
    """One verb from the request's own page, by its own form."""
    page = await browser.get(address)
    fields = changed(fields_of(page, address.rpartition("/")[2], verb), **more)
    return await post(browser, address, fields)


def words(page: httpx.Response) -> str:
    """A page's text with its line breaks as spaces."""
    return " ".join(page.text.split())
