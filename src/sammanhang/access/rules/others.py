"""Who is neither staff nor resident: programs."""

from __future__ import annotations

from sammanhang.access.actor import Actor

from .decision import Decision, Facts, deny


def trusted(actor: Actor, facts: Facts) -> Decision | None:
    """The system's own work and clients trusted with the whole record; not a rule of law but of trust."""
    if actor.everything:
        return Decision("permit", "SYSTEM", "", "", everything=True, write=True)
    return None


def client(actor: Actor, facts: Facts) -> Decision | None:
    """An API client sees the data of the care provider it acts for."""
    if actor.kind != "client":
        return None
    if actor.provider is None:
        return deny(
            "R2",
            "Klienten hör inte till någon vårdgivare.",
            "The client belongs to no care provider.",
        )
    return Decision("permit", "R2", "", "", owners=frozenset({actor.provider}), write=True)
