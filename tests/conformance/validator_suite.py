"""HL7's validator cases for R4 (`validator/`): do we and HL7's own validator agree on valid or not?

HL7's validator was run with its own settings when the expectations were written: it refuses extensions
whose definition it does not know. We run with that setting here (our default is a warning) and without
any terminology server. `same place` counts the invalid cases where one of our errors also stands where
one of HL7's does, so that agreement for the wrong reason shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sammanhang.fhir.validator import Definitions, validate

from .sources import SHARED, Outcome

FOLDER = SHARED / "validator"
# Why the two differ, where the case itself says so; others are told by what was found.
REASONS = {
    "dr-example-org": "HL7's setting that refuses example.org addresses; we take any address",
    "pat-security-bad-string": "HL7's optional security check for tags in text; we escape text when shown",
    "bad-markdown-no-html": "HL7's optional check for tags in markdown; we escape text when shown",
    "parameters-reference-bad": "a relative reference between parameters, resolved by HL7 inside Parameters",
    "cvx": "needs the CVX code system's displays",
    "obs-temp-code2": "needs SNOMED CT",
    "contained-resource-bad-id-ignore": "the same resource as contained-resource-bad-id, with the check off",
    "json-comments-1-yes": "the same file as json-comments-1-no, with comments in JSON allowed",
    "matchetype-extension-2": "HL7's run allowed extensions from example.org",
    "vs-params-1": "needs HL7's tools package (extension valueset-parameter)",
}


@dataclass(frozen=True)
class Compared(Outcome):
    """One case: whether the verdicts agree, and whether an error stands in the same place."""

    expected_valid: bool = True
    same_place: bool = False


def run(unknown_extensions: str = "error") -> Iterator[Compared]:
    """Every case."""
    definitions = Definitions()
    for case in json.loads((FOLDER / "expected.json").read_bytes()):
        body = (FOLDER / case["file"]).read_bytes()
        issues = validate(body, definitions=definitions, unknown_extensions=unknown_extensions)
        errors = [i for i in issues if i.severity in ("error", "fatal")]
        agree = bool(errors) == bool(case["errors"])
        ours = {_plain(i.expression) for i in errors}
        theirs = {_plain(e) for e in _error_places(case)}
        reason = ""
        if not agree:
            found = errors[0].en if errors else "we find no error"
            reason = REASONS.get(case["name"], found)
        yield Compared(
            case["name"],
            agree,
            reason,
            expected_valid=not case["errors"],
            same_place=any(_near(a, b) for a in ours for b in theirs),
        )


def _error_places(case: dict[str, Any]) -> list[str]:
    return [
        e
        for i in case["issues"]
        if i["severity"] in ("error", "fatal")
        for e in (i["expression"] or [""])
    ]


def _plain(expression: str) -> str:
    """HL7 notes the id of a resource in its expressions; we do not."""
    return re.sub(r"/\*[^*]*\*/", "", expression)


def _near(a: str, b: str) -> bool:
    """The same element, or one the parent of the other."""
    if not a or not b:  # not JSON: both speak of the whole
        return True
    return a == b or a.rpartition(".")[0] == b or b.rpartition(".")[0] == a
