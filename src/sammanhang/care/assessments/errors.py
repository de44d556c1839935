"""What can go wrong when a patient is assessed."""

from __future__ import annotations

from sammanhang.kernel.errors import NotFound


class NoSuchInstrument(NotFound):
    """There is no assessment instrument of that name."""

    def __init__(self) -> None:
        super().__init__("There is no such instrument.", "Det instrumentet finns inte.")


class NoSuchAssessment(NotFound):
    """The assessment is not there, or not for the reader's eyes."""

    def __init__(self) -> None:
        super().__init__("There is no such assessment.", "Bedömningen finns inte.")
