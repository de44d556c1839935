"""What can go wrong with work, one true sentence each."""

from __future__ import annotations

from sammanhang.kernel.errors import Conflict, Invalid, NotFound


class NoSuchTask(NotFound):
    """The task is not there, or is not this unit's."""

    def __init__(self) -> None:
        super().__init__("There is no such task.", "Uppgiften finns inte.")


class TaskIsClosed(Conflict):
    """The task is done or cancelled; nothing more can be done with it."""

    def __init__(self) -> None:
        super().__init__("The task is already closed.", "Uppgiften är redan avslutad.")


class TaskIsOpen(Conflict):
    """The task is open; there is nothing to open again."""

    def __init__(self) -> None:
        super().__init__("The task is open already.", "Uppgiften är redan öppen.")


class CannotReopen(Conflict):
    """A task is opened again by who closed it, for a short while only; after that a new one is made."""

    def __init__(self, minutes: int) -> None:
        super().__init__(
            f"Only who closed the task can open it again, within {minutes} minutes.",
            f"Bara den som avslutade uppgiften kan öppna den igen, inom {minutes} minuter.",
        )


class AlreadyTaken(Conflict):
    """Somebody else took the task first."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has already taken the task.", f"{name} har redan tagit uppgiften."
        )


class ChangedMeanwhile(Conflict):
    """Somebody else did something with it just now; look at it anew."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody else changed it just now. Look at it again.",
            "Någon annan ändrade nyss. Titta igen.",
        )


class DoneElsewhere(Invalid):
    """This work is done by doing what it is about, not by ticking it off."""

    def __init__(self) -> None:
        super().__init__(
            "Do what the task is about; it is then done by itself.",
            "Gör det uppgiften handlar om, så blir den klar av sig själv.",
        )


class ReasonMissing(Invalid):
    """A reason is needed."""

    def __init__(self) -> None:
        super().__init__("Say why.", "Skriv varför.")


class NoSuchColleague(Invalid):
    """Nobody with that assignment works at the unit now."""

    def __init__(self) -> None:
        super().__init__(
            "Nobody with that assignment works at the unit now.",
            "Ingen med det uppdraget arbetar på enheten nu.",
        )
