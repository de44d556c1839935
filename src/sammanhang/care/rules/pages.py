"""What the rules are set to, what is about to change, and what that would have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from sammanhang.access.administrators import need_administrator
from sammanhang.access.preview import Preview, preview
from sammanhang.kernel import clock
from sammanhang.kernel.content import content, names, versions
from sammanhang.kernel.errors import NotFound
from sammanhang.kernel.i18n import N_, _
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

MOST = 2000  # blocks of the trace read for one look in the browser
DAYS = 30
KINDS = {
    "closed": N_("nekas i stället för att visas"), "opened": N_("visas i stället för att nekas"),
    "more": N_("mer visas"), "less": N_("mindre visas"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """One value of a rule: its name and what it is; `becomes` what it changes to, empty when it stays."""

    name: str
    value: str
    becomes: str = ""


@dataclass(frozen=True, slots=True)
class Coming:
    """A version to come: its day and what it changes."""

    day: str
    changes: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One content file: its name, since when it is in force, its source, its numbers, and what is to come."""

    name: str
    since: str
    source: str
    numbers: tuple[Number, ...]
    coming: tuple[Coming, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What a version to come would have changed: the file, how many accesses were looked at, what part of the
    trace that was in percent (100 is all), and lines of kind, rules, role and how often."""

    name: str
    day: str
    accesses: int
    percent: int
    changed: int
    lines: tuple[tuple[str, str, str, int], ...]


@dataclass(frozen=True, slots=True)
class RulesPage:
    """Every file, and what came of trying one."""

    title: str
    files: tuple[RuleFile, ...]
    tried: Tried | None
    days: int


@page("/rules", access="staff")
async def rules(visit: Visit) -> Response:
    """`?try=rules/ages&day=2027-01-01` tries a version to come on last month's accesses."""
    need_administrator(visit.actor)
    tried = None
    if name := visit.asked("try"):
        tried = await _try(visit, name, visit.asked("day"))
    shown = RulesPage(_("Regler"), tuple(_file(n) for n in names("rules")), tried, DAYS)
    return render(visit, "rules/rules.html", shown)


async def _try(visit: Visit, name: str, day: str) -> Tried:
    known = versions(name) if name in names("rules") else []
    found = next((v for v in known if v["valid_from"] == day), None)
    if found is None:
        raise NotFound("There is no such version.", "Den versionen finns inte.")
    doors = visit.services.doors
    await doors.audit.record(doors.entry(visit.actor, "preview", what=f"{name} {day}"))
    seen: Preview = await preview(doors, {name: found}, days=DAYS, most=MOST)
    roles = content("rules/roles")["roles"]
    return Tried(
        name, day, seen.accesses, round(seen.share * 100), seen.changed,
        tuple(
            (_(KINDS[x.kind]), x.before if x.before == x.after else f"{x.before} → {x.after}",
             roles.get(x.role, {}).get("sv", _("Invånare")), x.times)
            for x in seen.lines
        ),
    )  # fmt: skip


def _file(name: str) -> RuleFile:
    now = content(name)
    today = clock.today().isoformat()
    coming = tuple(
        Coming(v["valid_from"], _changes(now, v)) for v in versions(name) if v["valid_from"] > today
    )
    flat = _flat(now)
    numbers = tuple(Number(k, v) for k, v in flat.items() if "." not in k)
    return RuleFile(name, now["valid_from"], now["source"], numbers, coming)


def _changes(now: Any, then: Any) -> tuple[Number, ...]:
    was, becomes = _flat(now), _flat(then)
    return tuple(
        Number(k, was.get(k, "–"), becomes.get(k, "–"))
        for k in sorted(was.keys() | becomes.keys())
        if was.get(k) != becomes.get(k)
    )


def _flat(value: Any, at: str = "") -> dict[str, str]:
    """Numbers, words and yes or no by their place (`roles.lakare.read`); texts for people are left out."""
    found: dict[str, str] = {}
    for key, inner in value.items():
        if key in ("valid_from", "source", "sv", "en", "cases"):
            continue
        place = f"{at}.{key}" if at else key
        if isinstance(inner, dict):
            found |= _flat(inner, place)
        elif isinstance(inner, list):
            found[place] = ", ".join(str(x) for x in inner if not isinstance(x, dict | list))
        else:
            found[place] = str(inner)
    return found
