"""Emergency access in two steps, and what a care provider is asked to lift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access import emergency
from sammanhang.access.door import Record
from sammanhang.access.emergency import Emergency
from sammanhang.access.said import LONGEST
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, NotFound
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.find import search
from sammanhang.web.parties import organisations
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, need_fresh, page


@dataclass(frozen=True, slots=True)
class Party:
    """A care provider or unit that has data: HSA-id and name; `asked` when it is asked to lift its block."""

    id: str
    name: str
    asked: bool = False


@dataclass(frozen=True, slots=True)
class EmergencyPage:
    """The way to what is hidden when life is in danger.

    title    the headline
    root     address of the patient's chart
    person   whose record it is
    now      the emergency in force; None before the first step
    ends     when it ends, in words
    grounds  what was declared, in words
    dangers  what may be declared: key and sentence; `unable` likewise
    hours    how long it holds
    without  care providers whose data need consent, to be opened
    inner    blocked units of the own care provider, to be opened
    outer    care providers that blocked their data, to be asked
    opened   what has been opened
    typed    what was typed, when something was wrong with it; `wrong` says what
    longest  letters a reason may have
    """

    title: str
    root: str
    person: Person
    now: Emergency | None
    ends: str
    grounds: tuple[str, ...]
    dangers: tuple[tuple[str, str], ...]
    unable: tuple[tuple[str, str], ...]
    hours: int
    without: tuple[Party, ...]
    inner: tuple[Party, ...]
    outer: tuple[Party, ...]
    opened: tuple[Party, ...]
    typed: dict[str, str]
    wrong: str
    longest: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to lift a block, as the officer reads it."""

    id: str
    person: Person
    who: str
    said: str
    at: str


@dataclass(frozen=True, slots=True)
class LiftsPage:
    """What the care provider is asked to lift, and the lifting of its own inner blocks with consent.

    wrong    what was amiss with the answer to `about`, a request or `inner`
    number   the identity number looked for, `person` who was found, `blocked` the units with a block,
             `units` those it may be lifted for, `most` for how many hours at most
    """

    title: str
    provider: str
    asked: tuple[Asked, ...]
    hours: int
    wrong: str
    about: str
    longest: int
    number: str
    person: Person | None
    blocked: tuple[Party, ...]
    units: tuple[Party, ...]
    most: int
    typed: dict[str, str]


@page("/patients/{patient}/emergency", access="record")
async def emergency_page(visit: Visit) -> Response:
    """First step: danger is declared. Then: who has data, to be opened or asked."""
    return await _show(visit)


@page("/patients/{patient}/emergency", access="record", methods=("POST",))
async def take_step(visit: Visit) -> Response:
    """One step: declare, open, ask or end. What is wrong is said on the page, with all that was typed."""
    doors, actor, patient = visit.services.doors, visit.actor, visit.opened.patient_id
    form = visit.form
    step = form.get("step", "")
    try:
        if step == "declare":
            await emergency.declare(
                doors, actor, patient, danger=form.get("danger", ""), unable=form.get("unable", ""),
                said=form.get("said", ""),
            )  # fmt: skip
        elif step == "open":
            await emergency.open_parties(doors, actor, patient, [form.get("party", "")])
        elif step == "ask":
            await emergency.ask_owner(
                doors, actor, patient, form.get("party", ""), form.get("said", "")
            )
        elif step == "end":
            await emergency.end(doors, actor, patient)
        else:
            raise NotFound("There is no such step.", "Det steget finns inte.")
    except Invalid as e:
        return await _show(visit, either(e.sv, e.en), status=400)
    root = f"/patients/{patient}"
    return RedirectResponse(root if step == "end" else f"{root}/emergency", 303)


