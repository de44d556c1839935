"""How many searches for one series of a patient are answered a second?"""

from __future__ import annotations

from _against_floor import against_floor, figures
from _bench import Bench, Figure
from _records import series


def run(bench: Bench) -> list[Figure]:
    """Observation?patient&code&_sort=-date&_count=50; floor: the same rows by one SELECT."""
    result, floor = against_floor(bench, bench.common, *series(bench.common))
    return figures(
        "search_series",
        "Observation?patient&code&_sort",
        result,
        floor,
        aim="≥ 60 %, some 2 500 /s",
    )


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"search_series": run}))
