"""What was typed is never lost: locked, in another assignment, or logged in too long ago."""

from __future__ import annotations

import html
import re

import httpx
import psycopg
import pytest

from sammanhang.access.kept_forms import LARGEST
from sammanhang.web.app import create_app
from sammanhang.web.testing import BASE, Browser, _log_in

SVEA = "/patients/svea-andersson"
TYPED = "Hittad medvetslös i hallen, <b>andas</b> ytligt"
DECLARED = {"step": "declare", "danger": "life", "unable": "unconscious", "said": TYPED}


@pytest.fixture
def town(own_town):
    """These tests lock sessions and declare danger, so they have a region of their own."""
    return own_town


@pytest.fixture
async def amira(services):
    """Amira in a browser of her own for each test, in home care at Centrum; she has another assignment."""
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, follow_redirects=True
    ) as client:
        await _log_in(client, "Amira Haddad", "Centrum", "")
        yield Browser(client, services)


@pytest.fixture
def sql(town):
    def execute(text: str, *values: object) -> list[tuple]:
        with psycopg.connect(town, autocommit=True) as connection:
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description else []

    execute("DELETE FROM access.session")
    execute("DELETE FROM access.emergency")
    return execute


def one(pattern: str, text: str) -> str:
    """What the pattern finds, as a browser reads it."""
    found = re.search(pattern, text)
    assert found is not None, text
    return html.unescape(found[1])


