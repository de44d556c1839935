"""A care request as the resident sees it: what happens next, what was decided and by whom, who to call (M17).

Drafts are not there. What staff write to each other about a request is not shown as a conversation; that a question
waits for an answer is. What is labelled not to be shown to the patient stays hidden, for the door lets nothing of it
through (R22, R27).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from sammanhang.access.door import Record
from sammanhang.access.rules import consent_needed
from sammanhang.care.requests import request as fhir
from sammanhang.care.requests.attachments import Attached, attached
from sammanhang.care.requests.errors import NoSuchRequest
from sammanhang.care.requests.reading import Asked, asked_of
from sammanhang.care.requests.request import Around, around, sent_in
from sammanhang.fhir.dates import bounds
from sammanhang.kernel import clock
from sammanhang.kernel.i18n import _
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.work.units import Units, units_of

from .request_steps import Decided, Step, decided_of, steps_of
from .request_words import Plain, name_and_role, plain_of, reader_of, said, texts


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer: its text, who wrote it, when; without a text where it is a document of another kind."""

    text: str
    who: str
    at: str


@dataclass(frozen=True, slots=True)
class RequestPage:
    """One care request, for the person it is about or their guardian.

    title     the headline
    plain     what has happened, what is next, by when and whom to call
    steps     the way from sending to the end
    decided   the last decision; None before there is one
    answers   the answer, when it is written
    reason, question  why care was asked for and what was asked, as written
    form      the filled-in form, question by question
    attached  what was chosen from the record; `unseen` why the receiver does not see it, empty when they do
    advice    what one can do after a no; empty else
    worse     what to do if it gets worse while one waits; empty when nothing is waited for
    hidden    why units and texts are not shown; empty when they are
    back      address of the page before
    """

    title: str
    plain: Plain
    steps: tuple[Step, ...]
    decided: Decided | None
    answers: tuple[Answer, ...]
    reason: str
    question: str
    form: tuple[Asked, ...]
    attached: tuple[Attached, ...]
    unseen: str
    advice: tuple[str, ...]
    worse: str
    hidden: str
    back: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """Every request that was sent, those under way first. `back` is the address of the page before."""

    title: str
    requests: tuple[Plain, ...]
    back: str


@page("/me/requests/{request}", access="resident")
async def mine(visit: Visit) -> Response:
    """One of the resident's own requests."""
    return await _one(visit)


@page("/me/family/{patient}/requests/{request}", access="family")
async def childs(visit: Visit) -> Response:
    """One of a child's requests, for its guardian as long as the law lets them read (R23-R28)."""
    return await _one(visit)


@page("/me/requests", access="resident")
async def all_mine(visit: Visit) -> Response:
    """All of the resident's requests, also those that ended long ago."""
    return await _list(visit)


@page("/me/family/{patient}/requests", access="family")
async def all_childs(visit: Visit) -> Response:
    """All of a child's requests."""
    return await _list(visit)


async def going_on(
    record: Record, units: Units, before: datetime | None
) -> tuple[list[Plain], int]:
    """(those under way or ended of late, how many are older); those whose next step is soonest first. What has happened
    since `before` is new."""
    reader = reader_of(record)
    every = [plain_of(found, units, reader, before) for found in await sent_in(record)]
    since = clock.now() - timedelta(days=texts()["recent_days"])
    recent = [p for p in every if not p.ended or p.changed >= since]
    return sorted(recent, key=_order), len(every) - len(recent)


def _order(p: Plain) -> tuple[bool, float, float]:
    """Those under way first, by what comes soonest; then the latest that ended."""
    soonest = bounds(p.visit)[0] if p.visit else p.due
    at = float("inf") if soonest is None or p.ended else soonest.timestamp()
    return p.ended, at, -p.changed.timestamp()


async def _list(visit: Visit) -> Response:
    record = visit.opened
    units, reader = await units_of(visit.services.database), reader_of(record)
    every = sorted((plain_of(f, units, reader) for f in await sent_in(record)), key=_order)
    return render(visit, "portal/requests.html", ListPage(_("Begäran om vård"), tuple(every), reader.root))  # fmt: skip


async def _one(visit: Visit) -> Response:
    record = visit.opened
    found = await around(record, visit.request.path_params["request"])
    if found.request.status == "entered-in-error" or fhir.state_of(found.request) == "draft":
        raise NoSuchRequest
    units, reader = await units_of(visit.services.database), reader_of(record)
    plain, r, seen = plain_of(found, units, reader), found.request, not reader.masked
    along = await attached(record, fhir.attachments_of(r)) if seen else []
    shown = RequestPage(
        title=plain.title,
        plain=plain,
        steps=steps_of(found, units, reader, plain),
        decided=decided_of(found, units, reader),
        answers=_answers(found) if seen else (),
        reason=fhir.reason_of(r) if seen else "",
        question=fhir.question_of(r) if seen else "",
        form=await asked_of(record, found) if seen else (),
        attached=tuple(a for a in along if a is not None),
        unseen=said(texts()["not_seen"], plain.words) if _unseen(record, r, units) and not plain.ended else "",
        advice=tuple(said(t, plain.words) for t in texts()["after_a_no"]) if plain.state == "rejected" else (),
        worse="" if plain.ended else said(texts()["worse"]),
        hidden="" if seen else said(texts()["hidden"]),
        back=reader.root,
    )  # fmt: skip
    return render(visit, "portal/request.html", shown)


def _unseen(record: Record, request: Any, units: Units) -> bool:
    """Whether the receiver may not read what the sender's care provider has written, for want of consent."""
    receiver, facts = units.get(fhir.receiver_of(request)), record.facts
    known = {fhir.sender_of(request)[0], *facts.consented}
    return receiver is not None and receiver.provider not in known and consent_needed(facts)


def _answers(found: Around) -> tuple[Answer, ...]:
    """The answers that stand, the newest first."""
    made = []
    for stored in reversed(found.answers):
        d = stored.resource
        if d.status == "current":
            who = name_and_role(next((a.display for a in d.author or () if a.display), ""))
            made.append(Answer("\n".join(filter(None, map(_text, d.content))), who, d.date or ""))
    return tuple(made)


def _text(content: object) -> str:
    """A document's words, when it is plain text; empty else."""
    a = getattr(content, "attachment", None)
    if a is None or not a.data or not (a.contentType or "").startswith("text/plain"):
        return ""
    try:
        return base64.b64decode(a.data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
