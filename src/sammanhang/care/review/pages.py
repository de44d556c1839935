"""The log reviewer's pages: the queue, one case, and what came of it (R36)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from sammanhang.access.review import cases
from sammanhang.access.review.cases import Case, Outcome, Reviewer
from sammanhang.access.said import LONGEST
from sammanhang.access.trail import by_person
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound
from sammanhang.kernel.i18n import _, either, ngettext
from sammanhang.store.trace import Entry
from sammanhang.web import show
from sammanhang.web.people import Person
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from . import words
from .people import Names, names_of

Choice = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A case in a list, in words.

    when     the day, and the time or span of it; `waited` how long ago it was found
    who      name of the member of staff; `role` and `unit` where they acted
    patient  whose record; None when it is about `many` patients, or is in the register no more
    did      what was done
    why      (pattern, sentence) of each reason, the heaviest first
    state    in a word, empty while nobody has begun; `holder` who holds it, may be empty
    outcome  of what is decided, else empty
    """

    id: str
    when: str
    waited: str
    who: str
    role: str
    unit: str
    patient: Person | None
    many: bool
    did: str
    why: tuple[Choice, ...]
    state: str
    holder: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A way to narrow the queue: its words, how many, where it leads, whether it is chosen."""

    name: str
    count: int
    address: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class QueuePage:
    """What waits for review.

    provider  whose log it is
    rows      the heaviest first; `more` how many others there are
    patterns  the queue by pattern; `units` by unit: (HSA-id, name and count)
    pattern, unit  what is chosen
    total     how many wait in all
    """

    title: str
    provider: str
    rows: tuple[Row, ...]
    more: int
    patterns: tuple[Filter, ...]
    units: tuple[Choice, ...]
    pattern: str
    unit: str
    total: int


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One thing the person did in a record, in words; `patient` where the case is about many."""

    at: str
    did: str
    rule: str
    why: str
    unit: str
    patient: Person | None


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the review: when, who, what, and what was written."""

    at: str
    who: str
    what: str
    said: str


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """What the resident asked and was answered; `answer` is empty until then."""

    at: str
    said: str
    answer: str


@dataclass(frozen=True, slots=True)
class CasePage:
    """One case.

    row        the case in words
    accesses   what the person did in the record on the day and the days beside it; `more` that there is more
    steps      what has been done; `questions` what the patient asked
    proposed   the assessment that waits to be confirmed; None when there is none
    others     the same person's other cases
    state      open, asking, confirm, done
    outcomes, measures, reviewers   what can be chosen
    held       somebody else holds it: their name
    answer     whether the patient waits for an answer
    wrong      what was amiss with what was typed
    """

    title: str
    row: Row
    accesses: tuple[AccessLine, ...]
    more: bool
    steps: tuple[StepLine, ...]
    questions: tuple[QuestionLine, ...]
    proposed: StepLine | None
    others: tuple[Row, ...]
    state: str
    outcomes: tuple[Choice, ...]
    measures: tuple[Choice, ...]
    reviewers: tuple[Reviewer, ...]
    held: str
    answer: bool
    wrong: str
    typed: dict[str, str]
    longest: int


SHOWN = 200  # accesses of one case


@page("/review", access="staff")
async def queue(visit: Visit) -> Response:
    """R36: what waits for review; refused to who is no log reviewer."""
    pattern, unit = visit.asked("pattern"), visit.asked("unit")
    if pattern not in content("rules/log_review")["patterns"]:
        pattern = ""
    found = await cases.waiting(visit.services.doors, visit.actor, pattern=pattern, unit=unit)
    names = await names_of(visit, found.cases, parties=found.units)
    a = visit.actor.assignment
    shown_of = found.patterns.get(pattern, 0) if pattern else found.total
    if unit:
        shown_of = min(shown_of, found.units.get(unit, 0))
    return render(
        visit,
        "review/queue.html",
        QueuePage(
            title=_("Loggranskning"),
            provider=a.provider_name if a is not None else "",
            rows=tuple(row_of(c, names) for c in found.cases),
            more=max(0, shown_of - len(found.cases)) if len(found.cases) == cases.MOST else 0,
            patterns=_filters(found.patterns, found.total, pattern, unit),
            units=tuple(
                sorted(
                    ((id, f"{names.unit(id)} ({n})") for id, n in found.units.items()),
                    key=lambda u: u[1],
                )
            ),
            pattern=pattern,
            unit=unit,
            total=found.total,
        ),
    )


def _filters(counts: dict[str, int], total: int, chosen: str, unit: str) -> tuple[Filter, ...]:
    def at(pattern: str) -> str:
        asked = {k: v for k, v in (("pattern", pattern), ("unit", unit)) if v}
        return f"/review?{urlencode(asked)}" if asked else "/review"

    known = content("rules/log_review")["patterns"]
    return (
        Filter(_("Alla"), total, at(""), not chosen),
        *(
            Filter(words.pattern(key), counts[key], at(key), key == chosen)
            for key in known
            if key in counts
        ),
    )


def row_of(case: Case, names: Names) -> Row:
    """A case in words."""
    first, last = show.time(case.began), show.time(case.lasted)
    span = first if first == last else f"{first}–{last}"
    return Row(
        id=case.id,
        when=f"{show.day(case.day)} {span}",
        waited=show.ago(case.found),
        who=names.who(case.actor),
        role=names.role(case.assignment),
        unit=names.unit(case.unit),
        patient=names.patients.get(case.patient),
        many=not case.patient,
        did=_did(case),
        why=tuple((words.pattern(r.pattern), words.why(r)) for r in case.reasons),
        state=_(words.STATES[case.state]) if case.state != "open" else "",
        holder=case.holder_name,
        outcome=words.outcome(case.outcome) if case.state == "done" else "",
    )


def _did(case: Case) -> str:
    kinds = {r.pattern for r in case.reasons}
    if "refused-repeatedly" in kinds and not case.patient:
        return _("Nekades journaler")
    if not case.patient:
        return _("Öppnade många journaler")
    if kinds == {"emergency"}:
        return _("Nödöppnade journalen")
    if not case.times:  # drawn in the sample, or taken back from an export
        return _("Öppnade journalen")
    times = ngettext("%(n)s gång", "%(n)s gånger", case.times) % {"n": case.times}
    return _("Öppnade journalen, %(times)s") % {"times": times}


@page("/review/cases/{case}", access="staff")
async def case_page(visit: Visit) -> Response:
    """One case: why, what was done, and what can be decided."""
    return await _show(visit)


@page("/review/cases/{case}", access="staff", methods=("POST",))
async def act(visit: Visit) -> Response:
    """Decides, confirms or hands over. What is wrong is said on the page, with all that was typed."""
    doors, actor, form = visit.services.doors, visit.actor, visit.form
    id, do = visit.request.path_params["case"], form.get("do", "")
    try:
        if do == "decide":
            measures = tuple(
                k for k in content("rules/log_review")["measures"] if form.get(f"measure-{k}")
            )
            given = Outcome(
                form.get("outcome", ""), form.get("said", ""), measures, form.get("answer", "")
            )
            await cases.decide(doors, actor, id, given)
            onward = f"/review/cases/{id}" if given.outcome == "unjustified" else "/review"
        elif do == "confirm":
            await cases.confirm(doors, actor, id)
            onward = "/review"
        elif do in ("hand-over", "take"):
            to = actor.id if do == "take" else form.get("to", "")
            await cases.hand_over(doors, actor, id, to, form.get("why", ""))
            onward = f"/review/cases/{id}"
        else:
            raise NotFound("There is no such choice.", "Det valet finns inte.")
    except (Invalid, Conflict) as e:
        return await _show(visit, either(e.sv, e.en), e.status)
    return RedirectResponse(onward, 303)


async def _show(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    doors, actor = visit.services.doors, visit.actor
    case = await cases.case_of(doors, actor, visit.request.path_params["case"])
    # durable before the page tells whose record it was
    await doors.audit.record(
        doors.entry(
            actor, "review-open", patient=case.patient or None, rule="R36",
            details={"case": case.id, "of": case.actor}, request=visit.id,
        )
    )  # fmt: skip
    steps, questions = await cases.steps_of(doors, case)
    others = await cases.others_of(doors, case)
    beside = timedelta(days=1 if case.patient else 0)
    first, last = case.began.astimezone(UTC).date(), case.lasted.astimezone(UTC).date()
    entries = await by_person(
        doors.database, case.actor, words.ACTIONS, first - beside, last + beside, case.patient
    )
    shown_ = entries[-SHOWN:]
    opened = {p for e in shown_ for p in (e.details or {}).get("opened", ())}
    names = await names_of(
        visit,
        [case, *others],
        parties={e.unit for e in shown_ if e.unit} | opened,
        patients=() if case.patient else {e.patient for e in shown_ if e.patient},
    )
    rules = content("rules/log_review")
    shown = CasePage(
        title=_("Granska åtkomst"),
        row=row_of(case, names),
        accesses=tuple(_access(e, names, many=not case.patient) for e in shown_),
        more=len(entries) > SHOWN,
        steps=tuple(_step(s) for s in steps),
        questions=tuple(
            QuestionLine(show.when(q.asked), q.said, q.answer if q.answered else "")
            for q in questions
        ),
        proposed=next((_step(s) for s in reversed(steps) if s.kind == "proposed"), None),
        others=tuple(row_of(c, names) for c in others),
        state=case.state,
        outcomes=tuple((k, either(t["sv"], t["en"])) for k, t in rules["outcomes"].items()),
        measures=tuple((k, either(t["sv"], t["en"])) for k, t in rules["measures"].items()),
        reviewers=tuple(r for r in await cases.reviewers(doors, actor, case) if r.id != actor.id),
        held=case.holder_name if case.holder not in ("", actor.id) else "",
        answer=any(q.answered is None for q in questions),
        wrong=wrong,
        typed=visit.form,
        longest=LONGEST,
    )
    return render(visit, "review/case.html", shown, status)


def _access(e: Entry, names: Names, *, many: bool) -> AccessLine:
    why = ""
    if e.action == "emergency":
        details = e.details or {}
        opened = ", ".join(names.unit(p) for p in details.get("opened", ()))
        why = _("Öppnade: %(who)s") % {"who": opened} if opened else details.get("said", "")
    elif e.purpose:
        why = words.declared(e.purpose)
    return AccessLine(
        show.when(e.at),
        _(words.ACTIONS[e.action]),
        words.rule(e.rule),
        why,
        names.unit(e.unit),
        names.patients.get(e.patient or "") if many else None,
    )


def _step(s: cases.Step) -> StepLine:
    what = _(words.STEPS.get(s.kind, s.kind))
    parts = [words.outcome(s.outcome), words.measures(s.measures)]
    told = ". ".join(p for p in parts if p)
    return StepLine(show.when(s.at), s.name, f"{what}: {told}" if told else what, s.said)
