"""R35: who has been in a resident's record, as the resident is told it (PDL 8:5, HSLF-FS 2016:40 4:9)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.store.trace import Entry

from .clients import names_of
from .door import Doors
from .trail import concerning

MOST = 5000  # blocks of the trace read for one extract


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody of one unit did on one day: the first time, how often, and the purpose given.

    id        of the line; stays the same as long as the day's trace does
    at        the first time of the day; `last` the last
    unit      name of the unit, or of the system that asked; `provider` the care provider's
    action    key of content/rules/log_extract
    purpose   the reason or purpose that was given; may be empty
    times     how often that day
    staff     who, where the care provider names its staff; else empty
    rule      the access rule that let it through or refused it
    actor, assignment, unit_id, provider_id   as the trace writes them; not for the resident
    app       name of the app they did it through; empty when they did it themselves
    """

    id: str
    at: datetime
    last: datetime
    unit: str
    provider: str
    action: str
    purpose: str
    times: int
    staff: str
    rule: str
    actor: str
    assignment: str
    unit_id: str
    provider_id: str
    app: str = ""


async def extract(doors: Doors, patient: str, since: datetime) -> list[Access]:
    """Everything others have done in the record since a time, the latest first; three queries, and one
    more when apps were used.

    What the resident did is left out, and so is the system's own work.
    """
    rules = content("rules/log_extract")
    own = f"Patient/{patient}"
    entries = [
        e
        for e in await concerning(doors.database, patient, since, MOST)
        if e.actor != own and not e.actor.startswith("system:") and e.action in rules["actions"]
    ]
    ids = sorted({i for e in entries for i in (e.unit, e.provider) if i})
    names = await doors.names(ids) if ids else {}
    used = {app for e in entries if (app := _app(e))}
    apps = await names_of(doors.database, used) if used else {}
    grouped: dict[tuple[date, str, str, str, str, str], list[Entry]] = {}
    for e in entries:
        key = (_at(e).date(), e.actor, e.unit or "", e.action, e.purpose or "", _app(e))
        grouped.setdefault(key, []).append(e)
    found = [_access(group, names, apps, rules["names_staff"]) for group in grouped.values()]
    found.sort(key=lambda a: a.at, reverse=True)
    return found


def _access(group: list[Entry], names: dict[str, str], apps: dict[str, str], named: bool) -> Access:
    """Entries of one person, unit, action, purpose and app on one day as a line."""
    first, last = min(group, key=lambda e: e.at), max(group, key=lambda e: e.at)
    # Who it was is not told by the id: it covers what only the trace knows.
    mark = f"{first.patient}|{first.at}|{first.actor}|{first.unit}|{first.action}|{first.request}"
    app = _app(first)
    return Access(
        id=hashlib.blake2b(mark.encode(), digest_size=12).hexdigest(),
        at=_at(first),
        last=_at(last),
        unit=names.get(first.unit or "", "") or _system(first),
        provider=names.get(first.provider or "", ""),
        action=first.action,
        purpose=first.purpose or "",
        times=len(group),
        staff=first.actor if named else "",
        rule=first.rule or "",
        actor=first.actor,
        assignment=first.assignment or "",
        unit_id=first.unit or "",
        provider_id=first.provider or "",
        app=apps.get(app, app),
    )


def _at(e: Entry) -> datetime:
    return datetime.fromisoformat(e.at.replace("Z", "+00:00")).astimezone(STOCKHOLM)


def _app(e: Entry) -> str:
    """Id of the client a person acted through; empty when they acted themselves."""
    return str((e.details or {}).get("app", ""))


def _system(e: Entry) -> str:
    return e.actor.removeprefix("client:") if e.actor.startswith("client:") else ""


def months_ago(months: int, now: datetime | None = None) -> datetime:
    """The moment so many months before now; the last day of a shorter month."""
    now = now or datetime.now(UTC)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in (now.day, 30, 29, 28):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
