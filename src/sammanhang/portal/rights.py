"""What a resident decides and may know: who has been in the record, consents, blocks."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access import consents, extract
from sammanhang.access.rules import may_block
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import NotFound
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

KINDS = {
    "sammanhallen-dokumentation": N_("får läsa vad andra vårdgivare har skrivit"),
    "yttre-sparr": N_("är spärrad för andra vårdgivare"),
    "inre-sparr": N_("är spärrad för andra enheter hos samma vårdgivare"),
    "forlangd-vardnadshavare": N_("vårdnadshavare får fortsätta läsa"),
    "mognad-egen-journal": N_("du får läsa din journal själv"),
    "mognad-sparr": N_("du får själv spärra uppgifter"),
    "beslutsoformogen": N_("bedömning: kan inte själv samtycka"),
}
_LIFTABLE = ("inre-sparr", "yttre-sparr")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log extract, in words; `loud` marks emergency access and refusals."""

    at: str
    who: str
    did: str
    why: str
    times: int
    loud: bool


@dataclass(frozen=True, slots=True)
class LogDay:
    """A day and what was done on it."""

    day: str
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Who has been in the record. `months` is how far back, `others` whether staff go unnamed."""

    title: str
    days: tuple[LogDay, ...]
    months: int
    unnamed: bool


@dataclass(frozen=True, slots=True)
class Mine:
    """A consent or a block in force, in words; `do` is what the button does, empty without one."""

    id: str
    who: str
    what: str
    since: str
    until: str
    received: str
    do: str


@dataclass(frozen=True, slots=True)
class Source:
    """A care provider, or a unit of one, that has data and can be blocked; `units` are a provider's."""

    id: str
    name: str
    units: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class RightsPage:
    """Consents and blocks.

    consents  consents in force; `blocks` blocks in force
    sources   whose data can be blocked
    why_not   why blocks cannot be set by this person now; empty when they can
    """

    title: str
    consents: tuple[Mine, ...]
    blocks: tuple[Mine, ...]
    sources: tuple[Source, ...]
    why_not: str


@page("/me/log", access="resident")
async def log(visit: Visit) -> Response:
    """R35: who has been in the record, day by day, in plain words."""
    rules = content("rules/log_extract")
    found = await _extract(visit)
    days: dict[str, list[LogLine]] = {}
    for a in found:
        days.setdefault(show.long_day(a.at), []).append(_line(a))
    shown = LogPage(
        _("Vem har läst min journal"),
        tuple(LogDay(day, tuple(lines)) for day, lines in days.items()),
        rules["months"],
        not rules["names_staff"],
    )
    return render(visit, "portal/log.html", shown)


@page("/me/log.csv", access="resident")
async def log_file(visit: Visit) -> Response:
    """The extract as a file that any spreadsheet opens."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow([_("Tid"), _("Enhet"), _("Vårdgivare"), _("Vad"), _("Skäl"), _("Antal gånger")])
    for a in await _extract(visit):
        line = _line(a)
        cells = [f"{a.at:%Y-%m-%d %H:%M}", a.unit, a.provider, line.did, line.why, a.times]
        writer.writerow([_plain(c) for c in cells])
    name = f"logg-{visit.opened.patient_id}.csv"
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula (OWASP CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell


async def _extract(visit: Visit) -> list[extract.Access]:
    doors = visit.services.doors
    patient = visit.opened.patient_id
    since = extract.months_ago(content("rules/log_extract")["months"])
    found = await extract.extract(doors, patient, since)
    await doors.audit.record(
        doors.entry(visit.actor, "log", patient=patient, count=len(found), request=visit.id)
    )
    return found


def _line(a: extract.Access) -> LogLine:
    said = content("rules/log_extract")["actions"][a.action]
    reasons = content("rules/reasons")["reasons"].get(a.purpose)
    why = either(reasons["sv"], reasons["en"]) if reasons else _grounds(a.purpose)
    via = _("via %(app)s") % {"app": a.app} if a.app else ""
    why = ". ".join(x for x in (via, why) if x)
    who = ", ".join(x for x in (a.staff, a.unit, a.provider if a.provider != a.unit else "") if x)
    return LogLine(
        show.time(a.at) or "", who or _("Okänd enhet"), either(said["sv"], said["en"]), why, a.times,
        a.action in ("emergency", "refuse", "lift"),
    )  # fmt: skip


def _grounds(purpose: str) -> str:
    """The grounds of an emergency in words: `life, unconscious`."""
    rules = content("rules/emergency")
    texts = [rules["dangers"].get(p) or rules["unable"].get(p) for p in purpose.split(", ")]
    return ". ".join(either(t["sv"], t["en"]) if t else p for t, p in zip(texts, purpose.split(", "), strict=True))  # fmt: skip


@page("/me/consents", access="resident")
async def rights(visit: Visit) -> Response:
    """Consents and blocks, each withdrawn or lifted with one click."""
    doors, record = visit.services.doors, visit.opened
    found = await consents.held(doors, record.patient_id)
    sources = record.facts.sources
    ids = {i for h in found for i in (*h.parties, h.received) if i}
    names = await doors.names(sorted(ids | {i for s in sources for i in s if i}))
    blocked = {b.party for b in record.facts.blocks}
    allowed = may_block(visit.actor, record.facts)
    shown = RightsPage(
        title=_("Samtycken och spärrar"),
        consents=tuple(_mine(h, names) for h in found if h.kind not in _LIFTABLE),
        blocks=tuple(_mine(h, names) for h in found if h.kind in _LIFTABLE),
        sources=_sources(sources, blocked, names) if allowed.effect == "permit" else (),
        why_not="" if allowed.effect == "permit" else either(allowed.sv, allowed.en),
    )
    return render(visit, "portal/consents.html", shown)


@page("/me/consents", access="resident", methods=("POST",))
async def decide(visit: Visit) -> Response:
    """Withdraws a consent, lifts a block or sets one."""
    doors, patient = visit.services.doors, visit.opened.patient_id
    form = visit.form
    if form.get("do") == "end":
        await consents.end(doors, visit.actor, patient, form.get("consent", ""))
    elif form.get("do") == "block":
        await consents.block(doors, visit.actor, patient, form.get("party", ""))
    else:
        raise NotFound("There is no such choice.", "Det valet finns inte.")
    return RedirectResponse("/me/consents", 303)


def _mine(h: consents.Held, names: dict[str, str]) -> Mine:
    who = ", ".join(names.get(p, p) for p in h.parties)
    if h.kind in _LIFTABLE:
        do = _("Ta bort spärren")
    else:
        do = _("Ta tillbaka") if h.kind == "sammanhallen-dokumentation" else ""
    received = names.get(h.received, h.received)
    return Mine(
        h.id, who, _(KINDS.get(h.kind, h.kind)), h.since, h.until, received if received != who else "", do,
    )  # fmt: skip


def _sources(
    found: frozenset[tuple[str, str]], blocked: set[str], names: dict[str, str]
) -> tuple[Source, ...]:
    """Whose data can still be blocked, in the order of their names."""

    def named(ids: set[str]) -> list[tuple[str, str]]:
        return sorted(((names.get(i, i), i) for i in ids), key=lambda n: n[0])

    return tuple(
        Source(p, name, tuple(
            Source(u, unit) for unit, u in named({u for q, u in found if q == p and u and u != p} - blocked)
        ))
        for name, p in named({p for p, _ in found} - blocked)
    )  # fmt: skip
