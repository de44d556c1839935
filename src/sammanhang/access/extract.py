"""R35: who has been in a resident's record, as the resident is told it (PDL 8:5, HSLF-FS 2016:40 4:9)."""

from __future__ import annotations

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

    at        the first time of the day
    unit      name of the unit, or of the system that asked; `provider` the care provider's
    action    key of content/rules/log_extract
    purpose   the reason or purpose that was given; may be empty
    times     how often that day
    staff     who, where the care provider names its staff; else empty
    app       name of the app they did it through; empty when they did it themselves
    """

    at: datetime
    unit: str
    provider: str
    action: str
    purpose: str
    times: int
    staff: str
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
    found = [
        Access(
            at=min(_at(e) for e in group),
            unit=names.get(group[0].unit or "", "") or _system(group[0]),
            provider=names.get(group[0].provider or "", ""),
            action=action,
            purpose=purpose,
            times=len(group),
            staff=actor if rules["names_staff"] else "",
            app=apps.get(app, app),
        )
        for (_day, actor, _unit, action, purpose, app), group in grouped.items()
    ]
    found.sort(key=lambda a: a.at, reverse=True)
    return found


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
