"""People as pages show them: name, age, sex, identity number; masked when their identity is protected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from sammanhang.fhir.indexing import fold
from sammanhang.kernel import identifiers
from sammanhang.kernel.i18n import N_, _

from . import show
from .names import sound

SEXES = {
    "female": N_("Kvinna"),
    "male": N_("Man"),
    "other": N_("Annat kön"),
    "unknown": N_("Kön okänt"),
}
NUMBER_SYSTEMS = {system: kind for kind, system in identifiers.SYSTEM.items()}


@dataclass(frozen=True, slots=True)
class Person:
    """One resident in a list.

    id         of the Patient
    name       as it is shown: the name, or that it is protected
    family     last name, for sorting; empty when protected
    given      first names; empty when protected
    age        `89 år`; at death for the dead
    sex        a word
    number     identity number as people read it, `19371104-2386`
    born       date of birth
    place      where they live; empty when protected
    protected  whether the identity is protected
    dead       the day of death, `okänd dag` when only the fact is known, else empty
    similar    another person in the same list has a name that sounds the same
    """

    id: str
    name: str
    family: str
    given: str
    age: str
    sex: str
    number: str
    born: str
    place: str
    protected: bool
    dead: str
    similar: bool = False


def person_of(patient: Any, protected: bool) -> Person:
    """A Patient as a row of a list."""
    family, given = ("", "") if protected else name_parts(patient)
    dead = dead_of(patient)
    place = "" if protected else next((a.city for a in patient.address or () if a.city), "")
    age = show.age(patient.birthDate)
    if dead and patient.deceasedDateTime and patient.birthDate:
        age = show.age(patient.birthDate, show.local(patient.deceasedDateTime).date())
    return Person(
        id=patient.id,
        name=name_of(patient, protected),
        family=family,
        given=given,
        age=age,
        sex=_(SEXES.get(patient.gender or "unknown", "")),
        number=number_of(patient),
        born=patient.birthDate or "",
        place=place,
        protected=protected,
        dead=dead,
    )


def name_parts(patient: Any) -> tuple[str, str]:
    """(last name, first names) in use now."""
    name = _current(patient)
    return (name.family or "", " ".join(name.given or ())) if name is not None else ("", "")


def name_of(patient: Any, protected: bool = False) -> str:
    """The name to show; `Skyddad uppgift` for a protected identity."""
    if protected:
        return _("Skyddad uppgift")
    name = _current(patient)
    if name is None:
        return _("Namn saknas")
    return (
        name.text or " ".join([*(name.given or ()), name.family or ""]).strip() or _("Namn saknas")
    )


def _current(patient: Any) -> Any:
    names = [n for n in patient.name or () if n.use not in ("old", "maiden")]
    ranked = sorted(names, key=lambda n: {"official": 0, "usual": 1, None: 2}.get(n.use, 3))
    return ranked[0] if ranked else None


def number_of(patient: Any) -> str:
    """The identity number as people read it; empty for someone without."""
    for wanted in NUMBER_SYSTEMS:
        for i in patient.identifier or ():
            if i.system == wanted and i.value and i.use != "old":
                number = identifiers.try_parse(i.value)
                return number.display if number is not None else i.value
    return next((i.value for i in patient.identifier or () if i.value), "")


def dead_of(patient: Any) -> str:
    """The day of death; `okänd dag` when only the fact is known; empty for the living."""
    if patient.deceasedDateTime:
        return show.day(patient.deceasedDateTime)
    return _("okänd dag") if patient.deceasedBoolean else ""


def mark_similar(people: Iterable[Person]) -> list[Person]:
    """The same people, those who may be taken for one another marked.

    Alike are a last name that sounds the same with a first name that begins the same, and the same
    first name at about the same age: on a ward and in a home people are called by it.
    """
    people = list(people)
    marked = {
        p.id
        for a, b in combinations([p for p in people if p.family], 2)
        if _alike(a, b)
        for p in (a, b)
    }
    return [replace(p, similar=p.id in marked) for p in people]


def _alike(a: Person, b: Person) -> bool:
    first, second = _first(a), _first(b)
    if sound(fold(a.family)) == sound(fold(b.family)):
        return first[:3] == second[:3]
    years = abs(int(a.born[:4] or 0) - int(b.born[:4] or 0)) if a.born and b.born else 100
    return first == second and a.sex == b.sex and years <= 10


def _first(p: Person) -> str:
    return sound(fold(p.given).split(" ")[0].split("-")[0])
