"""The law as rules: one function each, pure, from facts to a decision (dossier section 2, R1–R40).

What stands here is what the shared record needs from its first day: R1, R2, R3, the blocks R4 and R8
as predicates, and R7 between care providers with consent. R34, the trace of every decision, is
`access.audit`. A rule returns a Decision when it settles the matter and None when it leaves it to the
next; `decide` asks them in the dossier's order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sammanhang.kernel.content import content

from .actor import Actor


@dataclass(frozen=True, slots=True)
class Block:
    """A block (spärr) the patient has set: `inner` on a unit, `outer` on a care provider."""

    kind: Literal["inner", "outer"]
    party: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the law needs to know of an actor and a patient, fetched in one query.

    exists      the patient is in the register
    sources     (provider, unit) HSA-ids that hold data on the patient
    relation    the actor's unit has the patient in care now
    declared    the reason the actor declared, when still in force (R3)
    consented   care providers the patient lets see other providers' data (SVOD 3:1)
    blocks      blocks in force
    protected   the patient has protected identity
    """

    exists: bool
    sources: frozenset[tuple[str, str]] = frozenset()
    relation: bool = False
    declared: str | None = None
    consented: frozenset[str] = frozenset()
    blocks: tuple[Block, ...] = ()
    protected: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """That something exists and is not shown: why, and under which rule. Never how much or whose."""

    kind: Literal["inner-block", "outer-block", "no-consent"]
    rule: str
    sv: str
    en: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the law says: effect, rule, and what may be seen as owners, units and labels.

    `owners` and `hidden_units` are HSA-ids; `obligations` are `mask` (protected identity), `ask-reason`
    (a declared reason would open it), `tell` (the patient may ask who read).
    """

    effect: Literal["permit", "deny"]
    rule: str
    sv: str
    en: str
    owners: frozenset[str] = frozenset()
    everything: bool = False
    hidden_units: frozenset[str] = frozenset()
    hidden: tuple[Hidden, ...] = ()
    obligations: frozenset[str] = frozenset()
    write: bool = False
    reasons: tuple[str, ...] = field(default=())


Rule = Callable[[Actor, Facts], Decision | None]


def deny(rule: str, sv: str, en: str, **more: Any) -> Decision:
    return Decision("deny", rule, sv, en, **more)


def trusted(actor: Actor, facts: Facts) -> Decision | None:
    """The system's own work and clients trusted with the whole record; not a rule of law but of trust."""
    if actor.everything:
        return Decision("permit", "SYSTEM", "", "", everything=True, write=True)
    return None


def r1(actor: Actor, facts: Facts) -> Decision | None:
    """R1: staff need assurance level 3 and one assignment (HSLF-FS 2016:40 3 kap., PDL 4:2)."""
    if actor.kind != "staff":
        return None
    if actor.loa < 3:
        return deny(
            "R1",
            "Du är inloggad på en för låg tillitsnivå för att läsa journaler.",
            "You are logged in at too low a level of assurance to read records.",
        )
    if actor.assignment is None:
        return deny("R1", "Du har inte valt något uppdrag.", "You have not chosen an assignment.")
    return None


def own_record(actor: Actor, facts: Facts) -> Decision | None:
    """R22, R26: a resident reads their own record (PDL 5:5); children's ages are the next issue."""
    if actor.kind != "resident":
        return None
    if not facts.exists or not actor.id.startswith("Patient/"):
        return deny("R22", "Det går inte att visa den journalen.", "That record cannot be shown.")
    return Decision("permit", "R22", "", "", owners=frozenset(p for p, _ in facts.sources))


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


def role(actor: Actor, facts: Facts) -> Decision | None:
    """R2, R16, R17: only roles in health care read the record; others have ways of their own."""
    assert actor.assignment is not None
    known = content("rules/roles")["roles"].get(actor.assignment.role)
    if known is not None and known["read"]:
        return None
    domain = known["domain"] if known else "none"
    rule = {"social": "R16", "school-support": "R17"}.get(domain, "R2")
    return deny(
        rule,
        "Ditt uppdrag ger inte rätt att läsa patientjournaler.",
        "Your assignment gives no right to read patient records.",
    )


