"""The world of these tests: a server, its jobs, a hospital that sends requests, and municipalities that take them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from sammanhang.access.actor import SYSTEM
from sammanhang.access.audit import WriteTrace
from sammanhang.access.clients import register
from sammanhang.access.clients_registration import Registration
from sammanhang.access.oauth import routes
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.fhir.r4 import CodeableConcept, Patient, Reference, ServiceRequest, Task
from sammanhang.kernel.settings import Settings
from sammanhang.rest.app import fhir_app
from sammanhang.store.database import EVERYTHING
from sammanhang.store.read import read
from sammanhang.store.rows import tombstone
from sammanhang.store.write import commit
from sammanhang.work.sending import keep_delivering
from sammanhang.work.subscriptions.matching import keep_matching

from ..simulators.municipality import SCOPES, Municipality

REGION, HOSPITAL = "SE-REGION", "SE-REGION-SJH"
TOWN, HOME_CARE = "SE-TOWN", "SE-TOWN-HSV"
OTHER = "SE-OTHER"


@dataclass
class World:
    """Everything at hand. `shift` moves the clock of the jobs that deliver."""

    services: Services
    dsn: str
    url: str
    http: httpx.AsyncClient
    folder: Path
    stack: AsyncExitStack
    shift: timedelta = timedelta()
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[asyncio.Task[None]] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def start_matching(self) -> None:
        self.jobs.append(asyncio.create_task(keep_matching(self.services, self.stop, poll=0.02)))

    def start_delivering(self) -> asyncio.Task[None]:
        task = asyncio.create_task(
            keep_delivering(self.services, self.stop, now=self.now, poll=0.02)
        )
        self.jobs.append(task)
        return task

    async def municipality(
        self, provider: str = TOWN, name: str = "town", up: bool = True, **more: Any
    ) -> Municipality:
        """A municipality with a client of its own, up and running."""
        folder = self.folder / name
        folder.mkdir()
        made = Municipality(folder, base=self.url, client=name, http=self.http)
        more.setdefault("scopes", SCOPES)
        register(self.dsn, Registration(f"{name}s system", method="private_key_jwt", jwks=made.keys(), provider=provider, id=name, **more))  # fmt: skip
        if up:
            await self.stack.enter_async_context(made.up())
        return made

    async def send(self, text: str = "Hemsjukvård", to: str = TOWN, patient: str = "ann") -> str:
        """The hospital sends a care request: `Task/id`."""
        changes = Changes.by_system(self.services.doors, SYSTEM, patient, (REGION, HOSPITAL))
        subject = Reference(reference=f"Patient/{patient}", display="Ann Ek")
        request = changes.create(
            ServiceRequest(
                status="active", intent="order", subject=subject, code=CodeableConcept(text=text)
            ),
            sent_to=[to],
        )
        task = changes.create(
            Task(
                status="requested", intent="order", focus=request, for_=subject, description=text,
                owner=Reference(reference=f"Organization/{HOME_CARE}"),
            ),
            owner=(to, HOME_CARE), sent_to=[REGION],
        )  # fmt: skip
        # who waits for it is the hospital
        await changes.commit("request-send")
        return str(task.reference)

    async def change(self, ref: str, **elements: Any) -> None:
        """Somebody inside changes a Task."""
        from sammanhang.access.door import Stored

        async with self.services.database.reading(EVERYTHING) as connection:
            found = await read(connection, "Task", ref.partition("/")[2])
        assert found is not None and found.body is not None
        stored = Stored("Task", found.id, found.version, found.updated, None, None, found.body)
        resource = stored.resource
        for name, value in elements.items():
            setattr(resource, name, value)
        changes = Changes.by_system(self.services.doors, SYSTEM, "ann", (TOWN, HOME_CARE))
        changes.update(stored, resource)
        await changes.commit("update")

    async def delete(self, ref: str) -> None:
        """Somebody inside deletes a resource."""
        kind, _, id = ref.partition("/")
        async with self.services.database.reading(EVERYTHING) as connection:
            found = await read(connection, kind, id)
        assert found is not None
        row = tombstone(kind, id, found.version, datetime.now(UTC))
        entry = self.services.doors.entry(SYSTEM, "delete", what=ref)
        await commit(self.services.database, [row], WriteTrace(entry))

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(sql, values).fetchall()

    def write(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(sql, values).fetchall()

    def trace(self, action: str) -> list[dict[str, Any]]:
        rows = self.rows("SELECT entries FROM audit.block ORDER BY at, chain, seq")
        found = [json.loads(line) for (lines,) in rows for line in lines.splitlines()]
        return [e for e in found if e["action"] == action]


async def until(
    true: Callable[[], Any] | Callable[[], Awaitable[Any]], seconds: float = 8.0, why: str = ""
) -> Any:
    """Waits until something is true; what it gave."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + seconds
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert loop.time() < patience, why or "it did not come true"
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def quiet(empty_database: str, tmp_path: Path) -> AsyncIterator[World]:
    """The world with its server, before any job has begun."""
    async with AsyncExitStack() as stack:
        app = Starlette()
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        socket = config.bind_socket()
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        services = Services.make(Settings(base_url=url), empty_database)
        await services.open()
        stack.push_async_callback(services.close)
        app.state.services = services
        app.router.routes = [*routes, Mount("/fhir", fhir_app(services))]
        serving = asyncio.create_task(server._serve([socket]))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
        world = World(services, empty_database, url, http, tmp_path, stack)
        changes = Changes.by_system(services.doors, SYSTEM, "ann", (REGION, HOSPITAL))
        changes.create(Patient(birthDate="1940-01-01"), id="ann")
        await changes.commit("create")
        yield world
        world.stop.set()
        await asyncio.gather(*world.jobs, return_exceptions=True)
        server.should_exit = server.force_exit = True
        await asyncio.gather(serving, return_exceptions=True)


@pytest_asyncio.fixture
async def world(quiet: World) -> World:
    """The world with its jobs at work."""
    quiet.start_matching()
    quiet.start_delivering()
    return quiet
