"""`python -m benchmarks [--quick] [QUESTION …]`: asks the questions, prints tables, keeps results."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# In the order of the table in the README; each is a file here with a function `run`.
NAMES = (
    "read_by_id", "search_series", "everything", "create", "transactions", "bulk_load", "parsing",
    "chart_page", "worklist", "live", "find_patient", "decisions", "preflight", "forms", "audit_cost", "door_cost", "log_review",
    "size", "churn", "table_shape", "work_faults", "deliveries", "act_one",
)  # fmt: skip

if __name__ == "__main__":
    from _bench import main

    sys.exit(main({name: importlib.import_module(name).run for name in NAMES}))
