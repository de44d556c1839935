"""A small world to log in to: a hospital, a municipality, a few people, and an application of log-in."""

from __future__ import annotations

import base64
import hmac
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sammanhang.access import (
    backchannel,
    context_pages,
    identity,
    lock_pages,
    oauth,
    oidc,
    sessions,
)
from sammanhang.access.audit import AuditLog
from sammanhang.fhir.decode import decode
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.kernel.settings import Settings
from sammanhang.store.bulk import load
from sammanhang.store.database import Database

BASE = "http://127.0.0.1:8000"
REGION, TOWN = "SE2321000131-E000000009001", "SE2120001489-E000000009001"
WARD, CLINIC, HOME = (
    "SE2321000131-E000000009011",
    "SE2321000131-E000000009012",
    "SE2120001489-E000000009013",
)
_loaded: set[str] = set()
_addresses = itertools.count(1)


@dataclass
class Services:
    settings: Settings
    database: Database
    audit: AuditLog
    provider: Any = None


@dataclass
class World:
    """The application, and browsers to visit it with."""

    services: Services
    app: Starlette
    dsn: str
    address: str
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self, base: str = BASE) -> httpx.AsyncClient:
        """A new browser: no cookies."""
        transport = httpx.ASGITransport(self.app, client=(self.address, 4711))
        browser = httpx.AsyncClient(transport=transport, base_url=base)
        self.browsers.append(browser)
        return browser

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """A query past everything, as the superuser."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def traces(self, action: str) -> list[dict[str, Any]]:
        """Audit entries of an action that came from this world's address, oldest first."""
        rows = self.execute("SELECT entries FROM audit.block ORDER BY at")
        entries = [
            {"outcome": "ok", **msgspec.json.decode(line)}
            for (lines,) in rows
            for line in lines.splitlines()
        ]
        return [
            e
            for e in entries
            if e["action"] == action and e.get("details", {}).get("address") == self.address
        ]


@asynccontextmanager
async def world(dsn: str, **settings: Any) -> AsyncIterator[World]:
    """The world on a database; its people are loaded the first time."""
    if dsn not in _loaded:
        load(dsn, people())
        _loaded.add(dsn)
    database = Database(dsn, readers=2, writers=3)
    await database.open()
    audit = AuditLog(database)
    audit.start()
    services = Services(Settings(**{"base_url": BASE, **settings}), database, audit)
    app = Starlette(
        routes=[
            *oidc.routes,
            *identity.routes,
            *lock_pages.routes,
            *backchannel.routes,
            *context_pages.routes,
            *oauth.routes,
            Route("/whoami", whoami),
        ]
    )
    app.state.services = services
    number = next(_addresses)
    made = World(services, app, dsn, f"10.1.{number // 256}.{number % 256}")
    try:
        yield made
    finally:
        for browser in made.browsers:
            await browser.aclose()
        await audit.stop()
        await database.close()


async def whoami(request: Request) -> JSONResponse:
    """What a page knows of who asks."""
    session = await sessions.current(request)
    if session is None:
        return JSONResponse(None)
    actor = session.actor
    return JSONResponse(
        {
            "state": session.state,
            "kind": actor.kind,
            "id": actor.id,
            "name": actor.name,
            "loa": actor.loa,
            "assignment": msgspec.to_builtins(actor.assignment),
            "csrf": sessions.csrf_token(session),
        }
    )


async def to_provider(browser: httpx.AsyncClient, next: str = "/") -> dict[str, str]:
    """Starts a log-in; returns the request the provider was sent."""
    answer = await browser.get("/login", params={"next": next})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{BASE}/oidc/authorize?")
    return query(answer.headers["location"])


