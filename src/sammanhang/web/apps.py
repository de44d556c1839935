"""Apps as people read of them: what a scope lets an app do, in words, and the apps one has let in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sammanhang.access import clients, grants
from sammanhang.access.actor import Actor
from sammanhang.access.grants import Grant
from sammanhang.access.tokens_scopes import OTHERS, ResourceScope, parse
from sammanhang.kernel.i18n import N_, _
from sammanhang.store.search.parse import unescape
from sammanhang.store.types import COMMON

from .routing import Visit

TYPES = {
    "*": N_("alla slags uppgifter"), "Patient": N_("personuppgifter"), "Observation": N_("mätvärden och provsvar"),
    "Condition": N_("diagnoser och hälsoproblem"), "MedicationRequest": N_("ordinerade läkemedel"),
    "MedicationStatement": N_("läkemedel som används"), "MedicationAdministration": N_("givna läkemedel"),
    "MedicationDispense": N_("uthämtade läkemedel"), "Medication": N_("läkemedelsprodukter"),
    "AllergyIntolerance": N_("överkänslighet"), "Immunization": N_("vaccinationer"),
    "Procedure": N_("åtgärder och ingrepp"), "Encounter": N_("vårdkontakter"), "Appointment": N_("bokade besök"),
    "DocumentReference": N_("dokument"), "Composition": N_("anteckningar"), "Binary": N_("filer"),
    "DiagnosticReport": N_("utlåtanden och svar"), "CarePlan": N_("planer"), "CareTeam": N_("vårdteam"),
    "EpisodeOfCare": N_("vårdåtaganden"), "Goal": N_("mål"), "ServiceRequest": N_("remisser och beställningar"),
    "Task": N_("uppgifter att göra"), "Consent": N_("samtycken och spärrar"), "RelatedPerson": N_("närstående"),
    "Questionnaire": N_("formulär"), "QuestionnaireResponse": N_("svar på formulär"), "Flag": N_("varningar"),
    "Communication": N_("meddelanden"), "Device": N_("hjälpmedel och utrustning"), "Location": N_("platser"),
    "Practitioner": N_("vilka som är personal"), "PractitionerRole": N_("personalens uppdrag"),
    "Organization": N_("enheter och vårdgivare"), "ImagingStudy": N_("bildundersökningar"),
    "FamilyMemberHistory": N_("ärftlighet"), "Specimen": N_("prover"),
}  # fmt: skip
PARAMETERS = {
    "category": N_("kategori"),
    "code": N_("kod"),
    "status": N_("status"),
    "type": N_("typ"),
}
VALUES = {
    "laboratory": N_("provsvar"), "vital-signs": N_("vitala mätvärden"), "survey": N_("bedömningar"),
    "social-history": N_("levnadsvanor"), "imaging": N_("bilder"), "exam": N_("undersökningar"),
    "encounter-diagnosis": N_("diagnoser vid besök"), "problem-list-item": N_("problemlistan"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnAppsPage:
    """The apps a person has let in; `ended` tells that access was just taken back."""

    title: str
    apps: list[OwnApp]
    ended: bool


async def own_apps_page(visit: Visit) -> OwnAppsPage:
    """What the person of this visit has let in, and whether they have just taken something back."""
    title = _("Appar du har gett tillgång")
    return OwnAppsPage(title, await own_apps(visit), visit.asked("ended") != "")


@dataclass(frozen=True, slots=True)
class Wish:
    """What an app wants to do with one kind of data.

    what    the kind of data, in words
    only    what it is restricted to, in words; empty without a restriction
    reads   whether it may read it
    writes  what else it may do, in words; empty when it only reads
    """

    what: str
    only: str
    reads: bool
    writes: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an app wants, in words: of the chosen patient, of everything the person may see (`others` when
    that holds other patients' records too), and to know who the person is."""

    patient: tuple[Wish, ...]
    user: tuple[Wish, ...]
    others: bool
    identity: bool


@dataclass(frozen=True, slots=True)
class OwnApp:
    """An app somebody has let in: id of the client, name, who stands behind it, what it may do, for how
    many patients, since when, when it was last used, and whether it goes on when they log out."""

    id: str
    name: str
    publisher: str
    wishes: Wishes
    patients: int
    since: datetime
    used: datetime | None
    offline: bool


def wishes_of(scopes: Iterable[str]) -> Wishes:
    """Scopes in words, each kind of data once."""
    asked = [parse(s) for s in scopes if s not in OTHERS]
    return Wishes(
        patient=_wishes(s for s in asked if s.context == "patient"),
        user=_wishes(s for s in asked if s.context == "user"),
        others=any(s.context == "user" and s.type not in COMMON for s in asked),
        identity=any(s in scopes for s in ("openid", "fhirUser", "profile")),
    )


def _wishes(scopes: Iterable[ResourceScope]) -> tuple[Wish, ...]:
    merged: dict[tuple[str, str], set[str]] = {}
    for s in scopes:
        merged.setdefault((s.type, _only(s)), set()).update(s.letters)
    found = [
        Wish(_(TYPES.get(kind, kind)), only, bool(letters & {*"rs"}), _writes(letters))
        for (kind, only), letters in merged.items()
    ]
    return tuple(sorted(found, key=lambda w: (not w.writes, w.what)))


def _only(scope: ResourceScope) -> str:
    parts = []
    for code, values in scope.restrictions:
        names = [unescape(v).rpartition("|")[2] or unescape(v) for v in values]
        words = ", ".join(_(VALUES[n]) if n in VALUES else n for n in names)
        parts.append(f"{_(PARAMETERS[code]) if code in PARAMETERS else code} {words}")
    return "; ".join(parts)


def _writes(letters: set[str]) -> str:
    words = ((_("skriva nya"), "c"), (_("ändra"), "u"), (_("ta bort"), "d"))
    return ", ".join(word for word, letter in words if letter in letters)


async def own_apps(visit: Visit) -> list[OwnApp]:
    """The apps whoever this is has let in, the latest used first; two queries."""
    services = visit.services
    found = await grants.of_person(services.database, services.settings, visit.actor.id)
    by_client: dict[str, list[Grant]] = {}
    for grant in found:
        by_client.setdefault(grant.client, []).append(grant)
    known = {c.id: c for c in await clients.clients_here(services.database)} if found else {}
    return [
        OwnApp(
            id=id,
            name=known[id].name,
            publisher=known[id].publisher,
            wishes=wishes_of(dict.fromkeys(s for g in given for s in g.scopes)),
            patients=len({g.patient for g in given if g.patient is not None}),
            since=min(g.granted for g in given),
            used=max((g.last_used for g in given if g.last_used is not None), default=None),
            offline=any(g.offline for g in given),
        )
        for id, given in by_client.items()
    ]


async def take_back(visit: Visit, client: str) -> int:
    """Ends what the person granted to an app, at once here and within half a minute elsewhere; how many
    grants that were. Durable in the trace when it returns."""
    services = visit.services
    ended = await grants.end_of_person(services.database, visit.actor.id, client)
    await services.audit.record(
        services.doors.entry(
            visit.actor, "grant-end", what=f"client:{client}"[:100], count=len(ended), request=visit.id,
            outcome="ok" if ended else "absent",
        )
    )  # fmt: skip
    return len(ended)


def acting_as(actor: Actor) -> str:
    """Whom an app would act as: the name, and staff's assignment."""
    a = actor.assignment
    return actor.name if a is None else f"{actor.name}, {a.role_text.lower()}, {a.unit_name}"
