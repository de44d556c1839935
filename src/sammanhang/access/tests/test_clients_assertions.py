"""`private_key_jwt`: a service proves itself with its key, and nothing else passes for that."""

from __future__ import annotations

import asyncio
import gzip
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from sammanhang.access import clients_assertions as assertions
from sammanhang.access.clients import register
from sammanhang.access.clients_registration import Registration

from .identity_world import BASE, World, raw_token, world

TOKEN = f"{BASE}/oauth/token"
KEYS: dict[str, ECKey | RSAKey] = {
    "ES384": ECKey.generate_key("P-384", {"kid": "ES384"}), "ES256": ECKey.generate_key("P-256", {"kid": "ES256"}),
    "RS384": RSAKey.generate_key(2048, {"kid": "RS384"}), "PS384": RSAKey.generate_key(2048, {"kid": "PS384"}),
}  # fmt: skip
JWKS = {"keys": [k.as_dict(private=False) for k in KEYS.values()]}


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


@pytest.fixture
def lab(w: World) -> str:
    made = Registration(
        "Labbet", ("system/Observation.rs",), "private_key_jwt", jwks=JWKS, everything=True
    )
    return register(w.dsn, made)[0]


def claims(id: str, **change: Any) -> dict[str, Any]:
    made = {
        "iss": id,
        "sub": id,
        "aud": TOKEN,
        "exp": int(time.time()) + 300,
        "jti": secrets.token_hex(16),
    }
    return {k: v for k, v in (made | change).items() if v is not None}


def signed(
    id: str, algorithm: str = "ES384", header: dict[str, Any] | None = None, **change: Any
) -> str:
    head = {"alg": algorithm, "kid": algorithm, "typ": "JWT"} | (header or {})
    return jwt.encode(head, claims(id, **change), KEYS[algorithm], algorithms=[algorithm])


async def send(w: World, assertion: str, **form: str) -> httpx.Response:
    sent = {
        "grant_type": "client_credentials", "scope": "system/Observation.rs", "client_assertion_type": assertions.TYPE,
        "client_assertion": assertion,
    }  # fmt: skip
    return await w.browser().post("/oauth/token", data=sent | form)


async def refused(w: World, assertion: str, **form: str) -> None:
    answer = await send(w, assertion, **form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
    assert len(assertion) < 40 or assertion[:40] not in str(
        w.execute("SELECT convert_from(entries, 'UTF8') FROM audit.block")
    )


@pytest.mark.asvs("v5.0.0-10.4.10", "v5.0.0-13.2.1")
@pytest.mark.parametrize("algorithm", ["ES384", "ES256", "RS384", "PS384"])
async def test_a_service_proves_itself_with_its_key(w: World, lab: str, algorithm: str) -> None:
    answer = await send(w, signed(lab, algorithm))
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "system/Observation.rs"
    assert w.traces("token")[-1]["actor"] == f"client:{lab}"
    assert (
        await send(w, signed(lab, algorithm, aud=[TOKEN, "x"]), client_id=lab)
    ).status_code == 200


@pytest.mark.asvs("v5.0.0-10.4.10", "v5.0.0-2.3.4")
async def test_an_assertion_is_good_once_in_every_process(w: World, lab: str) -> None:
    assertion = signed(lab)
    async with world(w.dsn) as other:
        answers = await asyncio.gather(*(send(x, assertion) for x in (w, other, w, other)))
    assert sorted(a.status_code for a in answers) == [200, 401, 401, 401]
    await refused(w, assertion)


@pytest.mark.asvs("v5.0.0-9.2.1", "v5.0.0-9.2.3")
@pytest.mark.parametrize(
    "change",
    [
        {"aud": BASE}, {"aud": f"{TOKEN}/"}, {"aud": None}, {"aud": ["x"]}, {"aud": "https://evil.example/token"}, {"iss": "other"},
        {"iss": None}, {"sub": "other"}, {"sub": None}, {"exp": None}, {"exp": 1}, {"exp": "soon"}, {"exp": True}, {"exp": 4e9},
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "x" * 300}, {"iat": 4e9}, {"nbf": 4e9}, {"iat": "x"},
    ],
)  # fmt: skip
async def test_every_claim_must_hold(w: World, lab: str, change: dict[str, Any]) -> None:
    change = {k: int(v) if v == 4e9 else v for k, v in change.items()}
    await refused(w, signed(lab, **change))


@pytest.mark.asvs("v5.0.0-9.2.1")
async def test_expired_and_too_long_lived_assertions_are_refused(w: World, lab: str) -> None:
    now = int(time.time())
    await refused(w, signed(lab, exp=now - 60))
    await refused(w, signed(lab, exp=now + 600))
    assert (await send(w, signed(lab, exp=now + 290))).status_code == 200


