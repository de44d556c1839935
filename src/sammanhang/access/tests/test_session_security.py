"""What somebody tries who wants another's session: planted and doubled cookies, traces, old cookies."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from sammanhang.access import sessions

from .identity_world import (
    BASE,
    World,
    choose,
    choose_person,
    csrf_of,
    log_in,
    query,
    to_provider,
    whoami_of,
    world,
)

NINA, DORIS, MOA = "Practitioner/idt-nina", "Practitioner/idt-doris", "Practitioner/idt-moa"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        made.execute("DELETE FROM access.session")
        yield made


async def raw(w: World, cookies: str) -> object:
    """Who the application thinks asks, with these cookies as a browser would send them."""
    transport = httpx.ASGITransport(w.app, client=(w.address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as browser:
        return (await browser.get("/whoami", headers={"cookie": cookies})).json()


@pytest.mark.asvs("v5.0.0-7.2.4")
async def test_every_log_in_and_every_switch_has_a_cookie_of_its_own(w: World) -> None:
    browser, seen = w.browser(), set()
    await log_in(browser, DORIS)
    seen.add(browser.cookies["sammanhang"])
    for assignment in ("idt-doris-1", "idt-doris-2", "idt-doris-1"):
        await choose(browser, assignment)
        seen.add(browser.cookies["sammanhang"])
    answer = await browser.get("/login", params={"fresh": "x"})
    await browser.get(await choose_person(browser, query(answer.headers["location"]), DORIS))
    seen.add(browser.cookies["sammanhang"])
    assert len(seen) == 5
    alive = [c for c in seen if await raw(w, f"sammanhang={c}") is not None]
    assert alive == [browser.cookies["sammanhang"]]


@pytest.mark.asvs("v5.0.0-7.2.4")
async def test_a_session_number_of_somebody_elses_making_is_none(w: World) -> None:
    for planted in ("x", "a" * 43, "a" * 5000, "'; DROP TABLE access.session; --", "å", ""):
        browser = w.browser()
        browser.cookies.set("sammanhang", planted.encode("ascii", "ignore").decode())
        assert await whoami_of(browser) is None
        asked = await to_provider(browser)
        await browser.get(await choose_person(browser, asked, NINA))
        values = {c.value for c in browser.cookies.jar if c.name == "sammanhang"}
        assert any(value and len(value) == 43 and value != planted for value in values)


@pytest.mark.asvs("v5.0.0-3.3.3")
async def test_a_second_cookie_of_the_same_name_takes_nobody_over(w: World) -> None:
    """Cookie tossing: a neighbouring host plants its own session's cookie beside the victim's."""
    victim, attacker = w.browser(), w.browser()
    await log_in(victim, NINA)
    await log_in(attacker, MOA)
    mine, planted = victim.cookies["sammanhang"], attacker.cookies["sammanhang"]
    # Which of two came first cannot be known: neither is believed.
    for both in (
        f"sammanhang={mine}; sammanhang={planted}",
        f"sammanhang={planted}; sammanhang={mine}",
    ):
        assert await raw(w, both) is None
    assert await raw(w, f"sammanhang={mine}; sammanhang={mine}") is not None


@pytest.mark.asvs("v5.0.0-3.3.3")
async def test_with_https_only_the_host_bound_cookie_counts(database: str) -> None:
    base = "https://sammanhang.example"
    async with world(database, base_url=base) as w:
        browser = w.browser(base)
        answer = await browser.get("/login")
        answer = await browser.post(
            "/oidc/authorize", data={**query(answer.headers["location"]), "person": NINA}
        )
        await browser.get(answer.headers["location"])
        cookie = browser.cookies["__Host-sammanhang"]
        assert await raw(w, f"sammanhang={cookie}") is None
        assert await raw(w, f"__Host-sammanhang={cookie}; sammanhang=planted") is not None


@pytest.mark.asvs("v5.0.0-16.2.5", "v5.0.0-14.2.4")
async def test_the_cookie_stands_in_no_log_and_no_trace(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = w.browser()
    await log_in(browser, DORIS)
    cookies = [browser.cookies["sammanhang"]]
    await choose(browser, "idt-doris-1")
    cookies.append(browser.cookies["sammanhang"])
    page = await browser.get("/logout")
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("sammanhang"))
    traced = str(w.execute("SELECT convert_from(entries, 'UTF8') FROM audit.block"))
    for secret in [*cookies, csrf_of(page.text)]:
        assert secret not in ours and secret not in traced
        assert secret not in str(w.execute("SELECT s::text FROM access.session s"))
    await browser.post("/logout", data={"csrf": csrf_of(page.text)})


@pytest.mark.asvs("v5.0.0-7.3.2", "v5.0.0-7.4.1")
async def test_a_copied_cookie_dies_with_the_absolute_end(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    # However busy somebody is with it.
    for hours, alive in ((11, True), (13, False)):
        w.execute(
            "UPDATE access.session SET created = now() - make_interval(hours => %s),"
            " expires = now() - make_interval(hours => %s) + interval '12 hours', last_seen = now()",
            hours, hours,
        )  # fmt: skip
        assert (await whoami_of(browser) is not None) is alive
    assert (await browser.get("/locked")).headers["location"].startswith("/login")


@pytest.mark.asvs("v5.0.0-3.5.1")
async def test_sessions_at_the_same_time_are_each_their_own(w: World) -> None:
    here, there = w.browser(), w.browser()
    for browser, assignment in ((here, "idt-doris-1"), (there, "idt-doris-2")):
        await log_in(browser, DORIS)
        await choose(browser, assignment)
    assert (await whoami_of(here))["assignment"]["id"] == "idt-doris-1"
    # A form of one is no form of the other, although it is the same person.
    token = (await whoami_of(here))["csrf"]
    assert (await there.post("/logout", data={"csrf": token})).status_code == 403
    assert (await whoami_of(there))["assignment"]["id"] == "idt-doris-2"
    assert await sessions.logout_everywhere(w.services.database, DORIS) == 2
    assert await whoami_of(here) is None and await whoami_of(there) is None


@pytest.mark.asvs("v5.0.0-6.8.4", "v5.0.0-7.2.4")
async def test_a_lower_log_in_takes_the_higher_level_away(w: World) -> None:
    """Nobody keeps level 3 by logging in at level 2 in the same browser."""
    browser = w.browser()
    await log_in(browser, NINA)
    high = browser.cookies["sammanhang"]
    answer = await browser.get("/login", params={"fresh": "x"})
    asked = query(answer.headers["location"])
    await browser.get(await choose_person(browser, asked, NINA, level="2"))
    assert (await whoami_of(browser))["loa"] == 2
    assert await raw(w, f"sammanhang={high}") is None


@pytest.mark.asvs("v5.0.0-3.5.1")
async def test_a_form_made_in_another_assignment_is_refused_everywhere(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    await choose(browser, "idt-doris-1")
    old = (await whoami_of(browser))["csrf"]
    await choose(browser, "idt-doris-2")
    # To switch again from an old page shows how it is now, and changes nothing.
    form = {"csrf": old, "assignment": "idt-doris-1", "next": "/"}
    answer = await browser.post("/login/assignment", data=form)
    assert answer.headers["location"].startswith("/login/assignment?next=")
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-doris-2"
    # The token cannot be made to name another assignment.
    forged = old.rsplit(".", 1)[0] + ".idt-doris-2"
    assert (await browser.post("/lock", data={"csrf": forged})).status_code == 403
    # Logging out and locking are of the person, not of the assignment.
    assert (await browser.post("/lock", data={"csrf": old})).status_code == 303
    assert (await browser.post("/logout", data={"csrf": old})).status_code == 303
