"""Consents and blocks: recorded by staff, set and withdrawn by the person, each in one step (SVOD 2:2–3, 3:1, PDL 4:4).

One that is withdrawn or lifted stays in the record, inactive from that moment, with its history; the next
opening of the record already follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from sammanhang.fhir.decode import decode, encode, trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.fhir.r4 import (
    CodeableConcept,
    Coding,
    Consent,
    Extension,
    Meta,
    Period,
    Reference,
)
from sammanhang.fhir.r4.consent import ConsentProvision, ConsentProvisionActor
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, NotFound, Refused
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.database import EVERYTHING
from sammanhang.store.rows import row_of
from sammanhang.store.types import NUMBER
from sammanhang.store.write import commit

from .actor import Actor
from .audit import WriteTrace
from .door import Doors, Record
from .facts import CONSENT_KIND, INFORMED, kinds_of, parties_of
from .rules import Facts, mature_enough, may_block, years

_HL7 = "http://terminology.hl7.org/CodeSystem/"
_OWN = "http://sammanhang.se/fhir/StructureDefinition/"
ASKED_BY, HOW, WHO = _OWN + "consent-asked-by", _OWN + "consent-how", _OWN + "consent-given-by"


@dataclass(frozen=True, slots=True)
class Held:
    """A consent or block in force.

    kind      a key of kinds in content/rules/consents
    parties   HSA-ids it is about
    received  HSA-id of who received it
    since, until  days; may be empty
    asked_by  `PractitionerRole/…` that asked; `how` and `who` keys of the content; empty when not recorded
    """

    id: str
    kind: str
    parties: tuple[str, ...]
    received: str
    since: str
    until: str
    asked_by: str = ""
    how: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What staff record: the kind, how it was said and by whom, until when, and that the person was told first."""

    kind: str
    how: str
    who: str = "patient"
    until: date | None = None
    informed: bool = False


async def held(doors: Doors, patient: str) -> list[Held]:
    """The patient's consents and blocks in force, the newest first, one for each kind of each; one query."""
    async with doors.database.reading(EVERYTHING) as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT body FROM store.other WHERE patient = %s AND type = %s ORDER BY occurred DESC NULLS LAST",
            (self_hash("Patient", patient), NUMBER["Consent"]),
        )
    found = []
    for (body,) in rows:
        c = trusted(body, "Consent")
        if c.status != "active" or c.provision is None:
            continue
        period = c.provision.period
        until = (period.end if period is not None else None) or ""
        if until and until[:10] < clock.today().isoformat():
            continue
        received = next((o.reference or "" for o in c.organization or ()), "")
        more = {e.url: e for e in c.extension or ()}
        asked = more.get(ASKED_BY)
        for kind in sorted(kinds_of(c)):
            found.append(
                Held(
                    c.id,
                    kind,
                    tuple(parties_of(c)),
                    received.removeprefix("Organization/"),
                    (period.start if period is not None else None) or c.dateTime or "",
                    until,
                    asked.valueReference.reference or "" if asked and asked.valueReference else "",
                    _code(more.get(HOW)),
                    _code(more.get(WHO)),
                )
            )
    return found


def _code(e: Any) -> str:
    return str(e.valueCode) if e is not None and e.valueCode else ""


# what staff record


def may_record(record: Record) -> dict[str, Any]:
    """The kinds this actor may record for this patient now: by role and the patient's age."""
    actor, facts = record.actor, record.facts
    if actor.assignment is None or not record.decision.write:
        return {}
    return {
        kind: row
        for kind, row in content("rules/consents")["kinds"].items()
        if actor.assignment.role in row.get("roles", (actor.assignment.role,)) and _of_age(row, facts)
    }  # fmt: skip


def _of_age(row: Any, facts: Facts) -> bool:
    ages = content("rules/ages")
    age = facts.age
    if age is None:
        return "until_age" not in row
    if row.get("adult") and age < ages["adult"]:
        return False
    if "from_age" in row and age < ages[row["from_age"]]:
        return False
    return "until_age" not in row or age < ages[row["until_age"]]


