"""Commands about who may come in: `sammanhang access`, `keys`, `partners`."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .command import EXIT_CODES, FAULT, OK, database_of, settings_in_force

if TYPE_CHECKING:
    from sammanhang.access.preflight import Finding, Person, Seen
    from sammanhang.store.database import Database

T = TypeVar("T")


@click.group()
def access() -> None:
    """Who may see what."""


@access.command("preflight", epilog=EXIT_CODES)
@click.option("--unit", help="Only those with an assignment at the unit of this HSA-id.")
@click.option("--person", help="Only this member of staff (id of the Practitioner).")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each, then the sums.")
@click.option("--only-faults", is_flag=True, help="Only those with a fault.")
def preflight(unit: str | None, person: str | None, as_json: bool, only_faults: bool) -> int:
    """Tell what everybody will see at their first log-in, and what looks wrong.

    Reads staff, assignments, roles and units and changes nothing. Ends with exit code 1 when anybody has a
    fault that must be mended, or when nobody was found.

    \b
    Examples:
      sammanhang access preflight --only-faults
      sammanhang access preflight --unit SE2321000131-E060149000001
      sammanhang access preflight --json > preflight.ndjson
    """
    import msgspec

    from sammanhang.access.preflight import Preflight, Sums
    from sammanhang.access.preflight_rows import reading
    from sammanhang.kernel import i18n
    from sammanhang.web.preflight import menu

    i18n.use("en")
    started, sums = time.monotonic(), Sums()
    with (
        database_of(settings_in_force()) as dsn,
        reading(dsn, person=person and person.removeprefix("Practitioner/"), unit=unit) as rows,
    ):
        for one in Preflight(rows, menu).people():
            sums.add(one)
            if only_faults and not one.faulty:
                continue
            click.echo(msgspec.json.encode(_json(one)) if as_json else _text(one))
    counted = {"people": sums.people, "get_in": sums.get_in, "with_faults": sums.faulty}
    if as_json:
        click.echo(msgspec.json.encode({"sums": {**counted, "findings": dict(sums.findings)}}))
    else:
        _sums(sums)
    seconds = time.monotonic() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    click.echo(f"{sums.people} people in {seconds:.1f} s, {most} MB.", err=True)
    return FAULT if sums.faulty or not sums.people else OK


def _sums(sums: Any) -> None:
    from sammanhang.access.preflight import Finding

    kinds = sorted(sums.findings.items(), key=lambda one: (not Finding(one[0]).fault, -one[1]))
    for code, count in kinds:
        finding = Finding(code)
        mark = "FAULT" if finding.fault else "note "
        click.echo(f"{mark} {count:7}  {code}: {finding.said('en')}{_mended(finding)}")
    click.echo(sums.sentence("en"))


def _mended(finding: Finding) -> str:
    return f" Mended by {finding.mender('en')}." if finding.fault else ""


def _text(person: Person) -> str:
    lines = [f"{person.name} ({person.id}{', ' + person.hsa_id if person.hsa_id else ''})"]
    if not person.gets_in:
        lines.append("  cannot log in")
    lines += [f"  {_seen(s)}" for s in person.seen]
    for f in person.findings:
        about = f" [{f.about}]" if f.about else ""
        mark = "FAULT" if f.fault else "note "
        lines.append(f"  {mark} {f.code}{about}: {f.said('en')}{_mended(f)}")
    return "\n".join(lines)


def _seen(s: Seen) -> str:
    a = s.assignment
    right = "reads and writes" if s.write else "reads" if s.read else "reads no records"
    start = "start page" if s.start == "whole" else "limited start page"
    until = f", until {s.until.date().isoformat()}" if s.until is not None else ""
    return (
        f"{a.role_text}, {a.unit_name} ({a.provider_name}): {start}, menu {', '.join(s.menu)};"
        f" {s.patients} patients; {right} by {s.rule}{until}"
    )


def _json(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "hsa_id": person.hsa_id or None,
        "gets_in": person.gets_in,
        "assignments": [
            {
                "id": s.assignment.id, "role": s.assignment.role, "unit": s.assignment.unit,
                "unit_name": s.assignment.unit_name, "provider": s.assignment.provider,
                "start": s.start, "menu": list(s.menu), "patients": s.patients, "read": s.read,
                "write": s.write, "rule": s.rule, "until": s.until,
            }
            for s in person.seen
        ],
        "findings": [
            {
                "code": f.code, "fault": f.fault, "assignment": f.about or None, "said": f.said("en"),
                "mended_by": f.mender("en"),
            }
            for f in person.findings
        ],
    }  # fmt: skip


@click.group()
def keys() -> None:
    """The keys that sign tokens; a new one is made by itself every SAMMANHANG_SIGNING_KEY_DAYS."""


@keys.command("list", epilog=EXIT_CODES)
def keys_list() -> int:
    """List the keys that are believed now, those that sign first: ES256 ours, RS256 for apps' ID tokens.

    \b
    Example:
      sammanhang keys list
    """
    from sammanhang.access.keys import listed

    found = _on_database(listed)
    for key in found:
        until = f"verifies until {key.until:%Y-%m-%d %H:%M %Z}" if key.until else "signs"
        click.echo(f"{key.kid}  {key.algorithm}, made {key.created:%Y-%m-%d %H:%M %Z}, {until}")
    if not found:
        click.echo("There is no key yet; the first is made when the server starts.")
    return OK


@keys.command("rotate", epilog=EXIT_CODES)
def keys_rotate() -> int:
    """Make new keys, which sign from now on; the old ones verify for a day more.

    \b
    Example:
      sammanhang keys rotate
    """
    from sammanhang.access.keys import rotate_all

    for kid in _on_database(rotate_all):
        click.echo(f"The key {kid} signs from now on, everywhere within a minute.")
    return OK


@keys.command("withdraw", epilog=EXIT_CODES)
@click.argument("kid")
def keys_withdraw(kid: str) -> int:
    """Withdraw the key KID, because it leaked: nothing it signed is believed within a minute.

    People stay logged in; programs need new tokens. When it was the key that signs, a new one does.

    \b
    Example:
      sammanhang keys withdraw KID
    """
    from sammanhang.access.keys import withdraw

    if not _on_database(lambda database: withdraw(database, kid)):
        click.echo(f"There is no key {kid}; see `sammanhang keys list`.", err=True)
        return FAULT
    click.echo(f"The key {kid} is withdrawn.")
    return OK


@access.command("logout", epilog=EXIT_CODES)
@click.argument("person")
def logout(person: str) -> int:
    """End every session of a person: PERSON is Practitioner/ID or Patient/ID.

    They may log in again; who shall not is taken out of use in the register, which ends their sessions too.
    The trace tells that it was done.

    \b
    Example:
      sammanhang access logout Practitioner/karin-ek
    """
    from sammanhang.access.sessions import ended_by_command

    kind, _, id = person.partition("/")
    if kind not in ("Practitioner", "Patient") or not id:
        raise click.UsageError("PERSON is Practitioner/ID or Patient/ID.")
    ended = _on_database(lambda database: ended_by_command(database, person))
    click.echo(f"{ended} sessions of {person} have ended.")
    return OK if ended else FAULT


@click.group()
def partners() -> None:
    """Systems that may send people here with a context link (uthopp)."""


@partners.command("add", epilog=EXIT_CODES)
@click.argument("issuer")
@click.option("--name", required=True, help="What people are told it is called.")
@click.option(
    "--keys",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with its public keys as a JWK Set.",
)
@click.option("--replace", is_flag=True, help="Only new keys for a partner that is registered.")
def partners_add(issuer: str, name: str, file: Path, replace: bool) -> int:
    """Register a partner: ISSUER is what its tokens say in `iss`.

    \b
    Example:
      sammanhang partners add https://journal.example --name Journalen --keys jwks.json
    """
    from sammanhang.access.partners import add, checked_keys, replace_keys

    found = checked_keys(file.read_bytes())
    with database_of(settings_in_force()) as dsn:
        if replace:
            if not replace_keys(dsn, issuer, found):
                click.echo(f"There is no partner {issuer} that is open.", err=True)
                return FAULT
        else:
            add(dsn, issuer, name, found)
    click.echo(f"{name} may send people here, with {len(found['keys'])} keys.")
    return OK


@partners.command("list", epilog=EXIT_CODES)
def partners_list() -> int:
    """List the partners, the open ones first.

    \b
    Example:
      sammanhang partners list
    """
    from sammanhang.access.partners import listed

    with database_of(settings_in_force()) as dsn:
        found = listed(dsn)
    for p in found:
        state = f"closed {p.closed:%Y-%m-%d}" if p.closed else "open"
        click.echo(f"{p.issuer}  {p.name}, {state}, keys {', '.join(p.kids)}")
    if not found:
        click.echo("No partners are registered.")
    return OK


@partners.command("close", epilog=EXIT_CODES)
@click.argument("issuer")
def partners_close(issuer: str) -> int:
    """Close a partner: its links are refused from now on.

    \b
    Example:
      sammanhang partners close https://journal.example
    """
    from sammanhang.access.partners import close

    with database_of(settings_in_force()) as dsn:
        closed = close(dsn, issuer)
    if not closed:
        click.echo(f"There is no partner {issuer} that is open.", err=True)
        return FAULT
    click.echo(f"{issuer} is closed.")
    return OK


def _on_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Does something that the server does in its loop, from a command."""
    from sammanhang.store.database import Database

    async def run(dsn: str) -> T:
        database = Database(dsn, readers=2, writers=2)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with database_of(settings_in_force()) as dsn:
        return asyncio.run(run(dsn))
