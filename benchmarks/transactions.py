"""How many resources a second are stored by transactions of 101?"""

from __future__ import annotations

from _against_floor import against_floor, figures
from _bench import Bench, Figure
from _records import transactions


def run(bench: Bench) -> list[Figure]:
    """Transactions of 101 resources with references between them; floor: a bare COPY of each."""
    result, floor = against_floor(bench, bench.common, *transactions(bench))
    return figures(
        "transactions",
        "transactions of 101",
        result,
        floor,
        times=101,
        aim="some 10 000 resources/s",
    )


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"transactions": run}))
