"""The official examples for tests, and JSON values made wrong in the ways the world makes them wrong."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

OFFICIAL = Path(__file__).parents[4] / "node_modules" / "hl7.fhir.r4.examples"
here = pytest.mark.skipif(
    not OFFICIAL.exists(),
    reason=f"the official examples are not here ({OFFICIAL}); `npm ci` brings them",
)


@cache
def files(largest: int = 1_000_000_000) -> list[Path]:
    """Every official example no larger than so many bytes, in order of name."""
    found = sorted(
        p for p in OFFICIAL.glob("*.json") if p.name not in ("package.json", ".index.json")
    )
    return [p for p in found if p.stat().st_size <= largest]


def read(path: Path) -> Any:
    """The JSON values of a file, decimals kept."""
    return json.loads(path.read_bytes(), parse_float=Decimal)


def write(value: Any) -> bytes:
    """JSON bytes of values that may hold decimals."""
    return json.dumps(value, default=float, ensure_ascii=False).encode("utf-8", "surrogatepass")


def small_files() -> st.SearchStrategy[Path]:
    """Some official example of at most 12 kB."""
    return st.integers(0, len(files(12_000)) - 1).map(lambda i: files(12_000)[i])


# What may stand where something else should.
JUNK: list[Any] = [
    None, 0, 1, -1, 2.5, True, "", " ", "x", "a b", "#p", "2020-02-30", "2020-13", "<div/>", "\u0000", 10**30,
    [], {}, [None], [{}], [[]], {"id": "x"}, ["x"], "Patient/1", {"resourceType": "Patient"},
    {"extension": [{"url": "u", "valueCode": "c"}]}, {"extension": [{"url": "u"}]}, [{"id": "x"}],
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    out: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        v = todo.pop()
        keys = (
            list(v) if isinstance(v, dict) else list(range(len(v))) if isinstance(v, list) else []
        )
        out += [(v, k) for k in keys]
        todo += [v[k] for k in keys]
    return out


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """(file name, resource) of an official example with up to three things made wrong in it."""
    path = draw(small_files())
    value = read(path)
    for _ in range(draw(st.integers(0, 3))):
        found = places(value)
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        _change(draw, container, key)
    return path.name, value


def _change(draw: st.DrawFn, container: Any, key: Any) -> None:
    value, member = container[key], isinstance(container, dict)
    way = draw(st.integers(0, 8))
    if way == 0:
        del container[key]
    elif way in (1, 2):
        container[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    elif way == 3:
        container[key] = [value]
    elif way == 4 and member:
        container[draw(st.sampled_from([key + "X", "_" + key, key.capitalize()]))] = container.pop(
            key
        )
    elif way == 5 and member:
        container["_" + key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    elif way == 6 and isinstance(value, list) and value:
        value.append(draw(st.sampled_from([None, value[0]])))
    elif way == 7 and isinstance(value, int | Decimal) and not isinstance(value, bool):
        container[key] = str(value)
    elif way == 8 and isinstance(value, list):
        container[key] = value[0] if value else None
