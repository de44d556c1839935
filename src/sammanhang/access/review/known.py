"""What is known of those who open records and of those whose records they are, fetched many at a time.

A member of staff is linked to a resident by an identity number on the Practitioner, or by a Person that
links the two. That tells whose own record it is, who is a colleague, and at which address staff live.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg

from sammanhang.access.facts import PROTECTED
from sammanhang.access.staff import BY_PRACTITIONER, ROLE
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import fold, identified, self_hash, slot
from sammanhang.kernel.identifiers import PERSONNUMMER, RESERVNUMMER, SAMORDNINGSNUMMER
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.types import NUMBER, table

from .patterns import NOBODY, Someone

KEPT = 50_000  # people remembered at once
TOKENS = 500  # search tokens in one question
_NUMBERS = frozenset({PERSONNUMMER, SAMORDNINGSNUMMER, RESERVNUMMER})
_BY_NUMBER = {kind: slot(f"{kind}.identifier", "token") for kind in ("Patient", "Practitioner")}
_BY_LINK = slot("Person.link.target", "reference")


class Kept(OrderedDict[str, Any]):
    """The latest `KEPT` things asked for; the oldest are let go."""

    def put(self, key: str, value: Any) -> None:
        self[key] = value
        if len(self) > KEPT:
            self.popitem(last=False)


class Known:
    """Staff, patients and roles, remembered for as long as one run lasts.

    `about` fetches what is missing for a batch; then the others answer without a question.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._actors = Kept()
        self._patients = Kept()
        self._roles = Kept()
        rows = connection.execute(
            "SELECT provider, patient FROM access.public_person WHERE removed IS NULL"
            " AND (until IS NULL OR until >= (now() AT TIME ZONE 'Europe/Stockholm')::date)"
        ).fetchall()
        self._public = set(rows)

    def about(self, actors: Iterable[str], patients: Iterable[str], roles: Iterable[str]) -> None:
        """Fetches what is not known yet: actors as the trace writes them, ids of patients and assignments."""
        staff = {a.removeprefix("Practitioner/") for a in actors if a not in self._actors}
        self._fetch_actors({id for id in staff if id})
        self._fetch_patients({p for p in patients if p not in self._patients})
        self._fetch_roles({r for r in roles if r not in self._roles})

    def actor(self, actor: str) -> Someone:
        """A member of staff; `NOBODY` for one who is not there."""
        found: Someone = self._actors.get(actor, NOBODY)
        return found

    def patient(self, patient: str, provider: str) -> Someone:
        """A patient as the care provider knows them."""
        found: Someone = self._patients.get(patient, NOBODY)
        if (provider, patient) not in self._public:
            return found
        return Someone(found.names, found.name, found.numbers, found.address, found.works, "", True)

    def role(self, assignment: str | None) -> str:
        """The role of an assignment; empty when it is not there."""
        return str(self._roles.get(assignment or "", ""))

    def _fetch_actors(self, ids: set[str]) -> None:
        people = {id: body for id, body, _ in self._by_self("Practitioner", ids)}
        linked = self._linked("Practitioner", people)
        numbers = {id: _numbers_of(p) for id, p in people.items()}
        residents = self._by_number("Patient", {n for ns in numbers.values() for n in ns})
        direct = {id: (body, labels) for id, body, labels in self._by_self("Patient", _all(linked))}
        for id in ids:
            person = people.get(id)
            if person is None:
                self._actors.put(f"Practitioner/{id}", NOBODY)
                continue
            own = [r for n in numbers[id] for r in residents.get(n, ())]
            own += [direct[p] for p in linked.get(id, ()) if p in direct]
            found = set(numbers[id])
            address = "" if own else _address(person)
            for resident, labels in own:
                found |= _numbers_of(resident)
                address = address or ("" if _protected(labels) else _address(resident))
            names, name = _names(person)
            self._actors.put(f"Practitioner/{id}", Someone(names, name, frozenset(found), address))

    def _fetch_patients(self, ids: set[str]) -> None:
        rows = list(self._by_self("Patient", ids))
        people = {id: body for id, body, _ in rows}
        protected = {id for id, _, labels in rows if _protected(labels)}
        numbers = {id: _numbers_of(p) for id, p in people.items()}
        staff = self._by_number("Practitioner", {n for ns in numbers.values() for n in ns})
        linked = self._linked("Patient", people)
        works = {
            id: {p.id for n in numbers[id] for p, _ in staff.get(n, ())} | set(linked.get(id, ()))
            for id in people
        }
        places = self._places(_all(works))
        for id in ids:
            person = people.get(id)
            if person is None:
                self._patients.put(id, NOBODY)
                continue
            names, name = _names(person)
            at = frozenset(place for who in works[id] for place in places.get(who, ()))
            address = "" if id in protected else _address(person)
            self._patients.put(id, Someone(names, name, numbers[id], address, at))

    def _fetch_roles(self, ids: set[str]) -> None:
        found = {id: body for id, body, _ in self._by_self("PractitionerRole", ids)}
        for id in ids:
            self._roles.put(id, role_of(found[id]) if id in found else "")

    def _by_self(self, kind: str, ids: Iterable[str]) -> Iterator[tuple[str, Any, list[int]]]:
        for some in _chunks(sorted(ids), 5000):
            rows = self.connection.execute(
                f"SELECT id, body, labels FROM {table(kind)} WHERE type = %s AND self = ANY(%s)",
                (NUMBER[kind], [self_hash(kind, id) for id in some]),
            )
            wanted = set(some)
            for id, body, labels in rows:
                if id in wanted:
                    yield id, trusted(body, kind), labels or []

    def _by_tokens(self, kind: str, tokens: Sequence[int]) -> Iterator[tuple[Any, list[int]]]:
        for some in _chunks(sorted(tokens), TOKENS):
            rows = self.connection.execute(
                f"SELECT body, labels FROM {table(kind)} WHERE type = %s AND tokens && %s::bigint[]",
                (NUMBER[kind], some),
            )
            for body, labels in rows:
                yield trusted(body, kind), labels or []

    def _by_number(self, kind: str, numbers: set[str]) -> dict[str, list[tuple[Any, list[int]]]]:
        """People of a type by identity number."""
        tokens = [identified(None, n)[0] ^ _BY_NUMBER[kind] for n in numbers]
        found: dict[str, list[tuple[Any, list[int]]]] = {}
        for person, labels in self._by_tokens(kind, tokens):
            for number in _numbers_of(person) & numbers:
                found.setdefault(number, []).append((person, labels))
        return found

    def _linked(self, kind: str, ids: Iterable[str]) -> dict[str, set[str]]:
        """Through a Person: patients' staff, or staff's patients, by id."""
        other = {"Patient": "Practitioner", "Practitioner": "Patient"}[kind]
        found: dict[str, set[str]] = {}
        wanted = set(ids)
        tokens = [self_hash(kind, id) ^ _BY_LINK for id in wanted]
        for person, _ in self._by_tokens("Person", tokens):
            targets = [link.target.reference or "" for link in person.link or () if link.target]
            ends = {t.removeprefix(f"{other}/") for t in targets if t.startswith(f"{other}/")}
            for target in targets:
                id = target.removeprefix(f"{kind}/")
                if target.startswith(f"{kind}/") and id in wanted:
                    found.setdefault(id, set()).update(ends)
        return found

    def _places(self, practitioners: set[str]) -> dict[str, set[tuple[str, str]]]:
        """(care provider, unit) where these people work now."""
        found: dict[str, set[tuple[str, str]]] = {}
        tokens = [self_hash("Practitioner", p) ^ BY_PRACTITIONER for p in practitioners]
        for role, _ in self._by_tokens("PractitionerRole", tokens):
            who = ((role.practitioner and role.practitioner.reference) or "").partition("/")[2]
            tags = {t.system: t.code or "" for t in (role.meta.tag if role.meta else None) or ()}
            if role.active is not False and who in practitioners and tags.get(PROVIDER):
                found.setdefault(who, set()).add((tags[PROVIDER], tags.get(UNIT) or ""))
        return found


