"""Expressions and constraints as a form's resource says them, read once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .urls import HL7, SDC, extension, extensions, said, value_of

FHIRPATH, QUERY = "text/fhirpath", "application/x-fhir-query"
KINDS = {
    "calculated": SDC + "sdc-questionnaire-calculatedExpression",
    "initial": SDC + "sdc-questionnaire-initialExpression",
    "enable": SDC + "sdc-questionnaire-enableWhenExpression",
    "answer": SDC + "sdc-questionnaire-answerExpression",
    "candidate": SDC + "sdc-questionnaire-candidateExpression",
    "population": SDC + "sdc-questionnaire-itemPopulationContext",
}
_COMPUTED = (HL7 + "cqf-expression", HL7 + "cqf-calculatedValue")
_LINK = re.compile(r"linkId\s*(?:=|~|in)\s*\(?\s*((?:'[^']*'\s*\|?\s*)+)")
_TEXTS = re.compile(r"'([^']*)'")
_NAME = re.compile(r"%`?([A-Za-z_][A-Za-z0-9_-]*)`?")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of a form: its language, its text, and the name it goes by.

    links  linkIds it asks for; `names` the variables
    """

    language: str
    text: str
    name: str
    links: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule that must hold: the key, how bad it is otherwise, the rule, and the sentence in each language.

    `requirements` are linkIds the fault is shown at; empty for the item itself.
    """

    key: str
    severity: str
    expression: Expression
    human: str
    others: dict[str, str]
    requirements: tuple[str, ...]


def expression_of(found: Any, faults: list[str], link: str) -> Expression | None:
    """An `Expression` as FHIR has it; None without, or in a language that is not understood (said in `faults`)."""
    if isinstance(found, str):
        found = {"language": FHIRPATH, "expression": found}
    if not isinstance(found, dict) or not found.get("expression"):
        return None
    language, text = str(found.get("language") or FHIRPATH), str(found["expression"])
    if language not in (FHIRPATH, QUERY):
        faults.append(f"{link}: expressions in {language} are not understood")
        return None
    links = frozenset(t for group in _LINK.findall(text) for t in _TEXTS.findall(group))
    return Expression(
        language, text, str(found.get("name") or ""), links, frozenset(_NAME.findall(text))
    )


def expressions_of(raw: dict[str, Any], faults: list[str], link: str) -> dict[str, Expression]:
    """Every expression on an item, by kind; of its text, required and readOnly too (cqf-expression)."""
    made = {}
    for kind, url in KINDS.items():
        if (found := expression_of(said(raw, url), faults, link)) is not None:
            made[kind] = found
    for name in ("text", "required", "readOnly", "repeats"):
        found = expression_of(said(raw.get(f"_{name}"), *_COMPUTED), faults, link)
        if found is not None:
            made[name] = found
    return made


def inner(element: dict[str, Any], faults: list[str], link: str) -> Expression | None:
    """The expression that gives the value of an extension (on the value, or on the extension)."""
    for key, value in element.items():
        if key.startswith("_value") and (told := said(value, *_COMPUTED)) is not None:
            return expression_of(told, faults, link)
    if (told := value_of(extension(element, *_COMPUTED))) is not None:
        return expression_of(told, faults, link)
    whole = value_of(element)
    if isinstance(whole, dict):
        if "expression" in whole:
            return expression_of(whole, faults, link)
        return inner(whole, faults, link) if whole.get("extension") else None
    return None


def variables_of(raw: dict[str, Any], faults: list[str], link: str) -> tuple[Expression, ...]:
    """The variables an element declares, in order."""
    made = [expression_of(value_of(e), faults, link) for e in extensions(raw, HL7 + "variable")]
    return tuple(e for e in made if e is not None and e.name)


def constraints_of(raw: dict[str, Any], faults: list[str], link: str) -> tuple[Constraint, ...]:
    """Rules of the older kind (questionnaire-constraint) and the newer (targetConstraint)."""
    made = []
    for e in extensions(raw, HL7 + "questionnaire-constraint"):
        made.append(_constraint(e, faults, link))
    for e in extensions(raw, HL7 + "targetConstraint"):
        made.append(_constraint(e, faults, link))
    return tuple(c for c in made if c is not None)


def _constraint(e: dict[str, Any], faults: list[str], link: str) -> Constraint | None:
    rule = expression_of(said(e, "expression"), faults, link)
    if rule is None:
        return None
    human = extension(e, "human", "requirements") or {}
    from .words import words_of

    words = words_of(human, next((k for k in human if k.startswith("value")), "valueString"))
    return Constraint(
        str(said(e, "key") or ""), str(said(e, "severity") or "error"), rule, words.plain, words.others,
        tuple(_places(value_of(location) for location in extensions(e, "location"))),
    )  # fmt: skip


def _places(locations: Iterable[Any]) -> list[str]:
    found = []
    for location in locations:
        found += _TEXTS.findall(str(location)) or []
    return found
