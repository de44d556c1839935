"""What expressions may ask of a patient's record: named collections, each fetched only when a form names it.

Everything comes through the open record, so an expression sees what its reader may see and nothing else. Which
names there are, with examples: README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sammanhang.access.door import Record, Stored
from sammanhang.fhir.decode import raw
from sammanhang.fhir.fhirpath import plain
from sammanhang.kernel.i18n import N_
from sammanhang.web.parties import names_of

from .expressions_of import QUERY, Expression
from .query import answer, asked_type
from .questionnaire import Form
from .urls import SDC, extensions, value_of

Test = Callable[[dict[str, Any]], bool]
# Rows of each kind an expression may look through; the newest.
MOST = 300
_WRONG = ("entered-in-error", "cancelled", "unknown")


@dataclass(frozen=True, slots=True)
class Kind:
    """A named collection: the resource types in it, which of them count, and what it is called in a source."""

    types: tuple[str, ...]
    counts: Test
    said: str


def _status(*allowed: str) -> Test:
    return lambda r: r.get("status") in allowed


def _clinical(r: dict[str, Any]) -> bool:
    def codes(name: str) -> set[str]:
        return {c.get("code") for c in (r.get(name) or {}).get("coding") or ()}

    if codes("verificationStatus") & {"entered-in-error", "refuted"}:
        return False
    return not codes("clinicalStatus") & {"inactive", "remission", "resolved"}


def _right(r: dict[str, Any]) -> bool:
    return r.get("status") not in _WRONG


KINDS: dict[str, Kind] = {
    "conditions": Kind(("Condition",), _clinical, N_("Hälsoproblem")),
    "allergies": Kind(("AllergyIntolerance",), _clinical, N_("Överkänslighet")),
    "medications": Kind(("MedicationRequest", "MedicationStatement"), _status("active", "on-hold", "intended"), N_("Läkemedelslistan")),
    "observations": Kind(("Observation",), _status("final", "amended", "corrected", "preliminary"), N_("Mätvärden och provsvar")),
    "encounters": Kind(("Encounter",), _right, N_("Vårdkontakter")),
    "procedures": Kind(("Procedure",), _right, N_("Åtgärder")),
    "contacts": Kind(("RelatedPerson",), lambda r: r.get("active") is not False, N_("Närstående")),
    "careteams": Kind(("CareTeam",), _status("active", "proposed"), N_("Vårdteam")),
    "episodes": Kind(("EpisodeOfCare",), _status("active", "planned", "onhold", "waitlist"), N_("Pågående insatser")),
    "careplans": Kind(("CarePlan",), _status("active", "on-hold", "draft"), N_("Planer")),
    "flags": Kind(("Flag",), _status("active"), N_("Varningar")),
    "immunizations": Kind(("Immunization",), _status("completed"), N_("Vaccinationer")),
    "requests": Kind(("ServiceRequest",), _status("active", "on-hold", "completed"), N_("Begäranden")),
    "responses": Kind(("QuestionnaireResponse",), _status("completed", "amended"), N_("Formulär")),
    "documents": Kind(("DocumentReference", "Composition"), _right, N_("Dokument")),
}  # fmt: skip
LABELS = {f"#{name}": kind.said for name, kind in KINDS.items()} | {
    "#patient": N_("Personuppgifter")
}


@dataclass(slots=True)
class Row:
    """A resource of the record and the row it was stored as."""

    stored: Stored
    resource: dict[str, Any]


@dataclass
class Given:
    """What a form's expressions were given.

    contexts  values by name; `rows` the resources behind each collection
    units     names of the units that own them
    notes     what could not be fetched, in words
    """

    contexts: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    units: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


async def gather(
    form: Form,
    record: Record,
    *,
    initial: bool = True,
    lets: Callable[[Stored], bool] | None = None,
) -> Given:
    """Everything the form's expressions name. At most three queries: one for all collections, two for names of
    units not yet known. `initial` False leaves out what only prefilling asks for; `lets` narrows the rows further
    (the scopes of a token)."""
    wanted = names_asked(form, initial)
    queries = [
        (v, asked_type(v.text)) for v in _queries(form, initial) if v.name in wanted or initial
    ]
    given = Given()
    given.contexts.update(await people(record))
    types = {t for n in wanted if n in KINDS for t in KINDS[n].types} | {
        t for _v, t in queries if t
    }
    if "encounter" in wanted:
        types.add("Encounter")
    rows: list[Row] = []
    if types:
        stored = await record.resources(*sorted(types), limit=MOST * len(types))
        if lets is not None:
            stored = [s for s in stored if lets(s)]
        rows = [Row(s, raw(s.body)) for s in stored]
        given.units = await names_of(record, stored)
    for name in wanted & KINDS.keys():
        kind = KINDS[name]
        some = [r for r in rows if r.stored.type in kind.types and kind.counts(r.resource)][:MOST]
        given.rows[name] = some
        given.contexts[name] = [r.resource for r in some]
    if "encounter" in wanted:
        open_ = [r for r in rows if r.stored.type == "Encounter" and r.resource.get("status") in ("in-progress", "arrived", "triaged", "onleave")]  # fmt: skip
        given.rows["encounter"] = open_[:1]
        given.contexts["encounter"] = [r.resource for r in open_[:1]]
    for v, _type in queries:
        _ask(v, rows, given)
    return given


def _ask(v: Expression, rows: list[Row], given: Given) -> None:
    """The answer to an x-fhir-query, as a Bundle, from rows of the record."""
    found = answer(v.text, [r.resource for r in rows], given.contexts, given.notes)
    ids = {(r.get("resourceType"), r.get("id")) for r in found}
    given.rows[v.name] = [r for r in rows if (r.stored.type, r.stored.id) in ids]
    given.contexts[v.name] = {
        "resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": [{"resource": r} for r in found],
    }  # fmt: skip


async def people(record: Record) -> dict[str, Any]:
    """%patient, %user (the person), %role (their assignment) and %unit; no query."""
    patient = plain(record.patient)
    patient["resourceType"] = "Patient"
    actor, a = record.actor, record.actor.assignment
    made: dict[str, Any] = {"patient": patient, "subject": patient}
    kind, _sign, id = actor.id.partition("/")
    made["user"] = {"resourceType": kind, "id": id, "name": [{"text": actor.name}]}
    if a is not None:
        made["role"] = {
            "resourceType": "PractitionerRole", "id": a.id, "active": True,
            "practitioner": {"reference": actor.id, "display": actor.name},
            "organization": {"reference": f"Organization/{a.unit}", "display": a.unit_name},
            "code": [{"coding": [{"code": a.role}], "text": a.role_text}],
        }  # fmt: skip
        made["unit"] = {"resourceType": "Organization", "id": a.unit, "name": a.unit_name}
        made["provider"] = {
            "resourceType": "Organization",
            "id": a.provider,
            "name": a.provider_name,
        }
    return made


def names_asked(form: Form, initial: bool) -> set[str]:
    """Every name that the form's expressions ask for, variables' own included."""
    found: set[str] = set()
    for e in _all(form, initial):
        found |= e.names
    if initial and any(observed(i.raw) is not None for i in form.index.values()):
        found.add("observations")
    return found


def observed(raw_item: dict[str, Any]) -> dict[str, Any] | None:
    """How far back an item is prefilled with the newest observation of its code (a Duration); None when it is not."""
    e = next(iter(extensions(raw_item, SDC + "sdc-questionnaire-observationLinkPeriod")), None)
    value = value_of(e) if e is not None else None
    return value if isinstance(value, dict) else None


def _all(form: Form, initial: bool) -> list[Expression]:
    made = [*form.variables, *(c.expression for c in form.constraints)]
    for item in form.index.values():
        made += item.variables
        made += (c.expression for c in item.constraints)
        made += (e for _values, e in item.toggles)
        made += (
            x.expression
            for x in (item.low, item.high)
            if x is not None and x.expression is not None
        )
        made += (
            e
            for kind, e in item.expressions.items()
            if initial or kind not in ("initial", "population")
        )
    return made


def _queries(form: Form, initial: bool) -> list[Expression]:
    """The x-fhir-queries a form has under a name."""
    made = [e for e in _all(form, initial) if e.language == QUERY]
    contained = {f"#{c.get('id')}": c for c in form.raw.get("contained") or ()}
    for e in extensions(form.raw, SDC + "sdc-questionnaire-sourceQueries"):
        reference = value_of(e)
        bundle = (
            contained.get(str((reference or {}).get("reference")), {})
            if isinstance(reference, dict)
            else {}
        )
        for n, entry in enumerate(bundle.get("entry") or ()):
            url = (entry.get("request") or {}).get("url")
            if url:
                name = str(entry.get("id") or f"{bundle.get('id')}-{n}")
                made.append(Expression(QUERY, url, name, frozenset(), frozenset()))
    return [e if e.name else Expression(e.language, e.text, e.text, e.links, e.names) for e in made]
