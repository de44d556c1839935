"""API clients and bearer tokens: the token endpoint, and who a token speaks for."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from sammanhang.access import keys, oauth_metadata, tokens
from sammanhang.access.actor import Actor
from sammanhang.access.clients import NoDemo, close_client, create_client, demo_client
from sammanhang.access.clients_lockout import LockOut
from sammanhang.access.keys import keys_of, sign
from sammanhang.access.tokens import actor_of_bearer, issue_staff_token, revoke
from sammanhang.access.tokens_scopes import normal, within
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused, Unauthenticated

from .identity_world import BASE, HOME, REGION, WARD, World, log_in, raw_token, world

CREDENTIALS = {"grant_type": "client_credentials"}


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


def basic(id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()}


async def ask(w: World, id: str, secret: str, form: dict[str, str] = CREDENTIALS) -> httpx.Response:
    return await w.browser().post("/oauth/token", data=form, headers=basic(id, secret))


async def whose(w: World, token: str) -> Actor:
    return await actor_of_bearer(w.services.database, f"Bearer {token}", w.services.settings)


async def refuses(w: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await whose(w, token)


async def test_the_demo_client_may_do_everything(w: World) -> None:
    id, secret = demo_client(w.dsn)
    assert demo_client(w.dsn) == (id, secret)
    answer = await ask(w, id, secret)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["scope"] == "system/*.cruds"
    actor = await whose(w, body["access_token"])
    assert actor == Actor(
        "client", "client:demo", "Demoklient", everything=True,
        scopes=frozenset({"system/*.cruds"}),
    )  # fmt: skip
    entry = w.traces("token")[-1]
    assert (entry["actor"], entry["outcome"], entry["what"]) == (
        "client:demo",
        "ok",
        "/oauth/token",
    )
    assert secret not in str(w.execute("SELECT c::text FROM access.client c"))


@pytest.mark.asvs("v5.0.0-6.3.2", "v5.0.0-13.2.3", "v5.0.0-15.2.3")
async def test_the_demo_client_exists_in_the_demo_only(empty_database: str) -> None:
    with pytest.raises(NoDemo):
        demo_client(empty_database, demo=False)
    with psycopg.connect(empty_database) as connection:
        for table in ("client", "demo"):
            row = connection.execute(f"SELECT count(*) FROM access.{table}").fetchone()
            assert row == (0,)
    id, secret = demo_client(empty_database)
    async with world(empty_database) as demo:
        token = (await ask(demo, id, secret)).json()["access_token"]
    # The same database, no longer a demo: neither the client nor its old token is let in.
    async with world(empty_database, demo=False) as real:
        assert (await ask(real, id, secret)).json()["error"] == "invalid_client"
        await refuses(real, token)


@pytest.mark.asvs("v5.0.0-13.2.3", "v5.0.0-11.5.1")
async def test_two_demos_have_two_secrets(empty_database: str, w: World) -> None:
    assert demo_client(empty_database)[1] != demo_client(w.dsn)[1]


@pytest.mark.asvs("v5.0.0-8.4.1", "v5.0.0-10.3.2")
async def test_a_client_acts_for_its_care_provider(w: World) -> None:
    id, secret = create_client(w.dsn, "Labbsystem", ["system/Observation.read"], provider=REGION)
    form = CREDENTIALS | {"client_id": id, "client_secret": secret}
    answer = await w.browser().post("/oauth/token", data=form)
    actor = await whose(w, answer.json()["access_token"])
    assert (actor.provider, actor.everything) == (REGION, False)
    assert actor.scopes == {"system/Observation.rs"}
    with pytest.raises(Conflict):
        create_client(w.dsn, "igen", ["system/*.rs"], id=id)
    with pytest.raises(Invalid, match="scopes: 'everything' is not a scope"):
        create_client(w.dsn, "fel", ["everything"])


@pytest.mark.asvs("v5.0.0-10.4.11")
async def test_only_the_scopes_one_may_have(w: World) -> None:
    id, secret = create_client(w.dsn, "Läsare", ["system/*.rs", "system/Task.cruds"])
    for scope in ("system/Patient.rs", "system/*.read", "system/Task.cud system/Patient.r"):
        answer = await ask(w, id, secret, CREDENTIALS | {"scope": scope})
        assert answer.json()["scope"] == scope
    for scope in ("system/Patient.cruds", "system/*.*", "user/*.rs", "openid", "system/Nope.r",
                  "system/Patient.rs?category=x", "system/Patient.sr", "x" * 500):  # fmt: skip
        answer = await ask(w, id, secret, CREDENTIALS | {"scope": scope})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), scope


def test_scopes_of_both_versions_compare() -> None:
    assert normal(["system/*.read", "system/Patient.write"]) == {
        "system/*.rs", "system/Patient.cud",
    }  # fmt: skip
    assert within("system/Patient.rs", ["system/Patient.r", "system/*.s"])
    assert not within("user/Patient.r", ["system/*.cruds"])


@pytest.mark.asvs("v5.0.0-10.4.10", "v5.0.0-10.4.4", "v5.0.0-16.3.1")
@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, {}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, {}, 401, "invalid_client"),
        ({"grant_type": "password"}, {"good": "1"}, 400, "unsupported_grant_type"),
        ({"x": "y"}, {"good": "1"}, 400, "invalid_request"),
        (CREDENTIALS | {"client_secret": "x"}, {"good": "1"}, 400, "invalid_request"),
        (CREDENTIALS | {"client_id": "other"}, {"good": "1"}, 400, "invalid_request"),
        (CREDENTIALS, {"Authorization": "Basic !!!"}, 401, "invalid_client"),
        (CREDENTIALS, {"Authorization": "Bearer x"}, 401, "invalid_client"),
        (CREDENTIALS, basic("demo", ""), 401, "invalid_client"),
        (CREDENTIALS, basic("a\0b", "x"), 401, "invalid_client"),
        (CREDENTIALS, basic("nobody", "x"), 401, "invalid_client"),
        (CREDENTIALS, basic("demo", "x"), 401, "invalid_client"),
    ],
)
async def test_refusals_speak_oauth(
    w: World, form: dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    if "good" in headers:
        headers = basic(*demo_client(w.dsn))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await w.browser().post("/oauth/token", data=form, headers={**kind, **headers})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert w.traces("token")[-1]["outcome"] == error


@pytest.mark.asvs("v5.0.0-15.3.7", "v5.0.0-2.2.1")
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"grant_type=client_credentials&grant_type=x", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 400),
        (b"grant_type=\xff", "application/x-www-form-urlencoded", 400),
        (b"grant_type=%FF%FE", "application/x-www-form-urlencoded", 400),
        (b"grant_type=%00", "application/x-www-form-urlencoded", 400),
        (b"x=" + b"y" * 20000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=1" % i for i in range(60)), "application/x-www-form-urlencoded", 400),
    ],
)
async def test_bad_forms_are_refused(w: World, body: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind}
    answer = await w.browser().post("/oauth/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


@pytest.mark.asvs("v5.0.0-6.3.1", "v5.0.0-2.4.1")
async def test_guessing_is_shut_out(w: World) -> None:
    id, secret = create_client(w.dsn, "Gissad", ["system/*.rs"])
    for _ in range(5):
        assert (await ask(w, id, "guess")).status_code == 401
    shut = await ask(w, id, secret)  # not even the right one now
    assert (shut.status_code, shut.json()["error"]) == (429, "invalid_client")
    assert int(shut.headers["retry-after"]) > 0
    # From elsewhere the client goes on working.
    async with world(w.dsn) as elsewhere:
        assert (await ask(elsewhere, id, secret)).status_code == 200


@pytest.mark.asvs("v5.0.0-6.3.1")
async def test_trying_many_clients_is_shut_out(w: World) -> None:
    answers = [(await ask(w, f"guess-{i}", "x")).status_code for i in range(22)]
    assert answers == [401] * 20 + [429] * 2


@pytest.mark.asvs("v5.0.0-6.3.1")
def test_the_lock_lasts_longer_each_time_and_memory_is_bounded() -> None:
    lock = LockOut()
    for _ in range(4):
        lock.wrong("c", "a")
    assert lock.wait("c", "a") == 0
    lock.wrong("c", "a")
    first = lock.wait("c", "a")
    for _ in range(5):
        lock.wrong("c", "a")
    assert lock.wait("c", "a") > first > 0
    assert lock.wait("c", "b") == 0
    lock.right("c", "a")
    assert lock.wait("c", "a") == 0
    for i in range(12_000):
        lock.wrong("c", str(i))
    assert len(lock._counts) <= 10_000


async def good_claims(w: World) -> dict[str, Any]:
    demo_client(w.dsn)
    return tokens._claims(w.services.settings, "demo", "demo", "system/*.cruds")


@pytest.mark.asvs("v5.0.0-9.2.1", "v5.0.0-9.2.3", "v5.0.0-10.3.1")
@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": f"{BASE}/oidc/userinfo"},
        {"aud": [f"{BASE}/fhir", "x"]}, {"aud": None}, {"exp": 1}, {"exp": None}, {"exp": "x"},
        {"exp": 1e400}, {"iat": 4_000_000_000}, {"iat": None}, {"jti": None}, {"sub": None},
        {"client_id": "nobody"}, {"client_id": None}, {"scope": None},
    ],
)  # fmt: skip
async def test_a_token_with_a_wrong_claim_is_refused(w: World, change: dict[str, Any]) -> None:
    claims = await good_claims(w)
    await whose(w, await sign(w.services.database, claims, "at+jwt"))
    claims = {k: v for k, v in (claims | change).items() if v is not None}
    await refuses(w, await sign(w.services.database, claims, "at+jwt"))


@pytest.mark.asvs("v5.0.0-9.1.1", "v5.0.0-9.1.2", "v5.0.0-9.1.3", "v5.0.0-9.2.2")
async def test_forged_tokens_are_refused(w: World) -> None:
    database = w.services.database
    claims = await good_claims(w)
    own = await keys_of(database).signing(database)
    good = await sign(database, claims, "at+jwt")
    head, body, signature = good.split(".")
    other = ECKey.generate_key("P-256", parameters={"kid": str(own.kid)})
    header = {"alg": "ES256", "kid": own.kid, "typ": "at+jwt"}
    public = own.as_pem(private=False)
    richer = raw_token(header, claims | {"scope": "system/*.cruds user/*.cruds"}).split(".")[1]
    forged = [
        raw_token({**header, "alg": "none"}, claims),
        raw_token({**header, "alg": "nOnE"}, claims),
        raw_token({**header, "alg": ["ES256"]}, claims),
        raw_token({**header, "alg": "HS256"}, claims, public),
        raw_token({**header, "alg": "HS256"}, claims, str(own.as_dict(private=False)).encode()),
        jwt.encode(header, claims, other),
        jwt.encode({**header, "kid": "unknown"}, claims, other),
        jwt.encode({"alg": "ES256", "typ": "at+jwt", "jwk": other.as_dict()}, claims, other),
        jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, own),
        jwt.encode({**header, "typ": "JWT"}, claims, own),
        f"{head}.{richer}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        good[:-4] + "AAAA",
        good + "." + good,
        "A" * 9000,
        "",
    ]
    for token in forged:
        await refuses(w, token)
    for scheme in (None, "", "Bearer", "Bearer ", f"Basic {good}", good, f"Token {good}"):
        with pytest.raises(Unauthenticated):
            await actor_of_bearer(database, scheme, w.services.settings)
    # An ID token is signed by the same keys and is no access token.
    browser = w.browser()
    await log_in(browser, "Practitioner/idt-nina")
    ((id_token,),) = w.execute("SELECT id_token FROM access.session ORDER BY created DESC LIMIT 1")
    await refuses(w, id_token)


@pytest.mark.asvs("v5.0.0-9.1.1", "v5.0.0-16.5.3")
async def test_any_header_is_a_refusal_and_nothing_worse(w: World) -> None:
    claims = await good_claims(w)
    good = await sign(w.services.database, claims, "at+jwt")
    loop = asyncio.get_running_loop()
    found: list[str] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.text(), st.lists(st.text(), min_size=3, max_size=3).map(".".join),
                     st.integers(0, len(good)).map(lambda i: good[:i] + "x" + good[i + 1:])))  # fmt: skip
    def collect(text: str) -> None:
        if text != good:
            found.append(text)

    await loop.run_in_executor(None, collect)
    for text in found:
        for header in (text, f"Bearer {text}"):
            with pytest.raises(Unauthenticated):
                await actor_of_bearer(w.services.database, header, w.services.settings)


@pytest.mark.asvs("v5.0.0-9.2.1")
async def test_a_token_expires_also_when_it_is_remembered(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await good_claims(w) | {"exp": int(time.time()) + 2}
    token = await sign(w.services.database, claims, "at+jwt")
    await whose(w, token)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3)
    await refuses(w, token)


@pytest.mark.asvs("v5.0.0-7.4.2")
async def test_a_revoked_token_and_a_closed_client_end(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = w.services.database
    claims = await good_claims(w)
    token = await sign(database, claims, "at+jwt")
    await whose(w, token)
    await revoke(database, claims["jti"], claims["exp"])
    await refuses(w, token)

    id, secret = create_client(w.dsn, "Stängd", ["system/*.rs"], provider=REGION)
    token = (await ask(w, id, secret)).json()["access_token"]
    await whose(w, token)
    close_client(w.dsn, id)
    assert (await whose(w, token)).id == f"client:{id}"  # remembered, half a minute at most
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 31)
    await refuses(w, token)
    assert (await ask(w, id, secret)).status_code == 401
    with pytest.raises(NotFound):
        close_client(w.dsn, "nobody")


@pytest.mark.asvs("v5.0.0-11.2.2", "v5.0.0-9.1.3")
async def test_a_withdrawn_key_ends_its_tokens(w: World) -> None:
    database = w.services.database
    kid = await keys.rotate(database)
    token = await sign(database, await good_claims(w), "at+jwt")
    await keys.withdraw(database, kid)
    await refuses(w, token)


async def test_a_remembered_token_costs_microseconds(w: World) -> None:
    token = await sign(w.services.database, await good_claims(w), "at+jwt")
    header, here = f"Bearer {token}", w.services.settings
    await actor_of_bearer(w.services.database, header, here)
    before = time.perf_counter()
    for _ in range(2000):
        await actor_of_bearer(w.services.database, header, here)
    assert (time.perf_counter() - before) / 2000 < 50e-6


async def test_memory_of_tokens_is_bounded(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_REMEMBERED", 3)
    claims = await good_claims(w)
    for i in range(6):
        await whose(w, await sign(w.services.database, claims | {"jti": str(i)}, "at+jwt"))
    assert len(tokens._remembered[w.services.database]) == 3


@pytest.mark.asvs("v5.0.0-10.3.2", "v5.0.0-10.3.3", "v5.0.0-7.4.2")
async def test_a_staff_token_acts_in_one_assignment(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, here = w.services.database, w.services.settings
    token = await issue_staff_token(database, "idt-doris", "idt-doris-2", 3, here)
    actor = await whose(w, token)
    assert (actor.kind, actor.id, actor.loa) == ("staff", "Practitioner/idt-doris", 3)
    assert actor.assignment is not None
    assert (actor.assignment.unit, actor.name) == (HOME, "Doris Lind-Idt")
    for who, which in (
        ("idt-doris", "idt-nina-1"), ("idt-nina", "idt-nina-0"), ("idt-enar", "idt-enar-1"),
        ("nobody", "x"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            await issue_staff_token(database, who, which, 3, here)
    # When the assignment ends, so does the token.
    token = await issue_staff_token(database, "idt-nina", "idt-nina-1", 2, here)
    nina = await whose(w, token)
    assert nina.loa == 2 and nina.assignment is not None and nina.assignment.unit == WARD
    swap = "UPDATE store.other SET body = convert_to(replace(convert_from(body, 'UTF8'), %s, %s), 'UTF8') WHERE id = 'idt-nina-1'"
    try:
        w.execute(swap, '"active":true', '"active":false')
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 31)
        await refuses(w, token)
    finally:
        w.execute(swap, '"active":false', '"active":true')
    # Who is out of use does not act, whatever the assignment.
    await refuses(w, await issue_staff_token(database, "idt-lars", "idt-lars-1", 3, here))


async def test_the_smart_document_says_what_exists(w: World) -> None:
    document = oauth_metadata.smart_configuration(BASE)
    browser = w.browser()
    for name in ("token", "revocation", "introspection"):
        assert (await browser.get(document[f"{name}_endpoint"])).status_code == 405
    assert document["token_endpoint"] == f"{BASE}/oauth/token"
    assert document["code_challenge_methods_supported"] == ["S256"]
    published = (await browser.get("/.well-known/openid-configuration")).json()
    assert published["issuer"] == document["issuer"] == BASE
    assert published["id_token_signing_alg_values_supported"] == ["RS256"]
    keys = (await browser.get(document["jwks_uri"])).json()["keys"]
    assert {k["alg"] for k in keys} == {"RS256", "ES256"}
    assert not [k for k in keys if {"d", "p", "q"} & set(k)]
