"""All official R4 definitions and examples: decoded, written again, and compared value for value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from sammanhang.fhir import decode
from sammanhang.kernel.errors import SammanhangError

from .sources import Outcome, official_examples


def run(every: int = 1) -> Iterator[Outcome]:
    """Every n-th example."""
    for path in official_examples()[::every]:
        body = path.read_bytes()
        try:
            resource = decode.typed_decoder(json.loads(body)["resourceType"]).decode(body)
        except (msgspec.MsgspecError, ValueError, KeyError) as e:
            yield Outcome(path.name, False, f"does not decode: {e}")
            continue
        again = decode.encode(resource)
        same = same_values(_values(body), _values(again))
        yield Outcome(path.name, same, "" if same else "comes back changed")


def run_rules(every: int = 1) -> Iterator[Outcome]:
    """Every n-th example through the door for outside data: types, second pass and all."""
    for path in official_examples()[::every]:
        try:
            decode.decode(path.read_bytes())
        except SammanhangError as e:
            faults = [f"{i.expression}: {i.en}" for i in e.issues]
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            yield Outcome(path.name, False, faults[0] + more)
        else:
            yield Outcome(path.name, True)


def _values(body: bytes) -> Any:
    """JSON values with every number as its own digits."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def same_values(a: Any, b: Any) -> bool:
    """Equality of JSON values where 1.0 and 1.00 differ."""
    if isinstance(a, dict):
        return (
            isinstance(b, dict)
            and a.keys() == b.keys()
            and all(same_values(v, b[k]) for k, v in a.items())
        )
    if isinstance(a, list):
        return (
            isinstance(b, list)
            and len(a) == len(b)
            and all(same_values(x, y) for x, y in zip(a, b, strict=True))
        )
    if isinstance(a, Decimal):
        return isinstance(b, Decimal) and a.as_tuple() == b.as_tuple()
    return type(a) is type(b) and a == b
