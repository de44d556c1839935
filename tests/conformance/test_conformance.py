"""The cases of others pass at least as often as recorded in `counts.json`."""

from __future__ import annotations

import json

import pytest

from . import fhirpath_suite, official_suite, se_base_suite, validator_suite
from .sources import (
    COUNTS,
    NO_OFFICIAL,
    NO_SHARED,
    OFFICIAL,
    REPORT,
    SHARED,
    Outcome,
)

shared = pytest.mark.skipif(not SHARED.exists(), reason=NO_SHARED)
official = pytest.mark.skipif(not OFFICIAL.exists(), reason=NO_OFFICIAL)
recorded = json.loads(COUNTS.read_text("utf-8"))


def assert_no_fewer(outcomes: list[Outcome], suite: str) -> None:
    passed = sum(o.passed for o in outcomes)
    failing = [f"{o.name}: {o.reason}" for o in outcomes if not o.passed]
    assert len(outcomes) >= recorded[suite]["run"], f"{suite}: fewer cases run than recorded"
    assert passed >= recorded[suite]["passed"], (
        f"{suite}: {passed} pass now; failing: {failing[:30]}"
    )


@shared
def test_no_fewer_validator_cases_agree() -> None:
    assert_no_fewer(list(validator_suite.run()), "validator")


@shared
def test_no_fewer_fhirpath_expressions_pass() -> None:
    assert_no_fewer(list(fhirpath_suite.run()), "fhirpath")


@shared
def test_swedish_examples_keep_their_profiles_and_broken_ones_do_not() -> None:
    failing = [o for o in se_base_suite.run() if not o.passed]
    assert failing == []


@official
def test_a_sample_of_the_official_examples_comes_back_digit_for_digit() -> None:
    failing = [o for o in official_suite.run(every=25) if not o.passed]
    assert len(failing) <= recorded["official"]["run"] - recorded["official"]["passed"], failing


@official
@pytest.mark.slow
def test_no_fewer_official_examples_come_back_digit_for_digit() -> None:
    assert_no_fewer(list(official_suite.run()), "official")


@official
@pytest.mark.slow
def test_no_fewer_official_examples_keep_all_rules() -> None:
    assert_no_fewer(list(official_suite.run_rules()), "official-rules")


def test_the_report_shows_the_recorded_counts() -> None:
    report = REPORT.read_text("utf-8")
    for suite, count in recorded.items():
        assert f"| {count['run']} | {count['passed']} |" in report, suite
