"""A client of the FHIR API for tests: real application, real PostgreSQL, pretended log-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import psycopg

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.services import Services
from sammanhang.kernel.errors import Unauthenticated
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.kernel.settings import Settings
from sammanhang.rest.app import fhir_app

BASE = "http://127.0.0.1:8000/fhir"
REGION, HOSPITAL, CLINIC = "SE-REGION", "SE-REGION-SJH", "SE-REGION-VC"
TOWN, HOME_CARE, TOWN_OTHER = "SE-TOWN", "SE-TOWN-HSV", "SE-TOWN-REHAB"
ALL_SCOPES = frozenset({"system/*.cruds"})


def _assigned(id: str, unit: str, provider: str, role: str = "sjukskoterska") -> Assignment:
    return Assignment(id, role, role, unit, unit, provider, provider)


ACTORS: dict[str, Actor] = {
    "all": Actor("client", "client:all", everything=True, scopes=ALL_SCOPES),
    "reader": Actor(
        "client", "client:reader", everything=True, scopes=frozenset({"system/*.rs"})
    ),
    "observations": Actor(
        "client", "client:obs", everything=True, scopes=frozenset({"system/Observation.rs"})
    ),
    "region-client": Actor("client", "client:region", scopes=ALL_SCOPES, provider=REGION),
    "town-client": Actor("client", "client:town", scopes=ALL_SCOPES, provider=TOWN),
    "nurse": Actor("staff", "Practitioner/n", "N", 3, _assigned("role-n", HOME_CARE, TOWN)),
    "doctor": Actor(
        "staff", "Practitioner/d", "D", 3, _assigned("role-d", HOSPITAL, REGION, "lakare")
    ),
    "clinic": Actor(
        "staff", "Practitioner/c", "C", 3, _assigned("role-c", CLINIC, REGION, "lakare")
    ),
    "loa2": Actor("staff", "Practitioner/l", "L", 2, _assigned("role-l", HOSPITAL, REGION)),
    "officer": Actor(
        "staff", "Practitioner/o", "O", 3, _assigned("role-o", HOME_CARE, TOWN, "bistandshandlaggare")
    ),
    "resident": Actor("resident", "Patient/ann", "Ann", 3),
}  # fmt: skip


async def pretended(services: Services, header: str | None) -> Actor:
    """The actor an Authorization header names."""
    actor = ACTORS.get((header or "").removeprefix("Bearer "))
    if actor is None:
        raise Unauthenticated("No token.", "Ingen biljett.")
    return actor


class Reply:
    """An answer, with its JSON at hand."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.content = response.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def ids(self) -> list[str]:
        """Ids of the matches of a searchset, in order."""
        return self._ids("match")

    @property
    def included(self) -> list[str]:
        """`Type/id` of the included resources, sorted."""
        return sorted(
            f"{e['resource']['resourceType']}/{e['resource']['id']}"
            for e in self.json.get("entry", [])
            if e.get("search", {}).get("mode") == "include"
        )

    def _ids(self, mode: str) -> list[str]:
        assert self.status == 200, self.content[:2000]
        return [
            e["resource"]["id"]
            for e in self.json.get("entry", [])
            if e.get("search", {}).get("mode") == mode
        ]

    def link(self, relation: str) -> str | None:
        found = [x["url"] for x in self.json.get("link", []) if x["relation"] == relation]
        return found[0] if found else None

    @property
    def words(self) -> str:
        """Everything an OperationOutcome says."""
        assert self.json["resourceType"] == "OperationOutcome"
        return json.dumps(self.json, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"<{self.status} {self.content[:1500].decode('utf-8', 'replace')}>"


class Api:
    """Requests as one of ACTORS; paths are relative to the FHIR base."""

    def __init__(self, services: Services, http: httpx.AsyncClient, who: str = "all") -> None:
        self.services, self.http, self.who = services, http, who

    def as_(self, who: str) -> Api:
        return Api(self.services, self.http, who)

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        sent = {"authorization": f"Bearer {self.who}"}
        content: bytes | None = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["content-type"] = "application/fhir+json"
        sent |= headers or {}
        url = path if path.startswith("http") else f"{BASE}/{path}"
        return Reply(await self.http.request(method, url, content=content, headers=sent))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, None, _dashed(headers))

    async def post(self, path: str, body: Any, **headers: str) -> Reply:
        return await self.ask("POST", path, body, _dashed(headers))

    async def put(self, path: str, body: Any, **headers: str) -> Reply:
        return await self.ask("PUT", path, body, _dashed(headers))

    async def delete(self, path: str, **headers: str) -> Reply:
        return await self.ask("DELETE", path, None, _dashed(headers))

    async def patch(self, path: str, body: Any, **headers: str) -> Reply:
        return await self.ask(
            "PATCH", path, body, {"content-type": "application/json-patch+json"} | _dashed(headers)
        )

    async def store(self, *resources: dict[str, Any]) -> None:
        """Puts resources with ids of their own, in one transaction."""
        entries = [
            {
                "resource": r,
                "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"},
            }
            for r in resources
        ]
        reply = await self.post("", bundle("transaction", *entries))
        assert reply.status == 200, reply

    async def search(self, path: str) -> list[str]:
        """Sorted ids of every match, all pages."""
        reply = await self.get(path)
        found = list(reply.ids)
        while following := reply.link("next"):
            reply = await self.get(following)
            found += reply.ids
        return sorted(found)


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {k.replace("_", "-"): v for k, v in headers.items()}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(
    method: str, url: str, resource: Any = None, full: str | None = None, **more: str
) -> dict[str, Any]:
    """An entry of a batch or transaction."""
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        made["resource"] = resource
    if full is not None:
        made["fullUrl"] = full
    return made


def patient(id: str | None = None, family: str = "Test", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "Patient", "name": [{"family": family}], **more}
    return made | ({"id": id} if id else {})


def observation(
    id: str | None = None, subject: str | None = None, code: str = "x", **more: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        **more,
    }
    if id:
        made["id"] = id
    if subject:
        made["subject"] = {"reference": subject}
    return made


def owned(resource: dict[str, Any], provider: str, unit: str) -> dict[str, Any]:
    """The resource with its owner's tags."""
    tags = [{"system": PROVIDER, "code": provider}, {"system": UNIT, "code": unit}]
    return resource | {"meta": {"tag": tags}}


@asynccontextmanager
async def api(dsn: str, **settings: Any) -> AsyncIterator[Api]:
    """The application on a database, and a client of it that may do everything."""
    services = Services.make(replace(Settings(), **settings), dsn)
    await services.open()
    transport = httpx.ASGITransport(
        app=fhir_app(services, authenticate=pretended), root_path="/fhir"
    )
    try:
        async with httpx.AsyncClient(transport=transport) as http:
            yield Api(services, http)
    finally:
        await services.close()


def audit_entries(dsn: str) -> list[dict[str, Any]]:
    """Every entry of the trace."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT entries FROM audit.block ORDER BY at, chain, seq")
        return [json.loads(line) for (lines,) in rows for line in lines.splitlines()]
