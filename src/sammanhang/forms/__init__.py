"""Forms: FHIR Questionnaires shown, filled in, checked, prefilled and turned into other resources.

form = await forms.find(database, "downton")
prefilled = await forms.prefill(form, record)
draft = await forms.drafts.open(record, form)
await forms.drafts.save(record, draft, visit.fields)
faults = forms.check(form, response)
shown = forms.view(form, response, faults=faults)
"""

from . import answers, drafts
from .checking import check
from .extraction import extract
from .library import NoSuchForm, find
from .prefill import Filled, prefill
from .questionnaire import Form, form_of
from .show import FormView, view

__all__ = [
    "Filled", "Form", "FormView", "NoSuchForm", "answers", "check", "drafts", "extract", "find", "form_of", "prefill", "view",
]  # fmt: skip
