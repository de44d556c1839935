"""Capabilities do not know each other; where two say the same, they are held together here."""

from __future__ import annotations

from sammanhang.care.chart.orders import STATES as ON_THE_CHART
from sammanhang.care.requests.states import STATES


def test_the_chart_has_a_word_for_every_state_of_a_care_request() -> None:
    assert ON_THE_CHART == STATES
