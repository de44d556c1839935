"""Value sets added at run time: their members, as far as the code systems they draw on are known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .definitions import Definitions

Members = frozenset[tuple[str, str]]


class ComposedValueSet:
    """A ValueSet's `compose` (or, without one, its `expansion`), asked for its members.

    Knows `concept` lists, whole code systems, other value sets, and the filters is-a, descendent-of,
    is-not-a, =, in, exists and regex. What it cannot list it can often still judge: a code of a
    system that no include names is not a member, whatever the rest holds.
    """

    def __init__(self, resource: dict[str, Any], definitions: Definitions) -> None:
        self._definitions = definitions
        self._includes: list[dict[str, Any]] = resource.get("compose", {}).get("include", [])
        self._excludes: list[dict[str, Any]] = resource.get("compose", {}).get("exclude", [])
        self._expansion = (
            resource.get("expansion", {}).get("contains") if not self._includes else None
        )
        self._listed: tuple[Members | None] | None = None
        self._busy = False

    def forget(self) -> None:
        """Members are worked out anew: a code system they draw on has come or changed."""
        self._listed = None

    def members(self) -> Members | None:
        """Every (system, code); None when some part cannot be listed here."""
        if self._listed is None:
            if self._busy:  # value sets that include each other: no member comes of going round
                return frozenset()
            self._busy = True
            try:
                self._listed = (self._work_out(),)
            finally:
                self._busy = False
        return self._listed[0]

    def _work_out(self) -> Members | None:
        if self._expansion is not None:
            return frozenset(_expanded(self._expansion))
        found: set[tuple[str, str]] = set()
        for include in self._includes:
            part = self._part(include)
            if part is None:
                return None
            found |= part
        for exclude in self._excludes:
            part = self._part(exclude)
            if part is None:
                return None
            found -= part
        return frozenset(found)

    def contains(self, system: str | None, code: str) -> bool | None:
        """Whether a code is a member, for a value set that cannot be listed; None when not known."""
        if system is None:
            return None
        answers = [self._has(i, system, code) for i in self._includes]
        if True in answers:
            inside: bool | None = True
        else:
            inside = None if None in answers else False
        for exclude in self._excludes:
            outside = self._has(exclude, system, code)
            if outside:
                return False
            if outside is None and inside:
                return None
        return inside

    def _has(self, part: dict[str, Any], system: str, code: str) -> bool | None:
        answers: list[bool | None] = [
            self._definitions.contains(url, system, code) for url in part.get("valueSet", ())
        ]
        if "system" in part:
            if part["system"] != system:
                answers.append(False)
            elif "concept" in part:
                answers.append(any(c.get("code") == code for c in part["concept"]))
            elif not part.get("filter") and self._definitions.codesystem(system) is None:
                answers.append(None)
            else:
                codes = self._codes(system, part.get("filter", ()))
                answers.append(None if codes is None else code in codes)
        if False in answers:
            return False
        return None if None in answers or not answers else True

    def _part(self, part: dict[str, Any]) -> Members | None:
        sets: list[Members] = []
        for url in part.get("valueSet", ()):
            nested = self._definitions.members(url)
            if nested is None:
                return None
            sets.append(nested)
        system = part.get("system")
        if system and "concept" in part:
            sets.append(frozenset((system, c["code"]) for c in part["concept"] if "code" in c))
        elif system:
            codes = self._codes(system, part.get("filter", ()))
            if codes is None:
                return None
            sets.append(frozenset((system, c) for c in codes))
        return frozenset.intersection(*sets) if sets else None

    def _codes(self, system: str, filters: Any) -> set[str] | None:
        cs = self._definitions.codesystem(system)
        if cs is None or not cs.get("complete", True):
            return None
        codes = set(cs["concepts"])
        for f in filters:
            kept = _filtered(cs, codes, f.get("property"), f.get("op"), f.get("value", ""))
            if kept is None:
                return None
            codes = kept
        return codes


def _expanded(contains: list[dict[str, Any]]) -> set[tuple[str, str]]:
    out: set[tuple[str, str]] = set()
    todo = list(contains)
    while todo:
        c = todo.pop()
        if "system" in c and "code" in c and not c.get("abstract"):
            out.add((c["system"], c["code"]))
        todo += c.get("contains", ())
    return out


def _cheap(pattern: str) -> bool:
    """Whether a regular expression somebody sent is one, and cannot take long on any text.

    Python's engine tries every way to match: a repeated group (`(a+)+`) or many repetitions in a row
    take longer than the universe. Without either, the time grows with the square of the text at most.
    """
    if len(pattern) >= 100 or re.search(r"\)[*+?{]|\\[1-9]|\(\?", pattern):
        return False
    if sum(pattern.count(sign) for sign in "*+{") > 2:
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _filtered(
    cs: dict[str, Any], codes: set[str], name: Any, op: Any, value: str
) -> set[str] | None:
    """The codes a filter keeps; None for one that cannot be judged here."""
    if op in ("is-a", "descendent-of", "is-not-a") and name in ("concept", "code"):
        below = _below(cs["concepts"], value)
        if op == "is-a":
            return codes & (below | {value})
        return codes & below if op == "descendent-of" else codes - below - {value}
    if name in ("concept", "code"):
        if op == "=":
            return codes & {value}
        if op == "in":
            return codes & {v.strip() for v in value.split(",")}
        if op == "regex":
            return {c for c in codes if re.fullmatch(value, c[:200])} if _cheap(value) else None
    given = cs.get("properties")
    if given is None or op not in ("=", "in", "exists"):
        return None
    if op == "exists":
        return {c for c in codes if (given.get(c, {}).get(name) is not None) == (value == "true")}
    wanted = {v.strip() for v in value.split(",")} if op == "in" else {value}
    return {c for c in codes if _written(given.get(c, {}).get(name)) in wanted}


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("code")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _below(concepts: dict[str, list[Any]], root: str) -> set[str]:
    """Every code under another, however deep."""
    children: dict[str, list[str]] = {}
    for code, entry in concepts.items():
        for parent in entry[1] if len(entry) > 1 else ():
            children.setdefault(parent, []).append(code)
    found: set[str] = set()
    todo = list(children.get(root, ()))
    while todo:
        code = todo.pop()
        if code not in found:
            found.add(code)
            todo += children.get(code, ())
    return found
