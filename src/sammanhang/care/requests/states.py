"""The states of a care request (vårdbegäran), and what leads from one to another: one table.

A verb that is not in the table for a state and a side is impossible: `step` raises `NotNow`. The table is printed
into docs/reference/care-requests.md by `python -m sammanhang.care.requests.reference`. After the domain dossier,
section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sammanhang.kernel.i18n import N_

from .errors import NotNow

Side = Literal["sender", "receiver"]

STATES: dict[str, str] = {
    "draft": N_("Utkast"),
    "sent": N_("Skickad"),
    "received": N_("Mottagen"),
    "more-information": N_("Väntar på svar på fråga"),
    "accepted": N_("Accepterad"),
    "rejected": N_("Avslagen"),
    "redirected": N_("Skickad vidare"),
    "planned": N_("Planerad"),
    "in-progress": N_("Pågår"),
    "answered": N_("Besvarad"),
    "closed": N_("Avslutad"),
    "withdrawn": N_("Återkallad"),
}
OPEN = ("sent", "received", "more-information", "accepted", "redirected", "planned", "in-progress", "answered")  # fmt: skip
ENDED = ("rejected", "closed", "withdrawn")

# Whose turn it is in each state, and the state of the two FHIR resources others see.
WAITS_ON: dict[str, Side | None] = {
    "draft": "sender", "sent": "receiver", "received": "receiver", "more-information": "sender", "accepted": "receiver",
    "rejected": None, "redirected": "receiver", "planned": "receiver", "in-progress": "receiver", "answered": "sender",
    "closed": None, "withdrawn": None,
}  # fmt: skip
REQUEST_STATUS: dict[str, str] = {
    "draft": "draft", "sent": "active", "received": "active", "more-information": "active", "accepted": "active",
    "rejected": "revoked", "redirected": "active", "planned": "active", "in-progress": "active",
    "answered": "completed", "closed": "completed", "withdrawn": "revoked",
}  # fmt: skip
TASK_STATUS: dict[str, str] = {
    "sent": "requested", "received": "received", "more-information": "on-hold", "accepted": "accepted",
    "rejected": "rejected", "redirected": "requested", "planned": "accepted", "in-progress": "in-progress",
    "answered": "completed", "closed": "completed", "withdrawn": "cancelled",
}  # fmt: skip
# By what rule of content/routing/deadlines the receiver's next step is due; none where it is not the receiver's turn.
DUE: dict[str, str] = {
    "sent": "care-request", "redirected": "care-request", "received": "care-request", "accepted": "care-request-plan",
    "planned": "care-request-answer", "in-progress": "care-request-answer",
}  # fmt: skip
NEXT_STEP: dict[str, str] = {
    "draft": N_("Skriv klart och skicka"),
    "sent": N_("Ta emot"),
    "redirected": N_("Ta emot"),
    "received": N_("Ta ställning"),
    "more-information": N_("Svara på frågan"),
    "accepted": N_("Planera första besöket"),
    "planned": N_("Genomför besöket och svara"),
    "in-progress": N_("Svara"),
    "answered": N_("Läs svaret och avsluta"),
    "rejected": N_("Läs skälet"),
    "closed": N_("Inget mer att göra"),
    "withdrawn": N_("Inget mer att göra"),
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One verb.

    before   the states it leads from
    after    the state it leads to; empty when it stays
    side     who does it
    says     the button
    done     what the story says: `Amira Haddad accepterade`
    text     what must be written: a key of `TEXTS`; empty for nothing
    makes    the work it makes, and for whom: `read:sender`
    """

    before: tuple[str, ...]
    after: str
    side: Side
    says: str
    done: str
    text: str = ""
    makes: tuple[str, ...] = ()


_UNDECIDED = ("sent", "redirected", "received", "more-information")
_AGREED = ("accepted", "planned", "in-progress")
TRANSITIONS: dict[str, Transition] = {
    "send": Transition(("draft",), "sent", "sender", N_("Skicka begäran"), N_("skickade begäran"), makes=("care-request:receiver",)),
    "receive": Transition(("sent", "redirected"), "received", "receiver", N_("Ta emot"), N_("tog emot begäran")),
    "ask": Transition(("sent", "redirected", "received"), "more-information", "receiver", N_("Ställ en fråga"), N_("ställde en fråga"), "question", ("question:sender",)),
    "reply": Transition(("more-information",), "received", "sender", N_("Svara"), N_("svarade på frågan"), "reply"),
    "accept": Transition(_UNDECIDED, "accepted", "receiver", N_("Acceptera"), N_("accepterade begäran")),
    "reject": Transition(_UNDECIDED, "rejected", "receiver", N_("Avslå"), N_("avslog begäran"), "reason", ("read:sender",)),
    "redirect": Transition(_UNDECIDED, "redirected", "receiver", N_("Skicka vidare"), N_("skickade begäran vidare"), "reason", ("care-request:receiver",)),
    "plan": Transition(("accepted", "planned"), "planned", "receiver", N_("Planera första besöket"), N_("planerade första besöket"), makes=("care-request-visit:receiver",)),
    "start": Transition(("accepted", "planned"), "in-progress", "receiver", N_("Påbörja"), N_("påbörjade")),
    "visited": Transition(("in-progress", "answered", "closed"), "", "receiver", N_("Besöket är gjort"), N_("gjorde besöket")),
    "cancel-visit": Transition(("planned", "in-progress", "answered", "closed"), "", "receiver", N_("Ställ in besöket"), N_("ställde in besöket"), "reason"),
    "answer": Transition(_AGREED, "answered", "receiver", N_("Svara och lämna över"), N_("svarade på begäran"), "answer", ("read:sender",)),
    "acknowledge": Transition(("rejected",), "", "sender", N_("Jag har läst skälet"), N_("läste skälet")),
    "close": Transition(("answered",), "closed", "sender", N_("Avsluta"), N_("läste svaret och avslutade")),
    "withdraw": Transition(_UNDECIDED, "withdrawn", "sender", N_("Återkalla"), N_("återkallade begäran"), "reason", ("read:receiver",)),
    "write": Transition((*_UNDECIDED, *_AGREED, "answered"), "", "sender", N_("Skriv meddelande"), N_("skrev"), "message", ("message:receiver",)),
    "write-back": Transition((*_UNDECIDED, *_AGREED, "answered"), "", "receiver", N_("Skriv meddelande"), N_("skrev"), "message", ("message:sender",)),
}  # fmt: skip
TEXTS: dict[str, str] = {
    "question": N_("Vad behöver du veta?"),
    "reply": N_("Ditt svar"),
    "reason": N_("Skäl"),
    "answer": N_("Ditt svar till den som skickade"),
    "message": N_("Meddelande"),
}


def step(verb: str, state: str, side: Side) -> Transition:
    """The transition a verb is in a state. Raises `NotNow` when it is not in the table."""
    found = TRANSITIONS.get(verb)
    if found is None or state not in found.before or found.side != side:
        raise NotNow(verb, state)
    return found


def possible(state: str, side: Side) -> list[str]:
    """The verbs that are possible in a state, from a side."""
    return [v for v, t in TRANSITIONS.items() if t.side == side and state in t.before]
