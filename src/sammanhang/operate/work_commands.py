"""`sammanhang jobs`, `sammanhang work …`: deadlines, what is adrift, and units that close."""

from __future__ import annotations

import asyncio
from collections import Counter

import click

from sammanhang.kernel.settings import Settings

from .command import EXIT_CODES, FAULT, OK, database_of, settings_in_force
from .in_use import as_the_server, place_of, said


def _settings() -> Settings:
    """The settings in force, by the rules of the running server."""
    return as_the_server(
        settings_in_force(), lambda sentence: click.echo(f"Warning: {sentence}", err=True)
    )


def _tell(settings: Settings, dsn: str) -> None:
    click.echo(f"By {said(settings.content_folder)}; database {place_of(dsn)}.", err=True)


@click.command("jobs", epilog=EXIT_CODES)
def jobs() -> None:
    """Run the jobs: deadlines, reminders, moves. `sammanhang run` does so by itself.

    Several may run, on several machines: each takes its own work from the database.

    \b
    Example:
      sammanhang jobs
    """
    from sammanhang.operate.jobs import serve

    settings = _settings()
    with database_of(settings) as dsn:
        _tell(settings, dsn)
        click.echo("The jobs run. Ctrl-C stops them.")
        asyncio.run(serve(settings, dsn))


@click.group("work")
def work() -> None:
    """Tasks: what is adrift, and work that moves."""


@work.command("adrift", epilog=EXIT_CODES)
def work_adrift() -> int:
    """List work that nobody can be counted on for. Exit code 1 when there is any; meant to be empty.

    It judges by the content folder of the server that runs in the data folder, unless
    SAMMANHANG_CONTENT_FOLDER names another here. What it judged by is told on stderr.

    \b
    Example:
      sammanhang work adrift
    """
    from sammanhang.access.services import Services
    from sammanhang.work.adrift import WHY, adrift

    settings = _settings()

    async def look(dsn: str) -> int:
        services = Services.make(settings, dsn)
        await services.open()
        try:
            found = await adrift(services.database)
        finally:
            await services.close()
        for a in found:
            due = f"{a.deadline:%Y-%m-%d %H:%M}" if a.deadline else "no deadline"
            click.echo(f"Task/{a.id}  {a.why:<14} {a.kind:<22} {a.owner}  {due}")
        by_why = Counter(a.why for a in found)
        said = ", ".join(f"{n} {why} ({WHY[why]})" for why, n in by_why.most_common())
        click.echo(f"{len(found)} adrift: {said}." if found else "Nothing is adrift.")
        return FAULT if found else OK

    with database_of(settings) as dsn:
        _tell(settings, dsn)
        return asyncio.run(look(dsn))


@work.command("move-unit", epilog=EXIT_CODES)
@click.argument("closed")
@click.option("--into", required=True, help="HSA-id of the unit that takes over.")
def move_unit(closed: str, into: str) -> int:
    """Move all open work of the unit CLOSED (an HSA-id) to another. May be run again.

    \b
    Example:
      sammanhang work move-unit SE2120001561-E000101000002 --into SE2120001561-E000101000001
    """
    from sammanhang.access.services import Services
    from sammanhang.work.moving import move_unit as moving

    settings = _settings()

    async def go(dsn: str) -> int:
        services = Services.make(settings, dsn)
        await services.open()
        try:
            return await moving(services.doors, closed, into)
        finally:
            await services.close()

    with database_of(settings) as dsn:
        _tell(settings, dsn)
        moved = asyncio.run(go(dsn))
    click.echo(f"{moved} tasks were moved from {closed} to {into}.")
    return OK
