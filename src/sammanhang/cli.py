"""The command line: `sammanhang run`, `load`, `check` and the rest.

Each command imports what does its work only when it is called, so that help and errors are
there at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from sammanhang import __version__
from sammanhang.kernel.errors import SammanhangError
from sammanhang.kernel.settings import DEFAULTS, ROWS, BadSetting, markdown, variable_of
from sammanhang.operate import access_checks  # noqa: F401 (its commands belong to `access`)
from sammanhang.operate.access_commands import access, keys, partners
from sammanhang.operate.client_commands import clients
from sammanhang.operate.command import (
    EXIT_CODES,
    FAULT,
    INTERRUPTED,
    NO_DATABASE,
    NO_PLACE,
    OK,
    USAGE,
    database_of,
    settings_in_force,
)
from sammanhang.operate.stopping import Stopped, stop_on_signals
from sammanhang.operate.work_commands import jobs, work


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="sammanhang", message="%(prog)s %(version)s")
def cli() -> None:
    """Sammanhang: an open care-information system for a Swedish region.

    Settings come from SAMMANHANG_ variables or a file: see `sammanhang settings`.
    """


@cli.command(epilog=EXIT_CODES)
def run() -> None:
    """Start the server, with its database, and serve until Ctrl-C.

    The first start makes the database and a fictional region, which takes a minute or two; later
    starts find their data. Prints who one can log in as and where.

    \b
    Examples:
      sammanhang run
      SAMMANHANG_PORT=8080 SAMMANHANG_RESIDENTS=200 sammanhang run
    """
    from sammanhang.operate.run import run as serve

    serve(settings_in_force())


@cli.group()
def region() -> None:
    """The synthetic region: real structure, fictional people."""


@region.command("create", epilog=EXIT_CODES)
@click.option("--residents", type=click.IntRange(1, 2_000_000), help="How many residents.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same region.")
def region_create(residents: int | None, seed: int | None) -> int:
    """Create the fictional region in a database that holds none.

    Ends with exit code 1, and changes nothing, when the database already holds a region.

    \b
    Example:
      sammanhang region create --residents 20000 --seed 7
    """
    from sammanhang.operate.run import build_region

    settings = settings_in_force()
    with database_of(settings) as dsn:
        made = build_region(
            dsn,
            settings.residents if residents is None else residents,
            settings.seed if seed is None else seed,
        )
    if not made:
        click.echo("The database already holds a region; nothing was changed.", err=True)
    return OK if made else FAULT


@cli.command(epilog=EXIT_CODES)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--owner", help="The provider (an Organization id) that owns what is loaded.")
@click.option("--processes", type=click.IntRange(1, 64), help="How many processes share the work.")
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where refused resources go, one a line with the reason. "
    "Default: rejected.ndjson in the data folder.",
)
def load(path: Path, owner: str | None, processes: int | None, rejected: Path | None) -> int:
    """Load FHIR R4 resources from PATH: an NDJSON file, a Bundle, or a folder of them.

    Every resource is validated. The valid ones are stored, each wholly or not at all; the others
    are written to a file with the reason. Running it again goes on where it stopped. Ends with
    exit code 1 when any was refused.

    \b
    Examples:
      sammanhang load patients.ndjson
      sammanhang load --rejected refused.ndjson export-folder/
    """
    from sammanhang.operate.progress import Progress
    from sammanhang.store.load import load_path

    settings = settings_in_force()
    refused = rejected or settings.data / "rejected.ndjson"
    with database_of(settings) as dsn, Progress("Loading", "resources") as progress:
        report = load_path(
            dsn,
            path,
            processes=settings.processes if processes is None else processes,
            rejected=refused,
            owner=owner,
            progress=progress,
        )
    speed = round(report.loaded / report.seconds) if report.seconds else report.loaded
    click.echo(f"Loaded {report.loaded} resources in {report.seconds:.1f} s ({speed} resources/s).")
    if report.rejected:
        click.echo(f"Refused {report.rejected}; each with its reason is in {refused}.", err=True)
    return FAULT if report.rejected else OK


@cli.command(epilog=EXIT_CODES)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path) -> None:
    """Write every current resource to FOLDER, one NDJSON file for each type.

    The bytes are those that were stored; `sammanhang load FOLDER` takes them back.

    \b
    Example:
      sammanhang export /var/backups/fhir
    """
    from sammanhang.operate.progress import Progress
    from sammanhang.store.export import export_all

    with database_of(settings_in_force()) as dsn, Progress("Exporting", "resources") as progress:
        folder.mkdir(parents=True, exist_ok=True)
        report = export_all(dsn, folder, progress)
    files = report.files if isinstance(report.files, int) else len(report.files)
    click.echo(f"Exported {report.resources} resources in {files} files to {folder}.")


@cli.command(epilog=EXIT_CODES)
def check() -> int:
    """Check that this installation is sound; one line for each thing looked at.

    Looks at: the database answers, its clock and this one agree, every migration is applied, the
    audit chain is whole, every content file is valid. Changes nothing. Ends with exit code 1 when
    any of them is not so.

    \b
    Example:
      sammanhang check
    """
    from sammanhang.operate.check import check_all

    settings = settings_in_force()
    sound = True
    for result in check_all(settings):
        click.echo(f"{'ok   ' if result.ok else 'FAULT'}  {result.what}: {result.found}")
        sound = sound and result.ok
    return OK if sound else FAULT


@cli.group()
def audit() -> None:
    """The audit log: who saw and did what."""


@audit.command("verify", epilog=EXIT_CODES)
def audit_verify() -> int:
    """Verify that no audit entry was changed, removed or put in between.

    Walks every hash chain from its start. Ends with exit code 1 when a chain is broken, and names
    the entries.

    \b
    Example:
      sammanhang audit verify
    """
    from sammanhang.access.audit import verify
    from sammanhang.operate.progress import Progress

    with database_of(settings_in_force()) as dsn, Progress("Verifying", "entries") as progress:
        report = verify(dsn, progress)
    for fault in report.faults:
        click.echo(fault, err=True)
    verdict = "is whole" if report.ok else f"is BROKEN: {len(report.faults)} faults"
    click.echo(f"The audit log {verdict}: {report.entries} entries in {report.chains} chains.")
    return OK if report.ok else FAULT


@audit.command("follow", epilog=EXIT_CODES)
@click.argument("places", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--once", is_flag=True, help="End when there is nothing more, instead of waiting.")
def audit_follow(places: Path, once: bool) -> int:
    """Write the audit log to standard output as it grows, a block a line, for another system.

    PLACES is the file that keeps how far one has come: started again, it goes on from there. A line
    is JSON with chain, block, hash and entries, so that the receiver can check the chains too.

    \b
    Example:
      sammanhang audit follow /var/lib/sammanhang/sent.json | logger --server log.example
    """
    from sammanhang.operate.shipping import ship

    with database_of(settings_in_force()) as dsn:
        try:
            ship(dsn, places, sys.stdout.buffer, once=once)
        except BrokenPipeError:
            # Whoever read has gone; what they did not get leaves again next time.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo("The receiver has gone; start again to go on.", err=True)
            return FAULT
    return OK


@cli.command("settings", epilog=EXIT_CODES)
@click.option("--markdown", "as_markdown", is_flag=True, help="The documentation's table instead.")
def settings_command(as_markdown: bool) -> None:
    """Print every setting in force, and which are not the default.

    \b
    Examples:
      sammanhang settings
      sammanhang settings --markdown > docs/reference/settings.md
    """
    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    settings = settings_in_force()
    width = max(len(variable_of(name)) for name in ROWS)
    for name, row in ROWS.items():
        value = getattr(settings, name)
        shown = "(set, not shown)" if row.secret and value else str(value)
        shown = shown.lower() if isinstance(value, bool) else shown
        given = "" if value == getattr(DEFAULTS, name) or name == "base_url" else "  (set)"
        click.echo(f"{variable_of(name):{width}}  {shown or '(empty)'}{given}")


for group in (access, clients, jobs, keys, partners, work):
    cli.add_command(group)


def call(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return call_safely(
        lambda: cli.main(arguments, prog_name="sammanhang", standalone_mode=False) or OK
    )


def call_safely(work: Callable[[], int]) -> int:
    """Do the work of a program; known faults become one sentence on stderr and an exit code."""
    stop_on_signals()
    try:
        return work()
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except (click.Abort, Stopped, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except SammanhangError as fault:
        click.echo(fault.en, err=True)
        return USAGE if isinstance(fault, BadSetting) else getattr(fault, "exit_code", FAULT)
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        click.echo(f"The disk is full: {fault.filename or 'no room left'}.", err=True)
        return NO_PLACE
    except Exception as fault:
        if not _is_database_gone(fault):
            raise
        said = " ".join(str(fault).split()).rstrip(".")
        click.echo(f"The database stopped answering: {said}.", err=True)
        return NO_DATABASE


def _is_database_gone(fault: Exception) -> bool:
    """Whether the driver lost its connection; asked without importing it for every `--help`."""
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(fault, driver.OperationalError)


def main() -> None:
    """The program `sammanhang`."""
    sys.exit(call())


if __name__ == "__main__":
    main()
