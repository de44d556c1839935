"""How often a thing may be done in a minute: log-ins begun from an address, and the count itself."""

from __future__ import annotations

import time

import pytest

from sammanhang.access.rates import MOST_REMEMBERED, Rate

from .identity_world import world


@pytest.mark.asvs("v5.0.0-6.3.1", "v5.0.0-2.4.1", "v5.0.0-16.3.1")
async def test_log_ins_without_end_from_one_address_wait_and_others_do_not(database: str) -> None:
    async with world(database, logins_per_minute=3) as w, world(database) as elsewhere:
        before = w.execute("SELECT count(*) FROM access.login_attempt")
        answers = [(await w.browser().get("/login")).status_code for _ in range(5)]
        assert answers == [303, 303, 303, 429, 429]
        assert w.execute("SELECT count(*) FROM access.login_attempt")[0][0] == before[0][0] + 3
        busy = await w.browser().get("/login", headers={"accept-language": "en"})
        assert "Many are logging in from here" in busy.text
        assert 0 < int(busy.headers["retry-after"]) <= 61
        assert busy.headers["cache-control"] == "no-store" and "set-cookie" not in busy.headers
        assert {x["outcome"] for x in w.traces("login")} == {"too many log-ins begun"}
        assert (await elsewhere.browser().get("/login")).status_code == 303


def test_a_minute_later_one_may_again_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate, clock = Rate(), time.monotonic
    assert [rate.wait("a", 2) for _ in range(2)] == [0, 0]
    assert 0 < rate.wait("a", 2) <= 60 and rate.wait("b", 2) == 0
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 61)
    assert rate.wait("a", 2) == 0
    for n in range(MOST_REMEMBERED + 100):
        rate.wait(str(n), 1)
    assert len(rate._counts) == MOST_REMEMBERED
