"""Who administers the system: registers API clients, sees everybody's rights and what the rules are set to."""

from __future__ import annotations

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused

from .actor import Actor
from .assurance import record_level

RULE = "R2"  # within the role (PDL 4:2)


def is_administrator(actor: Actor) -> bool:
    """Whether the actor's role says `administers` (content/rules/roles), with a strong log-in (R1) and in person."""
    a = actor.assignment
    role = content("rules/roles")["roles"].get(a.role, {}) if a is not None else {}
    strong = actor.loa >= record_level(actor)
    return actor.kind == "staff" and actor.app is None and strong and bool(role.get("administers"))


def need_administrator(actor: Actor) -> None:
    """Raises `Refused` for anybody else."""
    if not is_administrator(actor):
        raise Refused(
            "Only a system administrator may see this.",
            "Bara en systemförvaltare får se det här.",
            rule=RULE,
        )
