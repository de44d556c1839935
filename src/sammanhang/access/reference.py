"""`python -m sammanhang.access.reference`: writes docs/reference/access-rules.md from the rules."""

from __future__ import annotations

import inspect
from pathlib import Path

from sammanhang.kernel.content import content

from .rules import ORDER

TARGET = Path(__file__).parents[3] / "docs" / "reference" / "access-rules.md"

_HEAD = """# Access rules

Generated from `src/sammanhang/access/rules.py` by `python -m sammanhang.access.reference`; a test
compares. The numbers are those of the domain dossier. What stands here is what the shared record
needs from its first day; the remaining rules of R1–R40 come with the law at the door.

A rule sees the actor (who, in which assignment, at which level of assurance) and the facts
(who holds data on the patient, care relation, declared reason, consents, blocks), all fetched in one
query. The first rule that settles the matter decides:

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
| R7 | rows of other providers come only with relation and consent |
| R8 | rows of a provider with an outer block are left out; that blocked data exist is told, not where |
| R20 | without consent only that other providers have data is told |
| R34 | every opening, read, search, write and refusal leaves an entry, durable before the answer |

What is absent and what is forbidden look the same: a resource asked for by id answers 404 in both
cases; a record asked for by patient answers 403 with the rule, also when there is no such patient.
"""


def markdown() -> str:
    """The page as it should be."""
    lines = [_HEAD.rstrip("\n")]
    for number, rule in enumerate(ORDER, 1):
        says = " ".join((inspect.getdoc(rule) or "").split())
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(markdown(), "utf-8")
