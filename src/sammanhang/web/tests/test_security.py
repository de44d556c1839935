"""What a browser is told with every answer, and what a page refuses: read off the registry, none forgotten."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import httpx
import psycopg
import pytest

from sammanhang.access.identity_provider import Provider
from sammanhang.access.services import Services
from sammanhang.kernel.content import content
from sammanhang.web import routing
from sammanhang.web.app import OTHERS, create_app
from sammanhang.web.security import page_headers
from sammanhang.web.testing import _log_in

ROOT = Path(__file__).parents[2]
# What carries its own proof (a client's secret, a token somebody signed) and looks at no cookie: a form on
# another site could send it, and would do no more than its sender may.
BY_SECRET = {
    "/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oidc/token", "/oidc/userinfo", "/login/backchannel",
    "/context",
}  # fmt: skip
# The built-in provider stands for another site; its page asks, and no session is changed by it.
OF_PROVIDER = {"/oidc/authorize", "/oidc/end_session"}


def changing() -> set[str]:
    """The paths of every route that takes more than reading: pages, and those other packages own."""
    routing.routes()  # fills the registry
    found = {r.path for r in routing.REGISTRY if set(r.methods) - {"GET", "HEAD"}}
    for name in OTHERS:
        found |= {r.path for r in import_module(name).routes if r.methods - {"GET", "HEAD"}}
    return found


# A new route is here at once; whoever adds one that needs no form token must say why above.
POSTS = sorted(changing() - BY_SECRET - OF_PROVIDER)
PAGES = {r.path for r in routing.REGISTRY}
STREAMS = {
    "/work/events"
}  # answers without an end; their headers are looked at in care/worklist/tests/test_events
KEYED = {"patient": "svea-andersson", "name": "theme", "value": "dark"}


def filled(path: str) -> str:
    """A path with something in place of its parameters."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda m: KEYED.get(m[1], "x"), path)


def traced(town: str, action: str = "refuse") -> list[dict[str, object]]:
    """The entries of an action, oldest first."""
    with psycopg.connect(town) as connection:
        rows = connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at"
        )
        lines = [json.loads(line) for (text,) in rows for line in text.splitlines()]
    return [x for x in lines if x["action"] == action]


@pytest.mark.asvs("v5.0.0-3.5.1", "v5.0.0-3.5.2")
@pytest.mark.parametrize("path", POSTS)
async def test_every_form_without_its_token_is_refused_and_traced(as_, town, path):
    resident = path.startswith("/me")
    browser = await as_(
        "Svea Andersson" if resident else "Amira Haddad",
        "" if resident else "Centrum",
        **({"kind": "resident"} if resident else {}),
    )
    await browser.get("/")
    before = len(traced(town))
    there = filled(path)
    for form, headers in (
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "A" * 88}, {}),
        ({}, {"x-csrf-token": "A" * 88}),
        ({}, {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}),
    ):
        answer = await browser.client.post(
            there, data={**form, "q": "svea"}, headers=headers, follow_redirects=False
        )
        assert answer.status_code == 403, (there, answer.status_code)
    plain = await browser.client.post(
        there, content=b'{"csrf": 1}', headers={"content-type": "text/plain"}
    )
    assert plain.status_code == 403
    if path in PAGES | {"/login/assignment", "/logout", "/lock", "/session"}:
        refusals = traced(town)[before:]
        assert len(refusals) >= 6 and all(x.get("rule") == "CSRF" for x in refusals)


