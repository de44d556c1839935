"""The pages of logging in: their language, their texts, their templates.

They stand on their own, before there is a session or a shell. No styles or scripts of their own: the
content security policy lets none in, and everything works without JavaScript.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from .actor import Assignment
from .identity_services import cookie_named, services_of
from .identity_texts import TEXTS
from .staff_people import Person

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class ProviderPage:
    """The built-in provider: who are you?

    hidden   the relying party's request, carried along
    query    what was searched for
    lower    whether one logs in with the lower level of assurance
    other    address of the same page with the other level
    """

    template = "provider.html"
    hidden: dict[str, str]
    query: str
    staff: list[Person]
    residents: list[Person]
    lower: bool
    other: str


@dataclass(frozen=True)
class ChoosePage:
    """Which assignment? `chosen` is the id of the one in force or chosen last."""

    template = "choose.html"
    name: str
    assignments: list[Assignment]
    chosen: str | None
    next: str
    csrf: str


@dataclass(frozen=True)
class LogoutPage:
    """Really log out? For those who come by a link; a page's own button posts straight away."""

    template = "logout.html"
    name: str
    csrf: str


@dataclass(frozen=True)
class LockPage:
    """Really lock? For those who come by a link; a page's own button posts straight away."""

    template = "lock.html"
    name: str
    csrf: str


@dataclass(frozen=True)
class LockedPage:
    """The screen is locked. `onward` leads to the log-in that opens it, `kept` says something typed waits."""

    template = "locked.html"
    name: str
    onward: str
    kept: bool
    csrf: str


@dataclass(frozen=True)
class MessagePage:
    """Something did not go as meant: what is so, and what one can do. `text` names the texts.

    again   where the button leads, or None for no button
    """

    template = "message.html"
    text: str
    again: str | None = "/login"


@dataclass(frozen=True)
class ContextPage:
    """Another system opens a patient here: in which assignment, and what to do when it cannot be so.

    partner      the other system's name
    patient      the identity number the link gave, as people write it; empty when it gave none
    assignment   the assignment the patient would be opened in; None when the person does not have it now
    in_force     the one in force, to be left; None when none is
    own          what the person can choose instead
    here         address of this link, `next` of the patient
    """

    template = "context.html"
    partner: str
    patient: str
    assignment: Assignment | None
    in_force: Assignment | None
    own: list[Assignment]
    here: str
    next: str
    csrf: str


Page = ProviderPage | ChoosePage | LogoutPage | LockPage | LockedPage | MessagePage | ContextPage


def language(request: Request) -> str:
    """`sv` or `en`: the one chosen (cookie `language` or `lang`), else the browser's, else the setting's."""
    for cookie in ("language", "lang"):
        chosen = request.cookies.get(cookie_named(services_of(request).settings, cookie))
        if chosen in TEXTS:
            return chosen
    accepted: list[tuple[float, int, str]] = []
    for place, part in enumerate(request.headers.get("accept-language", "").split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        accepted.append((-quality, place, tag.split("-")[0].lower()))
    for quality, _, tag in sorted(accepted):
        if tag in TEXTS and quality < 0:
            return tag
    return services_of(request).settings.language


def render(request: Request, page: Page, status: int = 200) -> HTMLResponse:
    """The page as HTML; never stored by anybody on the way."""
    chosen = language(request)
    values: dict[str, Any] = {f.name: getattr(page, f.name) for f in fields(page)}
    html = _environment.get_template(page.template).render(
        **values, t=TEXTS[chosen], lang=chosen, demo=services_of(request).settings.demo
    )
    return HTMLResponse(
        html, status, {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
    )
