"""What every command of the command line stands on: exit codes, settings, the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from sammanhang.kernel.settings import Settings

OK, FAULT, USAGE, NO_DATABASE, NO_PLACE = 0, 1, 2, 3, 4
INTERRUPTED = 130

EXIT_CODES = """\b
Exit codes:
  0  done, nothing wrong found
  1  done, and a fault was found (or the work itself failed)
  2  used wrongly: an unknown option, a setting with a value it cannot have
  3  the database cannot be reached, or ended
  4  port, disk or data folder: in use, full, or not writable"""


def settings_in_force() -> Settings:
    """The settings of this command; names nobody knows are told on stderr."""
    return Settings.load(warn=lambda sentence: click.echo(f"Warning: {sentence}", err=True))


@contextlib.contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """The database, open and at this version, for as long as a command works on it."""
    from sammanhang.operate.run import migrate_database, open_database

    with open_database(settings) as dsn:
        migrate_database(dsn)
        yield dsn
