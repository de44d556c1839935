"""The whole server as it runs, on a small region, and a plain socket to say to it what no browser would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sammanhang.web.testing import own_town

__all__ = ["own_town", "server"]
LIMITS = {
    "SAMMANHANG_REQUEST_SECONDS": "2",
    "SAMMANHANG_MAX_HEAD_BYTES": "16384",
    "SAMMANHANG_MAX_FORM_BYTES": "65536",
    "SAMMANHANG_PROCESSES": "1",
    "SAMMANHANG_LOG_LEVEL": "debug",
}


@dataclass
class Running:
    """A server: where it is, and what it has written to its log."""

    port: int
    log: Path
    dsn: str

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def logged(self) -> str:
        return self.log.read_text("utf-8")

    def say(self, *parts: bytes, pause: float = 0.0, patience: float = 10.0) -> bytes:
        """Sends bytes as they are and returns all that comes back until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as wire:
            heard = b""
            try:
                for part in parts:
                    wire.sendall(part)
                    time.sleep(pause)
                while more := wire.recv(65536):
                    heard += more
                    wire.settimeout(0.5)
            except (TimeoutError, ConnectionError):
                pass
            return heard

    def ask(self, head: str, body: bytes = b"") -> bytes:
        """One request whose head is written as lines; the answer, after which the server hangs up."""
        lines = [line.strip() for line in head.strip().splitlines()] + ["Connection: close"]
        return self.say("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def status(answer: bytes) -> int:
    """The status of an answer; 0 for none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def server(own_town: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on a region of its own, with narrow limits, its log in a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    log = tmp_path_factory.mktemp("log") / "server.log"
    program = ["sammanhang.operate.tests.serve", "sammanhang.web.app:create_app"]
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", *program],
            env=os.environ
            | LIMITS
            | {"SAMMANHANG_PORT": str(port), "SAMMANHANG_DATABASE_URL": own_town},
            stdout=out,
            stderr=out,
        )
    running = Running(port, log, own_town)
    patience = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{running.base}/health", timeout=1)
            break
        except httpx.HTTPError:
            assert started.poll() is None and time.monotonic() < patience, running.logged
            time.sleep(0.1)
    yield running
    started.terminate()
    started.wait(20)
