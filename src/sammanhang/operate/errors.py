"""What can go wrong around the server, and the code the program then exits with.

OperateError            1
├── DatabaseUnreachable 3   no database answers
├── DatabaseStopped     3   the embedded database ended while the server was running
├── PortInUse           4   another program listens on the port
├── DiskFull            4   no room left where the data are
├── DataFolderUnusable  4   the data folder cannot be written or its content is unusable
└── DataFolderBusy      4   another run already uses the data folder
"""

from __future__ import annotations

import errno
from pathlib import Path

from sammanhang.kernel.errors import SammanhangError


class OperateError(SammanhangError):
    """A command could not do its work; the message is the one sentence to print."""

    exit_code = 1


class DatabaseUnreachable(OperateError):
    """No database answers where the settings say one is."""

    exit_code = 3


class DatabaseStopped(OperateError):
    """The embedded database ended although nobody asked it to."""

    exit_code = 3


class PortInUse(OperateError):
    """The port or address cannot be listened on."""

    exit_code = 4


class DiskFull(OperateError):
    """There is no room left on the disk that holds the data."""

    exit_code = 4


class DataFolderUnusable(OperateError):
    """The data folder cannot be written, or holds something this version cannot use."""

    exit_code = 4


class DataFolderBusy(OperateError):
    """Another run already uses the data folder."""

    exit_code = 4


def folder_fault(folder: Path, fault: OSError) -> OperateError:
    """The error for a data folder that the system would not let us write."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"The disk that holds {folder} is full: make room and start again.")
    return DataFolderUnusable(
        f"The data folder {folder} cannot be written: {fault.strerror}; "
        "give another one with SAMMANHANG_DATA."
    )


def telling_line(said: str) -> str:
    """The most telling line of what a database program said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error" in line]
    line = (telling or lines or ["it gave no reason"])[0]
    return line.split("FATAL:")[-1].split("PANIC:")[-1].strip().rstrip(".")
