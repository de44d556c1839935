"""One FHIR request: path, query, headers, body, who asks; and the answers it can get."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from sammanhang.access.actor import Actor
from sammanhang.access.services import Services
from sammanhang.kernel.errors import Invalid, TooLarge, Unsupported

FHIR_JSON = b"application/fhir+json; charset=utf-8"
JSON_TYPES = {"application/fhir+json", "application/json", "text/json", "application/json+fhir"}
PATCH_TYPES = {"application/json-patch+json", *JSON_TYPES}
MOST_FIELDS = 200
_SAFE = re.compile(r"[A-Za-z0-9_.~:,|$/-]*")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(slots=True)
class Answer:
    """Status, headers and body of an answer; body None sends none."""

    status: int = 200
    body: bytes | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass
class FhirRequest:
    """What the interactions work with. `path` is the segments after the base.

    protected  names of the people with protected identity that an answer is about (`rest.protected`)
    traces     entries of the trace that must be durable before the answer leaves
    """

    services: Services
    method: str
    path: list[str]
    query: str
    headers: dict[bytes, bytes]
    receive: Receive
    base: str
    actor: Actor
    id: str
    _body: bytes | None = None
    protected: dict[str, frozenset[str]] = field(default_factory=dict)
    traces: list[Awaitable[None]] = field(default_factory=list)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Decoded (name, value) pairs of the query string. Raises `Invalid` when there are too many."""
        query = self.query
        if (
            "%" not in query
            and "+" not in query
            and query.isascii()
            and query.count("&") < MOST_FIELDS
        ):
            parts = [p.partition("=") for p in query.split("&") if p]
            return [(name, value) for name, _, value in parts]
        try:
            return parse_qsl(
                self.query, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
            )
        except (ValueError, UnicodeDecodeError):
            raise Invalid(
                "The query string cannot be read.", "Frågesträngen går inte att läsa."
            ) from None

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None

    def preference(self, name: str) -> str | None:
        """A preference of the Prefer header: `return`, `handling`."""
        for part in (self.header(b"prefer") or "").replace(",", ";").split(";"):
            key, _, value = part.strip().partition("=")
            if key.lower() == name:
                return value.strip('" ')
        return None

    @property
    def swedish(self) -> bool:
        return (self.header(b"accept-language") or "").lower().startswith("sv")

    async def body(self) -> bytes:
        """The whole body. Raises `TooLarge` over the limit, before reading more."""
        if self._body is not None:
            return self._body
        packed = self.header(b"content-encoding")
        if packed is not None and packed.strip().lower() != "identity":
            # Nothing is unpacked, so nothing small can grow large here (RFC 9110 15.5.16).
            raise Unsupported(
                f"Send the body as it is, not in the encoding '{packed[:40]}'.",
                f"Skicka innehållet som det är, inte i kodningen ”{packed[:40]}”.",
                status=415,
            )
        limit = self.services.settings.max_body_bytes
        announced = self.header(b"content-length")
        if announced and announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        parts, size = [], 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Invalid("The request broke off.", "Anropet avbröts.")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            parts.append(chunk)
            if not message.get("more_body"):
                break
        self._body = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._body

    async def form(self) -> list[tuple[str, str]]:
        """The pairs of a form body (search by POST)."""
        try:
            text = (await self.body()).decode("utf-8")
            if text and self.content_type() != "application/x-www-form-urlencoded":
                raise Unsupported(
                    "A search by POST is sent as application/x-www-form-urlencoded.",
                    "En sökning med POST skickas som application/x-www-form-urlencoded.",
                    status=415,
                )
            return parse_qsl(text, keep_blank_values=True, max_num_fields=200, errors="strict")
        except ValueError:
            raise Invalid("The form cannot be read.", "Formuläret går inte att läsa.") from None

    def content_type(self) -> str:
        return (self.header(b"content-type") or "").split(";")[0].strip().lower()

    def check_json(self, accepted: set[str] = JSON_TYPES) -> None:
        """The body must be JSON. Raises `Unsupported` (415) that says XML is not taken."""
        kind = self.content_type()
        if kind not in accepted:
            xml = " XML is not taken." if "xml" in kind else ""
            raise Unsupported(
                f"Content-Type must be application/fhir+json, not '{kind[:60]}'.{xml}",
                f"Content-Type ska vara application/fhir+json, inte ”{kind[:60]}”.",
                status=415,
            )

    def check_accept(self) -> None:
        """The caller must take JSON. Raises `Unsupported` (406)."""
        asked = None
        if "_format" in self.query:
            asked = next((v for k, v in self.pairs if k == "_format"), None)
        if asked is None:
            asked = self.header(b"accept")
        if not asked or "json" in asked or "*" in asked:
            return
        raise Unsupported(
            f"Only JSON is given, not '{asked[:60]}'.",
            f"Bara JSON lämnas ut, inte ”{asked[:60]}”.",
            status=406,
        )

    def link(self, path: str, pairs: list[tuple[str, str]]) -> str:
        """An absolute URL under the base."""
        query = "&".join([f"{_quoted(k)}={_quoted(v)}" for k, v in pairs])
        return f"{self.base}/{path}" + (f"?{query}" if query else "")


def _quoted(text: str) -> str:
    """A name or value as a URL has it; most need no change."""
    return text if _SAFE.fullmatch(text) else quote_plus(text, safe=":,|$/")


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over {limit} bytes.", f"Innehållet är större än {limit} byte.")


@lru_cache(maxsize=8192)
def _http_date(second: datetime) -> str:
    return format_datetime(second, usegmt=True)


def http_date(at: datetime) -> str:
    """A time as HTTP headers write it."""
    return _http_date(at.astimezone(UTC).replace(microsecond=0))


def not_modified(fr: FhirRequest, version: int, updated: datetime) -> bool:
    """Whether the caller has this version already (If-None-Match, If-Modified-Since)."""
    tag = fr.headers.get(b"if-none-match")
    if tag is not None:
        return f'"{version}"' in tag.decode("latin-1") or tag == b"*"
    since = fr.header(b"if-modified-since")
    if since:
        try:
            return updated.replace(microsecond=0) <= parsedate_to_datetime(since)
        except (TypeError, ValueError):
            return False
    return False


def whole(name: str, text: str) -> int:
    """A whole number that fits the database, of either sign; raises `Invalid`."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise Invalid(f"{name} must be a whole number.", f"{name} ska vara ett heltal.")
    return max(-(2**63), min(int(text), 2**63 - 1))


def version_wanted(fr: FhirRequest) -> int | None:
    """The version in If-Match; None without one. Raises `Invalid` when it is not a version tag."""
    tag = fr.header(b"if-match")
    if tag is None or tag.strip() == "*":
        return None
    text = tag.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Invalid('If-Match is written W/"3".', 'If-Match skrivs W/"3".')
    return int(text)


def versioned(body: bytes | None, version: int, updated: datetime, status: int = 200) -> Answer:
    """An answer with a resource version: ETag and Last-Modified."""
    return Answer(
        status,
        body,
        [
            (b"etag", b'W/"%d"' % version),
            (b"last-modified", http_date(updated).encode()),
        ],
    )
