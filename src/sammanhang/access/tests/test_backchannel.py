"""Back-channel logout: the provider ends sessions here, and nobody else does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sammanhang.access import keys
from sammanhang.access.backchannel import EVENT

from .identity_world import BASE, World, csrf_of, log_in, query, raw_token, whoami_of, world

NINA, DORIS, MOA = "Practitioner/idt-nina", "Practitioner/idt-doris", "Practitioner/idt-moa"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        made.execute("DELETE FROM access.session")
        yield made


def claims_of(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": f"{BASE}/oidc", "aud": "sammanhang", "iat": now, "exp": now + 120,
        "jti": f"jti-{time.time_ns()}", "events": {EVENT: {}}, "sub": NINA,
    }  # fmt: skip
    return {k: v for k, v in (claims | more).items() if v is not None}


async def send(w: World, token: str) -> httpx.Response:
    return await w.browser().post("/login/backchannel", data={"logout_token": token})


async def signed(w: World, kind: str = "logout+jwt", **more: Any) -> str:
    return await keys.sign(w.services.database, claims_of(**more), kind)


@pytest.mark.asvs("v5.0.0-10.5.5", "v5.0.0-7.4.1", "v5.0.0-7.6.1")
async def test_a_person_is_logged_out_of_all_their_windows_and_nobody_else(w: World) -> None:
    here, there, other = w.browser(), w.browser(), w.browser()
    await log_in(here, NINA)
    await log_in(there, NINA)
    await log_in(other, MOA)
    answer = await send(w, await signed(w))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert await whoami_of(here) is None and await whoami_of(there) is None
    assert (await whoami_of(other))["id"] == MOA
    assert [t["actor"] for t in w.traces("logout")] == [NINA, NINA]


@pytest.mark.asvs("v5.0.0-10.5.5")
async def test_one_log_in_is_ended_by_its_sid(w: World) -> None:
    here, there = w.browser(), w.browser()
    await log_in(here, NINA)
    ((sid,),) = w.execute("SELECT sid FROM access.session")
    await log_in(there, NINA)
    # The sid of somebody else's log-in ends nothing.
    assert (await send(w, await signed(w, sid=sid, sub=MOA))).status_code == 200
    assert await whoami_of(here) is not None
    assert (await send(w, await signed(w, sid=sid, sub=None))).status_code == 200
    assert await whoami_of(here) is None and await whoami_of(there) is not None


@pytest.mark.asvs("v5.0.0-10.5.5", "v5.0.0-2.3.4")
async def test_a_token_is_taken_once(w: World) -> None:
    browser = w.browser()
    token = await signed(w)
    assert (await send(w, token)).status_code == 200
    await log_in(browser, NINA)
    again = await send(w, token)
    assert again.status_code == 400 and again.json()["error"] == "invalid_request"
    assert await whoami_of(browser) is not None
    assert w.traces("refuse")[-1]["outcome"] == "used before"


@pytest.mark.asvs("v5.0.0-10.5.5", "v5.0.0-9.2.1", "v5.0.0-9.2.3")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "audience"),
        ({"exp": int(time.time()) - 3600, "iat": int(time.time()) - 3700}, "expired"),
        ({"exp": None}, "expired"),
        ({"iat": int(time.time()) + 3600}, "issued in the future"),
        ({"iat": None}, "issued in the future"),
        ({"exp": int(time.time()) + 86400}, "too long a life"),
        ({"events": None}, "event"),
        ({"events": {}}, "event"),
        ({"events": {EVENT: "x"}}, "event"),
        ({"events": [EVENT]}, "event"),
        ({"nonce": "n"}, "nonce"),
        ({"sub": None}, "neither sub nor sid"),
        ({"sub": 7}, "sub"),
        ({"sid": ["a"]}, "sid"),
        ({"sid": "a" * 600}, "sid"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "a\0b"}, "jti"),
        ({"sub": "a\r\nb"}, "sub"),
    ],
)
async def test_a_token_that_does_not_hold_ends_nothing(
    w: World, more: dict[str, Any], why: str
) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    answer = await send(w, await signed(w, **more))
    assert answer.status_code == 400, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {"error": "invalid_request", "error_description": why}
    assert await whoami_of(browser) is not None


@pytest.mark.asvs("v5.0.0-10.5.5", "v5.0.0-9.1.1", "v5.0.0-9.1.2", "v5.0.0-9.2.2")
async def test_a_forged_token_ends_nothing(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    ((id_token,),) = w.execute("SELECT id_token FROM access.session")
    public = (await keys.keys_of(w.services.database).public(w.services.database))["keys"][0]
    good = await signed(w)
    forged = [
        "", "x", "a.b.c", "é", good[:-4] + "AAAA", good.rsplit(".", 1)[0] + ".", "a" * 20_000,
        raw_token({"alg": "none"}, claims_of()),
        raw_token({"alg": "HS256", "kid": public["kid"]}, claims_of(), public["x"].encode()),
        id_token, await signed(w, kind="at+jwt"),
    ]  # fmt: skip
    for token in forged:
        answer = await send(w, token)
        assert answer.status_code in (400, 413), token[:40]
    assert await whoami_of(browser) is not None
    assert (await w.browser().get("/login/backchannel")).status_code == 405
    # Nothing of what was forged used up the true one.
    assert (await send(w, good)).status_code == 200
    assert await whoami_of(browser) is None


async def test_a_logout_token_logs_nobody_in_and_an_id_token_logs_nobody_out(w: World) -> None:
    document = (await w.browser().get("/oidc/.well-known/openid-configuration")).json()
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    assert "sid" in document["claims_supported"]


@pytest.mark.asvs("v5.0.0-7.6.1")
async def test_logging_out_at_the_provider_ends_the_session_here(w: World) -> None:
    here, there = w.browser(), w.browser()
    await log_in(here, NINA)
    ((hint,),) = w.execute("SELECT id_token FROM access.session")
    await log_in(there, NINA)
    answer = await w.browser().get("/oidc/end_session", params={"id_token_hint": hint})
    assert answer.status_code == 200
    assert await whoami_of(here) is None and await whoami_of(there) is not None


@pytest.mark.asvs("v5.0.0-10.6.2")
async def test_the_provider_checks_whose_log_out_it_is(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    page = await browser.get("/logout")
    answer = await browser.post("/logout", data={"csrf": csrf_of(page.text)})
    asked = query(answer.headers["location"])
    assert {"id_token_hint", "state", "client_id", "post_logout_redirect_uri"} <= set(asked)
    for change in ({"id_token_hint": "x.y.z"}, {"client_id": "another"}):
        bad = await browser.get("/oidc/end_session", params=asked | change)
        assert bad.status_code == 400 and "location" not in bad.headers
    back = await browser.get("/oidc/end_session", params=asked)
    assert query(back.headers["location"])["state"] == asked["state"]
