"""The server's log: one record a line, in UTC, and nothing in it that must not be."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re

import pytest

from sammanhang.kernel.settings import Settings
from sammanhang.operate.logs import JsonFormat, TextFormat, logging_of, struck

RECORD = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) +\S+ \[\d+\] "
)


def record(message: str, *values: object, fault: bool = False) -> logging.LogRecord:
    """A record as the code makes one."""
    info = None
    if fault:
        try:
            raise ValueError(
                "Key (identifier)=(193711042386)\n2026-01-01T00:00:00.000Z ERROR forged"
            )
        except ValueError as e:
            info = (type(e), e, e.__traceback__)
    return logging.LogRecord("sammanhang.x", logging.ERROR, __file__, 1, message, values, info)


@pytest.mark.asvs("v5.0.0-16.2.5", "v5.0.0-14.2.4")
@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abc.def-ghi_jkl~mno", "authorization: basic ZGVtbzpzZWNyZXQ=",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "postgresql://user:hunter22@db/x",
        "client_secret=Zm9vYmFyYmF6", "'password': 'hunter22'", '{"refresh_token":"abcdef123"}',
        "Cookie: __Host-sammanhang=Zm9vYmFyYmF6", "sammanhang-login-abc=Zm9vYmFyYmF6",
        "/login/callback?code=Zm9vYmFyYmF6&state=c3RhdGVzdGF0ZQ", "code_verifier=Zm9vYmFyYmF6",
    ],
)  # fmt: skip
def test_credentials_are_struck_out(secret: str) -> None:
    text = struck(f"before {secret} after")
    for value in ("abc.def", "ZGVtbz", "eyJzdWI", "hunter22", "Zm9vYmFy", "abcdef123", "c3RhdGVz"):
        assert value not in text, text
    assert text.startswith("before ") and text.endswith(" after")


@pytest.mark.asvs("v5.0.0-16.2.5")
@pytest.mark.parametrize(
    "number",
    [
        "193711042386",
        "19371104-2386",
        "371104-2386",
        "371104+2386",
        "196109732393",
        "19610973-2393",
    ],
)
def test_identity_numbers_are_struck_out(number: str) -> None:
    assert struck(f"Key (value)=({number}) exists") == "Key (value)=([…]) exists"


def test_what_is_no_identity_number_stays() -> None:
    for text in (
        "2026-11-22T09:00:00.000Z",
        "in 12345678 ms",
        "200 193711042386999 rows",
        "1.2.752.29",
    ):
        assert struck(text) == text


@pytest.mark.asvs("v5.0.0-16.4.1")
@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "\x1b[2J\x1b[1A", "\x00", "\x9b1A"]
)
def test_nothing_sent_to_us_can_look_like_a_record(end: str) -> None:
    forged = "2026-01-01T00:00:00.000Z ERROR sammanhang [1] all is well"
    text = TextFormat().format(record("request %s failed", f"x{end}{forged}"))
    assert len([line for line in text.splitlines() if RECORD.match(line)]) == 1
    assert "\x1b" not in text and "\x00" not in text and "\x9b" not in text
    line = JsonFormat().format(record("request %s failed", f"x{end}{forged}"))
    assert len(line.splitlines()) == 1 and forged in json.loads(line)["said"]


@pytest.mark.asvs("v5.0.0-16.2.1", "v5.0.0-16.2.2", "v5.0.0-16.2.4", "v5.0.0-16.3.4")
def test_a_record_says_when_where_and_what() -> None:
    text = TextFormat().format(record("request %s failed", 7, fault=True))
    first, *rest = text.split("\n")
    assert RECORD.match(first) and first.endswith(f"sammanhang.x [{os.getpid()}] request 7 failed")
    assert rest and all(line.startswith("    ") for line in rest)
    assert "ValueError" in text and "193711042386" not in text
    found = json.loads(JsonFormat().format(record("request %s failed", 7, fault=True)))
    assert found.keys() == {"at", "level", "logger", "process", "said", "fault"}
    assert found["at"].endswith("Z") and "193711042386" not in found["fault"]


@pytest.mark.asvs("v5.0.0-16.2.3", "v5.0.0-13.4.2")
def test_the_log_goes_to_one_place_at_one_level(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        logging.config.dictConfig(logging_of(Settings(log_format="json")))
        logging.getLogger("sammanhang.x").info("shown")
        logging.getLogger("sammanhang.x").debug("not shown")
        logging.getLogger("httpx").info("GET https://idp.example/token?code=abcdefgh")
        logging.getLogger("uvicorn.error").info("not shown either")
        out, err = capfd.readouterr()
        assert out == "" and [json.loads(x)["said"] for x in err.splitlines()] == ["shown"]
    finally:
        logging.root.handlers[:], logging.root.level = before
