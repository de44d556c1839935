"""Log review in words: why a case is one, what was done, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sammanhang.access.review.cases import Reason
from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import N_, _, either

ACTIONS = {
    "open": N_("Öppnade journalen"),
    "read": N_("Läste en uppgift"),
    "vread": N_("Läste en äldre version"),
    "history": N_("Läste hur en uppgift har ändrats"),
    "search": N_("Sökte i journalen"),
    "everything": N_("Hämtade hela journalen"),
    "create": N_("Skrev en uppgift"),
    "update": N_("Ändrade en uppgift"),
    "delete": N_("Tog bort en uppgift"),
    "declare": N_("Angav skäl"),
    "refuse": N_("Nekades"),
    "emergency": N_("Nödöppning"),
    "emergency-end": N_("Avslutade nödöppningen"),
    "lift-request": N_("Bad om att en spärr skulle hävas"),
}
"""What a person can have done in a record, as the trace calls it."""

RULES = {
    "R2": N_("pågående vårdrelation"),
    "R3": N_("angivet skäl, ingen vårdrelation"),
    "R6": N_("nödöppning av inre spärr"),
    "R7": N_("ingen patientrelation hos vårdgivaren"),
    "R9": N_("nödöppning"),
    "R16": N_("biståndshandläggare med samtycke"),
}
STATES = {
    "asking": N_("Utreds"),
    "confirm": N_("Ska bekräftas"),
    "done": N_("Avgjort"),
}
STEPS = {
    "outcome": N_("Bedömning"),
    "proposed": N_("Bedömning att bekräfta"),
    "handed-over": N_("Överlämnat"),
    "taken": N_("Övertaget"),
    "reopened": N_("Öppnat igen: något nytt har hittats"),
    "asked": N_("Patienten frågade"),
}


def said(texts: dict[str, Any], key: str) -> str:
    """The words of a key of the content in the reader's language; the key itself when it is not there."""
    found = texts.get(key)
    return either(found["sv"], found["en"]) if found is not None else key


def pattern(key: str) -> str:
    """The name of a pattern."""
    return said(content("rules/log_review")["patterns"], key)


def outcome(key: str) -> str:
    """The name of an outcome; empty without one."""
    return said(content("rules/log_review")["outcomes"], key) if key else ""


def measures(keys: Iterable[str]) -> str:
    """What was done about it, in a sentence."""
    return ", ".join(said(content("rules/log_review")["measures"], key) for key in keys)


def why(reason: Reason) -> str:
    """Why a pattern fits, in a sentence or two."""
    known = content("rules/log_review")["patterns"].get(reason.pattern)
    if known is None:
        return reason.pattern
    texts = known[reason.details.get("by", "why")]
    sentence = either(texts["sv"], texts["en"])
    if "%(" in sentence:
        sentence %= reason.details
    return " ".join(filter(None, [sentence, _more(reason.details)]))


def _more(details: dict[str, Any]) -> str:
    """What was declared: the reason of R3, the grounds of an emergency."""
    if purpose := details.get("purpose"):
        return _("Skäl: %(reason)s.") % {"reason": declared(purpose)}
    if "danger" not in details:
        return ""
    rules = content("rules/emergency")
    grounds = [said(rules["dangers"], details["danger"]), said(rules["unable"], details["unable"])]
    parts = [f"{ground}." for ground in grounds if ground]
    if details.get("said"):
        parts.append(f"”{details['said']}”")
    return " ".join(parts)


def declared(purpose: str) -> str:
    """A declared reason in words."""
    return said(content("rules/reasons")["reasons"], purpose)


def rule(id: str | None) -> str:
    """A rule with what it means: `R2, pågående vårdrelation`."""
    if not id:
        return ""
    return f"{id}, {_(RULES[id])}" if id in RULES else id
