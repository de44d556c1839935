"""What was done and said in a request, in the order it happened."""

from __future__ import annotations

from dataclasses import dataclass

from sammanhang.access.door import Record
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _
from sammanhang.web import show
from sammanhang.web.worklist import worded
from sammanhang.work.tasks import Up, ups_of
from sammanhang.work.units import Units

from . import request as fhir
from .request import Around
from .states import TRANSITIONS


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the story: when, who, what they did, at which unit, what they wrote; `message` for conversation."""

    at: str
    who: str
    unit: str
    did: str
    words: str
    message: bool
    ours: bool


def story_of(found: Around, record: Record, units: Units) -> tuple[Happened, ...]:
    """Acts, messages and steps up together, oldest first. A question and its reply stand as what was said."""
    own = record.actor.assignment.unit if record.actor.assignment is not None else ""
    lines = []
    for stored in found.acts:
        p = stored.resource
        verb = p.activity.coding[0].code if p.activity is not None and p.activity.coding else ""
        if verb in ("write", "write-back", "ask", "reply"):
            continue  # their messages stand for them
        agent = p.agent[0]
        unit = (
            (agent.onBehalfOf.reference or "").removeprefix("Organization/")
            if agent.onBehalfOf
            else ""
        )
        did = _(TRANSITIONS[verb].done) if verb in TRANSITIONS else verb
        more = p.activity.text if p.activity is not None else ""
        if verb == "plan" and more:
            did = f"{did}: {show.when(more)}"
        elif verb in ("send", "redirect") and more:
            did = _("%(did)s till %(unit)s") % {"did": did, "unit": more}
        elif more:
            did = f"{did}: {more}"
        words = next((c.text for c in p.reason or () if c.text), "")
        lines.append(
            Happened(
                p.recorded,
                agent.who.display or "",
                units.name(unit),
                did,
                words,
                False,
                unit == own,
            )
        )
    for stored in found.messages:
        m = stored.resource
        to = next((x.reference or "" for x in m.recipient or ()), "").removeprefix("Organization/")
        who = (m.sender.display or "") if m.sender is not None else ""
        said = next((x.contentString for x in m.payload or () if x.contentString), "")
        from_unit = (
            fhir.sender_of(found.request)[1]
            if to == fhir.receiver_of(found.request)
            else fhir.receiver_of(found.request)
        )
        lines.append(
            Happened(
                m.sent or "", who, units.name(from_unit), "", said, True, to != own and bool(own)
            )
        )
    lines += [_went_up(u, units) for t in found.tasks for u in ups_of(t.resource)]
    return tuple(sorted(lines, key=lambda h: h.at))


def _went_up(up: Up, units: Units) -> Happened:
    """A reminder goes to whose work it is, a step further up to those the step is for."""
    functions, steps = content("routing/functions")["functions"], content("routing/deadlines")["steps"]  # fmt: skip
    reminder = up.step == "reminder"
    whom = worded(functions, up.function) if reminder else worded(steps, up.step)
    did = _("påminde: %(whom)s") if reminder else _("tog det ett steg upp: %(whom)s")
    return Happened(up.at, "Sammanhang", units.name(up.unit), did % {"whom": whom}, "", False, False)  # fmt: skip
