"""Browsers' apps from elsewhere: which pages of other origins may read answers of ours (CORS).

Only origins that an app in use is registered with, only the endpoints a SMART app needs, never with
cookies: there a bearer token decides, and an origin alone opens nothing. Source: Fetch standard 3.2.
"""

from __future__ import annotations

from typing import Any

from sammanhang.store.database import Database

from .clients import apps_in_use
from .clients_registration import origin_of

PATHS = (
    "/fhir",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/jwks",
    "/.well-known/openid-configuration",
)
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = (
    b"accept, accept-language, authorization, content-type, if-match, if-modified-since, if-none-exist,"
    b" if-none-match, prefer"
)
SHOWN = b"content-location, etag, last-modified, location, retry-after, www-authenticate"
_MAX_AGE = b"600"


def concerns(path: str) -> bool:
    """Whether apps of other origins may have business at a path."""
    return path in PATHS or path.startswith("/fhir/")


def origin_in(scope: dict[str, Any]) -> bytes | None:
    """The Origin header of a request; None without one."""
    for name, value in scope["headers"]:
        if name == b"origin":
            return bytes(value)
    return None


async def across(app: Any, database: Database, origin: bytes, scope: Any, receive: Any, send: Any) -> None:  # fmt: skip
    """Answers a request that comes from another origin: preflights here, the rest with its headers."""
    known = origin.decode("latin-1") in {
        origin_of(uri) for client in await apps_in_use(database) for uri in client.redirect_uris
    }
    allowed = [(b"access-control-allow-origin", origin)] if known else []
    wanted = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    if scope["method"] == "OPTIONS" and wanted:
        headers = [(b"vary", b"Origin"), (b"content-length", b"0"), *allowed]
        if known:
            headers += [
                (b"access-control-allow-methods", METHODS), (b"access-control-allow-headers", HEADERS),
                (b"access-control-max-age", _MAX_AGE),
            ]  # fmt: skip
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return

    async def with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            more = [(b"vary", b"Origin"), *allowed]
            if known:
                more.append((b"access-control-expose-headers", SHOWN))
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    await app(scope, receive, with_headers)
