"""Search by GET and POST, by type, in a compartment, or over everything."""

from __future__ import annotations

from urllib.parse import urlencode

from sammanhang.access.lookups import looked_up, may_look_up
from sammanhang.fhir.decode import encode
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.store.search.page import Page
from sammanhang.store.search.parse import Criterion, Request, fault, parse, unescape
from sammanhang.store.search.run import run
from sammanhang.store.types import NUMBER

from . import gate, limits, protected
from .bundle import Writer
from .definitions import expander
from .outcome import outcome
from .request import Answer, FhirRequest
from .summary import shorten


async def search(
    fr: FhirRequest,
    type_name: str | None,
    pairs: list[tuple[str, str]],
    *,
    patient: str | None = None,
) -> Answer:
    """A searchset. `patient` limits it to that patient's compartment (GET Patient/id/Type)."""
    fr.check_accept()
    request = understood(fr, type_name, pairs)
    patients = named_patients(request)
    if patient is not None:
        patients = [patient]
    counted = limits.counts_only(fr)
    numbers = _identifiers(request) if fr.actor.kind == "staff" else 0
    people = fr.actor.kind == "staff" and "Patient" in request.types and not patients
    if counted:
        limits.countable(request, patients)
        scope = await fr.services.doors.statistics_scope(fr.actor)
    else:
        if numbers or people:
            await may_look_up(fr.services.doors, fr.actor, numbers=numbers, request=fr.id)
        scope = await gate.scope_for_search(fr, patients, request.types)
    settings = fr.services.settings
    wall = gate.within_scopes(fr, request, gate.wall(scope))
    wall = limits.terms(fr, request, patients, wall)
    expand = await expander(fr, request)
    async with fr.services.database.reading(scope) as connection:
        page = await run(
            connection,
            request,
            protected.unseen(fr, request, wall),
            beside=wall,
            base=fr.base + "/",
            expand=expand,
            max_includes=settings.max_includes,
            compartment=patient,
        )
    if counted:
        page = limits.suppressed(request, page)
    elif numbers or people:
        listed = sum(hit.type == "Patient" for hit in page.hits)
        nobody = max(0, numbers - len(page.hits))
        await looked_up(
            fr.services.database, fr.actor, numbers=numbers, not_found=nobody, listed=listed
        )
    path = f"Patient/{patient}/{type_name}" if patient else (type_name or "")
    await fr.services.audit.record(
        gate.entry(
            fr,
            "search",
            f"{path}?{_asked(fr, pairs)}" if pairs else path,
            patient=patients[0] if len(patients) == 1 else None,
            count=len(page.hits),
        )
    )
    await protected.learn(fr, ((hit.type, hit.body) for hit in page.hits))
    return Answer(200, _bundle(fr, path, request, page))


def _identifiers(request: Request) -> int:
    """How many identifiers a search finds people by, straight or through what refers to them."""
    count = 0
    for c in request.criteria:
        one: Criterion | None = c
        while one is not None:
            people = "Patient" in request.types or any("Patient" in types for _, types in one.chain)
            if one.parameter.code == "identifier" and (people or one.has or one is not c):
                count += max(1, len(one.values))
            one = one.inner
    return count


def _asked(fr: FhirRequest, pairs: list[tuple[str, str]]) -> str:
    """The parameters as the trace keeps them, those of a form too."""
    return (fr.query if fr.method != "POST" else urlencode(pairs))[:4000]


def understood(fr: FhirRequest, type_name: str | None, pairs: list[tuple[str, str]]) -> Request:
    """The pairs as a request; `_type` chooses the types of a search over everything."""
    types: tuple[str, ...] = (type_name,) if type_name else ()
    if type_name is None:
        asked = [t for k, v in pairs if k == "_type" for t in v.split(",") if t]
        unknown = [t for t in asked if t not in TYPE_NAMES]
        if unknown:
            raise fault(
                "_type",
                f"”{unknown[0][:60]}” är ingen resurstyp.",
                f"'{unknown[0][:60]}' is not a resource type.",
            )
        types = tuple(asked) or tuple(NUMBER)
    return parse(types, pairs, strict=fr.preference("handling") == "strict")


def named_patients(request: Request) -> list[str]:
    """Ids of the patients a search names as whose record it is about."""
    found: list[str] = []
    for c in request.criteria:
        if c.chain or c.has or c.modifier not in (None, "Patient"):
            continue
        if request.types == ("Patient",) and c.parameter.code == "_id":
            continue
        found += _patients_of(c)
    return list(dict.fromkeys(found))


def _patients_of(c: Criterion) -> list[str]:
    if c.parameter.kind != "reference" or "Patient" not in c.parameter.targets:
        return []
    only = c.parameter.targets == ("Patient",) or c.modifier == "Patient"
    out = []
    for v in c.values:
        text = unescape(v)
        if "Patient/" in text:
            out.append(text.rsplit("Patient/", 1)[1].split("/")[0])
        elif only and "/" not in text and ":" not in text:
            out.append(text)
    return out


def _bundle(fr: FhirRequest, path: str, request: Request, page: Page) -> bytes:
    bundle = Writer("searchset")
    bundle.link("self", fr.link(path, request.used))
    if page.next is not None:
        bundle.link("next", fr.link(path, [*request.used, ("_after", page.next)]))
    short = {}
    if request.elements:
        short["_elements"] = ",".join(request.elements)
    if request.summary and request.summary != "count":
        short["_summary"] = request.summary
    for hit in page.hits:
        body = protected.shown(fr, hit.type, hit.body)
        if short and hit.mode == "match":
            body = shorten(body, hit.type, short)
        bundle.match(f"{fr.base}/{hit.type}/{hit.id}", body, hit.mode)
    if request.ignored:
        bundle.outcome(encode(outcome(request.ignored, fr.swedish)))
    return bundle.done(page.total)