async def record_consent(record: Record, given: Given) -> str:
    """Records what the person has said, with who asked, how, for whom and until when; returns the Consent's id.

    Raises `Refused` (R12, R24) for a kind the actor may not record, `Invalid` for what is missing.
    """
    actor, doors, rules = record.actor, record.doors, content("rules/consents")
    row = may_record(record).get(given.kind)
    if row is None or actor.assignment is None:
        raise Refused(
            "Your assignment may not record that for this patient.",
            "Ditt uppdrag får inte registrera det för den här patienten.",
            rule="R24"
            if given.kind in ("forlangd-vardnadshavare", "mognad-egen-journal")
            else "R7",
        )
    if row["type"] == "deny" and given.kind.endswith("sparr") and given.who != "patient":
        raise Refused(
            "A guardian cannot block a child's data.",
            "En vårdnadshavare kan inte spärra ett barns uppgifter.",
            rule="R12",
        )
    if given.kind.endswith("-sparr") and row["type"] == "deny":
        _allowed(mature_enough(record.facts))
    _complete(given, row, rules)
    own, unit = actor.assignment.provider, actor.assignment.unit
    party = {"provider": own, "unit": unit, "none": None}[row["party"]]
    more = _said(actor.assignment.id, given.how, given.who, informed=bool(row.get("inform")))
    made = _made(
        record.patient_id, given.kind, own, unit, party, _last_day(given, row, record.facts), more
    )
    made.performer = [
        Reference(reference=f"Patient/{record.patient_id}")
        if given.who == "patient"
        else Reference(display=rules["who"][given.who]["sv"])
    ]
    action = "block" if given.kind in ("inre-sparr", "yttre-sparr") else "consent"
    id = str(uuid7())
    await _store(doors, actor, record.patient_id, made, id, 0, own, unit, action)
    return id


def shared_by(record: Record, reader: str) -> Any:
    """A Consent that `reader`, a care provider, may read what others have written (SVOD 3:1), said to who has the
    record open when they send the patient on; the person was told first. To be stored with what is sent.

    Raises `Refused` for who may not record it.
    """
    kind = "sammanhallen-dokumentation"
    a = record.actor.assignment
    if a is None or kind not in may_record(record):
        raise Refused("Your assignment may not record that for this patient.", "Ditt uppdrag får inte registrera det för den här patienten.", rule="R7")  # fmt: skip
    return _made(
        record.patient_id,
        kind,
        a.provider,
        a.unit,
        reader,
        None,
        _said(a.id, "muntligt", "patient", informed=True),
    )


def _said(assignment: str, how: str, who: str, *, informed: bool) -> list[Any]:
    """Who asked, how it was said and by whom, and that the person was told first."""
    more = [
        Extension(url=ASKED_BY, valueReference=Reference(reference=f"PractitionerRole/{assignment}")),
        Extension(url=HOW, valueCode=how),
        Extension(url=WHO, valueCode=who),
    ]  # fmt: skip
    return [*more, Extension(url=INFORMED, valueBoolean=True)] if informed else more


def _complete(given: Given, row: Any, rules: Any) -> None:
    if given.how not in rules["how"]:
        raise Invalid("Choose how it was said.", "Välj hur det sades.")
    if given.who not in rules["who"]:
        raise Invalid("Choose who said it.", "Välj vem som sa det.")
    if row.get("inform") and not given.informed:
        raise Invalid(
            "The person must be told first what it means. Tick that they were.",
            "Personen ska först få veta vad det innebär. Kryssa i att det är gjort.",
        )
    today = clock.today()
    if given.until is not None and given.until < today:
        raise Invalid("The last day has passed.", "Sista dagen har redan varit.")
    if given.until is not None and given.until > today + timedelta(days=rules["longest_days"]):
        raise Invalid("The last day is too far off.", "Sista dagen ligger för långt fram.")
    if row.get("needs_end") and given.until is None:
        raise Invalid("Say until when.", "Ange till och med vilken dag.")


def _last_day(given: Given, row: Any, facts: Facts) -> date | None:
    """The last day it holds: no longer than the age at which it means nothing."""
    if "until_age" not in row or facts.born is None:
        return given.until
    ages = content("rules/ages")
    born = facts.born
    turning = born.year + ages[row["until_age"]]
    day = date(turning, 3, 1) if (born.month, born.day) == (2, 29) else born.replace(year=turning)
    assert years(born, day) == ages[row["until_age"]]
    last = day - timedelta(days=1)
    return min(last, given.until) if given.until is not None else last


async def withdraw(record: Record, id: str) -> None:
    """At the person's word: a consent is withdrawn, a block of the own care provider lifted, from now on.

    Raises `NotFound` for what the actor's care provider did not receive, and `Refused` for who may not write.
    """
    actor = record.actor
    if actor.assignment is None or not record.decision.write:
        raise Refused("You may read but not write.", "Du får läsa men inte skriva.", rule="R2")
    found = await _find(record.doors, record.patient_id, id)
    if found is None or found[2] != actor.assignment.provider:
        raise NotFound("There is no such consent.", "Samtycket finns inte.")
    consent, version, provider, unit = found
    await _end(record.doors, actor, record.patient_id, consent, version, provider, unit)


# what the person does


async def end(doors: Doors, actor: Actor, patient: str, id: str) -> None:
    """Withdraws a consent, or lifts a block, from now on. Raises `NotFound`, and `Refused` (R12, R13)."""
    facts, person = await doors.facts(actor, patient)
    if person is None or not facts.own:
        raise NotFound("There is no such consent.", "Samtycket finns inte.")
    found = await _find(doors, patient, id)
    if found is None:
        raise NotFound("There is no such consent.", "Samtycket finns inte.")
    consent, version, provider, unit = found
    kinds = content("rules/consents")["kinds"]
    if any(kinds.get(k, {}).get("group") not in ("consent", "no") for k in kinds_of(consent)):
        raise NotFound(
            "There is no such consent.", "Samtycket finns inte."
        )  # an officer's decision
    if consent.provision is not None and consent.provision.type == "deny":
        _allowed(may_block(actor, facts))
    await _end(doors, actor, patient, consent, version, provider, unit)


