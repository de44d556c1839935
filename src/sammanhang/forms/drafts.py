"""Drafts: a form being filled in, as a QuestionnaireResponse in progress in the record, saved as one types.

A draft belongs to a patient, a form, what it is about, and the unit that writes it: a colleague goes on where one
left. Nothing typed is lost: what cannot be read is kept as it was typed, answers to what is no longer asked stay
until the form is signed, what two have written in different places stands side by side, and a save that would
write over a colleague's answer says so instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import encode, raw
from sammanhang.fhir.fhirpath import plain
from sammanhang.fhir.indexing import coded, hash64, slot
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Conflict, Issue, PreconditionFailed
from sammanhang.kernel.i18n import _
from sammanhang.store import read as store
from sammanhang.web import show as looks

from .answers import Fields, read_tree
from .calculating import settle
from .checking import check_tree
from .contexts import gather
from .files import Files, take
from .prefill import filled, sources_of
from .questionnaire import Form
from .show import FormView, view_tree
from .sources import Source
from .tree import PREFIX, Node, Tree, structure, tree_of
from .urls import ABOUT, said

IN_PROGRESS = coded("http://hl7.org/fhir/questionnaire-answers-status", "in-progress")[1] ^ slot("QuestionnaireResponse.status", "token")  # fmt: skip
_FORM = slot("QuestionnaireResponse.questionnaire", "reference")
_BASED_ON = ("ServiceRequest", "CarePlan")
VERSION, ABOUT_MARK, OVERWRITE = "~version", "~about", "~overwrite"


class DraftChanged(Conflict):
    """A colleague has changed the same answer since the page was shown; nothing was written over.

    `who` and `at` say who and when; `typed` is what the page had, as a response.
    """

    def __init__(self, who: str, at: str, typed: Any) -> None:
        super().__init__(
            f"{who} has saved in the same draft at {at}. What you typed is still here and is not saved yet.",
            f"{who} har sparat i samma utkast {at}. Det du skrev finns kvar här och är inte sparat än.",
        )
        self.who = who
        self.at = at
        self.typed = typed


class DraftGone(Conflict):
    """The draft the page shows has been signed or thrown away since; `typed` is what the page had."""

    def __init__(self, typed: Any) -> None:
        super().__init__(
            "The draft has been signed or thrown away since the page was opened. Nothing was saved.",
            "Utkastet har signerats eller kastats sedan sidan öppnades. Inget har sparats.",
        )
        self.typed = typed


@dataclass(frozen=True)
class Draft:
    """A form being filled in for a patient.

    response  the QuestionnaireResponse as it is; `stored` the version in the record, None before the first save
    about     what it is about: `ServiceRequest/…`; empty for the patient as such
    sources   where prefilled answers came from, by linkId
    contexts  what the form's expressions were given
    refused   files that came with the latest save and were not taken, and why
    """

    form: Form
    record: Record = field(repr=False)
    response: Any
    stored: Stored | None = None
    about: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)
    contexts: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[Issue, ...] = ()

    @property
    def saved(self) -> str:
        """`14:05`; empty when it is not saved."""
        return looks.time(self.stored.updated.isoformat()) if self.stored is not None else ""

    @property
    def marks(self) -> tuple[tuple[str, str], ...]:
        """Hidden fields that a page with this draft carries, without the form's prefix."""
        version = str(self.stored.version) if self.stored is not None else "0"
        return ((VERSION, version), (ABOUT_MARK, self.about))

    @property
    def by(self) -> str:
        """Who saved it last, in words."""
        author = self.response.author
        return (author.display or "") if author is not None else ""


async def open(record: Record, form: Form, about: str | None = None) -> Draft:
    """The latest draft of the person's unit for this patient, form and thing; else a new one, prefilled, not stored.

    At most one query for the draft and three for what a new one is prefilled with.
    """
    stored = await find(record, form, about or "")
    if stored is not None:
        given = await gather(form, record, initial=False)
        tree = tree_of(form, raw(stored.body))
        return Draft(
            form, record, stored.resource, stored, about or "", sources_of(tree), given.contexts
        )
    given = await gather(form, record)
    tree = filled(form, given, subject=f"Patient/{record.patient_id}")
    response = structure(_headed(tree.element(enabled_only=False), record, form, about or ""))
    return Draft(form, record, response, None, about or "", sources_of(tree), given.contexts)


