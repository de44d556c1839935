"""Errors as pages: what happened, why, and what one can do now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sammanhang.access.assurance import NotFresh, record_level
from sammanhang.access.door import RecordRefused
from sammanhang.access.identity import local_path
from sammanhang.access.identity_services import trace
from sammanhang.kernel import i18n
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import (
    Refused,
    SammanhangError,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from sammanhang.kernel.i18n import N_, _

from .rendering import render, shell_of
from .routing import Visit, chosen_language, keep_form

log = logging.getLogger(__name__)

# status: headline, and what one can do
WORDS = {
    400: (N_("Det gick inte att läsa det du skickade"), N_("Gå tillbaka, ändra och skicka igen.")),
    403: (N_("Du får inte göra det här"), N_("Gå till start och välj en annan väg.")),
    404: (N_("Sidan finns inte"), N_("Adressen kan vara felskriven, eller så har sidan flyttats.")),
    405: (N_("Sidan finns inte"), N_("Adressen kan vara felskriven, eller så har sidan flyttats.")),
    409: (N_("Någon annan hann före"), N_("Ladda om sidan och gör om ändringen.")),
    413: (N_("Det du skickade är för stort"), N_("Dela upp det och försök igen.")),
    503: (
        N_("Systemet svarar inte just nu"),
        N_("Vänta en stund och ladda om sidan. Inget du har sparat har gått förlorat."),
    ),
    500: (
        N_("Något gick fel hos oss"),
        N_("Ladda om sidan. Händer det igen, ring driften och säg numret nedan."),
    ),
}


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """An error as a person meets it.

    title     the headline
    status    HTTP status
    said      what the system says about it; may be empty
    now       what one can do
    number    the request's id, to tell support; empty where it is nobody's fault
    """

    title: str
    status: int
    said: str
    now: str
    number: str


@dataclass(frozen=True, slots=True)
class RefusedPage:
    """The law's no, and the lawful way forward where there is one.

    title    the headline
    rule     id of the rule
    said     the rule's sentence
    patient  id of the patient when a declared reason would open the record; else empty
    reasons  what one may declare: key and sentence
    hours    how long a declared reason holds
    onward   the address asked for, to go on to once the record is open
    higher   address of the log-in at a higher level of assurance; empty where that would not help
    """

    title: str
    rule: str
    said: str
    patient: str
    reasons: tuple[tuple[str, str], ...]
    hours: int
    onward: str
    higher: str = ""


@dataclass(frozen=True, slots=True)
class FreshPage:
    """The act needs a log-in made just now.

    said    what, and how old the log-in may be
    again   address of the log-in, which leads back
    kept    whether something was typed, which is there afterwards
    """

    title: str
    said: str
    again: str
    kept: bool


def refused_page(error: Refused, visit: Visit | None, said: str) -> RefusedPage:
    """The page for a refusal; with the reasons one may declare when the rule asks for one (R3)."""
    title = _("Du har inte rätt att öppna det här")
    higher = _higher(error, visit)
    if higher:
        title = _("Du behöver logga in säkrare")
        return RefusedPage(title, error.rule, said, "", (), 0, "/", higher)
    if not isinstance(error, RecordRefused) or "ask-reason" not in error.decision.obligations:
        return RefusedPage(title, error.rule, said, "", (), 0, "/")
    rules = content("rules/reasons")
    reasons = tuple(
        (key, i18n.either(rules["reasons"][key]["sv"], rules["reasons"][key]["en"]))
        for key in error.decision.reasons
    )
    onward = shell_of(visit).path if visit is not None else "/"
    title = _("Du behöver ange varför du öppnar journalen")
    return RefusedPage(
        title, error.rule, said, error.patient_id or "", reasons, rules["hours"], onward
    )


def _higher(error: Refused, visit: Visit | None) -> str:
    """The way to a higher level of assurance, for who was refused because theirs is too low (R1)."""
    session = visit.session if visit is not None else None
    if visit is None or session is None or error.rule != "R1":
        return ""
    needed = record_level(session.actor)
    if session.actor.loa >= needed:
        return ""
    onward = shell_of(visit).path if visit.request.method in ("GET", "HEAD") else "/"
    return f"/login?level={needed}&next={quote(onward, safe='')}"


async def _log_in_again(error: NotFresh, visit: Visit, said: str) -> Response:
    """What was posted waits while its sender logs in once more."""
    posted = visit.request.method not in ("GET", "HEAD")
    next = shell_of(visit).path
    if posted:
        next = f"/kept/{visit.kept or await keep_form(visit, visit.session)}"
    await visit.services.audit.record(
        visit.services.doors.entry(
            visit.actor, "refuse", rule=error.rule, what=visit.request.url.path, outcome=f"not fresh: {error.act}",
            request=visit.id,
        )
    )  # fmt: skip
    again = f"/login?fresh={quote(error.act, safe='')}&next={quote(next, safe='')}"
    page = FreshPage(_("Logga in en gång till"), said, again, posted)
    return render(visit, "web/fresh.html", page, 403)


def _visit(request: Request) -> Visit | None:
    visit: Visit | None = getattr(request.state, "visit", None)
    if visit is None:
        i18n.use(chosen_language(request))
    return visit


def show_error(request: Request, status: int, said: str = "") -> Response:
    """The designed page for a status."""
    visit = _visit(request)
    title, now = WORDS.get(status) or WORDS[500 if status >= 500 else 400]
    number = visit.id if visit is not None and status >= 500 else ""
    page = ErrorPage(_(title), status, said, _(now), number)
    template = "web/error_part.html" if visit is not None and visit.partial else "web/error.html"
    return render(visit, template, page, status)


async def known(request: Request, error: Exception) -> Response:
    """Answers for every error of the system's own tree."""
    assert isinstance(error, SammanhangError)
    visit = _visit(request)
    said = i18n.either(error.sv, error.en)
    if isinstance(error, Unauthenticated):
        return RedirectResponse("/login", 303)
    if isinstance(error, NotFresh) and visit is not None and visit.session is not None:
        return await _log_in_again(error, visit, said)
    if isinstance(error, Refused):
        try:
            await _leave_trace(request, visit, error)
        except Unavailable as unavailable:
            return show_error(request, 503, i18n.either(unavailable.sv, unavailable.en))
        shown = refused_page(error, visit, said)
        response = render(visit, "web/refused.html", shown, error.status)
        if isinstance(error, TooMany):
            response.headers["retry-after"] = str(error.retry_after)
        return response
    return show_error(request, error.status, said)


