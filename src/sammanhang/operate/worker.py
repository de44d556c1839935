"""One server process: serves the application on a socket it was handed.

Started by `operate.server` as `python -m sammanhang.operate.worker APPLICATION SOCKET READY`, the
last two being file descriptors. A byte on READY says that it takes requests.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvicorn

from sammanhang.kernel.settings import Settings
from sammanhang.operate.postmaster import die_with_parent
from sammanhang.operate.stopping import DRAIN_SECONDS


class _Server(uvicorn.Server):
    """A uvicorn server that tells its supervisor when it takes requests."""

    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            os.write(self._ready, b"1")
            os.close(self._ready)


def main(application: str, listening: int, ready: int) -> int:
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
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level=settings.log_level if settings.log_level != "info" else "warning",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config, ready)
    server.run(sockets=[socket.socket(fileno=listening)])
    return 0 if server.started else 1


if __name__ == "__main__":
    # Between start and uvicorn's own handlers a stop is answered by simply ending.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