@pytest.mark.asvs(
    "v5.0.0-3.4.3",
    "v5.0.0-3.4.4",
    "v5.0.0-3.4.5",
    "v5.0.0-3.4.6",
    "v5.0.0-14.3.2",
    "v5.0.0-3.2.1",
    "v5.0.0-3.4.2",
)
async def test_every_kind_of_answer_tells_the_browser_what_it_may_do(as_, services, monkeypatch):
    amira = await as_("Amira Haddad", "Centrum")
    pages = [
        filled(r.path) for r in routing.REGISTRY if "GET" in r.methods and r.path not in STREAMS
    ]
    answers = [await amira.client.get(p, follow_redirects=False) for p in pages]
    answers += [await amira.client.post(p, follow_redirects=False) for p in map(filled, POSTS)]
    for more in (
        "/nothing", "/nothing/", "/static/app.css", "/static/app.js", "/static/none", "/login", "/login/callback",
        "/oauth/jwks", "/oidc/jwks", "/oidc/authorize", "/oidc/.well-known/openid-configuration", "/login/assignment",
        "/fhir/metadata", "/fhir/Patient", "/fhir/nothing", "/fhir/.well-known/smart-configuration",
    ):  # fmt: skip
        answers.append(await amira.client.get(more, follow_redirects=False))
    answers.append(await amira.client.request("DELETE", "/patients"))

    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("SELECT secret FROM nowhere")

    monkeypatch.setattr("sammanhang.web.pages.unit_now", breaks)
    broken = await amira.client.get("/")
    assert broken.status_code == 500 and "SELECT" not in broken.text
    answers.append(broken)
    for answer in answers:
        where, headers = str(answer.request.url), answer.headers
        policy = headers["content-security-policy"]
        rules = dict(x.strip().partition(" ")[::2] for x in policy.split(";"))
        assert "unsafe" not in policy and "*" not in policy, where
        assert rules["frame-ancestors"] == "'none'", where
        assert rules["default-src"] in ("'self'", "'none'"), where
        if rules["default-src"] == "'self'":
            assert rules["object-src"] == "'none'" and rules["base-uri"] == "'none'", where
            assert rules["script-src"] == rules["style-src"] == "'self'", where
        assert headers["x-content-type-options"] == "nosniff", where
        assert headers["referrer-policy"] in ("same-origin", "no-referrer"), where
        assert "access-control-allow-origin" not in headers, where
        kept = headers["cache-control"]
        assert kept == "no-store" or "/static/" in where or where.endswith("jwks"), (where, kept)
    assert {a.status_code for a in answers} >= {200, 303, 308, 403, 404, 405, 500}


@pytest.mark.asvs("v5.0.0-4.1.1")
async def test_every_body_says_what_it_is(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for path in (*(filled(r.path) for r in routing.REGISTRY if "GET" in r.methods and r.path not in STREAMS), "/fhir/metadata",
                 "/static/app.js", "/static/icon.svg", "/oauth/jwks", "/nothing"):  # fmt: skip
        answer = await amira.client.get(path)
        kind = answer.headers["content-type"]
        assert kind.startswith(("text/html", "text/plain", "text/javascript", "application/fhir+json",
                                "image/svg+xml", "application/json")), (path, kind)  # fmt: skip
        if kind.startswith("text/") or "fhir" in kind:
            assert "charset=utf-8" in kind.lower(), (path, kind)


@pytest.mark.asvs("v5.0.0-3.4.3", "v5.0.0-3.2.2", "v5.0.0-1.2.1", "v5.0.0-1.3.7")
def test_no_template_holds_or_trusts_anything_that_could_run():
    templates = sorted(ROOT.rglob("*.html"))
    assert len(templates) > 20
    for path in templates:
        text = path.read_text("utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(
            r"\sstyle=|<style|\son\w+=|javascript:|\|\s*safe\b|autoescape false", text
        ), path
        assert not re.search(r"(?:src|href|action)=\"https?://", text), path
    for path in sorted(ROOT.rglob("static/*.js")):
        text = path.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), path  # fmt: skip
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text), path
        # A BroadcastChannel is of this origin only; a window's messages come from anywhere.
        windows = r"(window|parent|opener|top)\.postMessage|(window|self)?\.?addEventListener\([\"']message"
        assert not re.search(windows, text), path


@pytest.mark.asvs("v5.0.0-3.4.1", "v5.0.0-12.2.1")
async def test_where_people_come_by_https_browsers_use_nothing_else(services, town):
    for base, wanted in (("https://journal.example", True), ("http://127.0.0.1:8000", False)):
        settings = replace(services.settings, base_url=base)
        app = create_app(_with(services, settings))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            for path in (
                "/health",
                "/nothing",
                "/static/app.css",
                "/fhir/metadata",
                "/fhir/Patient",
            ):
                said = (await client.get(path)).headers.get("strict-transport-security")
                assert (said == "max-age=31536000; includeSubDomains") is wanted, path


