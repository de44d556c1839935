"""What no browser sends: broken heads, two lengths, slow bodies, borrowed addresses; over a real socket."""

from __future__ import annotations

import gzip
import json
import re
import time

import httpx
import psycopg
import pytest

from sammanhang.access.clients import demo_client

from .conftest import Running, status

pytestmark = pytest.mark.slow

HOST = "Host: 127.0.0.1"


@pytest.mark.asvs("v5.0.0-4.2.1")
@pytest.mark.parametrize(
    "head",
    [
        "POST /oauth/token HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked",
        "POST /oauth/token HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 5",
        "POST /oauth/token HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6",
        "POST /oauth/token HTTP/1.1\nHost: x\nContent-Length: 5, 6",
        "POST /oauth/token HTTP/1.1\nHost: x\nContent-Length: +5",
        "POST /oauth/token HTTP/1.1\nHost: x\nContent-Length: 0x5",
        "POST /oauth/token HTTP/1.1\nHost: x\nTransfer-Encoding: chunked, identity",
        "POST /oauth/token HTTP/1.1\nHost: x\nTransfer-Encoding : chunked",
        "POST /oauth/token HTTP/1.1\nHost: x\nX: y\n Content-Length: 5",
        "GET /health HTTP/1.1\nHost: x\nX\x00Y: z",
        "GET /health HTTP/1.1\nHost: x\n: empty",
        "GET  /health HTTP/1.1\nHost: x",
        "GET /health HTTP/9.9\nHost: x",
        "GET /hea\x01lth HTTP/1.1\nHost: x",
    ],
)
def test_a_request_two_could_read_differently_is_refused(server: Running, head: str) -> None:
    # The tail would be a request of its own to whoever took the other length.
    answer = server.say(
        head.replace("\n", "\r\n").encode("latin-1")
        + b"\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert status(answer) in (0, 400, 501), answer
    assert b"\r\n\r\nok" not in answer, "what was smuggled in was answered"


@pytest.mark.asvs("v5.0.0-4.2.1")
@pytest.mark.parametrize("size", ["-1", "fffffffffffffffff", "5;\nx", "", "0x5", "g"])
def test_a_chunk_with_a_wrong_size_is_refused(server: Running, size: str) -> None:
    answer = server.say(
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        + f"{size}\r\nhello\r\n0\r\n\r\n".encode()
        + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert status(answer) in (0, 400), answer
    assert b"\r\n\r\nok" not in answer


@pytest.mark.asvs("v5.0.0-4.2.1", "v5.0.0-15.3.7")
def test_a_trailer_never_becomes_a_header(server: Running) -> None:
    id, secret = demo_client(server.dsn, demo=True)
    form = {"grant_type": "client_credentials", "client_id": id, "client_secret": secret}
    token = httpx.post(f"{server.base}/oauth/token", data=form).json()["access_token"]
    answer = server.say(
        b"POST /fhir/Patient/_search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nTrailer: Authorization\r\n\r\n"
        b"0\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
    )
    assert status(answer) == 401, answer


@pytest.mark.asvs("v5.0.0-15.3.7")
@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Type", "X-CSRF-Token"])
def test_a_field_that_says_one_thing_may_not_stand_twice(server: Running, name: str) -> None:
    for path in ("/health", "/fhir/Patient"):
        if path.startswith("/fhir") and name == "X-CSRF-Token":
            continue
        twice = f"GET {path} HTTP/1.1\n{HOST}\n{name}: a\n{name}: b"
        assert status(server.ask(twice)) == 400, (path, name)


@pytest.mark.asvs("v5.0.0-15.2.2", "v5.0.0-2.4.1")
def test_a_head_too_large_is_refused_whether_it_ends_or_not(server: Running) -> None:
    large = "\n".join(f"X-{n}: {'a' * 1000}" for n in range(40))
    assert status(server.ask(f"GET /health HTTP/1.1\n{HOST}\n{large}")) == 431
    endless = server.say(b"GET /health HTTP/1.1\r\nX: " + b"a" * 40_000)
    assert status(endless) == 431
    address = server.say(b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(address) == 431


@pytest.mark.asvs("v5.0.0-15.2.2", "v5.0.0-2.4.1")
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ],
    ids=["nothing", "head", "body", "chunk"],
)
def test_a_request_that_does_not_come_is_cut_off(server: Running, begun: bytes) -> None:
    began = time.monotonic()
    # A letter now and then does not keep it open: the whole request has its time.
    server.say(begun, b"a", b"a", b"a", pause=0.5, patience=8)
    assert time.monotonic() - began < 5
    assert httpx.get(f"{server.base}/health").text == "ok"


@pytest.mark.asvs("v5.0.0-5.2.1")
def test_a_form_over_the_limit_is_refused_announced_or_not(server: Running) -> None:
    for headers in ({}, {"transfer-encoding": "chunked"}):
        form = iter([b"q=" + b"a" * 50_000, b"b" * 50_000])
        content = form if headers else b"q=" + b"a" * 100_000
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = httpx.post(
            f"{server.base}/login/assignment", content=content, headers=kind | headers
        )
        # Nobody is logged in, so nothing of it is read; a page that reads it says 413.
        assert answer.status_code in (303, 413)
    with httpx.Client(base_url=server.base, follow_redirects=True) as browser:
        page = browser.post(
            "/oidc/authorize", content=b"client_id=" + b"a" * 100_000,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        assert page.status_code == 413


@pytest.mark.asvs("v5.0.0-5.2.3", "v5.0.0-5.2.1")
def test_a_packed_body_is_not_unpacked(server: Running) -> None:
    id, secret = demo_client(server.dsn, demo=True)
    form = {"grant_type": "client_credentials", "client_id": id, "client_secret": secret}
    token = httpx.post(f"{server.base}/oauth/token", data=form).json()["access_token"]
    bomb = gzip.compress(b"[" * 10_000_000)
    for packed in ("gzip", "deflate", "br", "GZIP, gzip"):
        answer = httpx.post(
            f"{server.base}/fhir/Patient", content=bomb,
            headers={"authorization": f"Bearer {token}", "content-encoding": packed, "content-type": "application/fhir+json"},
        )  # fmt: skip
        assert answer.status_code == 415, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.asvs("v5.0.0-13.4.4", "v5.0.0-3.5.3")
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "TRACK", "PURGE", "OPTIONS"])
def test_no_method_gives_the_request_back(server: Running, method: str) -> None:
    for path in ("/", "/health", "/patients", "/static/app.css", "/fhir/Patient", "/oauth/token"):
        answer = server.ask(f"{method} {path} HTTP/1.1\n{HOST}\nX-Mine: echo-me-0815")
        assert status(answer) in (0, 303, 400, 401, 404, 405, 501), (path, answer[:200])
        assert b"echo-me-0815" not in answer


