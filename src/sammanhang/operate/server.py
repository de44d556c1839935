"""The server: N worker processes on one listening socket, watched over until told to stop."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sammanhang.kernel.settings import Settings
from sammanhang.operate.companion import Companion
from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.operate.errors import OperateError, PortInUse
from sammanhang.operate.listening import ABSENT, Shares
from sammanhang.operate.stopping import DRAIN_SECONDS, Stopped

APPLICATION = "sammanhang.web.app:create_app"
_BACKLOG = 2048
_LOOK_SECONDS = 0.5
_TRIES_BEFORE_READY = 3
_RESTART_PAUSE = 0.5


class WorkerFailed(OperateError):
    """A server process ends again and again before it takes a request."""


def reserve_port(settings: Settings) -> socket.socket:
    """The bound, not yet listening socket: nobody else can take the port while we prepare.

    Raises `PortInUse`, also for an address that is not this machine's or a port we may not use.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((host, port))
        # Two sockets may be bound alike until one listens: only listening tells for certain.
        reserved.listen(_BACKLOG)
    except OSError as fault:
        reserved.close()
        if fault.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host} is used by another program; stop it, or choose another "
                f"port: SAMMANHANG_PORT={port + 1 if port < 65535 else 8001} make run."
            ) from fault
        reason = fault.strerror or str(fault)
        raise PortInUse(f"Cannot listen on {host} port {port}: {reason}.") from fault
    return reserved


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    ready_pipe: int
    ready: bool = False


class Server:
    """Worker processes that share one socket; a dead one is replaced.

    `beside` are processes that run as long as the server does. `database` is the embedded one to watch, or None when the database is somebody else's:
    then its outages are the workers' to report, request by request.
    """

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        database: EmbeddedDatabase | None,
        application: str = APPLICATION,
        beside: Sequence[Companion] = (),
    ) -> None:
        self.beside = beside
        self.settings = settings
        self.listening = listening
        self.database = database
        self.application = application
        self._workers: list[_Worker] = []
        self._early_deaths = 0
        self._shares = Shares.create(settings.processes)

    def run(self, on_ready: Callable[[], None], say: Callable[[str], None]) -> None:
        """Serve until `Stopped` is raised; workers are drained before this returns or raises.

        `on_ready` is called once, when every worker takes requests. Raises `WorkerFailed`, or
        the database's own fault when it ended.
        """
        announced = False
        try:
            for place in range(self.settings.processes):
                self._workers.append(self._start_worker(place))
            while True:
                self._look(say)
                if not announced and all(worker.ready for worker in self._workers):
                    announced = True
                    on_ready()
                for companion in self.beside if announced else ():
                    companion.look(say)
        finally:
            for companion in self.beside:
                companion.stop()
            self._drain()

    def _start_worker(self, place: int) -> _Worker:
        reading, writing = os.pipe()
        handed = (self.listening.fileno(), writing, self._shares.fd)
        numbers = (*handed, place, self.settings.processes)
        program = [sys.executable, "-m", "sammanhang.operate.worker", self.application]
        process = subprocess.Popen(
            [*program, *map(str, numbers)],
            pass_fds=handed,
            stdin=subprocess.DEVNULL,
            # Ctrl-C goes to us alone; we stop the workers in order.
            start_new_session=True,
        )
        os.close(writing)
        return _Worker(process, reading)

    def _look(self, say: Callable[[str], None]) -> None:
        """Wait a moment, then see who has become ready or has died."""
        waiting = [worker.ready_pipe for worker in self._workers if not worker.ready]
        if waiting:
            for pipe in select.select(waiting, [], [], _LOOK_SECONDS)[0]:
                self._hear(pipe)
        else:
            time.sleep(_LOOK_SECONDS)
        # First the database: when it is gone the workers' faults are only its echo.
        if self.database is not None and not self.database.alive():
            raise self.database.why_stopped()
        for place, worker in enumerate(self._workers):
            code = worker.process.poll()
            if code is not None:
                self._workers[place] = self._replace(worker, place, code, say)

    def _hear(self, pipe: int) -> None:
        worker = next(worker for worker in self._workers if worker.ready_pipe == pipe)
        if os.read(pipe, 1):
            worker.ready = True
            self._early_deaths = 0
            os.close(pipe)
            worker.ready_pipe = -1
        else:
            # Closed without a word: it is ending, and its exit code will tell.
            time.sleep(0.05)

    def _replace(self, dead: _Worker, place: int, code: int, say: Callable[[str], None]) -> _Worker:
        self._shares.set(place, ABSENT)
        if dead.ready_pipe >= 0:
            os.close(dead.ready_pipe)
            dead.ready_pipe = -1
        if not dead.ready:
            self._early_deaths += 1
            if self._early_deaths >= _TRIES_BEFORE_READY:
                raise WorkerFailed(
                    f"The server could not start: a process ended {self._early_deaths} times "
                    f"before it took a request ({_ending(code)}); what it said stands above."
                )
        say(f"A server process ended ({_ending(code)}); starting another.")
        time.sleep(_RESTART_PAUSE)
        return self._start_worker(place)

    def _drain(self) -> None:
        """Ask every worker to finish what it has begun and end; insist when it takes too long."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        patience = time.monotonic() + DRAIN_SECONDS + 3
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, patience - time.monotonic()))
            except (subprocess.TimeoutExpired, Stopped):
                worker.process.kill()
                worker.process.wait()
            if worker.ready_pipe >= 0:
                os.close(worker.ready_pipe)
        self._workers.clear()
        self.listening.close()


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
