"""Read, vread and history."""

from __future__ import annotations

from typing import Any

from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Gone, Invalid
from sammanhang.store import read as store
from sammanhang.store.database import Connection
from sammanhang.store.search.values import interval

from . import gate, protected
from .bundle import Writer
from .request import Answer, FhirRequest, not_modified, versioned, whole
from .summary import shorten


async def read(fr: FhirRequest, type_name: str, id: str) -> Answer:
    """GET Type/id. 404 when absent or not to be seen, 410 when deleted, 304 when not changed."""
    scope = await gate.scope_for(fr, type_name, id)
    database = fr.services.database
    if scope.everything:
        found = await fr.services.together.read(type_name, id)
    else:
        async with database.reading(scope) as connection:
            found = await store.read(connection, type_name, id)
    if found is not None and not gate.lets(fr, type_name, found.body, "r"):
        await fr.services.audit.record(
            gate.entry(fr, "read", f"{type_name}/{id}", outcome="absent", rule="SCOPE")
        )
        raise gate.absent(type_name, id)
    if found is None:
        async with database.reading(scope) as connection:
            gone = await store.last_deletion(connection, type_name, id)
            if gone is not None and not await gate.lets_deleted(fr, connection, gone, "r"):
                gone = None
        await fr.services.audit.record(
            gate.entry(fr, "read", f"{type_name}/{id}", outcome="gone" if gone else "absent")
        )
        if gone:
            raise Gone(f"{type_name}/{id} was deleted.", f"{type_name}/{id} är borttagen.")
        raise gate.absent(type_name, id)
    await fr.services.audit.record(
        gate.entry(fr, "read", f"{type_name}/{id}", patient=_patient(type_name, found))
    )
    if (b"if-none-match" in fr.headers or b"if-modified-since" in fr.headers) and not_modified(
        fr, found.version, found.updated
    ):
        return versioned(None, found.version, found.updated, 304)
    await protected.learn(fr, [(type_name, found.body)])
    body = protected.shown(fr, type_name, found.body or b"")
    if fr.query and ("_summary" in fr.query or "_elements" in fr.query):
        body = shorten(body, type_name, dict(fr.pairs))
    return versioned(body, found.version, found.updated)


async def _lets(fr: FhirRequest, connection: Connection, found: store.Version) -> bool:
    """Whether the token's scopes let it meet a version; a deletion as what it deleted."""
    if found.body is None:
        return await gate.lets_deleted(fr, connection, found, "r")
    return gate.lets(fr, found.type, found.body, "r")


def _patient(type_name: str, found: store.Version) -> str | None:
    """The patient's id for the trace, when the row itself tells it."""
    if type_name == "Patient":
        return found.id
    if found.patient is None or found.body is None:
        return None
    return patient_in(found.body)


def patient_in(body: bytes) -> str | None:
    """The first patient a stored resource refers to: stored bytes are compact, so a search will do."""
    at = body.find(b'"reference":"Patient/')
    if at < 0:
        return None
    end = body.find(b'"', at + 21)
    return body[at + 21 : end].decode("ascii", "replace").split("/")[0]


async def vread(fr: FhirRequest, type_name: str, id: str, version: str) -> Answer:
    """GET Type/id/_history/version."""
    if not (version.isascii() and version.isdigit()) or len(version) > 9:
        raise gate.absent(type_name, f"{id}/_history/{version[:40]}")
    scope = await gate.scope_for(fr, type_name, id)
    async with fr.services.database.reading(scope) as connection:
        found = await store.vread(connection, type_name, id, int(version))
        if found is not None and not await _lets(fr, connection, found):
            found = None
    what = f"{type_name}/{id}/_history/{version}"
    if found is None:
        await fr.services.audit.record(gate.entry(fr, "vread", what, outcome="absent"))
        raise gate.absent(type_name, f"{id}/_history/{version}")
    await fr.services.audit.record(
        gate.entry(fr, "vread", what, patient=_patient(type_name, found))
    )
    if found.body is None:
        raise Gone("That version is the deletion.", "Den versionen är borttagningen.")
    await protected.learn(fr, [(type_name, found.body)])
    return versioned(protected.shown(fr, type_name, found.body), found.version, found.updated)


def _times(pairs: dict[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "_since" in pairs:
        out["since"] = interval("_since", pairs["_since"])[0]
    if "_at" in pairs:
        out["at"] = interval("_at", pairs["_at"])
    if "_count" in pairs:
        out["count"] = max(1, min(whole("_count", pairs["_count"]), 1000))
    if "_before" in pairs:
        out["before"] = whole("_before", pairs["_before"])
    if strange := set(pairs) - _HISTORY:
        name = sorted(strange)[0][:60]
        raise Invalid(
            f"A history has no parameter '{name}'.", f"En historik har ingen parameter ”{name}”."
        )
    return out


_HISTORY = {"_since", "_at", "_count", "_before", "_format", "_pretty"}
_METHOD = {1: "POST", 2: "PUT", 3: "DELETE"}


async def history(fr: FhirRequest, type_name: str | None = None, id: str | None = None) -> Answer:
    """GET _history of a resource, a type or everything; newest first, paged."""
    pairs = dict(fr.pairs)
    request = store.HistoryRequest(type_name, id, **_times(pairs))
    if id is not None and type_name is not None:
        scope = await gate.scope_for(fr, type_name, id)
        async with fr.services.database.reading(scope) as connection:
            versions, more = await store.history_of(connection, request)
            versions = [v for v in versions if await _lets(fr, connection, v)]
        if not versions and request.before is None and not {"_since", "_at"} & set(pairs):
            await fr.services.audit.record(
                gate.entry(fr, "history", f"{type_name}/{id}", outcome="absent")
            )
            raise gate.absent(type_name, id)
    else:
        scope = await gate.scope_for_search(fr, [], [type_name] if type_name else TYPE_NAMES)
        wall = gate.only_scopes(fr, gate.wall(scope, tokens=False), "r", tokens=False)
        async with fr.services.database.reading(scope) as connection:
            versions, more = await store.history(connection, request, wall)
            versions = [v for v in versions if await _lets(fr, connection, v)]
    path = "/".join(p for p in (type_name, id, "_history") if p)
    await fr.services.audit.record(
        gate.entry(
            fr,
            "history",
            path,
            count=len(versions),
            patient=_patient(type_name, versions[0]) if id and type_name and versions else None,
        )
    )
    await protected.learn(fr, ((v.type, v.body) for v in versions))
    bundle = Writer("history")
    bundle.link("self", fr.link(path, fr.pairs))
    if more is not None:
        kept = [(k, v) for k, v in fr.pairs if k != "_before"]
        bundle.link("next", fr.link(path, [*kept, ("_before", str(more))]))
    for v in versions:
        body = protected.shown(fr, v.type, v.body) if v.body is not None else None
        bundle.history(f"{fr.base}/{v.type}/{v.id}", body, _METHOD[v.method], f"{v.type}/{v.id}", v)
    return Answer(
        200, bundle.done(len(versions) if more is None and request.before is None else None)
    )