async def find(record: Record, form: Form, about: str = "") -> Stored | None:
    """The newest draft of the person's unit; None without."""
    a = record.actor.assignment
    if a is None:
        return None
    rows = await record.resources("QuestionnaireResponse", limit=50, tokens=[[IN_PROGRESS], [hash64(form.url) ^ _FORM]])  # fmt: skip
    unit = await record.doors.database.party(a.unit)
    mine = [r for r in rows if r.unit == unit and about_of(r.resource) == about]
    return max(mine, key=lambda r: r.updated, default=None)


def about_of(response: Any) -> str:
    """What a response is about; empty for the patient as such."""
    told = plain(response) if not isinstance(response, dict) else response
    for b in told.get("basedOn") or ():
        return str(b.get("reference") or "")
    other = said(told, ABOUT)
    return str(other.get("reference") or "") if isinstance(other, dict) else ""


def _headed(told: dict[str, Any], record: Record, form: Form, about: str) -> dict[str, Any]:
    """With whose it is, who wrote it, when, and what it is about."""
    a, actor = record.actor.assignment, record.actor
    told["questionnaire"] = form.canonical
    told["subject"] = {"reference": f"Patient/{record.patient_id}"}
    told["authored"] = clock.now().astimezone(clock.STOCKHOLM).isoformat(timespec="seconds")
    who = f"PractitionerRole/{a.id}" if a is not None else actor.id
    told["author"] = {"reference": who, "display": f"{actor.name}, {a.role_text.lower()}" if a is not None else actor.name}  # fmt: skip
    kind = about.partition("/")[0]
    told["extension"] = [e for e in told.get("extension") or () if e.get("url") != ABOUT]
    if kind in _BASED_ON:
        told["basedOn"] = [{"reference": about}]
    elif about:
        told["extension"].append({"url": ABOUT, "valueReference": {"reference": about}})
    if not told["extension"]:
        del told["extension"]
    return told


def typed(draft: Draft, fields: Fields, prefix: str = PREFIX) -> tuple[Draft, Tree]:
    """The draft with what stands in a page's fields, not stored; and the same as a tree."""
    tree = read_tree(draft.form, fields, prefix, before=draft.response, contexts=draft.contexts)
    told = _headed(tree.element(enabled_only=False), draft.record, draft.form, draft.about)
    return replace(draft, response=structure(told), sources=sources_of(tree)), tree


async def save(
    record: Record, draft: Draft, fields: Fields, prefix: str = PREFIX, *, files: Files = ()
) -> Draft:
    """Stores what stands in a page's fields as the draft; returns it with its new version.

    What is no different from before is not stored anew; what was saved since the page was shown is kept beside it.
    `files` that came with the
    page are stored with it, or said why not (`Draft.refused`). Raises `DraftChanged` when a colleague has changed
    the same answer meanwhile, `DraftGone` when it has been signed, and `Refused` for who may not write.
    """
    given = list(fields)
    changes = Changes.by(record)
    fresh, tree = typed(draft, given, prefix)
    refused = await take(tree, files, changes, record)
    fresh = replace(fresh, refused=tuple(refused))
    fresh = await _beside(draft, (fresh, tree), dict(given), prefix)
    if changes.rows:
        told = _headed(tree.element(enabled_only=False), record, draft.form, draft.about)
        fresh = replace(fresh, response=structure(told))
    if draft.stored is not None and _same(draft.response, fresh.response):
        return replace(fresh, stored=draft.stored, response=draft.response)
    if draft.stored is None:
        changes.create(fresh.response)
    else:
        fresh.response.meta = draft.stored.resource.meta
        changes.update(draft.stored, fresh.response)
    try:
        await changes.commit("form-draft", form=draft.form.canonical)
    except PreconditionFailed as e:
        raise DraftChanged(_("En kollega"), looks.time(clock.now()), fresh.response) from e
    row = changes.rows[-1]
    stored = Stored(
        "QuestionnaireResponse", row.id, row.version, row.updated, None, None, row.body or b""
    )
    return replace(fresh, stored=stored)


async def ready(draft: Draft, fields: Fields, prefix: str = PREFIX) -> Draft:
    """The draft with what stands in a page's fields, to be signed now instead of saved.

    Raises `DraftChanged` and `DraftGone` as `save` does.
    """
    given = list(fields)
    return await _beside(draft, typed(draft, given, prefix), dict(given), prefix)


