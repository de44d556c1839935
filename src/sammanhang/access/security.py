"""What answers of pages and of the API have in common for a browser's safety."""

from __future__ import annotations

Headers = tuple[tuple[bytes, bytes], ...]

HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
"""Where people reach the server by https, browsers use nothing else for a year (RFC 6797)."""

API_HEADERS: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # An answer of the API is no page: opened as one, it may load nothing, run nothing, be framed by nobody.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
