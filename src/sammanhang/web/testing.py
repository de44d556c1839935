"""Fixtures for tests of pages: the people of the stories in a database, and a browser without a screen.

A slice's `conftest.py` takes them in with `from sammanhang.web.testing import *`.
"""

from __future__ import annotations

import html
import itertools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from sammanhang.access.services import Services
from sammanhang.kernel.settings import Settings
from sammanhang.store.bulk import load

from .app import create_app

__all__ = ["Browser", "as_", "browser", "own_town", "services", "town"]
BASE = "http://127.0.0.1:8000"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_numbers = itertools.count()
_cookies: dict[tuple[str, str, str], dict[str, str]] = {}


def region(*, enrolled: bool = True) -> Iterator[Any]:
    """The organisations, their staff, Svea and Greta with those around them, and a few residents.

    `enrolled` tells whether Svea has home care already; what plays before the request for it says False.
    """
    from sammanhang.region.generate import everything

    yield from everything(1, 60, enrolled=enrolled)


@pytest.fixture(scope="session")
def town(cluster: str, template: str) -> Iterator[str]:
    """The connection string of a database with a small region; shared, so tests only read it."""
    yield from small_region(cluster, template)


@pytest.fixture(scope="module")
def own_town(cluster: str, template: str) -> Iterator[str]:
    """Such a database for one module, whose tests may change it."""
    yield from small_region(cluster, template)


def small_region(cluster: str, template: str, *, enrolled: bool = True) -> Iterator[str]:
    """A database with a small region, and its end; `enrolled` as in `region`."""
    name = f"town_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    dsn = make_conninfo(cluster, dbname=name)
    load(dsn, region(enrolled=enrolled))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
    yield dsn
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def services(town: str) -> AsyncIterator[Services]:
    """Open services on the small region."""
    made = Services.make(Settings(base_url=BASE), town)
    await made.open()
    yield made
    await made.close()


@dataclass
class Browser:
    """A browser without a screen: it follows links and counts the database's queries."""

    client: httpx.AsyncClient
    services: Services
    queries: int = 0

    async def get(self, address: str, **more: Any) -> httpx.Response:
        """Opens a page; `queries` is how many the database was asked."""
        before = self.services.database.queries
        response = await self.client.get(address, **more)
        self.queries = self.services.database.queries - before
        return response

    async def search(self, text: str) -> httpx.Response:
        """Searches for a patient from the search page; `queries` is how many that took."""
        form = await self.client.get("/patients")
        before = self.services.database.queries
        page = await self.post("/patients", {"q": text}, form)
        self.queries = self.services.database.queries - before
        return page

    async def post(
        self, address: str, form: dict[str, str], page: httpx.Response
    ) -> httpx.Response:
        """Sends a form with the token of the page it stands on."""
        token = re.search(r'name="csrf" value="([^"]*)"', page.text)
        assert token is not None, "the page has no form"
        return await self.client.post(address, data={"csrf": html.unescape(token[1]), **form})


@pytest_asyncio.fixture
async def browser(services: Services) -> AsyncIterator[Browser]:
    """A browser where nobody is logged in."""
    app = create_app(services)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, follow_redirects=True
    ) as client:
        yield Browser(client, services)


@pytest_asyncio.fixture
async def as_(browser: Browser, town: str) -> Callable[..., Awaitable[Browser]]:
    """Logs somebody in, by the log-in pages: `await as_("Amira Haddad", "Centrum")`."""

    async def log_in(name: str, unit: str = "", kind: str = "") -> Browser:
        browser.client.cookies.clear()  # whoever was logged in here has gone
        known = _cookies.get((town, name, unit))
        if known is None:
            await _log_in(browser.client, name, unit, kind)
            _cookies[(town, name, unit)] = dict(browser.client.cookies)
        else:
            browser.client.cookies.update(known)
        return browser

    return log_in


async def _log_in(client: httpx.AsyncClient, name: str, unit: str, kind: str) -> None:
    """Through the built-in provider, as a person does."""
    page = await client.get("/login")
    hidden = {k: html.unescape(v) for k, v in _HIDDEN.findall(page.text)}
    asked = dict(httpx.QueryParams(page.url.query))
    hidden = {**asked, **hidden}
    page = await client.get(
        "/oidc/authorize", params={**hidden, "q": name, **({"kind": kind} if kind else {})}
    )
    wanted = "Patient/" if kind == "resident" else ""
    people = re.findall(rf'name="person" value="({wanted}[^"]+)"', page.text)
    assert people, f"nobody called {name} can log in"
    form = {**hidden, **{k: html.unescape(v) for k, v in _HIDDEN.findall(page.text)}}
    page = await client.post("/oidc/authorize", data={**form, "person": people[0]})
    if page.url.path == "/login/assignment":
        choices = re.findall(
            r'name="assignment" value="([^"]+)"[^>]*aria-label="([^"]+)"', page.text
        )
        chosen = next((value for value, label in choices if unit in label), choices[0][0])
        csrf = re.search(r'name="csrf" value="([^"]*)"', page.text)
        assert csrf is not None
        token = html.unescape(csrf[1])
        await client.post(
            "/login/assignment", data={"csrf": token, "assignment": chosen, "next": "/"}
        )
