"""How many Observations are created a second, one to a request?"""

from __future__ import annotations

from _against_floor import against_floor, figures
from _bench import Bench, Figure
from _records import creates


def run(bench: Bench) -> list[Figure]:
    """Create one Observation, durable, with history, event, trace; floor: a bare durable INSERT."""
    result, floor = against_floor(bench, bench.common, *creates(bench.common))
    return figures("create", "create one Observation", result, floor, aim="≥ 50 %, some 2 000 /s")


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"create": run}))
