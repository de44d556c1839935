"""Named SQL: a file of queries, each under a line `-- name: what it answers`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_HEAD = re.compile(r"^-- ([a-z_]+): (.+)$", re.MULTILINE)


@cache
def queries(path: Path) -> dict[str, str]:
    """The queries of a file by name. Raises ValueError for a name that stands twice."""
    text = path.read_text("utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [h.start() for h in heads[1:]] + [len(text)]
    found: dict[str, str] = {}
    for head, end in zip(heads, ends, strict=True):
        if head[1] in found:
            raise ValueError(f"{path}: the query {head[1]} stands twice")
        found[head[1]] = text[head.end() : end].strip().rstrip(";")
    return found
