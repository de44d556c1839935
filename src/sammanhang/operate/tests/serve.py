"""Serve a tiny application as `sammanhang run` serves the real one; started by tests.

python serve.py APPLICATION [DATA_FOLDER]
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from sammanhang.cli import call_safely
from sammanhang.kernel.settings import Settings
from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.operate.run import say
from sammanhang.operate.server import Server, reserve_port


def serve() -> int:
    """Print `ready PID-OF-DATABASE` once requests are taken."""
    settings = Settings.load()
    with reserve_port(settings) as listening, contextlib.ExitStack() as stack:
        database = None
        if len(sys.argv) > 2:
            database = stack.enter_context(EmbeddedDatabase(Path(sys.argv[2])))
        server = Server(settings, listening, database, sys.argv[1])
        server.run(lambda: say(f"ready {database.pid if database else 0}"), say)
    return 0


if __name__ == "__main__":
    sys.exit(call_safely(serve))
