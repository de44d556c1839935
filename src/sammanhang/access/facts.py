"""The facts a decision is made of, fetched in one query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from sammanhang.fhir.dates import BEGINNING, END, bounds
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import coded, self_hash
from sammanhang.kernel.content import content
from sammanhang.store.connection import numbers
from sammanhang.store.database import EVERYTHING, Database
from sammanhang.store.search.parameters import parameter
from sammanhang.store.types import NUMBER

from .actor import Actor
from .rules import Block, Facts

PROTECTED_SYSTEM = "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel"
PROTECTED_CODES = ("sekretessmarkering", "skyddadFolkbokforing")
PROTECTED = frozenset(coded(PROTECTED_SYSTEM, c)[1] for c in PROTECTED_CODES)
CONSENT_KIND = "http://sammanhang.se/fhir/CodeSystem/consent-kind"
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"

# sources_and_relations, consents, patient, declared reason, emergency, lifted blocks
_FACTS = """
SELECT 1, pr.id, un.id, g.care, NULL::bytea
  FROM (SELECT r.provider, r.unit, bool_or(r.care_until > now()
               AND (r.unit = %(unit)s OR r.tokens && %(named)s::bigint[])) AS care
          FROM store.resource r WHERE r.patient = %(patient)s GROUP BY 1, 2) g
       LEFT JOIN store.party pr ON pr.number = g.provider LEFT JOIN store.party un ON un.number = g.unit
UNION ALL
SELECT 2, NULL, NULL, NULL, r.body FROM store.other r
 WHERE r.patient = %(patient)s AND r.type = %(consent)s
UNION ALL
SELECT 3, r.id, NULL, r.labels && %(protected)s::bigint[], r.body FROM store.patient r WHERE r.self = %(patient)s AND r.type = %(type)s
UNION ALL
SELECT 4, d.reason, NULL, NULL, NULL FROM access.declared d
 WHERE d.patient = %(patient)s AND d.actor = %(actor)s AND d.assignment = %(assignment)s AND d.until > now()
UNION ALL
SELECT 5, array_to_string(e.parties, ','), e.until::text, NULL, NULL FROM access.emergency e
 WHERE e.patient = %(patient)s AND e.actor = %(actor)s AND e.assignment = %(assignment)s
   AND e.until > now() AND e.ended IS NULL
UNION ALL
SELECT 6, l.party, NULL, NULL, NULL FROM access.lift l
 WHERE l.patient = %(patient)s AND l.for_party = ANY(%(parties)s::text[]) AND l.until > now()
"""
# … and for readers of the national medication list: whether narcotics were dispensed of late (R30)
_NARCOTICS = """
UNION ALL
SELECT 9, NULL, NULL, true, NULL WHERE EXISTS (SELECT FROM store.resource r
 WHERE r.patient = %(patient)s AND r.provider = %(nll)s AND r.labels && %(narcotic)s::bigint[]
   AND r.occurred > now() - make_interval(months => %(months)s))
"""
# … and for a resident who asks for somebody else's record: who has custody, and who asks
_CUSTODY = """
UNION ALL
SELECT 7, NULL, NULL, NULL, r.body FROM store.other r
 WHERE r.patient = %(patient)s AND r.type = %(related)s
UNION ALL
SELECT 8, NULL, NULL, NULL, r.body FROM store.patient r WHERE r.self = %(asker)s AND r.type = %(type)s
"""


def _positional(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `%s` places, and what stands in each."""
    return re.sub(r"%\(\w+\)s", "%s", sql), tuple(re.findall(r"%\((\w+)\)s", sql))


# By whether somebody asks for another's record, and whether narcotics matter.
_QUESTIONS = {
    (other, list_): _positional(
        _FACTS + (_CUSTODY if other else "") + (_NARCOTICS if list_ else "")
    )
    for other in (False, True)
    for list_ in (False, True)
}


# What a patient has said no to that hides nothing from care: the national list has its own rule (R30), quality
# registers and research are other purposes (R39, R40).
NOT_BLOCKS = frozenset({"nll-sparr", "nej-kvalitetsregister", "nej-forskning"})
INFORMED = "http://sammanhang.se/fhir/StructureDefinition/consent-informed"
# Where a resource names the unit whose work it is, beside the one that wrote it: a request received, a task
# owned, a team's or an enrolment's unit. Whoever is asked to care for somebody has a care relation.
_NAMES_UNIT = (
    ("ServiceRequest", "performer"), ("Task", "owner"), ("EpisodeOfCare", "organization"),
    ("CareTeam", "participant"), ("Encounter", "service-provider"),
)  # fmt: skip


