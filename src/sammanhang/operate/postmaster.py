"""What the process file of a PostgreSQL cluster says about the server that runs, or ran, on it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

SOCKET = ".s.PGSQL.5432"
_STATUS_LINE = 7
_SOCKET_FOLDER_LINE = 4
_DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def running_pid(cluster: Path) -> int:
    """The process id of the server that runs on `cluster` and takes connections; 0 if none does."""
    pid = _written_pid(cluster)
    return pid if pid and is_alive(pid) and _runs_on(pid, cluster) and _ready(cluster) else 0


def says_ready(cluster: Path, pid: int) -> bool:
    """Whether the server `pid` says that it takes connections."""
    return _written_pid(cluster) == pid and _ready(cluster)


def socket_folder_of(cluster: Path) -> Path | None:
    """The folder of the socket that the server on `cluster` listens on."""
    lines = _lines(cluster)
    found = lines[_SOCKET_FOLDER_LINE].strip() if len(lines) > _SOCKET_FOLDER_LINE else ""
    return Path(found) if found else None


def remove_stale_files(cluster: Path) -> None:
    """Remove what a killed server left, if its process is gone or its number is another's now.

    PostgreSQL does so itself for a process that is gone, but waits for a stranger that got the
    same number.
    """
    pid = _written_pid(cluster)
    if pid and not (is_alive(pid) and _runs_on(pid, cluster)):
        folder = socket_folder_of(cluster)
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        if folder:
            (folder / f"{SOCKET}.lock").unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs; one that ended but was not collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # "42 (name) Z …": in a container without an init nobody may ever collect it.
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return not sys.platform.startswith("linux")
    return state not in "ZX"


def clean_environment() -> dict[str, str]:
    """Our environment without PG* variables, which would change what the database programs do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def die_with_parent() -> None:
    """Ask the system to interrupt this process should the one that started it be killed."""
    if _libc is not None:
        _libc.prctl(_DIES_WITH_PARENT, signal.SIGINT, 0, 0, 0)


# Loaded before any fork: between fork and exec nothing may be imported or allocated at leisure.
_libc: Any = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def _lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _written_pid(cluster: Path) -> int:
    lines = _lines(cluster)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else 0


def _ready(cluster: Path) -> bool:
    lines = _lines(cluster)
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def _runs_on(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is a server on `cluster`: its working folder tells."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == cluster.resolve()
    except OSError:
        return not sys.platform.startswith("linux")
