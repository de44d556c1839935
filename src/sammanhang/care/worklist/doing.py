"""What is done with tasks from the pages: one verb, one task or several, said back in a sentence, and its undoing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from sammanhang.access.staff import resources, shown_name
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, NotFound, SammanhangError
from sammanhang.kernel.i18n import _, either, ngettext
from sammanhang.web.routing import Visit
from sammanhang.web.worklist import worded
from sammanhang.work import commands
from sammanhang.work.states import VERBS

MOST = 60  # tasks one form may name
LONGEST = 2000  # letters of a note or a reason
BY_PEOPLE = ("take", "hand-over", "hand-back", "delegate", "complete", "cancel", "reopen")


class NothingChosen(Invalid):
    """No task was chosen."""

    def __init__(self) -> None:
        super().__init__("Choose at least one task.", "Välj minst en uppgift.")


class TooLong(Invalid):
    """What was written is longer than a note may be."""

    def __init__(self) -> None:
        super().__init__(f"Write at most {LONGEST} letters.", f"Skriv högst {LONGEST} tecken.")


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, as the address of the next page carries it.

    verb    a key of `states.VERBS`; empty for nothing
    tasks   ids of the tasks it was done with
    back    whom a task that was handed over is handed back to by `undo`; empty for the function
    undone  whether this was itself an undoing
    """

    verb: str = ""
    tasks: tuple[str, ...] = ()
    back: str = ""
    undone: bool = False

    def query(self) -> str:
        parts = {"did": self.verb, "task": ",".join(self.tasks), "back": self.back}
        return urlencode({k: v for k, v in parts.items() if v} | ({"undone": "1"} if self.undone else {}))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flash:
    """The quiet line after something was done: the sentence, and the verb that undoes it (empty when none does)."""

    said: str
    undo: str
    tasks: tuple[str, ...]
    to: str


UNDO = {"take": "hand-back", "complete": "reopen", "cancel": "reopen"}


def flash_of(visit: Visit) -> Flash | None:
    """What the page that led here did; None when it did nothing."""
    verb = visit.asked("did")
    ids = tuple(filter(None, visit.asked("task").split(",")))[:MOST]
    if verb not in BY_PEOPLE or not ids or not all(map(_like_an_id, ids)):
        return None
    if visit.asked("undone") == "1":
        return Flash(_("Ångrat."), "", ids, "")
    done = _(VERBS[verb].done)
    said = _("Du %(did)s.") % {"did": done}
    if len(ids) > 1:
        said += " " + ngettext("%(n)s uppgift.", "%(n)s uppgifter.", len(ids)) % {"n": len(ids)}
    back = visit.asked("back")[:100]
    undo = UNDO.get(verb, "")
    if verb == "hand-over" and back:
        undo = "hand-back" if back == "function" else "hand-over"
    return Flash(said, undo, ids, back if undo == "hand-over" else "")


def _like_an_id(text: str) -> bool:
    return len(text) <= 64 and text.replace("-", "").replace(".", "").isalnum()


async def do(visit: Visit, verb: str, id: str) -> None:
    """One verb with one task, with what the form says. Raises what the verb raises, and `NotFound` for no verb."""
    doors, actor, form = visit.services.doors, visit.actor, visit.form
    said, to = form.get("said", "").strip(), form.get("to", "")
    if len(said) > LONGEST:
        raise TooLong
    if verb == "take":
        await commands.take(doors, actor, id, request=visit.id)
    elif verb == "hand-back":
        await commands.hand_back(doors, actor, id, said, request=visit.id)
    elif verb == "hand-over":
        await commands.hand_over(doors, actor, id, to, said, request=visit.id)
    elif verb == "delegate":
        await commands.delegate(doors, actor, id, to, said, request=visit.id)
    elif verb == "complete":
        await commands.complete(doors, actor, id, said, request=visit.id)
    elif verb == "cancel":
        await commands.cancel(doors, actor, id, said, request=visit.id)
    elif verb == "reopen":
        await commands.reopen(doors, actor, id, request=visit.id)
    else:
        raise NotFound("There is no such choice.", "Det valet finns inte.")


async def do_all(visit: Visit, verb: str, ids: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The verb with each task: those it was done with, and what is wrong with the others, each sentence once.

    Raises `NothingChosen`, and what is wrong with all of them alike (`Refused`, `NotFound` for no verb).
    """
    if not ids:
        raise NothingChosen
    done, wrong = [], []
    for id in dict.fromkeys(ids[:MOST]):
        try:
            await do(visit, verb, id)
            done.append(id)
        except (Conflict, Invalid, NotFound) as e:
            if verb not in BY_PEOPLE:
                raise
            wrong.append(sentence(e))
    return tuple(done), list(dict.fromkeys(wrong))


def sentence(e: SammanhangError) -> str:
    """What an error says, in the reader's language."""
    return either(e.sv, e.en)


async def colleagues(visit: Visit) -> list[tuple[str, str]]:
    """Who a task may be handed to at the unit: assignment, and name with role, by name. The reader is left out."""
    database, at = visit.services.database, visit.actor.assignment
    there = await commands.colleagues(visit.services.doors, at.unit if at is not None else "")
    people = await resources(database, "Practitioner", {c.practitioner for c in there})
    database.queries += 2
    found = [
        (c.assignment, f"{shown_name(people[c.practitioner])}, {c.role_text.lower()}")
        for c in there
        if c.practitioner in people and (at is None or c.assignment != at.id)
    ]
    return sorted(found, key=lambda c: c[1])


def functions() -> list[tuple[str, str]]:
    """The functions a task may be handed to: what a form sends, and the word."""
    known = content("routing/functions")["functions"]
    return [(f"function:{key}", worded(known, key)) for key in known]
