"""Who has read my record: the log extract in plain sentences, and a question about a line of it (R35).

Each line is one person's doings of one kind on one day; whether the person is named is the care provider's
policy. What a resident asks becomes a case for log review at the care provider that made the access, and
the answer is shown under the line.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import RedirectResponse, Response

from sammanhang.access import extract
from sammanhang.access.extract import Access
from sammanhang.access.review import questions
from sammanhang.access.said import LONGEST
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.kernel.i18n import _, either
from sammanhang.web import show
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

TIMES = {
    "sv": ("en", "två", "tre", "fyra", "fem", "sex", "sju", "åtta", "nio", "tio", "elva", "tolv"),
    "en": (
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class QuestionState:
    """What the resident asked about a line, and how it stands; `answer` is empty until there is one."""

    said: str
    asked: str
    answer: str
    answered: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the extract.

    id        of the line, to ask about it; `may_ask` whether somebody can be asked
    sentence  who did what, how often and when
    explains  what that means, and the reason given; may be empty
    sign      a word that stands out, for emergency access and refusals; else empty
    new       since the last visit
    question  what was asked about it; None when nothing was
    """

    id: str
    sentence: str
    explains: str
    sign: str
    new: bool
    may_ask: bool
    question: QuestionState | None


@dataclass(frozen=True, slots=True)
class LogDay:
    """A day and what was done on it."""

    day: str
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Who has been in the record. `months` is how far back, `unnamed` whether staff go unnamed, `new` how
    many lines are since the last visit."""

    title: str
    days: tuple[LogDay, ...]
    months: int
    unnamed: bool
    new: int


@dataclass(frozen=True, slots=True)
class AskPage:
    """A question about one line; `wrong` says what was amiss with what was `typed`."""

    title: str
    day: str
    line: LogLine
    wrong: str
    typed: str
    longest: int


@page("/me/log", access="resident")
async def log(visit: Visit) -> Response:
    """R35: who has been in the record, day by day, in plain words."""
    rules = content("rules/log_extract")
    database, patient = visit.services.database, visit.opened.patient_id
    found = await _extract(visit)
    asked = await questions.asked_by(database, patient)
    before = await questions.seen(database, patient, clock.now())
    days: dict[str, list[LogLine]] = {}
    for a in found:
        days.setdefault(show.long_day(a.at), []).append(_line(a, asked.get(a.id), before))
    lines = [line for some in days.values() for line in some]
    shown = LogPage(
        _("Vem har läst min journal"),
        tuple(LogDay(day, tuple(some)) for day, some in days.items()),
        rules["months"],
        not rules["names_staff"],
        sum(line.new for line in lines),
    )
    return render(visit, "portal/log.html", shown)


@page("/me/log/ask/{line}", access="resident")
async def ask_page(visit: Visit) -> Response:
    """A question about one line, to be written."""
    return await _ask(visit)


@page("/me/log/ask/{line}", access="resident", methods=("POST",))
async def ask(visit: Visit) -> Response:
    """Sends the question to log review."""
    found = await _about(visit)
    try:
        await questions.ask(
            visit.services.doors, visit.actor, visit.opened.patient_id, found, visit.form.get("said", "")
        )  # fmt: skip
    except (Invalid, Conflict) as e:
        return await _ask(visit, either(e.sv, e.en), e.status)
    return RedirectResponse(f"/me/log#l{found.id}", 303)


async def _about(visit: Visit) -> Access:
    """The line the address names. Raises `NotFound`."""
    wanted = visit.request.path_params["line"]
    found = next((a for a in await _extract(visit) if a.id == wanted and a.provider_id), None)
    if found is None:
        raise NotFound("There is no such line in your log.", "Raden finns inte i din logg.")
    return found


async def _ask(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    found = await _about(visit)
    known = await questions.asked_by(visit.services.database, visit.opened.patient_id)
    shown = AskPage(
        _("Fråga om ett besök i journalen"),
        show.long_day(found.at),
        _line(found, known.get(found.id), None),
        wrong,
        visit.form.get("said", ""),
        LONGEST,
    )
    return render(visit, "portal/ask.html", shown, status)


@page("/me/log.csv", access="resident")
async def log_file(visit: Visit) -> Response:
    """The extract as a file that any spreadsheet opens."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow([_("Tid"), _("Enhet"), _("Vårdgivare"), _("Vad"), _("Skäl"), _("Antal gånger")])
    for a in await _extract(visit):
        unit = ", ".join(filter(None, (a.staff, a.unit)))
        cells = [f"{a.at:%Y-%m-%d %H:%M}", unit, a.provider, _did(a), _reason(a), a.times]
        writer.writerow([show.cell(c) for c in cells])
    name = f"logg-{visit.opened.patient_id}.csv"
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


