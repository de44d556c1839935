"""What the running server works by, for commands beside it: otherwise they may judge by other rules than it does."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from sammanhang.kernel.settings import Settings, variable_of

FILE = "running.json"  # in the data folder


@contextlib.contextmanager
def telling(settings: Settings) -> Iterator[None]:
    """While within, the data folder says which content folder the server of this process uses."""
    if not settings.data.is_dir():  # the database is elsewhere
        yield
        return
    path = settings.data / FILE
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"pid": os.getpid(), "content_folder": _whole(settings.content_folder)}), "utf-8")  # fmt: skip
    new.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def as_the_server(
    settings: Settings, warn: Callable[[str], None], env: Mapping[str, str] | None = None
) -> Settings:
    """The settings with the running server's content folder, unless this command names one itself; `warn` is told
    when that is another."""
    served = _content_folder(settings.data)
    own = _whole(settings.content_folder)
    if served is None or served == own:
        return settings
    variable = variable_of("content_folder")
    if not own and variable not in (os.environ if env is None else env):
        return replace(settings, content_folder=served)
    warn(f"The running server uses {said(served)}, this command {said(own)} ({variable}); what they find may differ.")  # fmt: skip
    return settings


def said(content_folder: str) -> str:
    """A content folder in words."""
    return f"the content in {content_folder}" if content_folder else "the content that is shipped"


def place_of(dsn: str) -> str:
    """A database in words, without secrets."""
    parts = conninfo_to_dict(dsn)
    return f"{parts.get('dbname') or '?'} on {parts.get('host') or 'this machine'}"


def _content_folder(data: Path) -> str | None:
    """What a server that runs has told; None when none does."""
    try:
        told = json.loads((data / FILE).read_text("utf-8"))
        pid, folder = int(told["pid"]), str(told["content_folder"])
        with contextlib.suppress(PermissionError):  # it runs as somebody else
            os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder


def _whole(folder: str) -> str:
    return str(Path(folder).expanduser().absolute()) if folder else ""
