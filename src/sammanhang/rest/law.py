"""What the law lets a person do, over the API: why a record is closed, and the lawful ways on.

    GET  Patient/[id]/$decision        what the law says, and what exists and is not shown
    POST Patient/[id]/$declare-reason  R3: why the record is needed (`reason`, a code)
    POST Patient/[id]/$emergency       R6, R9, R10: `step` declare, open, ask or end, with what each needs
    POST Consent/[id]/$withdraw        a consent withdrawn, or a block lifted, by the person or at their word
    GET  Patient/[id]/$accesses        R35: who has been in the resident's own record

The same verbs as behind the pages; each answers with the decision as it is afterwards, as Parameters.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sammanhang.access import consents, emergency, extract
from sammanhang.access.door import RecordRefused
from sammanhang.access.rules import Decision, decide
from sammanhang.fhir.decode import decode
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, NotFound, Refused

from . import gate
from .request import Answer, FhirRequest

_encoder = msgspec.json.Encoder()
ON_PATIENT = {
    "$decision": ("GET", "r"), "$declare-reason": ("POST", "u"), "$emergency": ("POST", "u"),
    "$accesses": ("GET", "r"),
}  # fmt: skip


async def on_patient(fr: FhirRequest, patient: str, name: str) -> Answer:
    """One of `ON_PATIENT`. Raises `Refused`, `Invalid`."""
    doors = fr.services.doors
    if name == "$accesses":
        return await _accesses(fr, patient)
    if fr.actor.kind not in ("staff", "resident"):
        raise Refused("Only a person may do that.", "Bara en person kan göra det.", rule="R1")
    gate.confine(fr, patient)
    if name == "$decision":
        return Answer(200, await _decision(fr, patient))
    if name == "$declare-reason":
        sent = await _parameters(fr)
        await doors.declare(fr.actor, patient, _one(sent, "reason"))
    elif name == "$emergency":
        await _emergency(fr, patient, await _parameters(fr))
    facts, _ = await doors.facts(fr.actor, patient)
    return Answer(200, _answer(fr, decide(fr.actor, facts), facts.danger_until))


async def _decision(fr: FhirRequest, patient: str) -> bytes:
    """What the law says of the record, refusals too; opening it leaves the same trace as any other."""
    try:
        record = await gate.opened(fr, patient)
    except RecordRefused as refused:
        return _answer(fr, refused.decision, None)
    return _answer(fr, record.decision, record.facts.danger_until)


async def _emergency(fr: FhirRequest, patient: str, sent: dict[str, list[str]]) -> None:
    doors, step = fr.services.doors, _one(sent, "step")
    if step == "declare":
        await emergency.declare(
            doors, fr.actor, patient, danger=_one(sent, "danger"), unable=_one(sent, "unable"),
            said=_one(sent, "said"),
        )  # fmt: skip
    elif step == "open":
        await emergency.open_parties(doors, fr.actor, patient, sent.get("party", []))
    elif step == "ask":
        await emergency.ask_owner(doors, fr.actor, patient, _one(sent, "party"), _one(sent, "said"))
    elif step == "end":
        await emergency.end(doors, fr.actor, patient)
    else:
        raise Invalid(
            "The parameter 'step' is declare, open, ask or end.",
            "Parametern ”step” är declare, open, ask eller end.",
        )


async def withdraw(fr: FhirRequest, id: str) -> Answer:
    """POST Consent/[id]/$withdraw. What is not there and what is not the asker's look the same."""
    doors = fr.services.doors
    if fr.actor.kind == "resident":
        patient = fr.actor.id.removeprefix("Patient/")
        gate.confine(fr, patient)
        await consents.end(doors, fr.actor, patient, id)
        return Answer(200, _encoder.encode({"resourceType": "Parameters"}))
    found = await gate.patient_of(fr, "Consent", id)
    if fr.actor.kind != "staff" or found is None:
        raise gate.absent("Consent", id)
    gate.confine(fr, found)
    try:
        record = await gate.opened(fr, found)
        await consents.withdraw(record, id)
    except (NotFound, Refused):
        raise gate.absent("Consent", id) from None
    return Answer(200, _encoder.encode({"resourceType": "Parameters"}))


