"""What can go wrong with a message, one true sentence each."""

from __future__ import annotations

from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused


class NoSuchConversation(NotFound):
    """The conversation is not there, or is not for you."""

    def __init__(self) -> None:
        super().__init__("There is no such message.", "Meddelandet finns inte.")


class NoTopic(Invalid):
    """A message has a topic, so that it is found again."""

    def __init__(self) -> None:
        super().__init__("Say what it is about.", "Skriv vad det handlar om.")


class NotOurs(Refused):
    """Only the units in whose name it is written write in a conversation."""

    def __init__(self) -> None:
        super().__init__(
            "Another unit writes in this conversation. Begin one of your own.",
            "En annan enhet skriver i den här tråden. Börja en egen.",
            rule="R2",
        )


class NobodyReads(Conflict):
    """Nobody may read the patient's record on the resident's pages, so that a message would reach nobody."""

    def __init__(self, sv: str, en: str) -> None:
        super().__init__(en, sv)


class NoAnswer(Conflict):
    """The message cannot be answered: who wrote it has said so, or the unit is no more."""

    def __init__(self) -> None:
        super().__init__(
            "This message cannot be answered. Call the unit instead.",
            "Det går inte att svara på meddelandet. Ring enheten i stället.",
        )
