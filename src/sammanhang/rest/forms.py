"""Questionnaire/$populate and QuestionnaireResponse/$extract (SDC), and what $validate says of answers.

Source: http://hl7.org/fhir/uv/sdc/OperationDefinition-Questionnaire-populate.html and
…/OperationDefinition-QuestionnaireResponse-extract.html. Neither stores anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sammanhang import forms
from sammanhang.fhir.decode import decode, encode, raw
from sammanhang.fhir.fhirpath import plain
from sammanhang.forms.contexts import gather
from sammanhang.forms.extraction import Signed
from sammanhang.forms.prefill import filled
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Invalid, Issue, NotFound, Unprocessable
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING

from . import gate
from .outcome import outcome
from .request import Answer, FhirRequest

_encoder = msgspec.json.Encoder(decimal_format="number")


async def populate(fr: FhirRequest, id: str | None) -> Answer:
    """POST Questionnaire/$populate or Questionnaire/id/$populate: a response filled in from the subject's record.

    Parameters: `questionnaire`, `canonical` or `questionnaireRef` where the path names none; `subject` (a patient).
    The record is opened through the door, and a token's scopes narrow what is read of it.
    """
    given = await _parameters(fr)
    form = await _form(fr, id, given)
    subject = _value(given.get("subject"))
    reference = str((subject or {}).get("reference") or "") if isinstance(subject, dict) else ""
    kind, _sign, patient = reference.removeprefix(fr.base + "/").partition("/")
    if kind != "Patient" or not patient:
        raise Invalid(
            "The parameter 'subject' names a patient.", "Parametern ”subject” anger en patient."
        )
    record = await gate.opened(fr, patient)
    if not gate.lets(fr, "Patient", encode(record.patient), "r"):
        raise gate.outside_scopes()
    found = await gather(form, record, lets=lambda row: gate.lets(fr, row.type, row.body, "r"))
    tree = filled(form, found, subject=f"Patient/{patient}")
    told = tree.element(enabled_only=False)
    told["authored"] = clock.now().astimezone(clock.STOCKHOLM).isoformat(timespec="seconds")
    parts: list[dict[str, Any]] = [{"name": "response", "resource": told}]
    notes = [Issue("incomplete", "", n, n, "information") for n in (*found.notes, *tree.notes)]
    if notes:
        parts.append({"name": "issues", "resource": raw(encode(outcome(notes, fr.swedish)))})
    await fr.services.audit.record(gate.entry(fr, "populate", f"Patient/{patient}", count=1))
    return Answer(200, _encoder.encode({"resourceType": "Parameters", "parameter": parts}))


async def extract(fr: FhirRequest, id: str | None) -> Answer:
    """POST QuestionnaireResponse/$extract or …/id/$extract: the resources the answers give, as a transaction bundle.

    Parameters: `questionnaire-response` where the path names none; `questionnaire` for a form that is not here.
    """
    given = await _parameters(fr)
    told = (given.get("questionnaire-response") or {}).get("resource")
    if id is not None:
        scope = await gate.scope_for(fr, "QuestionnaireResponse", id)
        async with fr.services.database.reading(scope) as connection:
            version = await store.read(connection, "QuestionnaireResponse", id)
        if version is None or version.body is None or not gate.lets(fr, "QuestionnaireResponse", version.body, "r"):  # fmt: skip
            raise gate.absent("QuestionnaireResponse", id)
        told = raw(version.body)
    if not isinstance(told, dict):
        raise Invalid("The parameter 'questionnaire-response' is missing.", "Parametern ”questionnaire-response” saknas.")  # fmt: skip
    response = plain(decode(_encoder.encode(told), "QuestionnaireResponse"))
    form = await _form(fr, None, given, response.get("questionnaire"))
    author, subject = response.get("author") or {}, response.get("subject") or {}
    signed = Signed(
        str(subject.get("reference") or ""), str(author.get("reference") or ""), str(author.get("display") or ""),
        str(response.get("authored") or clock.now().isoformat(timespec="seconds")),
        f"QuestionnaireResponse/{response.get('id') or 'response'}",
        str((response.get("encounter") or {}).get("reference") or ""),
    )  # fmt: skip
    try:
        made = forms.extract(form, response, signed)
    except msgspec.ValidationError as e:
        raise Unprocessable(f"The form makes something that is no resource: {e}", f"Formuläret ger något som inte är en resurs: {e}") from e  # fmt: skip
    entries = []
    for r in made:
        name = type(r).__name__
        element = {
            "resourceType": name,
            **{k: v for k, v in plain(r).items() if k not in ("id", "resourceType")},
        }
        entries.append({"resource": element, "request": {"method": "POST", "url": name}})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction"}
    if entries:
        bundle["entry"] = entries
    await fr.services.audit.record(
        gate.entry(fr, "extract", f"QuestionnaireResponse/{id or '$extract'}", count=len(entries))
    )
    return Answer(200, _encoder.encode(bundle))


async def faults(fr: FhirRequest, response: dict[str, Any]) -> list[Issue]:
    """What is wrong with a response by its form, for $validate; a draft may lack answers. Unknown forms are said."""
    canonical = response.get("questionnaire")
    if not isinstance(canonical, str):
        return []
    try:
        form = await forms.find(fr.services.database, canonical)
    except NotFound as e:
        return [Issue("not-found", "QuestionnaireResponse.questionnaire", e.sv, e.en, "warning")]
    found = forms.check(form, response, strict=True)
    if response.get("status") not in ("completed", "amended"):
        found = [f for f in found if f.code != "required"]
    return [
        Issue(f.code, f"QuestionnaireResponse.descendants().where(linkId = '{_link(f.expression)}')", f"{_link(f.expression)}: {f.sv}", f"{_link(f.expression)}: {f.en}", f.severity)
        for f in found
    ]  # fmt: skip


def _link(expression: str) -> str:
    """The linkId at the end of a place: `g[0].x` is `x`."""
    return (
        expression.rpartition("].")[2]
        if "]." in expression
        else expression.partition("[")[0] or expression
    )


async def _parameters(fr: FhirRequest) -> dict[str, dict[str, Any]]:
    """The parameters sent, by name; none for no body."""
    if not await fr.body():
        return {}
    fr.check_json()
    try:
        document = raw(await fr.body())
    except ValueError:
        raise Invalid("The body is not JSON.", "Innehållet är inte JSON.") from None
    if not isinstance(document, dict) or document.get("resourceType") != "Parameters":
        if isinstance(document, dict) and document.get("resourceType") == "QuestionnaireResponse":
            return {"questionnaire-response": {"resource": document}}
        raise Invalid("Send a Parameters resource.", "Skicka en Parameters-resurs.")
    some = document.get("parameter")
    return {str(p.get("name")): p for p in some or () if isinstance(p, dict)}


def _value(parameter: dict[str, Any] | None) -> Any:
    return next((v for k, v in (parameter or {}).items() if k.startswith("value")), None)


async def _form(
    fr: FhirRequest, id: str | None, given: dict[str, dict[str, Any]], canonical: Any = None
) -> forms.Form:
    """The form an operation is about: sent along, of the path, or by its address. Raises `NotFound`, `Invalid`."""
    sent = (given.get("questionnaire") or {}).get("resource")
    if isinstance(sent, dict):
        decode(_encoder.encode(sent), "Questionnaire")
        return forms.form_of(sent)
    reference = _value(given.get("questionnaireRef"))
    if id is None and isinstance(reference, dict):
        id = str(reference.get("reference") or "").rpartition("/")[2]
    if id is not None:
        async with fr.services.database.reading(EVERYTHING) as connection:
            version = await store.read(connection, "Questionnaire", id)
        if version is not None and version.body is not None:
            return forms.form_of(raw(version.body))
        return await forms.find(fr.services.database, id)
    name = _value(given.get("canonical")) or canonical
    if not isinstance(name, str) or not name:
        raise Invalid("The questionnaire is missing.", "Formuläret saknas.")
    return await forms.find(fr.services.database, name)
