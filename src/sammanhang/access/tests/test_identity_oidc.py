"""The built-in provider, asked as any relying party would ask it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from sammanhang.access import keys
from sammanhang.access.oidc_grants import LOA2, LOA3
from sammanhang.access.verifiers import s256

from .identity_world import BASE, World, query, world

NINA = "Practitioner/idt-nina"
VERIFIER = secrets.token_urlsafe(48)
ASKED = {
    "response_type": "code",
    "client_id": "sammanhang",
    "redirect_uri": f"{BASE}/login/callback",
    "scope": "openid profile",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": s256(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


@pytest.fixture
def browser(w: World) -> httpx.AsyncClient:
    return w.browser()


async def code_for(browser: httpx.AsyncClient, person: str = NINA, **more: str) -> str:
    answer = await browser.post("/oidc/authorize", data={**ASKED, "person": person, **more})
    sent = query(answer.headers["location"])
    assert (sent["state"], sent["iss"]) == ("s1", f"{BASE}/oidc")
    return sent["code"]


async def exchange(
    browser: httpx.AsyncClient, code: str, /, **change: str | None
) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": "sammanhang",
        "code": code,
        "redirect_uri": ASKED["redirect_uri"],
        "code_verifier": VERIFIER,
    }
    form = {k: v for k, v in (form | change).items() if v is not None}
    return await browser.post("/oidc/token", data=form)


async def test_discovery_leads_to_everything(browser: httpx.AsyncClient) -> None:
    document = (await browser.get("/oidc/.well-known/openid-configuration")).json()
    assert document["issuer"] == f"{BASE}/oidc"
    for name in ("jwks_uri", "authorization_endpoint", "end_session_endpoint"):
        assert (await browser.get(document[name])).status_code in (200, 400)
    for name in ("token_endpoint", "userinfo_endpoint"):
        assert (await browser.post(document[name])).status_code in (400, 401)


@pytest.mark.asvs("v5.0.0-13.3.2")
async def test_published_keys_hold_no_secret(browser: httpx.AsyncClient) -> None:
    for path in ("/oidc/jwks", "/oauth/jwks"):
        published = (await browser.get(path)).json()["keys"]
        assert published
        for key in published:
            halves = {"EC": {"crv", "x", "y"}, "RSA": {"n", "e"}}
            assert set(key) == {"kty", "kid", "use", "alg"} | halves[key["kty"]]


@pytest.mark.asvs("v5.0.0-6.8.4", "v5.0.0-9.2.4")
async def test_the_id_token_says_who_and_how_sure(browser: httpx.AsyncClient) -> None:
    answer = await exchange(browser, await code_for(browser))
    assert answer.headers["cache-control"] == "no-store"
    published = KeySet.import_key_set((await browser.get("/oidc/jwks")).json())
    token = jwt.decode(answer.json()["id_token"], published, algorithms=["ES256"])
    claims = token.claims
    assert claims["iss"] == f"{BASE}/oidc"
    assert (claims["aud"], claims["azp"], claims["sub"]) == ("sammanhang", "sammanhang", NINA)
    assert (claims["nonce"], claims["acr"], claims["name"]) == ("n1", LOA3, "Nina Öberg-Idt")
    assert claims["iat"] <= claims["exp"] <= claims["iat"] + 300
    assert abs(claims["auth_time"] - claims["iat"]) < 10
    lower = await exchange(browser, await code_for(browser, level="2"))
    assert jwt.decode(lower.json()["id_token"], published).claims["acr"] == LOA2


@pytest.mark.asvs("v5.0.0-9.2.2", "v5.0.0-9.2.3")
async def test_userinfo_for_its_own_token_only(browser: httpx.AsyncClient) -> None:
    answer = (await exchange(browser, await code_for(browser))).json()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    me = await browser.get("/oidc/userinfo", headers=headers)
    assert me.json() == {"sub": NINA, "name": "Nina Öberg-Idt"}
    for wrong in ("", "Bearer x", f"Bearer {answer['id_token']}", "Basic x"):
        refused = await browser.get("/oidc/userinfo", headers={"Authorization": wrong})
        assert refused.status_code == 401
        assert "invalid_token" in refused.headers["www-authenticate"]


@pytest.mark.asvs("v5.0.0-10.4.6", "v5.0.0-10.4.2")
@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": secrets.token_urlsafe(48)},
        {"code_verifier": None},
        {"code_verifier": ASKED["code_challenge"]},
        {"code_verifier": "short"},
        {"redirect_uri": f"{BASE}/login/callback/"},
        {"redirect_uri": None},
        {"code": "x"},
        {"code": None},
    ],
)
async def test_a_wrong_exchange_gives_nothing_and_spends_the_code(
    w: World, browser: httpx.AsyncClient, change: dict[str, str | None]
) -> None:
    code = await code_for(browser)
    refused = await exchange(browser, code, **change)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    if "code" not in change:
        assert (await exchange(browser, code)).json()["error"] == "invalid_grant"
    assert w.traces("token")[-1]["outcome"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-10.4.2")
async def test_a_code_used_twice_takes_back_what_it_gave(browser: httpx.AsyncClient) -> None:
    code = await code_for(browser)
    first = await exchange(browser, code)
    headers = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert (await browser.get("/oidc/userinfo", headers=headers)).status_code == 200
    assert (await exchange(browser, code)).json()["error"] == "invalid_grant"
    assert (await browser.get("/oidc/userinfo", headers=headers)).status_code == 401


@pytest.mark.asvs("v5.0.0-10.4.3")
async def test_a_code_lives_a_minute(w: World, browser: httpx.AsyncClient) -> None:
    code = await code_for(browser)
    ((seconds,),) = w.execute(
        "SELECT extract(epoch FROM expires - auth_time) FROM access.authorization_code"
        " ORDER BY auth_time DESC LIMIT 1"
    )
    assert seconds == 60
    w.execute("UPDATE access.authorization_code SET expires = now() WHERE used IS NULL")
    assert (await exchange(browser, code)).json()["error"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-14.2.4")
async def test_codes_are_not_kept_in_the_clear(w: World, browser: httpx.AsyncClient) -> None:
    code = await code_for(browser)
    kept = w.execute("SELECT a::text FROM access.authorization_code a")
    assert code not in str(kept)


@pytest.mark.asvs("v5.0.0-10.4.1", "v5.0.0-3.7.2")
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": f"{BASE}/login/callback?x=1"},
        {"redirect_uri": f"{BASE}.evil.example/login/callback"},
        {"redirect_uri": None},
        {"client_id": "other"},
        {"client_id": None},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_relying_party_is_sent_nowhere(
    browser: httpx.AsyncClient, change: dict[str, Any], method: str
) -> None:
    asked = {k: v for k, v in (ASKED | {"person": NINA} | change).items() if v is not None}
    if method == "GET":
        answer = await browser.get("/oidc/authorize", params=asked)
    else:
        answer = await browser.post("/oidc/authorize", data=asked)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.asvs("v5.0.0-10.4.6", "v5.0.0-10.6.1")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"nonce": None}, "invalid_request"),
        ({"state": "a\r\nb"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
    ],
)
async def test_a_wrong_request_is_answered_with_an_error(
    browser: httpx.AsyncClient, change: dict[str, Any], error: str
) -> None:
    asked = {k: v for k, v in (ASKED | change).items() if v is not None}
    answer = await browser.get("/oidc/authorize", params=asked)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{BASE}/login/callback?")
    assert query(answer.headers["location"])["error"] == error


@pytest.mark.asvs("v5.0.0-10.4.4")
@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "client_id": "x"}, 401, "invalid_client"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
async def test_other_grants_are_refused(
    browser: httpx.AsyncClient, form: dict[str, str], status: int, error: str
) -> None:
    answer = await browser.post("/oidc/token", data=form or {"x": "y"})
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_the_page_finds_people_by_name_role_and_unit(browser: httpx.AsyncClient) -> None:
    async def found(words: str) -> str:
        return (await browser.get("/oidc/authorize", params={**ASKED, "q": words})).text

    page = await found("")
    assert "Påhittade personer" in page
    for words in ("nina", "ÖBERG", "öberg nina", "sjuksköterska älgen", "sjuk alg"):
        page = await found(words)
        assert "Nina Öberg-Idt" in page and "Doris" not in page, words
    page = await found("idt")
    assert "Enar" not in page and "Lars" not in page  # no assignment now; no longer employed
    page = await found("test-idt")
    assert "Svea Test-Idt" in page and "f. 1942, Borås" in page
    assert "Hemlig" not in page and "Död" not in page  # protected identity; deceased
    assert "Greta" not in await found("greta")  # too young for an e-identification
    for words in ("%", "_", "\\", "nobody at all", '"><script>alert(1)</script>', "\0x"):
        page = await found(words)
        assert "Nina" not in page and "<script>alert" not in page


async def test_the_page_carries_the_request_and_the_level(browser: httpx.AsyncClient) -> None:
    asked = {**ASKED, "state": '"><img src=x>', "q": "nina"}
    page = (await browser.get("/oidc/authorize", params=asked)).text
    assert "<img" not in page
    assert "level=2" in page and 'name="level"' not in page
    page = (await browser.get("/oidc/authorize", params={**asked, "level": "2"})).text
    assert 'name="level" value="2"' in page and "Tillitsnivå 2" in page


@pytest.mark.asvs("v5.0.0-3.7.2", "v5.0.0-10.6.2")
async def test_logging_out_leads_only_home(browser: httpx.AsyncClient) -> None:
    good = {"post_logout_redirect_uri": f"{BASE}/logout/done", "state": "a b"}
    answer = await browser.get("/oidc/end_session", params=good)
    assert answer.headers["location"] == f"{BASE}/logout/done?state=a+b"
    for bad in ("https://evil.example", f"{BASE}.evil.example/", "//evil.example"):
        answer = await browser.get("/oidc/end_session", params={"post_logout_redirect_uri": bad})
        assert answer.status_code == 200 and "location" not in answer.headers


@pytest.mark.asvs("v5.0.0-11.2.2")
async def test_keys_rotate_without_a_stop(w: World, browser: httpx.AsyncClient) -> None:
    database = w.services.database
    old = (await exchange(browser, await code_for(browser))).json()["access_token"]
    kid = await keys.rotate(database)
    new = (await exchange(browser, await code_for(browser))).json()["access_token"]
    header = msgspec.json.decode(base64.urlsafe_b64decode(new.split(".")[0] + "=="))
    assert header["kid"] == kid
    for token in (old, new):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await browser.get("/oidc/userinfo", headers=headers)).status_code == 200
    await keys.withdraw(database, kid)
    headers = {"Authorization": f"Bearer {new}"}
    assert (await browser.get("/oidc/userinfo", headers=headers)).status_code == 401
    # A key in use is made again, and log-in goes on.
    assert (await exchange(browser, await code_for(browser))).status_code == 200
