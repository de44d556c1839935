"""The command line: `sammanhang run`, `load`, `check` and the rest.

Each command imports what does its work only when it is called, so that help and errors are
there at once.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from sammanhang import __version__
from sammanhang.kernel.errors import SammanhangError
from sammanhang.kernel.settings import DEFAULTS, ROWS, BadSetting, Settings, markdown, variable_of
from sammanhang.operate.stopping import Stopped, stop_on_signals

OK, FAULT, USAGE, NO_DATABASE, NO_PLACE = 0, 1, 2, 3, 4
INTERRUPTED = 130

EXIT_CODES = """\b
Exit codes:
  0  done, nothing wrong found
  1  done, and a fault was found (or the work itself failed)
  2  used wrongly: an unknown option, a setting with a value it cannot have
  3  the database cannot be reached, or ended
  4  port, disk or data folder: in use, full, or not writable"""


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

    serve(_settings())


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

    settings = _settings()
    with _database(settings) as dsn:
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

    settings = _settings()
    refused = rejected or settings.data / "rejected.ndjson"
    with _database(settings) as dsn, Progress("Loading", "resources") as progress:
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

    with _database(_settings()) as dsn, Progress("Exporting", "resources") as progress:
        folder.mkdir(parents=True, exist_ok=True)
        report = export_all(dsn, folder, progress)
    files = report.files if isinstance(report.files, int) else len(report.files)
    click.echo(f"Exported {report.resources} resources in {files} files to {folder}.")


@cli.command(epilog=EXIT_CODES)
def check() -> int:
    """Check that this installation is sound; one line for each thing looked at.

    Looks at: the database answers, every migration is applied, the audit chain is whole, every
    content file is valid. Changes nothing. Ends with exit code 1 when any of them is not so.

    \b
    Example:
      sammanhang check
    """
    from sammanhang.operate.check import check_all

    settings = _settings()
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

    with _database(_settings()) as dsn, Progress("Verifying", "entries") as progress:
        report = verify(dsn, progress)
    for fault in report.faults:
        click.echo(fault, err=True)
    verdict = "is whole" if report.ok else f"is BROKEN: {len(report.faults)} faults"
    click.echo(f"The audit log {verdict}: {report.entries} entries in {report.chains} chains.")
    return OK if report.ok else FAULT


@cli.group()
def clients() -> None:
    """Programs that may use the FHIR API: apps people let in, and services."""


@clients.command("demo", epilog=EXIT_CODES)
def clients_demo() -> int:
    """Print the id and secret of the demo API client.

    It may read and write everything and exists in the demo only (SAMMANHANG_DEMO).

    \b
    Example:
      sammanhang clients demo
    """
    from sammanhang.operate.run import print_demo_client

    settings = _settings()
    if not settings.demo:
        click.echo("There is no demo client where SAMMANHANG_DEMO is false.", err=True)
        return FAULT
    with _database(settings) as dsn:
        print_demo_client(settings, dsn)
    return OK


@clients.command("add", epilog=EXIT_CODES)
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="What it may ask for; repeat it."
)
@click.option("--for", "offered", multiple=True, type=click.Choice(("staff", "resident")),
              help="Whom an app is offered to; nobody for a service of its own.")  # fmt: skip
@click.option("--publisher", default="", help="Who stands behind an app.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Where an app's answer may go; exact."
)
@click.option("--launch-url", help="Where the chart starts an app.")
@click.option(
    "--role", "roles", multiple=True, help="A staff role that sees the app; every role without it."
)
@click.option("--proof", type=click.Choice(("public", "secret", "key")),
              help="How it proves itself. Default: a key when one is given, else a secret.")  # fmt: skip
@click.option(
    "--jwks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with its public keys.",
)
@click.option("--jwks-uri", help="Where its public keys are found.")
@click.option("--provider", help="HSA-id of the care provider a service acts for.")
@click.option("--everything", is_flag=True, help="Trust a service with the whole record.")
@click.option("--id", help="The client's id; one is chosen without it.")
def clients_add(jwks: Path | None, proof: str | None, **said: Any) -> int:
    """Register NAME, an app people let in or a service of its own.

    Prints its id, and its secret, which is shown this once. Ends with exit code 1, and says what is
    wrong where, when it cannot be registered so.

    \b
    Examples:
      sammanhang clients add "Growth chart" --for staff --publisher "Curves Ltd" --proof public \\
        --redirect-uri https://app.example/done --launch-url https://app.example/launch \\
        --scope launch --scope openid --scope fhirUser --scope patient/Observation.rs
      sammanhang clients add "Lab" --jwks keys.json --scope system/Observation.cruds --provider SE2321000131-E000000000001
    """
    from sammanhang.operate.clients import add

    with _database(_settings()) as dsn:
        return OK if add(dsn, jwks=jwks, proof=proof, **said) else FAULT


@clients.command("list", epilog=EXIT_CODES)
def clients_list() -> None:
    """Print every client, closed ones too.

    \b
    Example:
      sammanhang clients list
    """
    from sammanhang.operate.clients import show

    with _database(_settings()) as dsn:
        show(dsn)


@clients.command("close", epilog=EXIT_CODES)
@click.argument("client")
def clients_close(client: str) -> int:
    """Close CLIENT for good: it gets no more tokens, and those it has end within 30 seconds.

    \b
    Example:
      sammanhang clients close app-0123456789ab
    """
    from sammanhang.access.clients import close_client

    with _database(_settings()) as dsn:
        close_client(dsn, client)
    click.echo(f"Closed {client}.")
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
    settings = _settings()
    width = max(len(variable_of(name)) for name in ROWS)
    for name, row in ROWS.items():
        value = getattr(settings, name)
        shown = "(set, not shown)" if row.secret and value else str(value)
        shown = shown.lower() if isinstance(value, bool) else shown
        given = "" if value == getattr(DEFAULTS, name) or name == "base_url" else "  (set)"
        click.echo(f"{variable_of(name):{width}}  {shown or '(empty)'}{given}")


def _settings() -> Settings:
    return Settings.load(warn=lambda sentence: click.echo(f"Warning: {sentence}", err=True))


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The database, open and at this version, for as long as a command works on it."""
    from sammanhang.operate.run import migrate_database, open_database

    with open_database(settings) as dsn:
        migrate_database(dsn)
        yield dsn


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
