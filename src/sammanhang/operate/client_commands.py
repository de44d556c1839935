"""`sammanhang clients …`: the programs that may use the FHIR API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sammanhang.operate.command import EXIT_CODES, FAULT, OK, database_of, settings_in_force


@click.group()
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

    settings = settings_in_force()
    if not settings.demo:
        click.echo("There is no demo client where SAMMANHANG_DEMO is false.", err=True)
        return FAULT
    with database_of(settings) as dsn:
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
@click.option(
    "--purpose",
    default="care",
    help="What a service wants the data for: care, quality-register, research.",
)
@click.option("--decision", help="The number of the decision that lets research have data (R40).")
@click.option("--decided", type=click.DateTime(["%Y-%m-%d"]), help="The last day of that decision.")
def clients_add(jwks: Path | None, proof: str | None, decided: Any, **said: Any) -> int:
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

    with database_of(settings_in_force()) as dsn:
        last = decided.date() if decided is not None else None
        return OK if add(dsn, jwks=jwks, proof=proof, decided=last, **said) else FAULT


@clients.command("list", epilog=EXIT_CODES)
def clients_list() -> None:
    """Print every client, closed ones too.

    \b
    Example:
      sammanhang clients list
    """
    from sammanhang.operate.clients import show

    with database_of(settings_in_force()) as dsn:
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

    with database_of(settings_in_force()) as dsn:
        close_client(dsn, client)
    click.echo(f"Closed {client}.")
    return OK
