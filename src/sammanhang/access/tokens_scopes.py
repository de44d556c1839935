"""OAuth scopes of the SMART App Launch guide: what a program may do, in a form one can compare.

`system/Patient.rs` (version 2: create, read, update, delete, search) and `system/Patient.read`
(version 1) are both read; inside, only version 2 is used. Scopes with a search restriction
(`?category=…`) are refused: granting them and not keeping them would be a lie.
Source: http://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sammanhang.fhir.r4 import CLASSES

_SCOPE = re.compile(r"(system|user|patient)/(\*|[A-Z][A-Za-z]+)\.([a-z]+|\*)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_LETTERS = "cruds"


class BadScope(ValueError):
    """The scope is not one this server knows; the message names it."""


def parse(scope: str) -> tuple[str, str, str]:
    """(context, type, letters) of a scope; raises `BadScope`.

    Letters come in the order c r u d s, as the specification asks, or the scope is refused.
    """
    found = _SCOPE.fullmatch(scope)
    if found is None:
        raise BadScope(scope)
    context, kind, asked = found.groups()
    letters = _VERSION_1.get(asked, asked)
    if kind != "*" and kind not in CLASSES:
        raise BadScope(scope)
    if not letters or "".join(x for x in _LETTERS if x in letters) != letters:
        raise BadScope(scope)
    return context, kind, letters


def normal(scopes: Iterable[str]) -> frozenset[str]:
    """The same scopes in version 2: `system/*.read` becomes `system/*.rs`. Raises `BadScope`."""
    return frozenset(f"{c}/{k}.{letters}" for c, k, letters in map(parse, scopes))


def permits(scopes: Iterable[str], kind: str, action: str) -> bool:
    """Whether scopes let one do `action` (a letter of c r u d s) with resources of a type.

    `kind` "*" asks for every type at once (a search or history of the whole system).
    """
    return any(
        action in letters and there in ("*", kind) for _, there, letters in map(parse, scopes)
    )


def within(asked: str, allowed: Iterable[str]) -> bool:
    """Whether a scope asks for no more than the allowed ones together. Raises `BadScope`."""
    context, kind, letters = parse(asked)
    same = [s for s in allowed if s.startswith(context + "/")]
    return all(permits(same, kind, letter) for letter in letters)
