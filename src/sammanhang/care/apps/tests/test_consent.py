"""An app asks, a person answers: what is asked, what comes of yes and of no, and who may be asked."""

from __future__ import annotations

import html
import json
import re

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from sammanhang.fhir.decode import decode
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.bulk import load
from sammanhang.web.testing import BASE

from .smart import BACK, LAUNCH, App, approved, decide, form_of, query_of, registered, tokens

SVEA = "svea-andersson"


@pytest.mark.asvs("v5.0.0-10.7.1", "v5.0.0-10.7.2")
async def test_a_nurse_is_told_what_the_app_wants_before_anything_is_given(amira, app):
    page = await amira.get(
        app.address(
            "launch/patient patient/Observation.rs?category=laboratory patient/Condition.cu"
        )
    )
    assert "Välj patient" in page.text
    page = await amira.client.post(
        "/oauth/authorize", data=form_of(page, "decline") | {"decision": "patient", "patient": SVEA}
    )
    words = " ".join(re.sub(r"<[^>]+>", " ", page.text).split())
    for said in (
        "Vill du ge Tillväxtkurvan tillgång?", "från Kurvbolaget AB · app.example", "Svea Andersson",
        "19371104-2386", "Amira Haddad, sjuksköterska, Hemsjukvård Centrum", "Så länge du är inloggad här",
        "läsa mätvärden och provsvar (bara kategori provsvar)", "skriva nya, ändra diagnoser och hälsoproblem",
    ):  # fmt: skip
        assert said in words, (said, words)
    with psycopg.connect(amira.services.database.dsn) as connection:
        assert connection.execute(
            "SELECT count(*) FROM access.app_grant WHERE client = %s", (app.id,)
        ).fetchone() == (0,)
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "form-action 'self' https:" in policy


