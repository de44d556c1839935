"""Tables that were made from the official definitions together with the models."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "r4"


@cache
def shipped(name: str) -> dict[str, Any]:
    """A table by name: codesystems, search, structures, units, valuesets. Read once.

    Raises FileNotFoundError while the models are being generated for the first time.
    """
    table: dict[str, Any] = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    return table
