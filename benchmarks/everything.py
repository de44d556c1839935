"""How many whole records are handed out a second?"""

from __future__ import annotations

from _against_floor import against_floor, figures
from _bench import Bench, Figure
from _records import whole


def run(bench: Bench) -> list[Figure]:
    """Patient/$everything, about 100 resources; floor: the same rows by one SELECT."""
    result, floor = against_floor(bench, bench.common, *whole(bench.common))
    return figures("everything", "Patient/$everything", result, floor, aim="some 1 200 /s")


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"everything": run}))
