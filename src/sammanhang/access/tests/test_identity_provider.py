"""Logging in through an outside provider that speaks over HTTP, honestly and not."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sammanhang.access.identity_provider import Provider, configured
from sammanhang.kernel.settings import BadSetting, Settings

from .identity_world import World, query, raw_token, whoami_of, world

ISSUER = "https://login.example"
NINA_HSA = "SE2321000131-P000000009999"


@dataclass
class Outside:
    """An OpenID Connect provider elsewhere; `claims` and `make` say how it lies."""

    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))
    claims: dict[str, Any] = field(default_factory=dict)
    make: Callable[[dict[str, Any]], str] | None = None
    nonce: str = ""
    asked: list[str] = field(default_factory=list)
    form: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    issuer: str = ISSUER

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.status >= 500:
            return httpx.Response(self.status)
        if request.url.path == "/.well-known/openid-configuration":
            document = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            }
            return httpx.Response(200, json=document | self.metadata)
        if request.url.path == "/jwks":
            return httpx.Response(200, json={"keys": [self.key.as_dict(private=False)]})
        self.form = dict(httpx.QueryParams(request.content.decode()))
        if self.status != 200:
            return httpx.Response(self.status, json={"error": "invalid_grant"})
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "vi", "sub": "opaque", "iat": now, "exp": now + 60,
            "nonce": self.nonce, "acr": "http://id.sambi.se/loa/loa3", "employeeHsaId": NINA_HSA,
        } | self.claims  # fmt: skip
        claims = {k: v for k, v in claims.items() if v is not None}
        token = self.make(claims) if self.make else self.sign(claims)
        return httpx.Response(200, json={"id_token": token})

    def sign(self, claims: dict[str, Any], key: Any = None, alg: str = "RS256") -> str:
        key = key or self.key
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database, demo=False) as made:
        yield made


@pytest.fixture
def outside(w: World) -> Outside:
    there = Outside()
    w.services.provider = Provider(
        ISSUER, "vi", "hemligt", transport=httpx.MockTransport(there.answer)
    )
    return there


async def callback(w: World, outside: Outside) -> tuple[httpx.AsyncClient, httpx.Response]:
    browser = w.browser()
    asked = query((await browser.get("/login")).headers["location"])
    outside.nonce = asked["nonce"]
    assert asked["code_challenge_method"] == "S256"
    params = {"code": "c1", "state": asked["state"]}
    return browser, await browser.get("/login/callback", params=params)


@pytest.mark.asvs("v5.0.0-10.5.2")
async def test_staff_are_known_by_their_hsa_id(w: World, outside: Outside) -> None:
    browser, answer = await callback(w, outside)
    assert answer.status_code == 303, answer.text
    me = await whoami_of(browser)
    assert (me["id"], me["loa"]) == ("Practitioner/idt-nina", 3)
    assert len(outside.form["code_verifier"]) >= 43


@pytest.mark.asvs("v5.0.0-10.5.2")
async def test_residents_are_known_by_their_number(w: World, outside: Outside) -> None:
    outside.claims = {"employeeHsaId": None, "personalIdentityNumber": "19420302-2381"}
    browser, _ = await callback(w, outside)
    assert (await whoami_of(browser))["id"] == "Patient/idt-svea"


@pytest.mark.asvs("v5.0.0-11.2.2")
async def test_metadata_and_keys_are_kept_and_new_keys_found(w: World, outside: Outside) -> None:
    await callback(w, outside)
    await callback(w, outside)
    assert outside.asked.count("/jwks") == 1
    assert outside.asked.count("/.well-known/openid-configuration") == 1
    outside.key = ECKey.generate_key("P-256", auto_kid=True)
    outside.make = lambda claims: outside.sign(claims, alg="ES256")
    # An unknown key makes us look again, but not at every forged token.
    _, answer = await callback(w, outside)
    assert answer.status_code == 400
    w.services.provider._keys_read -= 31
    _, answer = await callback(w, outside)
    assert answer.status_code == 303


@pytest.mark.asvs("v5.0.0-6.8.1", "v5.0.0-10.5.2")
async def test_what_another_provider_calls_sub_is_no_id_of_ours(w: World, outside: Outside) -> None:
    outside.claims = {"employeeHsaId": None, "sub": "Practitioner/idt-doris"}
    browser, answer = await callback(w, outside)
    assert answer.status_code == 403
    assert "Du finns inte i systemet" in answer.text
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-10.5.1", "v5.0.0-10.5.4", "v5.0.0-9.2.1", "v5.0.0-6.8.4")
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://other.example"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": ["vi", "other"]}, "authorised party"),
        ({"aud": ["vi", "other"], "azp": "other"}, "authorised party"),
        ({"azp": "other"}, "authorised party"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "never"}, "expired"),
        ({"exp": 1e300}, "expired"),
        ({"iat": 4_000_000_000}, "issued in the future"),
        ({"nonce": "other"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\0b"}, "subject"),
        ({"sid": 7}, "session"),
        ({"acr": "http://id.sambi.se/loa/loa1"}, "level of assurance"),
        ({"acr": None}, "level of assurance"),
        ({"acr": ["http://id.sambi.se/loa/loa3"]}, "level of assurance"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    w: World, outside: Outside, claims: dict[str, Any], why: str
) -> None:
    outside.claims = claims
    browser, answer = await callback(w, outside)
    assert answer.status_code == 400
    assert w.traces("login")[-1]["outcome"] == why
    assert await whoami_of(browser) is None


def forged(outside: Outside, how: str, claims: dict[str, Any]) -> str:
    kid = outside.key.kid
    other = RSAKey.generate_key(2048, parameters={"kid": kid})
    embedded = {"alg": "RS256", "jwk": other.as_dict(private=False)}
    tokens = {
        "alg none": raw_token({"alg": "none", "kid": kid}, claims),
        "alg None": raw_token({"alg": "None", "kid": kid}, claims),
        "alg of another type": raw_token({"alg": ["RS256"], "kid": kid}, claims),
        "HS256 with the public key": raw_token(
            {"alg": "HS256", "kid": kid}, claims, outside.key.as_pem(private=False)
        ),
        "another key of the same id": outside.sign(claims, other),
        "a key of its own in the header": jwt.encode(embedded, claims, other),
        "no signature": outside.sign(claims).rsplit(".", 1)[0] + ".",
        "not a token": "x",
        "not text": "å.ä.ö",
    }
    return tokens[how]


HOW = (
    "alg none", "alg None", "alg of another type", "HS256 with the public key",
    "another key of the same id", "a key of its own in the header", "no signature", "not a token",
    "not text",
)  # fmt: skip


@pytest.mark.asvs("v5.0.0-6.8.2", "v5.0.0-9.1.1", "v5.0.0-9.1.2", "v5.0.0-9.1.3")
@pytest.mark.parametrize("how", HOW)
async def test_a_forged_token_is_refused(w: World, outside: Outside, how: str) -> None:
    outside.make = lambda claims: forged(outside, how, claims)
    browser, answer = await callback(w, outside)
    assert answer.status_code == 400
    assert w.traces("login")[-1]["outcome"] in ("algorithm", "signature", "unknown key")
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-16.5.2")
async def test_a_refused_code_and_a_dead_provider_are_told_apart(
    w: World, outside: Outside
) -> None:
    outside.status = 400
    assert (await callback(w, outside))[1].status_code == 400
    outside.status = 503
    browser = w.browser()
    w.services.provider._metadata_read = float("-inf")
    answer = await browser.get("/login")
    assert answer.status_code == 503
    assert "Inloggningstjänsten svarar inte" in answer.text


@pytest.mark.asvs("v5.0.0-10.5.3", "v5.0.0-1.3.6", "v5.0.0-12.3.2")
@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://login.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_leads_astray_is_refused(
    w: World, outside: Outside, metadata: dict[str, Any]
) -> None:
    outside.metadata = metadata
    assert (await w.browser().get("/login")).status_code == 503


@pytest.mark.asvs("v5.0.0-6.8.4")
async def test_a_fresh_log_in_must_say_when_it_was_made(w: World, outside: Outside) -> None:
    browser, _ = await callback(w, outside)
    for said, status in ((None, 400), (int(time.time()) - 3600, 400), (int(time.time()), 303)):
        asked = query((await browser.get("/login?fresh=lift-block")).headers["location"])
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        outside.nonce, outside.claims = asked["nonce"], {"auth_time": said}
        answer = await browser.get(
            "/login/callback", params={"code": "c1", "state": asked["state"]}
        )
        assert answer.status_code == status, said
    assert w.traces("login")[-2]["outcome"] == "not a log-in made now"


@pytest.mark.asvs("v5.0.0-10.5.5", "v5.0.0-7.6.1")
async def test_an_outside_provider_ends_its_own_sessions(w: World, outside: Outside) -> None:
    outside.claims = {"sid": "s-1"}
    browser, _ = await callback(w, outside)
    now = int(time.time())
    token = {
        "iss": ISSUER, "aud": "vi", "iat": now, "exp": now + 60, "jti": f"out-{time.time_ns()}", "sid": "s-1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }  # fmt: skip
    forged = outside.sign(token, RSAKey.generate_key(2048, {"kid": outside.key.kid}))
    for sent, status in ((forged, 400), (outside.sign(token), 200), (outside.sign(token), 400)):
        answer = await w.browser().post("/login/backchannel", data={"logout_token": sent})
        assert answer.status_code == status
        assert (await whoami_of(browser) is None) is (sent != forged)


@contextmanager
def served(there: Outside) -> Iterator[str]:
    """The same provider behind a real socket; its address."""

    async def answer(request: Request) -> Response:
        sent = httpx.Request(request.method, str(request.url), content=await request.body())
        said = there.answer(sent)
        return Response(said.content, said.status_code, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


async def test_the_provider_the_settings_name_is_met_over_the_network(w: World) -> None:
    there = Outside()
    with served(there) as address:
        there.issuer = address
        named = Settings(oidc_issuer=f"{address}/", oidc_client_id="vi", oidc_client_secret="hemligt")  # fmt: skip
        w.services.provider = configured(named)
        browser, answer = await callback(w, there)
        assert answer.status_code == 303, answer.text
        assert (await whoami_of(browser))["id"] == "Practitioner/idt-nina"
        assert there.form["redirect_uri"].endswith("/login/callback")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"oidc_issuer": "http://login.example"}, "must be an https address"),
        ({"oidc_issuer": "login.example"}, "must be an https address"),
        ({"oidc_issuer": "https://login.example/?x=1"}, "must be an https address"),
        ({"oidc_issuer": "https://login.example", "oidc_client_id": ""}, "oidc_client_id is empty"),
    ],
)
def test_a_provider_that_cannot_be_is_refused_at_start(named: dict[str, str], says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        configured(Settings(**named))  # type: ignore[arg-type]
    assert configured(Settings()) is None
