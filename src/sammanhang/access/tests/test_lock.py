"""The lock screen as the server keeps it: what is locked reads nothing, and only its own person goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from .identity_world import (
    BASE,
    HOME,
    World,
    choose,
    choose_person,
    csrf_of,
    log_in,
    query,
    whoami_of,
    world,
)

NINA, DORIS, SVEA = "Practitioner/idt-nina", "Practitioner/idt-doris", "Patient/idt-svea"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        made.execute("DELETE FROM access.session")
        yield made


def away(w: World, minutes: int) -> None:
    """Nobody has touched anything for so long."""
    w.execute("UPDATE access.session SET last_seen = now() - make_interval(mins => %s)", minutes)


async def unlock(
    browser: httpx.AsyncClient, person: str, next: str = "/", **more: str
) -> httpx.Response:
    """A log-in from the lock screen; returns the answer of the callback."""
    answer = await browser.get("/unlock", params={"next": next})
    asked = query(answer.headers["location"])
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    return await browser.get(await choose_person(browser, asked, person, **more))


@pytest.mark.asvs("v5.0.0-7.3.1")
async def test_a_screen_nobody_touches_locks_and_reads_nothing(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    away(w, 9)
    assert await whoami_of(browser) is not None
    away(w, 11)
    assert await whoami_of(browser) is None
    for path in ("/login/assignment", "/lock"):
        assert (await browser.get(path)).headers["location"] == "/locked"
    page = await browser.get("/locked", params={"next": "/patients/x"})
    assert "Skärmen är låst" in page.text and "Nina Öberg-Idt" in page.text
    assert 'href="/unlock?next=%2Fpatients%2Fx"' in page.text
    # Looking at the lock screen is no activity.
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-3.5.1")
async def test_it_locks_by_hand_in_every_window_at_once(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    page = await browser.get("/lock")
    forged = await browser.post("/lock", data={"csrf": "x"})
    assert forged.status_code == 403 and await whoami_of(browser) is not None
    answer = await browser.post("/lock", data={"csrf": csrf_of(page.text), "next": "/start"})
    assert answer.headers["location"] == "/locked?next=%2Fstart"
    assert await whoami_of(browser) is None
    assert w.traces("lock")[-1]["actor"] == NINA
    # A page asks with its token in the header, and stays where it is.
    await unlock(browser, NINA)
    token = (await whoami_of(browser))["csrf"]
    assert (await browser.post("/lock", headers={"X-CSRF-Token": token})).status_code == 204
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-7.2.4", "v5.0.0-7.4.1")
async def test_its_own_person_goes_on_where_they_were(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    await choose(browser, "idt-doris-2")
    before = browser.cookies["sammanhang"]
    away(w, 11)
    answer = await unlock(browser, DORIS, "/patients/idt-svea")
    assert answer.headers["location"] == "/patients/idt-svea"
    me = await whoami_of(browser)
    assert (me["state"], me["assignment"]["unit"]) == ("active", HOME)
    assert browser.cookies["sammanhang"] != before
    assert w.traces("unlock")[-1]["actor"] == DORIS
    old = w.browser()
    old.cookies.set("sammanhang", before)
    assert await whoami_of(old) is None
    # A log-in is a log-in: the hours begin anew, and the locked one is no longer there.
    assert w.execute("SELECT count(*) FROM access.session WHERE locked IS NULL") == [(1,)]


async def test_after_the_idle_end_the_same_person_still_goes_on(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    await choose(browser, "idt-doris-2")
    away(w, 45)
    assert await whoami_of(browser) is None
    # By the lock screen, and by the ordinary log-in.
    await unlock(browser, DORIS)
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-doris-2"
    away(w, 45)
    await log_in(browser, DORIS)
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-doris-2"


async def test_another_person_gets_their_own_session_and_not_the_page(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    await choose(browser, "idt-doris-2")
    away(w, 11)
    answer = await unlock(browser, NINA, "/patients/idt-svea")
    assert answer.headers["location"] == "/"
    me = await whoami_of(browser)
    assert (me["id"], me["assignment"]["id"]) == (NINA, "idt-nina-1")
    assert w.execute("SELECT person FROM access.session") == [(NINA,)]


@pytest.mark.asvs("v5.0.0-6.8.4")
async def test_a_lower_log_in_does_not_unlock(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    away(w, 11)
    answer = await unlock(browser, NINA, level="2")
    assert answer.status_code == 403 and "Tillitsnivån räckte inte" in answer.text
    assert await whoami_of(browser) is None
    await unlock(browser, NINA)
    assert (await whoami_of(browser))["loa"] == 3


@pytest.mark.asvs("v5.0.0-7.4.1")
async def test_one_can_log_out_of_a_locked_screen(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    away(w, 11)
    page = await browser.get("/locked")
    answer = await browser.post("/logout", data={"csrf": csrf_of(page.text)})
    assert answer.headers["location"].startswith(f"{BASE}/oidc/end_session?")
    assert w.execute("SELECT count(*) FROM access.session") == [(0,)]
    assert (await browser.get("/locked")).headers["location"] == "/login?next=%2F"


@pytest.mark.asvs("v5.0.0-7.3.1", "v5.0.0-3.5.1")
async def test_asking_how_the_session_is_keeps_nothing_alive(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    away(w, 9)
    said = (await browser.get("/session")).json()
    assert (said["person"], said["assignment"]) == (NINA, "idt-nina-1")
    assert 0 < said["locks_in"] <= 60 < said["ends_in"]
    token = said["csrf"]
    assert (await browser.get("/session")).json()["locks_in"] <= 60
    # Somebody at work on the page says so, with the page's token.
    assert (await browser.post("/session")).status_code == 403
    assert (await browser.post("/session", headers={"X-CSRF-Token": token})).json()[
        "locks_in"
    ] > 500
    away(w, 11)
    for answer in (await browser.get("/session"), await browser.post("/session")):
        assert (answer.status_code, answer.json()) == (401, {"state": "locked"})
    browser.cookies.clear()
    assert (await browser.get("/session")).json() == {"state": "none"}


async def test_a_resident_is_locked_out_too(w: World) -> None:
    browser = w.browser()
    await log_in(browser, SVEA)
    away(w, 11)
    assert await whoami_of(browser) is None
    await unlock(browser, SVEA, "/me")
    assert (await whoami_of(browser))["id"] == SVEA


@pytest.mark.asvs("v5.0.0-3.7.2")
async def test_what_is_not_locked_is_not_unlocked(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    assert (await browser.get("/unlock", params={"next": "/start"})).headers["location"] == "/start"
    assert (await browser.get("/locked", params={"next": "//evil.example"})).headers[
        "location"
    ] == "/"
    assert (await browser.get("/unlock", params={"next": "//evil.example"})).headers[
        "location"
    ] == "/"
