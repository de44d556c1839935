"""How the program is asked to end, and how long what it began may take to finish."""

from __future__ import annotations

import signal
import threading
from types import FrameType

DRAIN_SECONDS = 5


class Stopped(BaseException):
    """Somebody asked the program to end (Ctrl-C or SIGTERM); not an error."""


def stop_on_signals() -> None:
    """From now on Ctrl-C and SIGTERM raise `Stopped` in the main thread."""

    def raise_stopped(number: int, frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, raise_stopped)
