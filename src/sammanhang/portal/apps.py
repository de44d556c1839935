"""The apps a resident has let in, and how to shut them out again."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from sammanhang.kernel.i18n import _
from sammanhang.web.apps import OwnApp, own_apps, take_back
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page


@dataclass(frozen=True, slots=True)
class MyAppsPage:
    """The apps the resident has let in; `ended` tells that access was just taken back."""

    title: str
    apps: list[OwnApp]
    ended: bool


@page("/me/apps", access="resident")
async def apps(visit: Visit) -> Response:
    """What the resident has let in."""
    ended = visit.asked("ended") != ""
    shown = MyAppsPage(_("Appar du har gett tillgång"), await own_apps(visit), ended)
    return render(visit, "portal/apps.html", shown)


@page("/me/apps", access="resident", methods=("POST",))
async def end(visit: Visit) -> Response:
    """Takes back what was granted to one app, at once."""
    ended = await take_back(visit, visit.form.get("client", ""))
    return RedirectResponse("/me/apps?ended=1" if ended else "/me/apps", 303)
