"""`sammanhang clients`: apps and services that may use the API, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sammanhang.kernel.errors import Invalid

METHODS = {"public": "none", "secret": "client_secret", "key": "private_key_jwt"}


def add(dsn: str, *, jwks: Path | None, proof: str | None, **said: Any) -> bool:
    """Registers a client and prints its id, and its secret this once; False, and what is wrong where on
    stderr, when it cannot be. Raises `Conflict` for an id in use."""
    from sammanhang.access.clients import register
    from sammanhang.access.clients_registration import Registration

    keys: Any = None
    if jwks is not None:
        try:
            keys = json.loads(jwks.read_text("utf-8"))
        except (ValueError, RecursionError):
            click.echo(f"jwks: {jwks} is not JSON.", err=True)
            return False
    if proof is None:
        proof = "key" if keys is not None or said["jwks_uri"] else "secret"
    registration = Registration(jwks=keys, method=METHODS[proof], **said)  # type: ignore[arg-type]
    try:
        id, secret = register(dsn, registration)
    except Invalid as e:
        for issue in e.issues:
            click.echo(f"{issue.expression}: {issue.en}", err=True)
        return False
    click.echo(f"id      {id}")
    if secret is not None:
        click.echo(f"secret  {secret}")
        click.echo("The secret is shown this once.", err=True)
    return True


def show(dsn: str) -> None:
    """Prints every client, one a line."""
    from sammanhang.access.clients import all_clients
    from sammanhang.operate.run import columns

    rows: list[tuple[str, ...]] = [("ID", "NAME", "PROOF", "FOR", "STATE")]
    for c in all_clients(dsn):
        proof = next(word for word, method in METHODS.items() if method == c.method)
        whom = ", ".join(sorted(c.offered)) or (
            "everything" if c.everything else c.provider or "itself"
        )
        rows.append((c.id, c.name, proof, whom, "in use" if c.active else "closed"))
    for line in columns(rows):
        click.echo(line)
