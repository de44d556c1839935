"""Nothing adrift, as a page: what nobody can be counted on for. Meant to be empty.

A system administrator sees every unit's, without anything about patients; a head sees the own unit's, with links. A
monitor asks for the numbers as JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from sammanhang.access.actor import Actor
from sammanhang.access.administrators import is_administrator
from sammanhang.access.door import decide_without_patient
from sammanhang.access.tokens import actor_of_bearer, challenge
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused, Unauthenticated
from sammanhang.kernel.i18n import N_, _
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.web.worklist import Left, left_of, worded
from sammanhang.work.adrift import WHY, Adrift, adrift
from sammanhang.work.commands import head_functions, in_functions
from sammanhang.work.outbox import Silent, silent
from sammanhang.work.queries import unrouted
from sammanhang.work.units import Units, units_of

MOST = 1000  # tasks read; of more the page says so
SHOWN = 50  # of each reason
DO = {
    "no-owner": N_("Ge enheten någon med funktionen, eller flytta arbetet: sammanhang work move-unit."),
    "taker-gone": N_("Enheten lämnar över uppgiften till en annan, eller tillbaka till funktionen."),
    "no-deadline": N_("Systemet som skickade den ska ange tidsgräns. Enheten tar den så länge."),
    "top": N_("Ring enheten. Alla påminnelser är redan skickade."),
    "not-escalated": N_("Se efter att jobben går: sammanhang jobs."),
    "waiting": N_("Enheten frågar igen, eller tar uppgiften vidare utan svar."),
}  # fmt: skip


WRONG = (
    (re.compile("HTTP [0-9]{3}"), N_("Systemet svarar med fel: %(code)s.")),
    (re.compile("cannot be reached"), N_("Systemet går inte att nå.")),
    (re.compile("no answer"), N_("Systemet svarar inte i tid.")),
    (re.compile("its certificate"), N_("Systemets certifikat går inte att lita på.")),
    (re.compile(""), N_("Förbindelsen bröts.")),
)


@dataclass(frozen=True, slots=True)
class One:
    """One task adrift: id where the reader may open it (else empty), unit, function, what, and the deadline."""

    id: str
    unit: str
    phone: str
    function: str
    what: str
    left: Left


@dataclass(frozen=True, slots=True)
class Why:
    """What is adrift for one reason: the sentence, what to do, how many, and the first of them."""

    said: str
    do: str
    count: int
    tasks: tuple[One, ...]


@dataclass(frozen=True, slots=True)
class System:
    """A system that has not received what it should: its provider with a phone number, how much waits since when,
    and what is wrong."""

    name: str
    provider: str
    phone: str
    count: int
    since: str
    wrong: str


@dataclass(frozen=True, slots=True)
class AdriftPage:
    """What is adrift.

    whole       whether it is every unit's; else `unit` names the reader's
    reasons     why, the commonest first
    count       how many there are, `more` whether there are more than were read
    unrouted    requests that no rule could route and that wait to be distributed
    systems     those that messages have not reached
    at          when this was so
    """

    whole: bool
    unit: str
    reasons: tuple[Why, ...]
    count: int
    more: bool
    unrouted: int
    systems: tuple[System, ...]
    at: str

    @property
    def calm(self) -> bool:
        return not (self.count or self.unrouted or self.systems)

    @property
    def title(self) -> str:
        return _("Inget på drift") if self.calm else _("På drift")

    @property
    def undelivered(self) -> int:
        return sum(s.count for s in self.systems)


@page("/operations/adrift", access="staff")
async def adrift_page(visit: Visit) -> Response:
    """What nobody can be counted on for; four queries."""
    unit = _whose(visit.actor)
    database = visit.services.database
    units = await units_of(database)
    found, more = await _found(visit, unit)
    now = clock.now()
    by_why: dict[str, list[Adrift]] = {}
    for one in found:
        by_why.setdefault(one.why, []).append(one)
    shown = AdriftPage(
        whole=not unit,
        unit=units.name(unit) if unit else "",
        reasons=tuple(
            Why(_(WHY[why]), _(DO[why]), len(some), tuple(_one(a, units, now, bool(unit)) for a in some[:SHOWN]))
            for why, some in sorted(by_why.items(), key=lambda w: -len(w[1]))
        ),
        count=len(found),
        more=more,
        unrouted=await unrouted(database, unit),
        systems=tuple(_system(s, units) for s in await silent(database, sender=unit or None)),
        at=show.when(now),
    )  # fmt: skip
    return render(visit, "worklist/adrift.html", shown)


@page("/operations/adrift.json", access="open", quiet=True)
async def adrift_numbers(visit: Visit) -> Response:
    """The numbers, for monitors: a session that may see the page, or an API client with a system scope for Task.

    401 without either. Nothing about patients.
    """
    try:
        unit = await _whose_numbers(visit)
    except Unauthenticated as e:
        sent = "authorization" in visit.request.headers
        return JSONResponse({"error": e.en}, 401, {"www-authenticate": challenge(token_sent=sent)})
    except Refused as e:
        return JSONResponse({"error": e.en, "rule": e.rule}, 403)
    found, more = await _found(visit, unit)
    by_why = Counter(a.why for a in found)
    numbers: dict[str, Any] = {
        "at": clock.now().isoformat(timespec="seconds"),
        "adrift": len(found), "more": more, "why": {why: by_why.get(why, 0) for why in WHY},
        "unrouted": await unrouted(visit.services.database, unit),
        "undelivered": sum(s.waiting for s in await silent(visit.services.database, sender=unit or None)),
    }  # fmt: skip
    return JSONResponse(numbers)


def _whose(actor: Actor) -> str:
    """The unit whose work the reader sees; empty for all. Raises `Refused`."""
    if is_administrator(actor):
        return ""
    at = actor.assignment
    head = at is not None and not head_functions().isdisjoint(in_functions(at.role))
    if at is None or not head or decide_without_patient(actor) is not None:
        raise Refused(
            "Only a system administrator or a head of the unit may see this.",
            "Bara en systemförvaltare eller enhetens ansvariga får se det här.",
            rule="R2",
        )
    return at.unit


async def _whose_numbers(visit: Visit) -> str:
    if visit.session is not None and visit.session.state == "active":
        return _whose(visit.actor)
    services = visit.services
    header = visit.request.headers.get("authorization")
    actor = await actor_of_bearer(services.database, header, services.settings)
    system = any(s.startswith(("system/*.", "system/Task.")) for s in actor.scopes)
    # one that acts for a care provider sees that provider's; the numbers here are everybody's
    if actor.kind != "client" or not (actor.everything or (system and actor.provider is None)):
        raise Refused("The client may not see this.", "Klienten får inte se det här.", rule="SCOPE")
    return ""


async def _found(visit: Visit, unit: str) -> tuple[list[Adrift], bool]:
    found = await adrift(visit.services.database, unit=unit, limit=MOST + 1)
    return found[:MOST], len(found) > MOST


def _one(a: Adrift, units: Units, now: Any, links: bool) -> One:
    unit, functions = units.get(a.owner), content("routing/functions")["functions"]
    kinds = content("routing/deadlines")["kinds"]
    return One(
        id=a.id if links else "",
        unit=units.name(a.owner) if a.owner else _("ingen enhet"),
        phone=unit.phone if unit is not None else "",
        function=worded(functions, a.function) if a.function else "",
        what=worded(kinds, a.kind if a.kind in kinds else "otherwise"),
        left=left_of(a.deadline, now),
    )


def _system(s: Silent, units: Units) -> System:
    provider = units.get(s.provider or "")
    return System(
        name=s.receiver,
        provider=provider.name if provider is not None else "",
        phone=provider.phone if provider is not None else "",
        count=s.waiting,
        since=show.when(s.oldest),
        wrong=_wrong(s),
    )


def _wrong(s: Silent) -> str:
    """What is wrong, in words of our own: what the other system wrote may tell of a patient."""
    if not s.open:
        return _("Inget skickas längre dit. Det som väntar kommer inte fram.")
    if s.error is None:
        return _("Inget är skickat än.")
    found, said = next((m, said) for kind, said in WRONG if (m := kind.match(s.error)))
    return _(said) % {"code": found.group()}
