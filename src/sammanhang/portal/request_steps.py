"""The way of a care request as a line of steps: what is done, by whom and when, where it is now, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sammanhang.care.requests.doing import VERB
from sammanhang.care.requests.request import Around
from sammanhang.work.units import Units

from .request_words import Plain, Reader, day_and_time, kind_texts, name_and_role, said, texts

Mark = Literal["done", "now", "ahead", "stopped"]
# What each act is as a step. Messages between staff are none; that a question was answered is.
STEP = {
    "send": "sent", "redirect": "redirected", "receive": "received", "reply": "question", "accept": "decided",
    "reject": "refused", "plan": "planned", "start": "started", "answer": "answered", "close": "closed",
    "withdraw": "withdrawn",
}  # fmt: skip
ORDER = (*STEP.values(),)
AHEAD: dict[str, tuple[str, ...]] = {
    "sent": ("received", "decided", "planned", "end"),
    "redirected": ("received", "decided", "planned", "end"),
    "received": ("decided", "planned", "end"),
    "more-information": ("question", "decided", "planned", "end"),
    "accepted": ("planned", "end"),
    "planned": ("answered", "end"),
    "in-progress": ("answered", "end"),
    "answered": ("closed",),
}
# What must have happened in a state, also where the act itself may not be read.
BEHIND: dict[str, tuple[str, ...]] = {
    "redirected": ("redirected",), "received": ("received",), "accepted": ("decided",), "rejected": ("refused",),
    "planned": ("decided", "planned"), "in-progress": ("decided",), "answered": ("decided", "answered"),
    "closed": ("decided", "answered", "closed"), "withdrawn": ("withdrawn",),
}  # fmt: skip
DECISIONS = ("accept", "reject", "withdraw")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, how far it is, who did it and when, and the reason that was given; may be empty."""

    says: str
    mark: Mark
    who: str
    at: str
    words: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided: in a word, `no` when the answer is no, by whom, when, and in what words."""

    says: str
    no: bool
    who: str
    at: str
    words: str


def steps_of(found: Around, units: Units, reader: Reader, plain: Plain) -> tuple[Step, ...]:
    """The steps from the sending to the end; the first that is left is the one it is at now."""
    done = _done(found, units, reader)
    for step in BEHIND.get(plain.state, ()):
        if step not in [key for key, _s in done]:
            later = [i for i, (key, _s) in enumerate(done) if ORDER.index(key) > ORDER.index(step)]
            done.insert(later[0] if later else len(done), (step, _step(step, "done")))
    left = list(AHEAD.get(plain.state, ()))
    if not kind_texts(found.request)["plans"]:
        left = [step for step in left if step != "planned"]
    if plain.visit:
        left = ["visit", "end"]
    ahead = [_step(step, "now" if n == 0 else "ahead", at=plain.visit if step == "visit" else "") for n, step in enumerate(left)]  # fmt: skip
    return (*(step for _key, step in done), *ahead)


def decided_of(found: Around, units: Units, reader: Reader) -> Decided | None:
    """The last decision that may be read: yes, no or taken back; None when there is none."""
    for stored in reversed(found.acts):
        verb = verb_of(stored.resource)
        if verb in DECISIONS:
            who, words = _who(stored.resource, units, reader), _reason(stored.resource, reader)
            says = said(texts()["steps"][STEP[verb]]["done"])
            return Decided(says, verb == "reject", who, stored.resource.recorded, words)
    return None


def verb_of(act: Any) -> str:
    """The verb a Provenance tells of; empty for none of ours."""
    codings = (act.activity.coding if act.activity is not None else None) or ()
    return next((c.code for c in codings if c.system == VERB and c.code), "")


def _done(found: Around, units: Units, reader: Reader) -> list[tuple[str, Step]]:
    """What has been done, oldest first: of a visit planned anew the last time alone."""
    verbs = [verb_of(s.resource) for s in found.acts]
    last_plan = max((n for n, verb in enumerate(verbs) if verb == "plan"), default=-1)
    lines = []
    for n, (verb, stored) in enumerate(zip(verbs, found.acts, strict=True)):
        if verb not in STEP or (verb == "plan" and n != last_plan):
            continue
        act = stored.resource
        mark: Mark = "stopped" if verb in ("reject", "withdraw") else "done"
        reason = _reason(act, reader) if verb == "redirect" else ""
        lines.append((STEP[verb], _step(STEP[verb], mark, _who(act, units, reader), act.recorded, reason)))  # fmt: skip
    if "send" not in verbs:
        r = found.request
        who = (
            name_and_role(r.requester.display)
            if r.requester is not None and not reader.masked
            else ""
        )
        lines.insert(0, ("sent", _step("sent", "done", who, r.authoredOn or "")))
    return lines


def _step(key: str, mark: Mark, who: str = "", at: str = "", words: str = "") -> Step:
    text = texts()["steps"][key]["done" if mark in ("done", "stopped") else "ahead"]
    shown = day_and_time(at) if at else ""
    return Step(said(text), mark, who, shown, words)


def _who(act: Any, units: Units, reader: Reader) -> str:
    """Name, role and unit of who did it."""
    if reader.masked or not act.agent:
        return ""
    agent = act.agent[0]
    unit = (agent.onBehalfOf.reference or "") if agent.onBehalfOf is not None else ""
    named = units.name(unit.removeprefix("Organization/")) if unit else ""
    who = name_and_role(agent.who.display) if agent.who is not None else ""
    return ", ".join(filter(None, (who, named)))


def _reason(act: Any, reader: Reader) -> str:
    return "" if reader.masked else next((c.text for c in act.reason or () if c.text), "")
