"""`sammanhang run`: database, migrations, demo region, server; and everything stopped in order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sammanhang.kernel.settings import BadSetting, Settings
from sammanhang.operate.companion import Companion
from sammanhang.operate.database import EmbeddedDatabase, running_dsn
from sammanhang.operate.errors import DatabaseUnreachable
from sammanhang.operate.in_use import telling
from sammanhang.operate.progress import Progress
from sammanhang.operate.server import Server, reserve_port
from sammanhang.operate.stopping import Stopped, stop_on_signals

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


def say(sentence: str = "") -> None:
    """One line for the person at the terminal, there at once also when it is a pipe."""
    print(sentence, flush=True)


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """The connection string of the database a command works on.

    The one the settings name; else the embedded one that a run already has open; else the
    embedded one, started for as long as the command takes. Raises `DatabaseUnreachable`.
    """
    if settings.database_url:
        check_reachable(settings.database_url)
        yield settings.database_url
        return
    running = running_dsn(settings.data) if settings.data.exists() else None
    if running:
        check_reachable(running)
        yield running
        return
    with EmbeddedDatabase(settings.data) as database:
        yield database.dsn()


def check_reachable(dsn: str) -> None:
    """Return when the database answers; raise `DatabaseUnreachable` with its reason if not."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.ProgrammingError as fault:
        # What the driver says of a text it cannot read quotes it, the password too.
        raise DatabaseUnreachable(
            "SAMMANHANG_DATABASE_URL cannot be read: a URL or a libpq connection string is needed."
        ) from fault
    except psycopg.Error as fault:
        raise DatabaseUnreachable(
            f"The database cannot be reached: {one_line(fault)}; see SAMMANHANG_DATABASE_URL."
        ) from fault
    if version < 15:
        raise DatabaseUnreachable(f"The database is PostgreSQL {version}; 15 or later is needed.")


def one_line(fault: BaseException) -> str:
    """What an exception says, without line breaks and full stop."""
    return " ".join(str(fault).split()).rstrip(".") or type(fault).__name__


def run(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM; returns after a clean stop.

    Raises `PortInUse`, `DiskFull`, `DataFolderUnusable`, `DataFolderBusy`, `DatabaseUnreachable`,
    `DatabaseStopped` or `WorkerFailed`; what was started is stopped then, too.
    """
    check_reached_safely(settings)
    stop_on_signals()
    try:
        with reserve_port(settings) as listening, contextlib.ExitStack() as stack:
            database: EmbeddedDatabase | None = None
            if settings.database_url:
                check_reachable(settings.database_url)
                dsn = settings.database_url
            else:
                say(f"Starting the database in {settings.data.absolute()} …")
                database = stack.enter_context(EmbeddedDatabase(settings.data))
                dsn = database.dsn()
            prepare(settings, dsn)
            os.environ |= settings.as_environment() | {"SAMMANHANG_DATABASE_URL": dsn}
            stack.enter_context(telling(settings))
            jobs = Companion("the jobs", "sammanhang.operate.jobs")
            server = Server(settings, listening, database, beside=[jobs])
            server.run(lambda: welcome(settings, dsn), say)
    except (Stopped, KeyboardInterrupt):
        say("\nStopped. The data are kept; start again to go on.")


def check_reached_safely(settings: Settings) -> None:
    """Raises `BadSetting` when data outside the demo would travel in the clear.

    People and programs come by https; a database on another machine is reached by TLS, and proves
    with its certificate that it is the one.
    """
    if settings.demo:
        return
    parts = urlsplit(settings.base_url)
    if parts.scheme != "https" and parts.hostname not in _THIS_MACHINE:
        raise BadSetting(
            f"SAMMANHANG_BASE_URL is {settings.base_url!r}; outside the demo people reach the server by "
            "https, through a proxy that ends TLS (docs/explanation/security.md)."
        )
    if settings.database_url and not _safe_way(settings.database_url):
        raise BadSetting(
            "SAMMANHANG_DATABASE_URL leads to another machine without sslmode=verify-full; outside the "
            "demo the way to the database is encrypted and its certificate checked."
        )


def _safe_way(url: str) -> bool:
    """Whether a database is on this machine, or its certificate is checked on the way to it."""
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return True  # what cannot be read leads nowhere; `check_reachable` says so
    hosts = str(said.get("host") or os.environ.get("PGHOST", "")).split(",")
    if all(not h or h.startswith(("/", "@")) or h in _THIS_MACHINE for h in hosts):
        return True
    mode = said.get("sslmode") or os.environ.get("PGSSLMODE", "")
    return mode in ("verify-full", "verify-ca")


def prepare(settings: Settings, dsn: str) -> None:
    """Bring the database to this version and, in the demo, see that it holds a region."""
    migrate_database(dsn)
    if settings.demo:
        build_region(dsn, settings.residents, settings.seed)


def migrate_database(dsn: str) -> None:
    """Apply the migrations the database lacks; safe to repeat."""
    from sammanhang.store.migrate import migrate

    with Progress("Preparing the database") as progress:
        applied = migrate(dsn, progress)
    if applied:
        say(f"Prepared the database: {len(applied)} migrations applied.")


def build_region(dsn: str, residents: int, seed: int) -> bool:
    """Create the synthetic region unless the database already holds one; True if it did."""
    from sammanhang.region.create import create_region, region_exists

    if region_exists(dsn):
        return False
    say(f"Creating a fictional region with {residents} residents …")
    with Progress("Creating the region", "resources") as progress:
        report = create_region(dsn, residents, seed, progress)
    speed = round(report.resources / report.seconds) if report.seconds else report.resources
    say(
        f"Created the region: {report.resources} resources in {report.seconds:.1f} s "
        f"({speed} resources/s)."
    )
    return True


def welcome(settings: Settings, dsn: str) -> None:
    """Say where the server is and, in the demo, who one can log in as."""
    if settings.demo:
        from sammanhang.region.create import login_table

        say("\nFictional people to log in as:\n")
        for line in columns([("KIND", "NAME", "ROLE", "CHOOSE"), *login_table(dsn)]):
            say(f"  {line}")
        print_demo_client(settings, dsn)
    say(f"\nSammanhang is ready on {settings.base_url}    (FHIR: {settings.base_url}/fhir)")
    say("Ctrl-C stops it.")


def print_demo_client(settings: Settings, dsn: str) -> None:
    """Print how a FHIR tool is pointed at the demo."""
    from sammanhang.access.clients import demo_client

    identity, secret = demo_client(dsn)
    say("\nDemo API client (client credentials, reads and writes everything):\n")
    say(f"  id      {identity}")
    say(f"  secret  {secret}")
    say(f"  FHIR    {settings.base_url}/fhir")
    say(f"  token   named in {settings.base_url}/fhir/.well-known/smart-configuration")


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of texts as lines with aligned columns."""
    widths = [max(len(row[place]) for row in rows) for place in range(min(map(len, rows)))]
    return [
        "  ".join(
            text.ljust(widths[place]) if place < len(widths) else text
            for place, text in enumerate(row)
        ).rstrip()
        for row in rows
    ]
