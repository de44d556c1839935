"""What somebody sent that could not be taken when it came: offered again, once they are back.

The screen was locked, the page was made in an assignment since left, or the act needed a fresh log-in.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.access.kept_forms import KeptForm, drop, kept
from sammanhang.access.staff import assignment_of
from sammanhang.kernel.errors import NotFound
from sammanhang.kernel.i18n import _

from .rendering import render
from .routing import Visit, page

SHOWN = 12
"""Letters a value must have, or a space in it, to be shown as something a person wrote."""


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A form that waits to be sent.

    said      why it was not taken
    typed     the texts in it that a person wrote
    path      where it is sent, `fields` with what, `id` what it is kept under, `here` this page
    back      id of the assignment its page was made in, when it is not the one in force and the person
              still has it; else empty
    made_in   that assignment in words, `in_force` the one in force
    """

    title: str
    said: str
    typed: tuple[str, ...]
    path: str
    fields: tuple[tuple[str, str], ...]
    id: str
    here: str
    back: str
    made_in: str
    in_force: str


@page("/kept/{form}", access="person")
async def offer(visit: Visit) -> Response:
    """What was typed, and one button that sends it, or the choice of assignment it needs first."""
    found = await _kept(visit)
    typed = tuple(v for _n, v in found.fields if len(v) >= SHOWN or " " in v.strip())
    a = visit.actor.assignment
    in_force = f"{a.role_text}, {a.unit_name}" if a is not None else ""
    here = f"/kept/{found.id}"
    title, said = _("Det du skrev finns kvar"), _("Det kunde inte skickas när du skickade det.")
    back = made_in = ""
    if a is not None and found.assignment != a.id:
        held = await assignment_of(
            visit.services.database, visit.actor.id.removeprefix("Practitioner/"), found.assignment
        )
        title = _("Du har bytt uppdrag sedan sidan öppnades")
        said = _("Inget har skickats, och det du skrev finns kvar. Nu gäller %(which)s.") % {
            "which": in_force
        }
        if held is not None:
            back = held.assignment.id
            made_in = f"{held.assignment.role_text}, {held.assignment.unit_name}"
    shown = KeptPage(
        title, said, typed, found.path, found.fields, found.id, here, back, made_in, in_force
    )
    return render(visit, "web/kept.html", shown)


@page("/kept/{form}", access="person", methods=("POST",))
async def discard(visit: Visit) -> Response:
    """Throws it away."""
    await drop(visit.services.database, visit.session, visit.request.path_params["form"])
    return RedirectResponse("/", 303)


async def _kept(visit: Visit) -> KeptForm:
    found = await kept(visit.services.database, visit.session, visit.request.path_params["form"])
    if found is None:
        raise NotFound(
            "It has been sent or thrown away already, or your session has ended since.",
            "Det är redan skickat eller kastat, eller så har du loggat ut sedan dess.",
        )
    return found