def role_of(role: Any) -> str:
    """The code of a PractitionerRole's role."""
    codings = [c for concept in role.code or () for c in concept.coding or () if c.system == ROLE]
    return codings[0].code or "" if codings else ""


def _all(groups: dict[str, set[str]]) -> set[str]:
    return {one for group in groups.values() for one in group}


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _protected(labels: list[int]) -> bool:
    return bool(PROTECTED & set(labels))


def _numbers_of(person: Any) -> frozenset[str]:
    return frozenset(i.value for i in person.identifier or () if i.system in _NUMBERS and i.value)


def _names(person: Any) -> tuple[frozenset[str], str]:
    """(parts of the surnames, the whole name), folded; former names count as surnames too."""
    parts: set[str] = set()
    whole = ""
    for name in person.name or ():
        family = fold(name.family or "")
        if family:
            parts |= {family, *family.replace("-", " ").split()} - _PARTICLES
        if name.use not in ("old", "maiden") and family and name.given:
            whole = whole or f"{fold(' '.join(name.given))} {family}"
    return frozenset(parts), whole


_PARTICLES = frozenset(
    {"von", "af", "av", "de", "van", "der", "den", "la", "le", "al", "el", "bin"}
)


def _address(person: Any) -> str:
    """Street and postal code of the address lived at, folded; empty when either is missing."""
    for a in person.address or ():
        if a.use in ("old", "temp", "billing", "work") or not a.line or not a.postalCode:
            continue
        return address_key(a.line[0], a.postalCode)
    return ""


def address_key(line: str, postal_code: str) -> str:
    """A street and a postal code as addresses are compared: `nygatan 31 lgh 1001|50330`."""
    return f"{fold(line).replace(',', '')}|{''.join(postal_code.split())}"