def r2(actor: Actor, facts: Facts) -> Decision | None:
    """R2: same unit and an active care relation → permit within the role (PDL 4:1)."""
    if not facts.relation:
        return None
    return _permit("R2", actor, facts, shared=True)


def r3(actor: Actor, facts: Facts) -> Decision | None:
    """R3: same care provider, no relation → only with a declared reason (PDL 4:1)."""
    assert actor.assignment is not None
    reasons = content("rules/reasons")["reasons"]
    known_here = any(p == actor.assignment.provider for p, _ in facts.sources)
    declared = reasons.get(facts.declared) if facts.declared else None
    if declared is not None and facts.exists and (known_here or declared["opens_unknown"]):
        return _permit("R3", actor, facts, shared=declared["opens_unknown"])
    if known_here:
        return deny(
            "R3",
            "Din enhet har ingen pågående vårdrelation med patienten.",
            "Your unit has no care relation with the patient now.",
            obligations=frozenset({"ask-reason"}),
            reasons=tuple(reasons),
        )
    return None


def r7(actor: Actor, facts: Facts) -> Decision | None:
    """R7: another care provider's patient: relation, consent and importance are all needed (SVOD 3:1)."""
    reasons = content("rules/reasons")["reasons"]
    return deny(
        "R7",
        "Din vårdgivare har ingen patientrelation med personen.",
        "Your care provider has no patient relation with this person.",
        obligations=frozenset({"ask-reason"}),
        reasons=tuple(k for k, r in reasons.items() if r["opens_unknown"]),
    )


def _permit(rule: str, actor: Actor, facts: Facts, *, shared: bool) -> Decision:
    """Own provider's data, less inner blocks (R4); others' with consent, less outer blocks (R7, R8)."""
    assert actor.assignment is not None
    own = actor.assignment.provider
    role_right = content("rules/roles")["roles"][actor.assignment.role]
    inner = frozenset(
        b.party for b in facts.blocks if b.kind == "inner" and b.party != actor.assignment.unit
    )
    outer = frozenset(b.party for b in facts.blocks if b.kind == "outer" and b.party != own)
    others = frozenset(p for p, _ in facts.sources) - {own}
    hidden: list[Hidden] = []
    owners = {own}
    if any(u in inner for p, u in facts.sources if p == own):
        hidden.append(
            Hidden(
                "inner-block",
                "R4",
                "Det finns spärrade uppgifter på en annan enhet hos din vårdgivare.",
                "Blocked data exist at another unit of your care provider.",
            )
        )
    if own in facts.consented and shared:
        owners |= others - outer
        if others & outer:
            hidden.append(
                Hidden(
                    "outer-block",
                    "R8",
                    "Det finns spärrade uppgifter hos en annan vårdgivare.",
                    "Blocked data exist at another care provider.",
                )
            )
    elif others - outer:
        hidden.append(
            Hidden(
                "no-consent",
                "R20",
                "Det finns uppgifter hos andra vårdgivare. Patientens samtycke behövs för att läsa dem.",
                "Other care providers have data. The patient's consent is needed to read them.",
            )
        )
    units = frozenset(u for p, u in facts.sources if u in inner and p in owners)
    return Decision(
        "permit",
        rule,
        "",
        "",
        owners=frozenset(owners),
        hidden_units=units,
        hidden=tuple(hidden),
        obligations=frozenset({"mask"}) if facts.protected else frozenset(),
        write=bool(role_right["write"]),
    )


ORDER: tuple[Rule, ...] = (trusted, r1, own_record, client, role, r2, r3, r7)


def decide(actor: Actor, facts: Facts) -> Decision:
    """The decision of the first rule that settles it; r7 always does."""
    for rule in ORDER:
        decision = rule(actor, facts)
        if decision is not None:
            return decision
    raise AssertionError("the last rule always decides")