@pytest.mark.asvs("v5.0.0-9.1.1", "v5.0.0-9.1.2", "v5.0.0-9.1.3", "v5.0.0-9.2.2")
async def test_the_algorithm_and_the_key_are_ours_to_choose(w: World, lab: str) -> None:
    thief = ECKey.generate_key("P-384", {"kid": "ES384"})
    public = KEYS["RS384"].as_pem(private=False)
    head = {"alg": "ES384", "kid": "ES384", "typ": "JWT"}
    good = signed(lab)
    first, _, signature = good.split(".")
    for forged in (
        raw_token({"alg": "none", "kid": "ES384"}, claims(lab)),
        raw_token({"alg": "HS256", "kid": "RS384"}, claims(lab), public),
        raw_token({"alg": "HS384", "kid": "RS384"}, claims(lab), public),
        jwt.encode(head, claims(lab), thief, algorithms=["ES384"]),
        jwt.encode({**head, "jwk": thief.as_dict(private=False)}, claims(lab), thief, algorithms=["ES384"]),
        jwt.encode({**head, "kid": "unknown"}, claims(lab), thief, algorithms=["ES384"]),
        signed(lab, header={"jku": "https://evil.example/jwks"}),
        signed(lab, header={"kid": "ES256"}),
        signed(lab, header={"typ": "at+jwt"}),
        jwt.encode({**head, "alg": "RS256", "kid": "RS384"}, claims(lab), KEYS["RS384"], algorithms=["RS256"]),
        jwt.encode({"alg": "ES384", "typ": "JWT"}, claims(lab), KEYS["ES384"], algorithms=["ES384"]),
        f"{first}.{raw_token({}, claims(lab)).split('.')[1]}.{signature}",
        good[:-6] + "AAAAAA", "x", "a.b.c", "A" * 9000,
    ):  # fmt: skip
        await refused(w, forged)


@pytest.mark.asvs("v5.0.0-10.4.10", "v5.0.0-10.4.11")
async def test_a_client_uses_the_proof_it_is_registered_with(w: World, lab: str) -> None:
    id, secret = register(w.dsn, Registration("Hemlig", ("system/*.rs",), id=None))
    await refused(w, signed(id))
    basic = await w.browser().post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(lab, secret or "")
    )
    assert basic.status_code == 401
    await refused(w, signed(lab), client_id=id)
    assert (await send(w, signed(lab), client_secret="x")).json()["error"] == "invalid_request"
    await refused(
        w,
        signed(lab),
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    )
    await refused(w, signed("nobody"))
    assert (await send(w, signed(lab), scope="system/*.rs")).json()["error"] == "invalid_scope"
    assert (await send(w, signed(lab), scope="openid")).json()["error"] == "invalid_scope"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[httpx.Request], httpx.Response]]:
    """What answers at a `jwks_uri`; the last one in the list."""
    answers: list[Callable[[httpx.Request], httpx.Response]] = []
    monkeypatch.setattr(
        assertions, "transport", httpx.MockTransport(lambda request: answers[-1](request))
    )
    assertions._fetched.clear()
    return answers


@pytest.mark.asvs("v5.0.0-11.2.2", "v5.0.0-13.2.4", "v5.0.0-9.1.3")
async def test_keys_are_fetched_kept_and_fetched_again_for_a_new_one(
    w: World, elsewhere: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    held = {"keys": [KEYS["ES384"].as_dict(private=False)]}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=held)

    elsewhere.append(answer)
    made = Registration(
        "Fjärran",
        ("system/Observation.rs",),
        "private_key_jwt",
        jwks_uri="https://lab.example/jwks",
        everything=True,
    )
    id, _ = register(w.dsn, made)
    for _ in range(3):
        assert (await send(w, signed(id))).status_code == 200
    assert asked == ["https://lab.example/jwks"]
    held["keys"] = JWKS["keys"]
    await refused(w, signed(id, "RS384"))  # asked for just now: not again at once
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 31)
    assert (await send(w, signed(id, "RS384"))).status_code == 200
    assert len(asked) == 2


@pytest.mark.asvs("v5.0.0-1.3.6", "v5.0.0-15.3.2", "v5.0.0-16.5.3")
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "https://evil.example/jwks"}), httpx.Response(500), httpx.Response(404),
        httpx.Response(200, content=b"{"), httpx.Response(200, json=[]), httpx.Response(200, json={"keys": "x"}),
        httpx.Response(200, content=b'{"keys":["' + b"x" * 100_000 + b'"]}'), httpx.Response(200, content=b'{"keys":["\xff"]}'),
        httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b" " * 10_000_000)), httpx.Response(200, json={"keys": [{"kty": "oct"}]}),
        httpx.Response(200, json={"keys": [{**KEYS["ES256"].as_dict(private=False), "kid": "ES384"}]}),
    ],
)  # fmt: skip
async def test_an_address_that_gives_no_keys_lets_nobody_in(
    w: World, elsewhere: list[Any], answer: httpx.Response
) -> None:
    asked = []

    def answers(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return answer

    elsewhere.append(answers)
    made = Registration(
        "Fjärran",
        ("system/Observation.rs",),
        "private_key_jwt",
        jwks_uri="https://lab.example/jwks2",
    )
    id, _ = register(w.dsn, made)
    await refused(w, signed(id))
    assert asked == ["lab.example"]


class Trickle(httpx.AsyncByteStream):
    """An answer that comes a letter at a time, and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)


@pytest.mark.asvs("v5.0.0-1.3.6", "v5.0.0-16.5.2")
async def test_an_address_that_never_finishes_is_left(
    w: World, elsewhere: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assertions, "LONGEST_FETCH_SECONDS", 0.2)
    elsewhere.append(lambda _: httpx.Response(200, stream=Trickle()))
    uri = "https://lab.example/jwks3"
    made = Registration("Fjärran", ("system/Observation.rs",), "private_key_jwt", jwks_uri=uri)
    id, _ = register(w.dsn, made)
    await asyncio.wait_for(refused(w, signed(id)), 10)
