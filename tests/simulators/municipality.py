"""A municipality's own care system, as Sammanhang meets it: a subscriber with a client of its own.

It proves itself with `private_key_jwt`, subscribes, takes notifications, keeps what it got by event number, catches up
by `$events` after it has been down, reads requests and answers them. What it got lies in a file, written before it
answers, so that it may be killed. It can be told to misbehave: to answer with an error, slowly, or not at all.

python -m tests.simulators.municipality FOLDER PORT      serves only; prints `ready`
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from joserfc import jws
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC = "http://sammanhang.se/fhir/SubscriptionTopic/"
SCOPES = (
    "system/Subscription.cruds", "system/Task.rus", "system/ServiceRequest.rs", "system/Patient.rs",
    "system/Communication.crs",
)  # fmt: skip


def values(parameters: dict[str, Any]) -> dict[str, Any]:
    """The plain values of a Parameters, and its events."""
    found: dict[str, Any] = {"events": []}
    for p in parameters["parameter"]:
        if p["name"] == "notification-event":
            event: dict[str, Any] = {"context": []}
            for part in p["part"]:
                value = next(v for k, v in part.items() if k.startswith("value"))
                value = value["reference"] if isinstance(value, dict) else value
                if part["name"] == "additional-context":
                    event["context"].append(value)
                else:
                    event[part["name"]] = value
            found["events"].append(event)
        else:
            found[p["name"]] = next(v for k, v in p.items() if k.startswith("value"))
    return found


@dataclass
class Notified:
    """A notification as it came: its headers, its bundle, and what its status says."""

    headers: dict[str, str]
    bundle: dict[str, Any]

    @property
    def said(self) -> dict[str, Any]:
        return values(self.bundle["entry"][0]["resource"])

    @property
    def numbers(self) -> list[int]:
        return [int(e["event-number"]) for e in self.said["events"]]

    @property
    def deleted(self) -> list[str]:
        """What is not there any longer: `Type/id`."""
        gone = [e for e in self.bundle["entry"] if e["request"]["method"] == "DELETE"]
        assert not any("resource" in e for e in gone)
        return [e["request"]["url"] for e in gone]


@dataclass
class Municipality:
    """The system. `folder` holds its memory; `answer` and `seconds` say how it takes notifications."""

    folder: Path
    answer: int = 200
    seconds: float = 0.0
    keep: bool = True  # in memory too
    notified: list[Notified] = field(default_factory=list)
    port: int = 0
    base: str = ""
    client: str = ""
    key: Any = None
    http: httpx.AsyncClient | None = None
    _token: str | None = None

    @property
    def memory(self) -> Path:
        return self.folder / "received.ndjson"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/notify"

    def remember(self, one: Notified) -> None:
        """Writes down what events it got, before it says so: number, what about."""
        told = [(int(e["event-number"]), e.get("focus", "")) for e in one.said["events"]]
        self.folder.mkdir(exist_ok=True)
        with self.memory.open("a", encoding="utf-8") as memory:
            memory.write(json.dumps(told) + "\n")

    def remembered(self) -> Iterator[tuple[int, str]]:
        """Every event it got, as often as it got it, in this life and those before."""
        if self.memory.exists():
            with self.memory.open(encoding="utf-8") as memory:
                for line in memory:
                    with contextlib.suppress(ValueError):  # cut off by a kill: it was not answered
                        yield from ((n, focus) for n, focus in json.loads(line))

    def received(self) -> Counter[int]:
        """How often each event number was taken."""
        return Counter(n for n, _ in self.remembered())

    def kinds(self) -> list[str]:
        return [n.said["type"] for n in self.notified]

    async def notify(self, request: Request) -> Response:
        """Takes a notification: kept first, answered then."""
        body = await request.body()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.answer >= 300:
            return Response("the system is down", self.answer, {"location": "http://127.0.0.1:9/"})
        one = Notified(dict(request.headers), json.loads(body))
        if one.numbers:
            self.remember(one)
        if self.keep:
            self.notified.append(one)
        return Response(status_code=self.answer)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/notify", self.notify, methods=["POST"])])

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Municipality]:
        """The system runs, on the port it had before if it had one."""
        config = uvicorn.Config(self.app(), port=self.port, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        sockets = [config.bind_socket()]
        self.port = sockets[0].getsockname()[1]
        task = asyncio.create_task(server._serve(sockets))
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            yield self
        finally:
            server.should_exit = True
            server.force_exit = True
            await asyncio.gather(task, return_exceptions=True)

    # as a client of the FHIR API

    def keys(self) -> dict[str, Any]:
        """Its public keys, to be registered."""
        self.key = self.key or ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384"})
        return {"keys": [self.key.as_dict(private=False)]}

    def assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.client, "sub": self.client, "aud": f"{self.base}/oauth/token", "iat": now, "exp": now + 240,
            "jti": str(uuid.uuid4()),
        }  # fmt: skip
        header = {"alg": "ES384", "kid": "k1", "typ": "JWT"}
        return jws.serialize_compact(
            header, json.dumps(claims).encode(), self.key, algorithms=["ES384"]
        )

    async def token(self) -> str:
        if self._token is None:
            assert self.http is not None
            answer = await self.http.post(
                f"{self.base}/oauth/token",
                data={
                    "grant_type": "client_credentials", "client_assertion": self.assertion(),
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                },
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            self._token = answer.json()["access_token"]
        return self._token

    async def ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/fhir+json"
    ) -> httpx.Response:
        assert self.http is not None
        return await self.http.request(
            method, f"{self.base}/fhir/{path}", content=None if body is None else json.dumps(body),
            headers={"authorization": f"Bearer {await self.token()}", "content-type": kind},
        )  # fmt: skip

    def subscription(self, topic: str = "care-request", **more: Any) -> dict[str, Any]:
        """A Subscription to a topic: `content`, `filters`, `beat`, `most`, `header`, `end`, `status`."""
        extension = [
            {"url": f"{IG}{name}", kind: more[key]}
            for key, name, kind in (
                ("beat", "backport-heartbeat-period", "valueUnsignedInt"),
                ("timeout", "backport-timeout", "valueUnsignedInt"),
                ("most", "backport-max-count", "valuePositiveInt"),
            )
            if key in more
        ]
        level = {
            "url": f"{IG}backport-payload-content",
            "valueCode": more.get("content", "id-only"),
        }
        made: dict[str, Any] = {
            "resourceType": "Subscription", "status": more.get("status", "requested"), "reason": "Vårdbegäran",
            "criteria": TOPIC + topic,
            "channel": {
                "type": "rest-hook", "endpoint": self.url, "payload": "application/fhir+json",
                "_payload": {"extension": [level]},
            },
        }  # fmt: skip
        if extension:
            made["channel"]["extension"] = extension
        if "filters" in more:
            made["_criteria"] = {
                "extension": [
                    {"url": f"{IG}backport-filter-criteria", "valueString": f}
                    for f in more["filters"]
                ]
            }
        for name in ("header", "end", "id"):
            if name in more:
                (made["channel"] if name == "header" else made)[name] = more[name]
        return made

    async def subscribe(self, topic: str = "care-request", **more: Any) -> str:
        """Subscribes; the id of the Subscription."""
        answer = await self.ask("POST", "Subscription", self.subscription(topic, **more))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def status(self, id: str) -> dict[str, Any]:
        """How the server says the subscription stands."""
        answer = await self.ask("GET", f"Subscription/{id}/$status")
        assert answer.status_code == 200, answer.text
        return values(answer.json()["entry"][0]["resource"])

    async def events(self, id: str, since: int, until: int | None = None, **more: str) -> Notified:
        query = "&".join(f"{k}={v}" for k, v in more.items())
        upto = f"&eventsUntilNumber={until}" if until is not None else ""
        answer = await self.ask(
            "GET", f"Subscription/{id}/$events?eventsSinceNumber={since}{upto}&{query}"
        )
        assert answer.status_code == 200, answer.text
        return Notified({}, answer.json())

    async def catch_up(self, id: str) -> list[int]:
        """Asks for every event it has not got; their numbers."""
        got = self.received()
        there = int((await self.status(id))["events-since-subscription-start"])
        caught: list[int] = []
        while missing := [n for n in range(1, there + 1) if n not in got]:
            one = await self.events(id, missing[0], missing[-1])
            assert set(one.numbers) & set(missing), (missing, one.numbers)
            self.remember(one)
            caught += [n for n in one.numbers if n not in got]
            got.update(one.numbers)
        return caught

    async def respond(self, task: str, status: str, words: str) -> httpx.Response:
        """Answers a request: the Task's status, and what that means in care."""
        patch = [
            {"op": "replace", "path": "/status", "value": status},
            {"op": "add", "path": "/businessStatus", "value": {"text": words}},
        ]
        return await self.ask("PATCH", task, patch, "application/json-patch+json")


async def serve(folder: Path, port: int) -> None:
    """The system by itself, until it is killed."""
    async with Municipality(folder, keep=False, port=port).up():
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
