"""What must never be in the server's log, on an error page, or in an address: flows are driven and read."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from sammanhang.access.clients import create_client, demo_client
from sammanhang.fhir.decode import decode
from sammanhang.store.bulk import load

from .conftest import Running

pytestmark = pytest.mark.slow

SVEA = "193711042386"
NUMBER = re.compile(r"(?:19|20)\d{6}-?\d{4}")
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


class Person:
    """Somebody at a browser; every address they are led to and every secret they are given is kept."""

    def __init__(self, base: str) -> None:
        self.addresses: list[str] = []
        self.secrets: set[str] = set()
        self.client = httpx.Client(base_url=base, follow_redirects=True)
        self.client.event_hooks["response"] = [self._note]

    def _note(self, response: httpx.Response) -> None:
        self.addresses.append(str(response.request.url))
        for name in ("code", "state", "nonce", "code_challenge"):
            for value in parse_qs(urlsplit(str(response.request.url)).query).get(name, []):
                self.secrets.add(value)
        for cookie in self.client.cookies.jar:
            if "sammanhang" in cookie.name and cookie.value:
                self.secrets.add(cookie.value)

    def log_in(self, name: str, kind: str = "") -> httpx.Response:
        page = self.client.get("/login")
        asked = dict(httpx.QueryParams(page.url.query)) | _hidden(page)
        found = self.client.get("/oidc/authorize", params=asked | {"q": name, "kind": kind})
        person = re.search(r'name="person" value="([^"]+)"', found.text)
        assert person is not None, name
        page = self.client.post(
            "/oidc/authorize", data=asked | _hidden(found) | {"person": person[1]}
        )
        choice = re.search(r'name="assignment" value="([^"]+)"', page.text)
        if page.url.path == "/login/assignment" and choice:
            page = self.send("/login/assignment", page, assignment=choice[1], next="/")
        return page

    def send(self, address: str, page: httpx.Response, **form: str) -> httpx.Response:
        csrf = _hidden(page).get("csrf", "")
        self.secrets.add(csrf)
        return self.client.post(address, data={"csrf": csrf, **form})


def _hidden(page: httpx.Response) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}


@pytest.mark.asvs(
    "v5.0.0-16.2.5", "v5.0.0-14.2.1", "v5.0.0-14.2.4", "v5.0.0-16.5.1", "v5.0.0-13.3.2"
)
def test_no_log_line_error_page_or_address_holds_a_secret_or_an_identity_number(
    server: Running,
) -> None:
    id, secret = demo_client(server.dsn, demo=True)
    other, secret_2 = create_client(server.dsn, "Prov", ["system/*.rs"])
    secrets = {secret, secret_2, "a-guessed-secret-0815"}
    base = server.base

    # Programs: right and wrong secrets, both ways of sending them; good, forged and foreign tokens.
    form = {"grant_type": "client_credentials"}
    token = httpx.post(f"{base}/oauth/token", data=form, auth=(id, secret)).json()["access_token"]
    httpx.post(f"{base}/oauth/token", data=form | {"client_id": other, "client_secret": secret_2})
    httpx.post(f"{base}/oauth/token", data=form, auth=(id, "a-guessed-secret-0815"))
    forged = token[:-6] + "AAAAAA"
    secrets |= {token, forged}
    shown = []
    for bearer in (token, forged, "eyJhbGciOiJub25lIn0.e30."):
        for path in (
            f"Patient?identifier={SVEA}", f"Patient?identifier=http://x|{SVEA}&_format=xml", "Patient?birthdate=x",
            f"Patient/{SVEA}/x/y", f"{SVEA}", "Observation?code=%00",
        ):  # fmt: skip
            answer = httpx.get(f"{base}/fhir/{path}", headers={"authorization": f"Bearer {bearer}"})
            shown.append((path, answer))
        body = {"resourceType": "Patient", "identifier": [{"value": SVEA}], "birthDate": "x"}
        shown.append(
            (
                "",
                httpx.post(
                    f"{base}/fhir/Patient", json=body, headers={"authorization": f"Bearer {bearer}"}
                ),
            )
        )

    # People: log-in, search by number, a stranger's record, a forged form, a wrong answer, log-out.
    amira = Person(base)
    amira.log_in("Amira Haddad")
    page = amira.client.get("/patients")
    found = amira.send("/patients", page, q=SVEA)
    assert "Svea Andersson" in found.text
    amira.send("/command", page, q=SVEA)
    for address in ("/patients/jonas-lindgren", "/patients/nobody", "/nothing", "/me"):
        shown.append((address, amira.client.get(address)))
    shown.append(("", amira.client.post("/sessions", data={"csrf": "forged", "session": "others"})))
    shown.append(("", amira.client.get("/login/callback?code=a-guessed-secret-0815&state=nobodys")))
    svea = Person(base)
    svea.log_in("Svea Andersson", "resident")
    svea.client.get("/me")
    svea.send("/logout", svea.client.get("/logout"))
    secrets |= amira.secrets | svea.secrets
    with psycopg.connect(server.dsn) as connection:
        rows = connection.execute(
            "SELECT id_token, encode(id, 'hex') FROM access.session"
        ).fetchall()
        keys = connection.execute("SELECT private::text FROM access.signing_key").fetchall()
        hashes = connection.execute("SELECT secret FROM access.client").fetchall()
    secrets |= {text for row in (*rows, *keys, *hashes) for text in row if text}
    secrets = {s for s in secrets if len(s) > 8}
    assert len(secrets) > 15

    for text in secrets:
        assert text not in server.logged
    assert NUMBER.search(server.logged) is None
    for asked, answer in shown:
        for text in secrets:
            assert text not in answer.text or text in asked, answer.text[:500]
        for word in ("Traceback", "psycopg", "SELECT ", "/sammanhang/", "site-packages", 'File "'):
            assert word not in answer.text, answer.text[:500]
        own = set(NUMBER.findall(answer.text)) - {SVEA if SVEA in asked else ""}
        assert not own or answer.request.method == "POST", (asked, own)
    for address in amira.addresses + svea.addresses:
        assert NUMBER.search(address) is None, address
        assert not any(cookie in address for cookie in amira.client.cookies.values())
    # The shut door of a stranger names nobody.
    assert "Jonas" not in next(a.text for p, a in shown if p == "/patients/jonas-lindgren")


@pytest.mark.asvs("v5.0.0-8.2.3", "v5.0.0-16.2.5", "v5.0.0-16.5.1")
def test_a_protected_identity_is_in_no_error_no_list_and_no_log(server: Running) -> None:
    with psycopg.connect(server.dsn) as connection:
        found = connection.execute(
            "SELECT id, convert_from(body, 'UTF8')::jsonb FROM store.patient"
            " WHERE convert_from(body, 'UTF8') ~ 'sekretessmarkering|skyddadFolkbokforing' LIMIT 5"
        ).fetchall()
    if not found:
        load(server.dsn, [_hidden_person()])
        found = [("protected-p", {"name": [{"family": "Gömdqvist", "given": ["Hedda"]}]})]
    amira = Person(server.base)
    amira.log_in("Amira Haddad")
    page = amira.client.get("/patients")
    for id, body in found:
        family = body["name"][0]["family"]
        given = " ".join(body["name"][0]["given"])
        for answer in (
            amira.client.get(f"/patients/{id}"),
            amira.client.get(f"/patients/{id}/nothing"),
            amira.client.post(f"/patients/{id}/reason", data={"csrf": "x"}),
            amira.send(f"/patients/{id}/reason", page, reason="no-such-reason"),
            amira.send("/patients", page, q=f"{given} {family}"),
        ):
            title = re.sub(
                r'(?s)<input type="search".*?>|<div class="note"><h2>.*?</h2>', "", answer.text
            )
            assert f"{given} {family}" not in title, answer.url
            assert id not in answer.text or answer.status_code in (200, 403)
        assert f"{given} {family}" not in server.logged


def _hidden_person() -> Any:
    label = {
        "system": "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel",
        "code": "sekretessmarkering",
    }
    body = {
        "resourceType": "Patient", "id": "protected-p", "meta": {"security": [label]}, "birthDate": "1980-01-01",
        "name": [{"family": "Gömdqvist", "given": ["Hedda"]}],
    }  # fmt: skip
    return decode(json.dumps(body).encode())


@pytest.mark.asvs("v5.0.0-16.2.5", "v5.0.0-13.3.1")
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://care:s3cret-w0rd@127.0.0.1:1/care",
        "postgresql://care:s3cret-w0rd%zz@127.0.0.1:1/care",
        "host=127.0.0.1 port=1 user=care password=s3cret-w0rd nonsense",
        "host=127.0.0.1 port=1 user=care password=s3cret-w0rd",
    ],
)
def test_the_databases_password_is_never_shown(dsn: str) -> None:
    for command in (["check"], ["settings"], ["run"]):
        ended = subprocess.run(
            [sys.executable, "-m", "sammanhang.cli", *command],
            env=os.environ | {"SAMMANHANG_DATABASE_URL": dsn, "SAMMANHANG_PORT": "18999"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "s3cret-w0rd" not in ended.stdout + ended.stderr, ended.stderr
