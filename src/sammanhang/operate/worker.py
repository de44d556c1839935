"""One server process: serves the application on a socket it was handed.

Started by `operate.server` as `python -m sammanhang.operate.worker APPLICATION SOCKET READY SHARES
PLACE PROCESSES`. The first three numbers are file descriptors: a byte on READY says that it takes
requests; SHARES holds how many connections each process has, this one's at PLACE.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, cast

import uvicorn

from sammanhang.kernel.settings import Settings
from sammanhang.operate.listening import ABSENT, CountedConnections, EvenListener, Shares
from sammanhang.operate.logs import logging_of
from sammanhang.operate.postmaster import die_with_parent
from sammanhang.operate.protocol import bounded
from sammanhang.operate.stopping import DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Handed:
    """What the supervisor hands to a worker."""

    listening: int
    ready: int
    shares: int
    place: int
    processes: int


class _Server(uvicorn.Server):
    """A uvicorn server that shares its socket evenly and tells when it takes requests."""

    def __init__(self, config: uvicorn.Config, handed: Handed) -> None:
        super().__init__(config)
        self._handed = handed
        self._shares = Shares(handed.shares, handed.processes)
        self._connections = CountedConnections(self._shares, handed.place)
        self.server_state.connections = self._connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Without sockets uvicorn starts the application and leaves the listening to us.
        await super().startup(sockets=[])
        self._shares.set(self._handed.place, 0)
        listening = socket.socket(fileno=self._handed.listening)
        listener = EvenListener(listening, self._connections, self._shares, self._protocol)
        self.servers.append(cast(Any, listener))
        os.write(self._handed.ready, b"1")
        os.close(self._handed.ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shares.set(self._handed.place, ABSENT)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make = cast(Any, self.config.http_protocol_class)
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def main(application: str, handed: Handed) -> int:
    """Serve until told to stop; 0 after a clean stop, 1 if the application could not start."""
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:
        return 1
    settings = Settings.load()
    config = uvicorn.Config(
        application,
        factory=True,
        loop="uvloop",
        http=bounded(settings.max_head_bytes, settings.request_seconds),
        ws="none",
        lifespan="on",
        # Addresses hold names and identity numbers: the trace says who asked for what, the log never.
        access_log=False,
        server_header=False,
        # Nobody but the proxies that the settings name is believed about who asks.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        log_config=logging_of(settings),
        # What uvicorn says at level info (a process started, a process ended) run says itself.
        log_level=settings.log_level if settings.log_level != "info" else "warning",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config, handed)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    # Between start and uvicorn's own handlers a stop is answered by simply ending.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(sys.argv[1], Handed(*map(int, sys.argv[2:]))))
