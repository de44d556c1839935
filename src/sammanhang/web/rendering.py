"""From a page (a dataclass) and a template to HTML; the shell around it is filled in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse, Response

from sammanhang.access.actor import Actor
from sammanhang.access.forms import csrf_token
from sammanhang.kernel import clock, i18n
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_
from sammanhang.work.commands import head_functions, in_functions

from . import assets, show
from .routing import Visit

HERE = Path(__file__).parent
TEMPLATES = {
    "web": HERE / "templates",
    "chart": HERE.parent / "care" / "chart" / "templates",
    "assessments": HERE.parent / "care" / "assessments" / "templates",
    "messages": HERE.parent / "care" / "messages" / "templates",
    "consents": HERE.parent / "care" / "consents" / "templates",
    "emergency": HERE.parent / "care" / "emergency" / "templates",
    "rules": HERE.parent / "care" / "rules" / "templates",
    "review": HERE.parent / "care" / "review" / "templates",
    "worklist": HERE.parent / "care" / "worklist" / "templates",
    "apps": HERE.parent / "care" / "apps" / "templates",
    "requests": HERE.parent / "care" / "requests" / "templates",
    "portal": HERE.parent / "portal" / "templates",
    "forms": HERE.parent / "forms" / "templates",
}
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the main menu: its name (Swedish), address and the key that opens it after `g`."""

    name: str
    address: str
    key: str


PLACES = (
    Place(N_("Start"), "/", "s"),
    Place(N_("Arbete"), "/work", "a"),
    Place(N_("Vårdbegäran"), "/requests", "v"),
    Place(N_("Patienter"), "/patients", "p"),
)
REVIEW = Place(N_("Loggranskning"), "/review", "")
CHECKS = Place(N_("Loggkontroller"), "/review/figures", "")
FOLLOW_UP = Place(N_("Uppföljning"), "/followup/retyped", "")


@dataclass(frozen=True, slots=True)
class Shell:
    """What surrounds every page.

    language  sv or en
    theme     auto, light or dark, as the person chose
    keys      whether single keys do things (WCAG 2.1.4: they can be turned off)
    actor     who is logged in; None on open pages
    csrf      the token a form must carry
    path      the address of this page, to come back to
    places    the main menu
    patient   id of the patient whose record is on the page; empty elsewhere
    printed   when this page was made, as it stands on paper
    locks_in  seconds until the session locks if nothing is done, `ends_in` until it ends whatever is done
    waiting   how much work waits for the reader, where the page knows it; None elsewhere, and `live.js` asks
    """

    language: str
    theme: str
    keys: bool
    actor: Actor | None
    csrf: str
    path: str
    places: tuple[Place, ...]
    patient: str
    printed: str
    locks_in: int = 0
    ends_in: int = 0
    waiting: int | None = None


def _environment() -> jinja2.Environment:
    loaders = {name: jinja2.FileSystemLoader(folder) for name, folder in TEMPLATES.items()}
    env = jinja2.Environment(
        loader=jinja2.PrefixLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
        cache_size=400,
    )
    install: Any = env
    install.install_gettext_callables(i18n._, i18n.ngettext, newstyle=True, pgettext=i18n.pgettext)
    env.filters.update(show.FILTERS)
    env.globals.update(asset=assets.address, t=i18n._)
    return env


ENVIRONMENT = _environment()


def shell_of(visit: Visit | None) -> Shell:
    """The shell for this visit; a bare one when there is none (the request never got that far)."""
    if visit is None:
        return Shell(i18n.language(), "auto", False, None, "", "/", (), "", "")
    theme = visit.chosen("theme", "auto")
    session = visit.session
    active = session is not None and session.state == "active"
    staff = active and session.actor.kind == "staff"
    url = visit.request.url
    return Shell(
        language=i18n.language(),
        theme=theme if theme in THEMES else "auto",
        keys=visit.chosen("keys") != "off",
        actor=session.actor if active else None,
        csrf=csrf_token(session) if session is not None else "",
        path=url.path + (f"?{url.query}" if url.query else ""),
        places=places(session.actor) if staff else (),
        patient=visit.record.patient_id if visit.record is not None and staff else "",
        printed=show.when(clock.now()),
        locks_in=session.locks_in if active else 0,
        ends_in=session.ends_in if active else 0,
    )


def places(actor: Actor) -> tuple[Place, ...]:
    """The main menu of a role: without record rights there are no patients in it; log reviewers have
    their queue, heads of operations the figures of their unit's checks (R36); who works with statistics, and heads,
    the follow-up (R38)."""
    role = actor.assignment.role if actor.assignment is not None else ""
    known = content("rules/roles")["roles"].get(role, {})
    own = PLACES if known.get("read") else PLACES[:1]
    more = [
        (REVIEW, bool(known.get("reviews"))),
        (CHECKS, role in content("rules/log_review")["figures_roles"]),
        (
            FOLLOW_UP,
            bool(known.get("statistics")) or not head_functions().isdisjoint(in_functions(role)),
        ),
    ]
    return (*own, *(place for place, has in more if has))


def render(visit: Visit | None, template: str, page: Any, status: int = 200) -> Response:
    """The page as HTML. The template is given `page` and `shell` and nothing else.

    A page that has counted what waits for its reader says so in a field `waiting`; the menu shows it.
    """
    shell = replace(shell_of(visit), waiting=getattr(page, "waiting", None))
    text = ENVIRONMENT.get_template(template).render(page=page, shell=shell)
    return HTMLResponse(text, status, headers={"content-language": shell.language})
