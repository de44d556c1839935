"""Members of value sets and descendants of codes, from the tables generated with the models."""

from __future__ import annotations

from functools import cache

from sammanhang.fhir.indexing import coded, hash64
from sammanhang.fhir.tables import shipped


def members(url: str) -> list[tuple[str, str]] | None:
    """(system, code) of every member of a shipped value set; None when it cannot be enumerated."""
    found = shipped("valuesets").get(url.split("|")[0])
    if found is None:
        return None
    return [(system, code) for system, codes in found.items() for code in codes]


@cache
def _children(system: str) -> dict[str, list[str]] | None:
    found = shipped("codesystems").get(system)
    if found is None:
        return None
    children: dict[str, list[str]] = {code: [] for code in found["concepts"]}
    for code, concept in found["concepts"].items():
        for above in concept[1] if len(concept) > 1 else ():
            children.setdefault(above, []).append(code)
    return children


def below(system: str, code: str) -> list[str] | None:
    """The code and all it subsumes; None when the system is not known here."""
    children = _children(system)
    if children is None or code not in children:
        return None
    found: list[str] = []
    todo = [code]
    while todo:
        c = todo.pop()
        if c not in found:
            found.append(c)
            todo.extend(children.get(c, ()))
    return found


def above(system: str, code: str) -> list[str] | None:
    """The code and all that subsume it; None when the system is not known here."""
    children = _children(system)
    if children is None or code not in children:
        return None
    found = [code]
    grew = True
    while grew:
        grew = False
        for parent, kids in children.items():
            if parent not in found and any(k in found for k in kids):
                found.append(parent)
                grew = True
    return found


def expand(modifier: str, value: str) -> list[int] | None:
    """Search numbers for `:in`, `:not-in`, `:below` and `:above`; None when not to be enumerated."""
    if modifier in ("in", "not-in"):
        found = members(value)
        return None if found is None else [coded(s, c)[1] for s, c in found]
    system, _, code = value.partition("|")
    codes = below(system, code) if modifier == "below" else above(system, code)
    return None if codes is None else [hash64(f"s|{system}|{c}") for c in codes]
