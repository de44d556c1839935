"""Questionnaires that others wrote are shown fully at least as often as recorded."""

from __future__ import annotations

import json

from . import forms_report, forms_suite


def test_no_fewer_questionnaires_are_shown_fully() -> None:
    recorded = json.loads(forms_report.COUNTS.read_text("utf-8"))
    outcomes = list(forms_suite.run())
    failing = [f"{o.name}: {o.reason}" for o in outcomes if not o.passed]
    assert len(outcomes) >= recorded["run"]
    assert len(outcomes) - len(failing) >= recorded["passed"], failing


def test_none_of_them_breaks_the_page() -> None:
    assert [o.name for o in forms_suite.run() if "cannot be shown" in o.reason] == []


def test_the_page_says_what_the_code_understands() -> None:
    own = json.loads(forms_report.COUNTS.read_text("utf-8"))
    wider = json.loads(forms_report.WIDER.read_text("utf-8"))
    assert forms_report.REPORT.read_text("utf-8") == forms_report.page(own, wider), (
        "python -m tests.conformance.forms_report writes docs/reference/forms.md anew"
    )
