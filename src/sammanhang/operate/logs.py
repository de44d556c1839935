"""The server's log: what went wrong and when, on standard error, without what must not be there.

One record a line that begins with the time (UTC, RFC 3339), the level, the logger and the process; what
belongs to it, a stack trace, stands indented below, so that nothing sent to the server can look like a
record of its own. Credentials and identity numbers are struck out whoever wrote them: a fault in the
database, for one, quotes the row. Who did what is not here but in the trace (`access.audit`).

Sources: OWASP ASVS 5.0.0 16.2 and 16.4; HSLF-FS 2016:40 4 kap.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from sammanhang.kernel.settings import Settings

STRUCK = "[…]"
_SECRETS = (
    # A compact JWS or JWE, wherever it stands.
    re.compile(r"\beyJ[\w-]{5,}\.[\w-]*\.[\w.-]*"),
    # Authorization: Bearer …, Basic …
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]+|(?<=\bbasic )[\w+/=-]+"),
    # postgresql://user:password@host
    re.compile(r"(?<=://)[^\s/@]+(?=@)"),
    # name=value and "name": "value" of what opens doors; the cookies of sessions and log-ins
    re.compile(
        r"(?i)(?<![\w-])(?:password|passwd|client_secret|secret|code_verifier|code|state|nonce|csrf|access_token"
        r"|refresh_token|id_token|id_token_hint|assertion|client_assertion|logout_token"
        r"|(?:__Host-)?sammanhang[\w-]*)['\"]?\s*[=:]\s*['\"]?(?P<value>[^\s&;,'\"]{6,})"
    ),
    # Personal, coordination and reserve numbers: with the century or with the sign
    re.compile(
        r"(?<!\d)(?:18|19|20)?\d{2}(?:0\d|1[0-2]|[2-9]\d)(?:[0-3]|[6-9])\d[-+]\d{3}[\dA-Z](?!\d)"
    ),
    re.compile(
        r"(?<!\d)(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]|6[1-9]|[78]\d|9[01])\d{4}(?!\d)"
    ),
)
_LINES = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f]")


def struck(text: str) -> str:
    """The text without credentials and identity numbers."""
    for pattern in _SECRETS:
        text = pattern.sub(_strike, text)
    return text


def _strike(found: re.Match[str]) -> str:
    value = found.groupdict().get("value")
    return STRUCK if value is None else found[0][: -len(value)] + STRUCK


def plain(text: str) -> str:
    """The text without what moves a terminal's cursor."""
    return _CONTROL.sub("\ufffd", text)


class TextFormat(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and what belongs to it indented below."""
        first, *rest = _LINES.split(plain(struck(_said(record))))
        below = rest + ([plain(line) for line in _LINES.split(struck(_fault(self, record)))])
        head = f"{_time(record)} {record.levelname:7} {record.name} [{record.process}] {first}"
        return "\n".join([head, *(f"    {line}" for line in below if line)])


class JsonFormat(logging.Formatter):
    """An object a line for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "said": struck(_said(record)),
        }
        fault = _fault(self, record)
        if fault:
            line["fault"] = struck(fault)
        # Every letter beyond ASCII escaped: some of them are line breaks to some readers.
        return json.dumps(line)


def logging_of(settings: Settings) -> dict[str, Any]:
    """The logging of a server process, as `logging.config.dictConfig` takes it."""
    # What uvicorn says at level info (a process started, a process ended) `run` says itself.
    level = settings.log_level.upper()
    quiet = {"level": "WARNING" if level == "INFO" else level}
    kind = JsonFormat if settings.log_format == "json" else TextFormat
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"one": {"()": kind}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "one",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": quiet["level"], "handlers": ["stderr"]},
        # Clients of other systems quote whole addresses, with what stands in them.
        "loggers": {
            "sammanhang": {"level": level},
            "uvicorn": quiet,
            "uvicorn.error": quiet,
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            "psycopg": {"level": "WARNING"},
        },
    }


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _fault(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The stack trace that belongs to a record; empty without one."""
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
