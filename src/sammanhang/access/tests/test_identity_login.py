"""Logging in, choosing an assignment, logging out: over HTTP, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sammanhang.access import sessions
from sammanhang.access.identity import local_path
from sammanhang.access.identity_texts import TEXTS
from sammanhang.store.database import Connection

from .identity_world import (
    BASE,
    HOME,
    REGION,
    WARD,
    World,
    choose_person,
    csrf_of,
    log_in,
    query,
    to_provider,
    whoami_of,
    world,
)

TEMPLATES = Path(sessions.__file__).parent / "templates"
NINA, DORIS, SVEA = "Practitioner/idt-nina", "Practitioner/idt-doris", "Patient/idt-svea"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


@pytest.mark.asvs("v5.0.0-16.3.1")
async def test_a_nurse_with_one_assignment_is_in_it_at_once(w: World) -> None:
    browser = w.browser()
    answer = await log_in(browser, NINA, "/patients?q=svea")
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients?q=svea")
    me = await whoami_of(browser)
    assert (me["state"], me["kind"], me["id"], me["loa"]) == ("active", "staff", NINA, 3)
    assert me["name"] == "Nina Öberg-Idt"
    assert me["assignment"] == {
        "id": "idt-nina-1",
        "role": "sjukskoterska",
        "role_text": "Sjuksköterska",
        "unit": WARD,
        "unit_name": "Avdelning Älgen",
        "provider": REGION,
        "provider_name": "Testregionen",
        "purpose": "vård och behandling",
    }
    entry = w.traces("login")[-1]
    assert (entry["actor"], entry["assignment"], entry["unit"]) == (NINA, "idt-nina-1", WARD)
    assert entry["details"]["loa"] == 3


@pytest.mark.asvs("v5.0.0-7.2.4", "v5.0.0-2.3.1")
async def test_a_doctor_with_two_assignments_chooses_and_switches(w: World) -> None:
    browser = w.browser()
    answer = await log_in(browser, DORIS, "/start")
    assert answer.headers["location"] == "/login/assignment?next=%2Fstart"
    assert (await whoami_of(browser))["state"] == "choose"
    page = await browser.get(answer.headers["location"])
    assert "Avdelning Älgen" in page.text and "Hemsjukvård Centrum" in page.text
    form = {"csrf": csrf_of(page.text), "next": "/start", "assignment": "idt-doris-2"}
    before = browser.cookies["sammanhang"]
    chosen = await browser.post("/login/assignment", data=form)
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/start")
    assert browser.cookies["sammanhang"] != before
    me = await whoami_of(browser)
    assert (me["state"], me["assignment"]["unit"]) == ("active", HOME)
    assert w.traces("assignment")[-1]["assignment"] == "idt-doris-2"

    # The cookie from before the choice is dead.
    old = w.browser()
    old.cookies.set("sammanhang", before)
    assert await whoami_of(old) is None

    # Next time, on another computer, the last one stands first.
    elsewhere = w.browser()
    await log_in(elsewhere, DORIS)
    page = await elsewhere.get("/login/assignment")
    assert page.text.index("Hemsjukvård Centrum") < page.text.index("Avdelning Älgen")
    assert "Senast valt" in page.text


@pytest.mark.asvs("v5.0.0-8.3.1")
async def test_an_assignment_of_somebody_else_cannot_be_chosen(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    page = await browser.get("/login/assignment")
    form = {"csrf": csrf_of(page.text), "assignment": "idt-nina-1"}
    assert (await browser.post("/login/assignment", data=form)).status_code == 403
    assert (await whoami_of(browser))["state"] == "choose"
    assert w.traces("refuse")[-1]["rule"] == "R1"


async def test_a_resident_logs_in_with_e_identification(w: World) -> None:
    browser = w.browser()
    await log_in(browser, SVEA)
    me = await whoami_of(browser)
    assert (me["state"], me["kind"], me["id"], me["loa"]) == ("active", "resident", SVEA, 3)
    assert me["assignment"] is None
    assert (await browser.get("/login/assignment")).headers["location"] == "/login"


@pytest.mark.asvs("v5.0.0-6.8.4", "v5.0.0-6.3.3")
async def test_the_lower_level_is_told_to_the_door(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA, level="2")
    assert (await whoami_of(browser))["loa"] == 2
    # Who needs more logs in again.
    assert (await browser.get("/login")).headers["location"] == "/"
    again = await browser.get("/login", params={"level": "3"})
    assert "/oidc/authorize?" in again.headers["location"]


@pytest.mark.asvs("v5.0.0-7.4.2", "v5.0.0-16.3.1")
@pytest.mark.parametrize(
    ("person", "status", "words"),
    [
        ("Practitioner/idt-enar", 403, "Du har inget uppdrag nu"),
        ("Practitioner/idt-lars", 200, "Logga in"),
        ("Practitioner/nobody", 200, "Logga in"),
        ("Patient/idt-dead", 200, "Logga in"),
        ("client:demo", 200, "Logga in"),
    ],
)
async def test_who_may_not_log_in(w: World, person: str, status: int, words: str) -> None:
    browser = w.browser()
    asked = await to_provider(browser)
    answer = await browser.post("/oidc/authorize", data={**asked, "person": person})
    if answer.status_code == 303:
        answer = await browser.get(answer.headers["location"])
        assert w.traces("login")[-1]["outcome"] == "no current assignment"
    assert answer.status_code == status
    assert words in answer.text
    assert "sammanhang" not in browser.cookies


@pytest.mark.asvs("v5.0.0-10.1.2")
async def test_an_answer_is_taken_once(w: World) -> None:
    browser = w.browser()
    address = await choose_person(browser, await to_provider(browser), NINA)
    assert (await browser.get(address)).status_code == 303
    again = await browser.get(address)
    assert again.status_code == 400
    assert "Inloggningen kunde inte slutföras" in again.text
    assert w.traces("login")[-1]["outcome"] == "unknown, used or late state"


@pytest.mark.asvs("v5.0.0-10.1.2", "v5.0.0-10.2.1", "v5.0.0-7.6.2")
async def test_an_answer_in_another_browser_is_refused(w: World) -> None:
    mine, victim = w.browser(), w.browser()
    address = await choose_person(mine, await to_provider(mine), NINA)
    assert (await victim.get(address)).status_code == 400
    assert await whoami_of(victim) is None


async def test_two_windows_may_log_in_at_the_same_time(w: World) -> None:
    browser = w.browser()
    first, second = await to_provider(browser), await to_provider(browser)
    assert (await browser.get(await choose_person(browser, first, NINA))).status_code == 303
    assert (await browser.get(await choose_person(browser, second, NINA))).status_code == 303


@pytest.mark.asvs("v5.0.0-10.1.2")
async def test_a_late_answer_is_refused(w: World) -> None:
    browser = w.browser()
    address = await choose_person(browser, await to_provider(browser), NINA)
    w.execute("UPDATE access.login_attempt SET expires = now()")
    assert (await browser.get(address)).status_code == 400


@pytest.mark.asvs("v5.0.0-10.5.1", "v5.0.0-10.1.2")
async def test_another_nonce_is_refused(w: World) -> None:
    browser = w.browser()
    address = await choose_person(browser, await to_provider(browser), NINA)
    w.execute("UPDATE access.authorization_code SET nonce = 'another' WHERE used IS NULL")
    answer = await browser.get(address)
    assert answer.status_code == 400
    assert w.traces("login")[-1]["outcome"] == "nonce"
    assert "sammanhang" not in browser.cookies


@pytest.mark.asvs("v5.0.0-10.2.2")
@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"iss": "https://evil.example"}, "answer of another provider"),
        ({"code": "forged"}, "invalid_grant"),
        ({"code": None, "error": "access_denied"}, "access_denied"),
        ({"code": None, "error": "<script>alert(1)</script>"}, "no code"),
    ],
)
async def test_a_changed_answer_is_refused(
    w: World, change: dict[str, str | None], outcome: str
) -> None:
    browser = w.browser()
    sent = query(await choose_person(browser, await to_provider(browser), NINA))
    sent = {k: v for k, v in (sent | change).items() if v is not None}
    answer = await browser.get("/login/callback", params=sent)
    assert answer.status_code == 400
    assert "<script" not in answer.text
    assert w.traces("login")[-1]["outcome"] == outcome
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-7.2.4")
async def test_a_planted_session_is_not_taken_over(w: World) -> None:
    """Session fixation: who knew the cookie before log-in knows nothing after it."""
    attacker, victim = w.browser(), w.browser()
    await log_in(attacker, SVEA)
    planted = attacker.cookies["sammanhang"]
    asked = await to_provider(victim)
    victim.cookies.set("sammanhang", planted)
    await victim.get(await choose_person(victim, asked, NINA))
    values = {c.value for c in victim.cookies.jar if c.name == "sammanhang"}
    assert values - {planted}
    # And the planted session itself has ended.
    assert await whoami_of(attacker) is None


@pytest.mark.asvs("v5.0.0-7.3.1", "v5.0.0-7.4.1")
async def test_a_session_ends_without_activity(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    w.execute("UPDATE access.session SET last_seen = now() - interval '9 minutes'")
    assert await whoami_of(browser) is not None
    # That look counted as activity.
    assert w.execute(
        "SELECT count(*) FROM access.session WHERE person = %s"
        " AND last_seen > now() - interval '1 minute'",
        NINA,
    ) != [(0,)]
    w.execute("UPDATE access.session SET last_seen = now() - interval '31 minutes'")
    assert await whoami_of(browser) is None


@pytest.mark.asvs("v5.0.0-7.3.2", "v5.0.0-7.6.1")
async def test_a_session_ends_after_some_hours_whatever_happens(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    (hours,) = w.execute(
        "SELECT extract(epoch FROM expires - created) / 3600 FROM access.session"
        " WHERE person = %s ORDER BY created DESC LIMIT 1",
        NINA,
    )[0]
    assert round(hours) == 12
    w.execute("UPDATE access.session SET expires = now()")
    assert await whoami_of(browser) is None


async def test_seen_is_written_now_and_then(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    seen = "SELECT max(last_seen) FROM access.session WHERE person = %s"
    before = w.execute(seen, NINA)
    await whoami_of(browser)
    assert w.execute(seen, NINA) == before


@pytest.mark.asvs("v5.0.0-7.4.2")
async def test_an_assignment_that_ends_ends_in_the_session_too(w: World) -> None:
    browser = w.browser()
    await log_in(browser, "Practitioner/idt-moa")
    assert (await whoami_of(browser))["state"] == "active"
    try:
        w.execute(
            "UPDATE store.other SET version = version + 1, body = convert_to(replace("
            "convert_from(body, 'UTF8'), '\"active\":true', '\"active\":false'), 'UTF8')"
            " WHERE id = 'idt-moa-1'"
        )
        me = await whoami_of(browser)
        assert (me["state"], me["assignment"]) == ("choose", None)
        page = await browser.get("/login/assignment")
        assert page.status_code == 403 and "Du har inget uppdrag nu" in page.text
    finally:
        w.execute(
            "UPDATE store.other SET version = version + 1, body = convert_to(replace("
            "convert_from(body, 'UTF8'), '\"active\":false', '\"active\":true'), 'UTF8')"
            " WHERE id = 'idt-moa-1'"
        )


@pytest.mark.asvs("v5.0.0-7.4.2", "v5.0.0-7.4.1")
@pytest.mark.parametrize(
    ("person", "table", "said"),
    [
        ("Practitioner/idt-moa", "other", ',"active":false'),
        ("Practitioner/idt-doris", "other", ',"active":false'),
        (SVEA, "patient", ',"deceasedDateTime":"2026-01-01"'),
        (SVEA, "patient", ',"active":false'),
    ],
)
async def test_who_is_taken_out_of_use_or_has_died_is_out_at_the_next_click(
    w: World, person: str, table: str, said: str
) -> None:
    w.execute("DELETE FROM access.session")
    here, there, other = w.browser(), w.browser(), w.browser()
    for browser in (here, there):
        await log_in(browser, person)
        assert (await whoami_of(browser))["id"] == person
    await log_in(other, NINA)
    id = person.partition("/")[2]
    change = f"UPDATE store.{table} SET version = version + 1, body = convert_to(%s, 'UTF8') WHERE id = %s"
    ((body,),) = w.execute(
        f"SELECT convert_from(body, 'UTF8') FROM store.{table} WHERE id = %s", id
    )
    try:
        # What else is changed of a person ends nothing.
        w.execute(change, body.replace(id, id, 1), id)
        assert (await whoami_of(here))["id"] == person
        w.execute("UPDATE access.session SET locked = now() WHERE person = %s AND id IN"
                  " (SELECT id FROM access.session WHERE person = %s LIMIT 1)", person, person)  # fmt: skip
        w.execute(change, body.removesuffix("}") + said + "}", id)
        for browser in (here, there):
            assert await whoami_of(browser) is None
            answer = await browser.get("/locked")
            assert answer.headers["location"].startswith("/login?")
        assert w.execute("SELECT count(*) FROM access.session WHERE person = %s", person) == [(0,)]
        ended = [t for t in w.traces("logout") if t["actor"] == person]
        assert [t["details"]["why"] for t in ended] == ["person not in use"] * 2
        assert (await whoami_of(other))["id"] == NINA
    finally:
        w.execute(change, body, id)
    await log_in(here, person)
    assert (await whoami_of(here))["id"] == person


EVIL = [
    "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "/%0d%0aSet-Cookie: x=1\r\n", "javascript:alert(1)", "evil", "",
    "///evil.example", "/login", "/login/callback?x", "/logout", "/oidc/authorize", "/" + "a" * 9000,
    " /start", "/\x00", "/\u2028\n",
]  # fmt: skip


@pytest.mark.asvs("v5.0.0-3.7.2", "v5.0.0-1.2.2")
@pytest.mark.parametrize("address", EVIL)
async def test_log_in_leads_to_no_other_site(w: World, address: str) -> None:
    assert local_path(address) == "/"


@pytest.mark.asvs("v5.0.0-3.7.2")
async def test_an_open_redirect_is_refused_over_http(w: World) -> None:
    browser = w.browser()
    answer = await log_in(browser, NINA, "//evil.example/x")
    assert answer.headers["location"] == "/"
    answer = await browser.get("/login", params={"next": "https://evil.example"})
    assert answer.headers["location"] == "/"
    page = await browser.get("/login/assignment", params={"next": '//evil.example/"><script>'})
    assert "evil" not in page.text
    form = {"csrf": csrf_of(page.text), "assignment": "idt-nina-1", "next": "//evil.example"}
    assert (await browser.post("/login/assignment", data=form)).headers["location"] == "/"


@pytest.mark.parametrize("good", ["/", "/start", "/p/1?x=%2F%2Fa&y=å", "/a#b"])
async def test_local_paths_are_kept(good: str) -> None:
    assert local_path(good) == good


@pytest.mark.asvs("v5.0.0-3.5.1")
@pytest.mark.parametrize("token", [None, "", "x", "AAAA" * 22, "é", "other"])
async def test_a_form_without_its_token_is_refused(w: World, token: str | None) -> None:
    browser, other = w.browser(), w.browser()
    await log_in(browser, DORIS)
    if token == "other":
        await log_in(other, NINA)
        token = (await whoami_of(other))["csrf"]
    form = {"assignment": "idt-doris-1"} | ({"csrf": token} if token is not None else {})
    assert (await browser.post("/login/assignment", data=form)).status_code == 403
    assert (await browser.post("/logout", data=form)).status_code == 403
    assert (await whoami_of(browser))["state"] == "choose"
    assert w.traces("refuse")[-1]["rule"] == "CSRF"


@pytest.mark.asvs("v5.0.0-3.5.1")
async def test_form_tokens_differ_and_all_hold(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    first, second = (await whoami_of(browser))["csrf"], (await whoami_of(browser))["csrf"]
    assert first != second
    # htmx sends it as a header.
    answer = await browser.post("/logout", headers={"X-CSRF-Token": first})
    assert answer.status_code == 303


@pytest.mark.asvs("v5.0.0-7.4.1", "v5.0.0-7.6.1")
async def test_logging_out_ends_the_session_here_and_at_the_provider(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    cookie = browser.cookies["sammanhang"]
    page = await browser.get("/logout")
    assert "Nina Öberg-Idt" in page.text
    answer = await browser.post("/logout", data={"csrf": csrf_of(page.text)})
    assert answer.headers["location"].startswith(f"{BASE}/oidc/end_session?")
    assert "id_token_hint" in query(answer.headers["location"])
    back = await browser.get(answer.headers["location"])
    assert back.status_code == 303
    assert back.headers["location"].startswith(f"{BASE}/logout/done?state=")
    assert "Du är utloggad" in (await browser.get(back.headers["location"])).text
    browser.cookies.set("sammanhang", cookie)
    assert await whoami_of(browser) is None
    assert w.traces("logout")[-1]["actor"] == NINA


async def test_by_another_name_of_the_server_one_is_led_to_the_right_one(w: World) -> None:
    browser = w.browser("http://localhost:8000")
    answer = await browser.get("/login", params={"next": "/start"})
    assert answer.headers["location"] == f"{BASE}/login?next=%2Fstart&here=1"
    # Behind a proxy that renames us it goes no further round.
    answer = await browser.get("/login", params={"here": "1"})
    assert answer.headers["location"].startswith(f"{BASE}/oidc/authorize?")


@pytest.mark.asvs("v5.0.0-3.3.1", "v5.0.0-3.3.3", "v5.0.0-3.3.4")
async def test_with_https_the_cookies_are_bound_to_the_host(database: str) -> None:
    base = "https://sammanhang.example"
    async with world(database, base_url=base) as w:
        browser = w.browser(base)
        answer = await browser.get("/login")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-sammanhang-login-")
        assert "Secure" in cookie and "HttpOnly" in cookie and "SameSite=lax" in cookie
        asked = query(answer.headers["location"])
        answer = await browser.post("/oidc/authorize", data={**asked, "person": NINA})
        answer = await browser.get(answer.headers["location"])
        cookie = next(
            c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-sammanhang=")
        )
        assert "Secure" in cookie and "HttpOnly" in cookie
        assert "Path=/" in cookie and "SameSite=lax" in cookie and "Domain" not in cookie


@pytest.mark.asvs("v5.0.0-6.3.4", "v5.0.0-6.3.2", "v5.0.0-15.2.3")
async def test_outside_the_demo_there_is_no_built_in_provider(database: str) -> None:
    async with world(database, demo=False) as w:
        browser = w.browser()
        for path in ("authorize", "jwks", "userinfo", ".well-known/openid-configuration"):
            assert (await browser.get(f"/oidc/{path}")).status_code == 404
        assert (await browser.post("/oidc/token")).status_code == 404
        answer = await browser.get("/login")
        assert answer.status_code == 503
        assert "Ingen inloggningstjänst" in answer.text


async def test_pages_speak_the_language_asked_for(w: World) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    page = await browser.get("/login/assignment", headers={"Accept-Language": "en-GB,sv;q=0.5"})
    assert "Choose assignment" in page.text and '<html lang="en">' in page.text
    browser.cookies.set("lang", "sv")
    page = await browser.get("/login/assignment", headers={"Accept-Language": "en"})
    assert "Välj uppdrag" in page.text
    assert "style=" not in page.text and "<script" not in page.text


@pytest.mark.asvs("v5.0.0-7.4.5")
async def test_one_can_be_logged_out_everywhere(w: World) -> None:
    here, there = w.browser(), w.browser()
    await log_in(here, DORIS)
    await log_in(there, DORIS)
    assert await sessions.logout_everywhere(w.services.database, DORIS) >= 2
    assert await whoami_of(here) is None and await whoami_of(there) is None


async def test_what_is_over_is_swept_away(w: World) -> None:
    alive, idle = w.browser(), w.browser()
    await log_in(alive, NINA)
    await log_in(idle, SVEA)
    await to_provider(w.browser())
    w.execute("UPDATE access.session SET expires = now() WHERE kind = 'resident'")
    w.execute("UPDATE access.login_attempt SET expires = now()")
    w.execute("UPDATE access.authorization_code SET expires = now() - interval '2 hours'")
    await sessions.sweep(w.services.database)
    assert w.execute("SELECT kind FROM access.session WHERE kind = 'resident'") == []
    for table in ("login_attempt", "authorization_code"):
        assert w.execute(f"SELECT count(*) FROM access.{table}") == [(0,)]
    assert await whoami_of(alive) is not None


@pytest.mark.asvs("v5.0.0-7.2.1", "v5.0.0-13.3.2", "v5.0.0-14.2.4", "v5.0.0-13.2.2")
async def test_cookies_are_not_kept_in_the_clear_and_the_reader_sees_nothing(w: World) -> None:
    browser = w.browser()
    await log_in(browser, NINA)
    kept = str(w.execute("SELECT s::text FROM access.session s"))
    assert browser.cookies["sammanhang"] not in kept
    for table in (
        "session",
        "signing_key",
        "client",
        "demo",
        "authorization_code",
        "login_attempt",
    ):
        allowed = w.execute(
            "SELECT has_table_privilege('sammanhang_reader', %s, 'SELECT')", f"access.{table}"
        )
        assert allowed == [(False,)]


async def test_a_page_knows_who_asks_by_one_query(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = w.browser()
    await log_in(browser, DORIS)
    page = await browser.get("/login/assignment")
    form = {"csrf": csrf_of(page.text), "assignment": "idt-doris-1"}
    await browser.post("/login/assignment", data=form)
    asked: list[str] = []
    original: Any = Connection.execute

    async def counted(self: Connection, query: Any, *more: Any, **named: Any) -> Any:
        asked.append(str(query))
        return await original(self, query, *more, **named)

    monkeypatch.setattr(Connection, "execute", counted)
    assert (await whoami_of(browser))["assignment"]["id"] == "idt-doris-1"
    assert len(asked) == 1


def test_every_text_has_both_languages() -> None:
    assert set(TEXTS["sv"]) == set(TEXTS["en"])
    templates = "".join(p.read_text() for p in TEMPLATES.glob("*.html"))
    named = {"_title", "_lead"}
    for name in TEXTS["sv"]:
        assert f"t.{name}" in templates or any(name.endswith(end) for end in named), name
    assert "style=" not in templates and "<script" not in templates
