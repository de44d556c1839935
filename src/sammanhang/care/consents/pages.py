"""What a patient has said yes and no to, recorded where it is said: one page, two clicks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from starlette.responses import RedirectResponse, Response

from sammanhang.access import consents
from sammanhang.access.consents import Given, Held
from sammanhang.access.door import Record
from sammanhang.access.staff import resources, shown_name
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, NotFound
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web import show
from sammanhang.web.parties import organisations
from sammanhang.web.people import Person, person_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

GROUPS = (
    ("consent", N_("Patienten säger ja till")), ("no", N_("Patienten säger nej till")),
    ("assessment", N_("Bedömning")), ("child", N_("Beslut om barn och unga")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may be recorded: key, what it is, what it means, and whether the patient is told first."""

    key: str
    name: str
    means: str
    inform: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One consent or block in force, in words; `mine` when it may be taken back here."""

    id: str
    what: str
    whom: str
    since: str
    until: str
    how: str
    asked: str
    mine: bool


@dataclass(frozen=True, slots=True)
class ConsentsPage:
    """What is in force, and the form to record more.

    title    the headline
    root     address of the patient's chart
    person   whose record it is
    said     what is in force
    groups   what may be recorded: headline and choices
    how      ways it may be said: key and words; `who` likewise; `days` usual times
    chosen   the one chosen beforehand or before something was wrong; the others are folded away
    provider in whose name it is recorded
    typed    what was typed, when something was wrong with it; `wrong` says what
    onward   where to go when it is recorded
    """

    title: str
    root: str
    person: Person
    said: tuple[Said, ...]
    groups: tuple[tuple[str, tuple[Choice, ...]], ...]
    how: tuple[tuple[str, str], ...]
    who: tuple[tuple[str, str], ...]
    days: tuple[int, ...]
    chosen: str
    provider: str
    typed: dict[str, str]
    wrong: str


@page("/patients/{patient}/consents", access="record")
async def consents_page(visit: Visit) -> Response:
    """What is in force, and what may be recorded; `?kind=` chooses one beforehand."""
    return await _show(visit)


@page("/patients/{patient}/consents", access="record", methods=("POST",))
async def record_or_withdraw(visit: Visit) -> Response:
    """Records one, or takes one back. What is wrong is said on the page, with all that was chosen."""
    record, form = visit.opened, visit.form
    root = f"/patients/{record.patient_id}"
    try:
        if form.get("do") == "withdraw":
            await consents.withdraw(record, form.get("consent", ""))
            return RedirectResponse(f"{root}/consents", 303)
        if form.get("do") != "record":
            raise NotFound("There is no such choice.", "Det valet finns inte.")
        if not form.get("kind"):
            raise Invalid("Choose what is recorded.", "Välj vad som ska registreras.")
        await consents.record_consent(
            record,
            Given(
                form["kind"], form.get("how", ""), form.get("who", "patient"), _until(form),
                informed=form.get("informed") == "yes",
            ),
        )  # fmt: skip
    except Invalid as e:
        return await _show(visit, either(e.sv, e.en), 400)
    opens = form["kind"] in ("sammanhallen-dokumentation", "nll-samtycke", "beslutsoformogen")
    return RedirectResponse(root if opens else f"{root}/consents", 303)


def _until(form: dict[str, str]) -> date | None:
    """The last day: a number of days, a day, or none."""
    chosen, day = form.get("until", ""), form.get("day", "").strip()
    if chosen == "day":
        try:
            return date.fromisoformat(day)
        except ValueError:
            raise Invalid("Write the day as 2026-12-31.", "Skriv dagen som 2026-12-31.") from None
    if chosen.isascii() and chosen.isdigit() and len(chosen) < 5:
        return clock.today() + timedelta(days=int(chosen))
    return None


async def _show(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    record, rules = visit.opened, content("rules/consents")
    held = await consents.held(visit.services.doors, record.patient_id)
    may = consents.may_record(record)
    asked = await _asked(record, held)
    names = await organisations(record, sorted({p for h in held for p in h.parties}))
    own = record.actor.assignment.provider if record.actor.assignment else ""
    typed = dict(visit.form) if status != 200 else {"kind": visit.asked("kind")}
    shown = ConsentsPage(
        title=_("Samtycken och spärrar"),
        root=f"/patients/{record.patient_id}",
        person=person_of(record.patient, record.facts.protected),
        said=tuple(_said(h, rules, names, asked, own) for h in held if _told(h, own, record)),
        groups=tuple(
            (_(title), choices)
            for group, title in GROUPS
            if (choices := tuple(_choice(k, r) for k, r in may.items() if r["group"] == group))
        ),
        how=tuple((k, either(t["sv"], t["en"])) for k, t in rules["how"].items()),
        who=tuple((k, either(t["sv"], t["en"])) for k, t in rules["who"].items()),
        days=tuple(rules["days"]),
        chosen=typed["kind"] if typed.get("kind") in may else "",
        provider=record.actor.assignment.provider_name if record.actor.assignment else "",
        typed=typed,
        wrong=wrong,
    )
    return render(visit, "consents/consents.html", shown, status)


def _told(h: Held, own: str, record: Record) -> bool:
    """R8, R21: who blocked elsewhere is not told here; that something is blocked stands on the chart."""
    if h.kind == "yttre-sparr":
        return own in h.parties
    if h.kind == "inre-sparr":
        return all((own, p) in record.facts.sources for p in h.parties)
    return True


async def _asked(record: Record, held: list[Held]) -> dict[str, str]:
    """Names of who asked, by `PractitionerRole/…`; two queries, none when nobody is named."""
    ids = {h.asked_by.removeprefix("PractitionerRole/") for h in held if h.asked_by}
    roles = await resources(record.doors.database, "PractitionerRole", ids)
    people = {
        id: (r.practitioner.reference or "").removeprefix("Practitioner/")
        for id, r in roles.items()
        if r.practitioner is not None
    }
    found = await resources(record.doors.database, "Practitioner", set(people.values()))
    return {
        f"PractitionerRole/{id}": shown_name(found[p]) for id, p in people.items() if p in found
    }


def _choice(key: str, row: Any) -> Choice:
    return Choice(
        key,
        either(row["sv"], row["en"]),
        either(row["says_sv"], row["says_en"]),
        bool(row.get("inform")),
    )


def _said(
    h: Held, rules: Any, names: dict[str, str], asked: dict[str, str], own: str
) -> Said:  # fmt: skip
    row = rules["kinds"].get(h.kind)
    how = rules["how"].get(h.how)
    who = rules["who"].get(h.who)
    words = [either(t["sv"], t["en"]) for t in (who, how) if t is not None]
    return Said(
        id=h.id,
        what=either(row["sv"], row["en"]) if row is not None else h.kind,
        whom=", ".join(names.get(p, p) for p in h.parties),
        since=show.day(h.since),
        until=show.day(h.until),
        how=", ".join(words),
        asked=asked.get(h.asked_by, ""),
        mine=h.received == own,
    )
