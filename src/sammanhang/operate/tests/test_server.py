"""The supervisor serves, replaces the dead, drains on a stop, and says what is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from sammanhang.kernel.settings import Settings
from sammanhang.operate.errors import PortInUse
from sammanhang.operate.postmaster import is_alive
from sammanhang.operate.server import reserve_port

pytestmark = pytest.mark.slow

TINY = "sammanhang.operate.tests.tiny_app"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(
    application: str = "create_app", data: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A supervisor of two workers, started and ready; its process and base address."""
    port = free_port()
    command = [sys.executable, "-m", "sammanhang.operate.tests.serve", f"{TINY}:{application}"]
    run = subprocess.Popen(
        [*command, *([str(data)] if data else [])],
        env=os.environ | {"SAMMANHANG_PORT": str(port), "SAMMANHANG_PROCESSES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield run, f"http://127.0.0.1:{port}"
    finally:
        run.kill()
        run.communicate()


def line(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline().strip()


def workers(base: str) -> set[int]:
    """The processes that answered a number of requests, each on a connection of its own."""
    return {int(httpx.get(f"{base}/pid").text) for _ in range(40)}


def test_a_stop_lets_what_was_begun_finish() -> None:
    with served() as (run, base):
        assert line(run).startswith("ready")
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{base}/slow").text))
        asking.start()
        time.sleep(0.3)
        pids = workers(base)
        run.send_signal(signal.SIGTERM)
        asking.join()
        assert run.wait(10) == 130
        assert answers == ["finished"]
        assert not any(is_alive(pid) for pid in pids)


def test_a_dead_worker_is_replaced() -> None:
    with served() as (run, base):
        assert line(run).startswith("ready")
        victim = next(iter(workers(base)))
        os.kill(victim, signal.SIGKILL)
        assert "killed by SIGKILL" in line(run)
        patience = time.monotonic() + 10
        while victim in workers(base):
            assert time.monotonic() < patience
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 130


def test_workers_do_not_outlive_a_killed_supervisor() -> None:
    with served() as (run, base):
        assert line(run).startswith("ready")
        pids = workers(base)
        run.kill()
        run.wait()
        patience = time.monotonic() + 10
        while any(is_alive(pid) for pid in pids):
            assert time.monotonic() < patience
            time.sleep(0.05)


def test_clients_that_come_at_once_are_shared_evenly() -> None:
    with served() as (run, base):
        assert line(run).startswith("ready")
        clients = [httpx.Client() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            pids = list(pool.map(lambda client: client.get(f"{base}/pid").text, clients))
        shares = sorted(Counter(pids).values())
        assert len(shares) == 2 and shares[0] >= 2, shares
        for client in clients:
            client.close()


def test_an_application_that_cannot_start_ends_the_run() -> None:
    with served("broken_app") as (run, _):
        err = run.communicate(timeout=60)[1]
        assert run.returncode == 1
        assert "this application cannot start" in err
        assert "The server could not start" in err.splitlines()[-1]


def test_a_killed_database_ends_the_run_with_one_sentence(data_folder: Path) -> None:
    with served(data=data_folder) as (run, _):
        os.kill(int(line(run).split()[1]), signal.SIGKILL)
        killed = time.monotonic()
        _, err = run.communicate(timeout=20)
        assert time.monotonic() - killed < 5
        assert run.returncode == 3
        assert err.startswith("The database ended unexpectedly")
        assert len(err.splitlines()) == 1


def test_a_port_in_use_says_so() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Settings.load({"SAMMANHANG_PORT": str(other.getsockname()[1])})
        with pytest.raises(PortInUse, match=f"Port {settings.port} .* used by another program"):
            reserve_port(settings)


def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(PortInUse, match="Cannot listen on 192"):
        reserve_port(Settings.load({"SAMMANHANG_HOST": "192.0.2.1"}))
