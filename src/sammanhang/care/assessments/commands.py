"""Signing an assessment: the response and what follows from it, stored as one act."""

from __future__ import annotations

from sammanhang import forms
from sammanhang.access.door import Record
from sammanhang.access.writing import Changes
from sammanhang.forms.drafts import Draft, completed
from sammanhang.forms.extraction import Signed, extract
from sammanhang.kernel.errors import Issue, Unprocessable


async def sign(record: Record, draft: Draft) -> str:
    """Stores the draft as signed, with an Observation for each score it gives; returns the response's id.

    Raises `Unprocessable` with every fault when something is missing or wrong, `PreconditionFailed` when somebody
    else changed the draft first, and `Refused` for who may not write. Nothing is kept then.
    """
    faults = [f for f in forms.drafts.faults(draft) if f.severity == "error"]
    if faults:
        raise Unanswered(faults)
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


class Unanswered(Unprocessable):
    """Something in the form is missing or wrong; `issues` say what and where."""

    def __init__(self, faults: list[Issue]) -> None:
        super().__init__(
            "Something in the form is missing or wrong.", "Något i formuläret saknas eller är fel.", issues=tuple(faults),
        )  # fmt: skip
