"""Residents: their own record, and a child's (R1, R12, R13, R22–R28)."""

from __future__ import annotations

from sammanhang.access.actor import Actor
from sammanhang.kernel.content import content

from .decision import NOT_TO_GUARDIAN, NOT_TO_PATIENT, Decision, Facts, deny
from .packages import level


def r22_to_r28(actor: Actor, facts: Facts) -> Decision | None:
    """R1, R22–R28: with a strong log-in a resident reads their own record from 16, a child's guardian until 13; between the two
    only after a decision (PDL 5:5, OSL 12:3, FB 6 kap.; the ages are policy: content/rules/ages)."""
    if actor.kind != "resident":
        return None
    if actor.loa < content("rules/assurance")["resident_record"]:
        return deny(
            "R1",
            "Du behöver logga in med en starkare e-legitimation för att se journalen.",
            "Log in with a stronger e-identification to see the record.",
            obligations=frozenset({"step-up"}),
        )
    if facts.exists and facts.own:
        return _own(facts)
    if facts.exists and facts.guardian:
        return _child(facts)
    return deny("R22", "Det går inte att visa den journalen.", "That record cannot be shown.")


def _own(facts: Facts) -> Decision:
    """R22, R25, R26: the own record."""
    ages = content("rules/ages")
    age = facts.age
    if age is None or age >= ages["own_record_from"]:
        return _shown(
            "R22" if age is None or age >= ages["adult"] else "R26", facts, NOT_TO_PATIENT
        )
    if age >= ages["guardian_until"] and facts.own_access:
        return _shown("R25", facts, NOT_TO_PATIENT)
    return deny(
        "R25",
        f"Du kan läsa din journal själv från {ages['own_record_from']} år. Din mottagning kan besluta att"
        " du får läsa den tidigare.",
        f"You can read your record yourself from the age of {ages['own_record_from']}. Your clinic may decide"
        " that you may read it earlier.",
    )


def _child(facts: Facts) -> Decision:
    """R23, R24, R26, R27: a guardian and the child's record."""
    ages = content("rules/ages")
    age = facts.age
    if age is not None and age < ages["guardian_until"]:
        return _shown("R23", facts, NOT_TO_GUARDIAN)
    if age is not None and age < ages["own_record_from"]:
        if facts.extended is not None and facts.today < facts.extended:
            return _shown("R24", facts, NOT_TO_GUARDIAN)
        return deny(
            "R23",
            f"Vårdnadshavare kan läsa barnets journal tills barnet fyller {ages['guardian_until']} år."
            " Mottagningens chef kan besluta om längre tid.",
            f"Guardians can read the child's record until the child turns {ages['guardian_until']}."
            " The head of the clinic may decide on longer.",
        )
    return deny(
        "R26",
        f"Från {ages['own_record_from']} år är det bara personen själv som läser sin journal.",
        f"From the age of {ages['own_record_from']} only the person themself reads the record.",
    )


def _shown(rule: str, facts: Facts, label: str) -> Decision:
    hidden = {NOT_TO_GUARDIAN, NOT_TO_PATIENT} if label == NOT_TO_GUARDIAN else {label}
    return Decision(
        "permit",
        rule,
        "",
        "",
        owners=frozenset(p for p, _ in facts.sources if level(p, "patientportal") == "full"),
        hidden_labels=frozenset(hidden),
    )


def who_reads(facts: Facts) -> frozenset[str]:
    """Who may read the record on the resident's pages, with a strong log-in: `own`, `guardian`, or nobody (R22-R26)."""
    found = {"own": _own(facts), "guardian": _child(facts)}
    return frozenset(who for who, decision in found.items() if decision.effect == "permit")


def may_block(actor: Actor, facts: Facts) -> Decision:
    """R12, R13: who may set or lift a block: the person, a child by maturity, never a guardian
    (PDL 4:4, SVOD 2:3)."""
    if actor.kind == "resident" and facts.exists and facts.own:
        return mature_enough(facts)
    return deny(
        "R12",
        "En vårdnadshavare kan inte spärra ett barns uppgifter.",
        "A guardian cannot block a child's data.",
    )


def mature_enough(facts: Facts) -> Decision:
    """R13: whether the person decides on blocks themself: from the age of the own record, or by maturity."""
    age = facts.age
    if age is None or age >= content("rules/ages")["own_record_from"] or facts.mature:
        return Decision("permit", "R13", "", "", write=True)
    return deny(
        "R13",
        "Mottagningen behöver först bedöma att barnet förstår vad en spärr innebär.",
        "The clinic first needs to assess that the child understands what a block means.",
    )
