"""How many decisions of the law are made a second, on one core?"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

from _bench import Bench, Figure


def run(bench: Bench) -> list[Figure]:
    """Decisions from facts that are at hand: in care, a stranger, an emergency, a guardian."""
    from sammanhang.access.actor import Actor, Assignment
    from sammanhang.access.rules import Block, Facts, decide

    assignment = Assignment("a", "sjukskoterska", "", "U1", "", "P1", "")
    nurse = Actor("staff", "Practitioner/1", loa=3, assignment=assignment)
    guardian = Actor("resident", "Patient/2", loa=3)
    sources = frozenset((f"P{i % 5}", f"U{i}") for i in range(12))
    common = {"exists": True, "sources": sources, "at": datetime.now(UTC)}
    cases = {
        "in care, with consent and two blocks": (nurse, Facts(
            **common, relation=True, consented=frozenset({"P1"}), born=date(1950, 1, 1),
            blocks=(Block("inner", "U6"), Block("outer", "P2")),
        )),
        "a stranger": (nurse, Facts(**common, born=date(1950, 1, 1))),
        "an emergency": (nurse, Facts(**common, relation=True, danger=True, emergency=frozenset({"P2", "P3"}))),
        "a guardian": (guardian, Facts(**common, guardian=True, born=date(2018, 1, 1))),
    }  # fmt: skip
    figures = []
    for what, (actor, facts) in cases.items():
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < bench.seconds / 4:
            for _ in range(500):
                decide(actor, facts)
            count += 500
        rate = count / (time.perf_counter() - began)
        figures.append(Figure("decisions", what, rate, "/s", aim="≥ 20 000"))
    return figures


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"decisions": run}))
