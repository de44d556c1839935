"""The page about work says what the tables say."""

from __future__ import annotations

from sammanhang.work.reference import TARGET, page


def test_the_page_is_of_today() -> None:
    assert TARGET.read_text("utf-8") == page(), "run python -m sammanhang.work.reference"