@pytest.mark.asvs("v5.0.0-9.2.4", "v5.0.0-10.3.2")
async def test_yes_gives_a_code_and_the_code_gives_tokens_with_the_patient(amira, app):
    got = await tokens(
        amira,
        app,
        "launch/patient openid fhirUser patient/Observation.rs online_access",
        SVEA,
        nonce="n-1",
    )
    assert got["patient"] == SVEA and got["need_patient_banner"] is True
    assert got["token_type"] == "Bearer" and 0 < got["expires_in"] <= 3600
    assert got["scope"] == "launch/patient openid fhirUser patient/Observation.rs online_access"
    keys = KeySet.import_key_set((await app.http.get("/oauth/jwks")).json())
    claims = jwt.decode(got["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["fhirUser"] == f"{BASE}/fhir/{claims['sub']}" and claims["nonce"] == "n-1"
    assert (claims["iss"], claims["aud"]) == (BASE, app.id)
    found = await app.get(f"Observation?patient={SVEA}&_count=3", got["access_token"])
    assert found.status_code == 200 and len(found.json()["entry"]) == 3
    assert (await app.get(f"Patient/{SVEA}", got["access_token"])).status_code == 403


@pytest.mark.asvs("v5.0.0-10.7.1")
async def test_no_tells_the_app_and_gives_nothing(amira, app):
    page = await amira.get(app.address("user/Patient.rs"))
    said = query_of(await decide(amira, page, "decline"))
    assert said == {
        "error": "access_denied", "error_description": "The person declined.", "state": "state-1", "iss": BASE,
    }  # fmt: skip


async def test_who_is_not_logged_in_logs_in_first_and_comes_back(browser, app):
    long = " ".join(
        f"user/{kind}.rs" for kind in ("Patient", "Observation", "Condition", "Encounter") * 10
    )
    where = app.address("launch/patient openid " + long)
    answer = await browser.client.get(where, follow_redirects=False)
    assert answer.headers["location"].startswith("/login?next=%2Foauth%2Fauthorize%3F")
    page = await browser.client.get("/login", params={"next": where})
    assert page.url.path == "/oidc/authorize"
    fields = dict(httpx.QueryParams(page.url.query))
    page = await browser.client.post(
        "/oidc/authorize", data={**fields, "person": "Patient/svea-andersson"}
    )
    assert page.url.path == "/oauth/authorize" and "Svea Andersson" in page.text
    assert (
        await browser.client.get(app.address("openid", prompt="none"), follow_redirects=False)
    ).status_code == 303


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_a_resident_gets_herself_and_a_father_chooses_his_child(as_, app):
    svea = await as_("Svea Andersson", kind="resident")
    got = await tokens(svea, app, "launch/patient patient/*.rs offline_access")
    assert got["patient"] == SVEA
    assert (await app.get(f"Patient/{SVEA}", got["access_token"])).status_code == 200
    assert (await app.get("Patient/greta-lindgren", got["access_token"])).status_code == 404
    svea.client.cookies.clear()
    jonas = await as_("Jonas Lindgren", kind="resident")
    page = await jonas.get(app.address("launch/patient patient/*.rs"))
    assert "Mig själv" in page.text and "Greta" in page.text
    got = await tokens(jonas, app, "launch/patient patient/*.rs", "greta-lindgren")
    assert got["patient"] == "greta-lindgren"
    assert (await app.get("Patient/greta-lindgren", got["access_token"])).status_code == 200
    assert (await app.get("Patient/jonas-lindgren", got["access_token"])).status_code == 404
    page = await jonas.get(app.address("launch/patient patient/*.rs"))
    refused = await jonas.client.post(
        "/oauth/authorize", data=form_of(page, "decline") | {"decision": "approve", "patient": SVEA}
    )
    assert refused.status_code == 403 and "R22" in refused.text


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_a_patient_the_nurse_may_not_open_is_refused_with_the_rule(amira, app):
    page = await amira.get(app.address("launch/patient patient/*.rs", q="greta lindgren"))
    chosen = {"decision": "patient", "patient": "greta-lindgren"}
    answer = await amira.client.post("/oauth/authorize", data=form_of(page, "decline") | chosen)
    assert answer.status_code == 403
    assert "R7" in answer.text and "Välj en annan patient" in answer.text


async def test_a_search_among_patients_carries_the_apps_request(amira, app):
    where = app.address("launch/patient patient/*.rs")
    page = await amira.get(where + "&q=svea+andersson")
    assert "19371104-2386" in page.text
    assert f"/oauth/authorize?{form_of(page, 'patient')['asked']}" == where
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">\n', page.text))
    assert fields.items() >= {"client_id": app.id, "redirect_uri": BACK, "state": "state-1"}.items()


async def test_a_visit_is_chosen_among_those_the_door_lets_be_seen(amira, app):
    page = await amira.get(app.address("launch/patient launch/encounter patient/*.rs"))
    page = await amira.client.post(
        "/oauth/authorize", data=form_of(page, "decline") | {"decision": "patient", "patient": SVEA}
    )
    assert "Vilken vårdkontakt gäller det?" in page.text
    visit = re.search(r'name="encounter" value="([^"]+)"', page.text)
    assert visit is not None
    page = await amira.client.post(
        "/oauth/authorize", data=form_of(page, "encounter") | {"encounter": html.unescape(visit[1])}
    )
    assert "Vårdkontakt" in page.text
    got = (await app.redeem(query_of(await decide(amira, page, "approve"))["code"])).json()
    assert got["encounter"] == visit[1]
    answer = await decide(amira, page, "approve", encounter="somebody-elses")
    assert query_of(answer)["error"] == "invalid_request"


async def test_an_app_started_from_the_chart_gets_its_patient(amira, app):
    chart = await amira.get(f"/patients/{SVEA}")
    assert "Tillväxtkurvan" in chart.text
    assert "form-action 'self' https://app.example" in chart.headers["content-security-policy"]
    launch = await start(amira, app, chart)
    code = await approved(amira, app, "launch openid patient/*.rs", launch=launch)
    got = (await app.redeem(code)).json()
    assert got["patient"] == SVEA and "refresh_token" not in got
    # once only
    answer = await amira.client.get(
        app.address("launch patient/*.rs", launch=launch), follow_redirects=False
    )
    assert query_of(answer)["error"] == "invalid_request"


async def test_a_launch_is_good_for_who_started_it_and_for_nobody_else(as_, amira, app):
    chart = await amira.get(f"/patients/{SVEA}")
    launch = await start(amira, app, chart)
    other = await registered(amira, name="En annan app")
    answer = await amira.client.get(
        other.address("launch patient/*.rs", launch=launch), follow_redirects=False
    )
    assert query_of(answer)["error"] == "invalid_request"
    amira.client.cookies.clear()
    await as_("Karin Ek")
    answer = await amira.client.get(
        app.address("launch patient/*.rs", launch=launch), follow_redirects=False
    )
    assert query_of(answer)["error"] == "invalid_request"
    answer = await amira.client.get(
        app.address("launch patient/*.rs", launch="made-up"), follow_redirects=False
    )
    assert query_of(answer)["error"] == "invalid_request"


async def test_a_launch_lives_five_minutes(amira, app):
    launch = await start(amira, app, await amira.get(f"/patients/{SVEA}"))
    with psycopg.connect(amira.services.database.dsn, autocommit=True) as connection:
        ((left,),) = connection.execute(
            "SELECT extract(epoch FROM expires - now()) FROM access.app_launch ORDER BY expires DESC LIMIT 1"
        ).fetchall()
        assert 290 < left <= 300
        connection.execute("UPDATE access.app_launch SET expires = now() - interval '1 second'")
    answer = await amira.client.get(
        app.address("launch patient/*.rs", launch=launch), follow_redirects=False
    )
    assert query_of(answer)["error"] == "invalid_request"


async def test_the_visit_that_is_open_at_the_unit_comes_along(amira, app, town):
    with psycopg.connect(town) as connection:
        ((assignment,),) = connection.execute(
            "SELECT assignment FROM access.session WHERE name LIKE 'Amira%' AND assignment IS NOT NULL LIMIT 1"
        ).fetchall()
    tags = [
        {"system": PROVIDER, "code": assignment["provider"]},
        {"system": UNIT, "code": assignment["unit"]},
    ]
    visit = {
        "resourceType": "Encounter", "id": "open-here", "meta": {"tag": tags}, "status": "in-progress",
        "class": {"code": "HH"}, "subject": {"reference": f"Patient/{SVEA}"},
    }  # fmt: skip
    load(town, [decode(json.dumps(visit).encode())])
    launch = await start(amira, app, await amira.get(f"/patients/{SVEA}"))
    got = (
        await app.redeem(await approved(amira, app, "launch patient/*.rs", launch=launch))
    ).json()
    assert (got["patient"], got["encounter"]) == (SVEA, "open-here")


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_only_who_is_offered_the_app_may_let_it_in(as_, browser):
    doctors = await registered(browser, name="Bara läkare", offered=("staff",), roles=("lakare",))
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get(doctors.address("user/Patient.rs"))
    assert page.status_code == 403 and "inte till för dig" in page.text
    assert "Bara läkare" not in (await amira.get(f"/patients/{SVEA}")).text
    assert query_of(await decide(amira, page, "decline"))["error"] == "access_denied"
    form = form_of(page, "decline") | {"decision": "approve"}
    assert (await amira.client.post("/oauth/authorize", data=form)).status_code == 403


async def start(amira, app: App, chart: httpx.Response) -> str:
    """Starts the app from the chart; the word it is given."""
    csrf = re.search(r'name="csrf" value="([^"]*)"', chart.text)
    assert csrf is not None
    answer = await amira.client.post(
        f"/patients/{SVEA}/apps",
        data={"csrf": html.unescape(csrf[1]), "client": app.id},
        follow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    there = httpx.URL(answer.headers["location"])
    assert str(there).startswith(f"{LAUNCH}?") and there.params["iss"] == f"{BASE}/fhir"
    return there.params["launch"]


# What is asked wrongly


@pytest.mark.asvs("v5.0.0-10.4.1", "v5.0.0-3.7.2")
@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": f"{BACK}/more"},
        {"redirect_uri": f"{BACK}?x=1"}, {"redirect_uri": BACK[:-1]}, {"redirect_uri": BACK.upper()},
        {"redirect_uri": BACK.replace("https", "http")}, {"redirect_uri": "https://app.example@evil.example/done"},
        {"redirect_uri": "https://app.example.evil.example/done"}, {"redirect_uri": f"{BACK}#x"},
        {"redirect_uri": "https://evil.example/done"}, {"redirect_uri": "//app.example/done"},
        {"redirect_uri": "https://app.example/x/../done"}, {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "https://app.example:443/done"}, {"redirect_uri": "https://app.example/done%20"},
    ],
)  # fmt: skip
async def test_nobody_is_sent_to_an_address_that_is_not_registered(amira, app, change):
    answer = await amira.client.get(
        app.address("user/Patient.rs", **change), follow_redirects=False
    )
    assert answer.status_code == 400, answer.headers
    assert "location" not in answer.headers and "Länken hit är inte rätt" in answer.text


@pytest.mark.asvs("v5.0.0-10.4.1", "v5.0.0-15.3.7")
async def test_a_repeated_client_or_address_leads_nowhere(amira, app):
    for more in ("&client_id=demo", "&redirect_uri=https://evil.example/", f"&redirect_uri={BACK}"):
        answer = await amira.client.get(
            app.address("user/Patient.rs") + more, follow_redirects=False
        )
        assert answer.status_code == 400


@pytest.mark.asvs("v5.0.0-10.4.6", "v5.0.0-10.4.4", "v5.0.0-10.6.1", "v5.0.0-10.7.1")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": None}, "invalid_request"), ({"state": ""}, "invalid_request"), ({"state": "x" * 600}, "invalid_request"),
        ({"state": "a\nb"}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"), ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"), ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge": "short"}, "invalid_request"),
        ({"aud": None}, "invalid_request"), ({"aud": "https://evil.example/fhir"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"), ({"request_uri": "https://x"}, "request_uri_not_supported"),
        ({"scope": None}, "invalid_scope"), ({"scope": "user/Nope.rs"}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"), ({"scope": "user/Patient.sr"}, "invalid_scope"),
        ({"scope": "patient/Observation.rs?date=2020"}, "invalid_scope"), ({"scope": "user/Patient.rs nonsense"}, "invalid_scope"),
        ({"scope": "fhirUser"}, "invalid_scope"), ({"scope": "user/*.rs offline_access online_access"}, "invalid_scope"),
        ({"scope": "offline_access"}, "invalid_scope"), ({"launch": "x"}, "invalid_request"),
        ({"scope": "launch user/*.rs"}, "invalid_request"), ({"nonce": ""}, "invalid_request"),
        ({"prompt": "none"}, "consent_required"),
    ],
)  # fmt: skip
async def test_a_fault_is_told_to_the_app_with_its_state(amira, app, change, error):
    where = app.address(**({"scope": "user/Patient.rs"} | change))
    said = query_of(await amira.client.get(where, follow_redirects=False))
    assert said["error"] == error and said["error_description"] and said["iss"] == BASE
    if "state" in change:
        assert "state" not in said
    else:
        assert said["state"] == "state-1"


@pytest.mark.asvs("v5.0.0-15.3.7")
async def test_a_repeated_parameter_is_a_fault(amira, app):
    for name in ("scope", "state", "aud", "code_challenge", "launch"):
        where = app.address("user/Patient.rs") + f"&{name}=x&{name}=y"
        assert (
            query_of(await amira.client.get(where, follow_redirects=False))["error"]
            == "invalid_request"
        )


@pytest.mark.asvs("v5.0.0-10.4.11")
async def test_an_app_asks_for_no_more_than_it_is_registered_for(amira, browser):
    modest = await registered(
        browser,
        scopes=("launch/patient", "patient/Observation.rs?category=laboratory"),
        launch_url=None,
    )
    for scope in (
        "patient/Observation.rs", "patient/Observation.rs?category=survey", "patient/Observation.c?category=laboratory",
        "user/Observation.rs?category=laboratory", "patient/Condition.rs", "patient/*.rs", "openid", "offline_access",
        "patient/Observation.rs?category=laboratory,survey",
    ):  # fmt: skip
        said = query_of(await amira.client.get(modest.address(scope), follow_redirects=False))
        assert said["error"] == "invalid_scope", scope
    for scope in (
        "patient/Observation.r?category=laboratory",
        "patient/Observation.s?category=laboratory&status=final",
    ):
        assert (
            await amira.client.get(modest.address(scope), follow_redirects=False)
        ).status_code == 200, scope


@pytest.mark.asvs("v5.0.0-10.7.1", "v5.0.0-3.5.1")
async def test_yes_is_said_on_our_page_only(amira, app):
    page = await amira.get(app.address("user/Patient.rs"))
    form = form_of(page)
    for csrf in (None, "", "AAAA", form["csrf"][:-4] + "AAAA"):
        sent = {k: v for k, v in (form | {"csrf": csrf}).items() if v is not None}
        answer = await amira.client.post("/oauth/authorize", data=sent, follow_redirects=False)
        assert answer.status_code == 403, csrf
    amira.client.cookies.clear()
    answer = await amira.client.post("/oauth/authorize", data=form, follow_redirects=False)
    assert answer.status_code == 403


@pytest.mark.asvs("v5.0.0-10.4.1", "v5.0.0-10.7.1", "v5.0.0-2.2.3")
async def test_the_answer_is_checked_like_the_question(amira, app):
    page = await amira.get(app.address("user/Patient.rs"))
    form = form_of(page)
    forged = form | {"asked": form["asked"].replace("app.example", "evil.example")}
    answer = await amira.client.post("/oauth/authorize", data=forged, follow_redirects=False)
    assert answer.status_code == 400 and "location" not in answer.headers
    forged = form | {"asked": form["asked"].replace("user%2FPatient.rs", "system%2F%2A.rs")}
    answer = await amira.client.post("/oauth/authorize", data=forged, follow_redirects=False)
    assert query_of(answer)["error"] == "invalid_scope"
    for asked in ("", "x" * 9000, "client_id=%FF", "&".join(f"a{i}=1" for i in range(100))):
        answer = await amira.client.post(
            "/oauth/authorize", data=form | {"asked": asked}, follow_redirects=False
        )
        assert answer.status_code == 400
