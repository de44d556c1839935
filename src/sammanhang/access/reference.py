"""`python -m sammanhang.access.reference`: writes docs/reference/access-rules.md from the rules."""

from __future__ import annotations

import inspect
from pathlib import Path

from sammanhang.kernel.content import content

from .rules import ORDER

TARGET = Path(__file__).parents[3] / "docs" / "reference" / "access-rules.md"

_HEAD = """# Access rules

Generated from `src/sammanhang/access/rules/` by `python -m sammanhang.access.reference`; a test
compares. The numbers are those of the domain dossier. Rules that wait for a capability that does not
exist yet (R30–R33 and R36–R40) come with it.

A rule sees the actor (who, in which assignment, at which level of assurance) and the facts
(who holds data on the patient, care relation, declared reason or emergency, consents, blocks, lifted
blocks, age, custody), all fetched in one query. The first rule that settles the matter decides:

| Order | Rule | Says |
|---|---|---|
"""

_BLOCKS = """
Where a record is opened, the decision is a set of owners, hidden units and labels. Every query
carries it as SQL predicates on the resource row (`access.door.predicate`), and PostgreSQL's row-level
security repeats it for the application's reading role (`store/migrations/0001_pre_record.sql`):

| Rule | What it does to the answer |
|---|---|
| R4 | rows of a unit with an inner block are left out for other units of the provider; "blocked data exist" is told |
| R5, R6 | an inner block lifted by a competent officer, or opened in a declared emergency, lets that unit's rows through until its time runs out |
| R7 | rows of other providers come only with relation and consent |
| R8 | rows of a provider with an outer block are left out; that blocked data exist is told, not where |
| R9 | after danger is declared, who has data is told, and the providers that are chosen are opened until the time runs out |
| R10, R11 | after danger is declared, who blocked is told; their rows come only when they lift the block |
| R20 | without consent only that other providers have data is told |
| R22, R27 | rows labelled `not-to-patient` are left out for the patient and guardians, `not-to-guardian` for guardians |
| R29 | who has protected identity is masked, and not found by what is masked |
| R34 | every opening, read, search, write and refusal leaves an entry, durable before the answer |

Who comes with a token is bound by its scopes as well (`access.permits`): they only narrow what the law
gives. `SCOPE` is their refusal where a whole kind of data or act is asked for; what a restriction
(`?category=…`) or the launch's patient keeps from an app is as absent. `ROLE` refuses the system
administrator's pages to everybody else.

What is absent and what is forbidden look the same: a resource asked for by id answers 404 in both
cases; a record asked for by patient answers 403 with the rule, also when there is no such patient.
"""


def markdown() -> str:
    """The page as it should be."""
    lines = [_HEAD.rstrip("\n")]
    for number, rule in enumerate(ORDER, 1):
        says = " ".join((inspect.getdoc(rule) or "").split()).replace("|", "/")
        lines.append(f"| {number} | `{rule.__name__}` | {says} |")
    lines.append(_BLOCKS)
    roles = content("rules/roles")
    lines += [
        "## Roles",
        "",
        f"From `content/rules/roles.json`, in force from {roles['valid_from']}. Source: {roles['source']}.",
        "",
        "| Code | Swedish | English | Domain | Reads records | Writes |",
        "|---|---|---|---|---|---|",
    ]
    for code, r in roles["roles"].items():
        lines.append(
            f"| {code} | {r['sv']} | {r['en']} | {r['domain']} | {'yes' if r['read'] else 'no'} |"
            f" {'yes' if r['write'] else 'no'} |"
        )
    reasons = content("rules/reasons")
    lines += [
        "",
        "## Reasons (R3)",
        "",
        f"A declared reason is in force for {reasons['hours']} hours. Source: {reasons['source']}.",
        "",
        "| Code | Swedish | English | Opens a patient the provider has no data on |",
        "|---|---|---|---|",
    ]
    for code, r in reasons["reasons"].items():
        lines.append(
            f"| {code} | {r['sv']} | {r['en']} | {'yes' if r['opens_unknown'] else 'no'} |"
        )
    ages = content("rules/ages")
    lines += ["", "## Ages", "", f"Source: {ages['source']}", "", "| | Years |", "|---|---|"]
    lines += [f"| {name} | {years} |" for name, years in ages.items() if isinstance(years, int)]
    emergency = content("rules/emergency")
    lines += [
        "",
        "## Emergency (R6, R9, R10)",
        "",
        f"In force for {emergency['hours']} hours. Source: {emergency['source']}.",
        "",
        "| | Swedish | English |",
        "|---|---|---|",
    ]
    for kind in ("dangers", "unable"):
        lines += [f"| {code} | {t['sv']} | {t['en']} |" for code, t in emergency[kind].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(markdown(), "utf-8")
