"""The tables in `content/region/`, read once per process."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "content" / "region"


@cache
def table(name: str) -> dict[str, Any]:
    """The table `name`.toml; see content/region/README.md."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
