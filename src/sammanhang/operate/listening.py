"""Sharing one listening socket evenly between server processes.

Left to the system, whoever wakes first takes every waiting connection: eight clients that come at
once all land in one process while the other idles. Here each process keeps its number of open
connections where the others see it, and one that holds more than another lets it go first.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import socket
import struct
import tempfile
from collections.abc import Callable
from typing import IO, Any

ABSENT = 0xFFFFFFFF
# How long a process that holds more waits for one that holds fewer, which may be busy or ending.
GIVE_WAY_SECONDS = 0.001
OUT_OF_DESCRIPTORS_SECONDS = 0.1
_COUNT = struct.Struct("<I")


class Shares:
    """How many connections each process holds: one number each, in memory all of them see."""

    def __init__(self, file: IO[bytes] | int, processes: int) -> None:
        self.processes = processes
        fd = file if isinstance(file, int) else file.fileno()
        self.fd = fd
        self._file = file
        self._memory = mmap.mmap(fd, processes * _COUNT.size)

    @classmethod
    def create(cls, processes: int) -> Shares:
        """New numbers, every process absent; handed on by their descriptor `fd`."""
        # Held for as long as the object lives: the descriptor is what the workers inherit.
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(_COUNT.pack(ABSENT) * processes)
        file.flush()
        return cls(file, processes)

    def set(self, place: int, count: int) -> None:
        """The process at `place` now holds `count` connections, or is `ABSENT`."""
        _COUNT.pack_into(self._memory, place * _COUNT.size, count)

    def least(self) -> int:
        """The smallest number any present process holds."""
        counts = self._memory[: self.processes * _COUNT.size]
        return min(count for (count,) in _COUNT.iter_unpack(counts))


class CountedConnections(set[Any]):
    """The set of open connections of a process, which tells its size to the others."""

    def __init__(self, shares: Shares, place: int) -> None:
        super().__init__()
        self._tell: Callable[[int], None] = lambda count: shares.set(place, count)

    def add(self, connection: Any) -> None:
        super().add(connection)
        self._tell(len(self))

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self._tell(len(self))


class EvenListener:
    """Accepts connections one at a time, giving way to a process that holds fewer.

    Has what uvicorn asks of a server it shuts down: `close` and `wait_closed`.
    """

    def __init__(
        self,
        listening: socket.socket,
        connections: CountedConnections,
        shares: Shares,
        create_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._connections = connections
        self._shares = shares
        self._create_protocol = create_protocol
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop.add_reader(listening, self._someone_waits)

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._loop.remove_reader(self._listening)

    async def wait_closed(self) -> None:
        """Return when every accepted connection has been handed to its protocol."""
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _someone_waits(self) -> None:
        if len(self._connections) + len(self._beginning) > self._shares.least():
            self._pause(GIVE_WAY_SECONDS, accept=True)
        else:
            self._accept()

    def _pause(self, seconds: float, *, accept: bool) -> None:
        """Look away for a moment; then, with `accept`, take one whatever the others hold."""
        self._loop.remove_reader(self._listening)
        self._loop.call_later(seconds, self._resume, accept)

    def _resume(self, accept: bool) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._someone_waits)
            if accept:
                self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:
            # No file descriptors left: who waits stays in the queue until one is free.
            self._pause(OUT_OF_DESCRIPTORS_SECONDS, accept=False)
            return
        accepted.setblocking(False)
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._begin(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._create_protocol, accepted)
        except OSError:
            accepted.close()
