"""OAuth scopes of the SMART App Launch guide: what a program may do, in a form one can compare.

`patient/Observation.rs` (version 2: create, read, update, delete, search) and `patient/Observation.read`
(version 1) are both read; inside, only version 2 is used. A version 2 scope may be restricted:
`patient/Observation.rs?category=system|laboratory` with token search parameters of the type, several with
`&` (all must hold) and values with a comma (one must). What cannot be kept is refused, never granted.
Source: http://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from sammanhang.fhir.r4 import CLASSES
from sammanhang.store.search.parameters import parameter
from sammanhang.store.search.parse import split

IDENTITY = ("openid", "fhirUser", "profile")
LAUNCH = ("launch", "launch/patient", "launch/encounter")
LASTING = ("offline_access", "online_access")
OTHERS = (*IDENTITY, *LAUNCH, *LASTING)
"""Scopes that name no resource: who one is, in which context, for how long."""

_SCOPE = re.compile(r"(system|user|patient)/(\*|[A-Z][A-Za-z]+)\.([a-z]+|\*)(?:\?(.*))?", re.DOTALL)
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_LETTERS = "cruds"
LONGEST = 1000  # characters of one scope
MOST = 200  # scopes of one request
_PLAIN = re.compile(
    r"[\x21-\x7e\xa0-\uffff]+"
)  # no space, which parts scopes, and no control character


class BadScope(ValueError):
    """The scope is not one this server knows; the message names it, `why` says what is wrong with it."""

    def __init__(self, scope: str, why: str = "is not a scope this server knows") -> None:
        super().__init__(scope)
        self.why = why

    @property
    def sentence(self) -> str:
        """What is wrong, in ASCII, fit for an OAuth error_description (RFC 6749 5.2)."""
        shown = "".join(c if " " < c <= "~" and c not in '"\\' else "?" for c in self.args[0][:120])
        return f"'{shown}' {self.why}."


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """A scope on resources. `restrictions` are (search parameter, values): all parameters must hold, each
    by one of its values."""

    context: str
    type: str
    letters: str
    restrictions: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        """The scope in version 2; the same scope has one form only."""
        text = f"{self.context}/{self.type}.{self.letters}"
        if self.restrictions:
            pairs = (
                f"{code}={','.join(map(_quoted, values))}" for code, values in self.restrictions
            )
            text += "?" + "&".join(pairs)
        return text

    def covers(self, type_name: str, letter: str) -> bool:
        """Whether it speaks of a type (`*`: every type at once) and a letter of c r u d s."""
        return letter in self.letters and self.type in ("*", type_name)


@lru_cache(maxsize=4096)
def parse(scope: str) -> ResourceScope:
    """The parts of a scope on resources; raises `BadScope`.

    Letters come in the order c r u d s, as the specification asks, or the scope is refused.
    """
    found = _SCOPE.fullmatch(scope)
    if found is None or len(scope) > LONGEST or not _PLAIN.fullmatch(scope):
        raise BadScope(scope)
    context, kind, asked, query = found.groups()
    if query is not None and asked in _VERSION_1:
        raise BadScope(scope, "is of version 1, which has no restrictions")
    letters = _VERSION_1.get(asked, asked)
    if kind != "*" and kind not in CLASSES:
        raise BadScope(scope, "names a resource type that does not exist")
    if not letters or "".join(x for x in _LETTERS if x in letters) != letters:
        raise BadScope(scope, "does not name its rights in the order c, r, u, d, s")
    restrictions = () if query is None else _restrictions(scope, kind, query)
    return ResourceScope(context, kind, letters, restrictions)


def _restrictions(scope: str, kind: str, query: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if kind == "*":
        raise BadScope(scope, "restricts every type; name one")
    found = set()
    for pair in query.split("&"):
        name, _, value = (unquote(part, errors="replace") for part in pair.partition("="))
        known = parameter(kind, name)
        if known is None or known.kind != "token" or not known.slots:
            raise BadScope(scope, "is restricted by something else than a token search parameter")
        values = tuple(sorted({v for v in split(value, ",") if v.strip("|\\ ")}))
        if not values or "" in split(value, ",") or "\0" in value:
            raise BadScope(scope, "has a restriction without a value")
        found.add((name, values))
    return tuple(sorted(found))


def _quoted(value: str) -> str:
    """A value as it stands in a scope: what parts scopes and their parameters is percent-encoded."""
    return "".join(f"%{ord(c):02X}" if c in " %&=?#+" else c for c in value)


def on_resources(scopes: Iterable[str]) -> frozenset[str]:
    """Those of the scopes that speak of resources, in version 2."""
    return normal(s for s in scopes if s not in OTHERS)


def normal(scopes: Iterable[str]) -> frozenset[str]:
    """The same scopes in version 2: `system/*.read` becomes `system/*.rs`. Raises `BadScope`."""
    return frozenset(str(parse(s)) for s in scopes)


def checked(scopes: Iterable[str]) -> list[str]:
    """The scopes, each once, those on resources in version 2, in the order they came. Raises `BadScope`."""
    return list(dict.fromkeys(s if s in OTHERS else str(parse(s)) for s in scopes))


def within(asked: str, allowed: Iterable[str]) -> bool:
    """Whether a scope asks for no more than the allowed ones together. Raises `BadScope`."""
    if asked in OTHERS:
        return asked in allowed
    scope = parse(asked)
    same = [s for s in map(parse, on_resources(allowed)) if s.context == scope.context]
    return all(
        any(s.covers(scope.type, letter) and _tighter(scope, s) for s in same)
        for letter in scope.letters
    )


def _tighter(asked: ResourceScope, allowed: ResourceScope) -> bool:
    """Whether whatever meets the restrictions asked for meets those allowed."""
    return all(
        any(code == c and set(values) <= set(vs) for c, values in asked.restrictions)
        for code, vs in allowed.restrictions
    )
