"""The five questions of the common load have one shape: ours and the floor, in turns."""

from __future__ import annotations

from typing import Any

from _apps import prepare_floor
from _bench import Bench, Figure
from _drive import Requests, Result, beside, drive


def against_floor(bench: Bench, dsn: str, ours: Requests, floor: Requests) -> tuple[Result, Result]:
    """Both servers stand on the same database; each is driven while the other rests."""
    prepare_floor(dsn)
    with bench.server(dsn) as server, bench.server(dsn, "_apps:create_floor") as bare:
        traced = ours.with_token(server.token)
        return beside(
            lambda s: drive(server.url, traced, s),
            lambda s: drive(bare.url, floor, s),
            bench.seconds,
        )


def figures(
    question: str, what: str, result: Result, floor: Result, *, times: int = 1, **more: Any
) -> list[Figure]:
    """Ours with its ratio, and the floor as a row of its own. `times`: resources a request."""
    unit = "resources/s" if times > 1 else "/s"
    return [
        result.figure(
            question,
            what,
            unit,
            value=result.per_second * times,
            floor=floor.per_second * times,
            **more,
        ),
        floor.figure(question, f"  floor of {what}", unit, value=floor.per_second * times),
    ]
