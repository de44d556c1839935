"""Write the locks anew: requirements/*.txt with hashes, package-lock.json without addresses.

Run by `make lock` in the virtual environment. No registry's address is written anywhere, so that
the same files install from any mirror.
"""

from __future__ import annotations

import subprocess
import sys

from bootstrap import ROOT, npm_command, tool_environment, uv_command

REQUIREMENTS = ROOT / "requirements"


def lock_python(name: str, *options: str) -> None:
    """Lock requirements/NAME.in into NAME.txt."""
    command = [
        *uv_command(),
        *("pip", "compile", f"{name}.in", "--output-file", f"{name}.txt", "--quiet"),
        *("--universal", "--python-version", "3.11", "--generate-hashes"),
        *("--no-emit-index-url", "--no-annotate", "--no-header", *options),
        *sys.argv[1:],
    ]
    subprocess.run(command, cwd=REQUIREMENTS, env=tool_environment(), check=True)


def main() -> None:
    """Lock everything. Options (such as --upgrade) are handed to uv."""
    lock_python("bootstrap")
    lock_python("node")
    lock_python("base")
    lock_python("dev", "--constraint", "base.txt")
    options = ("--package-lock-only", "--omit-lockfile-registry-resolved", "--ignore-scripts")
    npm = [*npm_command(), "install", *options, "--no-audit", "--no-fund"]
    subprocess.run(npm, cwd=ROOT, env=tool_environment(), check=True)


if __name__ == "__main__":
    main()
