"""HTTP as the server takes it: a request arrives in its time and its size, or the connection ends.

uvicorn waits for ever for a head that does not end and keeps whatever has come of it; one client could
hold thousands of connections open by sending a byte a minute. What a message is and where it ends is
llhttp's to say, in its strict mode: both Content-Length and Transfer-Encoding, two lengths, or a bare
line break are refused there (RFC 9112 6.3, request smuggling).
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
SECONDS = 60.0
STREAM = "sammanhang.stream"  # in the scope of an answer that lasts (`care.worklist.events`)
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nThe headers are too big.\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; `most_head` in bytes, `seconds` for a whole request to arrive."""

    most_head = MOST_HEAD
    seconds = SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._arriving = True  # a connection that says nothing is a request that does not come
        self._in_body = False
        self._head = self._fields = 0
        self._patience: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head > self.most_head and not self._in_body:
            self.send_400_response("")
        elif self._arriving:
            self._watch()
        else:
            self._rest()

    def on_message_begin(self) -> None:
        self._arriving, self._in_body, self._fields = True, False, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer: never a header of the request (RFC 9110 6.5.1)
        self._fields += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head = len(self.url) + self._fields
        if self._head > self.most_head:
            raise ValueError  # the parser stops, and `send_400_response` says why
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arriving, self._in_body, self._head = False, False, 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """The server stops: what is being answered is finished, but an answer that lasts (a page's stream of events)
        never is. It is cut; the page comes back to whoever serves then."""
        if (
            self.cycle is not None
            and not self.cycle.response_complete
            and self.cycle.scope.get(STREAM)
        ):
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Ends the connection with what was wrong: too large a head, or no HTTP."""
        if self._head > self.most_head:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _watch(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.seconds, self._cut)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _cut(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self.logger.warning("A request did not arrive in time; its connection was cut.")
            self.transport.close()


def bounded(most_head: int, seconds: float) -> type[BoundedProtocol]:
    """The protocol with these limits."""
    limits = {"most_head": most_head, "seconds": seconds}
    return type("BoundedProtocol", (BoundedProtocol,), limits)