async def _extract(visit: Visit) -> list[Access]:
    doors = visit.services.doors
    patient = visit.opened.patient_id
    since = extract.months_ago(content("rules/log_extract")["months"])
    found = await extract.extract(doors, patient, since)
    await doors.audit.record(
        doors.entry(visit.actor, "log", patient=patient, count=len(found), request=visit.id)
    )
    return found


def _line(a: Access, asked: questions.Asked | None, before: datetime | None) -> LogLine:
    question = None
    if asked is not None:
        question = QuestionState(
            asked.said,
            show.plain_day(asked.asked),
            asked.answer,
            show.plain_day(asked.answered) if asked.answered is not None else "",
        )
    return LogLine(
        id=a.id,
        sentence=_sentence(a),
        explains=_explains(a),
        sign=_sign(a),
        new=before is not None and a.last > before,
        may_ask=bool(a.provider_id) and question is None,
        question=question,
    )


def _sentence(a: Access) -> str:
    """`En medarbetare på Hemsjukvård Centrum, Borås kommun, öppnade din journal tre gånger, kl. 08:05–16:40.`"""
    first, last = show.time(a.at), show.time(a.last)
    when = _("kl. %(time)s") % {"time": first if first == last else f"{first}–{last}"}
    words = {"who": _who(a), "did": _did(a), "when": when}
    if a.times == 1:
        return _("%(who)s %(did)s, %(when)s.") % words
    return _("%(who)s %(did)s %(times)s, %(when)s.") % {**words, "times": _times(a.times)}


def _who(a: Access) -> str:
    if a.actor.startswith("Patient/"):
        return _("Din vårdnadshavare")
    place = a.unit
    if a.provider and a.provider not in (a.unit, ""):
        place = f"{a.unit}, {a.provider}," if a.unit else a.provider
    if not place:
        return _("En medarbetare på en okänd enhet")
    if a.actor.startswith("client:"):
        return _("Systemet %(name)s") % {"name": place}
    if a.staff:
        return _("%(name)s på %(place)s") % {"name": a.staff, "place": place}
    return _("En medarbetare på %(place)s") % {"place": place}


def _times(n: int) -> str:
    words = TIMES[either("sv", "en")]
    number = words[n - 1] if n <= len(words) else str(n)
    return _("%(number)s gånger") % {"number": number}


def _did(a: Access) -> str:
    """What was done, and through which app."""
    said = content("rules/log_extract")["actions"][a.action]
    did = either(said["sv"], said["en"])
    return _("%(did)s via %(app)s") % {"did": did, "app": a.app} if a.app else did


def _sign(a: Access) -> str:
    return {
        "emergency": _("Nödöppning"), "refuse": _("Nekades"), "lift": _("Spärr hävd"),
    }.get(a.action, "")  # fmt: skip


def _explains(a: Access) -> str:
    """What the line means, and the reason that was given for it."""
    texts = content("rules/log_extract")["explains"]
    found = texts.get(a.action) or (texts.get(a.rule) if a.action == "open" else None)
    parts = [either(found["sv"], found["en"])] if found else []
    if reason := _reason(a):
        parts.append(_("Skäl som angavs: ”%(reason)s”.") % {"reason": reason})
    return " ".join(parts)


def _reason(a: Access) -> str:
    """The reason or the grounds in words: `life, unconscious` are the grounds of an emergency."""
    known = content("rules/reasons")["reasons"].get(a.purpose)
    if known:
        return either(known["sv"], known["en"])
    rules = content("rules/emergency")
    parts = a.purpose.split(", ")
    texts = [rules["dangers"].get(p) or rules["unable"].get(p) for p in parts]
    return ". ".join(
        either(t["sv"], t["en"]) if t else p for t, p in zip(texts, parts, strict=True)
    )