def names_unit(unit: str) -> list[int]:
    """The search tokens of resources that name a unit as whose work they are."""
    here = self_hash("Organization", unit)
    return [here ^ place for place in _places()]


@cache
def _places() -> list[int]:
    found = [parameter(kind, code) for kind, code in _NAMES_UNIT]
    return [s.number for p in found if p is not None for s in p.slots]


@dataclass
class _Consents:
    """What a patient's Consent resources say now."""

    now: datetime
    own: str = ""
    consented: set[str] = field(default_factory=set)
    blocks: list[Block] = field(default_factory=list)
    incapable: bool = False
    own_access: bool = False
    mature: bool = False
    extended: date | None = None
    agreed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    uninformed: set[str] = field(default_factory=set)
    nll: set[str] = field(default_factory=set)

    def read(self, c: Any) -> None:
        """Takes in one Consent; `region.legal` and the glossary list the kinds."""
        if not in_force(c, self.now):
            return
        period = c.provision.period
        high = bounds(period.end)[1] if period is not None and period.end else END
        kinds, parties = kinds_of(c), parties_of(c)
        if c.provision.type == "deny":
            if kinds & NOT_BLOCKS:
                self.nll |= {"block"} if "nll-sparr" in kinds else set()
                self.refused |= kinds
                return
            # a block of a kind we do not know hides as much as one can
            kind = "inner" if "inre-sparr" in kinds else "outer"
            self.blocks += [Block(kind, p) for p in parties]  # type: ignore[arg-type]
        elif c.provision.type == "permit":
            self.agreed |= kinds
            if "sammanhallen-dokumentation" in kinds:
                (self.consented if _informed(c) else self.uninformed).update(parties)
            if "nll-samtycke" in kinds and (not parties or self.own in parties):
                self.nll.add("consent")
            self.nll |= {"dose"} if "dosdispensering" in kinds else set()
            self.incapable |= "beslutsoformogen" in kinds
            self.own_access |= "mognad-egen-journal" in kinds
            self.mature |= "mognad-sparr" in kinds
            if "forlangd-vardnadshavare" in kinds:
                until = high.date()
                self.extended = max(self.extended, until) if self.extended else until


def in_force(c: Any, now: datetime) -> bool:
    """Whether a Consent is active and its time has come and not gone."""
    if c.status != "active" or c.provision is None:
        return False
    period = c.provision.period
    low = bounds(period.start)[0] if period is not None and period.start else BEGINNING
    high = bounds(period.end)[1] if period is not None and period.end else END
    return low <= now < high


def kinds_of(c: Any) -> set[str]:
    """The kinds of a Consent."""
    return {
        coding.code
        for category in c.category or ()
        for coding in category.coding or ()
        if coding.system == CONSENT_KIND and coding.code is not None
    }


def _informed(c: Any) -> bool:
    """Whether the person was told of the sharing first (SVOD 2:2); a consent that does not say was informed."""
    return all(e.valueBoolean is not False for e in c.extension or () if e.url == INFORMED)


def parties_of(c: Any) -> list[str]:
    """HSA-ids of the care providers and units a Consent is about."""
    return [
        a.reference.reference.removeprefix("Organization/")
        for a in (c.provision.actor if c.provision is not None else None) or ()
        if a.reference is not None and a.reference.reference
    ]