@pytest.mark.asvs("v5.0.0-3.3.1", "v5.0.0-3.3.2", "v5.0.0-3.3.3", "v5.0.0-3.3.4")
async def test_every_cookie_is_bound_to_the_host(services):
    settings = replace(services.settings, base_url="https://journal.example")
    app = create_app(_with(services, settings))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as client:
        set_ = []
        for path in (
            "/login",
            "/settings/theme/dark",
            "/settings/language/en",
            "/settings/keys/off",
        ):
            set_ += (await client.get(path)).headers.get_list("set-cookie")
        set_ += (await client.get("/logout")).headers.get_list("set-cookie")
        assert len(set_) >= 5
        for cookie in set_:
            name, _, rest = cookie.partition("=")
            parts = {x.strip().lower() for x in rest.split(";")[1:]}
            assert name.startswith("__Host-"), cookie
            assert {"secure", "httponly", "path=/", "samesite=lax"} <= parts, cookie
            assert not any(x.startswith("domain") for x in parts)
        page = await client.get("/nothing")
        assert '<html lang="en"' in page.text, "the cookie is read by its name too"


@pytest.mark.asvs("v5.0.0-3.3.3")
async def test_a_cookie_tossed_by_another_host_is_not_looked_at(as_, services):
    """Another host of the domain, or a plain-text page, can set `sammanhang`, never `__Host-sammanhang`."""
    amira = await as_("Amira Haddad", "Centrum")
    planted = amira.client.cookies["sammanhang"]
    settings = replace(services.settings, base_url="https://journal.example")
    transport = httpx.ASGITransport(app=create_app(_with(services, settings)))
    async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as victim:
        for cookies in (f"sammanhang={planted}", f"sammanhang={planted}; theme=dark"):
            answer = await victim.get("/", headers={"cookie": cookies})
            assert answer.status_code == 303 and answer.headers["location"].startswith("/login")
        answer = await victim.get("/", headers={"cookie": f"__Host-sammanhang={planted}"})
        assert answer.status_code == 200, "the same value under the bound name is a session"


@pytest.mark.asvs("v5.0.0-3.7.2")
def test_forms_lead_here_and_to_the_configured_log_in_service_only():
    headers = dict(page_headers(True, "https://idp.example"))
    assert b"form-action 'self' https://idp.example;" in headers[b"content-security-policy"]
    assert b"form-action 'self';" in dict(page_headers(True))[b"content-security-policy"]


@pytest.mark.asvs("v5.0.0-3.7.2")
async def test_logging_out_may_go_on_to_a_log_in_service_elsewhere(services):
    held = _with(services, services.settings)
    held.provider = Provider("https://idp.example/realm", "us")
    transport = httpx.ASGITransport(app=create_app(held))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        policy = (await client.get("/nothing")).headers["content-security-policy"]
    assert "form-action 'self' https://idp.example;" in policy


AWAY = (
    "https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)",
    "/%09/evil.example", "https:evil.example", "\\\\evil.example", "/login?next=//evil.example", "//evil.example\x00/",
    "http://127.0.0.1:8000@evil.example/", "data:text/html,x",
)  # fmt: skip


