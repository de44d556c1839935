"""Serve an application the way `sammanhang run` does: python _serve.py MODULE:FACTORY."""

from __future__ import annotations

import sys

from sammanhang.cli import call_safely
from sammanhang.kernel.settings import Settings
from sammanhang.operate.run import say
from sammanhang.operate.server import Server, reserve_port


def serve() -> int:
    """Print `ready` once requests are taken."""
    settings = Settings.load()
    with reserve_port(settings) as listening:
        Server(settings, listening, None, sys.argv[1]).run(lambda: say("ready"), say)
    return 0


if __name__ == "__main__":
    sys.exit(call_safely(serve))
