"""The resident's own consents and blocks: withdrawn, set and lifted in one step (SVOD 2:3, 3:1, PDL 4:4).

A consent that is withdrawn or a block that is lifted stays in the record, inactive from that moment, with its
history; the next opening of the record already follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from sammanhang.fhir.decode import decode, encode, trusted
from sammanhang.fhir.indexing import self_hash
from sammanhang.fhir.r4 import CodeableConcept, Coding, Consent, Meta, Period, Reference
from sammanhang.fhir.r4.consent import ConsentProvision, ConsentProvisionActor
from sammanhang.kernel.errors import NotFound, Refused
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.database import EVERYTHING
from sammanhang.store.rows import row_of
from sammanhang.store.types import NUMBER
from sammanhang.store.write import commit

from .actor import Actor
from .audit import WriteTrace
from .door import Doors
from .facts import CONSENT_KIND, kinds_of, parties_of
from .rules import may_block

_HL7 = "http://terminology.hl7.org/CodeSystem/"
_BLOCKS = {
    "inre-sparr": ("Inre spärr", "Patientdatalagen (2008:355) 4 kap. 4 §"),
    "yttre-sparr": (
        "Yttre spärr",
        "Lag (2022:913) om sammanhållen vård- och omsorgsdokumentation 2 kap. 3 §",
    ),
}


@dataclass(frozen=True, slots=True)
class Held:
    """A consent or block in force: its kind (`sammanhallen-dokumentation`, `inre-sparr`, `yttre-sparr`), the
    HSA-ids it is about and of who received it, and the days it began and ends (may be empty)."""

    id: str
    kind: str
    parties: tuple[str, ...]
    received: str
    since: str
    until: str


async def held(doors: Doors, patient: str) -> list[Held]:
    """The patient's consents and blocks in force, the newest first; one query."""
    async with doors.database.reading(EVERYTHING) as connection:
        doors.database.queries += 1
        rows = await connection.fetch(
            "SELECT body FROM store.other WHERE patient = %s AND type = %s ORDER BY occurred DESC NULLS LAST",
            (self_hash("Patient", patient), NUMBER["Consent"]),
        )
    found = []
    for (body,) in rows:
        c = trusted(body, "Consent")
        kinds = kinds_of(c)
        if c.status != "active" or c.provision is None or not kinds:
            continue
        period = c.provision.period
        received = next((o.reference or "" for o in c.organization or ()), "")
        found.append(
            Held(
                c.id,
                sorted(kinds)[0],
                tuple(parties_of(c)),
                received.removeprefix("Organization/"),
                (period.start if period is not None else None) or c.dateTime or "",
                (period.end if period is not None else None) or "",
            )
        )
    return found


async def end(doors: Doors, actor: Actor, patient: str, id: str) -> None:
    """Withdraws a consent, or lifts a block, from now on. Raises `NotFound`, and `Refused` (R12, R13)."""
    facts, person = await doors.facts(actor, patient)
    if person is None or not facts.own:
        raise NotFound("There is no such consent.", "Samtycket finns inte.")
    async with doors.database.reading(EVERYTHING) as connection:
        rows = await connection.fetch(
            "SELECT r.id, r.version, r.body, p.id, u.id FROM store.other r"
            " LEFT JOIN store.party p ON p.number = r.provider LEFT JOIN store.party u ON u.number = r.unit"
            " WHERE r.self = %s AND r.type = %s AND r.patient = %s",
            (self_hash("Consent", id), NUMBER["Consent"], self_hash("Patient", patient)),
        )
    if not rows or rows[0][0] != id:
        raise NotFound("There is no such consent.", "Samtycket finns inte.")
    _, version, body, provider, unit = rows[0]
    consent = trusted(body, "Consent")
    block = consent.provision is not None and consent.provision.type == "deny"
    if block:
        _allowed(may_block(actor, facts))
    if consent.status != "active":
        return
    now = datetime.now(UTC)
    consent.status = "inactive"
    action = "unblock" if block else "consent-withdrawn"
    await _store(doors, actor, patient, consent, id, version, now, provider, unit, action)


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
    text, law = _BLOCKS[kind]
    now = datetime.now(UTC)
    subject = Reference(reference=f"Patient/{patient}")
    at = now.isoformat(timespec="seconds")
    made = Consent(
        meta=Meta(tag=[Coding(system=PROVIDER, code=provider), Coding(system=UNIT, code=party)]),
        status="active",
        scope=CodeableConcept(
            coding=[Coding(system=_HL7 + "consentscope", code="patient-privacy")]
        ),
        category=[CodeableConcept(coding=[Coding(system=CONSENT_KIND, code=kind, display=text)])],
        patient=subject,
        dateTime=at,
        performer=[subject],
        organization=[Reference(reference=f"Organization/{provider}")],
        policyRule=CodeableConcept(text=law),
        provision=ConsentProvision(
            type="deny",
            period=Period(start=at),
            actor=[
                ConsentProvisionActor(
                    role=CodeableConcept(
                        coding=[Coding(system=_HL7 + "v3-ParticipationType", code="CST")]
                    ),
                    reference=Reference(reference=f"Organization/{party}"),
                )
            ],
        ),
    )
    made = decode(encode(made), "Consent")  # what the system writes passes the second pass
    await _store(doors, actor, patient, made, str(uuid7()), 0, now, provider, party, "block")


def _allowed(decision: Any) -> None:
    if decision.effect == "deny":
        raise Refused(decision.en, decision.sv, rule=decision.rule)


async def _store(
    doors: Doors, actor: Actor, patient: str, consent: Any, id: str, version: int, now: datetime,
    provider: str | None, unit: str | None, action: str,
) -> None:  # fmt: skip
    row = row_of(consent, id, version, now.replace(microsecond=now.microsecond // 1000 * 1000))
    row.provider, row.unit = provider, unit
    entry = doors.entry(actor, action, patient=patient, what=f"Consent/{id}")
    await commit(doors.database, [row], WriteTrace(entry))
