"""What do the door and the trace cost a member of staff who reads?"""

from __future__ import annotations

from _bench import Bench, Figure
from _drive import Requests, Result, beside, drive
from _staff import PATIENT, chart_reader, region, staff_token

PATHS = (
    ("read by id", [f"/fhir/Observation/bench-{i}" for i in range(3, 480, 20)]),
    ("search in a record", [f"/fhir/Observation?patient={PATIENT}&code=http://loinc.org|8867-4&_sort=-date"]),
    ("$everything", [f"/fhir/Patient/{PATIENT}/$everything"]),
    ("chart overview", [f"/patients/{PATIENT}"]),
)  # fmt: skip


def run(bench: Bench) -> list[Figure]:
    """The same server with door and trace, without the trace, and without both, in one run."""
    dsn = region(bench)
    figures = []
    with (
        bench.server(dsn) as server, bench.server(dsn, "_apps:create_untraced") as untraced,
        bench.server(dsn, "_apps:create_open") as bare,
    ):  # fmt: skip
        cookie = chart_reader(dsn, server.url)
        tokens = {s.url: staff_token(dsn, s.url) for s in (server, untraced, bare)}
        for what, paths in PATHS:
            asked = Requests([("GET", path, b"") for path in paths], {"Cookie": cookie})

            def ask(url: str, seconds: float, asked: Requests = asked) -> Result:
                return drive(url, asked.with_token(tokens[url]), seconds)

            whole, open_ = beside(
                lambda s: ask(server.url, s), lambda s: ask(bare.url, s), bench.seconds
            )
            again, silent = beside(
                lambda s: ask(server.url, s), lambda s: ask(untraced.url, s), bench.seconds
            )
            both = open_.per_second / whole.per_second - 1
            trace = silent.per_second / again.per_second - 1
            figures.append(
                whole.figure(
                    "door_cost", what, floor=open_.per_second,
                    note=f"door and trace add {both:.0%} to a request, the trace alone {trace:.0%}"
                    " (floor: without both)",
                )
            )  # fmt: skip
    return figures


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"door_cost": run}))
