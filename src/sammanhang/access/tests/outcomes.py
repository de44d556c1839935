"""The second reading of the law: the tables of outcomes in docs/reference/access-rules.md, first line that fits."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from sammanhang.access.reference import TARGET


class Outcome(NamedTuple):
    """`shown`, `hidden` or `refused`, and the rules that may say so."""

    said: str
    rules: frozenset[str]


@cache
def _tables() -> dict[str, tuple[list[str], list[tuple[list[frozenset[str]], Outcome]]]]:
    """By first heading: the columns, and the lines as (what fits in each column, outcome)."""
    found: dict[str, tuple[list[str], list[tuple[list[frozenset[str]], Outcome]]]] = {}
    columns: list[str] | None = None
    for line in TARGET.read_text("utf-8").splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] in ("Staff", "Resident"):
            columns = cells[:-2]
            found[cells[0]] = (columns, [])
        elif columns is None or not cells:
            columns = None
        elif not cells[0].startswith("---"):
            fits = [frozenset(v.strip() for v in c.split(",")) for c in cells[:-2]]
            rules = frozenset(r.strip() for r in cells[-1].split(","))
            found[columns[0]][1].append((fits, Outcome(cells[-2], rules)))
    return found


def outcome(*values: str) -> Outcome:
    """What the table of this many columns says; raises when no line fits."""
    for columns, lines in _tables().values():
        if len(columns) != len(values):
            continue
        for fits, said in lines:
            if all("any" in f or v in f for f, v in zip(fits, values, strict=True)):
                return said
    raise AssertionError(f"no line fits {values}")
