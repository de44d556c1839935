"""$validate: a resource against its type, and the profiles it names or is asked about."""

from __future__ import annotations

from typing import Any

from sammanhang.fhir.decode import encode, raw
from sammanhang.kernel.errors import Invalid, Issue
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING

from . import gate
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
    if isinstance(document, dict):
        claimed = document.get("meta", {})
        claimed = claimed.get("profile", []) if isinstance(claimed, dict) else []
        wanted = [*profiles, *(p for p in claimed if isinstance(p, str))]
        definitions = Definitions()
        await _stored(fr, definitions, wanted)
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


async def _stored(fr: FhirRequest, definitions: Any, profiles: list[str]) -> None:
    """Feeds the validator definitions that were loaded into the record: profiles and what they use."""
    seen: set[str] = set()
    todo = [p.split("|")[0] for p in profiles]
    async with fr.services.database.reading(EVERYTHING) as connection:
        for _ in range(6):  # profiles on profiles, extensions and value sets of theirs
            todo = [u for u in dict.fromkeys(todo) if u not in seen]
            if not todo:
                return
            seen |= set(todo)
            bodies = await store.definitions(connection, todo)
            todo = []
            for body in bodies:
                document = raw(body)
                definitions.add(document)
                todo += _used(document)


def _used(document: dict[str, Any]) -> list[str]:
    """Canonical URLs a definition builds on."""
    found = [document.get("baseDefinition", "")]
    for e in document.get("snapshot", {}).get("element", []):
        for t in e.get("type", []):
            found += [*t.get("profile", []), *t.get("targetProfile", [])]
        found.append(e.get("binding", {}).get("valueSet", ""))
    for include in document.get("compose", {}).get("include", []):
        found += [include.get("system", ""), *include.get("valueSet", [])]
    core = "http://hl7.org/fhir/"
    return [u.split("|")[0] for u in found if u and not u.startswith(core)]
