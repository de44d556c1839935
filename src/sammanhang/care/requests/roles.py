"""Who may do what with a care request, beyond which side they are on: content (`content/requests/roles`).

Those who assist prepare and answer questions; whoever answers for the decision sends, accepts, refuses and closes.
"""

from __future__ import annotations

from sammanhang.access.actor import Actor
from sammanhang.kernel.content import content

from .errors import NotYourRole


def may(actor: Actor, verb: str) -> bool:
    """Whether somebody's role lets them do a verb (a key of `states.TRANSITIONS`)."""
    rules = content("requests/roles")
    role = actor.assignment.role if actor.assignment is not None else ""
    return verb not in rules["decisions"] or role not in rules["assisting"]


def check(actor: Actor, verb: str) -> None:
    """Raises `NotYourRole` when `may` says no."""
    if not may(actor, verb):
        raise NotYourRole
