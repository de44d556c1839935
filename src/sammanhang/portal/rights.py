"""What a resident decides: consents and blocks."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access import consents
from sammanhang.access.rules import may_block
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import NotFound
from sammanhang.kernel.i18n import N_, _, either
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
_BLOCKS = ("inre-sparr", "yttre-sparr")


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
        consents=tuple(_mine(h, names) for h in found if h.kind not in _BLOCKS),
        blocks=tuple(_mine(h, names) for h in found if h.kind in _BLOCKS),
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
    row = content("rules/consents")["kinds"].get(h.kind, {})
    do = ""
    if row.get("group") in ("consent", "no"):
        do = _("Ta bort spärren") if h.kind in _BLOCKS else _("Ta tillbaka")
    what = (
        _(KINDS[h.kind])
        if h.kind in KINDS
        else either(row.get("sv", h.kind), row.get("en", h.kind))
    )
    received = names.get(h.received, h.received)
    return Mine(
        h.id, who, what, h.since, h.until, received if received != who else "", do,
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
