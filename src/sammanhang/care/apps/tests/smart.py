"""An app for tests, as it stands on somebody else's server: it sends the browser, and fetches tokens."""

from __future__ import annotations

import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from sammanhang.access.clients import register_here
from sammanhang.access.clients_registration import Registration
from sammanhang.access.verifiers import s256
from sammanhang.web.testing import BASE, Browser

BACK = "https://app.example/done"
LAUNCH = "https://app.example/launch"
SCOPES = (
    "launch", "launch/patient", "launch/encounter", "openid", "fhirUser", "offline_access", "online_access",
    "patient/*.cruds", "user/*.cruds",
)  # fmt: skip


@dataclass
class App:
    """A registered app; `http` is its own way to the server, without the browser's cookies."""

    http: httpx.AsyncClient
    id: str
    secret: str | None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def address(self, scope: str | None, **change: str | None) -> str:
        """Where the app sends the browser; `change` puts parameters in, or takes them out (None)."""
        asked: dict[str, str | None] = {
            "response_type": "code", "client_id": self.id, "redirect_uri": BACK, "scope": scope,
            "state": "state-1", "aud": f"{BASE}/fhir", "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
        }  # fmt: skip
        asked |= change
        return "/oauth/authorize?" + urlencode({k: v for k, v in asked.items() if v is not None})

    async def post(self, where: str, form: dict[str, str], **more: Any) -> httpx.Response:
        """A form to one of the endpoints, with the app's own proof unless `auth` or client_id says otherwise."""
        if "auth" not in more and self.secret is not None and "client_secret" not in form:
            more["auth"] = (self.id, self.secret)
        if self.secret is None:
            form = {"client_id": self.id, **form}
        return await self.http.post(f"/oauth/{where}", data=form, **more)

    async def redeem(self, code: str, **change: str) -> httpx.Response:
        """The tokens a code gives."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
            "code_verifier": self.verifier,
        }  # fmt: skip
        return await self.post("token", form | change)

    async def refresh(self, token: str, **more: str) -> httpx.Response:
        return await self.post(
            "token", {"grant_type": "refresh_token", "refresh_token": token} | more
        )

    async def get(self, path: str, token: str, **more: Any) -> httpx.Response:
        """A request to the FHIR API as the app."""
        headers = {"authorization": f"Bearer {token}", **more}
        return await self.http.get(f"/fhir/{path}", headers=headers)


async def registered(browser: Browser, **change: Any) -> App:
    """An app on the browser's server."""
    wanted: dict[str, Any] = {
        "name": "Tillväxtkurvan", "publisher": "Kurvbolaget AB", "scopes": SCOPES, "method": "none",
        "redirect_uris": (BACK,), "launch_url": LAUNCH, "offered": ("staff", "resident"),
    }  # fmt: skip
    id, secret = await register_here(
        browser.services.database, Registration(**(wanted | change)), "test"
    )
    transport = browser.client._transport
    return App(httpx.AsyncClient(transport=transport, base_url=BASE), id, secret)


def form_of(page: httpx.Response, decision: str = "approve") -> dict[str, str]:
    """The hidden fields of the form that sends this decision, with the decision."""
    for form in re.findall(r"<form method=\"post\".*?</form>", page.text, re.DOTALL):
        fields = {
            k: html.unescape(v)
            for k, v in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
        }
        if fields.get("decision") == decision or f'value="{decision}"' in form:
            return fields | {"decision": decision}
    raise AssertionError(f"no form sends {decision}: {page.text[:3000]}")


async def decide(
    browser: Browser, page: httpx.Response, decision: str, **more: str
) -> httpx.Response:
    """Answers a page of the question; does not follow to the app."""
    form = form_of(page, decision) | more
    return await browser.client.post("/oauth/authorize", data=form, follow_redirects=False)


def query_of(answer: httpx.Response) -> dict[str, str]:
    """What the app is told, at its own address."""
    assert answer.status_code == 303, answer.text
    address = answer.headers["location"]
    assert address.startswith(f"{BACK}?"), address
    return {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}


async def approved(browser: Browser, app: App, scope: str, patient: str = "", **change: str) -> str:
    """The code a person gives an app; chooses the patient when asked for one."""
    page = await browser.client.get(app.address(scope, **change))
    assert page.status_code == 200, page.text
    if patient:
        page = await browser.client.post(
            "/oauth/authorize",
            data=form_of(page, "decline") | {"decision": "patient", "patient": patient},
        )
    return query_of(await decide(browser, page, "approve"))["code"]


async def tokens(
    browser: Browser, app: App, scope: str, patient: str = "", **change: str
) -> dict[str, Any]:
    """The token response for what a person approved."""
    answer = await app.redeem(await approved(browser, app, scope, patient, **change))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
