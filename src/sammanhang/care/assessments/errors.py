"""What can go wrong when a patient is assessed."""

from __future__ import annotations

from sammanhang.kernel.errors import Conflict, NotFound, Refused


class NoSuchInstrument(NotFound):
    """There is no assessment instrument of that name."""

    def __init__(self) -> None:
        super().__init__("There is no such instrument.", "Det instrumentet finns inte.")


class NoSuchAssessment(NotFound):
    """The assessment is not there, or not for the reader's eyes."""

    def __init__(self) -> None:
        super().__init__("There is no such assessment.", "Bedömningen finns inte.")


class AlreadyVoided(Conflict):
    """The assessment is void, or somebody changed it just now."""

    def __init__(self) -> None:
        super().__init__(
            "The assessment has been voided or changed already. Nothing more was done.",
            "Bedömningen är redan makulerad eller ändrad. Inget mer har gjorts.",
        )


class NotYours(Refused):
    """Who signed, and who writes at the unit that signed, may void an assessment."""

    def __init__(self) -> None:
        super().__init__(
            "Only the unit that signed the assessment may void it. Ask them to.",
            "Bara enheten som signerade bedömningen får makulera den. Be dem göra det.",
            rule="R2",
        )
