"""The chart's own errors."""

from __future__ import annotations

from sammanhang.kernel.errors import NotFound


class NoSuchDocument(NotFound):
    """The document is not in the part of the record you may see."""

    def __init__(self) -> None:
        super().__init__(
            "The document is not in the part of the record you may see.",
            "Dokumentet finns inte i den del av journalen som du får se.",
        )
