"""The counts that the documentation prints are those that the journey asserts."""

from __future__ import annotations

from pathlib import Path

from .counts import ACT_ONE
from .recorder import Counts

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "act-one.md"


def test_the_page_of_act_one_prints_the_counts_of_the_journey():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and line.count("|") == 9
    ]
    printed = [(r[0], r[1], Counts(*map(int, r[2:6]))) for r in rows[1:]]
    assert printed[:-1] == ACT_ONE
    total = printed[-1][2]
    assert total.clicks == sum(c.clicks for _, _, c in ACT_ONE)


def test_the_physician_writes_the_request_in_at_most_eight_clicks():
    (counts,) = [c for _, what, c in ACT_ONE if what.startswith("writes the request")]
    assert counts.clicks <= 8
