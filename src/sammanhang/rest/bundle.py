"""Bundles written as bytes: stored resources go in as they are, never parsed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

_json = msgspec.json.Encoder()


def text(value: str) -> bytes:
    """A JSON string."""
    return _json.encode(value)


def instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


_MATCH = b',"search":{"mode":"match"}}'


class Writer:
    """Gathers the links and entries of a Bundle; `done` gives its bytes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.links: list[bytes] = []
        self.entries: list[bytes] = []

    def link(self, relation: str, url: str) -> None:
        self.links.append(b'{"relation":"%s","url":%s}' % (relation.encode(), text(url)))

    def match(self, full_url: str, body: bytes, mode: str = "match") -> None:
        """An entry of a searchset. Ids and types are URL-safe by their grammar: no escaping needed."""
        self.entries += (
            b'{"fullUrl":"' if not self.entries else b',{"fullUrl":"',
            full_url.encode(),
            b'","resource":',
            body,
            _MATCH if mode == "match" else b',"search":{"mode":"%s"}}' % mode.encode(),
        )

    def outcome(self, body: bytes) -> None:
        self._entry(b'{"resource":%s,"search":{"mode":"outcome"}}' % body)

    def _entry(self, entry: bytes) -> None:
        if self.entries:
            self.entries.append(b",")
        self.entries.append(entry)

    def history(
        self, full_url: str, body: bytes | None, method: str, url: str, version: Any
    ) -> None:
        resource = b'"resource":%s,' % body if body is not None else b""
        status = {"POST": b"201", "PUT": b"200", "DELETE": b"204"}[method]
        self._entry(
            b'{"fullUrl":"%s",%s"request":{"method":"%s","url":"%s"},"response":{"status":"%s",'
            b'"etag":"W/\\"%d\\"","lastModified":"%s"}}'
            % (
                full_url.encode(),
                resource,
                method.encode(),
                url.encode(),
                status,
                version.version,
                instant(version.updated).encode(),
            )
        )

    def response(
        self,
        status: str,
        *,
        location: str | None = None,
        version: int | None = None,
        updated: datetime | None = None,
        body: bytes | None = None,
        outcome: bytes | None = None,
        full_url: str | None = None,
    ) -> None:
        """An entry of a batch-response or transaction-response."""
        parts = [b'"status":%s' % text(status)]
        if location is not None:
            parts.append(b'"location":%s' % text(location))
        if version is not None:
            parts.append(b'"etag":"W/\\"%d\\""' % version)
        if updated is not None:
            parts.append(b'"lastModified":"%s"' % instant(updated).encode())
        if outcome is not None:
            parts.append(b'"outcome":%s' % outcome)
        head = b'"fullUrl":%s,' % text(full_url) if full_url else b""
        resource = b'"resource":%s,' % body if body is not None else b""
        self._entry(b'{%s%s"response":{%s}}' % (head, resource, b",".join(parts)))

    def done(self, total: int | None = None) -> bytes:
        """The Bundle."""
        parts = [b'{"resourceType":"Bundle","type":"%s"' % self.kind.encode()]
        if total is not None:
            parts.append(b',"total":%d' % total)
        if self.links:
            parts.append(b',"link":[%s]' % b",".join(self.links))
        if self.entries:
            parts += (b',"entry":[', *self.entries, b"]")
        parts.append(b"}")
        return b"".join(parts)