async def _accesses(fr: FhirRequest, patient: str) -> Answer:
    """R35: the resident's own log, a line for each unit, action and day."""
    if fr.actor.id != f"Patient/{patient}":
        raise gate.absent("Patient", patient)
    gate.confine(fr, patient)
    await gate.opened(fr, patient)
    rules = content("rules/log_extract")
    found = await extract.extract(fr.services.doors, patient, extract.months_ago(rules["months"]))
    await fr.services.audit.record(
        gate.entry(fr, "log", f"Patient/{patient}/$accesses", patient=patient, count=len(found))
    )
    language = "sv" if fr.swedish else "en"
    lines = [
        {
            "name": "access",
            "part": [
                {"name": "at", "valueDateTime": a.at.isoformat(timespec="seconds")},
                {"name": "unit", "valueString": a.unit or "–"},
                {"name": "provider", "valueString": a.provider or "–"},
                {"name": "did", "valueString": rules["actions"][a.action][language]},
                {"name": "times", "valueInteger": a.times},
                *([{"name": "purpose", "valueString": a.purpose}] if a.purpose else []),
                *([{"name": "app", "valueString": a.app}] if a.app else []),
            ],
        }
        for a in found
    ]
    return Answer(200, _parameters_of(lines))


def _answer(fr: FhirRequest, decision: Decision, until: Any) -> bytes:
    """The decision: effect, rule and sentence, what is not shown and whose where the law tells it, and the ways on."""
    words = decision.sv if fr.swedish else decision.en
    said: list[dict[str, Any]] = [
        {"name": "effect", "valueCode": decision.effect},
        {"name": "rule", "valueString": decision.rule},
    ]
    if words:
        said.append({"name": "says", "valueString": words})
    said += [{"name": "may", "valueCode": way} for way in sorted(decision.obligations)]
    said += [{"name": "reason", "valueCode": reason} for reason in decision.reasons]
    if until is not None:
        said.append({"name": "until", "valueDateTime": until.isoformat(timespec="seconds")})
    for h in decision.hidden:
        said.append(
            {
                "name": "hidden",
                "part": [
                    {"name": "kind", "valueCode": h.kind},
                    {"name": "rule", "valueString": h.rule},
                    {"name": "says", "valueString": h.sv if fr.swedish else h.en},
                    *({"name": "party", "valueString": p} for p in sorted(h.parties)),
                ],
            }
        )
    return _parameters_of(said)


def _parameters_of(parts: list[dict[str, Any]]) -> bytes:
    body: dict[str, Any] = {"resourceType": "Parameters"}
    return _encoder.encode(body | ({"parameter": parts} if parts else {}))


async def _parameters(fr: FhirRequest) -> dict[str, list[str]]:
    """Names and values of a Parameters body; codes and strings. Raises `Invalid`, `Unprocessable`."""
    fr.check_json()
    sent: dict[str, list[str]] = {}
    for p in decode(await fr.body(), "Parameters").parameter or ():
        value = p.valueCode if p.valueCode is not None else p.valueString
        if value is None:
            raise Invalid(
                f"The parameter '{p.name}' must be a code or a string.",
                f"Parametern ”{p.name}” ska vara en kod eller en text.",
            )
        sent.setdefault(p.name, []).append(str(value))
    return sent


def _one(sent: dict[str, list[str]], name: str) -> str:
    """The value of a parameter that stands once. Raises `Invalid`."""
    values = sent.get(name, [])
    if len(values) != 1:
        raise Invalid(
            f"The parameter '{name}' must stand once.", f"Parametern ”{name}” ska finnas en gång."
        )
    return values[0]
