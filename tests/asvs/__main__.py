"""Writes docs/reference/asvs.md; ends with 1 when something is amiss."""

from __future__ import annotations

import sys

from .page import PAGE, page, verified

PAGE.write_text(page(), encoding="utf-8")
faults = verified()[1]
print("\n".join(faults), file=sys.stderr)
sys.exit(1 if faults else 0)
