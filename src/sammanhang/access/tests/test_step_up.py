"""Step-up: a higher level of assurance and a log-in made just now, asked for and held to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from sammanhang.access.actor import Actor
from sammanhang.access.assurance import NotFresh, check_fresh, record_level
from sammanhang.access.identity_provider import acr_values
from sammanhang.access.sessions import Session
from sammanhang.kernel.content import content

from .identity_world import World, choose_person, log_in, query, whoami_of, world

NINA = "Practitioner/idt-nina"
LOA3 = "http://id.elegnamnden.se/loa/1.0/loa3"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


@pytest.mark.asvs("v5.0.0-6.8.4", "v5.0.0-6.3.3", "v5.0.0-7.2.4")
async def test_a_higher_level_is_asked_for_and_leads_back_to_the_page(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA, level="2")
    before = browser.cookies["sammanhang"]
    answer = await browser.get("/login", params={"level": "3", "next": "/patients/idt-svea"})
    asked = query(answer.headers["location"])
    assert asked["acr_values"].split() == [LOA3]
    answer = await browser.get(await choose_person(browser, asked, NINA))
    assert answer.headers["location"] == "/patients/idt-svea"
    assert (await whoami_of(browser))["loa"] == 3
    assert browser.cookies["sammanhang"] != before
    # Who is there already is not sent round again.
    answer = await browser.get("/login", params={"level": "3", "next": "/start"})
    assert answer.headers["location"] == "/start"


@pytest.mark.asvs("v5.0.0-6.8.4", "v5.0.0-6.3.3")
async def test_a_level_below_what_was_asked_for_is_told_and_does_not_go_round(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA, level="2")
    answer = await browser.get("/login", params={"level": "3"})
    address = await choose_person(browser, query(answer.headers["location"]), NINA, level="2")
    answer = await browser.get(address)
    assert answer.status_code == 403 and "location" not in answer.headers
    assert "Tillitsnivån räckte inte" in answer.text
    assert w.traces("login")[-1]["outcome"] == "level of assurance too low"
    # The log-in one had is still there, as low as it was.
    assert (await whoami_of(browser))["loa"] == 2


@pytest.mark.parametrize("level", ["1", "9", "x", "-3", "3.0", ""])
async def test_a_level_nobody_has_asks_for_nothing(w: World, level: str) -> None:
    answer = await w.browser().get("/login", params={"level": level})
    assert "acr_values" not in query(answer.headers["location"])


async def test_a_fresh_log_in_is_asked_for_also_of_who_is_logged_in(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    answer = await browser.get("/login", params={"fresh": "lift-block", "next": "/lifts"})
    asked = query(answer.headers["location"])
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    before = browser.cookies["sammanhang"]
    answer = await browser.get(await choose_person(browser, asked, NINA))
    assert answer.headers["location"] == "/lifts"
    assert browser.cookies["sammanhang"] != before


@pytest.mark.asvs("v5.0.0-6.8.4")
async def test_a_log_in_that_is_not_made_now_is_refused_when_one_was_asked_for(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    answer = await browser.get("/login", params={"fresh": "lift-block"})
    address = await choose_person(browser, query(answer.headers["location"]), NINA)
    w.execute(
        "UPDATE access.authorization_code SET auth_time = now() - interval '1 hour' WHERE used IS NULL"
    )
    answer = await browser.get(address)
    assert answer.status_code == 400
    assert w.traces("login")[-1]["outcome"] == "not a log-in made now"


def test_an_act_needs_a_log_in_within_its_minutes() -> None:
    rules = content("rules/assurance")
    now = datetime.now(UTC)
    actor = Actor("staff", NINA, loa=3)

    def session(proved: datetime | None) -> Session:
        return Session("s", actor, "active", b"", b"", proved=proved)

    for act in rules["fresh_acts"]:
        check_fresh(session(now - timedelta(minutes=rules["fresh_minutes"] - 1)), act)
        for old in (None, now - timedelta(minutes=rules["fresh_minutes"] + 1)):
            with pytest.raises(NotFresh) as refused:
                check_fresh(session(old), act)
            assert str(rules["fresh_minutes"]) in refused.value.sv
            assert rules["fresh_acts"][act]["en"] in refused.value.en
    with pytest.raises(KeyError):
        check_fresh(session(now), "nothing-of-the-kind")


def test_the_levels_are_content_and_providers_are_asked_in_their_own_words() -> None:
    assert record_level(Actor("staff", NINA)) == content("rules/assurance")["staff_record"]
    assert record_level(Actor("resident", "Patient/x")) == 3
    assert record_level(Actor("client", "client:x")) == 0
    sambi = "http://id.sambi.se/loa/loa3"
    assert acr_values(3, {"acr_values_supported": [sambi]}) == sambi
    assert acr_values(3, {}).split()[0].endswith("loa3") and "loa2" not in acr_values(3, {})