async def choose_person(
    browser: httpx.AsyncClient, asked: dict[str, str], person: str, **more: str
) -> str:
    """Chooses somebody on the provider's page; returns the address the answer goes to."""
    answer = await browser.post("/oidc/authorize", data={**asked, "person": person, **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def log_in(
    browser: httpx.AsyncClient, person: str, next: str = "/", **more: str
) -> httpx.Response:
    """The whole log-in; returns the answer of the callback."""
    asked = await to_provider(browser, next)
    return await browser.get(await choose_person(browser, asked, person, **more))


def raw_token(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None = None) -> str:
    """A token as a forger makes it: any header; signed with HMAC, or not at all."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = f"{part(msgspec.json.encode(header))}.{part(msgspec.json.encode(claims))}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256')) if secret else ''}"


def query(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def csrf_of(page: str) -> str:
    """The form token on a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


async def choose(browser: httpx.AsyncClient, assignment: str) -> httpx.Response:
    """Chooses or switches assignment on the page for it."""
    page = await browser.get("/login/assignment")
    form = {"csrf": csrf_of(page.text), "assignment": assignment, "next": "/"}
    answer = await browser.post("/login/assignment", data=form)
    assert answer.status_code == 303, answer.text
    return answer


async def whoami_of(browser: httpx.AsyncClient) -> Any:
    """Who the application thinks the browser is."""
    return (await browser.get("/whoami")).json()


def resource(body: dict[str, Any]) -> Any:
    """A checked resource."""
    return decode(msgspec.json.encode(body))


def organization(id: str, name: str) -> Any:
    return resource({"resourceType": "Organization", "id": id, "name": name})


def practitioner(id: str, given: str, family: str, **more: Any) -> Any:
    name = [{"family": family, "given": [given]}]
    return resource({"resourceType": "Practitioner", "id": id, "name": name, **more})


def role(
    id: str, who: str, code: str, unit: str, provider: str, period: dict[str, str] | None = None
) -> Any:
    tags = [{"system": PROVIDER, "code": provider}, {"system": UNIT, "code": unit}]
    body: dict[str, Any] = {
        "resourceType": "PractitionerRole",
        "id": id,
        "meta": {"tag": tags},
        "active": True,
        "practitioner": {"reference": f"Practitioner/{who}"},
        "organization": {"reference": f"Organization/{unit}"},
        "code": [
            {"coding": [{"system": "http://sammanhang.se/fhir/CodeSystem/role", "code": code}]}
        ],
    }
    return resource(body | ({"period": period} if period else {}))


def patient(id: str, given: str, family: str, born: str, **more: Any) -> Any:
    body = {
        "resourceType": "Patient",
        "id": id,
        "name": [{"family": family, "given": [given]}],
        "birthDate": born,
        "address": [{"city": "Borås"}],
    }
    return resource(body | more)


def people() -> list[Any]:
    """Nurse Nina (one assignment), doctor Doris (two), Ended Enar (none now), and residents."""
    hsa = [{"system": "urn:oid:1.2.752.29.4.19", "value": "SE2321000131-P000000009999"}]
    number = [
        {
            "system": "http://electronichealth.se/identifier/personnummer",
            "value": "194203022381",
        }
    ]
    label = {
        "system": "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel",
        "code": "sekretessmarkering",
    }
    return [
        organization(REGION, "Testregionen"),
        organization(TOWN, "Teststads kommun"),
        organization(WARD, "Avdelning Älgen"),
        organization(CLINIC, "Mottagning Björken"),
        organization(HOME, "Hemsjukvård Centrum"),
        practitioner("idt-nina", "Nina", "Öberg-Idt", identifier=hsa),
        role("idt-nina-1", "idt-nina", "sjukskoterska", WARD, REGION, {"start": "2020-01-01"}),
        role("idt-nina-0", "idt-nina", "sjukskoterska", HOME, TOWN, {"end": "2021-12-31"}),
        practitioner("idt-doris", "Doris", "Lind-Idt"),
        role("idt-doris-1", "idt-doris", "lakare", WARD, REGION),
        role("idt-doris-2", "idt-doris", "lakare", HOME, TOWN),
        practitioner("idt-enar", "Enar", "Ek-Idt"),
        role("idt-enar-1", "idt-enar", "lakare", WARD, REGION, {"end": "2022-01-01"}),
        practitioner("idt-lars", "Lars", "Idt", active=False),
        role("idt-lars-1", "idt-lars", "lakare", WARD, REGION),
        practitioner("idt-moa", "Moa", "Idt"),
        role("idt-moa-1", "idt-moa", "underskoterska", CLINIC, REGION),
        patient("idt-svea", "Svea", "Test-Idt", "1942-03-02", identifier=number),
        patient("idt-greta", "Greta", "Barn-Idt", "2020-10-06"),
        patient("idt-dead", "Död", "Test-Idt", "1930-01-01", deceasedBoolean=True),
        patient("idt-hidden", "Hemlig", "Test-Idt", "1980-01-01", meta={"security": [label]}),
    ]
