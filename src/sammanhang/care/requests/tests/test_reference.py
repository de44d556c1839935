"""The page about care requests says what the tables say, and the chart knows every state."""

from __future__ import annotations

from sammanhang.care.chart.orders import STATES as ON_THE_CHART
from sammanhang.care.requests.reference import TARGET, page
from sammanhang.care.requests.states import STATES


def test_the_page_is_of_today() -> None:
    assert TARGET.read_text("utf-8") == page(), "run python -m sammanhang.care.requests.reference"


def test_the_chart_has_a_word_for_every_state() -> None:
    assert ON_THE_CHART == STATES
