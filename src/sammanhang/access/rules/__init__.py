"""The law as rules: pure functions from facts to a decision (dossier section 2, R1–R40).

A rule returns a Decision when it settles the matter and None when it leaves it to the next; `decide` asks
them in the dossier's order: who asks, with which right, then relation, consent and blocks. R34, the trace of
every decision, is `access.audit`.
"""

from __future__ import annotations

from sammanhang.access.actor import Actor

from .decision import (
    DISCLOSURE,
    NO_PATIENT,
    NOT_TO_GUARDIAN,
    NOT_TO_PATIENT,
    Block,
    Decision,
    Facts,
    Hidden,
    Rule,
    years,
)
from .others import client, r40, trusted
from .packages import m24
from .residents import mature_enough, may_block, r22_to_r28, who_reads
from .staff import consent_needed, r1, r2, r3, r7, r16_r17
from .writes import guarded, may_write

__all__ = [
    "DISCLOSURE",
    "NOT_TO_GUARDIAN",
    "NOT_TO_PATIENT",
    "NO_PATIENT",
    "ORDER",
    "Block",
    "Decision",
    "Facts",
    "Hidden",
    "consent_needed",
    "decide",
    "guarded",
    "mature_enough",
    "may_block",
    "may_write",
    "r1",
    "who_reads",
    "years",
]  # fmt: skip

ORDER: tuple[Rule, ...] = (trusted, r1, r22_to_r28, r40, client, m24, r16_r17, r2, r3, r7)


def decide(actor: Actor, facts: Facts) -> Decision:
    """The decision of the first rule that settles it; r7 always does."""
    for rule in ORDER:
        decision = rule(actor, facts)
        if decision is not None:
            return decision
    raise AssertionError("the last rule always decides")
