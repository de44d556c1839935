"""Progress of what takes longer than two seconds: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

QUIET_SECONDS = 2.0
_BAR_EVERY = 0.1
_LINE_EVERY = 5.0
_BAR_WIDTH = 24


class Progress:
    """Shows how far a piece of work has come; silent for the first two seconds.

    Call it with a sentence (what is happening now), with a count and a total, or with both by
    name. On a terminal one line is redrawn; otherwise a line is printed every few seconds.
    """

    def __init__(self, label: str, unit: str = "", *, stream: TextIO | None = None) -> None:
        self.label = label
        self.unit = unit
        self.done: int | None = None
        self.total: int | None = None
        self.note = ""
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._shown_at = 0.0
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(
        self,
        now: str | int | None = None,
        of: int | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
        note: str | None = None,
    ) -> None:
        """Say what is happening (`now` a text) or how far it has come (`now` a count)."""
        if isinstance(now, str):
            note = now
        elif now is not None:
            done = now
        total = of if of is not None else total
        self.done = self.done if done is None else done
        self.total = self.total if total is None else total
        self.note = self.note if note is None else note
        self._show()

    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._started

    def close(self) -> None:
        """Leave the last state on a line of its own, if anything was shown."""
        if self._drawn and self._terminal:
            self._show(at_once=True)
            self._stream.write("\n")
            self._stream.flush()
        self._drawn = False

    def text(self) -> str:
        """The state in words and numbers."""
        parts = [self.label]
        if self.done is not None:
            if self.total:
                share = min(1.0, self.done / self.total)
                filled = round(share * _BAR_WIDTH)
                bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
                parts.append(f"{bar} {share:4.0%} {_number(self.done)} of {_number(self.total)}")
            else:
                parts.append(_number(self.done))
            if self.unit:
                parts.append(self.unit)
            if self.seconds() > 1:
                parts.append(f"({_number(round(self.done / self.seconds()))}/s)")
        if self.note:
            parts.append(self.note)
        return " ".join(parts)

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self._started < QUIET_SECONDS:
            return
        every = _BAR_EVERY if self._terminal else _LINE_EVERY
        if not at_once and now - self._shown_at < every:
            return
        self._shown_at = now
        self._drawn = True
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r\x1b[2K" + self.text()[:width])
        else:
            self._stream.write(self.text() + "\n")
        self._stream.flush()


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")
