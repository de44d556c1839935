"""Context links: another system opens a patient here for its own person, once, and for nobody else (M59)."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from sammanhang.access import context, partners
from sammanhang.kernel.errors import Conflict, Invalid
from sammanhang.store.bulk import load
from sammanhang.store.database import Database

from .identity_world import (
    BASE,
    CLINIC,
    REGION,
    WARD,
    World,
    choose,
    choose_person,
    csrf_of,
    log_in,
    practitioner,
    query,
    raw_token,
    role,
    whoami_of,
    world,
)  # fmt: skip

NINA, DORIS, PIA = "Practitioner/idt-nina", "Practitioner/idt-doris", "Practitioner/idt-pia"
NINA_HSA, PIA_HSA = "SE2321000131-P000000009999", "SE2321000131-P000000009998"
ISSUER = "https://journal.example"
KEY = ECKey.generate_key("P-256", {"kid": "k1"})
RSA = RSAKey.generate_key(2048, {"kid": "k2"})
SVEA = "19420302-2381"
_loaded: set[str] = set()


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        if database not in _loaded:
            hsa = [{"system": "urn:oid:1.2.752.29.4.19", "value": PIA_HSA}]
            load(database, [
                practitioner("idt-pia", "Pia", "Två-Idt", identifier=hsa),
                role("idt-pia-1", "idt-pia", "sjukskoterska", WARD, REGION),
                role("idt-pia-2", "idt-pia", "lakare", CLINIC, REGION),
                role("idt-pia-3", "idt-pia", "sjukskoterska", CLINIC, REGION),
            ])  # fmt: skip
            _loaded.add(database)
        made.execute("DELETE FROM access.session")
        made.execute("DELETE FROM access.partner")
        partners.add(database, ISSUER, "Journalen", partners.checked_keys(key_set(KEY, RSA)))
        yield made


def key_set(*keys: Any) -> bytes:
    return msgspec.json.encode({"keys": [{**k.as_dict(private=False), "kid": k.kid} for k in keys]})


def claims_of(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": f"{BASE}/context", "sub": NINA_HSA, "assignment": "idt-nina-1", "patient": SVEA,
        "iat": now, "exp": now + 120, "jti": f"link-{time.time_ns()}",
    }  # fmt: skip
    return {k: v for k, v in (claims | more).items() if v is not None}


def link(
    key: Any = KEY,
    alg: str = "ES256",
    typ: str = "context+jwt",
    kid: str | None = None,
    **more: Any,
) -> str:
    header = {"alg": alg, "typ": typ, "kid": kid or key.kid}
    return jws.serialize_compact(
        header, msgspec.json.encode(claims_of(**more)), key, algorithms=[alg]
    )


async def follow(browser: httpx.AsyncClient, token: str) -> httpx.Response:
    """The partner's page sends the form, without our cookies; the browser goes on with them."""
    async with httpx.AsyncClient(transport=browser._transport, base_url=BASE) as elsewhere:
        answer = await elsewhere.post("/context", data={"token": token})
    if answer.status_code != 303:
        return answer
    assert answer.headers["location"].startswith("/context/")
    assert token not in answer.headers["location"] and SVEA not in answer.headers["location"]
    return await browser.get(answer.headers["location"])


