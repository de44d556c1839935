"""Content: what is decided by people and read by the program, under `content/` as JSON files.

A file is one version, `{"valid_from": …, …}`, or several, `{"versions": [{…}, {…}]}`; the one in force is the
latest whose `valid_from` has come. A folder of one's own (setting `content`) adds versions to the files of the
same name: a region changes an age or a time limit there, with the day it begins, and needs no new release.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from .clock import today
from .errors import SammanhangError

FOLDER = Path(__file__).parents[3] / "content"
_own: list[Path] = []
_lock = threading.Lock()
_instead: ContextVar[Mapping[str, Any] | None] = ContextVar("content_instead", default=None)


class BadContent(SammanhangError):
    """A content file cannot be used; the message names the file and what is wrong."""

    code = "invalid"


def content(name: str, on: date | None = None) -> Any:
    """The version of `rules/roles` that is in force on a day, today unless told.

    Raises FileNotFoundError with the path of a file that is not there, and `BadContent` for one that cannot
    be read or has nothing in force that day.
    """
    instead = _instead.get()
    if instead is not None and name in instead:
        return instead[name]
    days, found = _versions(name)
    day = on.isoformat() if on is not None else _today()
    place = bisect_right(days, day) - 1
    if place < 0:
        raise BadContent(f"content/{name}: nothing is in force on {day}.")
    return found[place]


def versions(name: str) -> list[Any]:
    """Every version of a file, the earliest first, those to come among them."""
    return list(_versions(name)[1])


def names(folder: str) -> list[str]:
    """The files of a folder: `rules/ages`, `rules/roles` …"""
    return sorted(f"{folder}/{p.stem}" for p in (FOLDER / folder).glob("*.json"))


def use_own(folder: Path | None) -> None:
    """Adds the versions in a folder of one's own to the shipped ones; None takes them away.

    Raises `BadContent` for a folder that is not there, a file without a shipped one of its name, and one that
    cannot be read: a server does not start with rules it does not understand.
    """
    with _lock:
        _own[:] = [] if folder is None else [folder]
        _versions.cache_clear()
    if folder is None:
        return
    if not folder.is_dir():
        raise BadContent(f"{folder} is not a folder of content.")
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if not (FOLDER / f"{name}.json").is_file():
            raise BadContent(f"{path}: there is no content named {name}.")
        content(name)


@contextmanager
def instead(changed: Mapping[str, Any]) -> Iterator[None]:
    """Within, these are in force in place of what is: to see what a change would do before it is made."""
    token = _instead.set({**(_instead.get() or {}), **changed})
    try:
        yield
    finally:
        _instead.reset(token)


def read(path: Path) -> list[Any]:
    """The versions in one file. Raises `BadContent`, FileNotFoundError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as e:
        raise BadContent(f"{path} cannot be read: {e}") from e
    if not isinstance(found, dict):
        raise BadContent(f"{path}: an object is needed.")
    listed = found.get("versions", [found])
    for version in listed if isinstance(listed, list) else [None]:
        if not isinstance(version, dict):
            raise BadContent(f"{path}: each version is an object.")
        begins = version.get("valid_from")
        if begins is not None and not _is_day(begins):
            raise BadContent(f"{path}: valid_from is a day, such as 2027-01-01, not {begins!r}.")
        if begins is None and (len(listed) > 1 or path.parent.name == "rules"):
            raise BadContent(f"{path}: valid_from is missing.")
    return list(listed)


def fitting(path: Path, name: str) -> Any:
    """The last version in a file, when it says all that the shipped one says; to try it with `instead`.

    Raises `BadContent`.
    """
    if not (FOLDER / f"{name}.json").is_file():
        raise BadContent(f"There is no content named {name}.")
    added = read(path)
    _fits(path, read(FOLDER / f"{name}.json")[-1], added)
    return max(added, key=lambda version: version.get("valid_from", ""))


_day = (-1, "")


def _today() -> str:
    """Today, looked up once a second: decisions ask some hundred thousand times."""
    global _day
    second = int(time.time())
    if _day[0] != second:
        _day = (second, today().isoformat())
    return _day[1]


@cache
def _versions(name: str) -> tuple[list[str], list[Any]]:
    """(days they begin, versions) by day; of two that begin the same day the region's own stands."""
    found = read(FOLDER / f"{name}.json")
    for folder in _own:
        path = folder / f"{name}.json"
        if path.is_file():
            added = read(path)
            _fits(path, found[-1], added)
            found += added
    by_day = {version.get("valid_from", ""): version for version in found}
    days = sorted(by_day)
    return days, [by_day[d] for d in days]


def _fits(path: Path, shipped: Any, added: list[Any]) -> None:
    """An own version says all that the shipped one says, of the same kind: no rule loses a number."""
    for version in added:
        for key, value in shipped.items():
            if key not in version:
                raise BadContent(f"{path}: {key} is missing.")
            if type(version[key]) is not type(value):
                raise BadContent(f"{path}: {key} is {type(value).__name__} in the shipped file.")


def _is_day(text: object) -> bool:
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
