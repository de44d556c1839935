"""Applications to measure against: the floor, and our own without its trace."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from sammanhang.kernel.settings import Settings

_READ = "SELECT body FROM store.observation WHERE self = %s AND type = %s"
_SERIES = (
    "SELECT id, body FROM store.observation WHERE patient = %s AND type = %s"
    " AND (tokens || '{}'::bigint[]) @> %s::bigint[]"  # by_patient's index, not GIN
    " ORDER BY occurred DESC LIMIT 50"
)
_EVERYTHING = "SELECT id, body FROM store.resource WHERE patient = %s"


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = []


def create_floor() -> Any:
    """The least a server with this driver can do: a bare ASGI route and one statement.

    No check of token or law, no trace, no validation, no search values, no history.
    """
    from uuid_utils import uuid7

    from sammanhang.fhir.indexing import coded, self_hash, slot
    from sammanhang.store.types import NUMBER

    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        Settings.load().database_url, kwargs={"autocommit": True, "prepare_threshold": 2},
        min_size=4, max_size=8, open=False,
    )  # fmt: skip
    kind = NUMBER["Observation"]
    pulse = coded("http://loinc.org", "8867-4")[1] ^ slot("Observation.code", "token")
    raw_bundle = msgspec.json.Decoder(_RawBundle)

    async def body_of(receive: Any) -> bytes:
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)

    async def answer(path: list[str], receive: Any) -> bytes:
        async with pool.connection() as c:
            cursor = c.cursor(binary=True)
            if path[0] == "read":
                await cursor.execute(_READ, (self_hash("Observation", path[1]), kind), prepare=True)
                row = await cursor.fetchone()
                return row[0]  # type: ignore[index]
            if path[0] in ("series", "everything"):
                me = self_hash("Patient", path[1])
                if path[0] == "series":
                    await cursor.execute(_SERIES, (me, kind, f"{{{pulse}}}"), prepare=True)
                else:
                    await cursor.execute(_EVERYTHING, (me,), prepare=True)
                rows = await cursor.fetchall()
                return b"[" + b",".join(r[1] for r in rows) + b"]"
            body = await body_of(receive)
            if path[0] == "create":
                statement = "INSERT INTO public.bare (id, body) VALUES (%s, %s)"
                await cursor.execute(statement, (str(uuid7()), body), prepare=True)
            else:
                async with c.transaction(), cursor.copy("COPY public.bare FROM STDIN") as copy:
                    lines = [
                        f"{uuid7()}\t\\\\x{bytes(e.resource).hex()}\n"
                        for e in raw_bundle.decode(body).entry
                    ]
                    await copy.write("".join(lines))
            return b"{}"

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await pool.open(wait=True)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await pool.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = await answer(scope["path"].strip("/").split("/"), receive)
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/fhir+json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def prepare_floor(dsn: str) -> None:
    """The bare table that floors write to."""
    with psycopg.connect(dsn) as c:
        c.execute(
            "CREATE TABLE IF NOT EXISTS public.bare (id text PRIMARY KEY, body bytea NOT NULL)"
        )


def create_untraced() -> Any:
    """Our application with the trace cut out: what the trace costs is the difference."""
    from sammanhang.access import audit
    from sammanhang.store import write
    from sammanhang.web.app import create_app

    def no_record(self: Any, entry: Any) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def untraced(self: Any, entry: Any, row: Any) -> None:
        async with self.database.writing() as connection:
            values = (*write.arguments(row, None, None), *write.NO_BLOCK)
            await connection.quick.execute(write.PUT, values)

    audit.AuditLog.record = no_record  # type: ignore[method-assign]
    audit.AuditLog.store = untraced  # type: ignore[method-assign]
    return create_app()


def create_open() -> Any:
    """Our application with the trace and the door cut out: a record opened once stays open."""
    from sammanhang.access.door import Doors, Record

    opened: dict[tuple[str, str], Record] = {}
    open_record = Doors.open_record

    async def held_open(
        self: Any, actor: Any, patient_id: str, *args: Any, **kwargs: Any
    ) -> Record:
        record = opened.get((actor.id, patient_id))
        if record is None:
            record = await open_record(self, actor, patient_id, *args, **kwargs)
            opened[(actor.id, patient_id)] = record
        return record

    Doors.open_record = held_open  # type: ignore[method-assign]
    return create_untraced()