def away(sql, minutes: int = 11) -> None:
    sql("UPDATE access.session SET last_seen = now() - make_interval(mins => %s)", minutes)


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that leads there."""
    form = re.search(
        rf'<form method="post" action="{re.escape(action)}">(.*?)</form>', page, re.DOTALL
    )
    assert form is not None, page
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
    return {name: html.unescape(value) for name, value in found}


async def unlock(amira, page: httpx.Response) -> httpx.Response:
    """From the lock screen through the provider and back."""
    way = one(r'href="(/unlock\?[^"]+)"', page.text)
    page = await amira.client.get(way)
    form = dict(httpx.QueryParams(page.url.query)) | {"person": "Practitioner/amira-haddad"}
    return await amira.client.post("/oidc/authorize", data=form)


@pytest.mark.parametrize("minutes", [11, 45])
async def test_what_came_to_a_locked_or_idle_session_is_offered_again_and_sent(sql, amira, minutes):
    page = await amira.get(f"{SVEA}/emergency")
    away(sql, minutes)
    page = await amira.post(f"{SVEA}/emergency", DECLARED, page)
    assert page.url.path == "/locked"
    assert "inte borta" in page.text and "medvetslös" not in page.text
    traced = sql("SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at DESC LIMIT 5")
    assert '"outcome":"locked"' in str(traced) and "medvetslös" not in str(traced)
    assert sql("SELECT count(*) FROM access.emergency") == [(0,)]
    page = await unlock(amira, page)
    assert page.url.path.startswith("/kept/")
    assert "Det du skrev finns kvar" in page.text and html.escape(TYPED) in page.text
    assert "<b>andas" not in page.text
    assert "Sjuksköterska" in page.text or "sjuksköterska" in page.text
    kept = page.url.path
    sent = await amira.client.post(f"{SVEA}/emergency", data=fields(page.text, f"{SVEA}/emergency"))
    assert "Nödöppning pågår till" in sent.text
    assert sql("SELECT said FROM access.emergency") == [(TYPED,)]
    # Once sent it is gone.
    assert (await amira.get(kept)).status_code == 404
    assert sql("SELECT count(*) FROM access.kept_form") == [(0,)]


async def test_what_is_kept_can_be_thrown_away(sql, amira):
    page = await amira.get(f"{SVEA}/emergency")
    away(sql)
    page = await unlock(amira, await amira.post(f"{SVEA}/emergency", DECLARED, page))
    away_ = await amira.client.post(page.url.path, data=fields(page.text, page.url.path))
    assert away_.url.path == "/"
    assert sql("SELECT count(*) FROM access.kept_form") == [(0,)]


async def test_another_person_who_logs_in_there_gets_nothing_of_it(sql, amira):
    page = await amira.get(f"{SVEA}/emergency")
    away(sql)
    page = await amira.post(f"{SVEA}/emergency", DECLARED, page)
    way = one(r'href="(/unlock\?[^"]+)"', page.text)
    page = await amira.client.get(way)
    form = dict(httpx.QueryParams(page.url.query)) | {"person": "Practitioner/karin-ek"}
    page = await amira.client.post("/oidc/authorize", data=form)
    assert page.url.path == "/" and "Karin Ek" in page.text
    assert sql("SELECT count(*) FROM access.kept_form") == [(0,)]


async def test_what_is_kept_is_its_own_sessions_only(sql, amira, services):
    page = await amira.get(f"{SVEA}/emergency")
    away(sql)
    page = await unlock(amira, await amira.post(f"{SVEA}/emergency", DECLARED, page))
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, follow_redirects=True
    ) as other:
        await _log_in(other, "Karin Ek", "", "")
        assert (await other.get(page.url.path)).status_code == 404
        assert (await other.get("/kept/not-an-id")).status_code == 404
    # It goes with the session.
    out = one(r'action="/logout"><input type="hidden" name="csrf" value="([^"]+)"', page.text)
    await amira.client.post("/logout", data={"csrf": out})
    assert sql("SELECT count(*) FROM access.kept_form") == [(0,)]


async def test_a_forged_form_is_not_kept(sql, amira):
    await amira.get(f"{SVEA}/emergency")
    away(sql)
    answer = await amira.client.post(f"{SVEA}/emergency", data={**DECLARED, "csrf": "x"})
    assert answer.status_code == 403
    assert sql("SELECT count(*) FROM access.kept_form") == [(0,)]


async def test_no_more_is_kept_than_fits(sql, amira):
    page = await amira.get(f"{SVEA}/emergency")
    away(sql)
    long = await amira.post(f"{SVEA}/emergency", DECLARED | {"said": "a" * (LARGEST + 1)}, page)
    assert long.status_code == 413
    for n in range(23):
        await amira.post(f"{SVEA}/emergency", DECLARED | {"said": f"{n}\0"}, page)
    rows = sql("SELECT fields::text FROM access.kept_form ORDER BY kept DESC")
    assert len(rows) == 20 and '"22"' in rows[0][0]


async def test_a_part_of_a_page_locks_where_it_stands(sql, amira):
    await amira.get("/patients")
    away(sql)
    answer = await amira.get("/patients?q=svea", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["x-session"]) == (401, "locked")
    assert answer.content == b"" and "hx-redirect" not in answer.headers
    page = await amira.get("/patients/svea-andersson/medicines?x=1")
    assert page.url.path == "/locked"
    assert "/unlock?next=%2Fpatients%2Fsvea-andersson%2Fmedicines%3Fx%3D1" in page.text


async def switch(amira, to: str) -> httpx.Response:
    """By the menu: its second click."""
    part = await amira.get("/assignments?next=/patients", headers={"hx-request": "true"})
    form = fields(part.text, "/login/assignment")
    found = re.findall(
        r'name="assignment" value="([^"]+)"[^>]*>\s*<span>.*?<span[^>]*>([^<]+)', part.text
    )
    chosen = next(id for id, unit in found if to in unit)
    return await amira.client.post("/login/assignment", data={**form, "assignment": chosen})


async def test_a_switch_takes_two_clicks_and_stays_on_the_page(sql, amira):
    page = await amira.get("/patients")
    assert (
        "Hemsjukvård Centrum" in page.text and 'hx-get="/assignments?next=/patients"' in page.text
    )
    page = await switch(amira, "Brämhult")
    assert page.url.path == "/patients" and "Hemsjukvård Brämhult" in page.text
    part = await amira.get("/assignments?next=//evil.example")
    assert 'name="next" value="/"' in part.text
    current = re.search(r'aria-current="true"><span>.*?<span[^>]*>([^<]+)', part.text)
    assert current is not None and "Brämhult" in current[1]


async def test_a_page_of_the_assignment_one_has_left_writes_nothing(sql, amira):
    page = await amira.get(f"{SVEA}/emergency")
    await switch(amira, "Brämhult")
    choice = await amira.post(f"{SVEA}/emergency", DECLARED, page)
    assert choice.url.path.startswith("/kept/")
    assert "Du har bytt uppdrag sedan sidan öppnades" in choice.text
    assert html.escape(TYPED) in choice.text
    assert "Byt tillbaka till Sjuksköterska, Hemsjukvård Centrum" in choice.text
    assert "Skicka som Sjuksköterska, Hemsjukvård Brämhult, Borås ändå" in choice.text
    assert sql("SELECT count(*) FROM access.emergency") == [(0,)]
    back = await amira.client.post(
        "/login/assignment", data=fields(choice.text, "/login/assignment")
    )
    assert back.url.path == choice.url.path and "Skicka nu" in back.text
    sent = await amira.client.post(f"{SVEA}/emergency", data=fields(back.text, f"{SVEA}/emergency"))
    assert "Nödöppning pågår till" in sent.text
    ((unit,),) = sql("SELECT unit FROM access.emergency")
    assert unit == "SE2120001561-E000101000001"


async def test_it_can_be_sent_in_the_other_assignment_all_the_same(sql, amira):
    page = await amira.get("/sessions")
    await switch(amira, "Brämhult")
    choice = await amira.post("/sessions", {"session": "others"}, page)
    assert choice.url.path.startswith("/kept/")
    sent = await amira.client.post("/sessions", data=fields(choice.text, "/sessions"))
    assert sent.url.path == "/sessions" and sent.status_code == 200


async def test_a_part_sent_from_the_assignment_one_has_left_leads_to_the_choice(sql, amira):
    page = await amira.get("/sessions")
    token = one(r'name="csrf" value="([^"]+)"', page.text)
    await switch(amira, "Brämhult")
    answer = await amira.client.post(
        "/sessions", data={"session": "others", "csrf": token}, headers={"hx-request": "true"}
    )
    assert answer.headers["hx-redirect"].startswith("/kept/")


async def test_an_act_that_needs_a_fresh_log_in_leads_there_and_back(sql, as_):
    maria = await as_("verksamhetschef södra torget")
    page = await maria.get("/lifts")
    sql("UPDATE access.session SET auth_time = now() - interval '16 minutes'")
    number = {"number": "193711042386", "unit": "x", "said": "Samtyckte vid besöket i dag"}
    token = one(r'name="csrf" value="([^"]*)"', page.text)
    refused = await maria.client.post("/lifts", data={**number, "csrf": token})
    assert refused.status_code == 403
    assert "häva en spärr" in refused.text and "15 minuterna" in refused.text
    assert "Det du skrev finns kvar." in refused.text
    way = one(r'href="(/login\?fresh=lift-block&amp;next=%2Fkept%2F[^"]+)"', refused.text)
    page = await maria.client.get(way)
    person = sql("SELECT person FROM access.session WHERE name = 'Maria Lund' LIMIT 1")[0][0]
    form = dict(httpx.QueryParams(page.url.query)) | {"person": person}
    assert (form["prompt"], form["max_age"]) == ("login", "0")
    page = await maria.client.post("/oidc/authorize", data=form)
    assert page.url.path.startswith("/kept/") and "Samtyckte vid besöket i dag" in page.text
    sent = await maria.client.post("/lifts", data=fields(page.text, "/lifts"))
    # Fresh enough now; that there is no such block is another matter, and what was refused is not lost.
    assert "Det finns ingen sådan spärr" in sent.text
    assert sql("SELECT count(*) FROM access.kept_form") == [(1,)]
    sql("UPDATE access.session SET auth_time = now() - interval '16 minutes'")
    page = await maria.get(page.url.path)
    again = await maria.client.post("/lifts", data=fields(page.text, "/lifts"))
    assert f"next=%2Fkept%2F{page.url.path.removeprefix('/kept/')}" in again.text
    assert sql("SELECT count(*) FROM access.kept_form") == [(1,)]


async def test_r1_shows_the_way_to_a_higher_level_and_back(sql, browser):
    client = browser.client
    page = await client.get("/login", params={"next": "/patients/svea-andersson"})
    form = dict(httpx.QueryParams(page.url.query)) | {"person": "Practitioner/karin-ek"}
    page = await client.post("/oidc/authorize", data={**form, "level": "2"})
    assert page.status_code == 403 and "Du behöver logga in säkrare" in page.text
    assert "Logga in med högre tillitsnivå" in page.text
    way = one(r'href="(/login\?level=3&amp;next=[^"]+)"', page.text)
    page = await client.get(way)
    form = dict(httpx.QueryParams(page.url.query)) | {"person": "Practitioner/karin-ek"}
    page = await client.post("/oidc/authorize", data=form)
    assert page.url.path == "/patients/svea-andersson"
    assert "högre tillitsnivå" not in page.text
