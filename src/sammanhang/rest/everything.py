"""Patient/$everything: the whole compartment, in one index scan."""

from __future__ import annotations

from sammanhang.fhir.dates import BEGINNING, END
from sammanhang.fhir.decode import decode
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Invalid
from sammanhang.store import read as store
from sammanhang.store.search.values import interval
from sammanhang.store.types import NAME

from . import gate, protected
from .bundle import Writer
from .request import Answer, FhirRequest, whole

PAGE = 2000
KNOWN = {"_type", "_since", "start", "end", "_count", "_after", "_format", "_pretty"}


async def _parameters(fr: FhirRequest) -> dict[str, str]:
    """The parameters of a POST: a Parameters resource, or none."""
    if not await fr.body():
        return {}
    fr.check_json()
    found: dict[str, str] = {}
    for p in decode(await fr.body(), "Parameters").parameter or ():
        values = [v for f in p.__struct_fields__ if f.startswith("value") and (v := getattr(p, f))]
        found[p.name] = ",".join([*filter(None, [found.get(p.name)]), *map(str, values)])
    return found


async def everything(fr: FhirRequest, patient: str) -> Answer:
    """GET or POST Patient/id/$everything, with `_type`, `_since`, `start`, `end`, `_count`."""
    fr.check_accept()
    pairs = dict(fr.pairs)
    if fr.method == "POST":
        pairs |= await _parameters(fr)
    if strange := set(pairs) - KNOWN:
        raise Invalid(
            f"$everything has no parameter '{sorted(strange)[0][:60]}'.",
            f"$everything har ingen parameter ”{sorted(strange)[0][:60]}”.",
        )
    types = tuple(t for t in pairs.get("_type", "").split(",") if t)
    for t in types:
        if t not in TYPE_NAMES:
            raise Invalid(f"'{t[:60]}' is not a resource type.", f"”{t[:60]}” är ingen resurstyp.")
    since = interval("_since", pairs["_since"])[0] if "_since" in pairs else None
    span = None
    if "start" in pairs or "end" in pairs:
        span = (
            interval("start", pairs["start"])[0] if "start" in pairs else BEGINNING,
            interval("end", pairs["end"])[1] if "end" in pairs else END,
        )
    count = max(1, min(whole("_count", pairs.get("_count", str(PAGE))), PAGE))
    after = whole("_after", pairs["_after"]) if "_after" in pairs else None
    if gate.confined_to(fr, ["Patient"]) not in (None, patient):
        raise gate.absent("Patient", patient)
    scope = await gate.scope_for_search(fr, [patient], types or TYPE_NAMES)
    async with fr.services.database.reading(scope) as connection:
        rows, more = await store.everything(
            connection, patient, gate.only_scopes(fr, gate.wall(scope)),
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
        )
    )
    if not rows and after is None and not types and since is None:
        raise gate.absent("Patient", patient)
    await protected.learn(fr, ((NAME[number], body) for number, _, body in rows))
    bundle = Writer("searchset")
    path = f"Patient/{patient}/$everything"
    bundle.link("self", fr.link(path, [*pairs.items()]))
    if more is not None:
        kept = [(k, v) for k, v in pairs.items() if k != "_after"]
        bundle.link("next", fr.link(path, [*kept, ("_after", str(more))]))
    for number, id, body in rows:
        name = NAME[number]
        bundle.match(f"{fr.base}/{name}/{id}", protected.shown(fr, name, body))
    return Answer(200, bundle.done(len(rows) if more is None and after is None else None))
