"""The lock screen: by key, by time, and what pages ask to know how their session is.

A locked session reads nothing. In the browser the page stays beneath a layer (`web/static/lock.js`) and goes
on when its own person has logged in anew; without JavaScript one comes to `/locked` and back.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sammanhang.kernel.errors import Conflict, Refused

from . import sessions
from .forms import check_csrf, csrf_token
from .identity_attempt import local_path
from .identity_pages import LockedPage, LockPage, MessagePage, render
from .identity_services import services_of, trace
from .oidc_errors import json_response

_NO_STORE = {"Cache-Control": "no-store"}


async def locked(request: Request) -> Response:
    """`GET /locked?next=…`: the screen is locked; onward when it is not."""
    next = local_path(request.query_params.get("next"))
    sleeping = await sessions.asleep(request)
    if sleeping is None:
        session = await sessions.current(request)
        to = next if session is not None else f"/login?next={quote(next, safe='')}"
        return RedirectResponse(to, 303, _NO_STORE)
    onward = f"/unlock?next={quote(next, safe='')}"
    name, token = sleeping.session.actor.name, csrf_token(sleeping.session)
    return render(request, LockedPage(name, onward, next.startswith("/kept/"), token))


async def lock(request: Request) -> Response:
    """`POST /lock`: locks the session in all its windows; `GET` asks first."""
    services = services_of(request)
    session = await sessions.current(request)
    if session is None:
        return RedirectResponse("/locked", 303, _NO_STORE)
    if request.method == "GET":
        return render(request, LockPage(session.actor.name, csrf_token(session)))
    try:
        await check_csrf(request, session)
    except Conflict:
        pass  # whatever the assignment, a screen may be locked
    except Refused as refused:
        await trace(request, "refuse", session.actor, rule=refused.rule, outcome="refused")
        return render(request, MessagePage("forged", "/lock"), 403)
    await sessions.lock(services.database, session)
    await trace(request, "lock", session.actor, details={"session": session.id})
    if request.headers.get("x-csrf-token"):
        return Response(status_code=204, headers=_NO_STORE)
    form = await request.form(max_files=0)
    sent = form.get("next")
    next = local_path(sent if isinstance(sent, str) else None)
    return RedirectResponse(f"/locked?next={quote(next, safe='')}", 303, _NO_STORE)


async def state(request: Request) -> Response:
    """`/session`: how the session is, for the page that asks; 401 when it reads nothing.

    `GET` does not count as activity; `POST`, with the form token in its header, says that somebody is at
    work on the page. `assignment` is the one the page was made in: the form token is for that.
    """
    session = await sessions.current(request, touch=request.method == "POST")
    if session is None:
        sleeping = await sessions.asleep(request)
        said: dict[str, Any] = {"state": "locked" if sleeping is not None else "none"}
        return json_response(said, 401)
    if request.method == "POST":
        try:
            await check_csrf(request, session)
        except Conflict:
            pass  # at work all the same
        except Refused as refused:
            await trace(request, "refuse", session.actor, rule=refused.rule, outcome="refused")
            return json_response({"state": "forged"}, 403)
    made_in = request.query_params.get("assignment", "")[:64]
    a = session.actor.assignment
    return json_response(
        {
            "state": session.state,
            "person": session.actor.id,
            "assignment": a.id if a is not None else "",
            "assignment_text": f"{a.role_text}, {a.unit_name}" if a is not None else "",
            "csrf": csrf_token(session, made_in),
            "locks_in": session.locks_in,
            "ends_in": session.ends_in,
        }
    )


routes = [
    Route("/locked", locked, methods=["GET"]),
    Route("/lock", lock, methods=["GET", "POST"]),
    Route("/session", state, methods=["GET", "POST"]),
]