@pytest.mark.asvs("v5.0.0-3.7.2", "v5.0.0-4.1.3")
@pytest.mark.parametrize(
    "path", ["/", "/patients/", "/login?next=/", "/sessions/", "/static/nothing", "/nothing/here/"]
)
def test_the_host_a_client_names_stands_in_no_answer(server: Running, path: str) -> None:
    for more in ("", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example;proto=https"):
        for host in ("evil.example", "127.0.0.1:1@evil.example"):
            answer = server.ask(f"GET {path} HTTP/1.1\nHost: {host}\n{more or 'X-None: x'}")
            place = [x for x in answer.split(b"\r\n") if x.lower().startswith(b"location:")]
            head = place[0].split(b"?")[0] if place else b""
            assert b"evil.example" not in head, answer[:400]
            if b"/static" not in path.encode():
                assert b"evil.example" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.asvs("v5.0.0-3.7.2")
@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "//evil.example/x/", "/\\evil.example/", "/%2fevil.example/", "/%5cevil.example/"],
)  # fmt: skip
def test_a_path_that_looks_like_a_host_leads_to_no_host(server: Running, path: str) -> None:
    answer = server.ask(f"GET {path} HTTP/1.1\n{HOST}")
    to = re.search(rb"\r\nlocation: (.*)\r\n", answer)
    if to is None:
        assert status(answer) in (400, 404), answer[:300]
    else:  # to the same path without its slash at the end, written so that it can only be a path
        assert re.fullmatch(rb"/[^/\\].*", to[1]) and b"//" not in to[1], to[1]


@pytest.mark.asvs("v5.0.0-4.1.3", "v5.0.0-15.3.4")
def test_nobody_borrows_an_address_by_a_header(server: Running) -> None:
    borrowed = "203.0.113.77"
    httpx.post(
        f"{server.base}/oauth/token", data={"client_id": "nobody", "client_secret": "x"},
        headers={"X-Forwarded-For": borrowed, "X-Real-IP": borrowed, "Forwarded": f"for={borrowed}"},
    )  # fmt: skip
    with psycopg.connect(server.dsn) as connection:
        rows = connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at DESC LIMIT 20"
        ).fetchall()
    lines = [json.loads(line) for (text,) in rows for line in text.splitlines()]
    tokens = [x for x in lines if x["action"] == "token"]
    assert tokens and all(x["details"]["address"] == "127.0.0.1" for x in tokens)


@pytest.mark.asvs("v5.0.0-1.2.1")
@pytest.mark.parametrize("end", ["%0d%0aX-Injected:%20yes", "%0aX-Injected:%20yes", "%E5%98%8AX-Injected"])  # fmt: skip
def test_no_parameter_becomes_a_header(server: Running, end: str) -> None:
    for path in (
        f"/login?next=/patients{end}", f"/{end}", f"/patients/{end}", f"/settings/theme/dark{end}",
        f"/oidc/end_session?post_logout_redirect_uri=/{end}&state={end}", f"/fhir/Patient?name={end}",
        f"/login/callback?state={end}&code={end}", f"/oidc/authorize?state={end}",
    ):  # fmt: skip
        head = server.ask(f"GET {path} HTTP/1.1\n{HOST}").partition(b"\r\n\r\n")[0].lower()
        assert not any(x.strip().startswith(b"x-injected") for x in head.splitlines()), path


@pytest.mark.asvs("v5.0.0-4.1.3", "v5.0.0-13.4.5")
def test_the_server_does_not_tell_what_it_is_made_of(server: Running) -> None:
    for path in ("/health", "/", "/nothing", "/fhir/metadata", "/static/app.css"):
        headers = httpx.get(f"{server.base}{path}").headers
        assert "server" not in headers and "x-powered-by" not in headers


@pytest.mark.asvs("v5.0.0-4.4.1")
def test_there_is_no_websocket(server: Running) -> None:
    upgrade = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13"
    answer = server.ask(
        f"GET /health HTTP/1.1\n{HOST}\n{upgrade}\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    assert status(answer) != 101
