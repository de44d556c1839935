"""Patient/$everything: the whole compartment, in one index scan."""

from __future__ import annotations

from sammanhang.fhir.dates import BEGINNING, END, bounds
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Invalid
from sammanhang.store import read as store
from sammanhang.store.types import NAME

from . import gate
from .bundle import Writer
from .request import Answer, FhirRequest

PAGE = 2000


async def everything(fr: FhirRequest, patient: str) -> Answer:
    """GET or POST Patient/id/$everything, with `_type`, `_since`, `start`, `end`, `_count`."""
    fr.check_accept()
    pairs = dict(fr.pairs)
    types = tuple(t for t in pairs.get("_type", "").split(",") if t)
    for t in types:
        if t not in TYPE_NAMES:
            raise Invalid(f"'{t[:60]}' is not a resource type.", f"”{t[:60]}” är ingen resurstyp.")
    try:
        since = bounds(pairs["_since"].replace(" ", "+"))[0] if "_since" in pairs else None
        span = None
        if "start" in pairs or "end" in pairs:
            span = (
                bounds(pairs["start"])[0] if "start" in pairs else BEGINNING,
                bounds(pairs["end"])[1] if "end" in pairs else END,
            )
        count = max(1, min(int(pairs.get("_count", PAGE)), PAGE))
        after = int(pairs["_after"]) if "_after" in pairs else None
    except (ValueError, IndexError):
        raise Invalid(
            "_since, start and end are dates; _count is a number.",
            "_since, start och end är datum; _count är ett tal.",
        ) from None
    scope = await gate.scope_for_search(fr, [patient])
    async with fr.services.database.reading(scope) as connection:
        rows, more = await store.everything(
            connection, patient, gate.wall(scope),
            types=types, since=since, span=span, after=after, count=count,
        )  # fmt: skip
    outcome = "ok" if rows or after is not None else "absent"
    await fr.services.audit.record(
        gate.entry(
            fr,
            "everything",
            f"Patient/{patient}/$everything",
            patient=patient,
            count=len(rows),
            outcome=outcome,
        )  # fmt: skip
    )
    if not rows and after is None and not types and since is None:
        raise gate.absent("Patient", patient)
    bundle = Writer("searchset")
    path = f"Patient/{patient}/$everything"
    bundle.link("self", fr.link(path, fr.pairs))
    if more is not None:
        kept = [(k, v) for k, v in fr.pairs if k != "_after"]
        bundle.link("next", fr.link(path, [*kept, ("_after", str(more))]))
    for number, id, body in rows:
        bundle.match(f"{fr.base}/{NAME[number]}/{id}", body)
    return Answer(200, bundle.done(len(rows) if more is None and after is None else None))
