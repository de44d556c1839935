"""People see and take back what they granted; an administrator registers, closes and ends."""

from __future__ import annotations

import html
import re

import pytest

from .smart import BACK, LAUNCH, registered, tokens
from .test_tokens import works

SVEA = "svea-andersson"


@pytest.mark.asvs("v5.0.0-10.7.3", "v5.0.0-10.4.9")
async def test_a_nurse_sees_what_she_let_in_and_shuts_it_out_in_one_click(amira, app):
    assert "Ingen app har tillgång just nu" in (await amira.get("/apps")).text
    first = await tokens(
        amira, app, "launch/patient patient/Observation.rs patient/Condition.c", SVEA
    )
    second = await tokens(amira, app, "user/*.rs offline_access")
    page = await amira.get("/apps")
    for said in (
        "Tillväxtkurvan",
        "Kurvbolaget AB",
        "mätvärden och provsvar",
        "skriva nya",
        "1 patient",
        "utloggad",
    ):
        assert said in page.text, said
    assert amira.queries <= 5
    page = await amira.post("/apps", {"client": app.id}, page)
    assert "Åtkomsten är borttagen" in page.text and "Ingen app har tillgång" in page.text
    for got in (first, second):
        assert not await works(app, got["access_token"])
    page = await amira.post("/apps", {"client": "nobody"}, await amira.get("/apps"))
    assert "Åtkomsten är borttagen" not in page.text


@pytest.mark.asvs("v5.0.0-10.7.3", "v5.0.0-10.4.9", "v5.0.0-8.2.2")
async def test_a_resident_does_the_same_and_nobody_elses_is_touched(as_, browser, app):
    amira = await as_("Amira Haddad", "Centrum")
    hers = await tokens(amira, app, "user/*.rs offline_access")
    amira.client.cookies.clear()
    svea = await as_("Svea Andersson", kind="resident")
    got = await tokens(svea, app, "launch/patient patient/*.rs offline_access")
    page = await svea.get("/apps")
    assert page.url.path == "/me/apps" and "alla slags uppgifter" in page.text
    assert "/me/apps" in (await svea.get("/me")).text
    page = await svea.post("/me/apps", {"client": app.id}, page)
    assert "Åtkomsten är borttagen" in page.text
    assert not await works(app, got["access_token"])
    assert await works(app, hers["access_token"])


FORM = {
    "name": "Blodtryck hemma", "publisher": "Puls AB", "offered_staff": "1", "method": "none", "launch_url": LAUNCH,
    "redirect_uris": f"{BACK}\nhttp://127.0.0.1:7777/done", "scopes": "launch openid patient/Observation.read",
}  # fmt: skip


async def test_an_administrator_registers_an_app_and_closes_it(as_, browser):
    david = await as_("David Wallin")
    assert "/admin/apps" in (await david.get("/")).text
    page = await david.post("/admin/apps/new", FORM, await david.get("/admin/apps/new"))
    assert page.status_code == 200, page.text
    (id,) = re.findall(r'app-secret">(app-[^<]+)<', page.text)
    assert "Hemlighet" not in page.text
    assert "Blodtryck hemma" in (await david.get("/admin/apps")).text
    assert david.queries <= 3
    page = await david.get(f"/admin/apps/{id}")
    for said in (
        "Puls AB",
        BACK,
        LAUNCH,
        "patient/Observation.rs",
        "mätvärden och provsvar",
        "Ingen har gett appen",
    ):
        assert said in page.text, said
    david.client.cookies.clear()
    amira = await as_("Amira Haddad", "Centrum")
    assert "Blodtryck hemma" in (await amira.get(f"/patients/{SVEA}")).text
    amira.client.cookies.clear()
    await as_("David Wallin")
    page = await david.post(
        f"/admin/apps/{id}", {"do": "close"}, await david.get(f"/admin/apps/{id}")
    )
    assert "Klienten är stängd" in page.text and "Stäng klienten" not in page.text
    david.client.cookies.clear()
    await as_("Amira Haddad", "Centrum")
    assert "Blodtryck hemma" not in (await amira.get(f"/patients/{SVEA}")).text


