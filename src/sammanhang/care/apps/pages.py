"""Apps from the chart, and the apps a member of staff has let in."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from sammanhang.access import launches
from sammanhang.access.clients import launchable
from sammanhang.access.tokens import audience
from sammanhang.kernel.errors import NotFound
from sammanhang.web.apps import own_apps_page, take_back
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from .encounters import open_here


@page("/apps", access="person")
async def mine(visit: Visit) -> Response:
    """What staff have let in; a resident's list is in the portal."""
    if visit.actor.kind == "resident":
        return RedirectResponse("/me/apps", 303)
    return render(visit, "apps/mine.html", await own_apps_page(visit))


@page("/apps", access="staff", methods=("POST",))
async def end_mine(visit: Visit) -> Response:
    """Takes back what was granted to one app, at once."""
    ended = await take_back(visit, visit.form.get("client", ""))
    return RedirectResponse("/apps?ended=1" if ended else "/apps", 303)


@page("/patients/{patient}/apps", access="record", methods=("POST",))
async def launch(visit: Visit) -> Response:
    """Starts an app with this patient, and the visit that is open at the unit (EHR launch)."""
    services, record = visit.services, visit.opened
    role = visit.actor.assignment.role if visit.actor.assignment is not None else ""
    wanted = visit.form.get("client", "")
    app = next((c for c in await launchable(services.database, role) if c.id == wanted), None)
    if app is None:
        raise NotFound("There is no such app.", "Appen finns inte.")
    encounter = await open_here(record)
    word = await launches.start(
        services.database, session=visit.session.key, client=app, patient=record.patient_id,
        encounter=encounter,
    )  # fmt: skip
    if word is None:  # logged out in another window meanwhile
        back = f"/patients/{record.patient_id}"
        return RedirectResponse(f"/login?next={quote(back, safe='')}", 303)
    entry = services.doors.entry(
        visit.actor, "launch", patient=record.patient_id, what=f"client:{app.id}", request=visit.id,
        details={"encounter": encounter},
    )  # fmt: skip
    await services.audit.record(entry)
    where = launches.address(app, audience(services.settings), word)
    return RedirectResponse(where, 303, {"Cache-Control": "no-store"})
