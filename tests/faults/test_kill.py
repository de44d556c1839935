"""kill -9 the server, and kill -9 the database, while clients write; again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sammanhang.access.clients import demo_client
from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.operate.postmaster import is_alive
from sammanhang.store.migrate import migrate

from .ledger import Ledger, faults

CLIENTS = 6
GROUP = 8
ROUNDS = ("server", "database", "server", "both", "database", "one process")


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(p) for p in text.split()]
    return []


def kill(*pids: int) -> None:
    """SIGKILL to all of them, first stopped, so that none sees the others go."""
    for sign in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)


@dataclass
class System:
    """A database and a server that can be killed and started again."""

    database: EmbeddedDatabase
    port: int
    process: subprocess.Popen[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_server(self) -> None:
        program = Path(__file__).with_name("serve.py")
        settings = {
            "SAMMANHANG_DATABASE_URL": self.database.dsn(),
            "SAMMANHANG_PORT": str(self.port),
            "SAMMANHANG_PROCESSES": "2",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(program)], env=os.environ | settings,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) != "ready\n":
            assert line, "the server did not start"

    def kill_server(self) -> None:
        assert self.process is not None
        kill(self.process.pid, *children(self.process.pid))
        self.process.wait()

    def kill_one_process(self) -> None:
        assert self.process is not None
        kill(random.choice(children(self.process.pid)))

    def kill_database(self) -> None:
        pid = self.database.pid
        pids = [pid, *children(pid)]
        kill(*pids)
        while any(map(is_alive, pids)):
            time.sleep(0.005)

    def start_database(self) -> None:
        dsn = self.database.dsn()
        self.database.stop()
        self.database.start()
        assert self.database.dsn() == dsn


@pytest.fixture
def system(own_database: EmbeddedDatabase) -> Iterator[System]:
    migrate(own_database.dsn())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = System(own_database, port)
    made.start_server()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill_server()


def observation(subject: str, mark: str, value: int, id: str | None = None) -> dict[str, Any]:
    return {
        "resourceType": "Observation", **({"id": id} if id else {}),
        "identifier": [{"system": "http://test/mark", "value": mark}], "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "Puls"},
        "subject": {"reference": subject}, "effectiveDateTime": "2024-03-01T10:00:00Z",
        "issued": "2024-03-01T10:05:00Z", "valueQuantity": {"value": value, "unit": "/min"},
    }  # fmt: skip


def person(mark: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "identifier": [{"system": "http://test/mark", "value": mark}],
        "name": [{"family": "Ek", "given": ["Ylva"]}], "birthDate": "1950-02-03",
    }  # fmt: skip


class Client:
    """Writes one thing after the other and notes what it was told."""

    def __init__(self, number: int, system: System, ledger: Ledger, token: str) -> None:
        self.number, self.system, self.ledger = number, system, ledger
        self.random = random.Random(number)
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
        self.count = 0
        self.patient = "Patient/nobody"
        self.mine: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(
            base_url=self.system.url + "/fhir", headers=self.headers, timeout=8
        ) as http:
            while not stop.is_set():
                self.count += 1
                kind = self.random.choices(
                    ("create", "update", "delete", "transaction"), (5, 4, 1, 2)
                )[0]
                if kind in ("update", "delete") and not self.mine:
                    kind = "create"
                self.ledger.asked[kind] += 1
                try:
                    await getattr(self, kind)(http)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    def mark(self) -> str:
        return f"c{self.number}-{self.count}"

    def note(self, kind: str, answer: httpx.Response, *good: int) -> bool:
        if answer.status_code in good:
            self.ledger.answered[kind] += 1
            return True
        self.ledger.refused[f"{kind} {answer.status_code}"] += 1
        assert answer.status_code in (503, 412, 409, 404), answer.text
        return False

    def acknowledge(self, location: str, mark: str | None) -> tuple[str, str, int]:
        kind, id, _, version = location.split("/fhir/")[1].split("/")
        self.ledger.acknowledged[kind, id, int(version)] = mark
        return kind, id, int(version)

    async def create(self, http: httpx.AsyncClient) -> None:
        mark = self.mark()
        answer = await http.post("/Observation", json=observation(self.patient, mark, self.count))
        if self.note("create", answer, 201):
            _, id, version = self.acknowledge(answer.headers["location"], mark)
            self.mine[id] = version

    async def update(self, http: httpx.AsyncClient) -> None:
        mark = self.mark()
        id = self.random.choice(list(self.mine))
        body = observation(self.patient, mark, self.count, id)
        answer = await http.put(f"/Observation/{id}", json=body)
        if self.note("update", answer, 200, 201):
            version = int(answer.headers["etag"].strip('W/"'))
            self.ledger.acknowledged["Observation", id, version] = mark
            self.mine[id] = version

    async def delete(self, http: httpx.AsyncClient) -> None:
        id = self.random.choice(list(self.mine))
        del self.mine[id]
        answer = await http.delete(f"/Observation/{id}")
        if self.note("delete", answer, 204) and "etag" in answer.headers:
            version = int(answer.headers["etag"].strip('W/"'))
            self.ledger.acknowledged["Observation", id, version] = None

    async def transaction(self, http: httpx.AsyncClient) -> None:
        mark = self.mark()
        marks = [f"{mark}/{i}" for i in range(GROUP)]
        subject = "urn:uuid:0b8c1a52-7a3c-4a26-9d4e-3c1a3a5f7c11"
        resources = [person(marks[0]), *(observation(subject, m, 1) for m in marks[1:])]
        entries = [
            {"resource": r, "request": {"method": "POST", "url": r["resourceType"]}}
            for r in resources
        ]
        entries[0]["fullUrl"] = subject
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await http.post("/", json=bundle)
        if self.note("transaction", answer, 200):
            for mark, entry in zip(marks, answer.json()["entry"], strict=True):
                kind, id, _ = self.acknowledge(entry["response"]["location"], mark)
                if kind == "Patient":
                    self.patient = f"Patient/{id}"


async def token_of(system: System) -> str:
    identity, secret = demo_client(system.database.dsn(), demo=True)
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            system.url + "/oauth/token", data={"grant_type": "client_credentials"},
            auth=(identity, secret),
        )  # fmt: skip
    return str(answer.json()["access_token"])


async def wait_for_writes(ledger: Ledger, more: int) -> None:
    """Until some more writes are acknowledged: the system works (again)."""
    wanted = sum(ledger.answered.values()) + more
    patience = time.monotonic() + 30
    while sum(ledger.answered.values()) < wanted:
        assert time.monotonic() < patience, f"no writes get through any more\n{ledger}"
        await asyncio.sleep(0.02)


@pytest.mark.asvs("v5.0.0-2.3.3", "v5.0.0-16.5.3")
@pytest.mark.slow
@pytest.mark.alone
async def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(1_000_000)
    moments = random.Random(seed)
    ledger = Ledger()
    stop = asyncio.Event()
    token = await token_of(system)
    clients = [Client(n, system, ledger, token) for n in range(CLIENTS)]
    running = [asyncio.create_task(c.run(stop)) for c in clients]
    try:
        for what in ROUNDS:
            await wait_for_writes(ledger, 30)
            await asyncio.sleep(moments.uniform(0.1, 1.0))
            ledger.kills[what] += 1
            if what == "one process":
                system.kill_one_process()
            if what in ("server", "both"):
                system.kill_server()
            if what in ("database", "both"):
                system.kill_database()
                await asyncio.to_thread(system.start_database)
            if what in ("server", "both"):
                await asyncio.to_thread(system.start_server)
            for client in running:
                if client.done():
                    client.result()
        await wait_for_writes(ledger, 30)
    finally:
        stop.set()
        ended = await asyncio.gather(*running, return_exceptions=True)
    assert not [e for e in ended if isinstance(e, BaseException)], ended
    found = faults(system.database.dsn(), ledger, GROUP)
    with capsys.disabled():
        print(f"\nKill test (seed {seed}):\n{ledger}\nfaults: {len(found)}")
    assert not found, "\n".join([f"seed {seed}", *found[:20]])
    assert len(ledger.acknowledged) > 200
