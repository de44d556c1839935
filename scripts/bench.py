"""Run the benchmarks: each file in benchmarks/ whose name does not begin with an underscore."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(names: list[str]) -> int:
    """Run those named, or all; 1 when one of them failed."""
    found = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("[!_]*.py"))}
    unknown = [name for name in names if name not in found]
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(found)}.")
        return 2
    failed = []
    for name in names or found:
        print(f"\n── {name} ──", flush=True)
        if subprocess.run([sys.executable, str(found[name])], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nThese benchmarks failed: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
