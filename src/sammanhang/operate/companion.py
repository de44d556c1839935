"""A process that runs beside the server: the jobs. It is replaced when it ends, and stopped with the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from .stopping import DRAIN_SECONDS

_PAUSE = 2.0  # seconds before one that ended is started anew


class Companion:
    """`python -m MODULE` beside the server; what it says goes where the server's words go."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._again = 0.0

    def look(self, say: Callable[[str], None]) -> None:
        """Starts it when it does not run."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            say(f"The process for {self.name} ended (exit code {code}); starting another.")
            self._process, self._again = None, time.monotonic() + _PAUSE
        if time.monotonic() >= self._again:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C goes to the server alone
            )

    def stop(self) -> None:
        """Asks it to end, and insists when it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
