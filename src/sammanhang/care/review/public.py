"""The page of the care provider's list of public people; secret to all but its log reviewers."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access.review import public
from sammanhang.access.said import LONGEST
from sammanhang.access.staff import resources, shown_name
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Conflict, Invalid
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.people import Person
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from .people import names_of


@dataclass(frozen=True, slots=True)
class ListedLine:
    """Somebody on the list, in words; `over` when the time has passed."""

    id: str
    person: Person | None
    reason: str
    until: str
    over: bool
    added: str


@dataclass(frozen=True, slots=True)
class PublicPage:
    """The list; `wrong` says what was amiss with what was `typed`."""

    title: str
    provider: str
    people: tuple[ListedLine, ...]
    wrong: str
    typed: dict[str, str]
    longest: int
    today: str


@page("/review/public", access="staff")
async def listed(visit: Visit) -> Response:
    """Who is on the list; refused to who is no log reviewer."""
    return await _show(visit)


@page("/review/public", access="staff", methods=("POST",))
async def change(visit: Visit) -> Response:
    """Puts somebody on the list or takes them off."""
    doors, actor, form = visit.services.doors, visit.actor, visit.form
    try:
        if form.get("do") == "remove":
            await public.remove(doors, actor, form.get("listed", ""))
        else:
            await public.add(
                doors, actor, form.get("number", ""), form.get("reason", ""), form.get("until", "")
            )
    except (Invalid, Conflict) as e:
        return await _show(visit, either(e.sv, e.en), e.status)
    return RedirectResponse("/review/public", 303)


async def _show(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    doors = visit.services.doors
    found = await public.listed(doors, visit.actor)
    names = await names_of(visit, (), patients={p.patient for p in found})
    by = {p.added_by.removeprefix("Practitioner/") for p in found}
    staff = {id: shown_name(p) for id, p in (await resources(doors.database, "Practitioner", by)).items()}  # fmt: skip
    a = visit.actor.assignment
    shown = PublicPage(
        title=_("Offentliga personer"),
        provider=a.provider_name if a is not None else "",
        people=tuple(
            ListedLine(
                p.id,
                names.patients.get(p.patient),
                p.reason,
                show.day(p.until),
                p.until is not None and p.until < clock.today(),
                f"{show.day(p.added)}, {staff.get(p.added_by.removeprefix('Practitioner/'), '')}",
            )
            for p in found
        ),
        wrong=wrong,
        typed=visit.form,
        longest=LONGEST,
        today=clock.today().isoformat(),
    )
    return render(visit, "review/public.html", shown, status)