async def test_a_secret_is_shown_once(as_, browser):
    david = await as_("David Wallin")
    form = FORM | {"method": "client_secret", "id": "once"}
    page = await david.post("/admin/apps/new", form, await david.get("/admin/apps/new"))
    secret = re.findall(r'app-secret">([^<]+)<', page.text)[1]
    assert len(secret) >= 40 and "visas bara nu" in page.text
    assert secret not in (await david.get("/admin/apps/once")).text
    again = await david.post("/admin/apps/new", form, await david.get("/admin/apps/new"))
    assert again.status_code == 409 and "används redan" in again.text


async def test_grants_are_counted_staff_named_and_residents_not(as_, browser, app):
    amira = await as_("Amira Haddad", "Centrum")
    got = await tokens(amira, app, "user/*.rs offline_access")
    amira.client.cookies.clear()
    svea = await as_("Svea Andersson", kind="resident")
    await tokens(svea, app, "launch/patient patient/*.rs offline_access")
    svea.client.cookies.clear()
    david = await as_("David Wallin")
    page = await david.get(f"/admin/apps/{app.id}")
    assert "Amira Haddad" in page.text and "1 invånare" in page.text and "Svea" not in page.text
    page = await david.post(f"/admin/apps/{app.id}", {"do": "end"}, page)
    assert "All åtkomst är borttagen" in page.text
    assert not await works(app, got["access_token"])


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_nobody_else_administers(as_, browser, app):
    for name, unit in (("Amira Haddad", "Centrum"), ("Annika Sjöberg", "")):
        person = await as_(name, unit)
        for path in ("/admin/apps", "/admin/apps/new", f"/admin/apps/{app.id}"):
            answer = await person.get(path)
            assert answer.status_code == 403 and "systemförvaltare" in answer.text
        page = await person.get("/apps")
        csrf = html.unescape(re.findall(r'name="csrf" value="([^"]*)"', page.text)[0])
        answer = await person.client.post(
            f"/admin/apps/{app.id}", data={"csrf": csrf, "do": "close"}
        )
        assert answer.status_code == 403
        person.client.cookies.clear()
    svea = await as_("Svea Andersson", kind="resident")
    assert (await svea.get("/admin/apps")).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"redirect_uris": "http://app.example/done"}, "redirect_uris"), ({"scopes": "everything"}, "scopes"),
        ({"name": ""}, "name"), ({"publisher": ""}, "publisher"), ({"jwks": "{", "method": "private_key_jwt"}, "jwks"),
        ({"launch_url": "http://evil.example/"}, "launch_url"), ({"method": "magic"}, "method"), ({"role": "kung"}, "roles"),
    ],
)  # fmt: skip
async def test_a_bad_registration_says_what_is_wrong_and_keeps_what_was_typed(
    as_, browser, change, field
):
    david = await as_("David Wallin")
    page = await david.post("/admin/apps/new", FORM | change, await david.get("/admin/apps/new"))
    assert page.status_code == 400
    assert f'id="wrong-{field}"' in page.text
    assert (
        html.escape(FORM["redirect_uris"].split("\n")[1]) in page.text or field == "redirect_uris"
    )


async def test_a_client_that_is_not_there_and_the_demos_own(as_, browser):
    david = await as_("David Wallin")
    assert (await david.get("/admin/apps/nobody")).status_code == 404
    other = await registered(browser, name="Tjänsten", method="client_secret", offered=(), redirect_uris=(),
                             launch_url=None, publisher="", scopes=("system/*.rs",))  # fmt: skip
    page = await david.get(f"/admin/apps/{other.id}")
    assert "Tjänst" in page.text and "Åtkomster som gäller" not in page.text
    answer = await david.post(f"/admin/apps/{other.id}", {"do": "dance"}, page)
    assert answer.status_code == 404


async def test_registering_needs_a_log_in_made_just_now(as_, services):
    david = await as_("David Wallin")
    form = await david.get("/admin/apps/new")
    async with services.database.writing() as connection:
        await connection.execute(
            "UPDATE access.session SET auth_time = now() - interval '1 day' WHERE name LIKE 'David%'"
        )
    page = await david.post("/admin/apps/new", FORM | {"name": "Ofärsk"}, form)
    assert page.status_code in (401, 403) and "logga" in page.text.lower()
    assert "Ofärsk" not in (await david.get("/admin/apps")).text
    async with services.database.writing() as connection:
        await connection.execute(
            "UPDATE access.session SET auth_time = now() WHERE name LIKE 'David%'"
        )
