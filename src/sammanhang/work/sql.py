"""The named queries of this package: each in `queries.sql` under a line that says what it answers."""

from __future__ import annotations

from pathlib import Path

from sammanhang.store.named import queries

SQL = queries(Path(__file__).parent / "queries.sql")
