"""`sammanhang access preview` and `review`: what a change would do, and how far log review has come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from sammanhang.operate.access_commands import access
from sammanhang.operate.command import EXIT_CODES, FAULT, OK, database_of, settings_in_force


def preview(dsn: str, settings: Any, name: str, path: Path, days: int, most: int) -> str:
    """The report of `sammanhang access preview` as text. Raises `BadContent`."""
    from sammanhang.access.preview import preview as look
    from sammanhang.access.services import Services
    from sammanhang.kernel.content import fitting

    changed = fitting(path, name)

    async def run() -> Any:
        services = Services.make(settings, dsn)
        await services.open()
        try:
            return await look(services.doors, {name: changed}, days=days, most=most)
        finally:
            await services.close()

    found = asyncio.run(run())
    about = "" if found.share == 1 else f", about {found.share:.1%} of the trace"
    lines = [
        f"{found.accesses} accesses of the last {days} days{about}, {found.pairs} people and patients."
    ]
    words = {"closed": "refused instead of permitted", "opened": "permitted instead of refused",
             "more": "more seen", "less": "less seen"}  # fmt: skip
    for line in found.lines:
        rules = line.before if line.before == line.after else f"{line.before} -> {line.after}"
        lines.append(f"  {line.times:8}  {words[line.kind]:30}  {rules:10}  {line.role}")
    if found.gone:
        lines.append(f"{found.gone} cannot be decided again: somebody is no longer there.")
    lines.append(
        f"{found.changed} of them would have been different."
        if found.changed
        else "None of them would have been different."
    )
    return "\n".join(lines)


@access.command("preview", epilog=EXIT_CODES)
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--days", type=click.IntRange(1, 366), default=30, help="How far back. Default: 30.")
@click.option(
    "--most", type=click.IntRange(1), default=20_000, help="Blocks of the trace read at most."
)
def access_preview(name: str, path: Path, days: int, most: int) -> int:
    """Show how many accesses a change of a rule's parameters would have changed.

    NAME is the content (`rules/ages`), PATH a file with its new version. Nothing is changed; to put it in force,
    lay the file in the folder of SAMMANHANG_CONTENT_FOLDER with the day it begins.

    \b
    Example:
      sammanhang access preview rules/ages ages-2027.json
    """
    settings = settings_in_force()
    with database_of(settings) as dsn:
        click.echo(preview(dsn, settings, name, path, days, most))
    return OK


@access.command("review", epilog=EXIT_CODES)
@click.option("--find", "find_", is_flag=True, help="Go through what is new in the trace.")
def access_review(find_: bool) -> int:
    """Log review: what was gone through, and how many cases wait.

    With --find first goes through what is new in the trace, as the server does at intervals
    (SAMMANHANG_REVIEW_SECONDS). Nothing here deletes from the trace: it is kept, at least as long
    as content/rules/log_retention says. Ends with exit code 1 when a block cannot be read, or when
    another process is going through the trace.

    \b
    Example:
      sammanhang access review --find
    """
    from sammanhang.access.review.finding import find, standing
    from sammanhang.kernel.content import content
    from sammanhang.operate.progress import Progress

    sound = True
    with database_of(settings_in_force()) as dsn:
        if find_:
            with Progress("Going through the log", "entries") as progress:
                report = find(dsn, progress)
            sound = not report.unreadable and not report.busy
            if report.busy:
                click.echo("Another process is going through the log now.", err=True)
            else:
                click.echo(f"Went through {report.entries} entries: {report.cases} new cases.")
            if report.unreadable:
                click.echo(
                    f"{report.unreadable} blocks cannot be read; see `sammanhang audit verify`.",
                    err=True,
                )
        now = standing(dsn)
    click.echo(f"Last gone through: {now.last or 'never'}. Waiting: {now.waiting} cases.")
    years = content("rules/log_retention")["years"]
    since = f" since {now.since:%Y-%m-%d}" if now.since else ""
    click.echo(f"There is a trace{since}; at least {years} years of it are kept.")
    return OK if sound else FAULT
