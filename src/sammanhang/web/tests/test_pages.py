"""The shell over HTTP: access rules, search, start pages, headers, errors."""

import re

import pytest

from sammanhang.web import routing


def names(page) -> list[str]:
    return re.findall(r'class="name" href="/patients/[^"]+">([^<]+)</a>', page.text)


@pytest.mark.asvs("v5.0.0-8.2.1", "v5.0.0-8.3.1", "v5.0.0-13.4.5")
def test_every_page_has_an_access_rule():
    routing.routes()
    assert routing.REGISTRY
    assert all(rule.access in routing.ACCESS for rule in routing.REGISTRY)
    opened = {rule.path for rule in routing.REGISTRY if rule.access == "open"}
    # what an app asks is checked before anybody is sent to log in; a monitor's numbers check its token themselves
    asked = {"/oauth/authorize", "/operations/adrift.json"}
    assert opened == {"/health", "/settings/{name}/{value}", "/favicon.ico"} | asked


async def test_nobody_logged_in_is_sent_to_log_in_and_back(browser):
    response = await browser.client.get("/patients?q=svea", follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/login?next=/patients%3Fq%3Dsvea"


async def test_no_answer_lets_anything_inline_run(browser):
    response = await browser.get("/health")
    assert response.text == "ok"
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_nurse_sees_the_patients_of_her_unit(as_):
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/")
    assert page.status_code == 200
    assert "Svea Andersson" in names(page)
    assert "Hemsjukvård Centrum" in page.text
    assert amira.queries <= 12
    assert " style=" not in page.text
    assert "<script>" not in page.text


async def test_svea_is_found_however_she_is_written(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for text in (
        "svea andersson", "andersson svea", "SVEA ander", "Sväa Anderson", "19371104-2386", "371104-2386",
        "1937 11 04 2386", "svea 1937", "19371104",
    ):  # fmt: skip
        page = await amira.search(text)
        assert "Svea Andersson" in names(page), text
        assert amira.queries <= 4, text


@pytest.mark.asvs("v5.0.0-16.2.1")
async def test_a_search_leaves_its_trace(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get("/patients", params={"q": "zzyzx"})
    async with services.database.writing() as connection:
        cursor = await connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at DESC LIMIT 1"
        )
        row = await cursor.fetchone()
    assert "Patient?q=zzyzx" in row[0]
    assert '"count":0' in row[0]


@pytest.mark.asvs("v5.0.0-1.2.1", "v5.0.0-1.2.4", "v5.0.0-1.3.3")
async def test_hostile_searches_find_nobody_and_break_nothing(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for text in (
        "' OR 1=1 --",
        "{{ 7*7 }}",
        "<script>alert(1)</script>",
        "\x00svea\x00",
        "%_%",
        "a" * 5000,
        "日本",
    ):
        page = await amira.get("/patients", params={"q": text})
        assert page.status_code == 200, text
        assert "<script>alert" not in page.text
        assert "49" not in names(page)


async def test_the_command_bar_finds_patients_pages_and_actions(as_):
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/command", params={"q": "svea and"})
    assert 'href="/patients/svea-andersson"' in page.text
    page = await amira.get("/command", params={"q": "prov", "patient": "svea-andersson"})
    assert 'href="/patients/svea-andersson/results"' in page.text
    page = await amira.get("/command", params={"q": "byt upp"})
    assert 'href="/login/assignment"' in page.text


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_a_role_without_record_rights_is_told_what_it_can_do(as_):
    linnea = await as_("Linnea Engström")
    page = await linnea.get("/")
    assert page.status_code == 200
    assert "R17" in page.text
    assert '<a href="/patients"' not in page.text
    page = await linnea.get("/patients", params={"q": "svea"})
    assert page.status_code == 403
    assert "Svea Andersson" not in page.text
    page = await linnea.get("/command", params={"q": "svea"})
    assert "Svea Andersson" not in page.text


async def test_pages_speak_english_when_asked(as_):
    amira = await as_("Amira Haddad", "Centrum")
    amira.client.cookies.set("language", "en")
    page = await amira.get("/")
    assert '<html lang="en"' in page.text
    assert "Patients of the unit" in page.text


@pytest.mark.asvs("v5.0.0-3.7.2")
async def test_a_choice_leads_back_only_to_a_page_of_ours(browser):
    away = {"referer": "https://example.org/steal"}
    response = await browser.client.get(
        "/settings/theme/dark", headers=away, follow_redirects=False
    )
    assert response.headers["location"] == "/"
    here = {"referer": "http://127.0.0.1:8000/patients?q=svea"}
    response = await browser.client.get(
        "/settings/language/en", headers=here, follow_redirects=False
    )
    assert response.headers["location"] == "/patients?q=svea"
    assert (await browser.get("/settings/theme/pink")).status_code == 404


async def test_a_page_that_is_not_there_says_so(as_):
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/nothing/here")
    assert page.status_code == 404
    assert "Sidan finns inte" in page.text
    assert "Till start" in page.text


@pytest.mark.asvs("v5.0.0-16.5.1", "v5.0.0-16.3.4")
async def test_what_nobody_foresaw_is_a_page_with_a_number(as_, monkeypatch):
    amira = await as_("Amira Haddad", "Centrum")

    async def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("sammanhang.web.pages.unit_now", broken)
    page = await amira.get("/")
    assert page.status_code == 500
    assert "Något gick fel" in page.text
    assert "secret detail" not in page.text


async def test_static_files_are_kept_for_a_year_and_compressed(browser):
    from sammanhang.web.assets import address

    response = await browser.get(address("app.css"))
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-encoding"] == "gzip"
    again = await browser.get(
        address("app.css"), headers={"if-none-match": response.headers["etag"]}
    )
    assert again.status_code == 304
    assert (await browser.get("/static/../app.py")).status_code == 404