@pytest.mark.asvs("v5.0.0-3.7.2", "v5.0.0-1.2.2")
@pytest.mark.parametrize("away", AWAY)
async def test_no_parameter_that_names_an_address_leads_away(as_, away):
    amira = await as_("Amira Haddad", "Centrum")

    def stays(answer: httpx.Response) -> None:
        to = answer.headers.get("location", "/")
        url = httpx.URL("http://127.0.0.1:8000").join(to)
        assert url.host == "127.0.0.1" and url.scheme == "http", (away, to)
        assert not to.startswith(("//", "/\\")), to

    client = amira.client
    stays(await client.get("/login", params={"next": away}, follow_redirects=False))
    stays(await client.get("/login/assignment", params={"next": away}, follow_redirects=False))
    page = await client.get("/login/assignment", params={"next": away})
    shown = re.search(r'name="next" value="([^"]*)"', page.text)
    if shown is not None:
        stays(httpx.Response(303, headers={"location": shown[1]}))
    stays(
        await client.get(
            "/settings/theme/dark",
            headers={"referer": away.encode("latin-1")},
            follow_redirects=False,
        )
    )
    stays(
        await client.get(
            "/oidc/end_session", params={"post_logout_redirect_uri": away, "state": away}, follow_redirects=False
        )
    )  # fmt: skip
    stays(
        await client.get("/oidc/authorize", params={"redirect_uri": away}, follow_redirects=False)
    )
    csrf = re.search(r'name="csrf" value="([^"]*)"', (await client.get("/sessions")).text)
    assert csrf is not None
    form = {"csrf": csrf[1], "reason": "follow-up", "onward": away}
    stays(await client.post("/patients/svea-andersson/reason", data=form, follow_redirects=False))


@pytest.mark.asvs("v5.0.0-16.3.2", "v5.0.0-8.2.1", "v5.0.0-16.3.3")
async def test_who_tries_the_pages_of_others_is_in_the_trace(as_, town):
    svea = await as_("Svea Andersson", kind="resident")
    before = len(traced(town))
    of_staff = [
        r for r in routing.REGISTRY if r.access in ("staff", "record") and "GET" in r.methods
    ]
    for rule in of_staff:
        answer = await svea.client.get(filled(rule.path), follow_redirects=False)
        assert answer.status_code == 404, rule.path
    refused = traced(town)[before:]
    assert len(refused) == len(of_staff) > 10
    assert all(x["actor"] == "Patient/svea-andersson" for x in refused)


@pytest.mark.asvs("v5.0.0-14.2.1")
async def test_an_identity_number_in_an_address_is_not_read(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for address in (
        "/patients?q=193711042386",
        "/lifts?number=193711042386",
    ):
        page = await amira.get(address)
        assert "Svea Andersson" not in page.text, address
    assert "Svea Andersson" in (await amira.search("193711042386")).text
    form = (await amira.get("/patients")).text
    assert '<form class="search" method="post"' in form
    assert 'hx-get="/patients"' not in form and 'hx-get="/command"' not in form


@pytest.mark.asvs("v5.0.0-14.3.1")
async def test_logging_out_empties_what_the_browser_kept(browser):
    await _log_in(browser.client, "Linnea Engström", "", "")  # a session that no other test shares
    page = await browser.get("/logout")
    csrf = re.search(r'name="csrf" value="([^"]*)"', page.text)
    assert csrf is not None
    answer = await browser.client.post("/logout", data={"csrf": csrf[1]}, follow_redirects=False)
    assert answer.headers["clear-site-data"] == '"cache", "storage"'


@pytest.mark.asvs("v5.0.0-13.4.3", "v5.0.0-13.4.1", "v5.0.0-5.3.2")
@pytest.mark.parametrize(
    "path",
    ["/static", "/static/", "/static/vendor", "/static/vendor/", "/.git/config", "/static/.git/config",
     "/static/../app.py", "/static/..%2f..%2fapp.py", "/static/%2e%2e/app.py", "/static/chart/../../pages.py",
     "/static//etc/passwd", "/static/app.css%00.js", "/.env", "/pyproject.toml", "/server-status", "/docs", "/openapi.json"],
)  # fmt: skip
async def test_no_folder_and_no_file_but_the_static_ones_is_served(browser, path):
    answer = await browser.client.get(path, follow_redirects=False)
    assert answer.status_code in (303, 308, 404), answer.status_code
    assert "import" not in answer.text and "[core]" not in answer.text


def _with(services: Services, settings: object) -> Services:
    """The same services under other settings."""
    made = Services(settings, services.database, services.audit, services.doors)  # type: ignore[arg-type]
    return made


def test_the_figures_for_lookups_have_a_source():
    rules = content("rules/lookups")
    assert rules["source"] and rules["valid_from"]
    assert 0 < rules["most_not_found"] < rules["most"]
