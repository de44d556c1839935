"""Errors as FHIR OperationOutcome: one place where a category becomes a status code."""

from __future__ import annotations

from sammanhang.fhir.decode import encode
from sammanhang.fhir.r4 import CodeableConcept, OperationOutcome, OperationOutcomeIssue
from sammanhang.kernel.errors import Issue, Refused, SammanhangError

_CODES = {
    "fatal", "error", "warning", "information",
}  # fmt: skip


def issue_of(i: Issue, swedish: bool = False) -> OperationOutcomeIssue:
    """One issue; the sentence in the caller's language is `details`, the other `diagnostics`."""
    first, second = (i.sv, i.en) if swedish else (i.en, i.sv)
    return OperationOutcomeIssue(
        severity=i.severity if i.severity in _CODES else "error",
        code=i.code,
        details=CodeableConcept(text=first),
        diagnostics=second if second != first else None,
        expression=[i.expression]
        if i.expression and not i.expression.startswith("http.")
        else None,
        location=[i.expression] if i.expression.startswith("http.") else None,
    )


def outcome(issues: list[Issue], swedish: bool = False) -> OperationOutcome:
    """An OperationOutcome of one or more issues; "all ok" when there are none."""
    if not issues:
        issues = [Issue("informational", "", "Allt är i sin ordning.", "All OK.", "information")]
    return OperationOutcome(issue=[issue_of(i, swedish) for i in issues])


def of_error(e: SammanhangError, swedish: bool = False) -> bytes:
    """The body that answers an error: every issue it carries, or its own sentence."""
    issues = list(e.issues)
    if not issues:
        rule = f" ({e.rule})" if isinstance(e, Refused) else ""
        issues = [Issue(e.code, "", e.sv + rule, e.en + rule)]
    return encode(outcome(issues, swedish))
