"""Where the cases are: beside the repository (`../shared/conformance`) and in `node_modules`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "conformance"
OFFICIAL = ROOT / "node_modules" / "hl7.fhir.r4.examples"
COUNTS = Path(__file__).with_name("counts.json")
REPORT = ROOT / "docs" / "reference" / "conformance.md"
NO_SHARED = f"the cases of others are not here ({SHARED}); they are not part of the repository"
NO_OFFICIAL = f"the official examples are not here ({OFFICIAL}); `npm ci` brings them"


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    name: str
    passed: bool
    reason: str = ""


def official_examples() -> list[Path]:
    """Every official definition and example resource."""
    return sorted(
        p for p in OFFICIAL.glob("*.json") if p.name not in ("package.json", ".index.json")
    )
