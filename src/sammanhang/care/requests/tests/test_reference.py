"""The page about care requests says what the tables say."""

from __future__ import annotations

from sammanhang.care.requests.reference import TARGET, page
from sammanhang.care.requests.states import DUE
from sammanhang.kernel.content import content


def test_the_page_is_of_today() -> None:
    assert TARGET.read_text("utf-8") == page(), "run python -m sammanhang.care.requests.reference"


def test_a_worklist_names_the_step_its_deadline_is_for() -> None:
    then = content("routing/deadlines")["kinds"]["care-request"]["then"]
    assert then == {state: kind for state, kind in DUE.items() if kind != "care-request"}
