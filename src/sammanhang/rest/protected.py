"""R29 at the API: who has protected identity is masked, and is not found by what is masked.

A name, an address or a relative in an answer would tell what the protection hides; so would a search by
them that finds somebody. An exact identity number or id finds the person, masked, as on the pages. What
the person themself asks for, and what goes to a system trusted with the whole record, is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sammanhang.access.facts import PROTECTED, PROTECTED_CODES, is_protected, protected_names
from sammanhang.access.masking import WORDS, named, without_names
from sammanhang.fhir.decode import encode, trusted
from sammanhang.fhir.r4 import Coding, HumanName
from sammanhang.store.search.compile import Predicate
from sammanhang.store.search.parse import Request
from sammanhang.store.types import NUMBER

from .request import FhirRequest

_WORDS = tuple(code.encode() for code in PROTECTED_CODES)
# All that could lead to the person or to where they are.
_HIDDEN = (
    "text", "contained", "extension", "modifierExtension", "telecom", "address", "photo", "contact",
    "communication", "generalPractitioner", "managingOrganization", "link", "maritalStatus", "_birthDate",
)  # fmt: skip
_REDACTED = Coding(
    system="http://terminology.hl7.org/CodeSystem/v3-ObservationValue", code="REDACTED"
)


def masks(fr: FhirRequest) -> bool:
    """Whether protected identities are masked for who asks."""
    return not fr.actor.everything and fr.actor.kind != "resident"


async def learn(fr: FhirRequest, rows: Iterable[tuple[str, bytes | None]]) -> None:
    """Finds out which people in an answer have protected identity, for `shown`; at most one query.

    Only those whose names could stand there count: beside a reference to them, in a narrative, or in what is
    said of a relative.
    """
    if not masks(fr):
        return
    ids = {id for name, body in rows if body is not None for id in named(name, body)}
    if not ids:
        return
    fr.protected |= await protected_names(fr.services.database, ids)


def shown(fr: FhirRequest, type_name: str, body: bytes) -> bytes:
    """A stored resource as who asks may see it; what `learn` has found out is masked."""
    if fr.protected and type_name != "Patient":
        people = {id: fr.protected[id] for id in named(type_name, body) & fr.protected.keys()}
        return without_names(type_name, body, people) if people else body
    if type_name != "Patient" or not any(w in body for w in _WORDS) or not masks(fr):
        return body
    patient = trusted(body, "Patient")
    if not is_protected(patient):
        return body
    for name in _HIDDEN:
        if hasattr(patient, name):
            setattr(patient, name, None)
    patient.name = [HumanName(text=WORDS)]
    patient.meta.security = [*(patient.meta.security or ()), _REDACTED]
    return encode(patient)


def unseen(fr: FhirRequest, request: Request, wall: Predicate) -> Predicate:
    """The wall for the criteria of a search: protected people only match who names them exactly."""
    if not masks(fr) or _exact(request):
        return wall
    labels = ",".join(map(str, sorted(PROTECTED)))

    def both(alias: str) -> tuple[str, list[Any]]:
        sql, args = wall(alias)
        hidden = (
            f"{alias}.type = {NUMBER['Patient']} AND {alias}.labels && '{{{labels}}}'::bigint[]"
        )
        return f"({sql}) AND ({hidden}) IS NOT TRUE", args

    return both


def _exact(request: Request) -> bool:
    """Whether a search asks for people by whole identity numbers or ids, and by nothing else."""
    if request.types != ("Patient",) or not request.criteria or request.lists:
        return False
    return all(
        c.parameter.code in ("identifier", "_id")
        and c.modifier is None
        and not c.chain
        and not c.has
        and all(v.rpartition("|")[2] for v in c.values)
        for c in request.criteria
    )
