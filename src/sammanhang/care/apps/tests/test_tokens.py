"""What an app gets for a code, what renews it, and everything that ends it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from urllib.parse import quote

import psycopg
import pytest

from sammanhang.access import tokens as access_tokens
from sammanhang.access.clients import close_client
from sammanhang.access.grants import end_of_client
from sammanhang.kernel.content import content
from sammanhang.web import testing

from .smart import BACK, approved, decide, form_of, registered, tokens

SVEA = "svea-andersson"


async def works(app, token) -> bool:
    answer = await app.get("Organization?_count=1", token)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


@pytest.fixture
def sessions_end():
    """Log-ins that other tests would go on with end here."""
    yield
    testing._cookies.clear()


@pytest.fixture
def later(monkeypatch):
    """Half a minute passes: what a process remembers of a token is asked for again."""

    def pass_() -> None:
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 31)

    return pass_


@pytest.mark.asvs("v5.0.0-10.4.2")
async def test_a_code_is_good_once_and_twice_ends_what_it_gave(amira, app):
    code = await approved(amira, app, "user/*.rs online_access")
    first = (await app.redeem(code)).json()
    assert await works(app, first["access_token"])
    again = await app.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await works(app, first["access_token"])
    assert (await app.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-10.4.6", "v5.0.0-10.4.2")
@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "x" * 43}, {"code_verifier": ""}, {"code_verifier": "short"}, {"redirect_uri": ""},
        {"redirect_uri": f"{BACK}/"}, {"code": "made-up"}, {"code": ""},
    ],
)  # fmt: skip
async def test_a_code_opens_nothing_without_all_that_belongs_to_it(amira, app, change):
    code = await approved(amira, app, "user/*.rs")
    answer = await app.redeem(**({"code": code} | change))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    if "code" not in change:  # it is spent now
        assert (await app.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-10.4.3")
async def test_a_code_is_good_for_a_minute_and_for_its_own_app(amira, app, browser):
    other = await registered(browser, name="En annan")
    code = await approved(amira, app, "user/*.rs")
    answer = await other.redeem(code, code_verifier=app.verifier)
    assert answer.json()["error"] == "invalid_grant"
    code = await approved(amira, app, "user/*.rs")
    with psycopg.connect(amira.services.database.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE access.app_code SET expires = now() - interval '1 second' WHERE used IS NULL"
        )
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-10.4.5")
async def test_a_refresh_token_is_new_each_time_and_an_old_one_ends_them_all(amira, app):
    first = await tokens(amira, app, "user/*.rs openid offline_access")
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await works(app, second["access_token"])
    assert (await app.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await app.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await works(app, second["access_token"])


@pytest.mark.asvs("v5.0.0-10.4.8")
async def test_renewing_makes_nothing_last_longer(amira, app):
    token = (await tokens(amira, app, "user/*.rs offline_access"))["refresh_token"]
    ends = (
        "SELECT g.until, array_agg(DISTINCT r.expires), extract(days FROM g.until - g.granted)::int"
        " FROM access.app_grant g JOIN access.app_refresh r ON r.grant_id = g.id WHERE g.client = %s GROUP BY g.id"
    )
    for _ in range(3):
        token = (await app.refresh(token)).json()["refresh_token"]
    dsn = amira.services.database.dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        ((until, expires, days),) = connection.execute(ends, (app.id,)).fetchall()
        assert expires == [until] and days == content("rules/apps")["offline_days"]["staff"]
        connection.execute(
            "UPDATE access.app_refresh SET expires = now() WHERE grant_id IN"
            " (SELECT id FROM access.app_grant WHERE client = %s)",
            (app.id,),
        )
    assert (await app.refresh(token)).json()["error"] == "invalid_grant"


@pytest.mark.asvs("v5.0.0-10.4.5", "v5.0.0-2.3.4")
async def test_two_who_refresh_at_once_do_not_both_get_tokens(amira, app):
    first = await tokens(amira, app, "user/*.rs offline_access")
    answers = await asyncio.gather(*(app.refresh(first["refresh_token"]) for _ in range(4)))
    assert sum(a.status_code == 200 for a in answers) <= 1


@pytest.mark.asvs("v5.0.0-10.4.11", "v5.0.0-10.3.2")
async def test_a_refresh_asks_for_fewer_scopes_and_never_for_more(amira, app):
    got = await tokens(amira, app, "user/Observation.rs user/Condition.rs offline_access")
    for scope in (
        "user/*.rs",
        "user/Observation.cruds",
        "patient/Observation.rs",
        "user/Patient.rs",
        "openid",
        "x",
    ):
        assert (await app.refresh(got["refresh_token"], scope=scope)).json()[
            "error"
        ] == "invalid_scope"
    fewer = (await app.refresh(got["refresh_token"], scope="user/Condition.r")).json()
    assert fewer["scope"] == "user/Condition.r"
    assert (await app.get("Observation?code=x", fewer["access_token"])).status_code == 403
    whole = (await app.refresh(fewer["refresh_token"])).json()
    assert whole["scope"] == "user/Observation.rs user/Condition.rs offline_access"


@pytest.mark.asvs("v5.0.0-10.4.5")
async def test_another_apps_refresh_token_is_nothing_and_stays_whole(amira, app, browser):
    other = await registered(browser, name="En annan")
    got = await tokens(amira, app, "user/*.rs offline_access")
    assert (await other.refresh(got["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await app.refresh(got["refresh_token"])).status_code == 200


@pytest.mark.asvs("v5.0.0-7.4.1")
async def test_online_ends_with_the_session_and_offline_goes_on(amira, app, later, sessions_end):
    online = await tokens(amira, app, "user/*.rs online_access")
    brief = await tokens(amira, app, "user/*.rs")
    offline = await tokens(amira, app, "user/*.rs offline_access")
    assert "refresh_token" not in brief
    for got in (online, brief, offline):
        assert await works(app, got["access_token"])
    await amira.post("/logout", {}, await amira.get("/"))
    later()
    assert not await works(app, online["access_token"])
    assert not await works(app, brief["access_token"])
    assert (await app.refresh(online["refresh_token"])).json()["error"] == "invalid_grant"
    assert await works(app, offline["access_token"])
    assert (await app.refresh(offline["refresh_token"])).status_code == 200


async def test_another_assignment_in_the_session_ends_what_the_first_gave(
    as_, browser, app, later, sessions_end
):
    amira = await as_("Amira Haddad", "Centrum")
    got = await tokens(amira, app, "user/*.rs online_access")
    page = await amira.get("/login/assignment")
    others = [
        v
        for v, label in re.findall(
            r'name="assignment" value="([^"]+)"[^>]*aria-label="([^"]+)"', page.text
        )
        if "Centrum" not in label
    ]
    if not others:
        pytest.skip("Amira has one assignment")
    await amira.post("/login/assignment", {"assignment": others[0], "next": "/"}, page)
    later()
    assert not await works(app, got["access_token"])


@pytest.mark.asvs("v5.0.0-7.4.2")
async def test_an_ended_assignment_ends_the_app_also_offline(amira, app, later):
    got = await tokens(amira, app, "user/*.rs offline_access")
    dsn = amira.services.database.dsn
    swap = (
        "UPDATE store.other SET body = convert_to(replace(convert_from(body, 'UTF8'), %s, %s), 'UTF8')"
        " WHERE id = (SELECT assignment FROM access.app_grant ORDER BY granted DESC LIMIT 1)"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(swap, ('"active":true', '"active":false'))
        later()
        try:
            assert not await works(app, got["access_token"])
            assert (await app.refresh(got["refresh_token"])).json()["error"] == "invalid_grant"
        finally:
            connection.execute(swap, ('"active":false', '"active":true'))


@pytest.mark.asvs("v5.0.0-10.4.10")
async def test_a_closed_app_is_dead_within_half_a_minute(amira, app, later):
    got = await tokens(amira, app, "user/*.rs offline_access")
    assert await works(app, got["access_token"])
    close_client(amira.services.database.dsn, app.id)
    later()
    assert not await works(app, got["access_token"])
    assert (await app.refresh(got["refresh_token"])).json()["error"] == "invalid_client"
    answer = await amira.client.get(app.address("user/*.rs"), follow_redirects=False)
    assert answer.status_code == 400


async def test_an_administrator_ends_every_grant_at_once_here(amira, app):
    got = await tokens(amira, app, "user/*.rs offline_access")
    assert await works(app, got["access_token"])
    await end_of_client(amira.services.database, app.id, "administrator")
    assert not await works(app, got["access_token"])


async def test_the_app_itself_takes_its_tokens_back(amira, app, browser):
    other = await registered(browser, name="En annan")
    got = await tokens(amira, app, "user/*.rs offline_access")
    for wrong in (got["access_token"], got["refresh_token"], "made-up"):
        assert (await other.post("revoke", {"token": wrong})).status_code == 200
    assert await works(app, got["access_token"])
    assert (
        await app.post("revoke", {"token": got["access_token"], "token_type_hint": "nonsense"})
    ).status_code == 200
    assert not await works(app, got["access_token"])
    fresh = (await app.refresh(got["refresh_token"])).json()
    assert (await app.post("revoke", {"token": fresh["refresh_token"]})).status_code == 200
    assert not await works(app, fresh["access_token"])
    assert (await app.post("revoke", {})).json()["error"] == "invalid_request"


@pytest.mark.asvs("v5.0.0-10.4.10")
async def test_a_confidential_app_learns_what_its_own_tokens_are_worth(amira, browser):
    app = await registered(browser, method="client_secret")
    other = await registered(browser, method="client_secret")
    got = await tokens(
        amira, app, "launch/patient openid fhirUser patient/*.rs offline_access", SVEA
    )
    told = (await app.post("introspect", {"token": got["access_token"]})).json()
    assert told["active"] is True and told["client_id"] == app.id and told["patient"] == SVEA
    assert told["scope"] == got["scope"] and told["fhirUser"].endswith(told["sub"])
    assert (await app.post("introspect", {"token": got["refresh_token"]})).json()["active"] is True
    for token in (got["access_token"], got["refresh_token"], "made-up"):
        assert (await other.post("introspect", {"token": token})).json() == {"active": False}
    renewed = (await app.refresh(got["refresh_token"])).json()
    assert (await app.post("introspect", {"token": got["refresh_token"]})).json() == {
        "active": False
    }
    assert await works(app, renewed["access_token"])  # to ask about a spent one ends nothing
    got = renewed
    public = await registered(browser)
    assert (await public.post("introspect", {"token": got["access_token"]})).status_code == 401
    await app.post("revoke", {"token": got["refresh_token"]})
    assert (await app.post("introspect", {"token": got["access_token"]})).json() == {
        "active": False
    }


@pytest.mark.asvs("v5.0.0-10.4.10", "v5.0.0-10.4.4")
async def test_an_app_proves_itself_as_it_is_registered_and_in_one_way(amira, browser):
    app = await registered(browser, method="client_secret")
    public = await registered(browser)
    code = await approved(amira, app, "user/*.rs offline_access")
    assert app.secret is not None
    form: dict[str, str] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": app.verifier,
    }
    for sent, auth, error in (
        (form | {"client_id": app.id}, None, "invalid_client"),
        (form | {"client_id": app.id, "client_secret": "wrong"}, None, "invalid_client"),
        (form | {"client_secret": app.secret}, (app.id, app.secret), "invalid_request"),
        (form | {"client_assertion": "x.y.z"}, (app.id, app.secret), "invalid_request"),
        (form | {"client_id": public.id}, (app.id, app.secret), "invalid_request"),
        (form | {"client_id": public.id, "client_secret": app.secret}, None, "invalid_client"),
        (form | {"client_id": public.id}, None, "invalid_grant"),
    ):
        answer = await app.post("token", sent, auth=auth)
        assert answer.json()["error"] == error, sent
    # the last of them, another client with the code, has spent it
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"
    assert (await app.redeem(await approved(amira, app, "user/*.rs"))).status_code == 200
    answer = await app.post("token", {"grant_type": "client_credentials"})
    assert answer.json()["error"] == "unauthorized_client"


@pytest.mark.asvs("v5.0.0-10.3.3", "v5.0.0-16.2.1")
async def test_an_app_acts_as_the_person_and_the_trace_says_through_what(as_, amira, app):
    got = await tokens(amira, app, "launch/patient patient/*.rs", SVEA)
    assert (
        await app.get(f"Observation?patient={SVEA}&_count=1", got["access_token"])
    ).status_code == 200
    with psycopg.connect(amira.services.database.dsn) as connection:
        rows = connection.execute("SELECT entries FROM audit.block ORDER BY at").fetchall()
    entries = [json.loads(line) for (lines,) in rows for line in lines.splitlines()]
    mine = [e for e in entries if (e.get("details") or {}).get("app") == app.id]
    assert {e["action"] for e in mine} >= {"open", "search"}
    assert {e["actor"].split("/")[0] for e in mine} == {"Practitioner"} and all(
        e["unit"] for e in mine
    )
    amira.client.cookies.clear()
    svea = await as_("Svea Andersson", kind="resident")
    log = await svea.get("/me/log")
    assert "via Tillväxtkurvan" in log.text and "gav en app tillgång till din journal" in log.text


@pytest.mark.asvs("v5.0.0-16.2.5", "v5.0.0-14.2.4", "v5.0.0-13.3.2")
async def test_nothing_secret_is_ever_written_down(amira, browser, caplog):
    app = await registered(browser, method="client_secret")
    code = await approved(amira, app, "user/*.rs openid offline_access")
    got = (await app.redeem(code)).json()
    later = (await app.refresh(got["refresh_token"])).json()
    await app.redeem(code)
    await app.post("introspect", {"token": later["access_token"]})
    await app.post("revoke", {"token": later["refresh_token"]})
    await app.http.post(
        "/oauth/token", data={"client_assertion": got["id_token"], "client_assertion_type": "x"}
    )
    await app.get("Patient?_id=1", got["access_token"])
    secret = [
        code, app.secret, app.verifier, got["access_token"], got["refresh_token"], got["id_token"],
        later["access_token"], later["refresh_token"],
    ]  # fmt: skip
    with psycopg.connect(amira.services.database.dsn) as connection:
        written = [
            lines
            for (lines,) in connection.execute(
                "SELECT convert_from(entries, 'UTF8') FROM audit.block"
            )
        ]
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'access'"
            )
        ]
        for table in tables:
            written += [
                row for (row,) in connection.execute(f"SELECT t::text FROM access.{table} t")
            ]
    text = "\n".join([*written, caplog.text])
    for word in secret:
        assert word and word not in text and quote(word) not in text


@pytest.mark.asvs("v5.0.0-3.4.2")
async def test_only_pages_of_registered_origins_read_answers(amira, app):
    got = await tokens(amira, app, "user/*.rs")
    for path in (
        "/fhir/metadata",
        "/fhir/.well-known/smart-configuration",
        "/fhir/Organization?_count=1",
    ):
        for origin, allowed in (
            ("https://app.example", True),
            ("https://evil.example", False),
            ("null", False),
        ):
            headers = {"origin": origin, "authorization": f"Bearer {got['access_token']}"}
            answer = await app.http.get(path, headers=headers)
            assert answer.status_code == 200
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            assert (
                "access-control-allow-credentials" not in answer.headers
                and "origin" in answer.headers["vary"].lower()
            )
            asks = headers | {
                "access-control-request-method": "GET",
                "access-control-request-headers": "authorization",
            }
            before = await app.http.request("OPTIONS", path, headers=asks)
            assert before.status_code == 204
            assert (
                "authorization" in before.headers.get("access-control-allow-headers", "")
            ) is allowed
    headers = {"origin": "https://app.example"}
    answer = await app.http.post(
        "/oauth/token", data={"client_id": app.id, "grant_type": "x"}, headers=headers
    )
    assert (
        answer.status_code == 400
        and answer.headers["access-control-allow-origin"] == "https://app.example"
    )
    answer = await app.http.get("/apps", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def test_what_is_said_of_the_server_is_so(amira, app):
    said = (await app.http.get("/fhir/.well-known/smart-configuration")).json()
    published = (await app.http.get("/.well-known/openid-configuration")).json()
    assert published["issuer"] == said["issuer"]
    for document in (said, published):
        for name, where in document.items():
            if name.endswith(("_endpoint", "_uri")):
                posted = name.startswith(("token", "revocation", "introspection"))
                answer = await app.http.request("POST" if posted else "GET", where)
                assert answer.status_code in ((400,) if posted else (200, 303, 400)), name
    statement = (await app.http.get("/fhir/metadata")).json()
    security = statement["rest"][0]["security"]
    told = {e["url"]: e["valueUri"] for e in security["extension"][0]["extension"]}
    assert (
        told["authorize"] == said["authorization_endpoint"]
        and told["token"] == said["token_endpoint"]
    )
    assert security["cors"] is True
    assert access_tokens.LIFE_SECONDS <= 3600


@pytest.mark.asvs("v5.0.0-15.3.7", "v5.0.0-2.2.1")
@pytest.mark.parametrize(
    "body",
    [b"", b"grant_type=authorization_code&grant_type=refresh_token", b"\xff", b"a=" + b"x" * 20000],
)
async def test_odd_forms_are_refused_and_nothing_worse(app, body):
    for where in ("token", "revoke", "introspect"):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await app.http.post(f"/oauth/{where}", content=body, headers=headers)
        assert answer.status_code in (400, 401, 413)
        assert answer.json()["error"] in ("invalid_request", "invalid_client")


async def test_a_page_of_the_question_answered_twice_gives_two_grants_that_end_apart(amira, app):
    page = await amira.get(app.address("user/*.rs offline_access"))
    form = form_of(page)
    codes = []
    for _ in range(2):
        answer = await decide(amira, page, "approve")
        codes.append(
            dict(p.split("=") for p in answer.headers["location"].split("?")[1].split("&"))["code"]
        )
    assert form["decision"] == "approve" and len(set(codes)) == 2
    one, two = [(await app.redeem(code)).json() for code in codes]
    await app.post("revoke", {"token": one["refresh_token"]})
    assert not await works(app, one["access_token"]) and await works(app, two["access_token"])