async def facts_of(
    database: Database, actor: Actor, patient_id: str, unit: int | None
) -> tuple[Facts, Any]:
    """The facts about an actor and a patient, and the Patient (None when there is none).

    `unit` is the number of the actor's unit. One query.
    """
    a = actor.assignment
    patient = self_hash("Patient", patient_id)
    own = actor.kind == "resident" and actor.id == f"Patient/{patient_id}"
    other = actor.kind == "resident" and not own
    nll = content("rules/nll")
    label = nll["narcotic_label"]
    list_ = await database.party(nll["party"]) if a and a.role in nll["prescribers"] else None
    question, places = _QUESTIONS[other, list_ is not None]
    values = {
        "named": numbers(names_unit(a.unit) if a else ()),
        "nll": list_,
        "narcotic": numbers([coded(label["system"], label["code"])[1]]),
        "months": nll["narcotics_months"],
        "unit": unit if unit is not None else -1,
        "patient": patient,
        "consent": NUMBER["Consent"],
        "type": NUMBER["Patient"],
        "related": NUMBER["RelatedPerson"],
        "actor": actor.id,
        "asker": self_hash("Patient", actor.id.removeprefix("Patient/")),
        "assignment": a.id if a else "",
        "parties": [a.unit, a.provider] if a else [],
        "protected": numbers(sorted(PROTECTED)),
    }
    async with database.reading(EVERYTHING) as connection:
        rows = await connection.fetch(question, [values[name] for name in places])
    now = datetime.now(UTC)
    sources: set[tuple[str, str]] = set()
    relation, declared = False, None
    consents = _Consents(now, a.provider if a else "")
    person: Any = None
    protected, danger = False, False
    until: datetime | None = None
    emergency: set[str] = set()
    lifted: set[str] = set()
    narcotics = False
    related: list[Any] = []
    asker: Any = None
    for kind, one, two, yes, body in rows:
        if kind == 1:
            relation = relation or bool(yes)
            if one is not None:
                sources.add((one, two or ""))
        elif kind == 2:
            consents.read(trusted(body, "Consent"))
        elif kind == 3 and one == patient_id:
            person = trusted(body, "Patient")
            protected = bool(yes)
        elif kind == 4:
            declared = one
        elif kind == 5:
            danger = True
            ends = datetime.fromisoformat(two)
            until = max(until, ends) if until is not None else ends
            emergency.update(p for p in one.split(",") if p)
        elif kind == 6:
            lifted.add(one)
        elif kind == 7:
            related.append(trusted(body, "RelatedPerson"))
        elif kind == 8:
            asker = trusted(body, "Patient")
        elif kind == 9:
            narcotics = True
    facts = Facts(
        exists=person is not None,
        sources=frozenset(sources),
        relation=relation,
        declared=declared,
        consented=frozenset(consents.consented | consents.uninformed),
        blocks=tuple(consents.blocks),
        protected=protected,
        at=now,
        born=born_of(person),
        danger=danger,
        danger_until=until,
        emergency=frozenset(emergency),
        lifted=frozenset(lifted),
        incapable=consents.incapable,
        own=own,
        guardian=other and asker is not None and any(custody(r, asker, now) for r in related),
        extended=consents.extended,
        own_access=consents.own_access,
        mature=consents.mature,
        agreed=frozenset(consents.agreed),
        refused=frozenset(consents.refused),
        informed=consents.own in consents.consented or consents.own not in consents.uninformed,
        nll=frozenset(consents.nll),
        narcotics=narcotics,
    )
    return facts, person


def is_protected(patient: Any) -> bool:
    """Whether a Patient's labels say protected identity (sekretessmarkering, skyddad folkbokföring)."""
    labels = (patient.meta.security if patient.meta is not None else None) or ()
    return any(c.system == PROTECTED_SYSTEM and c.code in PROTECTED_CODES for c in labels)


async def protected_names(database: Database, ids: Iterable[str]) -> dict[str, frozenset[str]]:
    """Of these patients those with protected identity, each with all their names; one query."""
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        rows = await connection.fetch(
            "SELECT id, body FROM store.patient WHERE type = %s AND self = ANY(%s::bigint[])"
            " AND labels && %s::bigint[]",
            (
                NUMBER["Patient"],
                numbers(self_hash("Patient", id) for id in ids),
                numbers(sorted(PROTECTED)),
            ),
        )
    return {
        id: frozenset(
            part
            for n in trusted(body, "Patient").name or ()
            for part in (n.family, n.text, *(n.given or ()))
            if part
        )
        for id, body in rows
    }


def born_of(person: Any) -> date | None:
    """The date of birth; of one known to the year or month the last day it can be: no right comes early."""
    text = person.birthDate if person is not None else None
    if not text:
        return None
    return (bounds(text)[1]).date() if len(text) < 10 else date.fromisoformat(text)


def custody(related: Any, asker: Any, now: datetime) -> bool:
    """R28: whether a RelatedPerson says that the asker has custody of the patient now."""
    if related.active is False:
        return False
    period = related.period
    if period is not None:
        if period.start and bounds(period.start)[0] > now:
            return False
        if period.end and bounds(period.end)[1] <= now:
            return False
    guards = any(
        c.system == _ROLE and c.code == "GUARD"
        for concept in related.relationship or ()
        for c in concept.coding or ()
    )
    mine = {(i.system, i.value) for i in asker.identifier or () if i.value and i.use != "old"}
    return guards and any((i.system, i.value) in mine for i in related.identifier or ())