async def block(doors: Doors, actor: Actor, patient: str, party: str) -> None:
    """Blocks what a care provider, or a unit, has written: at once (SVOD 2:3, PDL 4:4).

    Raises `NotFound` for a party that has no data on the patient, `Refused` (R12, R13).
    """
    facts, person = await doors.facts(actor, patient)
    providers = {p for p, _ in facts.sources}
    units = {u: p for p, u in facts.sources if u and u != p}
    if person is None or party not in providers | set(units):
        raise NotFound(
            "There is nobody such with data on you.", "Ingen sådan har uppgifter om dig."
        )
    _allowed(may_block(actor, facts))
    if any(b.party == party for b in facts.blocks):
        return
    kind = "yttre-sparr" if party in providers else "inre-sparr"
    provider = party if kind == "yttre-sparr" else units[party]
    made = _made(patient, kind, provider, party, party, None, [])
    await _store(doors, actor, patient, made, str(uuid7()), 0, provider, party, "block")


def _made(
    patient: str, kind: str, provider: str, unit: str, party: str | None, last: date | None, more: list[Any]
) -> Any:  # fmt: skip
    """A Consent received by a care provider's unit, from now on, until a last day."""
    row = content("rules/consents")["kinds"][kind]
    permit = row["type"] == "permit"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    role = Coding(system=_HL7 + "v3-ParticipationType", code="IRCP" if permit else "CST")
    actors = (
        [
            ConsentProvisionActor(
                role=CodeableConcept(coding=[role]),
                reference=Reference(reference=f"Organization/{party}"),
            )
        ]
        if party is not None
        else None
    )
    return Consent(
        meta=Meta(tag=[Coding(system=PROVIDER, code=provider), Coding(system=UNIT, code=unit)]),
        extension=more or None,
        status="active",
        scope=CodeableConcept(
            coding=[Coding(system=_HL7 + "consentscope", code="patient-privacy")]
        ),
        category=[
            CodeableConcept(coding=[Coding(system=CONSENT_KIND, code=kind, display=row["sv"])])
        ],
        patient=Reference(reference=f"Patient/{patient}"),
        dateTime=at,
        performer=[Reference(reference=f"Patient/{patient}")],
        organization=[Reference(reference=f"Organization/{provider}")],
        policyRule=CodeableConcept(text=row["law"]),
        provision=ConsentProvision(
            type=row["type"],
            period=Period(start=at, end=last.isoformat() if last is not None else None),
            actor=actors,
        ),
    )


async def _find(doors: Doors, patient: str, id: str) -> tuple[Any, int, str, str] | None:
    """A Consent of the patient: (resource, version, provider, unit)."""
    async with doors.database.reading(EVERYTHING) as connection:
        rows = await connection.fetch(
            "SELECT r.id, r.version, r.body, p.id, u.id FROM store.other r"
            " LEFT JOIN store.party p ON p.number = r.provider LEFT JOIN store.party u ON u.number = r.unit"
            " WHERE r.self = %s AND r.type = %s AND r.patient = %s",
            (self_hash("Consent", id), NUMBER["Consent"], self_hash("Patient", patient)),
        )
    if not rows or rows[0][0] != id:
        return None
    _, version, body, provider, unit = rows[0]
    return trusted(body, "Consent"), version, provider, unit


async def _end(
    doors: Doors, actor: Actor, patient: str, consent: Any, version: int, provider: str, unit: str
) -> None:
    if consent.status != "active":
        return
    deny = consent.provision is not None and consent.provision.type == "deny"
    consent.status = "inactive"
    action = "unblock" if deny else "consent-withdrawn"
    await _store(doors, actor, patient, consent, consent.id, version, provider, unit, action)


def _allowed(decision: Any) -> None:
    if decision.effect == "deny":
        raise Refused(decision.en, decision.sv, rule=decision.rule)


async def _store(
    doors: Doors, actor: Actor, patient: str, consent: Any, id: str, version: int, provider: str | None,
    unit: str | None, action: str,
) -> None:  # fmt: skip
    checked = decode(encode(consent), "Consent")  # what the system writes passes the second pass
    now = datetime.now(UTC)
    row = row_of(checked, id, version, now.replace(microsecond=now.microsecond // 1000 * 1000))
    row.provider, row.unit = provider, unit
    entry = doors.entry(actor, action, patient=patient, what=f"Consent/{id}")
    await commit(doors.database, [row], WriteTrace(entry))
