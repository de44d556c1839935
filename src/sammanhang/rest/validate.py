"""$validate: a resource against its type, and the profiles it names or is asked about."""

from __future__ import annotations

from sammanhang.fhir.decode import encode, raw
from sammanhang.kernel.errors import Invalid, Issue

from . import gate
from .definitions import stored
from .forms import faults
from .outcome import outcome
from .request import Answer, FhirRequest


async def validate(fr: FhirRequest, type_name: str | None, id: str | None) -> Answer:
    """POST $validate, on the base, a type or an instance; always 200 with an OperationOutcome.

    The body is the resource, or Parameters with `resource`, `profile` and `mode`.
    """
    from sammanhang.fhir.validator import Definitions, explain_bytes
    from sammanhang.fhir.validator import validate as run

    fr.check_json()
    body = await fr.body()
    profiles = [v for k, v in fr.pairs if k == "profile"]
    target = body
    if b'"Parameters"' in body[:4000] and type_name != "Parameters":
        target, more = _from_parameters(body)
        profiles += more
    issues: list[Issue] = list(explain_bytes(target, type_name))
    try:
        document = raw(target)
    except ValueError:
        document = None
    if isinstance(document, dict) and document.get("resourceType") == "QuestionnaireResponse":
        issues += await faults(fr, document)
    if isinstance(document, dict):
        claimed = document.get("meta", {})
        claimed = claimed.get("profile", []) if isinstance(claimed, dict) else []
        wanted = [*profiles, *(p for p in claimed if isinstance(p, str))]
        definitions = Definitions()
        await stored(fr, definitions, wanted)
        if wanted:
            seen = {(i.code, i.expression, i.en) for i in issues}
            issues += [
                i
                for i in run(document, wanted, definitions=definitions)
                if (i.code, i.expression, i.en) not in seen
            ]
    await fr.services.audit.record(
        gate.entry(fr, "validate", f"{type_name or ''}/$validate", count=len(issues))
    )
    return Answer(200, encode(outcome(issues, fr.swedish)))


def _from_parameters(body: bytes) -> tuple[bytes, list[str]]:
    import msgspec

    try:
        document = raw(body)
        parts = {p["name"]: p for p in document.get("parameter", [])}
        resource = parts["resource"]["resource"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Invalid(
            "The parameter 'resource' is missing.", "Parametern ”resource” saknas."
        ) from None
    found = [
        v
        for k, v in parts.get("profile", {}).items()
        if k.startswith("value") and isinstance(v, str)
    ]
    return msgspec.json.Encoder(decimal_format="number").encode(resource), found
