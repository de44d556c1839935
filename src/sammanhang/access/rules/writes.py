"""What may be written, beside who may write: plans and messages between care providers (R31–R33), and the
functions a municipality has (M24). Pure functions; the answer is a refusal or None."""

from __future__ import annotations

import re
from typing import Any

from sammanhang.kernel.content import content

from .decision import Decision, Facts, deny
from .packages import codes, may_write_function

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def guarded(resource: Any) -> bool:
    """Whether what may be written of this type depends on facts about the patient (R31, R33)."""
    return type(resource).__name__ in ("CarePlan", "Communication")


def may_write(provider: str | None, facts: Facts, resource: Any) -> Decision | None:
    """The refusal of the first rule that refuses; None when the resource may be written.

    `provider` is the HSA-id of the care provider in whose name it is written. `facts` need only be fetched
    when `guarded`.
    """
    name = type(resource).__name__
    if provider is not None and (refused := may_write_function(provider, resource)) is not None:
        return refused
    if name == "CarePlan":
        return r31(facts, resource)
    if name == "Communication":
        return r32(resource) or r33(facts, resource)
    return None


def r31(facts: Facts, plan: Any) -> Decision | None:
    """R31: a coordinated individual plan (SIP) is made only with the person's consent (HSL 16:4, lag 2017:612
    4:2). One that is ended or was an error may be put right without."""
    rules = content("rules/disclosure")
    if not codes(plan) & set(rules["plans"]):
        return None
    if plan.status in ("revoked", "completed", "entered-in-error"):
        return None
    if rules["plan_consent"] in facts.agreed:
        return None
    return deny(
        "R31",
        "En samordnad individuell plan görs bara med den enskildes samtycke. Inget sådant samtycke är registrerat.",
        "A coordinated individual plan is made only with the person's consent. No such consent is recorded.",
    )


def r32(message: Any) -> Decision | None:
    """R32: a notice of admission holds name, identity number, registered address and estimated discharge, and
    nothing more (lag 2017:612 2:2): the person by reference, the day as the only content."""
    rules = content("rules/disclosure")
    for kind in codes(message) & set(rules["messages"]):
        allowed = rules["messages"][kind].get("elements")
        if allowed is None:
            continue
        extra = sorted(
            name
            for name in message.__struct_fields__
            if getattr(message, name) is not None and name.strip("_") not in allowed
        )
        if extra or not _only_a_day(message.payload):
            what = ", ".join(extra) or "payload"
            return deny(
                "R32",
                "Ett inskrivningsmeddelande innehåller bara namn, personnummer, adress och beräknad dag för"
                f" utskrivning. Ta bort: {what}.",
                "A notice of admission holds only name, identity number, address and estimated day of discharge."
                f" Remove: {what}.",
            )
    return None


def r33(facts: Facts, message: Any) -> Decision | None:
    """R33: planning information goes out only with consent or another ground (lag 2017:612 3:1–2, OSL 25:1);
    without, it is held: it may be stored as such, and who wrote it is told."""
    rules = content("rules/disclosure")
    needs = [
        k for k in codes(message) & set(rules["messages"]) if rules["messages"][k]["needs_ground"]
    ]
    if not needs or message.status in rules["held"]:
        return None
    if rules["message_consent"] in facts.agreed or _ground(message, rules):
        return None
    return deny(
        "R33",
        "Meddelandet hålls kvar: det finns varken samtycke eller annan grund för att lämna uppgifterna. Spara det"
        " som väntande (on-hold), eller ange grund.",
        "The message is held: there is neither consent nor another ground for giving the data. Store it as"
        " on-hold, or give a ground.",
    )


def _only_a_day(payload: Any) -> bool:
    """At most one content, and that a calendar day."""
    if not payload:
        return True
    first = payload[0]
    return (
        len(payload) == 1
        and first.contentString is not None
        and _DAY.fullmatch(first.contentString) is not None
        and first.contentAttachment is None
        and first.contentReference is None
        and not first.extension
    )


def _ground(message: Any, rules: Any) -> bool:
    return any(
        e.url == rules["ground_url"] and e.valueCode in rules["grounds"]
        for e in message.extension or ()
    )
