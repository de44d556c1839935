"""The page about care requests says what the tables say."""

from __future__ import annotations

from sammanhang.care.requests.reference import TARGET, page


def test_the_page_is_of_today() -> None:
    assert TARGET.read_text("utf-8") == page(), "run python -m sammanhang.care.requests.reference"
