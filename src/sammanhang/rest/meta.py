"""$meta, $meta-add and $meta-delete: a resource's profiles, tags and security labels."""

from __future__ import annotations

from typing import Any

import msgspec

from sammanhang.fhir.decode import decode, encode, raw
from sammanhang.fhir.r4 import Meta
from sammanhang.kernel.errors import Conflict, Invalid, PreconditionFailed, Unsupported
from sammanhang.store import read as store
from sammanhang.store.write import commit

from . import gate, write
from .request import Answer, FhirRequest

_encoder = msgspec.json.Encoder(decimal_format="number")


def _parameters(value: Any) -> bytes:
    return _encoder.encode(
        {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": value}]}
    )


async def meta(fr: FhirRequest, method: str, type_name: str, id: str, name: str) -> Answer:
    """GET Type/id/$meta reads; POST $meta-add and $meta-delete change and make a new version."""
    if name == "$meta" and method == "GET":
        scope = await gate.scope_for(fr, type_name, id)
        async with fr.services.database.reading(scope) as connection:
            found = await store.read(connection, type_name, id)
        if found is not None and not gate.lets(fr, type_name, found.body, "r"):
            found = None
        await fr.services.audit.record(
            gate.entry(fr, "read", f"{type_name}/{id}/$meta", outcome="ok" if found else "absent")
        )
        if found is None or found.body is None:
            raise gate.absent(type_name, id)
        return Answer(200, _parameters(raw(found.body).get("meta", {})))
    if name == "$meta" or method != "POST":
        raise Unsupported("Use GET $meta, POST $meta-add or POST $meta-delete.", status=405)
    fr.check_json()
    parameters = decode(await fr.body(), "Parameters")
    given = next((p.valueMeta for p in parameters.parameter or () if p.name == "meta"), None)
    if given is None:
        raise Invalid("The parameter 'meta' is missing.", "Parametern ”meta” saknas.")
    from sammanhang.fhir.decode import trusted

    for tries in range(write.TRIES):
        found = await write.current(fr, type_name, id)
        if found is None:
            raise gate.absent(type_name, id)
        gate.may_change(fr, found.body or b"", type_name, id)
        resource = trusted(found.body or b"", type_name)
        resource.meta = _changed(resource.meta or Meta(), given, add=name == "$meta-add")
        change = await write.prepare(fr, resource, id, found.version, "update")
        try:
            await commit(fr.services.database, [change.row], write.trace(fr, [change]))
        except PreconditionFailed:
            await write.pause(tries)
            continue
        return Answer(200, _parameters(raw(encode(resource)).get("meta", {})))
    raise Conflict(
        "Too many change it at once; try again.", "För många ändrar samtidigt; försök igen."
    )


def _changed(meta: Any, given: Any, *, add: bool) -> Any:
    profiles = list(meta.profile or ())
    for p in given.profile or ():
        if add and p not in profiles:
            profiles.append(p)
        elif not add and p in profiles:
            profiles.remove(p)
    meta.profile = profiles or None
    for name in ("tag", "security"):
        kept = list(getattr(meta, name) or ())
        for c in getattr(given, name) or ():
            same = [k for k in kept if (k.system, k.code) == (c.system, c.code)]
            if add and not same:
                kept.append(c)
            elif not add:
                kept = [k for k in kept if k not in same]
        setattr(meta, name, kept or None)
    return meta
