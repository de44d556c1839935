"""How many resources a second are read by id?"""

from __future__ import annotations

from _against_floor import against_floor, figures
from _bench import Bench, Figure
from _records import reads


def run(bench: Bench) -> list[Figure]:
    """Read by id: token, decision, durable trace, one row; floor: one SELECT."""
    result, floor = against_floor(bench, bench.common, *reads(bench.common))
    return figures("read_by_id", "read by id", result, floor, aim="≥ 60 %, some 6 000 /s")


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"read_by_id": run}))
