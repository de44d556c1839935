"""Who administers the system: registers API clients and ends what was granted to them."""

from __future__ import annotations

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused

from .actor import Actor

RULE = "ROLE"


def is_administrator(actor: Actor) -> bool:
    """Whether the actor's role says `clients` (content/rules/roles), at level of assurance 3 (R1)."""
    a = actor.assignment
    role = content("rules/roles")["roles"].get(a.role) if a is not None else None
    return actor.kind == "staff" and actor.app is None and actor.loa >= 3 and bool(role and role.get("clients"))  # fmt: skip


def need_administrator(actor: Actor) -> None:
    """Raises `Refused` for anybody else."""
    if not is_administrator(actor):
        raise Refused(
            "Only a system administrator may see this.",
            "Bara en systemförvaltare får se det här.",
            rule=RULE,
        )
