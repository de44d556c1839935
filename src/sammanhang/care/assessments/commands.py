"""Signing an assessment, and voiding one that is wrong: the response and what follows from it, as one act."""

from __future__ import annotations

from typing import Any

from sammanhang import forms
from sammanhang.access.door import Record, Stored
from sammanhang.access.writing import Changes, owner_of
from sammanhang.fhir.indexing import reference_hash, slot
from sammanhang.fhir.r4 import Extension
from sammanhang.forms.drafts import Draft, completed
from sammanhang.forms.extraction import Signed, extract
from sammanhang.forms.remarks import Remark, mark_of, remarks
from sammanhang.kernel import clock
from sammanhang.kernel.errors import (
    Issue,
    PreconditionFailed,
    TextMissing,
    TextTooLong,
    Unprocessable,
)
from sammanhang.work.commands import myself

from .errors import AlreadyVoided, NotYours

WRONG = "entered-in-error"
VOIDED = "http://sammanhang.se/fhir/StructureDefinition/voided"
MOST_REASON = 2000
_DERIVED = slot("Observation.derivedFrom", "reference")
MOST = 500


async def sign(record: Record, draft: Draft, seen: str = "") -> str:
    """Stores the draft as signed, with an Observation for each score it gives; returns the response's id.

    `seen` is the mark of the remarks that who signs has been shown. Raises `AgainstRecord` when the answers go
    against the record in another way, `Unanswered` with every fault when something is missing or wrong, `PreconditionFailed` when somebody
    else changed the draft first, and `Refused` for who may not write. Nothing is kept then.
    """
    faults = [f for f in forms.drafts.faults(draft) if f.severity == "error"]
    if faults:
        raise Unanswered(faults)
    found = await remarks(draft)
    if found and mark_of(found) != seen:
        raise AgainstRecord(found)
    response = completed(draft)
    changes = Changes.by(record)
    if draft.stored is None:
        reference = changes.create(response).reference or ""
    else:
        response.meta = draft.stored.resource.meta
        changes.update(draft.stored, response)
        reference = f"QuestionnaireResponse/{draft.stored.id}"
    author = response.author
    signed = Signed(
        f"Patient/{record.patient_id}", author.reference, author.display or "", response.authored, reference,
        response.encounter.reference if response.encounter is not None else "",
    )  # fmt: skip
    for resource in extract(draft.form, response, signed, draft.contexts):
        changes.create(resource)
    await changes.commit("assessment-sign", form=draft.form.canonical)
    return reference.removeprefix("QuestionnaireResponse/")


async def derived_from(record: Record, id: str) -> list[Stored]:
    """The Observations of a signed assessment; one query."""
    token = reference_hash(f"QuestionnaireResponse/{id}") ^ _DERIVED
    return await record.resources("Observation", limit=MOST, tokens=[[token]])


def may_void(record: Record, response: Any) -> bool:
    """Whether the reader may void it: who writes at the unit that signed, or signed it themselves."""
    a = record.actor.assignment
    if a is None or not record.decision.write or response.status == WRONG:
        return False
    author = response.author.reference if response.author is not None else None
    return owner_of(response) == (a.provider, a.unit) or author == f"PractitionerRole/{a.id}"


async def void(record: Record, stored: Stored, reason: str) -> None:
    """Marks a signed assessment, and what its unit derived from it, as entered in error. The answers stay to be read.

    Raises `AlreadyVoided`, `NotYours`, `TextMissing`, `TextTooLong`.
    """
    response, written = stored.resource, reason.strip()
    if response.status == WRONG:
        raise AlreadyVoided
    if not may_void(record, response):
        raise NotYours
    if not written:
        raise TextMissing
    if len(written) > MOST_REASON:
        raise TextTooLong(MOST_REASON)
    changes, owner = Changes.by(record), owner_of(response)
    response.status = WRONG
    response.extension = [*(response.extension or ()), _voided(record, written)]
    changes.update(stored, response)
    for row in await derived_from(record, stored.id):
        observation = row.resource
        if owner_of(observation) == owner:
            observation.status = WRONG
            changes.update(row, observation)
    try:
        await changes.commit("assessment-void", form=response.questionnaire)
    except PreconditionFailed as e:
        raise AlreadyVoided from e


def _voided(record: Record, reason: str) -> Extension:
    at = clock.now().astimezone(clock.STOCKHOLM).isoformat(timespec="seconds")
    parts = [
        Extension(url="by", valueReference=myself(record.actor)),
        Extension(url="at", valueDateTime=at),
        Extension(url="reason", valueString=reason),
    ]
    return Extension(url=VOIDED, extension=parts)


class Unanswered(Unprocessable):
    """Something in the form is missing or wrong; `issues` say what and where."""

    def __init__(self, faults: list[Issue]) -> None:
        super().__init__(
            "Something in the form is missing or wrong.", "Något i formuläret saknas eller är fel.", issues=tuple(faults),
        )  # fmt: skip


class AgainstRecord(Unprocessable):
    """The record says other than some answers: to be seen before it is signed."""

    def __init__(self, remarks: list[Remark]) -> None:
        super().__init__("The record says otherwise.", "Journalen säger något annat.")
        self.remarks = remarks