async def _beside(
    draft: Draft, mine: tuple[Draft, Tree], told: dict[str, str], prefix: str
) -> Draft:
    """What the page has, with what was saved since it was shown (in another tab, by a colleague): answers the page
    has not changed are taken from there. Raises `DraftChanged` when a colleague has changed the same answer, and
    `DraftGone` when the draft is no longer there."""
    fresh, tree = mine
    shown = told.get(f"{prefix}{VERSION}")
    if draft.stored is None:
        if shown not in (None, "0"):
            raise DraftGone(fresh.response)
        return fresh
    if shown is None or shown == str(draft.stored.version) or not shown.isdigit():
        return fresh
    before = await _version(draft, int(shown))
    base, theirs = tree_of(draft.form, before, prefix), tree_of(draft.form, draft.response, prefix)
    clash = _merge(tree, base, theirs)
    author = draft.response.author
    other = author is None or author.reference != fresh.response.author.reference
    if clash and other and told.get(f"{prefix}{OVERWRITE}") != "yes":
        raise DraftChanged(draft.by, draft.saved, fresh.response)
    told_ = _headed(
        settle(tree, draft.contexts).element(enabled_only=False),
        draft.record,
        draft.form,
        draft.about,
    )
    return replace(fresh, response=structure(told_), sources=sources_of(tree))


async def _version(draft: Draft, version: int) -> Any:
    """An earlier version of the draft as plain values; None when there is none, as before its first save."""
    assert draft.stored is not None
    database = draft.record.doors.database
    async with database.reading(draft.record.scope) as connection:
        database.queries += 1
        found = await store.vread(connection, "QuestionnaireResponse", draft.stored.id, version)
    return raw(found.body) if found is not None and found.body is not None else None


def _merge(mine: Tree, base: Tree, theirs: Tree) -> bool:
    """Takes answers from `theirs` where the page's are those of `base`; whether both changed the same one."""
    was = {n.name: _answers(n) for n in base.all()}
    now = {n.name: n for n in theirs.all()}
    clash = False
    for node in mine.all():
        other = now.get(node.name)
        if other is None or _answers(other) == was.get(node.name, []):
            continue
        if _answers(node) == was.get(node.name, []):
            node.answers = other.answers
        elif _answers(node) != _answers(other):
            clash = True
    return clash


def _answers(node: Node) -> list[Any]:
    return [(a.kind, a.value, a.typed) for a in node.answers if a.there]


def _same(a: Any, b: Any) -> bool:
    one, other = raw(encode(a)), raw(encode(b))
    for told in (one, other):
        for name in ("authored", "meta", "id"):
            told.pop(name, None)
    return bool(one == other)


def show(
    draft: Draft, *, faults: Iterable[Issue] = (), searched: Mapping[str, str] | None = None,
    prefix: str = PREFIX, checked: bool = False,
) -> FormView:  # fmt: skip
    """The page's view of a draft: saved as one types, with when it was saved last. `checked` once somebody has
    tried to sign it: from then on what is missing is said at its place."""
    tree = settle(tree_of(draft.form, draft.response, prefix), draft.contexts)
    marks = [*draft.marks, ("~form", draft.form.name or draft.form.canonical)]
    if checked:
        marks.append(("~checked", "yes"))
    return view_tree(
        tree, faults=faults, searched=searched, save=f"/patients/{draft.record.patient_id}/forms/draft",
        saved=_("Utkast sparat %(time)s") % {"time": draft.saved} if draft.stored is not None else "",
        marks=[(f"{prefix}{name}", value) for name, value in marks],
    )  # fmt: skip


def faults(draft: Draft) -> list[Issue]:
    """What must be right before the draft can be signed."""
    tree = settle(tree_of(draft.form, draft.response), draft.contexts)
    return [*check_tree(tree, draft.contexts), *draft.refused]


def completed(draft: Draft) -> Any:
    """The response to be signed: what is asked and answered, nothing else, status completed."""
    tree = settle(tree_of(draft.form, draft.response), draft.contexts)
    told = _headed(tree.element(final=True), draft.record, draft.form, draft.about)
    told["status"] = "completed"
    return structure(told)


async def discard(record: Record, draft: Draft) -> None:
    """Stops a draft: it is no longer offered; its versions stay in the history."""
    if draft.stored is None:
        return
    response = draft.stored.resource
    response.status = "stopped"
    changes = Changes.by(record)
    changes.update(draft.stored, response)
    await changes.commit("form-discard", form=draft.form.canonical)
