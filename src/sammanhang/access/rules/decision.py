"""What a rule is given and what it answers: facts in, decision out, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from sammanhang.access.actor import Actor

# Labels in meta.security that keep an entry from somebody (OSL 25:6 and 12:3; NPÖ approvedForPatient).
DISCLOSURE = "http://sammanhang.se/fhir/CodeSystem/disclosure"
NOT_TO_PATIENT = "not-to-patient"
NOT_TO_GUARDIAN = "not-to-guardian"


@dataclass(frozen=True, slots=True)
class Block:
    """A block (spärr) the patient has set: `inner` on a unit, `outer` on a care provider."""

    kind: Literal["inner", "outer"]
    party: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the law needs to know of an actor and a patient, fetched in one query.

    exists        the patient is in the register
    sources       (provider, unit) HSA-ids that hold data on the patient
    relation      the actor's unit has the patient in care now
    declared      the reason the actor declared, when still in force (R3)
    consented     care providers the patient lets see other providers' data (SVOD 3:1)
    blocks        blocks in force
    protected     the patient has protected identity
    at            when the question is asked
    born          the patient's date of birth
    danger        the actor has declared danger and that consent cannot be had; in force (SVOD 3:5-6)
    danger_until  when that ends
    emergency     care providers, or units of the own one, opened in that emergency
    lifted        units and care providers whose block is lifted for the actor's unit or provider now
    incapable     a recorded assessment: not merely temporarily unable to consent (SVOD 3:3)
    own           the resident who asks is the patient
    guardian      the resident who asks has custody of the patient now
    extended      until when a decision lets guardians go on reading (R24)
    own_access    a decision that the child may read their own record (R25)
    mature        a recorded assessment that the child understands what a block means (R13)
    agreed        other things the person has consented to: kinds of Consent (R31, R33)
    refused       purposes the person has said no to: kinds of Consent (R39)
    informed      the person has been told of the sharing (SVOD 2:2); False when a consent says that they were not
    nll           what the person has said of the national list: `consent`, `block`, `dose` (R30)
    narcotics     narcotics were dispensed of late (R30)
    """

    exists: bool
    sources: frozenset[tuple[str, str]] = frozenset()
    relation: bool = False
    declared: str | None = None
    consented: frozenset[str] = frozenset()
    blocks: tuple[Block, ...] = ()
    protected: bool = False
    at: datetime | None = None
    born: date | None = None
    danger: bool = False
    danger_until: datetime | None = None
    emergency: frozenset[str] = frozenset()
    lifted: frozenset[str] = frozenset()
    incapable: bool = False
    own: bool = False
    guardian: bool = False
    extended: date | None = None
    own_access: bool = False
    mature: bool = False
    agreed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    informed: bool = True
    nll: frozenset[str] = frozenset()
    narcotics: bool = False

    @property
    def today(self) -> date:
        return (self.at or datetime.now(UTC)).date()

    @property
    def age(self) -> int | None:
        """Whole years; None when the date of birth is not known."""
        return None if self.born is None else years(self.born, self.today)


def years(born: date, on: date) -> int:
    """Age in whole years. Who is born on 29 February turns a year older on 1 March in other years."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


@dataclass(frozen=True, slots=True)
class Hidden:
    """That something exists and is not shown: why, and under which rule.

    Never how much; whose only in `parties`, which are filled when the law lets them be named (R6, R10).
    """

    kind: Literal["inner-block", "outer-block", "no-consent", "nll"]
    rule: str
    sv: str
    en: str
    parties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the law says: effect, rule, and what may be seen as owners, units and labels.

    `owners` and `hidden_units` are HSA-ids, `hidden_labels` are codes of DISCLOSURE. `shared` are care providers:
    what others have sent to them is seen, whoever owns it (R41). `obligations` are
    `mask` (protected identity), `ask-reason` (a declared reason would open it), `emergency` (an emergency
    is in force: tell who looks, and log review), `may-declare` (danger may be declared).
    """

    effect: Literal["permit", "deny"]
    rule: str
    sv: str
    en: str
    owners: frozenset[str] = frozenset()
    everything: bool = False
    hidden_units: frozenset[str] = frozenset()
    hidden_labels: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    hidden: tuple[Hidden, ...] = ()
    obligations: frozenset[str] = frozenset()
    write: bool = False
    reasons: tuple[str, ...] = field(default=())


NO_PATIENT = ("Patienten finns inte.", "There is no such patient.")
Rule = Callable[[Actor, Facts], Decision | None]


def deny(rule: str, sv: str, en: str, **more: Any) -> Decision:
    return Decision("deny", rule, sv, en, **more)
