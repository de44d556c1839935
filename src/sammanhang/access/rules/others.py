"""Who is neither staff nor resident: programs."""

from __future__ import annotations

from sammanhang.access.actor import Actor
from sammanhang.kernel.content import content

from .decision import NO_PATIENT, Decision, Facts, deny
from .staff import r41


def trusted(actor: Actor, facts: Facts) -> Decision | None:
    """The system's own work and clients trusted with the whole record; not a rule of law but of trust."""
    if actor.everything:
        return Decision("permit", "SYSTEM", "", "", everything=True, write=True)
    return None


def r40(actor: Actor, facts: Facts) -> Decision | None:
    """R40: a client whose purpose needs a decision (research) gets nothing without one in force (content
    rules/secondary_use; etikprövningslagen 2003:460, OSL 25:1)."""
    if actor.kind != "client" or actor.purpose == "care":
        return None
    purpose = content("rules/secondary_use")["purposes"].get(actor.purpose)
    if purpose is None:
        return deny("R40", "Klientens ändamål finns inte.", "The client's purpose does not exist.")
    if purpose.get("needs_decision") and (actor.decided is None or actor.decided < facts.today):
        return deny(
            "R40",
            "Uppgifter för forskning lämnas bara ut efter ett registrerat beslut som gäller.",
            "Data for research are given only after a recorded decision in force.",
        )
    return None


def client(actor: Actor, facts: Facts) -> Decision | None:
    """An API client sees the data of the care provider it acts for; R39: for a purpose the person has said no to
    (quality register, PDL 7:2; research) it is as if they were not there."""
    if actor.kind != "client":
        return None
    if actor.provider is None:
        return deny(
            "R2",
            "Klienten hör inte till någon vårdgivare.",
            "The client belongs to no care provider.",
        )
    left_out = content("rules/secondary_use")["purposes"][actor.purpose].get("left_out_by")
    if left_out in facts.refused:
        return deny("R2", *NO_PATIENT)
    return Decision(
        "permit", "R2" if actor.purpose == "care" else "R39", "", "", owners=frozenset({actor.provider}),
        shared=r41(actor.provider) if actor.purpose == "care" else frozenset(),
        write=actor.purpose == "care",
    )  # fmt: skip
