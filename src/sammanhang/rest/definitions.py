"""Profiles, value sets and code systems that were loaded into the record, for whoever asks by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.fhir.indexing import coded
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING
from sammanhang.store.search.parse import Criterion, Request, unescape
from sammanhang.terminology import lookup

from .request import FhirRequest

Expand = Callable[[str, str], list[int] | None]


async def expander(fr: FhirRequest, request: Request) -> Expand:
    """What `:in` and `:not-in` of a search stand for: shipped value sets, and those in the record.

    A value set is named by its canonical URL or as `ValueSet/id`; one whose members cannot all be
    listed is refused by the search.
    """
    asked = {
        v for c in _all(request) if c.modifier in ("in", "not-in") for v in map(unescape, c.values)
    }
    unknown = [v for v in asked if lookup.members(v) is None]
    if not unknown:
        return lookup.expand
    from sammanhang.fhir.validator import Definitions

    definitions = Definitions()
    urls = {v: await _url(fr, v) for v in unknown}
    await stored(fr, definitions, [u for u in urls.values() if u])
    found = {v: definitions.members(u.split("|")[0]) for v, u in urls.items() if u}

    def expand(modifier: str, value: str) -> list[int] | None:
        if modifier in ("in", "not-in") and value in found:
            members = found[value]
            return None if members is None else [coded(s, c)[1] for s, c in members]
        return lookup.expand(modifier, value)

    return expand


def _all(request: Request) -> Iterator[Criterion]:
    for c in request.criteria:
        one: Criterion | None = c
        while one is not None:
            yield one
            one = one.inner


async def _url(fr: FhirRequest, value: str) -> str | None:
    """The canonical URL of a value set that is named by it, or as a reference to one of ours."""
    reference = value.removeprefix(fr.base + "/")
    if not reference.startswith("ValueSet/"):
        return value
    async with fr.services.database.reading(EVERYTHING) as connection:
        version = await store.read(connection, "ValueSet", reference.removeprefix("ValueSet/"))
    url = raw(version.body).get("url") if version is not None and version.body else None
    return url if isinstance(url, str) else None


async def stored(fr: FhirRequest, definitions: Any, profiles: list[str]) -> None:
    """Feeds the validator definitions that were loaded into the record: profiles and what they use."""
    seen: set[str] = set()
    todo = [p.split("|")[0] for p in profiles]
    async with fr.services.database.reading(EVERYTHING) as connection:
        for _ in range(6):  # profiles on profiles, extensions and value sets of theirs
            todo = [u for u in dict.fromkeys(todo) if u not in seen]
            if not todo:
                return
            seen |= set(todo)
            bodies = await store.definitions(connection, todo)
            todo = []
            for body in bodies:
                document = raw(body)
                definitions.add(document)
                todo += _used(document)


def _used(document: dict[str, Any]) -> list[str]:
    """Canonical URLs a definition builds on."""
    found = [document.get("baseDefinition", "")]
    for e in document.get("snapshot", {}).get("element", []):
        for t in e.get("type", []):
            found += [*t.get("profile", []), *t.get("targetProfile", [])]
        found.append(e.get("binding", {}).get("valueSet", ""))
    for include in document.get("compose", {}).get("include", []):
        found += [include.get("system", ""), *include.get("valueSet", [])]
    core = "http://hl7.org/fhir/"
    return [u.split("|")[0] for u in found if u and not u.startswith(core)]
