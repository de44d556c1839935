"""What a search across people may ask and tell: search terms (R37) and counts (R38).

PDL 2:8 forbids searching people by what is most private: origin, beliefs, aid in social services. Within the
record of patients who are named it may be searched like anything else. Who works with statistics sees counts
only, and none so small that it points at somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sammanhang.fhir.indexing import hash64
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Issue, Refused
from sammanhang.store.search.compile import Predicate
from sammanhang.store.search.page import Page
from sammanhang.store.search.parse import Criterion, Request, unescape

from .request import FhirRequest

# Parameters that name somebody: a count by them is no statistics.
_NAMING = {
    "identifier", "name", "family", "given", "phonetic", "telecom", "phone", "email", "address",
    "address-postalcode", "_id", "birthdate", "death-date", "link",
}  # fmt: skip


def terms(fr: FhirRequest, request: Request, patients: list[str], wall: Predicate) -> Predicate:
    """R37: the wall of a search that names no patient; raises `Refused` for a search term PDL 2:8 forbids.

    A code without its system, and words (`:text`), find nothing in the systems that may not be searched.
    """
    if patients or fr.actor.kind == "resident":
        return wall
    rules = content("rules/search_terms")
    vague: set[int] = set()
    for c in _innermost(request):
        if c.parameter.kind != "token":
            continue
        for value in c.values:
            system, bar, code = unescape(value).rpartition("|")
            if c.modifier in ("in", "not-in", "above", "below", "text", "of-type") or not bar:
                vague |= {s.number for s in c.parameter.slots}
            kind = rules["systems"].get(system) or rules["codes"].get(f"{system}|{code}")
            kind = kind or rules["systems"].get(f"{system}|{code}")
            if kind is not None:
                raise Refused(
                    f"People may not be searched for by {kind['en']}. Name the patient.",
                    f"Man får inte söka efter personer med {kind['sv']}. Ange patient.",
                    rule="R37",
                )
    if not vague or fr.actor.everything:
        return wall
    systems = [hash64(f"s|{s}|") for s in rules["systems"] if "|" not in s]
    hidden = ",".join(str(system ^ place) for system in systems for place in sorted(vague))

    def both(alias: str) -> tuple[str, list[Any]]:
        sql, args = wall(alias)
        return f"({sql}) AND ({alias}.tokens && '{{{hidden}}}'::bigint[]) IS NOT TRUE", args

    return both


def counts_only(fr: FhirRequest) -> bool:
    """R38: whether who asks works with statistics and is told counts only."""
    a = fr.actor.assignment
    role = content("rules/roles")["roles"].get(a.role) if a is not None else None
    return bool(role and role.get("statistics"))


def countable(request: Request, patients: list[str]) -> None:
    """R38: raises `Refused` for a search that is no count, or that names somebody."""
    names_somebody = bool(patients) or any(
        c.parameter.code in _NAMING or c.parameter.kind in ("string", "reference")
        for c in _innermost(request)
    )
    if request.summary != "count" or names_somebody or request.lists:
        raise Refused(
            "Your assignment gives counts only (_summary=count), by nothing that names a person.",
            "Ditt uppdrag ger bara antal (_summary=count), och inte efter något som pekar ut en person.",
            rule="R38",
        )


def suppressed(request: Request, page: Page) -> Page:
    """R38: a count under the smallest that is told is left out, and it is said that it was."""
    smallest = content("rules/secondary_use")["smallest_count"]
    if page.total is None or page.total >= smallest:
        return page
    request.ignored.append(
        Issue(
            "suppressed",
            "Bundle.total",
            f"Färre än {smallest}; antalet visas inte (R38).",
            f"Fewer than {smallest}; the number is not told (R38).",
            "information",
        )
    )
    return Page([], None, None)


def _innermost(request: Request) -> Iterator[Criterion]:
    """Each criterion where it ends, after chains and reverse chains."""
    for c in request.criteria:
        one = c
        while one.inner is not None:
            one = one.inner
        yield one
