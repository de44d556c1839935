"""What can be done with a task: one table. A verb that is not in it for a state is impossible.

`docs/reference/work.md` is printed from it by `python -m sammanhang.work.reference`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sammanhang.kernel.i18n import N_

CLOSED = ("completed", "cancelled")
ANY_OPEN = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing to do with a task.

    before  states of the Task it can be done in
    after   the state it leads to; empty for the same
    who     `unit`: anybody at the accountable unit; `taker`: who has taken it, or a head when they are away;
            `closer`: who closed it, for a short while (`undo_within` in content/routing/deadlines)
    says    what the button says (Swedish)
    done    what the story of the task says (Swedish)
    reason  whether a reason is needed
    """

    before: tuple[str, ...]
    after: str
    who: str
    says: str
    done: str
    reason: bool = False


VERBS: dict[str, Verb] = {
    "take": Verb(ANY_OPEN, "", "unit", N_("Ta uppgiften"), N_("tog uppgiften")),
    "hand-over": Verb(ANY_OPEN, "", "unit", N_("Lämna över"), N_("lämnade över uppgiften")),
    "hand-back": Verb(ANY_OPEN, "", "unit", N_("Lämna tillbaka"), N_("lämnade tillbaka uppgiften")),
    "delegate": Verb(ANY_OPEN, "", "unit", N_("Be en kollega"), N_("bad en kollega om hjälp")),
    "complete": Verb(ANY_OPEN, "completed", "unit", N_("Klart"), N_("gjorde klart uppgiften")),
    "cancel": Verb(ANY_OPEN, "cancelled", "unit", N_("Avsluta utan åtgärd"), N_("avslutade utan åtgärd"), reason=True),
    "reopen": Verb(CLOSED, "received", "closer", N_("Öppna igen"), N_("öppnade uppgiften igen")),
    "remind": Verb(ANY_OPEN, "", "system", "", N_("påminnelse")),
    "escalate": Verb(ANY_OPEN, "", "system", "", N_("gick vidare uppåt")),
    "move": Verb(ANY_OPEN, "", "system", "", N_("flyttades")),
}  # fmt: skip
