"""Conditional create, update, delete and patch: a search decides which resource is meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sammanhang.access.audit import WriteTrace, chain_of
from sammanhang.fhir.indexing import hash64
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed
from sammanhang.store.database import Connection, Scope
from sammanhang.store.search.run import run
from sammanhang.store.write import commit_on, refusal
from sammanhang.work.orders import taker_of

from . import gate, protected, write
from .definitions import expander
from .request import Answer, FhirRequest, versioned
from .search import named_patients, understood

# Those who wait in line hold a connection; the trace must always find one free.
_IN_LINE: dict[int, asyncio.Semaphore] = {}
MOST_IN_LINE = 3


@dataclass
class Line:
    """A place at the head of the line: a connection in a transaction, and what it wrote."""

    connection: Connection
    traced: WriteTrace | None = None


@asynccontextmanager
async def line(fr: FhirRequest, conditions: Iterable[tuple[str, str]]) -> AsyncIterator[Line]:
    """A connection in a transaction, once nobody else works under the same conditions.

    Two who ask for the same are put in line, so that only one creates.
    """
    keys = sorted({hash64(f"condition|{t}|{c}") for t, c in conditions})
    loop = id(asyncio.get_running_loop())
    if loop not in _IN_LINE:
        _IN_LINE.clear()
        _IN_LINE[loop] = asyncio.Semaphore(MOST_IN_LINE)
    async with _IN_LINE[loop], fr.services.database.writing() as connection:
        await chain_of(connection)  # opened before the transaction, which may be undone
        here = Line(connection)
        async with connection.transaction():
            for key in keys:
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
            yield here
        if here.traced is not None:
            here.traced.done(connection)


async def commit_in_line(fr: FhirRequest, here: Line, changes: list[write.Change]) -> None:
    """As `store.write.commit`; durable when the line is left."""
    database = fr.services.database
    parties = [
        (await database.party(c.row.provider), await database.party(c.row.unit)) for c in changes
    ]
    here.traced = write.trace(fr, changes)
    try:
        await commit_on(here.connection, [c.row for c in changes], parties, here.traced)
    except Exception as e:
        if hasattr(e, "sqlstate"):
            raise refusal(e) from e  # type: ignore[arg-type]
        raise


async def create_unless(fr: FhirRequest, type_name: str, resource: Any, condition: str) -> Answer:
    """POST Type with If-None-Exist: 201 when nothing matches, 200 for one, 412 for several."""
    search = await searching(fr, type_name, condition)
    taker = taker_of(fr.actor, resource)
    if taker is not None:
        gate.may_take(fr, type_name, "c")
        async with line(fr, [(type_name, condition)]):
            found = await search()
            if not found:
                id = await taker.create(fr.services.doors, fr.actor, resource, "", fr.id)
                return await write.as_taken(fr, type_name, id, 201)
    else:
        change = await write.prepare(fr, resource, write.new_id(), 0, "create")
        async with line(fr, [(type_name, condition)]) as here:
            found = await search()
            if not found:
                await commit_in_line(fr, here, [change])
    if not found:
        return write.answer(fr, change, 201, location=True)
    if len(found) > 1:
        raise await several(fr, type_name, condition)
    hit = found[0]
    await fr.services.audit.record(
        gate.entry(fr, "create", f"{type_name}/{hit.id}", outcome="exists")
    )
    made = versioned(hit.body, hit.version, hit.updated, 200)
    made.headers.append(
        (b"location", f"{fr.base}/{type_name}/{hit.id}/_history/{hit.version}".encode())
    )
    return made


async def several(fr: FhirRequest, type_name: str, condition: str) -> PreconditionFailed:
    """The error for a condition that matches several; in the trace, for it tells they exist."""
    await fr.services.audit.record(
        gate.entry(fr, "search", f"{type_name}?{condition}"[:4000], outcome="several")
    )
    return PreconditionFailed(
        f"The condition matches several {type_name} resources.",
        f"Villkoret stämmer in på flera {type_name}.",
    )


async def searching(fr: FhirRequest, type_name: str, condition: str) -> Any:
    """A search for at most two resources that meet a condition, among those the actor may see.

    Raises `Invalid` for a condition without a criterion, or with one this server does not know.
    """
    try:
        pairs = parse_qsl(
            condition.lstrip("?"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise Invalid("The condition cannot be read.", "Villkoret går inte att läsa.") from None
    request = understood(fr, type_name, pairs)
    if request.ignored:
        raise Invalid(request.ignored[0].en, request.ignored[0].sv)
    if not request.criteria:
        raise Invalid("The condition is empty.", "Villkoret är tomt.")
    request.count, request.total, request.includes, request.after = 2, "none", [], None
    request.summary = None
    scope: Scope = await gate.scope_for_search(fr, named_patients(request), request.types)
    wall = protected.unseen(fr, request, gate.within_scopes(fr, request, gate.wall(scope)))

    expand = await expander(fr, request)

    async def search() -> list[Any]:
        async with fr.services.database.reading(scope) as connection:
            page = await run(connection, request, wall, base=fr.base + "/", expand=expand)
        return page.hits

    return search


async def matches(fr: FhirRequest, type_name: str, condition: str) -> list[Any]:
    """At most two resources that meet a condition; see `searching`."""
    found: list[Any] = await (await searching(fr, type_name, condition))()
    return found


async def update_where(fr: FhirRequest, type_name: str) -> Answer:
    """PUT Type?criteria: none → create, one → update it, several → 412."""
    fr.check_json()
    resource = write.given(fr, await fr.body(), type_name)
    search = await searching(fr, type_name, fr.query)
    found = await search()
    if len(found) > 1:
        raise await several(fr, type_name, fr.query)
    if found:
        if resource.id not in (None, found[0].id):
            raise Invalid("The body has another id than the match.", "Innehållet har ett annat id.")
        resource.id = found[0].id
        return await write.put(fr, type_name, found[0].id, resource)
    if resource.id is not None:
        return await write.put(fr, type_name, resource.id, resource)
    if fr.header(b"if-match"):
        raise PreconditionFailed("There is no such version.", "Den versionen finns inte.")
    write.alone(fr, resource)
    change = await write.prepare(fr, resource, write.new_id(), 0, "create")
    async with line(fr, [(type_name, fr.query)]) as here:
        if await search():
            raise Conflict(
                "Somebody else made it just now; try again.", "Någon annan hann före; försök igen."
            )
        await commit_in_line(fr, here, [change])
    return write.answer(fr, change, 201, location=True)


async def delete_where(fr: FhirRequest, type_name: str) -> Answer:
    """DELETE Type?criteria: none → 204, one → deletes it, several → 412."""
    found = await matches(fr, type_name, fr.query)
    if len(found) > 1:
        raise await several(fr, type_name, fr.query)
    if not found:
        await fr.services.audit.record(
            gate.entry(fr, "delete", f"{type_name}?{fr.query}"[:4000], outcome="absent")
        )
        return Answer(204)
    return await write.delete(fr, type_name, found[0].id)


async def patch_where(fr: FhirRequest, type_name: str) -> Answer:
    """PATCH Type?criteria."""
    found = await matches(fr, type_name, fr.query)
    if len(found) > 1:
        raise await several(fr, type_name, fr.query)
    if not found:
        await fr.services.audit.record(
            gate.entry(fr, "patch", f"{type_name}?{fr.query}"[:4000], outcome="absent")
        )
        raise NotFound("Nothing matches the condition.", "Inget stämmer in på villkoret.")
    return await write.patch(fr, type_name, found[0].id)
