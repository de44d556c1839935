"""What does the durable trace cost?"""

from __future__ import annotations

from _bench import Bench, Figure
from _drive import Requests, Result, beside, drive
from _records import creates, reads, series


def run(bench: Bench) -> list[Figure]:
    """The same server with the trace and with the trace cut out, in turns."""
    dsn = bench.common
    figures = []
    with bench.server(dsn) as server, bench.server(dsn, "_apps:create_untraced") as without:
        for what, (requests, _) in (
            ("read by id", reads(dsn)), ("search", series(dsn)), ("create", creates(dsn)),
        ):  # fmt: skip
            ours, bare = requests.with_token(server.token), requests.with_token(without.token)

            def traced(s: float, ours: Requests = ours) -> Result:
                return drive(server.url, ours, s)

            def untraced(s: float, bare: Requests = bare) -> Result:
                return drive(without.url, bare, s)

            result, other = beside(traced, untraced, bench.seconds)
            cost = 1 - result.per_second / other.per_second
            figures.append(
                result.figure(
                    "audit_cost", what, floor=other.per_second,
                    note=f"the trace costs {cost:.0%} of throughput,"
                    f" {result.p50 - other.p50:+.2f} ms at p50 (floor: without trace)",
                )
            )  # fmt: skip
    return figures


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"audit_cost": run}))
