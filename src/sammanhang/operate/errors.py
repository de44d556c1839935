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