async def test_a_patient_is_opened_in_the_assignment_in_force(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    answer = await follow(browser, link())
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients/idt-svea")
    trace = w.traces("context")[-1]
    assert (trace["actor"], trace["patient"], trace["outcome"]) == (NINA, "idt-svea", "ok")
    assert trace["details"]["partner"] == ISSUER
    # By the Patient's id as well, by unit instead of assignment, by RSA, and by GET.
    for token in (
        link(patient="idt-svea"), link(patient="194203022381"), link(assignment=WARD),
        link(assignment=WARD, role="sjukskoterska"), link(RSA, "PS256"), link(RSA, "RS256"),
        link(aud=[f"{BASE}/context"]), link(typ="application/context+JWT"),
    ):  # fmt: skip
        assert (await follow(browser, token)).headers["location"] == "/patients/idt-svea"
    answer = await browser.get("/context", params={"token": link()})
    answer = await browser.get(answer.headers["location"])
    assert answer.headers["location"] == "/patients/idt-svea"


@pytest.mark.asvs("v5.0.0-7.6.2")
async def test_it_logs_nobody_in_but_waits_for_its_person(w: World) -> None:
    browser = w.browser()
    answer = await follow(browser, link())
    assert answer.headers["location"].startswith("/login?level=3&next=%2Fcontext%2F")
    assert await whoami_of(browser) is None
    to = await browser.get(answer.headers["location"])
    asked = query(to.headers["location"])
    back = await browser.get(await choose_person(browser, asked, NINA))
    assert back.headers["location"].startswith("/context/")
    answer = await browser.get(back.headers["location"])
    assert answer.headers["location"] == "/patients/idt-svea"
    # The link is used up; the page one comes from shows nothing.
    again = await browser.get(back.headers["location"])
    assert again.status_code == 403 and "redan använd" in again.text


@pytest.mark.asvs("v5.0.0-10.1.2", "v5.0.0-7.6.2")
async def test_another_person_opens_nothing(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    await choose(browser, "idt-doris-1")
    answer = await follow(browser, link())
    assert answer.status_code == 403 and "Länken gäller en annan person" in answer.text
    assert "Nina" not in answer.text and SVEA not in answer.text
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-doris-1"
    assert w.traces("context")[-1]["outcome"] == "another person is logged in"
    # Nor one who logs in because of it.
    other = w.browser()
    answer = await follow(other, link())
    asked = query((await other.get(answer.headers["location"])).headers["location"])
    back = await other.get(await choose_person(other, asked, "Practitioner/idt-moa"))
    answer = await other.get(back.headers["location"])
    assert answer.status_code == 403 and "Länken gäller en annan person" in answer.text
    # A person nobody knows is nobody here.
    answer = await follow(browser, link(sub="SE2321000131-P0NOBODY"))
    assert answer.status_code == 403


@pytest.mark.asvs("v5.0.0-3.5.1", "v5.0.0-7.2.4")
async def test_a_switch_of_assignment_is_asked_about_first(w: World) -> None:
    browser = w.browser()
    await log_in(browser, PIA)
    await choose(browser, "idt-pia-1")
    token = link(sub=PIA_HSA, assignment="idt-pia-2")
    page = await follow(browser, token)
    assert page.status_code == 200
    assert "Journalen vill öppna patienten 19420302-2381" in page.text
    assert "Läkare, Mottagning Björken" in page.text and "Avdelning Älgen" in page.text
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-pia-1"
    # Looking, and a click somebody else makes for them, switch nothing.
    assert (await browser.get(page.url.path)).status_code == 200
    forged = await browser.post(page.url.path, data={"csrf": "x"})
    assert forged.headers["location"] == page.url.path
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-pia-1"
    before = browser.cookies["sammanhang"]
    answer = await browser.post(page.url.path, data={"csrf": csrf_of(page.text)})
    assert answer.headers["location"] == "/patients/idt-svea"
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-pia-2"
    assert browser.cookies["sammanhang"] != before
    assert w.traces("context")[-1]["details"]["switched"] is True


async def test_the_role_tells_two_assignments_of_a_unit_apart(w: World) -> None:
    browser = w.browser()
    await log_in(browser, PIA)
    page = await follow(browser, link(sub=PIA_HSA, assignment=CLINIC, role="lakare"))
    assert "Läkare, Mottagning Björken" in page.text
    page = await follow(browser, link(sub=PIA_HSA, assignment=CLINIC, role="sjukskoterska"))
    assert "Sjuksköterska, Mottagning Björken" in page.text


@pytest.mark.asvs("v5.0.0-8.2.1", "v5.0.0-8.3.1")
async def test_an_assignment_the_person_does_not_have_is_refused_by_r1(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    for gone in ("idt-nina-0", "idt-doris-1", CLINIC, "nothing"):
        page = await follow(browser, link(assignment=gone))
        assert page.status_code == 403 and "R1" in page.text
        assert "Avdelning Älgen" in page.text  # their own, to choose instead
        assert w.traces("context")[-1]["rule"] == "R1"
    form = {"csrf": csrf_of(page.text), "assignment": "idt-nina-1", "next": "/patients/idt-svea"}
    assert 'value="/patients/idt-svea"' in page.text
    answer = await browser.post("/login/assignment", data=form)
    assert answer.headers["location"] == "/patients/idt-svea"


@pytest.mark.asvs("v5.0.0-6.8.4")
async def test_a_lower_log_in_is_sent_for_a_higher(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA, level="2")
    answer = await follow(browser, link())
    assert answer.headers["location"].startswith("/login?level=3&next=%2Fcontext%2F")


async def test_a_locked_screen_stays_locked(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    w.execute("UPDATE access.session SET locked = now()")
    answer = await follow(browser, link())
    assert answer.headers["location"].startswith("/locked?next=%2Fcontext%2F")


async def test_a_patient_who_is_not_here_looks_like_one_who_is_nobodys_business(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    for unknown in ("19121212-1212", "no-such-patient"):
        answer = await follow(browser, link(patient=unknown))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/patients/link-")
        assert unknown not in answer.headers["location"]


@pytest.mark.asvs("v5.0.0-2.3.4")
async def test_a_link_is_used_once_also_by_two_processes_at_once(w: World, database: str) -> None:
    token = link()
    others = [Database(database, readers=1, writers=2) for _ in range(4)]
    for other in others:
        await other.open()
    try:
        tried = await asyncio.gather(
            *(context.opened(o, w.services.settings, token) for o in others), return_exceptions=True
        )
    finally:
        for other in others:
            await other.close()
    assert sum(isinstance(t, context.Link) for t in tried) == 1
    browser = w.browser()
    await log_in(browser, NINA)
    again = await follow(browser, token)
    assert again.status_code == 403 and "redan använd" in again.text
    assert w.traces("context")[-1]["outcome"] == "used before"


NOW = int(time.time())


@pytest.mark.asvs("v5.0.0-9.2.1", "v5.0.0-9.2.3", "v5.0.0-3.7.2")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"iss": "https://evil.example"}, "unknown partner"),
        ({"iss": None}, "unknown partner"),
        ({"iss": ["https://journal.example"]}, "unknown partner"),
        ({"aud": "https://other.example/context"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": [f"{BASE}/context", "https://other.example"]}, "another audience"),
        ({"iat": NOW - 500, "exp": NOW - 400}, "expired"),
        ({"exp": NOW + 600}, "too long a life"),
        ({"iat": NOW + 300, "exp": NOW + 400}, "made in the future"),
        ({"nbf": NOW + 300}, "made in the future"),
        ({"exp": None}, "times"),
        ({"iat": None}, "times"),
        ({"iat": "now"}, "times"),
        ({"exp": True}, "times"),
        ({"iat": 1e300, "exp": 1e301}, "times"),
        ({"jti": None}, "jti"),
        ({"jti": "short"}, "jti"),
        ({"jti": "a\r\nSet-Cookie: x=1"}, "jti"),
        ({"sub": None}, "sub"),
        ({"sub": "idt-nina"}, "sub"),
        ({"sub": NINA_HSA + "\r\n"}, "sub"),
        ({"patient": None}, "patient"),
        ({"patient": "../../admin"}, "patient"),
        ({"patient": "//evil.example"}, "patient"),
        ({"patient": "x\r\nLocation: //evil"}, "patient"),
        ({"patient": {"id": "x"}}, "patient"),
        ({"patient": "a" * 65}, "patient"),
        ({"assignment": None}, "assignment"),
        ({"assignment": "a/b"}, "assignment"),
        ({"role": "Läkare"}, "role"),
    ],
)
async def test_a_link_that_does_not_hold_opens_nothing(
    w: World, more: dict[str, Any], why: str
) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    answer = await follow(browser, link(**more))
    assert answer.status_code == 403, answer.text
    assert "location" not in answer.headers
    assert w.traces("context")[-1]["outcome"] == why
    assert "evil" not in answer.text


@pytest.mark.asvs("v5.0.0-9.1.1", "v5.0.0-9.1.2", "v5.0.0-9.1.3", "v5.0.0-9.2.2")
async def test_a_forged_link_opens_nothing_and_uses_nothing_up(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    good = link()
    stranger = ECKey.generate_key("P-256", {"kid": "k1"})
    public = msgspec.json.encode(KEY.as_dict(private=False))
    header = {"alg": "ES256", "typ": "context+jwt", "kid": "k1"}
    own_key = {**header, "jwk": stranger.as_dict(private=False)}
    claims = msgspec.json.encode(claims_of())
    forged = {
        "": "no token", "x": "signature", "a.b.c": "signature", "é" * 10: None, "a" * 9000: "too large",
        good[:-6] + "AAAAAA": "signature", good.rsplit(".", 1)[0] + ".": "signature",
        link(stranger): "signature",
        jws.serialize_compact(own_key, claims, stranger, algorithms=["ES256"]): "signature",
        raw_token({**header, "alg": "none"}, claims_of()): "algorithm",
        raw_token({**header, "alg": "HS256"}, claims_of(), public): "algorithm",
        # A key of one kind for an algorithm of another, an unknown kid, another kind of token.
        link(RSA, "RS256", kid="k1"): "unknown key", link(kid="k9"): "unknown key",
        link(typ="JWT"): "type", link(typ="at+jwt"): "type", link(typ="logout+jwt"): "type",
        raw_token({**header, "crit": ["exp"]}, claims_of()): "algorithm",
    }  # fmt: skip
    for token, why in forged.items():
        answer = await follow(browser, token)
        assert answer.status_code in (400, 403), token[:60]
        if why is not None:
            assert w.traces("context")[-1]["outcome"] == why, token[:60]
    assert (await follow(browser, good)).headers["location"] == "/patients/idt-svea"


async def test_no_strange_form_breaks_it(w: World) -> None:
    browser = w.browser()
    for more in (
        {"data": {"token": "a", "x": "y" * 20_000}}, {"content": b"\xff\xfe"}, {"json": {"token": link()}},
        {"content": b"token=a&token=b", "headers": {"content-type": "application/x-www-form-urlencoded"}},
    ):  # fmt: skip
        answer = await browser.post("/context", **more)  # type: ignore[arg-type]
        assert answer.status_code == 403
    for name in ("x", "a" * 2000, "%00", "..%2f..%2flogin"):
        assert (await browser.get(f"/context/{name}")).status_code in (403, 404)


@pytest.mark.asvs("v5.0.0-9.1.3", "v5.0.0-11.2.2")
async def test_a_closed_partner_is_nobody(w: World, database: str) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    new = ECKey.generate_key("P-384", {"kid": "k3"})
    assert partners.replace_keys(database, ISSUER, partners.checked_keys(key_set(new)))
    assert (await follow(browser, link())).status_code == 403
    assert (await follow(browser, link(new, "ES384"))).status_code == 303
    with pytest.raises(Conflict):
        partners.add(database, ISSUER, "Igen", partners.checked_keys(key_set(KEY)))
    assert partners.close(database, ISSUER) and not partners.close(database, ISSUER)
    assert (await follow(browser, link(new, "ES384"))).status_code == 403
    (row,) = partners.listed(database)
    assert row.closed is not None and row.kids == ("k3",)


@pytest.mark.asvs("v5.0.0-11.6.1")
def test_only_public_keys_that_hold_are_registered() -> None:
    public = KEY.as_dict(private=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of what we refuse
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    wrong: list[tuple[bytes, str]] = [
        (b"", "JWK Set"), (b"[]", "JWK Set"), (b'{"keys": []}', "JWK Set"), (b'{"keys": [1]}', "JWK Set"),
        (b'{"keys": "x"}', "JWK Set"), (b"x" * 70_000, "bytes"),
        (one_key(KEY.as_dict(private=True)), "private"),
        (one_key(OctKey.generate_key(256).as_dict()), "private"),
        (one_key(dict(public, x="!", y="!", kid="a")), "JWK Set"),
        (one_key({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "a"}), "neither"),
        (key_set(KEY, KEY), "same kid"),
        (one_key({k: v for k, v in public.items() if k != "kid"}), "no kid"),
        (key_set(weak), "1024 bits"),
    ]  # fmt: skip
    for text, said in wrong:
        with pytest.raises(Invalid) as refused:
            partners.checked_keys(text)
        assert said in refused.value.en, text[:80]


def one_key(key: Any) -> bytes:
    return msgspec.json.encode({"keys": [key]})


@pytest.mark.parametrize(
    ("issuer", "name"), [("", "x"), ("a b", "x"), ("a\n", "x"), ("a" * 300, "x"), ("a", " ")]
)
def test_a_partner_has_a_name_and_an_issuer(database: str, issuer: str, name: str) -> None:
    with pytest.raises(Invalid):
        partners.add(database, issuer, name, partners.checked_keys(key_set(KEY)))