async def _show(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    record = visit.opened
    now = await emergency.in_force(visit.services.doors, visit.actor, record.patient_id)
    rules = content("rules/emergency")
    parties: dict[str, tuple[Party, ...]] = {}
    asked = await emergency.asked_already(visit.services.doors, visit.actor, record.patient_id)
    for hidden in record.decision.hidden:
        parties[hidden.kind] = await _parties(record, hidden.parties, asked)
    grounds: tuple[str, ...] = ()
    if now is not None:
        grounds = (_text(rules["dangers"], now.danger), _text(rules["unable"], now.unable))
    shown = EmergencyPage(
        title=_("Nödöppning"),
        root=f"/patients/{record.patient_id}",
        person=person_of(record.patient, record.facts.protected),
        now=now,
        ends=show.until(now.until) if now is not None else "",
        grounds=grounds,
        dangers=tuple((k, either(t["sv"], t["en"])) for k, t in rules["dangers"].items()),
        unable=tuple((k, either(t["sv"], t["en"])) for k, t in rules["unable"].items()),
        hours=rules["hours"],
        without=parties.get("no-consent", ()),
        inner=parties.get("inner-block", ()),
        outer=parties.get("outer-block", ()),
        opened=await _parties(record, now.parties if now is not None else (), frozenset()),
        typed=visit.form,
        wrong=wrong,
        longest=LONGEST,
    )
    return render(visit, "emergency/emergency.html", shown, status)


def _text(texts: dict[str, dict[str, str]], key: str) -> str:
    found = texts.get(key)
    return either(found["sv"], found["en"]) if found is not None else key


async def _parties(record: Record, ids: Any, asked: frozenset[str]) -> tuple[Party, ...]:
    names = await organisations(record, sorted(ids))
    return tuple(
        sorted((Party(id, names.get(id, id), id in asked) for id in ids), key=lambda p: p.name)
    )


@page("/lifts", access="staff")
async def lifts(visit: Visit) -> Response:
    """R11: what the care provider is asked to lift; refused to who is no competent officer."""
    return await _lifts(visit)


@page("/lifts", access="staff", methods=("POST",))
async def answer(visit: Visit) -> Response:
    """The block is lifted for who asked, or the request is declined; with a reason either way.

    An identity number alone is looked for: in the body, so that it stands in no address.
    """
    form = visit.form
    if form.keys() == {"number"}:
        return await _lifts(visit)
    need_fresh(visit, "lift-block")
    inner = "unit" in form
    try:
        if inner:
            await emergency.lift_inner(
                visit.services.doors, visit.actor, form.get("patient", ""), form["unit"], form.get("for_unit", ""),
                hours=_whole(form.get("hours", "")), said=form.get("said", ""),
            )  # fmt: skip
        else:
            await emergency.answer(
                visit.services.doors, visit.actor, form.get("request", ""), lift=form.get("answer") == "lift",
                said=form.get("said", ""),
            )  # fmt: skip
    except Invalid as e:
        about = "inner" if inner else form.get("request", "")
        return await _lifts(visit, either(e.sv, e.en), about, 400)
    return RedirectResponse("/lifts", 303)


def _whole(text: str) -> int:
    """A number of hours; 0, which is refused with a sentence, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


async def _lifts(visit: Visit, wrong: str = "", about: str = "", status: int = 200) -> Response:
    doors = visit.services.doors
    asked = []
    for request in await emergency.requests(doors, visit.actor):
        facts, patient = await doors.facts(visit.actor, request.patient)
        if patient is None:
            continue
        who = await doors.names([request.unit, request.for_party])
        asked.append(
            Asked(
                request.id,
                person_of(patient, facts.protected),
                f"{who[request.unit]}, {who[request.for_party]}",
                request.said,
                show.when(show.local(request.asked)),
            )
        )
    a = visit.actor.assignment
    rules = content("rules/emergency")
    number = visit.form.get("number", "")
    person, blocked, units = await _blocked(visit, number)
    shown = LiftsPage(
        title=_("Begäran om att häva spärr"), provider=a.provider_name if a is not None else "",
        asked=tuple(asked), hours=rules["hours"], wrong=wrong, about=about, longest=LONGEST, number=number,
        person=person, blocked=blocked, units=units, most=rules["longest_lift_hours"], typed=visit.form,
    )  # fmt: skip
    return render(visit, "emergency/lifts.html", shown, status)


async def _blocked(
    visit: Visit, number: str
) -> tuple[Person | None, tuple[Party, ...], tuple[Party, ...]]:
    """Who a whole identity number means, the blocked units, and the units one may be lifted for."""
    if not number:
        return None, (), ()
    found = (await search(visit, number)).people
    if len(found) != 1:
        return None, (), ()
    doors = visit.services.doors
    blocked, units = await emergency.inner_blocks(doors, visit.actor, found[0].id)
    names = await doors.names([*blocked, *units])
    return found[0], *(tuple(Party(u, names[u]) for u in some) for some in (blocked, units))  # type: ignore[return-value]
