"""The apps a resident has let in, and how to shut them out again."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from sammanhang.web.apps import own_apps_page, take_back
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page


@page("/me/apps", access="resident")
async def apps(visit: Visit) -> Response:
    """What the resident has let in."""
    return render(visit, "portal/apps.html", await own_apps_page(visit))


@page("/me/apps", access="resident", methods=("POST",))
async def end(visit: Visit) -> Response:
    """Takes back what was granted to one app, at once."""
    ended = await take_back(visit, visit.form.get("client", ""))
    return RedirectResponse("/me/apps?ended=1" if ended else "/me/apps", 303)
