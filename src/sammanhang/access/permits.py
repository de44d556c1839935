"""What a token lets its holder do, as a condition on resources: SMART scopes next to the law.

The door decides first, for the person the token stands for; scopes only narrow. `system/` scopes bind
a backend service, `user/` and `patient/` an app a person acts through; `patient/` confines it to the
patient of the launch, whatever the person may see otherwise. Data about the care organisation and
definitions are nobody's record (`store.types.COMMON`): they may be read with a `patient/` scope.

A condition comes in two forms that say the same: SQL that every search carries, and a check of a
resource's own search values for what is read by id, old versions and what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from sammanhang.fhir.decode import index, trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.store.search.parameters import parameter
from sammanhang.store.search.values import token_hash
from sammanhang.store.types import COMMON, NUMBER

from .actor import Actor
from .tokens_scopes import ResourceScope, parse

Predicate = Callable[[str], tuple[str, list[Any]]]
_PATIENT = NUMBER["Patient"]
_READING = "rs"


class Permit:
    """The scopes of a token, ready to be asked. Made by `permit_of`; one object for equal scopes."""

    def __init__(self, scopes: Iterable[ResourceScope], patient: str | None) -> None:
        self.scopes = tuple(scopes)
        self.patient = patient
        self._self = self_hash("Patient", patient) if patient is not None else 0
        self._sql: dict[tuple[str, bool], str | None] = {}
        self._whole: dict[tuple[str, str], bool] = {}

    def may(self, type_name: str, letter: str) -> bool:
        """Whether some resources of a type may be met with this letter; `*` asks for every type."""
        return any(s.covers(type_name, letter) for s in self.scopes)

    def whole(self, type_name: str, letter: str) -> bool:
        """Whether every resource of a type may be, as far as scopes go."""
        known = self._whole.get((type_name, letter))
        if known is None:
            known = self._whole[(type_name, letter)] = any(
                s.covers(type_name, letter) and s.context != "patient" and not s.restrictions
                for s in self.scopes
            )
        return known

    def confined(self, types: Iterable[str]) -> bool:
        """Whether all these types may only be met in the record of the launch's patient."""
        return self.patient is not None and not any(
            s.context != "patient" and s.type in ("*", t) for t in types for s in self.scopes
        )

    def predicate(self, wall: Predicate, letter: str, *, tokens: bool = True) -> Predicate:
        """The wall with the scopes' condition on the alias of a resource row.

        `tokens` False leaves out restrictions, for rows without search values (the event feed): what
        comes of those is to be checked with `lets`.
        """
        condition = self._condition(letter, tokens)
        if condition is None:
            return wall

        def both(alias: str) -> tuple[str, list[Any]]:
            sql, args = wall(alias)
            return f"({sql}) AND {condition.replace('@', alias)}", args

        return both

    def lets(self, type_name: str, letter: str, body: bytes, base: str) -> bool:
        """Whether a stored version may be met; `base` is the FHIR base with its slash."""
        if self.whole(type_name, letter):
            return True
        resource = trusted(body, type_name)
        ix = index(resource, base)
        patients = [resource.id] if type_name == "Patient" else ix.patients
        return self.lets_values(type_name, letter, patients, ix.tokens)

    def lets_values(
        self, type_name: str, letter: str, patients: Iterable[str], tokens: Iterable[int]
    ) -> bool:
        """As `lets`, for a resource whose patients and search values are known."""
        of, values = set(patients), set(tokens)
        return any(
            s.covers(type_name, letter)
            and (s.context != "patient" or self._in_record(type_name, letter, of))
            and all(not values.isdisjoint(any_of) for any_of in _numbers(s))
            for s in self.scopes
        )

    def _in_record(self, type_name: str, letter: str, patients: set[str]) -> bool:
        if type_name in COMMON:
            return letter in _READING
        return self.patient in patients

    def _condition(self, letter: str, tokens: bool) -> str | None:
        key = (letter, tokens)
        if key not in self._sql:
            self._sql[key] = self._compile(letter, tokens)
        return self._sql[key]

    def _compile(self, letter: str, tokens: bool) -> str | None:
        """SQL on alias `@`; only numbers of our own stand in it. None when nothing is narrowed."""
        ways: dict[str, set[int]] = {}
        for scope in self.scopes:
            if letter not in scope.letters:
                continue
            types = NUMBER if scope.type == "*" else {scope.type: NUMBER[scope.type]}
            for name, number in types.items():
                ways.setdefault(self._way(scope, name, letter, tokens), set()).add(number)
        if len(ways.get("", ())) == len(NUMBER):
            return None
        parts = [
            f"(@.type = ANY('{_array(types)}'::smallint[]){way})" for way, types in ways.items()
        ]
        return "(" + (" OR ".join(parts) or "false") + ")"

    def _way(self, scope: ResourceScope, type_name: str, letter: str, tokens: bool) -> str:
        """What must hold, beside the type, for a resource to be met by this scope."""
        way = ""
        if scope.context == "patient":
            if type_name in COMMON:
                way += " AND @.patient IS NULL" if letter in _READING else " AND false"
            elif type_name == "Patient":
                way += f" AND @.self = {self._self}"
            else:
                way += f" AND (@.patient = {self._self} OR (@.also && '{{{self._self}}}'::bigint[]) IS TRUE)"
        if tokens:
            for any_of in _numbers(scope):
                way += f" AND @.tokens && '{_array(any_of)}'::bigint[]"
        return way


@lru_cache(maxsize=4096)
def _numbers(scope: ResourceScope) -> tuple[frozenset[int], ...]:
    """The restrictions as search values: one of each set must be among a resource's."""
    found = []
    for code, values in scope.restrictions:
        known = parameter(scope.type, code)
        assert known is not None  # `parse` saw to it
        found.append(frozenset(token_hash(v) ^ s.number for v in values for s in known.slots))
    return tuple(found)


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, sorted(numbers))) + "}"


def permit_of(actor: Actor) -> Permit | None:
    """What the actor's token permits; None when no token narrows what the law gives (a session)."""
    if actor.kind == "client":
        return _permit(actor.scopes, None, False)
    if actor.app is not None:
        return _permit(actor.scopes, actor.app.patient, True)
    return None


@lru_cache(maxsize=1024)
def _permit(scopes: frozenset[str], patient: str | None, app: bool) -> Permit:
    contexts = ("user", "patient") if app else ("system",)
    usable = [
        s
        for s in map(parse, sorted(scopes))
        if s.context in contexts and (s.context != "patient" or patient is not None)
    ]
    return Permit(usable, patient)
