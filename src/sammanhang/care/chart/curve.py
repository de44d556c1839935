"""A series as a small curve: an SVG path in a box of 100 × 24."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT, EDGE = 100.0, 24.0, 2.5
MOST = 24  # points of a small curve; more would only blur it


@dataclass(frozen=True, slots=True)
class Spark:
    """A small curve.

    path   the `d` of an SVG path
    x, y   where its last point is
    top    upper edge of the reference range; None when it is outside or absent
    tall   height of the reference range
    """

    path: str
    x: float
    y: float
    top: float | None
    tall: float


def spark_of(
    points: list[tuple[float, Decimal]], low: Decimal | None, high: Decimal | None
) -> Spark | None:
    """The curve of (time, value) pairs, newest first; None for fewer than two."""
    points = points[:MOST][::-1]
    if len(points) < 2:
        return None
    values = [float(v) for _, v in points]
    limits = [float(v) for v in (low, high) if v is not None]
    bottom, peak = min(values + limits), max(values + limits)
    span = (peak - bottom) or 1.0
    begin, end = points[0][0], points[-1][0]
    length = (end - begin) or 1.0

    def x(at: float) -> float:
        return round(EDGE + (at - begin) / length * (WIDTH - 2 * EDGE), 1)

    def y(value: float) -> float:
        return round(HEIGHT - EDGE - (value - bottom) / span * (HEIGHT - 2 * EDGE), 1)

    path = "M" + "L".join(f"{x(at)} {y(float(v))}" for at, v in points)
    top, tall = None, 0.0
    if limits:
        top = y(float(high)) if high is not None else 0.0
        tall = round((y(float(low)) if low is not None else HEIGHT) - top, 1)
    return Spark(path, x(end), y(values[-1]), top, tall)
