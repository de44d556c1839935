"""Content: what is decided by people and read by the program, under `content/` as JSON files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "content"


@cache
def content(name: str) -> Any:
    """The content file `name` (`rules/roles`), read once. Raises FileNotFoundError with its path."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