async def _leave_trace(request: Request, visit: Visit | None, error: Refused) -> None:
    """A refusal is in the trace, those of forged forms too; the door and the counts leave their own."""
    if isinstance(error, TooMany) or (isinstance(error, RecordRefused) and error.patient_id):
        return
    actor = visit.session.actor if visit is not None and visit.session is not None else None
    # A forged form is an attack on who is logged in, and no attempt of theirs at a record.
    patient = request.path_params.get("patient") if error.rule != "CSRF" else None
    await trace(
        request, "refuse", actor or "system:nobody", rule=error.rule, outcome="refused",
        patient=patient, request=visit.id if visit is not None else None,
    )  # fmt: skip


async def http(request: Request, error: Exception) -> Response:
    """Answers for what the framework refuses: no such page, no such method."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    path = request.url.path
    if status == 404 and request.method in ("GET", "HEAD") and path.endswith("/"):
        without = local_path(path.rstrip("/"))
        if without != "/":
            return RedirectResponse(without, 308)
    said = "" if status in WORDS else HTTPStatus(status).phrase
    return show_error(request, status, said)


async def unknown(request: Request, error: Exception) -> Response:
    """Answers for what nobody foresaw; the log has the rest under the same number."""
    visit = _visit(request)
    log.error("request %s failed", visit.id if visit else "?", exc_info=error)
    return show_error(request, 500)


HANDLERS: dict[Any, Any] = {SammanhangError: known, HTTPException: http, Exception: unknown}
