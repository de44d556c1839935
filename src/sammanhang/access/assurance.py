"""How sure a log-in must be: levels of assurance, and acts that need a log-in made just now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused

from .actor import Actor

if TYPE_CHECKING:
    from .sessions import Session


class NotFresh(Refused):
    """The act needs a log-in made within the last minutes; log in once more and go on.

    `act` is a key of `fresh_acts` in `content/rules/assurance.json`, `minutes` how old the log-in may be.
    """

    def __init__(self, act: str, minutes: int, sv: str, en: str) -> None:
        super().__init__(
            f"To {en} you need to have logged in within the last {minutes} minutes.",
            f"För att {sv} behöver du ha loggat in de senaste {minutes} minuterna.",
            rule="R1",
        )
        self.act = act
        self.minutes = minutes


def record_level(actor: Actor) -> int:
    """The level of assurance an actor's log-in needs for the record (HSLF-FS 2016:40); 0 for programs."""
    rules = content("rules/assurance")
    levels: dict[str, int] = {"staff": rules["staff_record"], "resident": rules["resident_record"]}
    return levels.get(actor.kind, 0)


def check_fresh(session: Session, act: str) -> None:
    """Raises `NotFresh` unless the person proved who they are recently enough for the act.

    `act` must be one of the content's; KeyError otherwise. A log-in whose time the provider did not tell
    counts as old.
    """
    rules: dict[str, Any] = content("rules/assurance")
    said = rules["fresh_acts"][act]
    oldest = datetime.now(UTC) - timedelta(minutes=rules["fresh_minutes"])
    if session.proved is None or session.proved < oldest:
        raise NotFresh(act, rules["fresh_minutes"], said["sv"], said["en"])
