"""`python -m sammanhang.access.reference`: writes docs/reference/access-rules.md from the rules."""

from __future__ import annotations

import inspect
from pathlib import Path

from sammanhang.kernel.content import content

from .rules import ORDER

TARGET = Path(__file__).parents[3] / "docs" / "reference" / "access-rules.md"

_HEAD = """# Access rules

Generated from `src/sammanhang/access/rules/` by `python -m sammanhang.access.reference`; a test
compares. The numbers are those of the domain dossier; M24 is the checklist's.

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
| R31–R33, M24 | what may be written: a plan without consent, a notice that says too much, information without a ground, and what the municipality's package lacks are refused (`access/rules/writes.py`) |
| R37 | a search that names no patient cannot use as criteria what PDL 2:8 forbids (`rest/limits.py`) |
| R38 | who works with statistics gets counts, and none under the smallest that is told |
| R39 | rows of patients who said no to a client's purpose are left out |
| R41 | what was sent to the care provider (tag `shared-with`: a care request, questions, the answer) comes without consent and in spite of blocks, for its owner chose to send it; its old versions do not |
| R34 | every opening, read, search, write and refusal leaves an entry, durable before the answer |
| R35 | residents see who has been in their record, by unit and day, and can ask about it |
| R36 | what is worth a look in the trace is reviewed by a log reviewer of the same care provider, never by who did it: [log review](../explanation/log-review.md) |

Who comes with a token is bound by its scopes as well (`access.permits`): they only narrow what the law
gives. `SCOPE` is their refusal where a whole kind of data or act is asked for; what a restriction
(`?category=…`) or the launch's patient keeps from an app is as absent. `ROLE` refuses the system
administrator's pages to everybody else.

What is absent and what is forbidden look the same: a resource asked for by id answers 404 in both
cases; a record asked for by patient answers 403 with the rule, also when there is no such patient.
"""

_OUTCOMES = """
## Outcomes, row by row

The same law read a second time, from the side of the single row; the first line that fits decides. The tests
read these two tables here, compare the rules with them in every combination (`access/tests/test_matrix.py`),
and then every way to the data: pages, print, read, history, search, `_include`, `_revinclude`, chains, `_has`,
`$everything`, bundles, with both walls and with row-level security alone (`rest/tests/test_matrix.py`).

`health` is a role that reads records, `assessor` a care needs assessor, `other` any other role. `reason` is a
declared reason of care (the patient seeks care here), `task` another declared reason. `exception` stands for a
child who cannot consent and a lasting inability that is assessed.

| Staff | Log-in | Tie | Row of | Block | Emergency | Agreement | Age | Outcome | Rule |
|---|---|---|---|---|---|---|---|---|---|
| any | weak | any | any | any | any | any | any | refused | R1 |
| other | any | any | any | any | any | any | any | refused | R2, R16, R17 |
| assessor | any | reason, task, none | any | any | any | any | any | refused | R16 |
| assessor | any | any | any | any | any | exception, none | any | refused | R16 |
| assessor | any | any | any | any | any | any | minor | refused | R16 |
| health | any | none | any | any | any | any | any | refused | R3, R7 |
| any | any | any | own unit | any | any | any | any | shown | R2, R3 |
| any | any | any | other unit | blocked | none, declared | any | any | hidden | R4, R6 |
| any | any | any | other unit | any | any | any | any | shown | R2, R3, R5, R6 |
| any | any | any | other provider | blocked | any | any | any | hidden | R8, R10 |
| any | any | any | other provider | any | opened | any | any | shown | R9 |
| any | any | any | other provider | any | any | none | any | hidden | R20 |
| any | any | task | other provider | any | any | any | any | hidden | R20 |
| any | any | any | other provider | any | any | any | any | shown | R7, R11, R14, R16 |

| Resident | Log-in | Age | Decision | Row | Outcome | Rule |
|---|---|---|---|---|---|---|
| any | weak | any | any | any | refused | R1 |
| stranger | any | any | any | any | refused | R22 |
| self | any | under 13 | any | any | refused | R25 |
| self | any | 13-15 | extended, none | any | refused | R25 |
| self | any | any | any | not to patient | hidden | R22 |
| self | any | any | any | any | shown | R22, R25, R26 |
| guardian | any | 16-17, adult | any | any | refused | R26 |
| guardian | any | 13-15 | own access, none | any | refused | R23 |
| guardian | any | any | any | not to patient, not to guardian | hidden | R22, R27 |
| guardian | any | any | any | any | shown | R23, R24 |
"""


def markdown() -> str:
    """The page as it should be."""
    lines = [_HEAD.rstrip("\n")]
    for number, rule in enumerate(ORDER, 1):
        says = " ".join((inspect.getdoc(rule) or "").split()).replace("|", "/")
        lines.append(f"| {number} | `{rule.__name__}` | {says} |")
    lines += [_BLOCKS.rstrip("\n"), _OUTCOMES]
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
